//! One suite for all backends: the same guarantees in memory, on Redis and on a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, ErrorKind, Policy};
use recached_tests::{Cluster, PATIENCE, Server, cache_on, until};
use tokio::sync::Notify;

/// Leases and waits long enough that no test passes because one of them ends.
const MINUTE: Policy = Policy::new(Duration::from_secs(60))
    .lease(Duration::from_secs(3_600))
    .lease_wait(Duration::from_secs(3_600));

/// A cache under test with its servers.
struct Fixture {
    cache: Cache,
    _server: Option<Server>,
    _cluster: Option<Arc<Cluster>>,
}

fn in_process() -> Fixture {
    let cache = Cache::builder()
        .in_process()
        .build()
        .expect("nothing to go wrong");
    Fixture {
        cache,
        _server: None,
        _cluster: None,
    }
}

fn on_redis() -> Fixture {
    let server = Server::start();
    let cache = cache_on(&server.url(), "suite");
    Fixture {
        cache,
        _server: Some(server),
        _cluster: None,
    }
}

/// A cache on the shared cluster, in a namespace of its own.
fn on_a_cluster() -> Fixture {
    static BEDS: AtomicUsize = AtomicUsize::new(0);
    let cluster = Cluster::shared();
    let namespace = format!("suite{}", BEDS.fetch_add(1, Ordering::Relaxed));
    Fixture {
        cache: cache_on(&cluster.url(), &namespace),
        _server: None,
        _cluster: Some(cluster),
    }
}

async fn in_time(claim: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(PATIENCE, claim).await;
    ended.expect("somebody waits in vain");
}

/// Expands each claim to a test in memory, on a server and on a cluster.
macro_rules! on_both_stores {
    ($($claim:ident)+) => {
        mod memory {
            use super::in_time;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() { in_time(super::$claim(super::in_process())).await })+
        }
        mod redis {
            use super::in_time;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() { in_time(super::$claim(super::on_redis())).await })+
        }
        mod cluster {
            use super::in_time;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() { in_time(super::$claim(super::on_a_cluster())).await })+
        }
    };
}

on_both_stores! {
    a_value_is_computed_once_then_served
    a_value_expires
    none_is_a_value
    an_error_is_not_stored
    a_ttl_of_zero_stores_nothing
    put_get_ttl_and_remove_work_by_hand
    concurrent_misses_compute_once
    another_type_under_the_key_is_a_miss
    namespaces_and_functions_share_nothing
    a_fill_begun_before_its_call_was_removed_never_lands
    a_fill_begun_before_its_function_was_invalidated_never_lands
    a_fill_begun_before_its_keys_were_invalidated_never_lands
    a_fill_begun_before_everything_was_invalidated_never_lands
    a_fill_begun_before_a_put_does_not_replace_it
    who_calls_after_an_invalidation_does_not_join_what_began_before
    a_cancelled_computation_is_taken_over_by_exactly_one
    a_panic_reaches_its_caller_only_and_is_taken_over
    a_failing_function_is_not_tried_in_single_file
    a_waiter_computes_for_itself_when_its_patience_ends
    waiters_whose_patience_ends_together_compute_once
    a_pattern_reaches_the_functions_it_names
    a_key_pattern_reaches_the_calls_it_names
    a_purge_frees_the_memory
    a_purge_of_everything_frees_the_memory_of_its_namespace
    a_fill_begun_before_everything_was_purged_never_lands
    a_bad_pattern_or_key_is_an_error_that_names_the_fix
    the_counters_tell_what_happened
}

