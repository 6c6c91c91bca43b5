use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::draft::Draft;
use crate::error::{Error, ErrorKind};

/// How a value is written into an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// serde_json: readable in `redis-cli`.
    Json,
}

impl Codec {
    /// The codec's mark in an entry's header; frozen.
    pub(crate) const fn mark(self) -> u8 {
        match self {
            Self::Json => b'j',
        }
    }

    /// Appends the value to `out`, as far as there is room.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        out: &mut Draft,
    ) -> Result<(), Error> {
        match self {
            Self::Json => serde_json::to_writer(&mut *out, value).map_err(|error| {
                if error.is_io() {
                    return out.oversized();
                }
                // Only the category: serde_json's text may quote the value.
                Error::new(
                    ErrorKind::Encode,
                    format!(
                        "the value can't be written as json ({:?} error)",
                        error.classify()
                    ),
                )
            }),
        }
    }

    /// How many bytes the value takes when it is written, as far as it can be; `None` if more
    /// than `most`.
    pub(crate) fn written<T: Serialize + ?Sized>(self, value: &T, most: u64) -> Option<u32> {
        let mut count = Count { bytes: 0, most };
        match self {
            Self::Json => match serde_json::to_writer(&mut count, value) {
                Err(error) if error.is_io() => return None,
                _ => {}
            },
        }
        Some(u32::try_from(count.bytes).unwrap_or(u32::MAX))
    }

    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Error> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| {
                Error::new(
                    ErrorKind::Decode,
                    format!(
                        "the stored json is not this type ({:?} error at column {})",
                        error.classify(),
                        error.column()
                    ),
                )
            }),
        }
    }
}

/// Counts what is written and keeps nothing.
struct Count {
    bytes: u64,
    most: u64,
}

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len() as u64;
        match self.bytes > self.most {
            true => Err(std::io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fuzzer has found it: read at serde_json's usual speed, it ends in 9.
    #[test]
    fn a_float_is_read_as_it_was_written() {
        let read = Codec::Json.decode::<f64>(b"12933337076028707620283022");
        let value = read.expect("it is a number");
        let again = Codec::Json.decode::<f64>(value.to_string().as_bytes());
        assert_eq!(again.ok(), Some(value));
        let exact = 1.293_333_707_602_870_7e25;
        let exact_again = Codec::Json.decode::<f64>(b"1.2933337076028707e+25");
        assert_eq!(exact_again.ok(), Some(exact));
    }
}
