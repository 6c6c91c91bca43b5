use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Input;
use crate::key::{Arguments, Key};

/// Values of serde's data model.
#[derive(Debug, PartialEq)]
enum Value {
    Unit,
    Bool(bool),
    Int(i64),
    KeyBuffer(String),
    Bytes(Vec<u8>),
    Nothing,
    Some(Box<Value>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Variant(&'static str),
    Holding(&'static str, Box<Value>),
}

const VARIANTS: [&str; 3] = ["A", "B", "None"];

impl Value {
    fn of(input: &mut Input<'_>, depth: u8) -> Self {
        let kinds = if depth == 0 { 7 } else { 11 };
        let variant = |input: &mut Input<'_>| VARIANTS[usize::from(input.byte() % 3)];
        let inner = |input: &mut Input<'_>| Self::of(input, depth - 1);
        match input.byte() % kinds {
            0 => Self::Unit,
            1 => Self::Bool(input.byte() % 2 == 1),
            2 => Self::Int(input.number() as i64),
            3 => Self::KeyBuffer(input.text(12)),
            4 => Self::Bytes(input.bytes(4).to_vec()),
            5 => Self::Nothing,
            6 => Self::Variant(variant(input)),
            7 => Self::Some(Box::new(inner(input))),
            8 => Self::List((0..input.byte() % 4).map(|_| inner(input)).collect()),
            9 => Self::Map(
                (0..input.byte() % 4)
                    .map(|_| (input.text(6), inner(input)))
                    .collect(),
            ),
            _ => Self::Holding(variant(input), Box::new(inner(input))),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::KeyBuffer(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Nothing => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(values) => serializer.collect_map(values),
            Self::Variant(name) => serializer.serialize_unit_variant("E", 0, name),
            Self::Holding(name, value) => serializer.serialize_newtype_variant("E", 0, name, value),
        }
    }
}

fn key_of(values: &[Value]) -> Option<Key> {
    let mut arguments = Arguments::new("m::f");
    for value in values {
        arguments.add("value", value);
    }
    let key = arguments.finish("ns:m.f").ok();
    if let Some(key) = &key {
        is_sound(key);
    }
    key
}

/// Checks that a key's text, as a push contains it, leads to the same entry, lease and function.
fn is_sound(key: &Key) {
    let text = key.as_str();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert!(
        !text.contains(['*', '?', '[', ']', '\\', '{', '}', '"']),
        "{text}"
    );
    assert!(Key::of(text).fingerprint() == key.fingerprint(), "{text}");
    assert_eq!(Key::of_lease(&key.lease()), Some(text));
    assert_eq!(Key::of_lease(text), None);
}

/// Checks that two lists of arguments have the same key only if they are equal.
pub fn key(data: &[u8]) {
    let mut input = Input(data);
    let mut list = || -> Vec<Value> {
        let count = input.byte() % 4;
        (0..count).map(|_| Value::of(&mut input, 3)).collect()
    };
    let (one, other) = (list(), list());
    if let (Some(a), Some(b)) = (key_of(&one), key_of(&other)) {
        assert_eq!(one == other, a == b, "{a} {b}");
    }
    // Keys by hand are distinct too; the colon after the name may be missing.
    let (one, other) = (input.text(40), input.text(40));
    let whole = |text: &str| match text.contains(':') {
        true => text.to_owned(),
        false => format!("{text}:"),
    };
    if let (Ok(a), Ok(b)) = (Key::by_hand("ns", &one), Key::by_hand("ns", &other)) {
        is_sound(&a);
        assert_eq!(whole(&one) == whole(&other), a == b, "{a} {b}");
    }
    // A key that the server sends need not be one of this cache.
    let foreign = String::from_utf8_lossy(data);
    drop(Key::of_lease(&foreign).map(Key::of));
    assert!(Key::of(&foreign).name().len() <= foreign.len());
}
