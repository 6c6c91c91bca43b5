use std::sync::Arc;

use crate::entry::codec::guarded;
use crate::entry::header::{EntryHeader, Lifetimes};
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::{GenerationStamp, HalfStamp};
use crate::values::tagged_value::TaggedValue;
use crate::values::value_kind::{Erased, ValueVTable};

/// An entry in the form that its backend holds.
#[derive(Clone)]
pub(crate) enum StoredEntry {
    Encoded(Vec<u8>),
    TypedValue(TypedValue),
}

/// A value in this process with stale windows.
pub(crate) struct AgedValue {
    pub(crate) value: Erased,
    pub(crate) span: Lifetimes,
}

/// A value in this process.
#[derive(Clone)]
pub(crate) struct TypedValue {
    /// The value, possibly inside an [`AgedValue`] or a [`TaggedValue`].
    pub(crate) value: Erased,
    pub(crate) stamp: HalfStamp,
    /// Size of the encoded value, in bytes.
    pub(crate) bytes: u32,
}

impl StoredEntry {
    /// Returns `true` if the entry belongs to these generations.
    pub(crate) fn is_of(&self, stamp: GenerationStamp) -> bool {
        match self {
            Self::Encoded(bytes) => {
                EntryHeader::of(bytes).is_some_and(|header| header.stamp() == stamp)
            }
            Self::TypedValue(typed) => typed.stamp == stamp.half(),
        }
    }

    /// Returns the size of the entry, in bytes.
    pub(crate) fn bytes(&self) -> u32 {
        match self {
            Self::Encoded(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            Self::TypedValue(typed) => typed.bytes,
        }
    }

    /// Returns the value, if the entry has the expected `header`. `most` is the maximum size of the
    /// uncompressed payload, in bytes.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Decode` if the entry has this header but cannot be decoded.
    pub(crate) fn value(
        &self,
        vtable: &ValueVTable,
        header: &EntryHeader,
        most: u64,
    ) -> Result<Option<Erased>, Error> {
        match self {
            Self::Encoded(bytes) => {
                let Some((payload, codec)) = header.payload(bytes) else {
                    return Ok(None);
                };
                guarded(ErrorKind::Decode, || (vtable.decode)(payload, codec, most)).map(Some)
            }
            Self::TypedValue(typed) if typed.stamp == header.stamp().half() => {
                let value = match typed.aged() {
                    Some(aged) => &aged.value,
                    None => typed.bare(),
                };
                Ok(Some(Arc::clone(value)).filter(vtable.is))
            }
            Self::TypedValue(_) => Ok(None),
        }
    }

    /// Returns the lifetimes of the entry.
    pub(crate) fn span(&self) -> Lifetimes {
        match self {
            Self::Encoded(bytes) => Lifetimes::of(bytes),
            Self::TypedValue(typed) => typed.aged().map(|aged| aged.span).unwrap_or_default(),
        }
    }
}

impl TypedValue {
    /// Returns the value without the validity of its tags, because the reader knows the
    /// generations.
    fn bare(&self) -> &Erased {
        let sealed = self.value.downcast_ref::<TaggedValue>();
        sealed.map_or(&self.value, |sealed| &sealed.value)
    }

    fn aged(&self) -> Option<&AgedValue> {
        self.bare().downcast_ref()
    }
}
