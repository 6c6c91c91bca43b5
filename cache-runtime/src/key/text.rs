use std::fmt;

const INLINE: usize = 64;

/// A text that is being written: without memory from the heap while it is short.
#[derive(Clone)]
pub(super) struct Text {
    inline: [u8; INLINE],
    len: usize,
    /// The whole text, once it has become too long.
    heap: Vec<u8>,
}

impl Default for Text {
    #[inline]
    fn default() -> Self {
        Self {
            inline: [0; INLINE],
            len: 0,
            heap: Vec::new(),
        }
    }
}

impl Text {
    #[inline]
    pub(super) fn push(&mut self, ascii: u8) {
        debug_assert!(ascii.is_ascii());
        self.extend(&[ascii]);
    }

    #[inline]
    pub(super) fn push_str(&mut self, text: &str) {
        self.extend(text.as_bytes());
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.inline.get_mut(self.len..end) {
            Some(room) if self.heap.is_empty() => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.spill(bytes),
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.heap.is_empty() {
            self.heap.reserve(2 * (self.len + bytes.len()));
            self.heap.extend_from_slice(&self.inline[..self.len]);
        }
        self.heap.extend_from_slice(bytes);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        if self.heap.is_empty() {
            &self.inline[..self.len]
        } else {
            &self.heap
        }
    }

    /// The whole text in 16 bytes, filled up with zeros; `None` if it is longer.
    #[inline]
    pub(super) fn short(&self) -> Option<[u8; 16]> {
        if self.len > 16 || !self.heap.is_empty() {
            return None;
        }
        // Nothing has ever been written behind the end.
        self.inline.first_chunk().copied()
    }

    pub(super) fn as_str(&self) -> &str {
        // Whole texts and ASCII are all that is ever pushed.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_text_is_whole_wherever_it_outgrows_its_place() {
        for step in 1..100 {
            let (mut text, mut whole) = (Text::default(), String::new());
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
}
