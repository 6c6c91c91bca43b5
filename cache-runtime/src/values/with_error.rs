use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::plain::{Maybe, MaybeShared, Owned, Shared};
use super::value_kind::{Erased, Storable, ValueKind, ValueVTable, known, sort_of};
use crate::entry::policy::ValueClass;
use crate::entry::schema::shape_of;
use crate::error::Error;

/// A whole `Result` with its error; `K` is the kind of its `Ok`.
pub struct WithError<K, E>(PhantomData<(K, E)>);

/// Encoding of the `Ok` of a whole `Result`: an `Arc` as its content.
pub trait Success: ValueKind<Value: Clone + Send + Sync + 'static> {
    /// The type that is decoded.
    type Plain: Storable;
    /// The type that is encoded.
    type View<'a>: Serialize
    where
        Self::Value: 'a;

    fn plain(value: &Self::Value) -> Self::View<'_>;
    fn of_plain(plain: Self::Plain) -> Self::Value;
    fn sort_of_value(_: &Self::Value) -> ValueClass {
        ValueClass::Value
    }
}

impl<T: Storable + Clone> Success for Owned<T> {
    type Plain = T;
    type View<'a> = &'a T;

    fn plain(value: &T) -> &T {
        value
    }
    fn of_plain(plain: T) -> T {
        plain
    }
}

impl<T: Storable + Clone> Success for Maybe<T> {
    type Plain = Option<T>;
    type View<'a> = &'a Option<T>;

    fn plain(value: &Option<T>) -> &Option<T> {
        value
    }
    fn of_plain(plain: Option<T>) -> Option<T> {
        plain
    }
    fn sort_of_value(value: &Option<T>) -> ValueClass {
        sort_of(value)
    }
}

impl<T: Storable> Success for Shared<T> {
    type Plain = T;
    type View<'a> = &'a T;

    fn plain(value: &Arc<T>) -> &T {
        value
    }
    fn of_plain(plain: T) -> Arc<T> {
        Arc::new(plain)
    }
}

impl<T: Storable> Success for MaybeShared<T> {
    type Plain = Option<T>;
    type View<'a> = Option<&'a T>;

    fn plain(value: &Option<Arc<T>>) -> Option<&T> {
        value.as_deref()
    }
    fn of_plain(plain: Option<T>) -> Option<Arc<T>> {
        plain.map(Arc::new)
    }
    fn sort_of_value(value: &Option<Arc<T>>) -> ValueClass {
        sort_of(value)
    }
}

impl<K: Success, E: Storable + Clone> ValueKind for WithError<K, E> {
    type Value = Result<K::Value, E>;
    type Held = Arc<Result<K::Value, E>>;

    fn hold(value: Self::Value) -> Self::Held {
        Arc::new(value)
    }
    fn give(held: Self::Held) -> Self::Value {
        Arc::unwrap_or_clone(held)
    }
    fn class(held: &Self::Held) -> ValueClass {
        match &**held {
            Ok(value) => K::sort_of_value(value),
            Err(_) => ValueClass::Failure,
        }
    }
    fn erase(held: Self::Held) -> Erased {
        held
    }
    fn restore(erased: Erased) -> Option<Self::Held> {
        erased.downcast().ok()
    }
    const FORM: &'static ValueVTable = &ValueVTable {
        is_own: false,
        is: |held| held.is::<Self::Value>(),
        shape: shape_of::<Result<K::Plain, E>>,
        encode: |held, codec, out| codec.encode(&plain::<K, E>(held)?, out),
        written: |held, codec, most| codec.written(&plain::<K, E>(held).ok()?, most),
        decode: |bytes, codec, most| {
            let plain = codec.decode::<Result<K::Plain, E>>(bytes, most)?;
            Ok(Arc::new(plain.map(K::of_plain)))
        },
    };
}

/// Returns the form of the value that is encoded.
fn plain<K: Success, E: 'static>(held: &Erased) -> Result<Result<K::View<'_>, &E>, Error> {
    let whole = known::<Result<K::Value, E>>(held)?;
    Ok(whole.as_ref().map(K::plain))
}
