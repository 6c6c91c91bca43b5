//! The shape of a stored type: the names of its fields and variants and the kinds of what they
//! hold, as far as serde can tell. An entry of another shape is a miss: what
//! yesterday's struct has written is not read as today's with defaults in between.
//!
//! It is found by reading the type from nothing: a deserializer that notes what it is asked for and
//! answers every value with an error, one path through the type at a time. No value is made up, so
//! that no code of the user's (a conversion, a check) is run on one; only names that the type has
//! given itself are handed back to it, and primitives of the standard library where something
//! stands behind them.
//!
//! Types that can't be reached in this way (behind a value of the user's in a tuple, or behind the
//! key of a map) are distinguished by the compiler's name of the type around them.

use crate::process::sync::RwLock;
use std::any::{TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use quick_cache::DefaultHashBuilder;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// Readings of one type at most: one for each path through it.
const READINGS: usize = 1_024;

/// Largest number of notes about one type.
const NOTES: usize = 16_384;

/// How deep a type is looked into.
const DEPTH: usize = 32;

/// The shape of `T`.
pub(crate) fn shape_of<T: DeserializeOwned + 'static>() -> u64 {
    static KNOWN: LazyLock<RwLock<HashMap<TypeId, u64, DefaultHashBuilder>>> =
        LazyLock::new(RwLock::default);
    let id = TypeId::of::<T>();
    let known = KNOWN.read();
    if let Some(shape) = known.get(&id) {
        return *shape;
    }
    drop(known);
    let shape = Trace::of::<T>();
    let mut known = KNOWN.write();
    known.insert(id, shape);
    shape
}

/// A struct or an enum: by its name and what it lists, since addresses differ between builds.
type Listed = (&'static str, &'static [&'static str]);

/// A place where a path divides.
#[derive(Clone, Copy)]
struct Fork {
    taken: usize,
    ways: usize,
}

#[derive(Default)]
struct Trace {
    /// FNV-1a: short input, no adversary, and every process must agree.
    hash: Cell<u64>,
    notes: Cell<usize>,
    /// The path of this reading, and how far it has come.
    path: RefCell<Vec<Fork>>,
    place: Cell<usize>,
    depth: Cell<usize>,
    /// The structs and enums that this reading is in: a recursive type ends there.
    within: RefCell<Vec<Listed>>,
    /// `true` if there is something that serde does not tell of.
    opaque: Cell<bool>,
}

impl Trace {
    fn of<T: DeserializeOwned>() -> u64 {
        let trace = Self::default();
        trace.hash.set(0xcbf2_9ce4_8422_2325);
        // Bounded, whatever the type.
        let mut readings = 0;
        loop {
            trace.read::<T>();
            readings += 1;
            if readings >= READINGS || trace.notes.get() >= NOTES {
                trace.opaque.set(true);
                break;
            }
            if !trace.turn() {
                break;
            }
        }
        if trace.opaque.get() {
            // The compiler's name of it says at least which type it is.
            trace.note(type_name::<T>());
        }
        trace.hash.get()
    }

    fn read<T: DeserializeOwned>(&self) {
        self.place.set(0);
        self.depth.set(0);
        self.within.borrow_mut().clear();
        // Reading is the user's code, which may not expect an error.
        let read = catch_unwind(AssertUnwindSafe(|| {
            T::deserialize(Reader {
                trace: self,
                answers: false,
            })
            .is_ok()
        }));
        if !matches!(read, Ok(false)) {
            // It has asked for nothing, or did not like the answer.
            self.opaque.set(true);
        }
        self.note(";");
    }

    /// Turns to the next path; whether there is one.
    fn turn(&self) -> bool {
        let mut path = self.path.borrow_mut();
        while let Some(fork) = path.last_mut() {
            fork.taken += 1;
            if fork.taken < fork.ways {
                return true;
            }
            path.pop();
        }
        false
    }

    /// The way to take of so many.
    fn fork(&self, ways: usize) -> usize {
        let place = self.place.get();
        self.place.set(place + 1);
        let mut path = self.path.borrow_mut();
        if let Some(fork) = path.get(place) {
            return fork.taken;
        }
        path.push(Fork { taken: 0, ways });
        0
    }

    /// The ways behind this one can't be reached.
    fn is_blocked<T>(&self) -> Stop {
        let place = self.place.get().saturating_sub(1);
        if let Some(fork) = self.path.borrow_mut().get_mut(place) {
            fork.ways = fork.taken + 1;
        }
        self.opaque.set(true);
        self.note(type_name::<T>());
        Stop
    }

    fn note(&self, what: &str) {
        self.notes.set(self.notes.get() + 1);
        let bytes = what.bytes().chain([0xff]);
        self.hash.set(bytes.fold(self.hash.get(), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }));
    }

    fn names(&self, kind: &str, name: &str, all: &[&str]) {
        self.note(kind);
        self.note(name);
        all.iter().for_each(|name| self.note(name));
    }

    /// Looks into a struct or an enum, unless this reading is in it already.
    fn enter<T>(&self, of: Listed, read: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        if self.within.borrow().contains(&of) {
            self.note("again");
            return Err(Stop);
        }
        self.within.borrow_mut().push(of);
        let read = read();
        self.within.borrow_mut().pop();
        read
    }
}

/// Reads a type from nothing.
#[derive(Clone, Copy)]
struct Reader<'a> {
    trace: &'a Trace,
    /// Gives the plainest value: to a type of the standard library, to come to what is behind it.
    answers: bool,
}

