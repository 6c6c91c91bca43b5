use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::*;

/// Types of the same name that differ only in their fields.
macro_rules! shapes {
    ($($name:ident { $($item:item)+ })+) => {
        $(#[allow(dead_code)] mod $name {
            #[allow(unused_imports)]
            use super::*;
            $($item)+
        })+
    };
}

shapes! {
    plain {
        #[derive(Deserialize)]
        pub(super) struct User { id: u64, name: String }
    }
    renamed {
        #[derive(Deserialize)]
        pub(super) struct User { id: u64, title: String }
    }
    widened {
        #[derive(Deserialize)]
        pub(super) struct User { id: u64, name: String, #[serde(default)] mail: Option<String> }
    }
    retyped {
        #[derive(Deserialize)]
        pub(super) struct User { id: u32, name: String }
    }
    nested {
        #[derive(Deserialize)]
        pub(super) struct User { id: u64, name: String, all: Vec<Option<HashMap<String, Inner>>> }
        #[derive(Deserialize)]
        pub(super) struct Inner { a: u8 }
    }
    deeper {
        #[derive(Deserialize)]
        pub(super) struct User { id: u64, name: String, all: Vec<Option<HashMap<String, Inner>>> }
        #[derive(Deserialize)]
        pub(super) struct Inner { b: u8 }
    }
    variants {
        #[derive(Deserialize)]
        pub(super) enum User { None, One(u64), Two(u64, String), Named { id: u64 } }
    }
    variants_renamed {
        #[derive(Deserialize)]
        pub(super) enum User { None, One(u64), Two(u64, String), Named { key: u64 } }
    }
    variants_retyped {
        #[derive(Deserialize)]
        pub(super) enum User { None, One(u64), Two(u64, u64), Named { id: u64 } }
    }
    recursive {
        #[derive(Deserialize)]
        pub(super) struct User { left: Option<Box<User>>, right: Option<Box<User>>, all: Vec<User> }
    }
    expression {
        #[derive(Deserialize)]
        pub(super) enum User { Sum(Box<User>, Box<User>), Not(Box<User>), Of(Vec<User>), Number(f64) }
    }
}

fn traced<T: DeserializeOwned>() -> u64 {
    Trace::of::<T>()
}

#[test]
fn shapes_differ_where_fields_variants_or_kinds_do() {
    let all = [
        traced::<plain::User>(),
        traced::<renamed::User>(),
        traced::<widened::User>(),
        traced::<retyped::User>(),
        traced::<nested::User>(),
        traced::<deeper::User>(),
        traced::<variants::User>(),
        traced::<variants_renamed::User>(),
        traced::<variants_retyped::User>(),
        traced::<recursive::User>(),
        traced::<expression::User>(),
        traced::<u64>(),
        traced::<Option<u64>>(),
        traced::<(u64, u64)>(),
        traced::<Vec<u64>>(),
        traced::<(u64, plain::User)>(),
        traced::<(u64, renamed::User)>(),
        traced::<HashMap<String, plain::User>>(),
        traced::<HashMap<String, renamed::User>>(),
        traced::<Option<Vec<(bool, String, retyped::User)>>>(),
        traced::<Option<Vec<(bool, String, deeper::User)>>>(),
        traced::<Result<u64, String>>(),
        traced::<Result<u64, u64>>(),
    ];
    for (place, shape) in all.iter().enumerate() {
        assert!(!all[..place].contains(shape), "{place}");
    }
}

#[test]
fn a_shape_is_the_same_each_time() {
    assert_eq!(traced::<expression::User>(), traced::<expression::User>());
    assert_eq!(shape_of::<plain::User>(), shape_of::<plain::User>());
    assert_eq!(traced::<Box<plain::User>>(), traced::<plain::User>());
}

#[test]
fn the_names_of_types_and_the_order_of_readings_are_frozen() {
    assert_eq!(traced::<u64>(), 0x329bd8f64cb2f649);
    assert_eq!(traced::<plain::User>(), 3011494020592653705);
    assert_eq!(traced::<variants::User>(), 5414516746944484266);
}

/// Number of values that conversions have received.
static GIVEN: AtomicUsize = AtomicUsize::new(0);

#[derive(Deserialize)]
#[serde(from = "String")]
struct OfText;

#[derive(Deserialize)]
#[serde(try_from = "plain::User")]
struct OfUser;

#[derive(Deserialize)]
#[serde(from = "Plan")]
struct OfPlan;

#[derive(Deserialize)]
enum Plan {
    Free,
    Paid,
}

fn given<T>(_: T) -> ! {
    GIVEN.fetch_add(1, Ordering::SeqCst);
    panic!("on purpose")
}

impl From<String> for OfText {
    fn from(text: String) -> Self {
        given(text)
    }
}

impl TryFrom<plain::User> for OfUser {
    type Error = String;

    fn try_from(user: plain::User) -> Result<Self, String> {
        given(user)
    }
}

impl From<Plan> for OfPlan {
    fn from(plan: Plan) -> Self {
        given(plan)
    }
}

fn with<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    u8::deserialize(from).map(|value| given(value))
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Converted {
    text: OfText,
    user: Option<OfUser>,
    plans: Vec<OfPlan>,
    pair: (OfPlan, OfText),
    by_key: BTreeMap<OfText, u8>,
    #[serde(deserialize_with = "with")]
    with: u8,
    #[serde(default, deserialize_with = "with")]
    last: u8,
}

impl PartialEq for OfText {
    fn eq(&self, _: &Self) -> bool {
        given(())
    }
}

impl Eq for OfText {}

impl PartialOrd for OfText {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OfText {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        given(())
    }
}

#[test]
fn no_code_of_the_users_is_run_on_a_made_up_value() {
    traced::<Converted>();
    traced::<(u8, OfText, OfPlan)>();
    traced::<HashMap<String, OfUser>>();
    assert_eq!(GIVEN.load(Ordering::SeqCst), 0);
}

/// A type that panics on an empty text.
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        assert!(!text.is_empty(), "on purpose");
        Ok(Self)
    }
}

#[test]
fn a_type_that_takes_no_plain_value_has_a_shape_all_the_same() {
    assert_ne!(traced::<(u8, Picky)>(), traced::<(u16, Picky)>());
    assert_ne!(traced::<std::net::IpAddr>(), traced::<String>());
    let _ = traced::<BTreeMap<char, serde_json::Value>>();
    let _ = traced::<std::time::Duration>();
    let _ = traced::<std::num::NonZeroU8>();
}