async fn a_value_is_computed_once_then_served(fixture: Fixture) {
    let runs = AtomicUsize::new(0);
    for _ in 0..5 {
        let value = fixture.cache.get_or_compute("sum:1", MINUTE, || async {
            runs.fetch_add(1, Ordering::SeqCst);
            41 + 1
        });
        assert_eq!(value.await, 42);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn a_value_expires(fixture: Fixture) {
    let policy = Policy::new(Duration::from_millis(40));
    let compute = |value: u32| {
        fixture
            .cache
            .get_or_compute("short:1", policy, move || async move { value })
    };
    assert_eq!(compute(1).await, 1);
    until("the entry has expired", || async {
        fixture
            .cache
            .get::<u32>("short:1")
            .await
            .expect("the store works")
            .is_none()
    })
    .await;
    assert_eq!(compute(2).await, 2);
}

async fn none_is_a_value(fixture: Fixture) {
    let runs = AtomicUsize::new(0);
    for _ in 0..2 {
        let value = fixture.cache.get_or_compute("none:1", MINUTE, || async {
            runs.fetch_add(1, Ordering::SeqCst);
            None::<String>
        });
        assert_eq!(value.await, None);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn an_error_is_not_stored(fixture: Fixture) {
    // The error type implements neither `Clone` nor serde's traits nor `Debug`.
    struct Broken;
    let outcome = fixture
        .cache
        .try_get_or_compute("try:1", MINUTE, || async { Err::<u32, _>(Broken) });
    assert!(outcome.await.is_err());
    let outcome = fixture
        .cache
        .try_get_or_compute("try:1", MINUTE, || async { Ok::<u32, Broken>(7) });
    assert!(outcome.await.is_ok_and(|value| value == 7));
    let outcome = fixture
        .cache
        .try_get_or_compute("try:1", MINUTE, || async { Err::<u32, _>(Broken) });
    assert!(outcome.await.is_ok_and(|value| value == 7));
}

async fn a_ttl_of_zero_stores_nothing(fixture: Fixture) {
    let policy = Policy::new(Duration::ZERO);
    for value in 0..3 {
        assert_eq!(
            fixture
                .cache
                .get_or_compute("zero:1", policy, || async { value })
                .await,
            value
        );
    }
}

async fn put_get_ttl_and_remove_work_by_hand(fixture: Fixture) {
    let cache = &fixture.cache;
    assert_eq!(cache.get::<String>("hand:a").await.expect("it works"), None);
    assert_eq!(cache.ttl("hand:a").await.expect("it works"), None);
    cache
        .put("hand:a", MINUTE, "one".to_owned())
        .await
        .expect("it works");
    assert_eq!(
        cache.get::<String>("hand:a").await.expect("it works"),
        Some("one".to_owned())
    );
    let ttl = cache
        .ttl("hand:a")
        .await
        .expect("it works")
        .expect("it is there");
    assert!(
        ttl <= Duration::from_secs(60) && ttl > Duration::from_secs(50),
        "{ttl:?}"
    );
    assert!(cache.exists("hand:a").await.expect("it works"));
    let _ = cache.invalidate("hand").await.expect("it works");
    assert!(!cache.exists("hand:a").await.expect("it works"));
    assert_eq!(cache.ttl("hand:a").await.expect("it works"), None);
    cache
        .put("hand:a", MINUTE, "two".to_owned())
        .await
        .expect("it works");
    assert_eq!(cache.remove("hand:a").await.expect("it works").entries, 1);
    assert_eq!(cache.remove("hand:a").await.expect("it works").entries, 0);
    assert_eq!(cache.get::<String>("hand:a").await.expect("it works"), None);
}

async fn concurrent_misses_compute_once(fixture: Fixture) {
    let runs = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (cache, runs) = (fixture.cache.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                cache
                    .get_or_compute("herd:1", MINUTE, || async {
                        runs.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(30)).await;
                        "value".to_owned()
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), "value");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn another_type_under_the_key_is_a_miss(fixture: Fixture) {
    let cache = &fixture.cache;
    cache.put("typed:1", MINUTE, 5u32).await.expect("it works");
    // The JSON would be valid for both types.
    assert_eq!(cache.get::<u64>("typed:1").await.expect("it works"), None);
    assert_eq!(
        cache.get::<String>("typed:1").await.expect("it works"),
        None
    );
    let text = cache
        .get_or_compute("typed:1", MINUTE, || async { "text".to_owned() })
        .await;
    assert_eq!(text, "text");
    assert_eq!(
        cache.get::<String>("typed:1").await.expect("it works"),
        Some("text".to_owned())
    );
    assert_eq!(cache.get::<u32>("typed:1").await.expect("it works"), None);
}

async fn namespaces_and_functions_share_nothing(fixture: Fixture) {
    let cache = &fixture.cache;
    cache.put("a:b:c", MINUTE, 1u32).await.expect("it works");
    cache.put("a:b", MINUTE, 2u32).await.expect("it works");
    cache.put("b:c", MINUTE, 3u32).await.expect("it works");
    assert_eq!(cache.get::<u32>("a:b:c").await.expect("it works"), Some(1));
    assert_eq!(cache.get::<u32>("a:b").await.expect("it works"), Some(2));
    assert_eq!(cache.get::<u32>("b:c").await.expect("it works"), Some(3));
    if let Some(server) = &fixture._server {
        let other = cache_on(&server.url(), "other");
        assert_eq!(other.get::<u32>("a:b").await.expect("it works"), None);
        let _ = other.invalidate_all().await.expect("it works");
        assert_eq!(cache.get::<u32>("a:b").await.expect("it works"), Some(2));
    }
}

/// Starts a computation of "old" and runs `invalidate` before it ends. Later calls must return
/// "new".
async fn late_fill<F: Future<Output = ()>>(fixture: &Fixture, invalidate: impl FnOnce(Cache) -> F) {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (cache, entered, leave) = (
            fixture.cache.clone(),
            Arc::clone(&entered),
            Arc::clone(&leave),
        );
        tokio::spawn(async move {
            cache
                .get_or_compute("late:42", MINUTE, || async {
                    entered.notify_one();
                    leave.notified().await;
                    "old".to_owned()
                })
                .await
        })
    };
    entered.notified().await;
    invalidate(fixture.cache.clone()).await;
    let compute = |value: &'static str| {
        fixture
            .cache
            .get_or_compute("late:42", MINUTE, move || async move { value.to_owned() })
    };
    let early = fixture
        .cache
        .get::<String>("late:42")
        .await
        .expect("it works");
    assert_ne!(early.as_deref(), Some("old"));
    leave.notify_one();
    // The caller itself receives the old value in any case.
    assert_eq!(slow.await.expect("no panic"), "old");
    let after = fixture
        .cache
        .get::<String>("late:42")
        .await
        .expect("it works");
    assert_ne!(after.as_deref(), Some("old"), "a late fill has landed");
    if early.is_none() {
        assert_eq!(compute("new").await, "new");
        assert_eq!(compute("newer").await, "new");
    }
}

async fn a_fill_begun_before_its_call_was_removed_never_lands(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        let _ = cache.remove("late:42").await.expect("it works");
    })
    .await;
}

async fn a_fill_begun_before_its_function_was_invalidated_never_lands(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        let what = cache.invalidate("la*").await.expect("it works");
        assert_eq!(what.functions, ["late"]);
    })
    .await;
}

