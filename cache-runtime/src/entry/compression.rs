//! Payloads that may be compressed: one byte for the format, then the data.

use std::borrow::Cow;

use crate::entry::header::HEADER;
use crate::error::{Error, ErrorKind};

/// Uncompressed data.
const PLAIN: u8 = b'-';
/// LZ4: the uncompressed length (4 bytes, big-endian), then a block.
#[cfg(feature = "compress")]
const LZ4: u8 = b'z';

/// Minimum size for compression, in bytes: a smaller value fits into one packet either way.
#[cfg(feature = "compress")]
const SMALL: usize = 1_024;

/// Largest ratio of LZ4's output to its input.
#[cfg(feature = "compress")]
const MOST: usize = 255;

/// Compresses the payload after the header, if that makes it smaller.
pub(crate) fn pack(mut entry: Vec<u8>) -> Vec<u8> {
    #[cfg(feature = "compress")]
    if let Some(packed) = compress(&entry[HEADER..]) {
        entry.truncate(HEADER);
        entry.extend_from_slice(&packed);
        return entry;
    }
    entry.insert(HEADER, PLAIN);
    entry
}

#[cfg(feature = "compress")]
fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok()?;
    if payload.len() < SMALL {
        return None;
    }
    let mut packed = vec![LZ4];
    packed.extend_from_slice(&length.to_be_bytes());
    packed.append(&mut lz4_flex::block::compress(payload));
    (packed.len() <= payload.len()).then_some(packed)
}

/// Decompresses a payload of at most `most` bytes.
///
/// # Errors
///
/// Returns `ErrorKind::Decode` if the payload is invalid, or larger than `most`.
#[cfg_attr(
    not(feature = "compress"),
    allow(unused_variables, reason = "nothing is unpacked")
)]
pub(crate) fn unpack(bytes: &[u8], most: u64) -> Result<Cow<'_, [u8]>, Error> {
    match bytes {
        [PLAIN, payload @ ..] => Ok(Cow::Borrowed(payload)),
        #[cfg(feature = "compress")]
        [LZ4, a, b, c, d, block @ ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            // The stored length is untrusted, so it is checked before memory is allocated.
            if length as u64 > most {
                return Err(Error::new(
                    ErrorKind::Decode,
                    format!("the stored payload is larger than {most} bytes when it is unpacked"),
                ));
            }
            if length > block.len().saturating_mul(MOST) {
                return Err(garbled());
            }
            let payload = lz4_flex::block::decompress(block, length);
            payload.map(Cow::Owned).map_err(|_| garbled())
        }
        _ => Err(garbled()),
    }
}

fn garbled() -> Error {
    Error::new(ErrorKind::Decode, "the stored payload can't be unpacked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(payload: &[u8]) -> Vec<u8> {
        let mut entry = vec![b'h'; HEADER];
        entry.extend_from_slice(payload);
        let packed = pack(entry);
        assert!(packed[..HEADER].iter().all(|byte| *byte == b'h'));
        packed[HEADER..].to_vec()
    }

    #[test]
    fn what_is_packed_comes_back_and_is_hardly_larger() {
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(9_000)
            .collect();
        let same = vec![b'x'; 9_000];
        for payload in [&[][..], b"1", &same[..900], &same, &noise] {
            let packed = packed(payload);
            assert!(packed.len() <= payload.len() + 1);
            assert_eq!(unpack(&packed, 9_000).expect("it is whole"), payload);
        }
    }

    #[cfg(feature = "compress")]
    #[test]
    fn what_is_too_large_when_it_is_unpacked_is_not_unpacked() {
        let packed = packed(&[b'x'; 9_000]);
        assert!(unpack(&packed, 8_999).is_err());
        assert!(unpack(&packed, 9_000).is_ok());
    }

    #[cfg(feature = "compress")]
    #[test]
    fn a_large_value_takes_less() {
        assert!(packed(&[b'x'; 9_000]).len() < 100);
    }

    #[test]
    fn what_was_not_packed_is_an_error_and_takes_no_memory() {
        assert!(unpack(b"", 9).is_err());
        assert!(unpack(b"{}", 9).is_err());
        assert!(unpack(b"z\xff\xff\xff\xff1234", u64::MAX).is_err());
        for _ in 0..10_000 {
            let mut bytes = vec![b'z', 0, 0];
            bytes.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(fastrand::usize(..40)));
            let _ = unpack(&bytes, u64::MAX);
        }
    }
}
