//! Signatures the attribute takes: lifetimes, patterns, generics, names, places. Of each, a second
//! call is served, other arguments are another entry, and the companion ends it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::num::ParseIntError;
use std::sync::Arc;

use recached::cached;
use recached_tests::{assert_cached, assert_cached_async, ran, runs};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Meters(u32);

#[derive(Serialize)]
struct View<'a> {
    text: &'a str,
    rest: &'a [u8],
}

#[cached(ttl = 60)]
fn elided(text: &str) -> usize {
    ran("elided");
    text.len()
}

#[cached(ttl = 60)]
fn named<'a, 'b: 'a>(first: &'a str, second: &'b str) -> String {
    ran("named");
    format!("{first}{second}")
}

#[cached(ttl = 60)]
async fn named_and_awaited<'a>(first: &'a str, second: &'a [Option<&'a str>]) -> String {
    ran("named_and_awaited");
    tokio::task::yield_now().await;
    format!("{first}{second:?}")
}

#[cached(ttl = 60)]
fn anonymous(view: View<'_>, text: Cow<'_, str>, list: Cow<'_, [u8]>) -> usize {
    ran("anonymous");
    view.text.len() + view.rest.len() + text.len() + list.len()
}

#[cached(ttl = 60)]
fn forever(text: &'static str) -> Cow<'static, str> {
    ran("forever");
    text.into()
}

#[cached(ttl = 60)]
fn exclusive(list: &mut Vec<u8>, rest: &mut [u8]) -> usize {
    ran("exclusive");
    list.len() + rest.len()
}

#[cached(ttl = 60)]
fn nested(of: &Option<&Vec<(&str, &Point)>>) -> usize {
    ran("nested");
    of.map_or(0, Vec::len)
}

#[tokio::test]
async fn lifetimes_may_be_named_elided_and_anonymous() {
    assert_cached!("elided", elided("a"), elided("b"), elided_entry("a"));
    assert_cached!(
        "named",
        named("a", "b"),
        named("b", "a"),
        named_entry("a", "b")
    );
    assert_cached_async!(
        "named_and_awaited",
        named_and_awaited("a", &[Some("b"), None]),
        named_and_awaited("a", &[None, Some("b")]),
        named_and_awaited_entry("a", &[Some("b"), None])
    );
    let view = |text| View { text, rest: b"r" };
    assert_cached!(
        "anonymous",
        anonymous(view("a"), "b".into(), b"c".into()),
        anonymous(view("b"), "a".into(), b"c".into()),
        anonymous_entry(view("a"), Cow::Owned("b".into()), vec![b'c'].into())
    );
    assert_cached!("forever", forever("a"), forever("b"), forever_entry("a"));
    assert_cached!(
        "exclusive",
        exclusive(&mut vec![1], &mut [2]),
        exclusive(&mut vec![2], &mut [1]),
        exclusive_entry(&mut vec![1], &mut [2])
    );
    let origin = Point { x: 0, y: 0 };
    let list = vec![("a", &origin)];
    assert_cached!(
        "nested",
        nested(&Some(&list)),
        nested(&None),
        nested_entry(&Some(&list))
    );
}

#[cached(ttl = 60)]
fn tuple((a, (b, c)): (u8, (u8, u8))) -> u8 {
    ran("tuple");
    a + b + c
}

#[cached(ttl = 60)]
fn structure(Point { x, y: up }: Point, Meters(meters): Meters) -> i32 {
    ran("structure");
    x + up + meters as i32
}

#[cached(ttl = 60)]
fn mutable(mut x: u8, (mut y, _): (u8, u8)) -> u8 {
    ran("mutable");
    x += 1;
    y += 1;
    x + y
}

#[cached(ttl = 60)]
fn unnamed(_: u8, _: u8, _unused: u8) -> u8 {
    ran("unnamed");
    1
}

#[cached(ttl = 60)]
fn by_reference(ref text: String, whole @ Point { x, .. }: Point) -> usize {
    ran("by_reference");
    text.len() + x as usize + whole.y as usize
}

#[cached(ttl = 60)]
async fn patterns_awaited(&[a, _]: &[u8; 2], Point { ref x, .. }: Point, mut list: Vec<u8>) -> u8 {
    ran("patterns_awaited");
    tokio::task::yield_now().await;
    list.push(a);
    list.len() as u8 + *x as u8
}

#[tokio::test]
async fn patterns_are_keyed_by_the_whole_argument() {
    assert_cached!(
        "tuple",
        tuple((1, (2, 3))),
        tuple((3, (2, 1))),
        tuple_entry((1, (2, 3)))
    );
    let point = |x| Point { x, y: 9 };
    assert_cached!(
        "structure",
        structure(point(1), Meters(2)),
        structure(point(2), Meters(1)),
        structure_entry(point(1), Meters(2))
    );
    assert_cached!(
        "mutable",
        mutable(1, (2, 3)),
        mutable(1, (2, 4)),
        mutable_entry(1, (2, 3))
    );
    // What has no name is an argument all the same.
    assert_cached!(
        "unnamed",
        unnamed(1, 2, 3),
        unnamed(2, 1, 3),
        unnamed_entry(1, 2, 3)
    );
    assert_cached!(
        "by_reference",
        by_reference("a".into(), point(1)),
        by_reference("b".into(), point(1)),
        by_reference_entry("a".into(), point(1))
    );
    assert_cached_async!(
        "patterns_awaited",
        patterns_awaited(&[1, 2], point(1), vec![]),
        patterns_awaited(&[1, 3], point(1), vec![]),
        patterns_awaited_entry(&[1, 2], point(1), vec![])
    );
}

#[cached(ttl = 60)]
fn sized<const N: usize, const ON: bool>(list: &[u8]) -> Vec<u8> {
    ran("sized");
    list.iter()
        .take(N)
        .map(|item| item + u8::from(ON))
        .collect()
}

#[cached(ttl = 60)]
fn bounded<K, V>(map: &BTreeMap<K, V>) -> Result<String, ParseIntError>
where
    K: Serialize + Ord + Display,
    for<'a> &'a V: Serialize,
    V: Serialize,
    Vec<K>: Sized,
{
    ran("bounded");
    Ok(map.keys().map(ToString::to_string).collect())
}

#[cached(ttl = 60)]
async fn returned<T, E>(value: T) -> Result<Option<T>, E>
where
    T: Clone + Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static,
    E: From<std::io::Error>,
{
    ran("returned");
    Ok(Some(value))
}

#[cached(ttl = 60)]
fn any(values: impl IntoIterator<Item = u8> + Serialize, other: &impl Serialize) -> u8 {
    ran("any");
    let _ = other;
    values.into_iter().sum()
}

#[cached(ttl = 60, skip(of))]
async fn any_skipped<T: Serialize>(value: T, of: impl Fn(&T) -> u8 + Send) -> u8 {
    ran("any_skipped");
    of(&value)
}

#[tokio::test]
async fn generics_where_clauses_and_impl_arguments_stay() {
    assert_cached!(
        "sized",
        sized::<2, true>(&[1, 2]),
        sized::<2, false>(&[1, 2]),
        sized_entry::<2, true>(&[1, 2])
    );
    let map = |key: u8| BTreeMap::from([(key, "value")]);
    assert_cached!(
        "bounded",
        bounded(&map(1)),
        bounded(&map(2)),
        bounded_entry(&map(1))
    );
    type E = Box<dyn std::error::Error>;
    let unwrap = |result: Result<Option<u8>, E>| result.expect("it works");
    assert_cached_async!(
        "returned",
        async { unwrap(returned::<u8, E>(1).await) },
        async { unwrap(returned::<u8, E>(2).await) },
        returned_entry::<u8, E>(1)
    );
    assert_cached!(
        "any",
        any(vec![1u8, 2], &"a"),
        any([1u8, 2], &"a"),
        any_entry(vec![1u8, 2], &"a")
    );
    assert_cached_async!(
        "any_skipped",
        any_skipped(1, |value| value + 1),
        any_skipped(2, |value| value + 1),
        any_skipped_entry(1, |value| value + 1)
    );
}

#[cached(ttl = 60)]
fn common(cache: u8, key: u8, result: u8, value: u8, function: u8, call: u8, args: u8) -> u8 {
    ran("common");
    cache + key + result + value + function + call + args
}

#[cached(
    ttl = 60,
    key = "{arguments}:{hit}:{policy}:{entry}:{place}:{__x}:{compute}"
)]
async fn generated(
    arguments: u8,
    hit: u8,
    policy: u8,
    entry: u8,
    place: u8,
    __x: u8,
    compute: u8,
) -> u8 {
    ran("generated");
    arguments + hit + policy + entry + place + __x + compute
}