async fn a_fill_begun_before_its_keys_were_invalidated_never_lands(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        let _ = cache.invalidate_keys("late:4*").await.expect("it works");
    })
    .await;
}

async fn a_fill_begun_before_everything_was_invalidated_never_lands(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        let _ = cache.invalidate_all().await.expect("it works");
    })
    .await;
}

async fn a_fill_begun_before_everything_was_purged_never_lands(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        let _ = cache.purge_all().await.expect("it works");
    })
    .await;
}

async fn a_fill_begun_before_a_put_does_not_replace_it(fixture: Fixture) {
    late_fill(&fixture, |cache| async move {
        cache
            .put("late:42", MINUTE, "put".to_owned())
            .await
            .expect("it works");
    })
    .await;
    let value = fixture
        .cache
        .get::<String>("late:42")
        .await
        .expect("it works");
    assert_eq!(value.as_deref(), Some("put"));
}

async fn who_calls_after_an_invalidation_does_not_join_what_began_before(fixture: Fixture) {
    let cache = &fixture.cache;
    for how in ["call", "function", "keys", "everything", "put"] {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (cache, entered, leave) = (cache.clone(), Arc::clone(&entered), Arc::clone(&leave));
            tokio::spawn(async move {
                cache
                    .get_or_compute("join:1", MINUTE, || async {
                        entered.notify_one();
                        leave.notified().await;
                        "old".to_owned()
                    })
                    .await
            })
        };
        entered.notified().await;
        let told = match how {
            "call" => cache.remove("join:1").await.map(drop),
            "function" => cache.invalidate("join").await.map(drop),
            "keys" => cache.invalidate_keys("join:1*").await.map(drop),
            "everything" => cache.invalidate_all().await.map(drop),
            _ => cache.put("join:1", MINUTE, "new".to_owned()).await,
        };
        told.expect("it works");
        let new = cache.get_or_compute("join:1", MINUTE, || async { "new".to_owned() });
        assert_eq!(new.await, "new", "{how}");
        leave.notify_one();
        assert_eq!(slow.await.expect("no panic"), "old");
        let stored = cache.get::<String>("join:1").await.expect("it works");
        assert_eq!(stored.as_deref(), Some("new"), "{how}");
        let _ = cache.remove("join:1").await.expect("it works");
    }
}

