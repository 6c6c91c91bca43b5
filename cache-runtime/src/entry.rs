//! The bytes of a stored entry: a fixed header, then the payload.
//!
//! ```text
//! 0  "rc"  2 format  3 codec  4 shape (8)  12 stamp (16)  28 life, ms (8)  36 stale, ms (4)  40 cost, µs (4)
//! 44 payload
//! ```
//!
//! Numbers are big-endian. *Life* is how long the entry is stored, and *stale* how much of that,
//! at its end, is past its ttl. The first 28 bytes say whether a reader can use the entry at all, so
//! scripts compare them in one piece.

use std::time::Duration;

use crate::codec::Codec;
use crate::group::Stamp;

const MAGIC: [u8; 2] = *b"rc";
const FORMAT: u8 = 1;
/// What an entry takes besides its payload.
pub(crate) const HEADER: usize = 44;

/// What a reader expects of an entry before it looks at the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark([u8; 28]);

impl Mark {
    pub(crate) fn new(codec: Codec, shape: u64, stamp: Stamp) -> Self {
        let mut mark = [0; 28];
        mark[..2].copy_from_slice(&MAGIC);
        mark[2] = FORMAT;
        mark[3] = codec.mark();
        mark[4..12].copy_from_slice(&shape.to_be_bytes());
        mark[12..28].copy_from_slice(&stamp.0);
        Self(mark)
    }

    /// The mark an entry bears; `None` for bytes that are no entry of this format.
    pub(crate) fn of(entry: &[u8]) -> Option<Self> {
        let is_entry = entry.len() >= HEADER && entry.starts_with(&MAGIC) && entry[2] == FORMAT;
        let mark = entry.first_chunk::<28>()?;
        is_entry.then_some(Self(*mark))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn stamp(&self) -> Stamp {
        let mut stamp = [0; 16];
        stamp.copy_from_slice(&self.0[12..28]);
        Stamp(stamp)
    }

    /// The payload of an entry that bears this mark, in whichever codec, and that codec; `None`
    /// for any other bytes.
    pub(crate) fn payload<'a>(&self, entry: &'a [u8]) -> Option<(&'a [u8], Codec)> {
        let codec = Codec::of_mark(*entry.get(3)?)?;
        let mut mark = self.0;
        mark[3] = entry[3];
        let bears = entry.len() >= HEADER && entry.starts_with(&mark);
        bears.then(|| (&entry[HEADER..], codec))
    }

    /// A header for a value; append the payload.
    pub(crate) fn header(&self, span: Span) -> Vec<u8> {
        let mut entry = Vec::with_capacity(HEADER + 128);
        entry.extend_from_slice(&self.0);
        entry.extend_from_slice(&(span.life.as_millis() as u64).to_be_bytes());
        let short = |number: u128| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        entry.extend_from_slice(&short(span.stale.as_millis()));
        entry.extend_from_slice(&short(span.cost.as_micros()));
        entry
    }
}

/// How long an entry is of use, and what it has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// How long it is stored.
    pub(crate) life: Duration,
    /// How much of that, at its end, is past its ttl.
    pub(crate) stale: Duration,
    /// What it took to compute.
    pub(crate) cost: Duration,
}

impl Span {
    /// As an entry's header has it; nothing for bytes that are too few.
    pub(crate) fn of(entry: &[u8]) -> Self {
        let Some(numbers) = entry.get(28..HEADER) else {
            return Self::default();
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        Self {
            life: Duration::from_millis(number(&numbers[..8])),
            stale: Duration::from_millis(number(&numbers[8..12])),
            cost: Duration::from_micros(number(&numbers[12..])),
        }
    }

    /// How long it is fresh.
    pub(crate) fn ttl(&self) -> Duration {
        self.life.saturating_sub(self.stale)
    }

    /// Where an entry stands that is stored for `left` more, if no ttl is longer than `cap`.
    pub(crate) fn age(&self, left: Duration, cap: Option<Duration>) -> Age {
        let ttl = self.ttl();
        if let Some(cap) = cap
            && cap < ttl
        {
            let age = self.life.saturating_sub(left);
            return match cap.checked_sub(age) {
                Some(fresh) if !fresh.is_zero() => Age::Fresh(fresh),
                _ => Age::Stale(age.saturating_sub(cap)),
            };
        }
        match left.checked_sub(self.stale) {
            // Redis has it, if only for less than a millisecond.
            Some(fresh) if self.stale.is_zero() => Age::Fresh(fresh),
            Some(fresh) if !fresh.is_zero() => Age::Fresh(fresh),
            _ => Age::Stale(self.stale.saturating_sub(left)),
        }
    }
}

/// Where an entry stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Within its ttl, for so long.
    Fresh(Duration),
    /// Past it, for so long.
    Stale(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark::new(Codec::JSON, 0x0102_0304_0506_0708, Stamp([0xab; 16]))
    }

    #[test]
    fn the_layout_is_frozen() {
        let span = Span {
            life: Duration::from_secs(60),
            stale: Duration::from_secs(10),
            cost: Duration::from_micros(1_500),
        };
        let mut entry = mark().header(span);
        entry.extend_from_slice(b"{\"id\":1}");
        let golden = [
            b"rc\x01j\x01\x02\x03\x04\x05\x06\x07\x08".as_slice(),
            &[0xab; 16],
            b"\0\0\0\0\0\0\xea\x60\0\0\x27\x10\0\0\x05\xdc{\"id\":1}",
        ]
        .concat();
        assert_eq!(entry, golden);
        let payload = b"{\"id\":1}".as_slice();
        assert_eq!(mark().payload(&entry), Some((payload, Codec::JSON)));
        // The codec is the entry's own affair.
        let compressed = Codec {
            packed: true,
            ..Codec::JSON
        };
        entry[3] = compressed.mark();
        assert_eq!(mark().payload(&entry), Some((payload, compressed)));
        assert_eq!(Span::of(&entry), span);
    }

    #[test]
    fn an_entry_is_stale_at_the_end_of_its_life() {
        let seconds = Duration::from_secs;
        let span = Span {
            life: seconds(60),
            stale: seconds(10),
            cost: Duration::ZERO,
        };
        assert_eq!(span.age(seconds(60), None), Age::Fresh(seconds(50)));
        assert_eq!(span.age(seconds(11), None), Age::Fresh(seconds(1)));
        assert_eq!(span.age(seconds(10), None), Age::Stale(seconds(0)));
        assert_eq!(span.age(seconds(4), None), Age::Stale(seconds(6)));
        // With a shorter ttl than it was stored with, counted from when it was.
        let cap = Some(seconds(20));
        assert_eq!(span.age(seconds(60), cap), Age::Fresh(seconds(20)));
        assert_eq!(span.age(seconds(45), cap), Age::Fresh(seconds(5)));
        assert_eq!(span.age(seconds(30), cap), Age::Stale(seconds(10)));
        assert_eq!(
            span.age(seconds(60), Some(seconds(90))),
            Age::Fresh(seconds(50))
        );
    }

    #[test]
    fn anything_foreign_has_no_payload() {
        let good = mark().header(Span::default());
        assert_eq!(mark().payload(&good), Some((b"".as_slice(), Codec::JSON)));
        for cut in 0..good.len() {
            assert_eq!(mark().payload(&good[..cut]), None);
        }
        for byte in 0..28 {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert_eq!(mark().payload(&bad), None, "byte {byte}");
        }
        assert_eq!(mark().payload(b"{\"id\":1}"), None);
    }
}
