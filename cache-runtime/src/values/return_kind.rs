//! What a function returns, taken apart: what of it is stored, how it is held in the process,
//! how it goes back to the caller.
//!
//! `Result`, `Option` and `Arc` are told apart through types, so that aliases work. Stable Rust
//! can't choose between `impl Returns for Result<T, E>` and `impl Returns for T`, so the choice
//! is a const parameter, found by [`kind!`](crate::kind): an inherent constant shadows a
//! trait's.

mod own;
mod slice;
mod with_error;

use std::any::Any;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::codec::Encoding;
use crate::entry::entry_writer::EntryWriter;
use crate::entry::policy::ValueClass;
use crate::entry::schema::shape_of;
use crate::error::{Error, ErrorKind};
use slice::{MaybeSlice, Slice};
use with_error::WithError;

/// A value of any type, shared.
pub type Erased = Arc<dyn Any + Send + Sync>;

/// Everything that can be stored: written and read by serde, shared between threads.
pub trait Storable: Written + ReadAgain + Send + Sync + 'static {}

impl<T: Written + ReadAgain + Send + Sync + 'static> Storable for T {}

/// All that serde can write, under a name of its own, for what the compiler says of others.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be stored in the cache",
    label = "has no `serde::Serialize`",
    note = "derive `serde::Serialize` for it; of a `Result` only the `Ok` value is stored, and the error needs nothing"
)]
pub trait Written: Serialize {}

impl<T: Serialize> Written for T {}

/// All that serde can read without borrowing from what is read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be read from the cache",
    label = "has no `serde::Deserialize`",
    note = "derive `serde::Deserialize` for it, and let it hold no references: what is read belongs to nobody else"
)]
pub trait ReadAgain: DeserializeOwned {}

impl<T: DeserializeOwned> ReadAgain for T {}

/// What threads can have in common.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be given to other threads",
    label = "is not `Send` and `Sync`",
    note = "callers on other threads are served it as well: hold an `Arc` in place of an `Rc`, a `Mutex` in place of a `RefCell`, and no references"
)]
pub trait ThreadSafe: Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + ?Sized + 'static> ThreadSafe for T {}

/// What each hit can be given.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be given to more than one caller",
    label = "has no `Clone`",
    note = "each hit gives a copy: derive `Clone` for it, or return an `Arc` of it"
)]
pub trait Copied: Clone {}

impl<T: Clone> Copied for T {}

/// How a value is held in the process, and how it is written.
pub trait ValueKind {
    /// What the user sees.
    type Value;
    /// What flights and stores hold: cheap to clone.
    type Held: Clone + Send + Sync + 'static;

    fn hold(value: Self::Value) -> Self::Held;
    fn give(held: Self::Held) -> Self::Value;
    fn sort(_: &Self::Held) -> ValueClass {
        ValueClass::Value
    }

    fn erase(held: Self::Held) -> Erased;
    fn restore(erased: Erased) -> Option<Self::Held>;
    /// What is known of it where its type is not.
    const FORM: &'static ValueVTable;
}

/// How values of some type are told, written and read by those who do not know the type.
pub struct ValueVTable {
    /// It is kept in this process only, and never written.
    pub(crate) is_own: bool,
    pub(crate) is: fn(&Erased) -> bool,
    pub(crate) shape: fn() -> u64,
    pub(crate) encode: fn(&Erased, Encoding, &mut EntryWriter) -> Result<(), Error>,
    /// How many bytes it takes when it is written, if no more than so many.
    pub(crate) written: fn(&Erased, Encoding, u64) -> Option<u32>,
    /// A payload of no more than so many bytes.
    pub(crate) decode: fn(&[u8], Encoding, u64) -> Result<Erased, Error>,
}

