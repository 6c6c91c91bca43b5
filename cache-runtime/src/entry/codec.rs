//! Codecs and compression of stored values.

mod reason;

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::compression;
pub use crate::entry::encoding::{Encoding, Format};
use crate::entry::entry_writer::EntryWriter;
use crate::entry::lossless::{Loss, Lossless};
use crate::error::{Error, ErrorKind};
use crate::key;

use reason::reason;

/// Maximum nesting when MessagePack is read: more than twice the maximum when it is written,
/// because a variant takes two levels.
#[cfg(feature = "msgpack")]
const DEEPEST_READ: usize = 300;

/// JSON, by serde_json: readable in `redis-cli`.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// MessagePack (<https://msgpack.org>), by rmp-serde, with field names: smaller than JSON, and
/// faster for numbers and bytes. Needs the feature `msgpack`.
#[derive(Clone, Copy, Debug)]
pub struct MsgPack;

/// LZ4's block format, by lz4_flex, for values of at least 1 KiB. Needs the feature `compress`.
#[derive(Clone, Copy, Debug)]
pub struct Lz4;

/// A codec that this build contains. Implemented by [`Json`] and, with the feature `msgpack`, by
/// [`MsgPack`]; sealed, because an entry names its codec in its header.
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` is behind a feature of recached",
    label = "not compiled in",
    note = "in Cargo.toml: recached = {{ version = \"…\", features = [\"msgpack\"] }}"
)]
pub trait Codec: sealed::Sealed {
    #[doc(hidden)]
    const FORMAT: Format;
}

/// A compression that this build contains. Implemented by [`Lz4`] with the feature `compress`;
/// sealed.
#[diagnostic::on_unimplemented(
    message = "the compression `{Self}` is behind a feature of recached",
    label = "not compiled in",
    note = "in Cargo.toml: recached = {{ version = \"…\", features = [\"compress\"] }}"
)]
pub trait Compression: sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Json {}
    impl Sealed for super::MsgPack {}
    impl Sealed for super::Lz4 {}
}

impl Codec for Json {
    const FORMAT: Format = Format::Json;
}

#[cfg(feature = "msgpack")]
impl Codec for MsgPack {
    const FORMAT: Format = Format::MsgPack;
}

#[cfg(feature = "compress")]
impl Compression for Lz4 {}

impl Encoding {
    /// Returns a header and a payload in their stored form.
    pub(crate) fn pack(self, entry: Vec<u8>) -> Vec<u8> {
        match self.packed {
            true => compression::pack(entry),
            false => entry,
        }
    }

    /// Returns the largest overhead of a payload, in bytes.
    pub(crate) const fn extra(self) -> u64 {
        self.packed as u64
    }

    /// Appends the value to `out`.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Oversized` if the value does not fit into `out`, and `ErrorKind::Encode`
    /// if it can't be encoded.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        out: &mut EntryWriter,
    ) -> Result<(), Error> {
        let refused = Cell::new(None);
        let value = &Lossless::new(value, self.format == Format::Json, &refused);
        match self.format {
            #[cfg(feature = "msgpack")]
            Format::MsgPack => rmp_serde::encode::write_named(out, value).map_err(|error| {
                use rmp_serde::encode::Error as Cause;
                match error {
                    Cause::InvalidValueWrite(_) => out.oversized(),
                    _ if refused.get().is_some() => refusal(refused.get()),
                    _ => Error::new(ErrorKind::Encode, "the value can't be written as msgpack"),
                }
            }),
            Format::Json => serde_json::to_writer(&mut *out, value).map_err(|error| {
                if error.is_io() {
                    return out.oversized();
                }
                if refused.get().is_some() {
                    return refusal(refused.get());
                }
                if error.to_string().starts_with("key must be a string") {
                    let text = "json writes maps with text keys only: use `codec = \"msgpack\"`, or a list of pairs";
                    return Error::new(ErrorKind::Encode, text);
                }
                // Only the category, because serde_json's message may quote the value.
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

    /// Returns the encoded length of the value, in bytes; `None` if it is greater than `most`. A
    /// value that can't be encoded, but is held in this process, counts with its length in a key.
    pub(crate) fn written<T: Serialize + ?Sized>(self, value: &T, most: u64) -> Option<u32> {
        let mut count = Count { bytes: 0, most };
        let whole = match self.format {
            Format::Json => match serde_json::to_writer(&mut count, value) {
                Err(error) if error.is_io() => return None,
                written => written.is_ok(),
            },
            #[cfg(feature = "msgpack")]
            Format::MsgPack => match rmp_serde::encode::write_named(&mut count, value) {
                Err(rmp_serde::encode::Error::InvalidValueWrite(_)) => return None,
                written => written.is_ok(),
            },
        };
        let bytes = match whole {
            true => count.bytes,
            false => count.bytes.max(key::length(value)),
        };
        (bytes <= most).then(|| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Decodes a payload of at most `most` bytes uncompressed.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Decode` if the payload is not a value of this type.
    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8], most: u64) -> Result<T, Error> {
        if self.packed {
            let payload = compression::unpack(bytes, most)?;
            return Self {
                packed: false,
                ..self
            }
            .decode(&payload, most);
        }
        match self.format {
            #[cfg(feature = "msgpack")]
            Format::MsgPack => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
                reader.set_max_depth(DEEPEST_READ);
                T::deserialize(&mut reader).map_err(|error| {
                    use rmp_serde::decode::Error as Cause;
                    // Only the kind, because the message may quote the value.
                    let refusal = match &error {
                        Cause::Syntax(text) => reason(text),
                        _ => None,
                    };
                    let why = match error {
                        Cause::InvalidMarkerRead(_) | Cause::InvalidDataRead(_) => {
                            "it ends too early"
                        }
                        Cause::TypeMismatch(_) => "it holds something of another type",
                        Cause::OutOfRange => "a number is out of range",
                        Cause::LengthMismatch(_) => "a list has another length",
                        Cause::Utf8Error(_) => "a text is not valid UTF-8",
                        Cause::DepthLimitExceeded => "it is nested too deep",
                        _ => "its `Deserialize` refuses",
                    };
                    let why = refusal.as_deref().unwrap_or(why);
                    let text = format!("the stored msgpack is not this type: {why}");
                    Error::new(ErrorKind::Decode, text)
                })
            }
            Format::Json => serde_json::from_slice(bytes).map_err(|error| {
                let why = reason(&error.to_string());
                let why = why.unwrap_or_else(|| format!("{:?} error", error.classify()));
                let text = format!(
                    "the stored json is not this type: {why} at column {}",
                    error.column()
                );
                Error::new(ErrorKind::Decode, text)
            }),
        }
    }
}

fn refusal(why: Option<Loss>) -> Error {
    let text = match why {
        Some(Loss::Depth) => {
            "the value is nested more than 127 levels deep, and could not be read back"
        }
        _ => {
            "the value would be read as another: a `Some` of `None` or `()` is written as `None`, and json has neither NaN nor infinities"
        }
    };
    Error::new(ErrorKind::Encode, text)
}

/// Runs the user's `Serialize` or `Deserialize`. A panic is returned as an error: the entry is
/// lost, and the function's result is not.
pub(crate) fn guarded<T>(
    kind: ErrorKind,
    run: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let run = std::panic::AssertUnwindSafe(run);
    std::panic::catch_unwind(run).unwrap_or_else(|_| {
        let text = match kind {
            ErrorKind::Decode => "the value's `Deserialize` has panicked",
            _ => "the value's `Serialize` has panicked",
        };
        Err(Error::new(kind, text))
    })
}

/// Writer that counts bytes and discards them.
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

    /// Found by a fuzzer: without serde_json's `float_roundtrip`, the number ends in 9.
    #[test]
    fn a_map_whose_keys_are_no_texts_is_refused_in_json_with_its_remedy() {
        use std::collections::BTreeMap;
        let map = BTreeMap::from([((1, 2), 3)]);
        let mut draft = EntryWriter::new(Vec::new(), u64::MAX);
        let refused = Encoding::JSON
            .encode(&map, &mut draft)
            .expect_err("it has no texts");
        assert!(
            refused
                .to_string()
                .contains("json writes maps with text keys only: use `codec = \"msgpack\"`"),
            "{refused}"
        );
        // Numbers and unit variants are written as texts.
        assert!(
            Encoding::JSON
                .encode(&BTreeMap::from([(1, 2)]), &mut draft)
                .is_ok()
        );
    }

    #[test]
    fn a_float_is_read_as_it_was_written() {
        let read = Encoding::JSON.decode::<f64>(b"12933337076028707620283022", 99);
        let value = read.expect("it is a number");
        let again = Encoding::JSON.decode::<f64>(value.to_string().as_bytes(), 99);
        assert_eq!(again.ok(), Some(value));
        let exact = 1.293_333_707_602_870_7e25;
        let exact_again = Encoding::JSON.decode::<f64>(b"1.2933337076028707e+25", 99);
        assert_eq!(exact_again.ok(), Some(exact));
    }

    fn back<T: Serialize + DeserializeOwned>(codec: Encoding, value: &T) -> Result<T, ErrorKind> {
        let mut draft = EntryWriter::new(Vec::new(), u64::MAX);
        let kind = |error: Error| error.kind();
        codec.encode(value, &mut draft).map_err(kind)?;
        codec.decode(&draft.finish(), u64::MAX).map_err(kind)
    }

    /// A value with this many levels of lists.
    struct Nested(usize);

    impl Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => to.serialize_u8(7),
                deep => to.collect_seq([Nested(deep - 1)]),
            }
        }
    }

    #[test]
    fn what_is_too_deep_to_be_read_is_not_written() {
        for mark in b"jm" {
            let Some(codec) = Encoding::of_mark(*mark) else {
                continue;
            };
            for (levels, fits) in [(1, true), (127, true), (128, false), (10_000, false)] {
                let mut draft = EntryWriter::new(Vec::new(), u64::MAX);
                let written = codec.encode(&Nested(levels), &mut draft);
                assert_eq!(written.is_ok(), fits, "{levels}");
                if fits {
                    let read = codec.decode::<serde_json::Value>(&draft.finish(), u64::MAX);
                    assert!(read.is_ok(), "{levels}: {read:?}");
                }
            }
            // Input as another program may have written it.
            let byte = if *mark == b'j' { b'[' } else { 0x91 };
            let read = codec.decode::<serde_json::Value>(&vec![byte; 100_000], u64::MAX);
            assert!(read.is_err());
            let ignored =
                codec.decode::<Vec<serde::de::IgnoredAny>>(&vec![byte; 100_000], u64::MAX);
            assert!(ignored.is_err());
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
    enum Level {
        Of(Box<Level>),
        Pair(u8, Box<Level>),
        ListedPrimaries { level: Box<Level> },
        End,
    }

    #[test]
    fn variants_at_the_deepest_level_are_read_back() {
        type Wrap = fn(Box<Level>) -> Level;
        let wraps: [Wrap; 3] = [
            Level::Of,
            |level| Level::Pair(1, level),
            |level| Level::ListedPrimaries { level },
        ];
        for mark in b"jm" {
            let Some(codec) = Encoding::of_mark(*mark) else {
                continue;
            };
            for wrap in wraps {
                let mut level = Level::End;
                for levels in 1..140 {
                    level = wrap(Box::new(level));
                    match back(codec, &level) {
                        Ok(read) => assert_eq!(read, level),
                        Err(kind) => assert_eq!(kind, ErrorKind::Encode, "{levels}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_some_holds_is_looked_at_through_every_wrapper() {
        #[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Newtype<T>(T);
        for mark in b"jm" {
            let Some(codec) = Encoding::of_mark(*mark) else {
                continue;
            };
            let refused = Err(ErrorKind::Encode);
            assert_eq!(back(codec, &Some(Newtype(None::<u8>))), refused);
            assert_eq!(
                back(codec, &Some(Newtype(Newtype(None::<u8>)))).err(),
                refused.clone().err()
            );
            assert_eq!(
                back(codec, &Some(Box::new(None::<u8>))).err(),
                refused.clone().err()
            );
            assert_eq!(
                back(codec, &Some(Newtype(Some(None::<u8>)))).err(),
                refused.err()
            );
            assert_eq!(back(codec, &Newtype(None::<u8>)), Ok(Newtype(None)));
            assert_eq!(back(codec, &Some(vec![None::<u8>])), Ok(Some(vec![None])));
            assert_eq!(
                back(codec, &Some(Newtype(Some(1u8)))),
                Ok(Some(Newtype(Some(1))))
            );
            assert_eq!(back(codec, &Some((None::<u8>, ()))), Ok(Some((None, ()))));
            assert_eq!(
                back(codec, &Some(Ok::<_, u8>(None::<u8>))),
                Ok(Some(Ok(None)))
            );
        }
    }

    #[test]
    fn what_would_be_read_as_another_is_not_written() {
        #[derive(Serialize, serde::Deserialize)]
        struct Row {
            note: Option<Option<u8>>,
        }
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Unit;
        assert_eq!(back(Encoding::JSON, &Some(Unit)), Err(ErrorKind::Encode));
        if let Some(codec) = Encoding::of_mark(b'm') {
            assert_eq!(back(codec, &Some(Unit)), Ok(Some(Unit)));
        }
        for mark in b"jm" {
            let Some(codec) = Encoding::of_mark(*mark) else {
                continue;
            };
            let refused = Err(ErrorKind::Encode);
            assert_eq!(back(codec, &Some(None::<u8>)), refused);
            assert_eq!(back(codec, &Some(())), Err(ErrorKind::Encode));
            assert_eq!(
                back(codec, &vec![Some(Some(None::<u8>))]).err(),
                refused.err()
            );
            let null = Some(serde_json::Value::Null);
            assert_eq!(back(codec, &null), Err(ErrorKind::Encode));
            let row = Row { note: Some(None) };
            assert_eq!(back(codec, &row).err(), Some(ErrorKind::Encode));
            for good in [None, Some(Some(1))] {
                assert_eq!(back(codec, &good), Ok(good));
                let row = back(codec, &Row { note: good });
                assert_eq!(row.map(|row| row.note), Ok(good));
            }
            let good = Some(vec![(), ()]);
            assert_eq!(back(codec, &good), Ok(good));
            let good = Some(Ok::<(), u8>(()));
            assert_eq!(back(codec, &good), Ok(good));
        }
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(back(Encoding::JSON, &Some(float)), Err(ErrorKind::Encode));
            assert_eq!(back(Encoding::JSON, &float), Err(ErrorKind::Encode));
            let Some(codec) = Encoding::of_mark(b'm') else {
                continue;
            };
            let read = back(codec, &Some(float)).expect("it is written");
            assert_eq!(read.map(f64::to_bits), Some(float.to_bits()));
        }
    }
}
