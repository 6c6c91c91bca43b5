//! Values without an error: `T`, `Option<T>`, `Arc<T>`, `Option<Arc<T>>`.

use std::marker::PhantomData;
use std::sync::Arc;

use super::value_kind::{Erased, Storable, ValueKind, ValueVTable, known, sort_of};
use crate::entry::policy::ValueClass;
use crate::entry::schema::shape_of;

/// A plain `T`: held in an `Arc`, cloned on a hit.
pub struct Owned<T>(PhantomData<T>);
/// An `Option<T>`, whose `None` can have a ttl of its own.
pub struct Maybe<T>(PhantomData<T>);
/// An `Arc<T>`, shared by all hits.
pub struct Shared<T>(PhantomData<T>);
/// An `Option<Arc<T>>`, shared by all hits.
pub struct MaybeShared<T>(PhantomData<T>);

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
    fn class(held: &Arc<Option<T>>) -> ValueClass {
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
    fn class(held: &Option<Arc<T>>) -> ValueClass {
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
