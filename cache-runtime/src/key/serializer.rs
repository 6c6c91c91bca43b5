//! Serializes one value as text: injective and canonical over serde's data model.
//!
//! | value | text |
//! |---|---|
//! | numbers, bools | `42`, `-1`, `1.0`, `true` |
//! | texts, chars, bytes | `'ada'`, `'a%3Ab'`, `0x00ff`; quotes of a placeholder: [`Quoting`] |
//! | unit, options | `null`, `None`, `Some(1)` |
//! | sequences, tuples | `(1,2)`; a set is sorted by the texts of its elements |
//! | maps (sorted), structs | `<a=1,b=2>` |
//! | variants | `Color.Red`, `Shape.Circle(1)`, `Shape.Box<w=1,h=2>` |
//!
//! The width of a number is not written: `1u8` and `1u64` have the same text, as in JSON.
//!
//! In a tag, a value has the text that a person writes by hand: texts without quotes, `Some` as its
//! content, the shortest float, a variant by its name alone.

use std::any::type_name;
use std::fmt::{self, Display, Write};

use serde::ser::{self, Serialize};

use super::escape;
use super::key_buffer::KeyBuffer;
use super::order::{is_dynamic, is_ordered, is_unordered};
use super::quoting::Quoting;

/// Maximum nesting of a value; deeper values are refused before the stack overflows.
const DEEPEST: u32 = 128;

/// Position of a value in the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Argument,
    Template,
    Tag,
}

/// Appends `value`.
///
/// # Errors
///
/// Returns the reason if the value can't be written.
pub(super) fn write<T: Serialize + ?Sized>(
    value: &T,
    place: Position,
    out: &mut KeyBuffer,
) -> Result<(), Refusal> {
    value.serialize(KeySerializer {
        out,
        depth: 0,
        of: type_name::<T>,
        quotes: match place {
            Position::Argument => Quoting::Always,
            Position::Template => Quoting::AsNeeded,
            Position::Tag => Quoting::Never,
        },
    })
}

/// Returns the refusal of a value behind a `dyn`. The caller detects `dyn` arguments, because a
/// check here would slow down all others.
#[cold]
pub(super) fn dynamic() -> Refusal {
    let text = "values of different types behind a `dyn` may be written alike";
    Refusal(text.to_owned())
}

/// Reason why a value can't be written.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    /// Discards the message of the user's `Serialize`, which may quote the value.
    fn custom<T: Display>(_: T) -> Self {
        Self("its `Serialize` refuses".to_owned())
    }
}

struct KeySerializer<'a> {
    out: &'a mut KeyBuffer,
    depth: u32,
    quotes: Quoting,
    /// Returns the name of the value's type, as far as serde shows it. Called only if the order of
    /// elements matters, because the name costs time that the hit path does not have.
    of: fn() -> &'static str,
}

impl<'a> KeySerializer<'a> {
    fn literal(self, text: &str) -> Result<(), Refusal> {
        self.out.push_str(text);
        Ok(())
    }

    fn text(self, text: &str) -> Result<(), Refusal> {
        if self.quotes.are_left_out(text, self.of) {
            escape::content(text, self.out);
        } else {
            self.out.push(b'\'');
            escape::content(text, self.out);
            self.out.push(b'\'');
        }
        Ok(())
    }

    fn variant(&mut self, name: &str, variant: &str) {
        if !self.quotes.is_tag() {
            escape::name(name, self.out);
            self.out.push(b'.');
        }
        escape::name(variant, self.out);
    }

    fn float(self, value: impl Display + fmt::Debug) -> Result<(), Refusal> {
        let written = match self.quotes.is_tag() {
            true => write!(self.out, "{value}"),
            false => write!(self.out, "{value:?}"),
        };
        written.map_err(ser::Error::custom)
    }

    /// Appends a value that is nested in another one.
    fn inner<T: Serialize + ?Sized>(
        out: &mut KeyBuffer,
        depth: u32,
        value: &T,
    ) -> Result<(), Refusal> {
        if depth >= DEEPEST {
            return Err(Refusal(format!("it is nested more than {DEEPEST} deep")));
        }
        if is_dynamic(type_name::<T>()) {
            return Err(dynamic());
        }
        let depth = depth + 1;
        value.serialize(KeySerializer {
            out,
            depth,
            quotes: Quoting::Always,
            of: type_name::<T>,
        })
    }

    fn list(self) -> List<'a> {
        self.out.push(b'(');
        List {
            out: self.out,
            depth: self.depth,
            first: true,
            close: b')',
        }
    }

    fn fields(self) -> List<'a> {
        self.out.push(b'<');
        List {
            out: self.out,
            depth: self.depth,
            first: true,
            close: b'>',
        }
    }
}

macro_rules! wide_numbers {
    ($($method:ident $ty:ty,)+) => {$(
        fn $method(self, value: $ty) -> Result<(), Refusal> {
            self.literal(itoa::Buffer::new().format(value))
        }
    )+};
}

macro_rules! numbers {
    ($($method:ident $ty:ty,)+) => {$(
        #[inline]
        fn $method(self, value: $ty) -> Result<(), Refusal> {
            self.out.push_number(value.into());
            Ok(())
        }
    )+};
}