#[cached(ttl = 60)]
fn r#type(r#match: u8, r#fn: &str) -> u8 {
    ran("type");
    r#match + r#fn.len() as u8
}

#[cached(ttl = 60, skip(r#where), with(r#type % 10))]
async fn raw(r#type: u8, r#where: u8) -> u8 {
    ran("raw");
    r#type + r#where
}

#[cached(ttl = 60, key = "of:{r#type}")]
fn raw_template(r#type: u8) -> u8 {
    ran("raw_template");
    r#type
}

#[expect(non_camel_case_types, reason = "names that generated code may mention")]
mod shadowed {
    use super::*;

    struct Option;
    struct Some;
    struct None;
    struct Send;
    struct Future;
    struct Duration;
    struct str;
    struct u8;
    mod core {}
    mod std {}

    #[cached(ttl = 60, none_ttl = "1s", lease = "5s")]
    pub async fn among_strangers(id: u64) -> ::core::option::Option<u64> {
        ran("among_strangers");
        let _ = (Option, Some, None, Send, Future, Duration, str, u8);
        ::core::option::Option::Some(id)
    }
}

#[tokio::test]
async fn nothing_clashes_with_generated_names() {
    assert_cached!(
        "common",
        common(1, 2, 3, 4, 5, 6, 7),
        common(7, 6, 5, 4, 3, 2, 1),
        common_entry(1, 2, 3, 4, 5, 6, 7)
    );
    assert_cached_async!(
        "generated",
        generated(1, 2, 3, 4, 5, 6, 7),
        generated(7, 6, 5, 4, 3, 2, 1),
        generated_entry(1, 2, 3, 4, 5, 6, 7)
    );
    assert_cached!("type", r#type(1, "a"), r#type(1, "b"), type_entry(1, "a"));
    assert_cached_async!("raw", raw(1, 2), raw(2, 2), raw_entry(1, 0));
    assert_cached!(
        "raw_template",
        raw_template(1),
        raw_template(2),
        raw_template_entry(1)
    );
    assert_cached_async!(
        "among_strangers",
        shadowed::among_strangers(1),
        shadowed::among_strangers(2),
        shadowed::among_strangers_entry(1)
    );
}

mod outer {
    pub(crate) mod inner {
        #[recached::cached(ttl = 60)]
        pub(in crate::outer) fn within(id: u8) -> u8 {
            recached_tests::ran("within");
            id
        }
    }

    #[recached::cached(ttl = 60)]
    pub(super) fn around(id: u8) -> u8 {
        recached_tests::ran("around");
        id
    }

    pub(crate) fn through(id: u8) -> (u8, bool) {
        (
            inner::within(id),
            inner::within_entry(id).invalidate().expect("it works"),
        )
    }
}

#[cached(ttl = 60)]
async fn enclosing(id: u8) -> u8 {
    #[cached(ttl = 60)]
    async fn enclosed(id: u8) -> u8 {
        ran("enclosed");
        id + 1
    }
    ran("enclosing");
    let inner = enclosed(id).await;
    assert_eq!(
        enclosed_entry(id).peek().await.expect("it works"),
        Some(inner)
    );
    inner
}

#[tokio::test]
async fn functions_may_stand_anywhere() {
    assert_cached!(
        "around",
        outer::around(1),
        outer::around(2),
        outer::around_entry(1)
    );
    assert_eq!([outer::through(1), outer::through(1)], [(1, true); 2]);
    assert_eq!(runs("within"), 2);
    assert_cached_async!("enclosing", enclosing(1), enclosing(2), enclosing_entry(1));
    assert_eq!(runs("enclosed"), 2);

    #[cached(ttl = 60)]
    fn local(id: u8) -> u8 {
        ran("local");
        id
    }
    assert_cached!("local", local(1), local(2), local_entry(1));
    let closed = || {
        #[cached(ttl = 60)]
        fn local(id: u8) -> u8 {
            ran("local in a closure");
            id + 1
        }
        local(1)
    };
    assert_eq!((closed(), local(1)), (2, 1));
}

#[cached(ttl = 60)]
fn nothing() {
    ran("nothing");
}

#[cached(ttl = 60)]
fn never_stored(id: u8) -> Result<(), Arc<dyn Debug + Send + Sync>> {
    ran("never_stored");
    if id == 0 {
        Err(Arc::new("zero"))
    } else {
        Ok(())
    }
}

#[cached(ttl = 60)]
fn recursive(n: u64) -> u64 {
    ran("recursive");
    if n < 2 {
        n
    } else {
        recursive(n - 1) + recursive(n - 2)
    }
}

#[test]
fn units_errors_and_recursion_are_returns_too() {
    nothing();
    nothing();
    assert_eq!(runs("nothing"), 1);
    assert!(nothing_entry().invalidate().expect("it works"));
    nothing();
    assert_eq!(runs("nothing"), 2);
    assert!(never_stored(0).is_err() && never_stored(0).is_err());
    assert!(never_stored(1).is_ok() && never_stored(1).is_ok());
    assert_eq!(runs("never_stored"), 3);
    assert_eq!(recursive(80), 23_416_728_348_467_685);
    assert_eq!(runs("recursive"), 81);
}
