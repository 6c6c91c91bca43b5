//! Signatures that the attribute accepts: lifetimes, patterns, generics, return types. For each,
//! the second call is a hit, other arguments are another entry, and the entry handle invalidates
//! the entry.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::num::ParseIntError;
use std::sync::Arc;

use recached::{cached, invalidates};
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

#[cached(ttl = 60, skip(list, rest), with(&*list, &*rest))]
fn exclusive(list: &mut std::collections::VecDeque<u8>, rest: &mut [u8]) -> usize {
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
        exclusive(&mut vec![1].into(), &mut [2]),
        exclusive(&mut vec![2].into(), &mut [1]),
        exclusive_entry(&mut vec![1].into(), &mut [2])
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
    // Unnamed parameters are part of the key too.
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

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[cached(ttl = 60)]
async fn coerced(id: u8) -> Result<Box<[u8]>, Failure> {
    ran("coerced");
    match id {
        0 => return Err(Box::new(std::fmt::Error)),
        1 => Err(Box::new(std::io::Error::other("one"))),
        _ => Ok(Box::new([id])),
    }
}

#[invalidates("nothing_has_this_name")]
async fn coerced_too(id: u8) -> Result<Box<[u8]>, Failure> {
    if id == 0 {
        return Err(Box::new(std::fmt::Error));
    }
    Ok(Box::new([id]))
}

#[tokio::test]
async fn what_a_body_gives_becomes_what_the_signature_says() {
    assert!(coerced(0).await.is_err() && coerced(1).await.is_err());
    assert_eq!(coerced_too(2).await.expect("it works"), [2].into());
    assert_cached_async!(
        "coerced",
        async { coerced(2).await.expect("it works") },
        async { coerced(3).await.expect("it works") },
        coerced_entry(2)
    );
}

#[cached(ttl = 60)]
fn attributes_inside(id: u8) -> u8 {
    //! Documented here.
    #![allow(unused_variables)]
    let unused = 1;
    ran("attributes_inside");
    id
}

#[cached(ttl = 60)]
async fn attributes_inside_awaited(id: u8) -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    ran("attributes_inside_awaited");
    id
}

#[tokio::test]
async fn attributes_may_stand_inside_of_the_body() {
    assert_cached!(
        "attributes_inside",
        attributes_inside(1),
        attributes_inside(2),
        attributes_inside_entry(1)
    );
    assert_cached_async!(
        "attributes_inside_awaited",
        attributes_inside_awaited(1),
        attributes_inside_awaited(2),
        attributes_inside_awaited_entry(1)
    );
}

#[cached(ttl = 60, none_ttl = "1ms", err_ttl = 60, jitter = 0.0)]
async fn looked_up(id: u64) -> Result<Option<Arc<u64>>, String> {
    ran("looked_up");
    match id {
        0 => Ok(None),
        1 => Err("one".into()),
        _ => Ok(Some(Arc::new(id))),
    }
}

#[tokio::test]
async fn nothing_and_errors_may_both_have_lifetimes_of_their_own() {
    let (one, two) = (looked_up(1).await, looked_up(2).await);
    assert_eq!(looked_up(0).await, Ok(None));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(looked_up(0).await, Ok(None));
    assert_eq!(runs("looked_up"), 4);
    assert_eq!(looked_up(1).await, one);
    assert_eq!(looked_up(2).await, two);
    assert_eq!(runs("looked_up"), 4);
}

