//! The bytes of a stored entry: a fixed header, then the payload.
//!
//! ```text
//! 0  "rc"  2 format  3 codec  4 schema (8)  12 stamp (16)  28 call (8)
//! 36 life, ms (8)  44 ttl, ms (8)  52 cost, µs (8)
//! 60 payload
//! ```
//!
//! Numbers are big-endian. *Call* is the XXH3 digest of the entry's key, by which a reply that
//! belongs to another call is detected. *Life* is the time for which the entry is stored; *ttl* is
//! the time from its beginning during which it is fresh. The first 36 bytes decide if a reader can
//! use the entry at all, so scripts compare them in one piece.

use std::time::Duration;

use twox_hash::XxHash3_64;

use crate::entry::encoding::Encoding;
use crate::invalidation::group::GenerationStamp;
use crate::key::Key;

const MAGIC: [u8; 2] = *b"rc";
const FORMAT: u8 = 2;
/// Length of a mark, in bytes.
const MARK: usize = 36;
/// Size of an entry without its payload, in bytes.
pub(crate) const HEADER: usize = 60;

/// Maximum ttl, and maximum window after it: 50 years each. Every clock in use can add both to its
/// present time; no clock can add `Duration::MAX`.
pub(crate) const LONGEST: Duration = Duration::from_secs(50 * 365 * 24 * 3_600);

/// The part of a header that a reader compares before it reads the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHeader([u8; MARK]);

impl EntryHeader {
    pub(crate) fn new(codec: Encoding, schema: u64, stamp: GenerationStamp, key: &Key) -> Self {
        let mut mark = [0; MARK];
        mark[..2].copy_from_slice(&MAGIC);
        mark[2] = FORMAT;
        mark[3] = codec.mark();
        mark[4..12].copy_from_slice(&schema.to_be_bytes());
        mark[12..28].copy_from_slice(&stamp.0);
        mark[28..].copy_from_slice(&call_digest(key));
        Self(mark)
    }

    /// Returns the mark of an entry; `None` if the bytes are no entry of this format.
    pub(crate) fn of(entry: &[u8]) -> Option<Self> {
        let is_entry = entry.len() >= HEADER && entry.starts_with(&MAGIC) && entry[2] == FORMAT;
        let mark = entry.first_chunk::<MARK>()?;
        is_entry.then_some(Self(*mark))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn stamp(&self) -> GenerationStamp {
        let mut stamp = [0; 16];
        stamp.copy_from_slice(&self.0[12..28]);
        GenerationStamp(stamp)
    }

    /// Returns the payload and the codec of an entry with this mark, in any codec; `None` for any
    /// other bytes.
    pub(crate) fn payload<'a>(&self, entry: &'a [u8]) -> Option<(&'a [u8], Encoding)> {
        let codec = Encoding::of_mark(*entry.get(3)?)?;
        let mut mark = self.0;
        mark[3] = entry[3];
        let bears = entry.len() >= HEADER && entry.starts_with(&mark);
        bears.then(|| (&entry[HEADER..], codec))
    }

    /// Returns the header of a value, to which the payload is appended.
    pub(crate) fn header(&self, span: Lifetimes) -> Vec<u8> {
        let mut entry = Vec::with_capacity(HEADER + 128);
        entry.extend_from_slice(&self.0);
        for number in [
            span.life.as_millis(),
            span.ttl.as_millis(),
            span.cost.as_micros(),
        ] {
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            entry.extend_from_slice(&number.to_be_bytes());
        }
        entry
    }
}

/// Returns `true` if the bytes are an entry of another call, so that the reply was not meant for
/// this call.
pub(crate) fn is_of_another_call(entry: &[u8], key: &Key) -> bool {
    EntryHeader::of(entry).is_some_and(|mark| mark.0[28..] != call_digest(key))
}

/// Returns the XXH3 digest (64 bits) of a key. It is fast, because each read needs one, and not
/// keyed, because a collision is of no use to anyone.
fn call_digest(key: &Key) -> [u8; 8] {
    XxHash3_64::oneshot(key.as_str().as_bytes()).to_be_bytes()
}

/// Lifetimes of an entry, and the cost of its computation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// Time for which the entry is stored.
    pub(crate) life: Duration,
    /// Time, from the beginning of its life, during which the entry is fresh.
    pub(crate) ttl: Duration,
    /// Time that the computation took.
    pub(crate) cost: Duration,
}

impl Lifetimes {
    /// Returns lifetimes of an entry that is fresh for `ttl` and usable for `stale` more; both are
    /// limited to [`LONGEST`].
    pub(crate) fn new(ttl: Duration, stale: Duration, cost: Duration) -> Self {
        let ttl = ttl.min(LONGEST);
        let life = ttl + stale.min(LONGEST);
        Self { life, ttl, cost }
    }

