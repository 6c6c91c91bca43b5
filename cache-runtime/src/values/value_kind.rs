use std::any::Any;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::codec::Encoding;
use crate::entry::entry_writer::EntryWriter;
use crate::entry::policy::ValueClass;
use crate::entry::schema::shape_of;
use crate::error::{Error, ErrorKind};

/// A shared value of any type.
pub type Erased = Arc<dyn Any + Send + Sync>;

/// A value that can be stored: encoded and decoded by serde, and shared between threads.
pub trait Storable: Written + ReadAgain + Send + Sync + 'static {}

impl<T: Written + ReadAgain + Send + Sync + 'static> Storable for T {}

/// A type that serde can serialize; a trait of its own for its diagnostic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be stored in the cache",
    label = "has no `serde::Serialize`",
    note = "derive `serde::Serialize` for it; of a `Result` only the `Ok` value is stored, and the error needs nothing"
)]
pub trait Written: Serialize {}

impl<T: Serialize> Written for T {}

/// A type that serde can deserialize without borrowing from the input.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from the cache",
    label = "has no `serde::Deserialize`",
    note = "derive `serde::Deserialize` for it, and let it hold no references: a value that is read is owned"
)]
pub trait ReadAgain: DeserializeOwned {}

impl<T: DeserializeOwned> ReadAgain for T {}

/// A type that threads can share.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be given to other threads",
    label = "is not `Send` and `Sync`",
    note = "callers on other threads are served it as well: hold an `Arc` in place of an `Rc`, a `Mutex` in place of a `RefCell`, and no references"
)]
pub trait ThreadSafe: Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + ?Sized + 'static> ThreadSafe for T {}

/// A type that can be cloned for each hit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be given to more than one caller",
    label = "has no `Clone`",
    note = "each hit gives a copy: derive `Clone` for it, or return an `Arc` of it"
)]
pub trait Copied: Clone {}

impl<T: Clone> Copied for T {}

/// Form of a value in the process and in an entry.
pub trait ValueKind {
    /// The type that the user sees.
    type Value;
    /// The type that flights and backends hold; cheap to clone.
    type Held: Clone + Send + Sync + 'static;

    fn hold(value: Self::Value) -> Self::Held;
    fn give(held: Self::Held) -> Self::Value;
    fn class(_: &Self::Held) -> ValueClass {
        ValueClass::Value
    }

    fn erase(held: Self::Held) -> Erased;
    fn restore(erased: Erased) -> Option<Self::Held>;
    /// Functions of the type, for code that does not know the type.
    const FORM: &'static ValueVTable;
}

/// Functions that recognize, encode and decode values of a type for code that does not know the
/// type.
pub struct ValueVTable {
    /// `true` if the value is kept in this process only and never encoded.
    pub(crate) is_own: bool,
    pub(crate) is: fn(&Erased) -> bool,
    pub(crate) shape: fn() -> u64,
    pub(crate) encode: fn(&Erased, Encoding, &mut EntryWriter) -> Result<(), Error>,
    /// Returns the encoded length of a value, in bytes; `None` if it exceeds the limit.
    pub(crate) written: fn(&Erased, Encoding, u64) -> Option<u32>,
    /// Decodes a payload whose uncompressed length, in bytes, does not exceed the limit.
    pub(crate) decode: fn(&[u8], Encoding, u64) -> Result<Erased, Error>,
}

impl ValueVTable {
    /// Returns the functions of a type that is held as it is encoded.
    pub(super) const fn of<T: Storable>() -> Self {
        Self {
            is_own: false,
            is: |held| held.is::<T>(),
            shape: shape_of::<T>,
            encode: |held, codec, out| codec.encode(known::<T>(held)?, out),
            written: |held, codec, most| codec.written(known::<T>(held).ok()?, most),
            decode: |bytes, codec, most| Ok(Arc::new(codec.decode::<T>(bytes, most)?)),
        }
    }
}

pub(super) fn known<T: 'static>(held: &Erased) -> Result<&T, Error> {
    held.downcast_ref().ok_or_else(|| {
        let text = "the value is of another type than its function returns";
        Error::new(ErrorKind::Encode, text)
    })
}

pub(super) fn sort_of<T>(value: &Option<T>) -> ValueClass {
    match value {
        Some(_) => ValueClass::Value,
        None => ValueClass::Nothing,
    }
}