impl ValueVTable {
    /// Of a type that is held as it is written.
    const fn of<T: Storable>() -> Self {
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

fn known<T: 'static>(held: &Erased) -> Result<&T, Error> {
    held.downcast_ref().ok_or_else(|| {
        let text = "the value is of another type than its function returns";
        Error::new(ErrorKind::Encode, text)
    })
}

/// What a function returns. `KIND` comes from [`kind!`](crate::kind).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be stored in the cache",
    label = "this return type can't be stored",
    note = "a cached value is `Clone`, written and read by serde, and shared between threads: derive `Clone`, `Serialize` and `Deserialize`, or return an `Arc` of it",
    note = "of a `Result` only the `Ok` value is stored; the error needs nothing, unless there is an `err_ttl`, which only a `Result` can have"
)]
pub trait Returns<const KIND: u8>: Sized {
    /// What is stored: the function's return type, or the `Ok` of a `Result`.
    type Value;
    #[doc(hidden)]
    type Kind: ValueKind<Value = Self::Value>;

    /// The value, or what is never stored.
    #[doc(hidden)]
    fn split(self) -> Result<Self::Value, Self>;
    #[doc(hidden)]
    fn join(value: Self::Value) -> Self;
}

/// A plain `T`: held in an `Arc`, cloned on a hit.
pub struct Owned<T>(PhantomData<T>);
/// An `Option<T>`, which can have a lifetime of its own for `None`.
pub struct Maybe<T>(PhantomData<T>);
/// An `Arc<T>`: hits share it.
pub struct Shared<T>(PhantomData<T>);
/// An `Option<Arc<T>>`.
pub struct MaybeShared<T>(PhantomData<T>);

fn sort_of<T>(value: &Option<T>) -> ValueClass {
    match value {
        Some(_) => ValueClass::Value,
        None => ValueClass::Nothing,
    }
}

impl<T: Storable + Clone> ValueKind for Owned<T> {
    type Value = T;
    type Held = Arc<T>;

    fn hold(value: T) -> Arc<T> {
        Arc::new(value)
    }
    fn give(held: Arc<T>) -> T {
        Arc::unwrap_or_clone(held)
    }
    fn erase(held: Arc<T>) -> Erased {
        held
    }
    fn restore(erased: Erased) -> Option<Arc<T>> {
        erased.downcast().ok()
    }
    const FORM: &'static ValueVTable = &ValueVTable::of::<T>();
}

impl<T: Storable + Clone> ValueKind for Maybe<T> {
    type Value = Option<T>;
    type Held = Arc<Option<T>>;

    fn hold(value: Option<T>) -> Arc<Option<T>> {
        Arc::new(value)
    }
    fn give(held: Arc<Option<T>>) -> Option<T> {
        Arc::unwrap_or_clone(held)
    }
    fn sort(held: &Arc<Option<T>>) -> ValueClass {
        sort_of(held)
    }
    fn erase(held: Arc<Option<T>>) -> Erased {
        held
    }
    fn restore(erased: Erased) -> Option<Arc<Option<T>>> {
        erased.downcast().ok()
    }
    const FORM: &'static ValueVTable = &ValueVTable::of::<Option<T>>();
}

impl<T: Storable> ValueKind for Shared<T> {
    type Value = Arc<T>;
    type Held = Arc<T>;

    fn hold(value: Arc<T>) -> Arc<T> {
        value
    }
    fn give(held: Arc<T>) -> Arc<T> {
        held
    }
    fn erase(held: Arc<T>) -> Erased {
        held
    }
    fn restore(erased: Erased) -> Option<Arc<T>> {
        erased.downcast().ok()
    }
    const FORM: &'static ValueVTable = &ValueVTable::of::<T>();
}

impl<T: Storable> ValueKind for MaybeShared<T> {
    type Value = Option<Arc<T>>;
    type Held = Option<Arc<T>>;

