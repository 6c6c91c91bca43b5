//! The attribute: accepted functions, and calls that share an entry.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use recached::{Cache, cached};
use serde::{Deserialize, Serialize};

/// Number of runs of each body, by name.
static RUNS: LazyLock<std::sync::Mutex<HashMap<&'static str, usize>>> =
    LazyLock::new(Default::default);

fn ran(name: &'static str) {
    *RUNS
        .lock()
        .expect("no panic inside")
        .entry(name)
        .or_default() += 1;
}

fn runs(name: &'static str) -> usize {
    RUNS.lock()
        .expect("no panic inside")
        .get(name)
        .copied()
        .unwrap_or(0)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

#[cached(ttl = 60)]
async fn plain(id: u64) -> User {
    ran("plain");
    User {
        id,
        name: format!("user {id}"),
    }
}

#[tokio::test]
async fn a_plain_value_is_computed_once() {
    assert_eq!(plain(1).await, plain(1).await);
    plain(2).await;
    assert_eq!(runs("plain"), 2);
}

type Fallible<T> = Result<T, NotClone>;

/// An error without any traits: no `Debug`, no `Clone`, no serde.
struct NotClone;

#[cached(ttl = "1h 30m")]
async fn aliased(id: u64) -> Fallible<u64> {
    ran("aliased");
    if id == 0 { Err(NotClone) } else { Ok(id) }
}

#[tokio::test]
async fn only_the_ok_of_an_aliased_result_is_stored() {
    assert!(aliased(0).await.is_err());
    assert!(aliased(0).await.is_err());
    assert!(aliased(1).await.is_ok());
    assert!(aliased(1).await.is_ok());
    assert_eq!(runs("aliased"), 3);
}

#[cached(ttl = Duration::from_secs(60))]
async fn question_mark(text: &str) -> Result<u32, std::num::ParseIntError> {
    ran("question_mark");
    let number: u32 = text.trim().parse()?;
    if number == 7 {
        return Ok(0);
    }
    Ok(number + 1)
}

#[tokio::test]
async fn question_marks_and_returns_stay_in_the_body() {
    assert_eq!(question_mark("1").await, Ok(2));
    assert_eq!(question_mark("7").await, Ok(0));
    assert_eq!(question_mark("1").await, Ok(2));
    assert!(question_mark("x").await.is_err());
    assert_eq!(runs("question_mark"), 3);
}

#[cached(ttl = 60)]
async fn shared(id: u64) -> Arc<User> {
    ran("shared");
    Arc::new(User {
        id,
        name: String::new(),
    })
}

#[cached(ttl = 60)]
async fn shared_or_not(id: u64) -> Result<Option<Arc<User>>, NotClone> {
    ran("shared_or_not");
    Ok((id > 0).then(|| {
        Arc::new(User {
            id,
            name: String::new(),
        })
    }))
}

#[tokio::test]
async fn an_arc_is_shared_and_not_cloned() {
    assert!(Arc::ptr_eq(&shared(1).await, &shared(1).await));
    let one = || async { shared_or_not(1).await.ok().flatten().expect("there is one") };
    assert!(Arc::ptr_eq(&one().await, &one().await));
    assert!(shared_or_not(0).await.is_ok_and(|none| none.is_none()));
    assert!(shared_or_not(0).await.is_ok_and(|none| none.is_none()));
    assert_eq!((runs("shared"), runs("shared_or_not")), (1, 2));
}

#[cached(ttl = 60, none_ttl = "1ms", jitter = 0.0)]
async fn found(id: u64) -> Option<u64> {
    ran("found");
    (id > 0).then_some(id)
}

#[tokio::test]
async fn none_may_live_shorter_than_any_value() {
    found(1).await;
    found(0).await;
    recached_tests::until("the None has expired", || async {
        found_entry(0).peek().await.expect("it works").is_none()
    })
    .await;
    found(0).await;
    found(1).await;
    assert_eq!(runs("found"), 3);
}

#[cached(ttl = 60)]
fn blocking(a: &[u8], b: Option<&str>, c: Cow<'_, str>) -> String {
    ran("blocking");
    format!("{a:?} {b:?} {c}")
}

#[test]
fn a_plain_function_takes_borrowed_arguments() {
    assert_eq!(
        blocking(&[1, 2], Some("x"), "y".into()),
        "[1, 2] Some(\"x\") y"
    );
    blocking(&[1, 2], Some("x"), Cow::Owned("y".to_owned()));
    assert_eq!(runs("blocking"), 1);
    blocking(&[1, 2], None, "y".into());
    assert_eq!(runs("blocking"), 2);
    let entry = blocking_entry(&[1, 2], None, "y".into());
    assert_eq!(
        entry.peek().expect("it works").as_deref(),
        Some("[1, 2] None y")
    );
    assert!(
        entry
            .ttl()
            .expect("it works")
            .is_some_and(|ttl| ttl > Duration::from_secs(50))
    );
    assert_eq!(entry.invalidate().expect("it works").entries, 1);
    blocking(&[1, 2], None, "y".into());
    assert_eq!(runs("blocking"), 3);
    assert_eq!(
        blocking_entry(&[1, 2], None, "y".into()).refresh(),
        "[1, 2] None y"
    );
    assert_eq!(runs("blocking"), 4);
}

#[cached(ttl = 60)]
async fn clashes(
    cache: u8,
    key: u8,
    result: u8,
    call: u8,
    arguments: u8,
    policy: u8,
    entry: u8,
) -> u32 {
    let sum: u32 = [cache, key, result, call, arguments, policy, entry]
        .iter()
        .map(|n| u32::from(*n))
        .sum();
    sum
}

#[tokio::test]
async fn arguments_may_have_any_name() {
    assert_eq!(clashes(1, 2, 3, 4, 5, 6, 7).await, 28);
    assert_eq!(clashes(1, 2, 3, 4, 5, 6, 7).await, 28);
}

#[cached(ttl = 60)]
async fn patterns((a, b): (u32, u32), mut c: Vec<u32>, [d, _]: [u32; 2]) -> u32 {
    ran("patterns");
    c.push(a + b + d);
    c.iter().sum()
}

#[tokio::test]
async fn patterns_are_arguments_too() {
    assert_eq!(patterns((1, 2), vec![3], [4, 5]).await, 10);
    assert_eq!(patterns((1, 2), vec![3], [4, 5]).await, 10);
    assert_eq!(patterns((1, 2), vec![3], [4, 6]).await, 10);
    assert_eq!(runs("patterns"), 2);
}

#[cached(ttl = 60)]
async fn generic<T, const N: usize>(value: T) -> String
where
    T: Serialize + Send + std::fmt::Debug,
{
    ran("generic");
    format!("{}:{value:?}:{N}", std::any::type_name::<T>())
}

#[cached(ttl = 60)]
async fn generic_return<
    T: Clone + Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static,
>(
    value: T,
) -> Result<Option<T>, NotClone> {
    ran("generic_return");
    Ok(Some(value))
}

#[tokio::test]
async fn instances_of_a_generic_function_share_nothing() {
    assert_eq!(generic::<u8, 1>(1).await, "u8:1:1");
    assert_eq!(generic::<u16, 1>(1).await, "u16:1:1");
    assert_eq!(generic::<u8, 2>(1).await, "u8:1:2");
    assert_eq!(generic::<u8, 1>(1).await, "u8:1:1");
    assert_eq!(runs("generic"), 3);
    assert!(
        generic_return(1u8)
            .await
            .is_ok_and(|value| value == Some(1))
    );
    assert!(
        generic_return(1u8)
            .await
            .is_ok_and(|value| value == Some(1))
    );
    assert_eq!(runs("generic_return"), 1);
    assert!(
        generic_entry::<u8, 1>(1)
            .peek()
            .await
            .expect("it works")
            .is_some()
    );
    assert!(
        generic_entry::<u8, 3>(1)
            .peek()
            .await
            .expect("it works")
            .is_none()
    );
}

#[cached(ttl = 60)]
async fn anything(value: impl Serialize + Send + Clone) -> usize {
    ran("anything");
    serde_json::to_string(&value).expect("it is json").len()
}

#[tokio::test]
async fn impl_trait_arguments_tell_their_types_apart() {
    anything(1u8).await;
    anything(1u16).await;
    anything("1").await;
    anything(1u8).await;
    assert_eq!(runs("anything"), 3);
}

struct Repository<T> {
    tenant: &'static str,
    of: std::marker::PhantomData<T>,
}

impl<T: Send + Sync> Repository<T> {
    fn of(tenant: &'static str) -> Self {
        Self {
            tenant,
            of: std::marker::PhantomData,
        }
    }

    #[cached(ttl = 60, with(self.tenant), skip(_database))]
    async fn find(&self, id: u64, _database: &str) -> Result<User, NotClone> {
        ran("find");
        let name = format!("{} {}", self.tenant, std::any::type_name::<T>());
        Ok(User { id, name })
    }

    #[cached(ttl = 60, skip(self))]
    fn find_now(&self, id: u64) -> u64 {
        ran("find_now");
        id
    }

    #[cached(ttl = 60, key = "{self.tenant}:{id}")]
    async fn by_template(&self, id: u64, _ignored: &str) -> u64 {
        ran("by_template");
        id
    }

    #[cached(ttl = 60)]
    async fn associated(id: u64) -> (u64, String)
    where
        Self: Sized,
    {
        ran("associated");
        (id, std::any::type_name::<T>().to_owned())
    }
}

#[tokio::test]
async fn methods_are_distinguished_by_what_the_user_says_and_by_their_types() {
    let (a, b) = (Repository::<u8>::of("a"), Repository::<u8>::of("b"));
    let other = Repository::<u16>::of("a");
    for repository in [&a, &b, &a] {
        let user = repository.find(1, "db").await.ok().expect("it is found");
        assert_eq!(user.name, format!("{} u8", repository.tenant));
    }
    // Skipped arguments do not distinguish calls.
    assert!(a.find(1, "another db").await.is_ok());
    assert_eq!(runs("find"), 2);
    assert_eq!(
        other.find(1, "db").await.ok().expect("it is found").name,
        "a u16"
    );
    assert_eq!(runs("find"), 3);
    a.find_now(1);
    b.find_now(1);
    assert_eq!(runs("find_now"), 1);
    a.by_template(1, "x").await;
    a.by_template(1, "y").await;
    b.by_template(1, "x").await;
    assert_eq!(runs("by_template"), 2);
    assert_eq!(
        a.find_entry(1, "db")
            .invalidate()
            .await
            .expect("it works")
            .entries,
        1
    );
    assert!(a.find(1, "db").await.is_ok());
    assert_eq!(runs("find"), 4);
    assert_eq!(Repository::<u8>::associated(1).await.1, "u8");
    assert_eq!(Repository::<u16>::associated(1).await.1, "u16");
    assert!(
        Repository::<u8>::associated_entry(1)
            .peek()
            .await
            .expect("it works")
            .is_some()
    );
}

mod left {
    pub struct Same;
    impl Same {
        #[recached::cached(ttl = 60, skip(self))]
        pub async fn get(&self, _id: u64) -> String {
            "left method".into()
        }
    }
    #[recached::cached(ttl = 60)]
    pub async fn get(_id: u64) -> String {
        "left".into()
    }
}

mod right {
    pub struct Same;
    impl Same {
        #[recached::cached(ttl = 60, skip(self))]
        pub async fn get(&self, _id: u64) -> String {
            "right method".into()
        }
    }
    #[recached::cached(ttl = 60)]
    pub async fn get(_id: u64) -> String {
        "right".into()
    }
}

#[tokio::test]
async fn equal_names_in_other_modules_and_types_share_nothing() {
    for _ in 0..2 {
        assert_eq!(left::get(1).await, "left");
        assert_eq!(right::get(1).await, "right");
        assert_eq!(left::Same.get(1).await, "left method");
        assert_eq!(right::Same.get(1).await, "right method");
    }
    let key =
        |entry: Result<&recached::Key, recached::Error>| without_variant(entry.expect("a key"));
    assert_eq!(
        key(left::get_entry(1).key()),
        "recached:functions.left.get:1"
    );
    assert_eq!(
        key(right::Same.get_entry(1).key()),
        "recached:functions.right.Same.get:1"
    );
}

#[cached(ttl = 60)]
async fn two_texts(a: &str, b: &str) -> String {
    format!("{a}|{b}")
}

#[cached(ttl = 60)]
async fn optional(a: Option<&str>) -> String {
    format!("{a:?}")
}

#[cached(ttl = 60)]
async fn mapped(a: HashMap<String, u32>) -> usize {
    ran("mapped");
    a.len()
}

#[tokio::test]
async fn arguments_that_look_alike_never_share_an_entry() {
    for _ in 0..2 {
        for (a, b) in [
            ("a:b", "c"),
            ("a", "b:c"),
            ("a':'b", "c"),
            ("*?[]{}:%", "é\n"),
            ("", ""),
            ("':'", ""),
        ] {
            assert_eq!(two_texts(a, b).await, format!("{a}|{b}"));
        }
        for a in [None, Some(""), Some("None"), Some("Some('')")] {
            assert_eq!(optional(a).await, format!("{a:?}"));
        }
    }
    let long = "x".repeat(10_000);
    assert_eq!(two_texts(&long, "a").await.len(), 10_002);
    assert_eq!(two_texts(&long, "b").await, format!("{long}|b"));
    mapped((0..50).map(|n| (n.to_string(), n)).collect()).await;
    mapped((0..50).rev().map(|n| (n.to_string(), n)).collect()).await;
    assert_eq!(runs("mapped"), 1);
}

#[cached(ttl = 60, bypass_if = id <= 10, store_if = |value| *value != 13)]
async fn conditional(id: u64) -> u64 {
    ran("conditional");
    id
}

#[tokio::test]
async fn a_call_may_bypass_and_a_value_may_be_refused() {
    for id in [1, 1, 13, 13, 20, 20] {
        assert_eq!(conditional(id).await, id);
    }
    assert_eq!(runs("conditional"), 5);
    let stats = recached::stats().function("functions.conditional");
    assert_eq!((stats.bypasses, stats.computations), (2, 3));
}

static VERSION: AtomicU64 = AtomicU64::new(1);

#[cached(ttl = 60, bypass_if = mode == "bypass", refresh_if = mode != "consult", skip(mode))]
async fn refreshed(id: u64, mode: &str) -> u64 {
    id + VERSION.fetch_add(1, Ordering::Relaxed)
}

#[cached(ttl = 60, refresh_if = anew, skip(anew))]
fn refreshed_plainly(id: u64, anew: bool) -> u64 {
    id + VERSION.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test]
async fn a_call_may_refresh_its_entry_unless_it_bypasses_the_cache() {
    let first = refreshed(100, "consult").await;
    assert_eq!(refreshed(100, "consult").await, first);
    let second = refreshed(100, "refresh").await;
    assert!(second > first);
    assert_eq!(refreshed(100, "consult").await, second);
    let beside = refreshed(100, "bypass").await;
    assert!(beside > second);
    assert_eq!(refreshed(100, "consult").await, second);

    let first = refreshed_plainly(100, false);
    let second = refreshed_plainly(100, true);
    assert!(second > first);
    assert_eq!(refreshed_plainly(100, false), second);
}

static OTHER: LazyLock<Cache> = LazyLock::new(|| {
    Cache::builder()
        .in_process()
        .namespace("other")
        .build()
        .expect("it builds")
});

#[cached(ttl = 60, cache = OTHER, name = "named.here", version = 3, entry = elsewhere_handle)]
async fn elsewhere(id: u64) -> u64 {
    id
}

#[cached(ttl = 60, entry = false, crate = ::recached)]
async fn without_companion(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn another_cache_name_version_and_companion_can_be_given() {
    assert_eq!(elsewhere(1).await, 1);
    assert_eq!(without_companion(1).await, 1);
    let entry = elsewhere_handle(1);
    let key = without_variant(entry.key().expect("it has a key"));
    assert_eq!(key, "other:named.here:1");
    assert_eq!(OTHER.stats().function("named.here").computations, 1);
    let _ = OTHER.invalidate("here").await.expect("it works");
    assert!(
        elsewhere_handle(1)
            .peek()
            .await
            .expect("it works")
            .is_none()
    );
}

/// Key without the eight digits of its variant.
fn without_variant(key: &recached::Key) -> String {
    let key = key.as_str();
    let at = key.find('@').expect("it has a variant");
    assert!(key[at + 1..at + 9].bytes().all(|b| b.is_ascii_hexdigit()));
    [&key[..at], &key[at + 9..]].concat()
}

static SOURCE: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60)]
async fn sourced() -> usize {
    SOURCE.load(Ordering::SeqCst)
}

