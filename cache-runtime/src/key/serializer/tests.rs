use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use serde::Serialize;

use super::*;
use crate::key::{Arguments, KeyPart};

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = KeyBuffer::default();
    write(value, Position::Argument, &mut out)
        .map_or_else(|refusal| refusal.0, |()| out.as_str().to_owned())
}

#[derive(Serialize)]
struct Point {
    x: i32,
    y: Option<i32>,
}

#[derive(Serialize)]
struct Meters(f64);

#[derive(Serialize)]
struct Pair(u8, u8);

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
enum By {
    Nothing,
    One(u8),
    Tuple((u8, u8)),
    Two(u8, u8),
    Named { w: u8 },
}

#[derive(Serialize)]
struct Filter<'a> {
    ids: HashSet<u32>,
    names: Option<&'a HashSet<String>>,
    groups: Vec<HashSet<u8>>,
}

#[derive(Serialize)]
struct Ids(HashSet<u32>);

#[test]
fn a_set_has_one_text_wherever_it_stands() {
    // Each set has an order of its own, as in different processes.
    let ids = || (0..12).collect::<HashSet<u32>>();
    let sorted = "(0,1,10,11,2,3,4,5,6,7,8,9)";
    for _ in 0..10 {
        let names: HashSet<_> = ["ada", "eve", "bob"].map(str::to_owned).into();
        let filter = Filter {
            ids: ids(),
            names: Some(&names),
            groups: vec![[3, 1, 2].into(), [2, 1].into()],
        };
        let texts = "Some(('ada','bob','eve'))";
        let whole = format!("<ids={sorted},names={texts},groups=((1,2,3),(1,2))>");
        assert_eq!(text(&filter), whole);
        assert_eq!(text(&Ids(ids())), sorted);
        assert_eq!(text(&&Box::new(ids())), sorted);
        assert_eq!(text(&Some(ids())), format!("Some({sorted})"));
        assert_eq!(text(&(1, ids())), format!("(1,{sorted})"));
        assert_eq!(
            text(&HashMap::from([("a", ids())])),
            format!("<'a'={sorted}>")
        );
        let heap: BinaryHeap<u8> = [1, 3, 2].into();
        assert_eq!(text(&heap), "(1,2,3)");
    }
    // The order of a list is part of its value.
    assert_eq!(text(&vec![2, 1]), "(2,1)");
}

#[test]
fn what_is_behind_a_dyn_is_refused() {
    trait Shape: erased::Serialize {}
    impl Shape for u8 {}
    impl Serialize for dyn Shape {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u8(self.number())
        }
    }
    let shape: &dyn Shape = &1u8;
    let add = |add: &dyn Fn(&mut Arguments)| {
        let mut arguments = Arguments::new("");
        add(&mut arguments);
        let key = arguments.finish("ns:user");
        key.expect_err("nobody knows its type").to_string()
    };
    assert!(add(&|to| shape.recached_add(to, "shape")).contains("behind a `dyn`"));
    assert!(add(&|to| (&shape).recached_field(to, "shape")).contains("behind a `dyn`"));
    assert!(text(&vec![Box::new(1u8) as Box<dyn Shape>]).contains("behind a `dyn`"));
}

mod erased {
    /// The form of a trait in crates that let serde serialize a `dyn`.
    pub(super) trait Serialize {
        fn number(&self) -> u8;
    }
    impl Serialize for u8 {
        fn number(&self) -> u8 {
            *self
        }
    }
}

#[test]
fn the_grammar_is_frozen() {
    assert_eq!(text(&true), "true");
    assert_eq!(text(&-7i8), "-7");
    assert_eq!(text(&u128::MAX), "340282366920938463463374607431768211455");
    assert_eq!(text(&1.0f64), "1.0");
    assert_eq!(text(&1e20f64), "1e20");
    assert_eq!(text(&-0.0f64), "-0.0");
    assert_eq!(text(&f32::NAN), "NaN");
    assert_eq!(text(&f64::NEG_INFINITY), "-inf");
    assert_eq!(text("ada"), "'ada'");
    assert_eq!(text(""), "''");
    assert_eq!(text(&'é'), "'%C3%A9'");
    assert_eq!(text(&()), "null");
    assert_eq!(text(&Unit), "null");
    assert_eq!(text(&None::<u8>), "None");
    assert_eq!(text(&Some(Some(1))), "Some(Some(1))");
    assert_eq!(text(&[1, 2]), "(1,2)");
    assert_eq!(text(&(1, "a")), "(1,'a')");
    assert_eq!(text(&Vec::<u8>::new()), "()");
    assert_eq!(text(&Point { x: 1, y: None }), "<x=1,y=None>");
    assert_eq!(text(&Meters(1.5)), "1.5");
    assert_eq!(text(&Pair(1, 2)), "(1,2)");
    assert_eq!(text(&By::Nothing), "By.Nothing");
    assert_eq!(text(&By::One(1)), "By.One(1)");
    assert_eq!(text(&By::Tuple((1, 2))), "By.Tuple((1,2))");
    assert_eq!(text(&By::Two(1, 2)), "By.Two(1,2)");
    assert_eq!(text(&By::Named { w: 1 }), "By.Named<w=1>");
    assert_eq!(text(&BTreeMap::from([("b", 1), ("a", 2)])), "<'a'=2,'b'=1>");
    assert_eq!(text(&BTreeMap::<u8, u8>::new()), "<>");
}

#[test]
fn bytes_are_written_in_hex() {
    struct Bytes(&'static [u8]);
    impl Serialize for Bytes {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    assert_eq!(text(&Bytes(b"\x00\xffa")), "0x00ff61");
}

#[test]
fn a_map_has_one_text_in_any_order() {
    let forward: HashMap<u32, u32> = (0..100).map(|n| (n, n)).collect();
    let backward: HashMap<u32, u32> = (0..100).rev().map(|n| (n, n)).collect();
    assert_eq!(text(&forward), text(&backward));
}

#[test]
fn values_that_look_alike_differ() {
    let looks = [
        text(&None::<&str>),
        text(&Some("")),
        text(&Some("None")),
        text("None"),
        text(""),
        text("null"),
        text(&()),
        text("1"),
        text(&1),
        text(&Some(1)),
        text(&(1,)),
        text("(1)"),
        text("'"),
        text("%27"),
        text(&By::Nothing),
        text("By.Nothing"),
    ];
    for (place, one) in looks.iter().enumerate() {
        assert!(!looks[..place].contains(one), "{one} twice");
    }
}

#[test]
fn what_is_nested_without_end_is_refused() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_some(&Endless)
        }
    }
    assert_eq!(text(&Endless), "it is nested more than 128 deep");
}