trait Zone {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Utc;

impl Zone for Utc {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Time<Z: Zone>(u64, Z);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Grid<const N: usize, const ON: bool>(u8);

struct Clock;

impl Clock {
    #[cached(ttl = 60, skip(self))]
    fn time(&self, id: u64) -> Time<Utc> {
        ran("time");
        Time(id, Utc)
    }
}

#[cached(ttl = 60)]
fn grid<const N: usize, const ON: bool>(id: u8) -> Grid<N, ON> {
    ran("grid");
    Grid(id)
}

#[test]
fn returned_types_may_ask_something_of_their_arguments() {
    assert_cached!("time", Clock.time(1), Clock.time(2), Clock.time_entry(1));
    assert_cached!(
        "grid",
        grid::<2, true>(1),
        grid::<2, true>(2),
        grid_entry::<2, true>(1)
    );
}

#[cached(ttl = 60)]
fn nothing() -> () {
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
    assert_eq!(nothing_entry().invalidate().expect("it works").entries, 1);
    nothing();
    assert_eq!(runs("nothing"), 2);
    assert!(never_stored(0).is_err() && never_stored(0).is_err());
    assert!(never_stored(1).is_ok() && never_stored(1).is_ok());
    assert_eq!(runs("never_stored"), 3);
    assert_eq!(recursive(80), 23_416_728_348_467_685);
    assert_eq!(runs("recursive"), 81);
}

/// serde cannot serialize an `Arc` in this crate: its feature `rc` is off.
#[cached(ttl = 60)]
fn shared_text(of: Arc<str>) -> Arc<str> {
    ran("shared_text");
    of
}

#[cached(ttl = 60)]
async fn shared_list<T: Clone + Serialize + Sync>(
    of: &Arc<[T]>,
    _at: Option<Arc<u8>>,
) -> Arc<[u8]> {
    ran("shared_list");
    of.iter().map(|_| 7).collect()
}

#[cached(ttl = 60, key = "{of}:{at}")]
async fn shared_maybe(of: Arc<String>, at: Arc<u8>) -> Result<Option<Arc<str>>, ParseIntError> {
    ran("shared_maybe");
    of.parse::<u8>().map(|_| Some((*of).as_str().into()))
}

#[cached(ttl = 60, err_ttl = 60, secret(of), tags("{other}"))]
fn shared_or_not(of: Arc<str>, other: Arc<str>) -> Result<Arc<std::path::Path>, String> {
    ran("shared_or_not");
    match other.is_empty() {
        true => Err("empty".into()),
        false => Ok(std::path::Path::new(&*of).into()),
    }
}

struct Shelf<T>(T);

impl<T: Serialize> Shelf<T> {
    #[cached(ttl = 60, with(self.0))]
    fn label(&self, of: Arc<T>) -> Option<Arc<str>>
    where
        T: std::fmt::Display,
    {
        ran("label");
        Some(of.to_string().into())
    }
}

#[tokio::test]
async fn what_an_arc_shares_is_written_without_a_feature_of_serde() {
    let text = |of: &str| Arc::<str>::from(of);
    assert_cached!(
        "shared_text",
        shared_text(text("a")),
        shared_text(text("b")),
        shared_text_entry(text("a"))
    );
    assert!(Arc::ptr_eq(
        &shared_text(text("a")),
        &shared_text(text("a"))
    ));
    let entry = shared_text_entry(text("a"));
    let key = entry.key().expect("it is good").as_str();
    assert!(key.starts_with("recached:signatures.shared_text@"), "{key}");
    assert!(key.ends_with(":'a'"), "{key}");
    let (one, two) = (Arc::from([1u8]), Arc::from([2u8, 3]));
    assert_cached_async!(
        "shared_list",
        shared_list(&one, None),
        shared_list(&two, Some(Arc::new(1))),
        shared_list_entry(&one, None)
    );
    let of = |of: &str| Arc::new(of.to_owned());
    assert_cached_async!(
        "shared_maybe",
        shared_maybe(of("1"), Arc::new(2)),
        shared_maybe(of("2"), Arc::new(1)),
        shared_maybe_entry(of("1"), Arc::new(2))
    );
    for (name, other) in [("ok", text("x")), ("err", text(""))] {
        assert_cached!(
            "shared_or_not",
            shared_or_not(text(name), other.clone()),
            shared_or_not(text("other"), other.clone()),
            shared_or_not_entry(text(name), other.clone())
        );
    }
    let shelf = Shelf(1u8);
    assert_cached!(
        "label",
        shelf.label(Arc::new(1)),
        shelf.label(Arc::new(2)),
        shelf.label_entry(Arc::new(1))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_arc_shares_comes_back_from_redis() {
    use std::sync::OnceLock;
    static CACHE: OnceLock<recached::Cache> = OnceLock::new();

    #[cached(ttl = 60, cache = CACHE.get().expect("it is there"), near = false)]
    async fn read(of: Arc<str>) -> Option<Arc<[String]>> {
        ran("read from redis");
        Some([of.to_string()].into())
    }
    let server = recached_tests::Server::start();
    let cache = recached_tests::cache_on(&server.url(), "arcs");
    assert!(CACHE.set(cache).is_ok());
    for _ in 0..3 {
        let read = read("a".into()).await.expect("there is one");
        assert_eq!(*read, ["a".to_owned()]);
    }
    assert_eq!(runs("read from redis"), 1);
}

trait Row {
    const NAME: &'static str;
}

impl Row for Meters {
    const NAME: &'static str = "meters";
}

/// A type whose parameter must be a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Page<T: Row> {
    rows: Vec<T>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Matrix<const SIZE: usize>([u8; 2]);

#[cached(ttl = 60)]
fn page<T: Row + Clone + recached::Storable>(row: T) -> Page<T> {
    ran("page");
    Page { rows: vec![row] }
}

#[cached(ttl = 60)]
async fn page_later<T>(row: T, _size: u8) -> Page<T>
where
    T: Clone + recached::Storable,
    T: Row,
{
    ran("page_later");
    Page { rows: vec![row] }
}

#[cached(ttl = 60)]
fn matrix<const SIZE: usize>(of: u8) -> Matrix<SIZE> {
    ran("matrix");
    Matrix([of, u8::try_from(SIZE).unwrap_or(u8::MAX)])
}

struct Book<T, const SIZE: usize>(T);

impl<T: Row + Clone + recached::Storable, const SIZE: usize> Book<T, SIZE> {
    #[cached(ttl = 60, with(self.0))]
    fn page(&self, _at: u8) -> Page<T> {
        ran("Book::page");
        Page {
            rows: vec![self.0.clone()],
        }
    }

    #[cached(ttl = 60, skip(self))]
    async fn matrix(&self, of: u8) -> Matrix<SIZE> {
        ran("Book::matrix");
        Matrix([of, 1])
    }

    #[cached(ttl = 60, skip(self))]
    fn maybe_matrix(&self, of: u8) -> Result<Option<Matrix<SIZE>>, NotClone> {
        ran("Book::maybe_matrix");
        Ok(Some(Matrix([of, 1])))
    }
}

struct NotClone;

#[tokio::test]
async fn a_generic_type_may_bound_its_parameters() {
    let row = Meters;
    assert_cached!("page", page(row(1)), page(row(2)), page_entry(row(1)));
    assert_cached_async!(
        "page_later",
        page_later(row(1), 1),
        page_later(row(1), 2),
        page_later_entry(row(1), 1)
    );
    assert_cached!(
        "matrix",
        matrix::<2>(1),
        matrix::<3>(1),
        matrix_entry::<2>(1)
    );
    let book = Book::<_, 7>(row(1));
    assert_cached!("Book::page", book.page(1), book.page(2), book.page_entry(1));
    assert_cached_async!(
        "Book::matrix",
        book.matrix(1),
        book.matrix(2),
        book.matrix_entry(1)
    );
    assert_cached!(
        "Book::maybe_matrix",
        book.maybe_matrix(1).ok(),
        book.maybe_matrix(2),
        book.maybe_matrix_entry(1)
    );
    assert_eq!(Meters::NAME, "meters");
}
