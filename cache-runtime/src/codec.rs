//! How values are written into entries.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::draft::Draft;
use crate::error::{Error, ErrorKind};
use crate::packing;

/// JSON, by serde_json: readable in `redis-cli`.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// MessagePack (<https://msgpack.org>), by rmp-serde, with the names of fields: smaller, faster for
/// numbers and bytes. Needs the feature `msgpack`.
#[derive(Clone, Copy, Debug)]
pub struct MsgPack;

/// LZ4's block format, by lz4_flex, for values from 1 KiB on. Needs the feature `compress`.
#[derive(Clone, Copy, Debug)]
pub struct Lz4;

/// A codec that is compiled in.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` is behind a feature of recached",
    label = "not compiled in",
    note = "in Cargo.toml: recached = {{ version = \"…\", features = [\"msgpack\"] }}"
)]
pub trait Writes {
    #[doc(hidden)]
    const FORMAT: Format;
}

/// A compression that is compiled in.
#[diagnostic::on_unimplemented(
    message = "the compression `{Self}` is behind a feature of recached",
    label = "not compiled in",
    note = "in Cargo.toml: recached = {{ version = \"…\", features = [\"compress\"] }}"
)]
pub trait Compresses {}

impl Writes for Json {
    const FORMAT: Format = Format::Json;
}

#[cfg(feature = "msgpack")]
impl Writes for MsgPack {
    const FORMAT: Format = Format::MsgPack;
}

#[cfg(feature = "compress")]
impl Compresses for Lz4 {}

#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    #[cfg(feature = "msgpack")]
    MsgPack,
}

/// How a value is written into an entry.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    pub(crate) format: Format,
    pub(crate) packed: bool,
}

impl Codec {
    pub(crate) const JSON: Self = Self {
        format: Format::Json,
        packed: false,
    };

    /// The codec's mark in an entry's header; frozen.
    pub(crate) const fn mark(self) -> u8 {
        let mark = match self.format {
            Format::Json => b'j',
            #[cfg(feature = "msgpack")]
            Format::MsgPack => b'm',
        };
        match self.packed {
            true => mark.to_ascii_uppercase(),
            false => mark,
        }
    }

    /// What has this mark, if it is compiled in.
    pub(crate) const fn of_mark(mark: u8) -> Option<Self> {
        let format = match mark.to_ascii_lowercase() {
            b'j' => Format::Json,
            #[cfg(feature = "msgpack")]
            b'm' => Format::MsgPack,
            _ => return None,
        };
        let packed = mark.is_ascii_uppercase();
        Some(Self { format, packed })
    }

    /// A header and a payload as they are stored.
    pub(crate) fn pack(self, entry: Vec<u8>) -> Vec<u8> {
        match self.packed {
            true => packing::pack(entry),
            false => entry,
        }
    }

    /// What is added to a payload at most, in bytes.
    pub(crate) const fn extra(self) -> u64 {
        self.packed as u64
    }

    /// Appends the value to `out`, as far as there is room.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        out: &mut Draft,
    ) -> Result<(), Error> {
        match self.format {
            #[cfg(feature = "msgpack")]
            Format::MsgPack => rmp_serde::encode::write_named(out, value).map_err(|error| {
                use rmp_serde::encode::Error as Cause;
                match error {
                    Cause::InvalidValueWrite(_) => out.oversized(),
                    _ => Error::new(ErrorKind::Encode, "the value can't be written as msgpack"),
                }
            }),
            Format::Json => serde_json::to_writer(&mut *out, value).map_err(|error| {
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

    /// The same of an `Option`. A `Some` that would be read as `None` is not written: that of a
    /// `()`, of a `None`, of a number that is none.
    pub(crate) fn encode_option<T: Serialize>(
        self,
        value: Option<&T>,
        out: &mut Draft,
    ) -> Result<(), Error> {
        let begin = out.len();
        self.encode(&value, out)?;
        let nothing: &[u8] = match self.format {
            #[cfg(feature = "msgpack")]
            Format::MsgPack => b"\xc0",
            Format::Json => b"null",
        };
        match value.is_some() && out.since(begin) == nothing {
            true => Err(Error::new(
                ErrorKind::Encode,
                "the value is a `Some` that would be read as `None`",
            )),
            false => Ok(()),
        }
    }

    /// How many bytes the value takes when it is written, as far as it can be; `None` if more
    /// than `most`.
    pub(crate) fn written<T: Serialize + ?Sized>(self, value: &T, most: u64) -> Option<u32> {
        let mut count = Count { bytes: 0, most };
        match self.format {
            Format::Json => match serde_json::to_writer(&mut count, value) {
                Err(error) if error.is_io() => return None,
                _ => {}
            },
            #[cfg(feature = "msgpack")]
            Format::MsgPack => {
                let written = rmp_serde::encode::write_named(&mut count, value);
                if let Err(rmp_serde::encode::Error::InvalidValueWrite(_)) = written {
                    return None;
                }
            }
        }
        Some(u32::try_from(count.bytes).unwrap_or(u32::MAX))
    }

    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Error> {
        if self.packed {
            let payload = packing::unpack(bytes)?;
            return Self {
                packed: false,
                ..self
            }
            .decode(&payload);
        }
        match self.format {
            #[cfg(feature = "msgpack")]
            Format::MsgPack => rmp_serde::from_slice(bytes)
                .map_err(|_| Error::new(ErrorKind::Decode, "the stored msgpack is not this type")),
            Format::Json => serde_json::from_slice(bytes).map_err(|error| {
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
        let read = Codec::JSON.decode::<f64>(b"12933337076028707620283022");
        let value = read.expect("it is a number");
        let again = Codec::JSON.decode::<f64>(value.to_string().as_bytes());
        assert_eq!(again.ok(), Some(value));
        let exact = 1.293_333_707_602_870_7e25;
        let exact_again = Codec::JSON.decode::<f64>(b"1.2933337076028707e+25");
        assert_eq!(exact_again.ok(), Some(exact));
    }
}
