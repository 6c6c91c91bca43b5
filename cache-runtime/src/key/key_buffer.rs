use std::fmt;

use super::packed_ascii::PackedAscii;

/// Length of a text that needs no allocation, in bytes.
const INLINE: usize = 64;
/// Length of a text that is written and looked up in one piece, in bytes.
const SHORT: usize = 16;

/// A text under construction, without an allocation while it is short.
#[derive(Clone)]
pub(super) struct KeyBuffer {
    /// Zeros after the end of the text.
    inline: [u8; INLINE],
    /// Greater than `INLINE` once the text has moved to `heap`.
    len: usize,
    /// The whole text, once it no longer fits into `inline`.
    heap: Vec<u8>,
}

impl Default for KeyBuffer {
    #[inline]
    fn default() -> Self {
        Self {
            inline: [0; INLINE],
            len: 0,
            heap: Vec::new(),
        }
    }
}

impl KeyBuffer {
    #[inline]
    pub(super) fn push(&mut self, ascii: u8) {
        debug_assert!(ascii.is_ascii());
        let bytes = u64::from(ascii);
        self.push_word(PackedAscii { bytes, len: 1 });
    }

    #[inline]
    pub(super) fn push_str(&mut self, text: &str) {
        let text = text.as_bytes();
        if self.len + text.len() > SHORT {
            return self.extend(text);
        }
        for bytes in text.chunks(8) {
            self.push_word(PackedAscii::of(bytes));
        }
    }

    #[inline]
    pub(super) fn push_number(&mut self, number: u64) {
        if number < PackedAscii::END {
            return self.push_word(PackedAscii::number(number));
        }
        self.push_long(number);
    }

    fn push_long(&mut self, number: u64) {
        self.push_number(number / PackedAscii::END);
        self.push_word(PackedAscii::filled(number % PackedAscii::END));
    }

    #[inline]
    fn push_word(&mut self, word: PackedAscii) {
        let end = self.len + word.len;
        match self.inline.first_chunk_mut::<SHORT>() {
            Some(short) if end <= SHORT => {
                let word = u128::from(word.bytes) << (8 * self.len);
                *short = (u128::from_le_bytes(*short) | word).to_le_bytes();
                self.len = end;
            }
            _ => self.extend(&word.bytes.to_le_bytes()[..word.len]),
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.inline.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.heap.is_empty() {
            self.heap.reserve(2 * (self.len + bytes.len()));
            self.heap.extend_from_slice(&self.inline[..self.len]);
            self.len = INLINE + 1;
        }
        self.heap.extend_from_slice(bytes);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.inline.get(..self.len).unwrap_or(&self.heap)
    }

    /// Returns the whole text in 16 bytes, padded with zeros; `None` if it is longer.
    #[inline]
    pub(super) fn short(&self) -> Option<[u8; SHORT]> {
        let short = self.inline.first_chunk().copied();
        short.filter(|_| self.len <= SHORT)
    }

    pub(super) fn as_str(&self) -> &str {
        // Only whole texts and ASCII bytes are pushed, so the bytes are valid UTF-8.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq for KeyBuffer {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for KeyBuffer {}

impl PartialOrd for KeyBuffer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBuffer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Write for KeyBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyBuffer;

    #[test]
    fn a_text_is_whole_wherever_it_outgrows_its_place() {
        for step in 1..100 {
            let (mut text, mut whole) = (KeyBuffer::default(), String::new());
            let part: String = ('a'..='z').cycle().take(step).collect();
            while whole.len() < 200 {
                text.push_str(&part);
                text.push(b':');
                whole.push_str(&part);
                whole.push(':');
                assert_eq!(text.as_str(), whole);
                let mut filled = [0; 16];
                let fits = filled.get_mut(..whole.len());
                let fits = fits.map(|room| room.copy_from_slice(whole.as_bytes()));
                assert_eq!(text.short(), fits.map(|()| filled));
            }
        }
    }

    #[test]
    fn a_number_is_whole_wherever_it_stands() {
        for number in [0, 7, 42, 99_999_999, 100_000_000, 1 << 53, u64::MAX] {
            for before in 0..80 {
                let mut text = KeyBuffer::default();
                let mut whole = "x".repeat(before);
                text.push_str(&whole);
                text.push_number(number);
                text.push(b':');
                whole.push_str(&format!("{number}:"));
                assert_eq!(text.as_str(), whole);
                assert_eq!(text.short().is_some(), whole.len() <= 16);
            }
        }
    }
}