#[tokio::test]
async fn the_companion_reads_puts_refreshes_and_invalidates() {
    assert_eq!(sourced_entry().peek().await.expect("it works"), None);
    assert_eq!(sourced().await, 0);
    assert_eq!(sourced_entry().peek().await.expect("it works"), Some(0));
    sourced_entry().put(9).await.expect("it works");
    assert_eq!(sourced().await, 9);
    SOURCE.store(1, Ordering::SeqCst);
    assert_eq!(sourced().await, 9);
    assert_eq!(sourced_entry().refresh().await, 1);
    assert_eq!(sourced().await, 1);
    SOURCE.store(2, Ordering::SeqCst);
    assert_eq!(
        sourced_entry()
            .invalidate()
            .await
            .expect("it works")
            .entries,
        1
    );
    assert_eq!(sourced().await, 2);
}

mod twice {
    pub mod a {
        #[recached::cached(ttl = 60, name = "twice.taken")]
        pub async fn first() -> u32 {
            1
        }
    }
    pub mod b {
        #[recached::cached(ttl = 60, name = "twice.taken")]
        pub async fn second() -> u32 {
            2
        }
    }
}

#[tokio::test]
async fn two_functions_with_one_name_are_refused_loudly_and_still_answer() {
    for _ in 0..2 {
        assert_eq!(twice::a::first().await, 1);
        assert_eq!(twice::b::second().await, 2);
    }
    let error = twice::b::second_entry()
        .invalidate()
        .await
        .expect_err("the name is taken");
    assert_eq!(error.kind(), recached::ErrorKind::NameTaken);
    assert!(error.to_string().contains("name = "), "{error}");
    let stats = recached::stats();
    let taken = stats
        .functions
        .iter()
        .filter(|(name, _)| name == "twice.taken");
    assert_eq!(taken.map(|(_, stats)| stats.bypasses).sum::<u64>(), 2);
}