async fn a_cancelled_computation_is_taken_over_by_exactly_one(fixture: Fixture) {
    let runs = Arc::new(AtomicUsize::new(0));
    let entered = Arc::new(Notify::new());
    let leader = {
        let (cache, entered) = (fixture.cache.clone(), Arc::clone(&entered));
        tokio::spawn(async move {
            cache
                .get_or_compute("cancel:1", MINUTE, || async {
                    entered.notify_one();
                    std::future::pending::<u32>().await
                })
                .await
        })
    };
    entered.notified().await;
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let (cache, runs) = (fixture.cache.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                cache
                    .get_or_compute("cancel:1", MINUTE, || async {
                        runs.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        7u32
                    })
                    .await
            })
        })
        .collect();
    leader.abort();
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), 7);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn a_panic_reaches_its_caller_only_and_is_taken_over(fixture: Fixture) {
    let entered = Arc::new(Notify::new());
    let leave = Arc::new(Notify::new());
    let leader = {
        let (cache, entered, leave) = (
            fixture.cache.clone(),
            Arc::clone(&entered),
            Arc::clone(&leave),
        );
        tokio::spawn(async move {
            cache
                .get_or_compute("panic:1", MINUTE, || async {
                    entered.notify_one();
                    leave.notified().await;
                    if true {
                        panic!("the function's own");
                    }
                    0u32
                })
                .await
        })
    };
    entered.notified().await;
    let waiter = {
        let cache = fixture.cache.clone();
        tokio::spawn(async move {
            cache
                .get_or_compute("panic:1", MINUTE, || async { 7u32 })
                .await
        })
    };
    leave.notify_one();
    assert!(leader.await.expect_err("it panicked").is_panic());
    assert_eq!(waiter.await.expect("no panic"), 7);
    assert_eq!(
        fixture.cache.get::<u32>("panic:1").await.expect("it works"),
        Some(7)
    );
}

