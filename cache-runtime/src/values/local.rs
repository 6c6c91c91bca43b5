//! Values of `local` functions, which are kept in this process only: they must be shareable between
//! threads, and need no serde.

use std::marker::PhantomData;
use std::sync::Arc;

use super::returns::{MAYBE, OWN, OWNED, RESULT, Returns, WHOLE};
use super::value_kind::{Copied, Erased, ThreadSafe, ValueKind, ValueVTable, sort_of};
use crate::entry::policy::ValueClass;
use crate::error::{Error, ErrorKind};

/// A value that is held unencoded and classified by `S`.
pub struct Own<V, S>(PhantomData<(V, S)>);

/// Classifies a value for its lifetime.
pub trait Sorts<V> {
    fn class(value: &V) -> ValueClass;
}

/// Every value is an ordinary one.
pub struct Any;
/// A `None` has a class of its own.
pub struct Maybe;
/// An `Err` is a failure; `S` classifies the `Ok`.
pub struct Either<S>(PhantomData<S>);

impl<V> Sorts<V> for Any {
    fn class(_: &V) -> ValueClass {
        ValueClass::Value
    }
}

impl<T> Sorts<Option<T>> for Maybe {
    fn class(value: &Option<T>) -> ValueClass {
        sort_of(value)
    }
}

impl<T, E, S: Sorts<T>> Sorts<Result<T, E>> for Either<S> {
    fn class(value: &Result<T, E>) -> ValueClass {
        match value {
            Ok(value) => S::class(value),
            Err(_) => ValueClass::Failure,
        }
    }
}

impl<V: Clone + Send + Sync + 'static, S: Sorts<V>> ValueKind for Own<V, S> {
    type Value = V;
    type Held = Arc<V>;

    fn hold(value: V) -> Arc<V> {
        Arc::new(value)
    }
    fn give(held: Arc<V>) -> V {
        Arc::unwrap_or_clone(held)
    }
    fn class(held: &Arc<V>) -> ValueClass {
        S::class(held)
    }
    fn erase(held: Arc<V>) -> Erased {
        held
    }
    fn restore(erased: Erased) -> Option<Arc<V>> {
        erased.downcast().ok()
    }
    const FORM: &'static ValueVTable = &ValueVTable {
        is_own: true,
        is: |held| held.is::<V>(),
        // The value is never encoded, so its schema does not matter.
        shape: || 0,
        encode: |_, _, _| Err(never_written()),
        written: |_, _, _| Some(0),
        decode: |_, _, _| Err(never_written()),
    };
}

fn never_written() -> Error {
    Error::new(ErrorKind::Encode, "a `local` value is never written")
}

macro_rules! own {
    ($($kind:ident $value:ty => $sorts:ident;)+) => {$(
        impl<T> Returns<{ OWN + $kind }> for $value
        where
            T: Copied + ThreadSafe,
        {
            type Value = Self;
            type Kind = Own<Self, $sorts>;

            fn split(self) -> Result<Self, Self> {
                Ok(self)
            }
            fn join(value: Self) -> Self {
                value
            }
        }

        impl<T, E> Returns<{ OWN + RESULT + $kind }> for Result<$value, E>
        where
            T: Copied + ThreadSafe,
        {
            type Value = $value;
            type Kind = Own<$value, $sorts>;

            fn split(self) -> Result<$value, Self> {
                self.map_err(Err)
            }
            fn join(value: $value) -> Self {
                Ok(value)
            }
        }

        impl<T, E> Returns<{ OWN + WHOLE + $kind }> for Result<$value, E>
        where
            T: Copied + ThreadSafe,
            E: Copied + ThreadSafe,
        {
            type Value = Self;
            type Kind = Own<Self, Either<$sorts>>;

            fn split(self) -> Result<Self, Self> {
                Ok(self)
            }
            fn join(value: Self) -> Self {
                value
            }
        }
    )+};
}

own! {
    OWNED T => Any;
    MAYBE Option<T> => Maybe;
}
