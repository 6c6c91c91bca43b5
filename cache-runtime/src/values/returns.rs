//! The parts of a return type: the stored value, its form in the process, and its conversion for
//! the caller.
//!
//! `Result`, `Option` and `Arc` are distinguished through types, so that aliases work. Stable Rust
//! can't choose between `impl Returns for Result<T, E>` and `impl Returns for T`, so the choice is
//! a const parameter, determined by [`kind!`](crate::kind): an inherent constant shadows a trait's.

use std::sync::Arc;

use serde::Serialize;

use super::plain::{Maybe, MaybeShared, Owned, Shared};
use super::slice::{MaybeSlice, Slice};
use super::value_kind::{Copied, ReadAgain, Storable, ThreadSafe, ValueKind, Written};
use super::with_error::WithError;

/// Return type of a function. `KIND` comes from [`kind!`](crate::kind).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be stored in the cache",
    label = "this return type can't be stored",
    note = "a cached value is `Clone`, written and read by serde, and shared between threads: derive `Clone`, `Serialize` and `Deserialize`, or return an `Arc` of it",
    note = "of a `Result` only the `Ok` value is stored; the error needs nothing, unless there is an `err_ttl`, which only a `Result` can have"
)]
pub trait Returns<const KIND: u8>: Sized {
    /// The stored type: the function's return type, or the `Ok` of a `Result`.
    type Value;
    #[doc(hidden)]
    type Kind: ValueKind<Value = Self::Value>;

    /// Returns the value as `Ok`; as `Err`, a result that is never stored.
    #[doc(hidden)]
    fn split(self) -> Result<Self::Value, Self>;
    #[doc(hidden)]
    fn join(value: Self::Value) -> Self;
}

pub(crate) const OWNED: u8 = 0;
pub(super) const MAYBE: u8 = 1;
pub(super) const SHARED: u8 = 2;
pub(super) const MAYBE_SHARED: u8 = 3;
pub(super) const SLICE: u8 = 4;
pub(super) const MAYBE_SLICE: u8 = 5;
pub(crate) const RESULT: u8 = 8;
/// A `Result` whose errors are stored, too.
pub(super) const WHOLE: u8 = 16;
/// Values that are kept in this process only.
pub(super) const OWN: u8 = 32;

macro_rules! returns {
    ($($kind:ident $value:ty => $shape:ident where [$($bounds:tt)+];)+) => {$(
                impl<T> Returns<$kind> for $value
        where
            $($bounds)+
        {
            type Value = $value;
            type Kind = $shape<T>;

            fn split(self) -> Result<$value, Self> {
                Ok(self)
            }
            fn join(value: $value) -> Self {
                value
            }
        }

                impl<T, E> Returns<{ RESULT + $kind }> for Result<$value, E>
        where
            $($bounds)+
        {
            type Value = $value;
            type Kind = $shape<T>;

            fn split(self) -> Result<$value, Self> {
                self.map_err(Err)
            }
            fn join(value: $value) -> Self {
                Ok(value)
            }
        }

                impl<T, E> Returns<{ WHOLE + $kind }> for Result<$value, E>
        where
            E: Written + ReadAgain + ThreadSafe + Copied,
            $($bounds)+
        {
            type Value = Self;
            type Kind = WithError<$shape<T>, E>;

            fn split(self) -> Result<Self, Self> {
                Ok(self)
            }
            fn join(value: Self) -> Self {
                value
            }
        }
    )+};
}