macro_rules! written_by_a_macro {
    ($($module:ident $value:literal)+) => {$(
        mod $module {
            #[recached::cached(ttl = 60, name = "macro.taken", cache = crate::OTHER)]
            pub async fn of_macro() -> u32 {
                $value
            }
        }
    )+};
}

written_by_a_macro! { of_macro_one 1 of_macro_two 2 }

#[tokio::test]
async fn two_functions_that_a_macro_writes_in_one_place_are_distinguished() {
    for _ in 0..2 {
        assert_eq!(of_macro_one::of_macro().await, 1);
        assert_eq!(of_macro_two::of_macro().await, 2);
    }
    let entry = of_macro_two::of_macro_entry();
    let error = entry.key().expect_err("the name is taken");
    assert!(
        error.to_string().contains("of_macro_one.of_macro at"),
        "{error}"
    );
    assert!(of_macro_one::of_macro_entry().key().is_ok());
}

#[derive(Clone)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not this one"))
    }
}

#[cached(ttl = 60)]
async fn unwritable(_argument: Unwritable) -> u32 {
    ran("unwritable");
    5
}

#[tokio::test]
async fn an_argument_that_cannot_be_written_costs_the_cache_and_not_the_call() {
    assert_eq!(unwritable(Unwritable).await, 5);
    assert_eq!(unwritable(Unwritable).await, 5);
    assert_eq!(runs("unwritable"), 2);
    let stats = recached::stats().function("functions.unwritable");
    assert_eq!((stats.bypasses, stats.errors, stats.misses), (2, 2, 0));
    let error = unwritable_entry(Unwritable)
        .peek()
        .await
        .expect_err("no key");
    assert!(error.to_string().contains("_argument"), "{error}");
}

