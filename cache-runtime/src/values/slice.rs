//! An `Arc` of an unsized type: a text, a list, a path. It is decoded as a `Box`.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::value_kind::{Erased, Storable, ValueKind, ValueVTable, known, sort_of};
use super::with_error::Success;
use crate::entry::policy::ValueClass;
use crate::entry::schema::shape_of;

/// An `Arc<str>` or an `Arc<[T]>`, shared by all hits.
pub struct Slice<T: ?Sized>(PhantomData<T>);
/// An `Option` of an unsized `Arc`.
pub struct MaybeSlice<T: ?Sized>(PhantomData<T>);

impl<T> ValueKind for Slice<T>
where
    T: Serialize + Send + Sync + ?Sized + 'static,
    Box<T>: Storable,
{
    type Value = Arc<T>;
    type Held = Arc<T>;

    fn hold(value: Arc<T>) -> Arc<T> {
        value
    }
    fn give(held: Arc<T>) -> Arc<T> {
        held
    }
    fn erase(held: Arc<T>) -> Erased {
        Arc::new(held)
    }
    fn restore(erased: Erased) -> Option<Arc<T>> {
        erased.downcast().ok().map(Arc::unwrap_or_clone)
    }
    const FORM: &'static ValueVTable = &ValueVTable {
        is_own: false,
        is: |held| held.is::<Arc<T>>(),
        shape: shape_of::<Box<T>>,
        encode: |held, codec, out| codec.encode(&**known::<Arc<T>>(held)?, out),
        written: |held, codec, most| codec.written(&**known::<Arc<T>>(held).ok()?, most),
        decode: |bytes, codec, most| {
            Ok(Arc::new(Arc::<T>::from(
                codec.decode::<Box<T>>(bytes, most)?,
            )))
        },
    };
}

impl<T> ValueKind for MaybeSlice<T>
where
    T: Serialize + Send + Sync + ?Sized + 'static,
    Box<T>: Storable,
{
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
        shape: shape_of::<Option<Box<T>>>,
        encode: |held, codec, out| codec.encode(&known::<Option<Arc<T>>>(held)?.as_deref(), out),
        written: |held, codec, most| {
            codec.written(&known::<Option<Arc<T>>>(held).ok()?.as_deref(), most)
        },
        decode: |bytes, codec, most| {
            let read = codec.decode::<Option<Box<T>>>(bytes, most)?;
            Ok(Arc::new(read.map(Arc::<T>::from)))
        },
    };
}

impl<T> Success for Slice<T>
where
    T: Serialize + Send + Sync + ?Sized + 'static,
    Box<T>: Storable,
{
    type Plain = Box<T>;
    type View<'a> = &'a T;

    fn plain(value: &Arc<T>) -> &T {
        value
    }
    fn of_plain(plain: Box<T>) -> Arc<T> {
        plain.into()
    }
}

impl<T> Success for MaybeSlice<T>
where
    T: Serialize + Send + Sync + ?Sized + 'static,
    Box<T>: Storable,
{
    type Plain = Option<Box<T>>;
    type View<'a> = Option<&'a T>;

    fn plain(value: &Option<Arc<T>>) -> Option<&T> {
        value.as_deref()
    }
    fn of_plain(plain: Option<Box<T>>) -> Option<Arc<T>> {
        plain.map(Arc::from)
    }
    fn sort_of_value(value: &Option<Arc<T>>) -> ValueClass {
        sort_of(value)
    }
}