// One trait per bound, so that the compiler names the missing derive.
returns! {
    OWNED T => Owned where [T: Written + ReadAgain + ThreadSafe + Copied];
    MAYBE Option<T> => Maybe where [T: Written + ReadAgain + ThreadSafe + Copied];
    SHARED Arc<T> => Shared where [T: Written + ReadAgain + ThreadSafe];
    MAYBE_SHARED Option<Arc<T>> => MaybeShared
        where [T: Written + ReadAgain + ThreadSafe];
    SLICE Arc<T> => Slice
        where [T: Serialize + Send + Sync + ?Sized + 'static, Box<T>: Storable];
    MAYBE_SLICE Option<Arc<T>> => MaybeSlice
        where [T: Serialize + Send + Sync + ?Sized + 'static, Box<T>: Storable];
}

#[cfg(test)]
#[allow(
    unused_imports,
    reason = "a macro of ours brings a fallback that not every use needs"
)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::entry::encoding::Encoding;
    use crate::entry::entry_writer::EntryWriter;
    use crate::entry::policy::ValueClass;
    use crate::macro_support::{kind, kind_of};
    use crate::values::probe::{own, whole};
    use crate::values::value_kind::Erased;

    type Aliased<T> = std::io::Result<T>;

    #[test]
    fn every_kind_is_distinguished_through_its_type() {
        assert_eq!(kind!(u64), OWNED);
        assert_eq!(kind!(Option<u64>), MAYBE);
        assert_eq!(kind!(Arc<str>), SLICE);
        assert_eq!(kind!(Option<Arc<[u8]>>), MAYBE_SLICE);
        assert_eq!(kind!(Aliased<Arc<Path>>), RESULT + SLICE);
        assert_eq!(kind!(Aliased<Option<Arc<str>>>), RESULT + MAYBE_SLICE);
        assert_eq!(kind!(Arc<u64>), SHARED);
        assert_eq!(kind!(Option<Arc<u64>>), MAYBE_SHARED);
        assert_eq!(kind!(Result<u64, ()>), RESULT + OWNED);
        assert_eq!(kind!(Aliased<Option<Vec<u8>>>), RESULT + MAYBE);
        assert_eq!(kind!(Aliased<Arc<u64>>), RESULT + SHARED);
        assert_eq!(kind!(Aliased<Option<Arc<u64>>>), RESULT + MAYBE_SHARED);
    }

    fn returns<R: Returns<KIND>, const KIND: u8>(value: R) -> Option<R> {
        let vtable = R::Kind::FORM;
        let held = R::Kind::erase(R::Kind::hold(value.split().ok()?));
        let mut draft = EntryWriter::new(Vec::new(), u64::MAX);
        (vtable.encode)(&held, Encoding::JSON, &mut draft).ok()?;
        let again = (vtable.decode)(&draft.finish(), Encoding::JSON, u64::MAX).ok()?;
        assert!((vtable.is)(&held) && (vtable.is)(&again));
        R::Kind::restore(again).map(|held| R::join(R::Kind::give(held)))
    }

    #[test]
    fn errors_are_stored_beside_values_of_every_kind() {
        type Of<T> = Result<T, String>;
        const OWNED: u8 = whole(kind!(Of<u64>));
        const MAYBE: u8 = whole(kind!(Of<Option<u64>>));
        const SHARED: u8 = whole(kind!(Of<Arc<u64>>));
        const MAYBE_SHARED: u8 = whole(kind!(Of<Option<Arc<u64>>>));
        let failed = || "down".to_owned();
        assert_eq!(returns::<Of<u64>, OWNED>(Ok(7)), Some(Ok(7)));
        assert_eq!(
            returns::<Of<u64>, OWNED>(Err(failed())),
            Some(Err(failed()))
        );
        assert_eq!(
            returns::<Of<Arc<u64>>, SHARED>(Ok(Arc::new(7))),
            Some(Ok(Arc::new(7)))
        );
        assert_eq!(
            returns::<Of<Option<Arc<u64>>>, MAYBE_SHARED>(Ok(None)),
            Some(Ok(None))
        );
        const SLICE: u8 = whole(kind!(Of<Arc<str>>));
        const MAYBE_SLICE: u8 = whole(kind!(Of<Option<Arc<str>>>));
        assert_eq!(
            returns::<Of<Arc<str>>, SLICE>(Ok("a".into())),
            Some(Ok("a".into()))
        );
        assert_eq!(
            returns::<Of<Option<Arc<str>>>, MAYBE_SLICE>(Ok(None)),
            Some(Ok(None))
        );
        assert_eq!(
            returns::<Of<Option<Arc<str>>>, MAYBE_SLICE>(Err(failed())),
            Some(Err(failed()))
        );
        let class = |value| <Of<Option<u64>> as Returns<MAYBE>>::Kind::class(&Arc::new(value));
        assert_eq!(class(Ok(Some(7))), ValueClass::Value);
        assert_eq!(class(Ok(None)), ValueClass::Nothing);
        assert_eq!(class(Err(failed())), ValueClass::Failure);
    }

    #[test]
    fn what_would_be_read_as_nothing_is_not_written() {
        assert_eq!(returns::<_, { kind!(Option<()>) }>(Some(())), None);
        assert_eq!(returns::<_, { kind!(Option<()>) }>(None::<()>), Some(None));
        assert_eq!(
            returns::<_, { kind!(Option<Option<u64>>) }>(Some(None::<u64>)),
            None
        );
        assert_eq!(returns::<_, { kind!(Option<f64>) }>(Some(f64::NAN)), None);
        assert_eq!(
            returns::<_, { kind!(Option<Arc<()>>) }>(Some(Arc::new(()))),
            None
        );
    }

    #[test]
    fn a_value_survives_being_held_written_and_given_back() {
        assert_eq!(returns::<_, { kind!(u64) }>(7u64), Some(7));
        assert_eq!(
            returns::<_, { kind!(Option<u64>) }>(None::<u64>),
            Some(None)
        );
        assert_eq!(
            returns::<_, { kind!(Arc<u64>) }>(Arc::new(7u64)),
            Some(Arc::new(7))
        );
        assert_eq!(
            returns::<_, { kind!(Arc<str>) }>(Arc::<str>::from("é")),
            Some("é".into())
        );
        assert_eq!(
            returns::<_, { kind!(Option<Arc<[u64]>>) }>(Some(Arc::<[u64]>::from([7]))),
            Some(Some([7].into()))
        );
        assert_eq!(
            returns::<Option<Arc<u64>>, { kind!(Option<Arc<u64>>) }>(Some(Arc::new(7))),
            Some(Some(Arc::new(7)))
        );
        assert_eq!(
            returns::<Result<u64, ()>, { kind!(Result<u64, ()>) }>(Ok(7)),
            Some(Ok(7))
        );
        assert_eq!(
            returns::<Result<u64, ()>, { kind!(Result<u64, ()>) }>(Err(())),
            None
        );
    }
}