    /// Reads the lifetimes from an entry's header; all zero if the bytes are too few.
    pub(crate) fn of(entry: &[u8]) -> Self {
        let Some(numbers) = entry.get(MARK..HEADER) else {
            return Self::default();
        };
        let number = |place: usize| {
            let bytes = numbers[place * 8..].first_chunk().copied();
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        Self {
            life: Duration::from_millis(number(0)),
            ttl: Duration::from_millis(number(1)),
            cost: Duration::from_micros(number(2)),
        }
    }

    /// Returns `true` if the entry is fresh for its whole life.
    pub(crate) fn ends_fresh(&self) -> bool {
        self.ttl >= self.life
    }

    /// Returns the age of an entry that is stored for `left` more, if no ttl is longer than `cap`.
    pub(crate) fn age(&self, left: Duration, cap: Option<Duration>) -> Age {
        let ttl = self.ttl.min(cap.unwrap_or(Duration::MAX));
        if ttl >= self.life {
            // The entry is still in Redis, if only for less than a millisecond.
            return Age::Fresh(left);
        }
        let age = self.life.saturating_sub(left);
        match ttl.checked_sub(age) {
            Some(fresh) if !fresh.is_zero() => Age::Fresh(fresh),
            _ => Age::Stale(age.saturating_sub(ttl)),
        }
    }
}

/// Age of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Fresh, for this much longer.
    Fresh(Duration),
    /// Stale, for this long.
    Stale(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: [u8; 8] = [60, 27, 92, 245, 49, 202, 7, 11];

    fn mark() -> EntryHeader {
        let key = Key::of("ns:app.user@00000000:42");
        EntryHeader::new(
            Encoding::JSON,
            0x0102_0304_0506_0708,
            GenerationStamp([0xab; 16]),
            &key,
        )
    }

    #[test]
    fn the_layout_is_frozen() {
        let cost = Duration::from_micros(1_500);
        let span = Lifetimes::new(Duration::from_secs(50), Duration::from_secs(10), cost);
        let mut entry = mark().header(span);
        entry.extend_from_slice(b"{\"id\":1}");
        let golden = [
            b"rc\x02j\x01\x02\x03\x04\x05\x06\x07\x08".as_slice(),
            &[0xab; 16],
            &CALL,
            b"\0\0\0\0\0\0\xea\x60\0\0\0\0\0\0\xc3\x50\0\0\0\0\0\0\x05\xdc{\"id\":1}",
        ]
        .concat();
        assert_eq!(entry, golden);
        let payload = b"{\"id\":1}".as_slice();
        assert_eq!(mark().payload(&entry), Some((payload, Encoding::JSON)));
        // The codec is not compared: each entry names its own.
        let compressed = Encoding {
            packed: true,
            ..Encoding::JSON
        };
        entry[3] = compressed.mark();
        assert_eq!(mark().payload(&entry), Some((payload, compressed)));
        assert_eq!(Lifetimes::of(&entry), span);
    }

    #[test]
    fn an_entry_is_stale_at_the_end_of_its_life() {
        let seconds = Duration::from_secs;
        let span = Lifetimes::new(seconds(50), seconds(10), Duration::ZERO);
        assert_eq!(span.age(seconds(60), None), Age::Fresh(seconds(50)));
        assert_eq!(span.age(seconds(11), None), Age::Fresh(seconds(1)));
        assert_eq!(span.age(seconds(10), None), Age::Stale(seconds(0)));
        assert_eq!(span.age(seconds(4), None), Age::Stale(seconds(6)));
        // A ttl that is shorter than the stored one counts from the time of storage.
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
    fn no_window_makes_an_entry_fresh_for_longer_than_its_ttl() {
        let day = Duration::from_secs(24 * 3_600);
        let second = Duration::from_secs(1);
        for window in [day * 49, day * 50, day * 365, day * 365_000, Duration::MAX] {
            let span = Lifetimes::of(&mark().header(Lifetimes::new(second, window, second)));
            assert_eq!(span.ttl, second, "{window:?}");
            assert_eq!(span.age(span.life, None), Age::Fresh(second));
            assert_eq!(
                span.age(span.life - second * 2, None),
                Age::Stale(second),
                "{window:?}"
            );
        }
        let endless = Lifetimes::new(Duration::MAX, Duration::MAX, Duration::MAX);
        let endless = Lifetimes::of(&mark().header(endless));
        assert_eq!(endless.age(LONGEST, None), Age::Stale(Duration::ZERO));
        assert_eq!(endless.age(LONGEST * 2, None), Age::Fresh(LONGEST));
    }

    #[test]
    fn an_entry_names_its_call() {
        let entry = mark().header(Lifetimes::default());
        assert!(!is_of_another_call(
            &entry,
            &Key::of("ns:app.user@00000000:42")
        ));
        assert!(is_of_another_call(
            &entry,
            &Key::of("ns:app.user@00000000:43")
        ));
        assert!(!is_of_another_call(
            b"{}",
            &Key::of("ns:app.user@00000000:43")
        ));
    }

    #[test]
    fn anything_foreign_has_no_payload() {
        let good = mark().header(Lifetimes::default());
        assert_eq!(
            mark().payload(&good),
            Some((b"".as_slice(), Encoding::JSON))
        );
        for cut in 0..good.len() {
            assert_eq!(mark().payload(&good[..cut]), None);
        }
        for byte in 0..MARK {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert_eq!(mark().payload(&bad), None, "byte {byte}");
        }
        assert_eq!(mark().payload(b"{\"id\":1}"), None);
    }
}
