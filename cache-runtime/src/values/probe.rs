//! Determines the kind of a return type in a constant expression.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use super::returns::{MAYBE, MAYBE_SHARED, MAYBE_SLICE, OWN, OWNED, RESULT, SHARED, SLICE, WHOLE};

/// Carrier of a type whose outermost constructor is examined.
pub struct Probe<T: ?Sized>(PhantomData<T>);

/// Head of every other type; the inherent constants below shadow it.
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

/// Never implemented. Its bound produces the diagnostic.
#[diagnostic::on_unimplemented(
    message = "in generic code this alias of `Result` can't be distinguished from another type",
    label = "an alias of `Result`",
    note = "write `Result<…>` in full, or give the alias a name that ends in `Result`"
)]
pub trait NoResult {}

impl<T> Probe<Arc<[T]>> {
    pub const RECACHED_HEAD: u8 = 4;
}
impl Probe<Arc<str>> {
    pub const RECACHED_HEAD: u8 = 4;
}
impl Probe<Arc<Path>> {
    pub const RECACHED_HEAD: u8 = 4;
}

/// The type inside a head.
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

/// Returns the kind of a return type with these outermost heads.
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

/// Returns the kind of the same return type if errors are stored too; a kind without errors is
/// unchanged.
pub const fn whole(kind: u8) -> u8 {
    match kind {
        RESULT.. => WHOLE + kind % RESULT,
        _ => kind,
    }
}

/// Returns the kind of the same return type if values are kept in this process only; an `Arc` is
/// not distinguished then.
pub const fn own(kind: u8) -> u8 {
    let inner = match kind % RESULT {
        MAYBE | MAYBE_SHARED | MAYBE_SLICE => MAYBE,
        _ => OWNED,
    };
    OWN + kind / RESULT * RESULT + inner
}

/// Rejects a `none_ttl` if no value of this kind is a `None`.
#[track_caller]
pub const fn none_ttl(kind: u8) {
    assert!(
        matches!(kind % RESULT, MAYBE | MAYBE_SHARED | MAYBE_SLICE),
        "`none_ttl` is the lifetime of a `None`, and this function never returns one: return an `Option`, or remove `none_ttl`"
    );
}

/// Rejects an `err_ttl` if this kind has no errors.
#[track_caller]
pub const fn err_ttl(kind: u8) {
    assert!(
        kind % OWN >= RESULT,
        "`err_ttl` is the lifetime of an error, and this function never returns one: return a `Result`, or remove `err_ttl`"
    );
}