/// The error that ends a reading.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not looked into any further")
    }
}

impl std::error::Error for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Returns `true` if a type of this name is a primitive of the standard library, which takes any
/// value.
fn is_primitive(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "char"
            | "alloc::string::String"
            | "f32"
            | "f64"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "i128"
            | "isize"
            | "u8"
            | "u16"
            | "u32"
            | "u64"
            | "u128"
            | "usize"
    )
}

impl Reader<'_> {
    /// One level down.
    fn within<T>(self, read: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        if self.trace.depth.get() >= DEPTH || self.trace.notes.get() >= NOTES {
            self.trace.opaque.set(true);
            return Err(Stop);
        }
        self.trace.depth.set(self.trace.depth.get() + 1);
        let read = read();
        self.trace
            .depth
            .set(self.trace.depth.get().saturating_sub(1));
        read
    }
}

macro_rules! plain {
    ($($method:ident: $visit:ident($($value:expr)?);)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            if self.answers {
                return visitor.$visit($($value)?);
            }
            self.trace.note(stringify!($method));
            Err(Stop)
        }
    )+};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Stop;

    plain! {
        deserialize_bool: visit_bool(false);
        deserialize_i8: visit_i8(0);
        deserialize_i16: visit_i16(0);
        deserialize_i32: visit_i32(0);
        deserialize_i64: visit_i64(0);
        deserialize_i128: visit_i128(0);
        deserialize_u8: visit_u8(0);
        deserialize_u16: visit_u16(0);
        deserialize_u32: visit_u32(0);
        deserialize_u64: visit_u64(0);
        deserialize_u128: visit_u128(0);
        deserialize_f32: visit_f32(0.0);
        deserialize_f64: visit_f64(0.0);
        deserialize_char: visit_char('a');
        deserialize_str: visit_str("");
        deserialize_string: visit_string(String::new());
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.trace.note("bytes");
        Err(Stop)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.trace.note("unit");
        Err(Stop)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(self.trace.is_blocked::<V::Value>())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(self.trace.is_blocked::<V::Value>())
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.trace.opaque.set(true);
        self.trace.names("any", type_name::<V::Value>(), &[]);
        Err(Stop)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.trace.note("option");
        self.within(|| visitor.visit_some(self))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, Stop> {
        self.trace.names("unit", name, &[]);
        Err(Stop)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.trace.names("newtype", name, &[]);
        self.within(|| visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.trace.note("seq");
        self.within(|| visitor.visit_seq(TracedElements::new(self, 1)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.trace.names("tuple", &len.to_string(), &[]);
        self.within(|| visitor.visit_seq(TracedElements::new(self, len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.trace.names("tuple struct", name, &[]);
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.trace.note("map");
        self.within(|| {
            visitor.visit_map(TracedMapEntry {
                reader: self,
                wanted: self.trace.fork(2),
            })
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.trace.names("struct", name, fields);
        let field = fields
            .get(self.trace.fork(fields.len().max(1)))
            .ok_or(Stop)?;
        self.trace.enter((name, fields), || {
            self.within(|| {
                visitor.visit_map(TracedField {
                    reader: self,
                    field,
                })
            })
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.trace.names("enum", name, variants);
        let variant = variants
            .get(self.trace.fork(variants.len().max(1)))
            .ok_or(Stop)?;
        self.trace.enter((name, variants), || {
            self.within(|| {
                visitor.visit_enum(TracedVariant {
                    reader: self,
                    variant,
                })
            })
        })
    }
}

/// One element of several: those before it are passed over, if they are primitives.
struct TracedElements<'a> {
    reader: Reader<'a>,
    at: usize,
    wanted: usize,
}

impl<'a> TracedElements<'a> {
    fn new(reader: Reader<'a>, count: usize) -> Self {
        let wanted = match count {
            0 | 1 => 0,
            count => reader.trace.fork(count),
        };
        Self {
            reader,
            at: 0,
            wanted,
        }
    }
}

impl<'de> SeqAccess<'de> for TracedElements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        if self.at < self.wanted {
            self.at += 1;
            if !is_primitive(type_name::<T::Value>()) {
                return Err(self.reader.trace.is_blocked::<T::Value>());
            }
            let answers = Reader {
                answers: true,
                ..self.reader
            };
            return seed.deserialize(answers).map(Some);
        }
        let reader = Reader {
            answers: false,
            ..self.reader
        };
        reader.within(|| seed.deserialize(reader)).map(Some)
    }
}

/// One entry of a map: its key, or what is behind a key that is a primitive.
struct TracedMapEntry<'a> {
    reader: Reader<'a>,
    wanted: usize,
}

impl<'de> MapAccess<'de> for TracedMapEntry<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        if self.wanted == 0 {
            return self
                .reader
                .within(|| seed.deserialize(self.reader))
                .map(Some);
        }
        if !is_primitive(type_name::<K::Value>()) {
            return Err(self.reader.trace.is_blocked::<K::Value>());
        }
        let answers = Reader {
            answers: true,
            ..self.reader
        };
        seed.deserialize(answers).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        self.reader.within(|| seed.deserialize(self.reader))
    }
}

/// One field of a struct.
struct TracedField<'a> {
    reader: Reader<'a>,
    field: &'static str,
}

impl<'de> MapAccess<'de> for TracedField<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        let name: StrDeserializer<'_, Stop> = self.field.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        self.reader.trace.note(self.field);
        self.reader.within(|| seed.deserialize(self.reader))
    }
}

/// One variant of an enum.
struct TracedVariant<'a> {
    reader: Reader<'a>,
    variant: &'static str,
}

impl<'de> EnumAccess<'de> for TracedVariant<'_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        self.reader.trace.note(self.variant);
        let name: StrDeserializer<'_, Stop> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for TracedVariant<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.reader.trace.note("unit");
        // A value of the user's would be next.
        Err(Stop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        self.reader.trace.note("newtype");
        self.reader.within(|| seed.deserialize(self.reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.reader.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.reader
            .deserialize_struct(self.variant, fields, visitor)
    }
}

#[cfg(test)]
mod tests;
