//! Patterns from the README and the tests of the `cached` crate, written for this crate. A comment
//! beside each names the equivalent of its options.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use recached::{Cache, cached};
use recached_tests::{assert_cached, assert_cached_async, ran, runs, until};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

// `#[cached] fn fib(n: u64) -> u64` has no bound there; `ttl` is required here.
#[cached(ttl = "1h")]
fn fib(n: u64) -> u64 {
    ran("fib");
    if n == 0 || n == 1 {
        return n;
    }
    fib(n - 1) + fib(n - 2)
}

#[test]
fn fibonacci_is_computed_once_for_each_number() {
    assert_eq!(fib(60), 1_548_008_755_920);
    assert_eq!(runs("fib"), 61);
    assert_eq!(fib(59), 956_722_026_041);
    assert_eq!(runs("fib"), 61);
}

// `#[cached(size = 50)]` limits one function; here `max_entries` limits the whole process.
#[cached(ttl = 60)]
fn add(a: u64, b: u64) -> u64 {
    ran("add");
    a + b
}

// `time = 1`, `time_refresh`: the ttl starts at the computation; reads do not extend it.
#[cached(ttl = "50ms", jitter = 0.0)]
fn slow(seconds: u64) -> () {
    ran("slow");
    std::thread::sleep(Duration::from_millis(seconds));
}

// `#[io_cached]`, `#[once]`: one value for all arguments is a key without arguments.
#[cached(ttl = 60, key = "once")]
fn once(of: Vec<String>) -> Vec<String> {
    ran("once");
    of
}

#[tokio::test]
async fn a_sleeping_function_sleeps_once_in_its_lifetime() {
    assert_cached!("add", add(1, 3), add(3, 1), add_entry(1, 3));
    slow(1);
    slow(1);
    let before = runs("slow");
    assert!((1..=2).contains(&before), "the life of a value is short");
    until("the value has expired", || async {
        slow_entry(1).peek().expect("it works").is_none()
    })
    .await;
    slow(1);
    assert!(runs("slow") > before);
    assert_eq!(once(vec!["a".into()]), once(vec!["b".into()]));
    assert_eq!(runs("once"), 1);
}

// `key = "String", convert = r#"{ format!("{}{}", a, b) }"#` is a template here, in which arguments
// cannot run together.
#[cached(ttl = 60, key = "{a}:{b}")]
fn keyed(a: &str, b: &str, _unused: usize) -> usize {
    ran("keyed");
    a.len() * b.len()
}

// `convert = r#"{ input.id }"#` is a field in the template, or any expression together with `skip`.
#[derive(Clone, Serialize)]
struct Input {
    id: u32,
    noise: f32,
}

#[cached(ttl = 60, key = "{input.id}")]
fn by_field(input: &Input) -> u32 {
    ran("by_field");
    input.id + input.noise as u32
}

#[cached(ttl = 60, skip(input), with(input.id % 10))]
async fn by_expression(input: Input) -> u32 {
    ran("by_expression");
    input.id % 10
}

#[tokio::test]
async fn a_conversion_into_a_key_is_a_template_or_an_expression() {
    assert_cached!(
        "keyed",
        keyed("a", "bc", 1),
        keyed("ab", "c", 1),
        keyed_entry("a", "bc", 9)
    );
    let input = |id, noise| Input { id, noise };
    assert_cached!(
        "by_field",
        by_field(&input(1, 0.1)),
        by_field(&input(2, 0.1)),
        by_field_entry(&input(1, 0.9))
    );
    assert_cached_async!(
        "by_expression",
        by_expression(input(11, 0.1)),
        by_expression(input(12, 0.1)),
        by_expression_entry(input(21, 0.9))
    );
}

// `result = true`: always the case here.
#[cached(ttl = 60)]
fn fallible(n: u32) -> Result<Vec<u32>, ()> {
    ran("fallible");
    if n < 5 { Ok(vec![n]) } else { Err(()) }
}

// `option = true`, which stores only `Some`, is `store_if`.
#[cached(ttl = 60, store_if = Option::is_some)]
async fn optional(n: u32) -> Option<Vec<u32>> {
    ran("optional");
    (n < 5).then(|| vec![n])
}

// Without `store_if`, `Some` and `None` are both stored.
#[cached(ttl = 60)]
fn option_whole(n: u32) -> Option<u32> {
    ran("option_whole");
    (n < 5).then_some(n)
}

// `result = false` stores the whole `Result`. Errors have their own ttl here.
#[cached(ttl = 60, err_ttl = 60)]
async fn result_whole(n: u32) -> Result<u32, String> {
    ran("result_whole");
    if n < 5 {
        Ok(n)
    } else {
        Err("too large".into())
    }
}

#[tokio::test]
async fn results_and_options_store_what_is_asked_for() {
    for _ in 0..2 {
        assert!(fallible(2).is_ok() && fallible(5).is_err());
        assert!(optional(2).await.is_some() && optional(5).await.is_none());
        assert!(option_whole(2).is_some() && option_whole(5).is_none());
        assert!(result_whole(2).await.is_ok() && result_whole(5).await.is_err());
    }
    assert_eq!((runs("fallible"), runs("optional")), (3, 3));
    assert_eq!((runs("option_whole"), runs("result_whole")), (2, 2));
}