async fn a_failing_function_is_not_tried_in_single_file(fixture: Fixture) {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let (cache, running, most) = (
                fixture.cache.clone(),
                Arc::clone(&running),
                Arc::clone(&most),
            );
            tokio::spawn(async move {
                cache
                    .try_get_or_compute("dead:1", MINUTE, || async {
                        most.fetch_max(
                            running.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        // Time for all calls to join.
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        running.fetch_sub(1, Ordering::SeqCst);
                        Err::<u32, &str>("down")
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Err("down"));
    }
    let most = most.load(Ordering::SeqCst);
    assert!((2..=17).contains(&most), "{most} at once");
}

async fn a_waiter_computes_for_itself_when_its_patience_ends(fixture: Fixture) {
    let entered = Arc::new(Notify::new());
    let stuck = {
        let (cache, entered) = (fixture.cache.clone(), Arc::clone(&entered));
        tokio::spawn(async move {
            cache
                .get_or_compute("stuck:1", MINUTE, || async {
                    entered.notify_one();
                    std::future::pending::<u32>().await
                })
                .await
        })
    };
    entered.notified().await;
    let policy = MINUTE.lease_wait(Duration::from_millis(50));
    assert_eq!(
        fixture
            .cache
            .get_or_compute("stuck:1", policy, || async { 7u32 })
            .await,
        7
    );
    stuck.abort();
}

async fn waiters_whose_patience_ends_together_compute_once(fixture: Fixture) {
    // The first read of a function creates its generation, which causes a push.
    assert_eq!(fixture.cache.get::<u32>("jam:0").await.ok(), Some(None));
    let entered = Arc::new(Notify::new());
    let stuck = {
        let (cache, entered) = (fixture.cache.clone(), Arc::clone(&entered));
        tokio::spawn(async move {
            // The lease is not renewed before the test ends.
            let policy = MINUTE.lease(Duration::from_secs(60));
            cache
                .get_or_compute("jam:1", policy, || async {
                    entered.notify_one();
                    std::future::pending::<u32>().await
                })
                .await
        })
    };
    entered.notified().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let (cache, runs) = (fixture.cache.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                let policy = MINUTE.lease_wait(Duration::from_secs(3));
                cache
                    .get_or_compute("jam:1", policy, || async {
                        runs.fetch_add(1, Ordering::SeqCst);
                        // Time for the last waiters to stop waiting.
                        tokio::time::sleep(Duration::from_secs(2)).await;
                        7u32
                    })
                    .await
            })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), 7);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    stuck.abort();
}

async fn a_pattern_reaches_the_functions_it_names(fixture: Fixture) {
    let cache = &fixture.cache;
    let names = ["user", "user_list", "shop.user", "shop.cart"];
    let fill = || async {
        for name in names {
            cache
                .get_or_compute(&format!("{name}:1"), MINUTE, || async { 1u32 })
                .await;
        }
    };
    let gone = || async {
        let mut gone = Vec::new();
        for name in names {
            if cache
                .get::<u32>(&format!("{name}:1"))
                .await
                .expect("it works")
                .is_none()
            {
                gone.push(name);
            }
        }
        gone
    };
    for (pattern, expected) in [
        ("user*", vec!["shop.user", "user", "user_list"]),
        ("user", vec!["shop.user", "user"]),
        ("shop.*", vec!["shop.cart", "shop.user"]),
        ("shop.user", vec!["shop.user"]),
        ("nothing", vec![]),
        ("*", vec!["shop.cart", "shop.user", "user", "user_list"]),
    ] {
        fill().await;
        let what = cache.invalidate(pattern).await.expect("it works");
        assert_eq!(what.functions, expected, "{pattern}");
        let mut gone = gone().await;
        gone.sort_unstable();
        assert_eq!(gone, expected, "{pattern}");
    }
}

async fn a_key_pattern_reaches_the_calls_it_names(fixture: Fixture) {
    let cache = &fixture.cache;
    for key in [
        "user:42:en",
        "user:42:de",
        "user:43:en",
        "user_x:42:en",
        "cart:42:en",
    ] {
        cache.put(key, MINUTE, 1u32).await.expect("it works");
    }
    let what = cache.invalidate_keys("user*:42:*").await.expect("it works");
    assert_eq!(what.entries, 3);
    for (key, there) in [
        ("user:42:en", false),
        ("user:42:de", false),
        ("user_x:42:en", false),
        ("user:43:en", true),
        ("cart:42:en", true),
    ] {
        assert_eq!(
            cache.get::<u32>(key).await.expect("it works").is_some(),
            there,
            "{key}"
        );
    }
}

