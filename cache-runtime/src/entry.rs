//! The bytes of a stored entry: a fixed header, then the payload.
//!
//! ```text
//! 0  "rc"  2 format  3 codec  4 shape (8)  12 stamp (16)  28 life, ms (8)  36 cost, µs (4)  40 payload
//! ```
//!
//! Numbers are big-endian. The first 28 bytes say whether a reader can use the entry at all, so
//! scripts compare them in one piece.

use std::time::Duration;

use crate::codec::Codec;
use crate::group::Stamp;

const MAGIC: [u8; 2] = *b"rc";
const FORMAT: u8 = 1;
const HEADER: usize = 40;

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

    /// The payload of an entry that bears this mark; `None` for any other bytes.
    pub(crate) fn payload<'a>(&self, entry: &'a [u8]) -> Option<&'a [u8]> {
        (entry.len() >= HEADER && entry.starts_with(&self.0)).then(|| &entry[HEADER..])
    }

    /// A header for a value that took `cost` to compute; append the payload.
    pub(crate) fn header(&self, life: Duration, cost: Duration) -> Vec<u8> {
        let mut entry = Vec::with_capacity(HEADER + 128);
        entry.extend_from_slice(&self.0);
        entry.extend_from_slice(&(life.as_millis() as u64).to_be_bytes());
        let cost = u32::try_from(cost.as_micros()).unwrap_or(u32::MAX);
        entry.extend_from_slice(&cost.to_be_bytes());
        entry
    }
}

/// The shape of a stored type: an entry of another shape is a miss.
pub(crate) fn shape_of<T: ?Sized>() -> u64 {
    // FNV-1a: short input, no adversary, and every process must agree.
    std::any::type_name::<T>()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark::new(Codec::Json, 0x0102_0304_0506_0708, Stamp([0xab; 16]))
    }

    #[test]
    fn the_layout_is_frozen() {
        let mut entry = mark().header(Duration::from_secs(60), Duration::from_micros(1_500));
        entry.extend_from_slice(b"{\"id\":1}");
        let golden = [
            b"rc\x01j\x01\x02\x03\x04\x05\x06\x07\x08".as_slice(),
            &[0xab; 16],
            b"\0\0\0\0\0\0\xea\x60\0\0\x05\xdc{\"id\":1}",
        ]
        .concat();
        assert_eq!(entry, golden);
        assert_eq!(mark().payload(&entry), Some(b"{\"id\":1}".as_slice()));
    }

    #[test]
    fn shapes_are_frozen() {
        assert_eq!(shape_of::<u64>(), 0x4d35_d319_3e8d_66f2);
    }

    #[test]
    fn anything_foreign_has_no_payload() {
        let good = mark().header(Duration::ZERO, Duration::ZERO);
        assert_eq!(mark().payload(&good), Some(b"".as_slice()));
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
