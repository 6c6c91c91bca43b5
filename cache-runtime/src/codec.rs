use serde::Serialize;
use serde::de::DeserializeOwned;

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

    /// Appends the value to `out`.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Self::Json => serde_json::to_writer(out, value).map_err(|error| {
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