// `result_fallback = true` is `stale_if_error`, with a time limit.
static FAILS: AtomicBool = AtomicBool::new(false);

#[cached(ttl = "20ms", jitter = 0.0, stale_if_error = "1h")]
fn fallback() -> Result<String, ()> {
    ran("fallback");
    if FAILS.load(Ordering::SeqCst) {
        Err(())
    } else {
        Ok("good".into())
    }
}

#[tokio::test]
async fn the_last_good_value_stands_in_for_a_failure() {
    assert_eq!(fallback(), Ok("good".into()));
    FAILS.store(true, Ordering::SeqCst);
    until("it has failed", || async {
        assert_eq!(fallback(), Ok("good".into()));
        runs("fallback") > 1
    })
    .await;
    let _ = fallback_entry().invalidate().expect("it works");
    assert_eq!(
        fallback(),
        Err(()),
        "what was invalidated stands in for nothing"
    );
}

// `sync_writes = true`, `"by_key"`: always by key here; calls with other keys do not wait.
#[cached(ttl = 60)]
async fn by_key(key: u64, all: SkippedBarrier) -> u64 {
    ran("by_key");
    // Returns only when both keys are being computed at the same time.
    all.0.wait().await;
    key
}

#[derive(Clone)]
struct SkippedBarrier(Arc<Barrier>);

impl Serialize for SkippedBarrier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_of_one_key_compute_once_and_others_are_not_held_up() {
    let all = SkippedBarrier(Arc::new(Barrier::new(2)));
    let calls = (0..20).map(|call| tokio::spawn(by_key(call % 2, all.clone())));
    let calls: Vec<_> = calls.collect();
    for (call, result) in calls.into_iter().enumerate() {
        let within = tokio::time::timeout(recached_tests::PATIENCE, result);
        let result = within.await.expect("nobody waits for ever");
        assert_eq!(result.expect("no panic"), call as u64 % 2);
    }
    assert_eq!(runs("by_key"), 2);
}

// Generic functions need `ty`, `create` and `convert` there.
#[cached(ttl = 60)]
fn generic<T: Serialize + std::fmt::Display>(of: T) -> String {
    ran("generic");
    of.to_string()
}

#[cached(ttl = 60)]
async fn by_map(
    counts: HashMap<String, u32>,
    (low, high): (u32, u32),
    list: &[i64],
    text: impl Into<String> + Serialize + Send,
) -> usize {
    ran("by_map");
    counts.len() + (high - low) as usize + list.len() + text.into().len()
}

// `#[cached(wrap_return = true)]`, `with_cached_flag`: the entry handle and the counters show
// whether a value was stored; the return type of the function does not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Answer(String);

#[cached(ttl = 60)]
async fn answered(name: String) -> Result<Answer, std::io::Error> {
    ran("answered");
    Ok(Answer(name))
}

#[tokio::test]
async fn generics_maps_and_flags_need_nothing_of_the_user() {
    assert_cached!("generic", generic(1_u8), generic("1"), generic_entry(1_u8));
    let counts = || HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_cached_async!(
        "by_map",
        by_map(counts(), (1, 2), &[-1], "x"),
        by_map(counts(), (2, 3), &[-1], "x"),
        by_map_entry(counts(), (1, 2), &[-1], "x")
    );
    let ada = || "ada".to_owned();
    let was_cached = async || {
        answered_entry(ada())
            .peek()
            .await
            .expect("it works")
            .is_some()
    };
    assert!(!was_cached().await);
    assert_eq!(answered(ada()).await.ok(), Some(Answer(ada())));
    assert!(was_cached().await);
}

// `ty = "TimedCache<…>"`, `create = "{ … }"`: another store is another cache.
static SMALL: std::sync::LazyLock<Cache> = std::sync::LazyLock::new(|| {
    let builder = Cache::builder().in_process().namespace("small");
    builder.max_entries(10).build().expect("it builds")
});

// `name = "SOME_CACHE"` names the static there; here it names the function.
#[cached(ttl = 60, cache = SMALL, name = "some_cache")]
fn in_another(id: u32) -> u32 {
    ran("in_another");
    id
}

#[cached(ttl = 60)]
fn primed(id: u32) -> u32 {
    ran("primed");
    id
}

// `fn_prime_cache`, `fn_no_cache`, `SOME_CACHE.lock().cache_clear()`.
#[tokio::test]
async fn priming_reading_and_clearing_are_the_companions_and_the_caches() {
    assert_cached!(
        "in_another",
        in_another(1),
        in_another(2),
        in_another_entry(1)
    );
    assert_eq!(SMALL.stats().function("some_cache").computations, 3);
    assert_eq!(primed_entry(1).refresh(), 1);
    assert_eq!((primed(1), runs("primed")), (1, 1));
    primed_entry(1).put(7).expect("it works");
    assert_eq!((primed(1), runs("primed")), (7, 1));
    primed(2);
    let _ = recached::invalidate("primed").await.expect("it works");
    assert_eq!((primed(1), primed(2), runs("primed")), (1, 2, 4));
}