async fn a_purge_frees_the_memory(fixture: Fixture) {
    for id in 0..2_500 {
        fixture
            .cache
            .put(&format!("bulk:{id}"), MINUTE, 1u32)
            .await
            .expect("it works");
    }
    fixture
        .cache
        .put("other:1", MINUTE, 1u32)
        .await
        .expect("it works");
    let what = fixture.cache.purge("bulk").await.expect("it works");
    assert_eq!(what.functions, ["bulk"]);
    assert_eq!(what.entries, 2_500);
    assert_eq!(
        fixture.cache.get::<u32>("other:1").await.expect("it works"),
        Some(1)
    );
    if let Some(server) = &fixture._server {
        let keys: Vec<String> = server.ask(&["KEYS", "*bulk:*"]);
        assert!(keys.iter().all(|key| key.contains(":gen:")), "{keys:?}");
    }
}

async fn a_purge_of_everything_frees_the_memory_of_its_namespace(fixture: Fixture) {
    let cache = &fixture.cache;
    for key in ["bulk:1", "bulk:2", "other:1"] {
        cache.put(key, MINUTE, 1u32).await.expect("it works");
    }
    let other = fixture
        ._server
        .as_ref()
        .map(|server| cache_on(&server.url(), "suite2"));
    if let Some(other) = &other {
        other.put("bulk:1", MINUTE, 2u32).await.expect("it works");
    }
    let what = cache.purge_all().await.expect("it works");
    assert_eq!(what.functions, ["bulk", "other"]);
    assert_eq!(what.entries, 3);
    for key in ["bulk:1", "other:1"] {
        assert_eq!(cache.get::<u32>(key).await.expect("it works"), None);
    }
    if let (Some(server), Some(other)) = (&fixture._server, other) {
        let keys: Vec<String> = server.ask(&["KEYS", "suite:*:1"]);
        assert!(keys.is_empty(), "{keys:?}");
        assert_eq!(other.get("bulk:1").await.expect("it works"), Some(2u32));
    }
}

async fn a_bad_pattern_or_key_is_an_error_that_names_the_fix(fixture: Fixture) {
    let cache = &fixture.cache;
    assert_eq!(
        cache.invalidate("").await.expect_err("empty").kind(),
        ErrorKind::Pattern
    );
    let error = cache
        .invalidate_keys("user*")
        .await
        .expect_err("no arguments");
    assert_eq!(error.kind(), ErrorKind::Pattern);
    assert!(error.to_string().contains("invalidate"), "{error}");
    for key in ["", ":1", "gen:1", "functions:1", "a b:1"] {
        let error = cache.get::<u32>(key).await.expect_err(key);
        assert_eq!(error.kind(), ErrorKind::Key, "{key}: {error}");
        // The function itself still runs.
        assert_eq!(
            cache.get_or_compute(key, MINUTE, || async { 7u32 }).await,
            7
        );
    }
}

async fn the_counters_tell_what_happened(fixture: Fixture) {
    let value = AtomicU64::new(0);
    for id in [1, 1, 1, 2] {
        let compute = || async { value.fetch_add(1, Ordering::SeqCst) };
        fixture
            .cache
            .get_or_compute(&format!("count:{id}"), MINUTE, compute)
            .await;
    }
    let stats = fixture.cache.stats();
    let count = stats.function("count");
    assert_eq!((count.misses, count.computations, count.errors), (2, 2, 0));
    assert_eq!(count.near_hits + count.redis_hits, 2);
    assert_eq!(count.hit_rate(), 0.5);
    assert_eq!(stats.total.computations, 2);
    assert!(stats.to_string().contains("count"));
}
