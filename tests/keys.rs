//! Keys: two different argument lists never share a key, and one list always has the same key.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use recached::__private::Arguments;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Any value of serde's data model, distinguished by its value and not by its width.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Unit,
    Bool(bool),
    Int(i128),
    Text(String),
    Bytes(Vec<u8>),
    Nothing,
    Some(Box<Value>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Variant(u8),
    Holding(u8, Box<Value>),
    Several(u8, Vec<Value>),
}

const VARIANTS: [&str; 3] = ["A", "B", "None"];

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i128(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Nothing => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(values) => serializer.collect_map(values),
            Self::Variant(variant) => {
                serializer.serialize_unit_variant("E", 0, VARIANTS[*variant as usize])
            }
            Self::Holding(variant, value) => {
                serializer.serialize_newtype_variant("E", 0, VARIANTS[*variant as usize], value)
            }
            Self::Several(variant, values) => {
                use serde::ser::SerializeTupleVariant;
                let name = VARIANTS[*variant as usize];
                let mut tuple = serializer.serialize_tuple_variant("F", 0, name, values.len())?;
                for value in values {
                    tuple.serialize_field(value)?;
                }
                tuple.end()
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c:,()<>'%*?{}.=#]{0,6}",
        any::<String>(),
        prop::sample::select(vec![
            "None", "null", "true", "1", "", "Some(1)", "E.A", "''"
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Unit),
        Just(Value::Nothing),
        any::<bool>().prop_map(Value::Bool),
        (-3..30i128).prop_map(Value::Int),
        any::<i128>().prop_map(Value::Int),
        text().prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
        (0..3u8).prop_map(Value::Variant),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| Value::Some(Box::new(value))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(text(), inner.clone(), 0..4).prop_map(Value::Map),
            (0..3u8, inner.clone())
                .prop_map(|(variant, value)| Value::Holding(variant, Box::new(value))),
            (0..3u8, prop::collection::vec(inner, 0..4))
                .prop_map(|(variant, values)| Value::Several(variant, values)),
        ]
    })
}

fn key(arguments: &[Value]) -> String {
    let mut list = Arguments::new("m::f::{{closure}}");
    for argument in arguments {
        list.add("argument", argument);
    }
    list.finish("ns:m.f")
        .expect("it can be written")
        .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn different_argument_lists_never_share_a_key(
        a in prop::collection::vec(value(), 0..4),
        b in prop::collection::vec(value(), 0..4),
    ) {
        prop_assert_eq!(a == b, key(&a) == key(&b), "{} {}", key(&a), key(&b));
    }

    #[test]
    fn a_small_change_changes_the_key(a in prop::collection::vec(text(), 1..4), cut in 0..8usize) {
        // The same characters, with the border between two arguments elsewhere.
        let joined: String = a.concat();
        let border = joined.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(joined.len());
        let moved = [joined[..border].to_owned(), joined[border..].to_owned()];
        let texts = |list: &[String]| list.iter().cloned().map(Value::Text).collect::<Vec<_>>();
        prop_assert_eq!(a == moved, key(&texts(&a)) == key(&texts(&moved)));
    }

    #[test]
    fn a_key_has_no_sign_that_a_glob_or_a_cluster_slot_would_read(a in prop::collection::vec(value(), 0..4)) {
        let key = key(&a);
        prop_assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{}", key);
        prop_assert!(!key.contains(['*', '?', '[', ']', '\\', '{', '}', '^', '!', '"', ' ']), "{}", key);
        let hashed = key.contains('#');
        prop_assert!(hashed || key.matches(':').count() == 1 + a.len().max(1), "{}", key);
        prop_assert!(key.len() < 300);
    }

    #[test]
    fn a_map_has_one_key_in_any_order(entries in prop::collection::vec((text(), 0..9u8), 0..12)) {
        struct Ordered<'a>(Vec<(&'a String, u8)>);
        impl Serialize for Ordered<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.len()))?;
                for (key, value) in &self.0 {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
        let unique: HashMap<&String, u8> = entries.iter().map(|(key, value)| (key, *value)).collect();
        let mut forward: Vec<_> = unique.into_iter().collect();
        let text = |map: &Ordered<'_>| {
            let mut list = Arguments::new("m::f");
            list.add("map", map);
            list.finish("ns:m.f").expect("it can be written").to_string()
        };
        let first = text(&Ordered(forward.clone()));
        forward.reverse();
        prop_assert_eq!(first, text(&Ordered(forward)));
    }

    #[test]
    fn a_template_keeps_its_placeholders_apart(a in text(), b in text(), c in text(), d in text()) {
        let key = |one: &str, two: &str| {
            let mut list = Arguments::new("m::f");
            list.text("x:");
            list.field("one", one);
            list.text(":");
            list.field("two", two);
            list.finish("ns:m.f").expect("it can be written").to_string()
        };
        prop_assert_eq!((&a, &b) == (&c, &d), key(&a, &b) == key(&c, &d));
    }

    #[test]
    fn a_placeholder_that_may_be_anything_is_distinguished(a in value(), b in value()) {
        let key = |value: &Value| {
            let mut list = Arguments::new("m::f");
            list.text("x:");
            list.field("value", value);
            list.finish("ns:m.f").expect("it can be written").to_string()
        };
        prop_assert_eq!(a == b, key(&a) == key(&b), "{} {}", key(&a), key(&b));
        // A text argument with the same characters as the encoded key.
        let written = key(&a).replace("ns:m.f:x:", "");
        let text = Value::Text(written);
        prop_assert_eq!(a == text, key(&a) == key(&text), "{}", key(&a));
    }
}