macro_rules! signed_numbers {
    ($($method:ident $ty:ty,)+) => {$(
        #[inline]
        fn $method(self, value: $ty) -> Result<(), Refusal> {
            if value < 0 {
                self.out.push(b'-');
            }
            self.out.push_number(value.unsigned_abs().into());
            Ok(())
        }
    )+};
}

impl<'a> ser::Serializer for KeySerializer<'a> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = List<'a>;
    type SerializeStructVariant = List<'a>;

    numbers! {
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
    }

    signed_numbers! {
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
    }

    wide_numbers! {
        serialize_i128 i128,
        serialize_u128 u128,
    }

    fn serialize_bool(self, value: bool) -> Result<(), Refusal> {
        self.literal(if value { "true" } else { "false" })
    }

    fn serialize_f32(self, value: f32) -> Result<(), Refusal> {
        self.float(value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Refusal> {
        self.float(value)
    }

    fn serialize_char(self, value: char) -> Result<(), Refusal> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Refusal> {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refusal> {
        self.out.push_str("0x");
        value
            .iter()
            .try_for_each(|byte| write!(self.out, "{byte:02x}"))
            .map_err(ser::Error::custom)
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        self.literal("None")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        if self.quotes.is_tag() {
            let of = type_name::<T>;
            return value.serialize(Self { of, ..self });
        }
        self.out.push_str("Some(");
        Self::inner(self.out, self.depth, value)?;
        self.out.push(b')');
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        self.literal("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        self.literal("null")
    }

    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Refusal> {
        self.variant(name, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        let of = type_name::<T>;
        value.serialize(Self { of, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.variant(name, variant);
        self.out.push(b'(');
        Self::inner(self.out, self.depth, value)?;
        self.out.push(b')');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Refusal> {
        Ok(match is_unordered((self.of)()) {
            true => Elements::Unordered(Set {
                out: self.out,
                depth: self.depth,
                elements: Vec::new(),
            }),
            false => Elements::Ordered(self.list()),
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Refusal> {
        Ok(self.list())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Refusal> {
        Ok(self.list())
    }

    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Refusal> {
        self.variant(name, variant);
        Ok(self.list())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a>, Refusal> {
        Ok(Map {
            out: self.out,
            depth: self.depth,
            is_ordered: is_ordered((self.of)()),
            entries: Vec::new(),
            key: KeyBuffer::default(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Refusal> {
        Ok(self.fields())
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Refusal> {
        self.variant(name, variant);
        Ok(self.fields())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        self.text(&value.to_string())
    }
}

/// Writer of elements or fields, in their order.
struct List<'a> {
    out: &'a mut KeyBuffer,
    depth: u32,
    first: bool,
    close: u8,
}

impl List<'_> {
    fn next(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.next();
        KeySerializer::inner(self.out, self.depth, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refusal> {
        self.next();
        escape::name(name, self.out);
        self.out.push(b'=');
        KeySerializer::inner(self.out, self.depth, value)
    }

    fn close(self) -> Result<(), Refusal> {
        self.out.push(self.close);
        Ok(())
    }
}

macro_rules! list {
    ($($trait:ident $method:ident,)+) => {$(
        impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = Refusal;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                self.element(value)
            }

            fn end(self) -> Result<(), Refusal> {
                self.close()
            }
        }
    )+};
}

list! {
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($trait:ident,)+) => {$(
        impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = Refusal;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Refusal> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Refusal> {
                self.close()
            }
        }
    )+};
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

/// Writer of a sequence's elements.
enum Elements<'a> {
    Ordered(List<'a>),
    Unordered(Set<'a>),
}

/// Writer of a set's elements. They are buffered and written in the order of their texts, because a
/// set has a different order in each process.
struct Set<'a> {
    out: &'a mut KeyBuffer,
    depth: u32,
    elements: Vec<KeyBuffer>,
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        match self {
            Self::Ordered(list) => list.element(value),
            Self::Unordered(set) => {
                let mut text = KeyBuffer::default();
                KeySerializer::inner(&mut text, set.depth, value)?;
                set.elements.push(text);
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), Refusal> {
        let mut set = match self {
            Self::Ordered(list) => return list.close(),
            Self::Unordered(set) => set,
        };
        set.elements.sort_unstable();
        set.out.push(b'(');
        for (place, element) in set.elements.iter().enumerate() {
            if place > 0 {
                set.out.push(b',');
            }
            set.out.push_str(element.as_str());
        }
        set.out.push(b')');
        Ok(())
    }
}

/// Writer of a map's entries. They are buffered and written in the order of their keys, or in
/// insertion order if that is part of the value.
struct Map<'a> {
    out: &'a mut KeyBuffer,
    depth: u32,
    is_ordered: bool,
    entries: Vec<(KeyBuffer, KeyBuffer)>,
    key: KeyBuffer,
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.key.clear();
        KeySerializer::inner(&mut self.key, self.depth, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let mut text = KeyBuffer::default();
        KeySerializer::inner(&mut text, self.depth, value)?;
        self.entries.push((std::mem::take(&mut self.key), text));
        Ok(())
    }

    fn end(mut self) -> Result<(), Refusal> {
        if !self.is_ordered {
            self.entries.sort_unstable();
        }
        self.out.push(b'<');
        for (place, (key, value)) in self.entries.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.out.push_str(key.as_str());
            self.out.push(b'=');
            self.out.push_str(value.as_str());
        }
        self.out.push(b'>');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
