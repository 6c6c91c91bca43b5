#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    #[cfg(feature = "msgpack")]
    MsgPack,
}

/// Encoding of values in an entry.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    pub(crate) format: Format,
    pub(crate) packed: bool,
}

impl Encoding {
    pub(crate) const JSON: Self = Self {
        format: Format::Json,
        packed: false,
    };

    /// Returns the codec's mark in an entry's header; frozen.
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

    /// Returns the encoding of this mark, if it is compiled in.
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
}