    fn hold(value: Option<Arc<T>>) -> Option<Arc<T>> {
        value
    }
    fn give(held: Option<Arc<T>>) -> Option<Arc<T>> {
        held
    }
    fn sort(held: &Option<Arc<T>>) -> ValueClass {
        sort_of(held)
    }
    fn erase(held: Option<Arc<T>>) -> Erased {
        Arc::new(held)
    }
    fn restore(erased: Erased) -> Option<Option<Arc<T>>> {
        erased.downcast().ok().map(Arc::unwrap_or_clone)
    }
    const FORM: &'static ValueVTable = &ValueVTable {
        is_own: false,
        is: |held| held.is::<Option<Arc<T>>>(),
        shape: shape_of::<Option<T>>,
        encode: |held, codec, out| codec.encode(&known::<Option<Arc<T>>>(held)?.as_deref(), out),
        written: |held, codec, most| {
            codec.written(&known::<Option<Arc<T>>>(held).ok()?.as_deref(), most)
        },
        decode: |bytes, codec, most| {
            Ok(Arc::new(
                codec.decode::<Option<T>>(bytes, most)?.map(Arc::new),
            ))
        },
    };
}

pub(crate) const OWNED: u8 = 0;
const MAYBE: u8 = 1;
const SHARED: u8 = 2;
const MAYBE_SHARED: u8 = 3;
const SLICE: u8 = 4;
const MAYBE_SLICE: u8 = 5;
pub(crate) const RESULT: u8 = 8;
/// A `Result` whose errors are stored, too.
const WHOLE: u8 = 16;
/// Values that are kept in this process only.
const OWN: u8 = 32;

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

// Each bound by itself: of what is missing, the compiler then names the derive.
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

/// Carries a type whose outermost constructor is asked for.
pub struct Probe<T: ?Sized>(PhantomData<T>);

/// The head of every type that is none of these; shadowed where it is.
pub trait AnyHead {
    const RECACHED_HEAD: u8 = 0;
    fn recached_is_no_result() {}
}
impl<T: ?Sized> AnyHead for Probe<T> {}
impl<T> Probe<Option<T>> {
    pub const RECACHED_HEAD: u8 = 1;
}
impl<T> Probe<Arc<T>> {
    pub const RECACHED_HEAD: u8 = 2;
}
impl<T, E> Probe<Result<T, E>> {
    pub const RECACHED_HEAD: u8 = 3;
    pub fn recached_is_no_result()
    where
        Result<T, E>: NoResult,
    {
    }
}

/// Of nothing: whoever asks is told.
#[diagnostic::on_unimplemented(
    message = "in generic code this alias of `Result` can't be told from another type",
    label = "an alias of `Result`",
    note = "write `Result<…>` in full, or give the alias a name that ends in `Result`"
)]
pub trait NoResult {}

/// Refuses a return type that was taken for no `Result` and is one.
#[doc(hidden)]
#[macro_export]
macro_rules! no_result {
    ($returns:ty) => {{
        use $crate::macro_support::AnyHead as _;
        $crate::macro_support::Probe::<$returns>::recached_is_no_result()
    }};
}
pub use no_result;
impl<T> Probe<Arc<[T]>> {
    pub const RECACHED_HEAD: u8 = 4;
}
impl Probe<Arc<str>> {
    pub const RECACHED_HEAD: u8 = 4;
}
impl Probe<Arc<Path>> {
    pub const RECACHED_HEAD: u8 = 4;
}

/// The type below a head.
pub trait Peel<const HEAD: u8> {
    type Inner: ?Sized;
}
impl<T: ?Sized> Peel<0> for T {
    type Inner = ();
}
impl<T> Peel<1> for Option<T> {
    type Inner = T;
}
impl<T> Peel<2> for Arc<T> {
    type Inner = T;
}
impl<T, E> Peel<3> for Result<T, E> {
    type Inner = T;
}
impl<T: ?Sized> Peel<4> for Arc<T> {
    type Inner = ();
}

