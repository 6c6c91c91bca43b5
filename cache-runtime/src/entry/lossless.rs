//! A serializer that rejects values that would be read back as different ones.
//!
//! Neither JSON nor MessagePack represents `Some`: it is written as its content. So `Some(None)`
//! and `Some(())` would be read back as `None`. JSON has no infinities or NaN either, and writes
//! `null`.

use std::cell::Cell;

use serde::ser::{Error, Serialize, Serializer};

/// A value that is serialized only if it can be read back unchanged.
pub(crate) struct Lossless<'a, T: ?Sized> {
    value: &'a T,
    to: To<'a>,
}

/// The format of the serializer below, and the position in the value.
#[derive(Clone, Copy)]
struct To<'a> {
    json: bool,
    /// `true` directly inside a `Some`.
    in_some: bool,
    /// Number of lists, maps and variants around the value.
    depth: u8,
    refused: &'a Cell<Option<Loss>>,
}

/// Reason why a value could not be read back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The value would be read back as a different one.
    Value,
    /// The value is nested too deep to be read.
    Depth,
}

/// Maximum nesting that serde_json reads.
const DEEPEST: u8 = 127;

impl<'a, T: ?Sized> Lossless<'a, T> {
    /// Wraps a value. If it is rejected, `refused` is set before the error is returned.
    pub(crate) fn new(value: &'a T, json: bool, refused: &'a Cell<Option<Loss>>) -> Self {
        let to = To {
            json,
            in_some: false,
            depth: 0,
            refused,
        };
        Self { value, to }
    }
}

impl<'a> To<'a> {
    fn refuse<E: Error>(self, loss: Loss) -> E {
        self.refused.set(Some(loss));
        E::custom("it would not be read as what it is")
    }

    /// Descends by a number of levels.
    fn deeper<E: Error>(self, levels: u8) -> Result<Self, E> {
        let depth = self.depth + levels;
        match depth > DEEPEST {
            true => Err(self.refuse(Loss::Depth)),
            false => Ok(Self { depth, ..self }),
        }
    }

    /// Accepts an empty value, unless it would be read back as `None`.
    fn nothing<E: Error>(self) -> Result<(), E> {
        match self.in_some {
            true => Err(self.refuse(Loss::Value)),
            false => Ok(()),
        }
    }

    fn float<E: Error>(self, finite: bool) -> Result<(), E> {
        match finite || !self.json {
            true => Ok(()),
            false => Err(self.refuse(Loss::Value)),
        }
    }

    /// Wraps a value that is written in place of this one.
    fn instead<T: ?Sized>(self, value: &'a T) -> Lossless<'a, T> {
        Lossless { value, to: self }
    }

    /// Returns the position of a nested value.
    fn inside(self) -> Self {
        Self {
            in_some: false,
            ..self
        }
    }
}

impl<T: Serialize + ?Sized> Serialize for Lossless<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value
            .serialize(LosslessSerializer { inner, to: self.to })
    }
}

/// A serializer, or a compound serializer that it has started.
struct LosslessSerializer<'a, S> {
    inner: S,
    to: To<'a>,
}

impl<'a, S> LosslessSerializer<'a, S> {
    fn begun<C, E: Error>(
        to: To<'a>,
        levels: u8,
        inner: impl FnOnce() -> Result<C, E>,
    ) -> Result<LosslessSerializer<'a, C>, E> {
        let to = to.deeper::<E>(levels)?.inside();
        inner().map(|inner| LosslessSerializer { inner, to })
    }
}

macro_rules! plain {
    ($($method:ident $ty:ty,)+) => {$(
        fn $method(self, value: $ty) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )+};
}

macro_rules! begins {
    ($($levels:literal $method:ident($($name:ident: $ty:ty),*) -> $begun:ident;)+) => {$(
        fn $method(self, $($name: $ty),*) -> Result<Self::$begun, S::Error> {
            LosslessSerializer::<S>::begun(self.to, $levels, || self.inner.$method($($name),*))
        }
    )+};
}

type Str = &'static str;

impl<'a, S: Serializer> Serializer for LosslessSerializer<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = LosslessSerializer<'a, S::SerializeSeq>;
    type SerializeTuple = LosslessSerializer<'a, S::SerializeTuple>;
    type SerializeTupleStruct = LosslessSerializer<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = LosslessSerializer<'a, S::SerializeTupleVariant>;
    type SerializeMap = LosslessSerializer<'a, S::SerializeMap>;
    type SerializeStruct = LosslessSerializer<'a, S::SerializeStruct>;
    type SerializeStructVariant = LosslessSerializer<'a, S::SerializeStructVariant>;

    plain! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_i128 i128,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_u128 u128,
        serialize_char char,
        serialize_str &str,
        serialize_bytes &[u8],
    }

    begins! {
        1 serialize_seq(len: Option<usize>) -> SerializeSeq;
        1 serialize_tuple(len: usize) -> SerializeTuple;
        1 serialize_tuple_struct(name: Str, len: usize) -> SerializeTupleStruct;
        2 serialize_tuple_variant(name: Str, index: u32, variant: Str, len: usize) -> SerializeTupleVariant;
        1 serialize_map(len: Option<usize>) -> SerializeMap;
        1 serialize_struct(name: Str, len: usize) -> SerializeStruct;
        2 serialize_struct_variant(name: Str, index: u32, variant: Str, len: usize) -> SerializeStructVariant;
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.to.float(value.is_finite())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.to.float(value.is_finite())?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.to.nothing()?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let in_some = true;
        let to = To { in_some, ..self.to };
        self.inner.serialize_some(&to.instead(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.to.nothing()?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: Str) -> Result<S::Ok, S::Error> {
        // MessagePack writes a unit struct as an empty list.
        if self.to.json {
            self.to.nothing()?;
        }
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: Str,
        index: u32,
        variant: Str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: Str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.to.instead(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: Str,
        index: u32,
        variant: Str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let to = self.to.deeper::<S::Error>(1)?.inside();
        let value = to.instead(value);
        self.inner
            .serialize_newtype_variant(name, index, variant, &value)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! elements {
    ($($of:ident $method:ident,)+) => {$(
        impl<C: serde::ser::$of> serde::ser::$of for LosslessSerializer<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.inner.$method(&self.to.instead(value))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )+};
}

elements! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($of:ident,)+) => {$(
        impl<C: serde::ser::$of> serde::ser::$of for LosslessSerializer<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: Str,
                value: &T,
            ) -> Result<(), C::Error> {
                self.inner.serialize_field(name, &self.to.instead(value))
            }

            fn skip_field(&mut self, name: Str) -> Result<(), C::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )+};
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<C: serde::ser::SerializeMap> serde::ser::SerializeMap for LosslessSerializer<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&self.to.instead(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&self.to.instead(value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
