//! The schema of a stored type: the names of its fields and variants and the kinds of their values,
//! as far as serde shows them. An entry with another schema is a miss, so that an old struct is not
//! read as a new one with defaults filled in.
//!
//! The type is read from nothing: a deserializer records which methods the type calls and returns
//! an error for every value, one path through the type at a time. It creates no values of the
//! user's types, so that no code of the user's (a conversion, a check) runs on one. It passes only
//! names that the type itself has declared, and primitives of the standard library if another value
//! follows them.
//!
//! Types that can't be reached this way (after a value of the user's in a tuple, or after such a
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

/// Maximum number of readings of one type, one for each path through it.
const READINGS: usize = 1_024;

/// Maximum number of notes about one type.
const NOTES: usize = 16_384;

/// Maximum nesting that is examined.
const DEPTH: usize = 32;

/// Returns the schema of `T`.
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

/// A struct or an enum, identified by its name and its list of fields or variants: addresses differ
/// between builds.
type Listed = (&'static str, &'static [&'static str]);

/// A point where a path divides.
#[derive(Clone, Copy)]
struct Fork {
    taken: usize,
    ways: usize,
}

#[derive(Default)]
struct Trace {
    /// FNV-1a: the input is short and trusted, and every process must compute the same hash.
    hash: Cell<u64>,
    notes: Cell<usize>,
    /// The path of this reading; `place` is the number of forks passed.
    path: RefCell<Vec<Fork>>,
    place: Cell<usize>,
    depth: Cell<usize>,
    /// The structs and enums around the current position: a recursive type ends there.
    within: RefCell<Vec<Listed>>,
    /// `true` if serde does not show a part of the type.
    opaque: Cell<bool>,
}

impl Trace {
    fn of<T: DeserializeOwned>() -> u64 {
        let trace = Self::default();
        trace.hash.set(0xcbf2_9ce4_8422_2325);
        // The number of readings is limited for every type.
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
            // The compiler's name distinguishes at least the type itself.
            trace.note(type_name::<T>());
        }
        trace.hash.get()
    }

    fn read<T: DeserializeOwned>(&self) {
        self.place.set(0);
        self.depth.set(0);
        self.within.borrow_mut().clear();
        // Reading runs the user's code, which may panic on an error.
        let read = catch_unwind(AssertUnwindSafe(|| {
            T::deserialize(Reader {
                trace: self,
                answers: false,
            })
            .is_ok()
        }));
        if !matches!(read, Ok(false)) {
            // The type asked for no value, or panicked on the error.
            self.opaque.set(true);
        }
        self.note(";");
    }

    /// Moves to the next path; returns `false` if there is none.
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

    /// Returns the branch to take, out of `ways`.
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

    /// Records that the later branches of this fork can't be reached.
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

    /// Enters a struct or an enum, unless the current position is inside it already.
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

/// Deserializer that reads a type from nothing.
#[derive(Clone, Copy)]
struct Reader<'a> {
    trace: &'a Trace,
    /// Returns the simplest value, for a type of the standard library, to reach the value after it.
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

/// Returns `true` if a type of this name is a primitive of the standard library, which accepts any
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
    /// Descends one level.
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

/// Access to one element of several. Elements before it are skipped if they are primitives.
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

/// Access to one entry of a map: its key, or its value if the key is a primitive.
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

/// Access to one field of a struct.
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

/// Access to one variant of an enum.
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
        // Success would create a value of the user's type.
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