/// The kind of a return type with these outermost heads.
pub const fn kind_of(first: u8, second: u8, third: u8) -> u8 {
    match (first, second, third) {
        (3, 1, 2) => RESULT + MAYBE_SHARED,
        (3, 1, 4) => RESULT + MAYBE_SLICE,
        (3, 1, _) => RESULT + MAYBE,
        (3, 2, _) => RESULT + SHARED,
        (3, 4, _) => RESULT + SLICE,
        (3, _, _) => RESULT + OWNED,
        (1, 2, _) => MAYBE_SHARED,
        (1, 4, _) => MAYBE_SLICE,
        (1, _, _) => MAYBE,
        (2, _, _) => SHARED,
        (4, _, _) => SLICE,
        _ => OWNED,
    }
}

/// The kind of the same return type where errors are stored, too; of one without errors the same.
pub const fn whole(kind: u8) -> u8 {
    match kind {
        RESULT.. => WHOLE + kind % RESULT,
        _ => kind,
    }
}

/// The kind of the same return type where values are kept in this process only: of an `Arc` there
/// is nothing to tell.
pub const fn own(kind: u8) -> u8 {
    let inner = match kind % RESULT {
        MAYBE | MAYBE_SHARED | MAYBE_SLICE => MAYBE,
        _ => OWNED,
    };
    OWN + kind / RESULT * RESULT + inner
}

/// Refuses a `none_ttl` where no value of this kind is a `None`.
#[track_caller]
pub const fn none_ttl(kind: u8) {
    assert!(
        matches!(kind % RESULT, MAYBE | MAYBE_SHARED | MAYBE_SLICE),
        "`none_ttl` is the lifetime of a `None`, and this function never returns one: return an `Option`, or remove `none_ttl`"
    );
}

/// Refuses an `err_ttl` where this kind has no errors.
#[track_caller]
pub const fn err_ttl(kind: u8) {
    assert!(
        kind % OWN >= RESULT,
        "`err_ttl` is the lifetime of an error, and this function never returns one: return a `Result`, or remove `err_ttl`"
    );
}

/// The kind of a return type, as a constant expression.
#[doc(hidden)]
#[macro_export]
macro_rules! kind {
    ($returns:ty) => {{
        use $crate::macro_support::AnyHead as _;
        const __RECACHED_FIRST: ::core::primitive::u8 =
            $crate::macro_support::Probe::<$returns>::RECACHED_HEAD;
        type __RecachedSecond = <$returns as $crate::macro_support::Peel<__RECACHED_FIRST>>::Inner;
        const __RECACHED_SECOND: ::core::primitive::u8 =
            $crate::macro_support::Probe::<__RecachedSecond>::RECACHED_HEAD;
        type __RecachedThird =
            <__RecachedSecond as $crate::macro_support::Peel<__RECACHED_SECOND>>::Inner;
        $crate::macro_support::kind_of(
            __RECACHED_FIRST,
            __RECACHED_SECOND,
            $crate::macro_support::Probe::<__RecachedThird>::RECACHED_HEAD,
        )
    }};
}
pub use kind;

#[cfg(test)]
#[allow(
    unused_imports,
    reason = "a macro of ours brings a fallback that not every use needs"
)]
mod tests {
    use super::*;

    type Aliased<T> = std::io::Result<T>;

    #[test]
    fn every_kind_is_told_apart_through_its_type() {
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
        let form = R::Kind::FORM;
        let held = R::Kind::erase(R::Kind::hold(value.split().ok()?));
        let mut draft = EntryWriter::new(Vec::new(), u64::MAX);
        (form.encode)(&held, Encoding::JSON, &mut draft).ok()?;
        let again = (form.decode)(&draft.finish(), Encoding::JSON, u64::MAX).ok()?;
        assert!((form.is)(&held) && (form.is)(&again));
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
        let sort = |value| <Of<Option<u64>> as Returns<MAYBE>>::Kind::sort(&Arc::new(value));
        assert_eq!(sort(Ok(Some(7))), ValueClass::Value);
        assert_eq!(sort(Ok(None)), ValueClass::Nothing);
        assert_eq!(sort(Err(failed())), ValueClass::Failure);
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
