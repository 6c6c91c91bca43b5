//! The shape of a stored type: the names of its fields and variants and the kinds of what they
//! hold, as far as serde can tell. An entry of another shape is a miss: what
//! yesterday's struct has written is not read as today's with defaults in between.
//!
//! It is found by reading a value of the type from nothing: a deserializer that notes what it is
//! asked for and answers with the plainest value there is. An enum is read once for each variant.
//! Where a type does not take the plainest value, the rest of it is not looked into.

use std::any::{TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, PoisonError, RwLock};

use quick_cache::DefaultHashBuilder;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// Readings of one type at most: an enum takes one for each variant.
const READINGS: usize = 256;

/// What is noted of one type at most.
const NOTES: usize = 4_096;

/// How deep a type is looked into.
const DEPTH: usize = 32;

/// The shape of `T`.
pub(crate) fn shape_of<T: DeserializeOwned + 'static>() -> u64 {
    static KNOWN: LazyLock<RwLock<HashMap<TypeId, u64, DefaultHashBuilder>>> =
        LazyLock::new(RwLock::default);
    let id = TypeId::of::<T>();
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(shape) = known.get(&id) {
        return *shape;
    }
    drop(known);
    let shape = trace::<T>();
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.insert(id, shape);
    shape
}

fn trace<T: DeserializeOwned>() -> u64 {
    let trace = Trace::default();
    // Bounded, whatever the type.
    for _ in 0..READINGS {
        if !trace.read::<T>() {
            break;
        }
    }
    if trace.opaque.get() {
        // The compiler's name of it says at least which type it is.
        trace.note(type_name::<T>());
    }
    trace.hash.get()
}

/// By name and variants.
type Enum = (&'static str, &'static [&'static str]);

struct Trace {
    /// FNV-1a: short input, no adversary, and every process must agree.
    hash: Cell<u64>,
    notes: Cell<usize>,
    depth: Cell<usize>,
    /// The next variant to read of each enum.
    next: RefCell<HashMap<Enum, usize>>,
    /// Those that this reading has come to: further in, the first variant will do.
    met: RefCell<HashSet<Enum>>,
    /// Whether one of them has variants left.
    more: Cell<bool>,
    /// Whether there is something that serde does not tell of.
    opaque: Cell<bool>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            hash: Cell::new(0xcbf2_9ce4_8422_2325),
            notes: Cell::new(0),
            depth: Cell::new(0),
            next: RefCell::default(),
            met: RefCell::default(),
            more: Cell::new(false),
            opaque: Cell::new(false),
        }
    }
}

impl Trace {
    /// Reads once; whether a variant is left to be read.
    fn read<T: DeserializeOwned>(&self) -> bool {
        self.more.set(false);
        self.depth.set(0);
        self.met.borrow_mut().clear();
        // Reading is the user's code, which may not expect an impossible value.
        let read = catch_unwind(AssertUnwindSafe(|| T::deserialize(Reader(self)).is_ok()));
        self.note(match read {
            Ok(true) => ";",
            Ok(false) | Err(_) => {
                self.opaque.set(true);
                "!"
            }
        });
        self.more.get()
    }

    fn note(&self, what: &str) {
        self.notes.set(self.notes.get() + 1);
        let bytes = what.bytes().chain([0xff]);
        self.hash.set(bytes.fold(self.hash.get(), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }));
    }

    /// The variant to read of an enum.
    fn variant(&self, of: Enum) -> usize {
        if !self.met.borrow_mut().insert(of) {
            return 0;
        }
        let mut next = self.next.borrow_mut();
        let next = next.entry(of).or_default();
        let variant = *next;
        if variant + 1 < of.1.len() {
            *next += 1;
            self.more.set(true);
        }
        variant
    }

    /// Whether to look no further.
    fn is_full(&self) -> bool {
        self.depth.get() >= DEPTH || self.notes.get() >= NOTES
    }

    fn names(&self, kind: &str, name: &str, all: &[&str]) {
        self.note(kind);
        self.note(name);
        all.iter().for_each(|name| self.note(name));
    }
}

/// Reads a value from nothing.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Trace);

/// What a reading ends with.
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

impl Reader<'_> {
    /// One level down.
    fn within<T>(self, read: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        if self.0.is_full() {
            return Err(Stop);
        }
        self.0.depth.set(self.0.depth.get() + 1);
        let read = read();
        self.0.depth.set(self.0.depth.get().saturating_sub(1));
        read
    }
}

macro_rules! plain {
    ($($method:ident: $visit:ident($($value:expr)?);)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.0.note(stringify!($method));
            visitor.$visit($($value)?)
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
        deserialize_bytes: visit_bytes(b"");
        deserialize_byte_buf: visit_byte_buf(Vec::new());
        deserialize_unit: visit_unit();
        deserialize_identifier: visit_str("");
        deserialize_ignored_any: visit_unit();
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.note("any");
        self.0.opaque.set(true);
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.note("option");
        if self.0.is_full() {
            return visitor.visit_none();
        }
        self.within(|| visitor.visit_some(self))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.names("unit", name, &[]);
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.names("newtype", name, &[]);
        self.within(|| visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.note("seq");
        let elements = usize::from(!self.0.is_full());
        visitor.visit_seq(Elements(self, elements))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.0.names("tuple", &len.to_string(), &[]);
        self.within(|| visitor.visit_seq(Elements(self, len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.names("tuple struct", name, &[]);
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.note("map");
        let entries = usize::from(!self.0.is_full());
        visitor.visit_map(Elements(self, entries))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.names("struct", name, fields);
        self.within(|| visitor.visit_seq(Elements(self, fields.len())))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.names("enum", name, variants);
        let variant = self.0.variant((name, variants));
        let variant = variants.get(variant).ok_or(Stop)?;
        self.within(|| visitor.visit_enum(Variant(self, variant)))
    }
}

/// So many elements, or entries of a map.
struct Elements<'a>(Reader<'a>, usize);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stop> {
        let Some(left) = self.1.checked_sub(1) else {
            return Ok(None);
        };
        self.1 = left;
        self.0.within(|| seed.deserialize(self.0)).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        self.0.within(|| seed.deserialize(self.0))
    }
}

/// One variant of an enum.
struct Variant<'a>(Reader<'a>, &'static str);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Stop> {
        self.0.0.note(self.1);
        let name: serde::de::value::StrDeserializer<'_, Stop> = self.1.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.0.0.note("unit");
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        self.0.0.note("newtype");
        self.0.within(|| seed.deserialize(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.deserialize_struct(self.1, fields, visitor)
    }
}

#[cfg(test)]
mod tests;