#[cached(ttl = 60)]
async fn sendable(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn a_cached_future_can_be_sent() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let tasks = [
        tokio::spawn(is_send(sendable(7))),
        tokio::spawn(is_send(sendable(7))),
    ];
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), 7);
    }
    let refresh = is_send(async { sendable_entry(7).refresh().await });
    let others = is_send(async {
        let entry = sendable_entry(7);
        entry.put(7).await?;
        let found = (entry.peek().await?, entry.ttl().await?);
        entry.invalidate().await.map(|_| found)
    });
    let (found, left) = others.await.expect("it works");
    assert!(found == Some(7) && left.is_some());
    assert_eq!(refresh.await, 7);
}

mod of_yesterday {
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Profile {
        pub(super) id: u64,
    }
}

mod of_today {
    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Profile {
        pub(super) id: u64,
        #[serde(default)]
        pub(super) mail: Option<String>,
    }
}

#[tokio::test]
async fn an_entry_of_yesterdays_struct_is_a_miss_and_not_half_a_value() {
    let server = recached_tests::Server::start();
    let policy = recached::Policy::new(std::time::Duration::from_secs(60));
    // Two releases of one program, each with its own definition of the type.
    let [old, new] = [(); 2].map(|()| recached_tests::cache_on(&server.url(), "shapes"));
    let first = old.get_or_compute("profile:1", policy, || async {
        of_yesterday::Profile { id: 1 }
    });
    assert_eq!(first.await.id, 1);
    let mail = Some("ada@example.org".to_owned());
    let today = of_today::Profile { id: 1, mail };
    let second = new.get_or_compute("profile:1", policy, || async { today.clone() });
    assert_eq!(second.await, today);
}
