//! Failures: each call returns its function's result, and the cache recovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, ErrorKind, Policy, cached};
use recached_tests::{Backend, PATIENCE, Server, cache_on, on_server_and_cluster, until};
use tokio::sync::Notify;

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

mod multi_thread {
    use super::*;

    on_server_and_cluster! {
        "multi_thread"
        shared []
        own [
            a_server_killed_in_the_middle_costs_no_result
            a_hung_server_costs_one_deadline_and_then_next_to_nothing
            a_hung_server_costs_one_deadline_by_whichever_connection
        ]
    }
}

on_server_and_cluster! {
    "current_thread"
    shared [
        whatever_stands_in_the_place_of_an_entry_is_a_miss_and_overwritten
        a_key_of_another_type_in_redis_costs_no_result
        a_value_that_cannot_be_written_is_returned_and_counted
        without_pushes_waiters_poll_and_invalidations_hold
        a_wrong_password_costs_no_result_and_is_reported_without_it
        an_entry_that_cannot_be_read_is_replaced_once_in_the_fleet
        an_expired_entry_is_computed_once_though_its_end_is_pushed_to_all
    ]
    own [
        an_absent_server_costs_no_result_and_is_picked_up_when_it_comes
        a_server_that_takes_no_writes_costs_no_result
        scripts_the_server_has_forgotten_are_loaded_again
        a_flushed_server_means_misses_and_the_names_come_back
        who_calls_after_a_lost_connection_waits_for_what_began_before_and_is_woken
    ]
}

/// A cache with the default timeouts.
fn cache_by_default(url: &str, namespace: &str) -> Cache {
    Cache::builder()
        .redis(url)
        .namespace(namespace)
        .build()
        .expect("the url is good")
}

async fn works(cache: &Cache) -> bool {
    let stored = cache.put("probe:1", MINUTE, 1u32).await;
    stored.is_ok()
        && cache
            .get::<u32>("probe:1")
            .await
            .is_ok_and(|value| value == Some(1))
}

async fn an_absent_server_costs_no_result_and_is_picked_up_when_it_comes(mut backend: Backend) {
    backend.kill();
    let cache = cache_by_default(&backend.url(), &backend.namespace);
    let runs = AtomicUsize::new(0);
    for _ in 0..3 {
        let value = cache.get_or_compute("absent:1", MINUTE, || async {
            runs.fetch_add(1, Ordering::SeqCst);
            7u32
        });
        assert_eq!(value.await, 7);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert!(cache.stats().function("absent").errors >= 3);
    let report = cache.invalidate("absent").await.expect("it is queued");
    assert!(report.queued);
    backend.restart();
    until("the server is picked up", || works(&cache)).await;
    until("what is computed is stored", || async {
        let call = |value: u32| cache.get_or_compute("absent:1", MINUTE, async move || value);
        call(8).await == 8 && call(9).await == 8
    })
    .await;
}

async fn a_server_killed_in_the_middle_costs_no_result(mut backend: Backend) {
    let cache = cache_by_default(&backend.url(), &backend.namespace);
    until("the server is there", || works(&cache)).await;
    until("it is stored", || async {
        cache.put("killed:1", MINUTE, 1u32).await.is_ok()
    })
    .await;
    let value = {
        let killed = &mut backend;
        let compute = cache.get_or_compute("killed:2", MINUTE, || async {
            killed.kill();
            2u32
        });
        compute.await
    };
    assert_eq!(value, 2, "the store failed, the result is there");
    for id in 0..20 {
        assert_eq!(
            cache
                .get_or_compute(&format!("killed:{id}"), MINUTE, || async { id })
                .await,
            id
        );
    }
    backend.restart();
    until("the server is picked up", || works(&cache)).await;
    // The server is empty and has a new generation, so no old value is served.
    until("it is read", || async {
        let read = cache.get::<u32>("killed:1").await;
        read.is_ok_and(|value| {
            assert_eq!(value, None);
            true
        })
    })
    .await;
}

async fn a_hung_server_costs_one_deadline_and_then_next_to_nothing(backend: Backend) {
    let cache = cache_by_default(&backend.url(), &backend.namespace);
    until("the server is there", || works(&cache)).await;
    backend.freeze();
    let mut took = Vec::new();
    for id in 0..50 {
        let begun = Instant::now();
        assert_eq!(
            cache
                .get_or_compute(&format!("hung:{id}"), MINUTE, || async { id })
                .await,
            id
        );
        took.push(begun.elapsed());
    }
    let first = took[0];
    took.sort_unstable();
    let median = took[took.len() / 2];
    // The timeout is 80 ms; the rest allows for a busy machine.
    assert!(first < Duration::from_secs(2), "{first:?}");
    assert!(median < Duration::from_millis(20), "{median:?}");
    backend.thaw();
    until("the server is used again", || works(&cache)).await;
}

async fn a_hung_server_costs_one_deadline_by_whichever_connection(backend: Backend) {
    let cache = cache_by_default(&backend.url(), &backend.namespace);
    // Over the runtime connection and over the background connection.
    let steady = |cache: &Cache| {
        let cache = cache.clone();
        let call = move || recached_tests::block_on(cache.get::<u32>("probe:1"));
        std::thread::spawn(call).join().expect("no panic")
    };
    let both = || async { works(&cache).await && steady(&cache).ok() == Some(Some(1)) };
    until("both connections are there", both).await;
    backend.freeze();
    let errors = || cache.stats().total.error_kinds;
    let before = errors();
    assert_eq!(cache.get::<u32>("frozen:1").await.expect("no error"), None);
    assert_eq!(errors().timeout - before.timeout, 1);
    for _ in 0..10 {
        assert_eq!(cache.get::<u32>("frozen:1").await.expect("no error"), None);
        assert_eq!(steady(&cache).expect("no error"), None);
    }
    assert_eq!(errors().timeout - before.timeout, 1, "one deadline");
    assert_eq!(errors().unavailable - before.unavailable, 20);
    backend.thaw();
    until("both are back", both).await;
}

async fn a_server_that_takes_no_writes_costs_no_result(backend: Backend) {
    let cache = backend.cache();
    until("the server is there", || works(&cache)).await;
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for id in 0..3 {
        assert_eq!(
            cache
                .get_or_compute("full:1", MINUTE, || async { id })
                .await,
            id
        );
    }
    let before = cache.stats().function("full").error_kinds.server;
    let put = cache.put("full:1", MINUTE, 1u32).await;
    put.expect("an outage is not the caller's error");
    assert!(cache.stats().function("full").error_kinds.server > before);
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until("there is room", || works(&cache)).await;
}

async fn whatever_stands_in_the_place_of_an_entry_is_a_miss_and_overwritten(backend: Backend) {
    let cache = backend.cache();
    cache.put("odd:1", MINUTE, 1u32).await.expect("it works");
    let good: Vec<u8> = backend.ask(&["GET", "{ns}:odd:1"]);
    let mut cut = good.clone();
    cut.truncate(20);
    let mut other_format = good.clone();
    other_format[2] = 99;
    let mut not_json = good.clone();
    not_json.truncate(40);
    not_json.extend_from_slice(b"{\"half\":");
    for bytes in [
        &b""[..],
        b"1",
        b"\xff\xfe\x00garbage",
        &cut,
        &other_format,
        &not_json,
    ] {
        let mut set = redis::cmd("SET");
        let key = format!("{}:odd:1", backend.namespace);
        set.arg(&key).arg(bytes).arg("PX").arg(60_000);
        set.query::<()>(&mut backend.client(&key))
            .expect("it works");
        until("the push has travelled and the entry is a miss", || async {
            cache.get::<u32>("odd:1").await.expect("no error").is_none()
        })
        .await;
        assert_eq!(
            cache
                .get_or_compute("odd:1", MINUTE, || async { 5u32 })
                .await,
            5
        );
        assert_eq!(
            cache
                .get_or_compute("odd:1", MINUTE, || async { 6u32 })
                .await,
            5,
            "{bytes:?}"
        );
    }
    assert_eq!(cache.stats().function("odd").errors, 0);
}

async fn a_key_of_another_type_in_redis_costs_no_result(backend: Backend) {
    let cache = backend.cache();
    let _: u64 = backend.ask(&["RPUSH", "{ns}:list:1", "x"]);
    assert_eq!(
        cache
            .get_or_compute("list:1", MINUTE, || async { 5u32 })
            .await,
        5
    );
    assert_eq!(
        cache
            .get_or_compute("list:1", MINUTE, || async { 6u32 })
            .await,
        5,
        "it was replaced"
    );
    assert_eq!(cache.get::<u32>("list:1").await.expect("it works"), Some(5));
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the secret is 42"))
    }
}

async fn a_value_that_cannot_be_written_is_returned_and_counted(backend: Backend) {
    let cache = backend.cache();
    for _ in 0..2 {
        assert_eq!(
            cache
                .get_or_compute("mute:1", MINUTE, || async { Unwritable })
                .await,
            Unwritable
        );
    }
    let stats = cache.stats().function("mute");
    assert_eq!((stats.computations, stats.errors), (2, 2));
    // The lease is released, so no call waits for it.
    assert_eq!(backend.ask::<u64>(&["EXISTS", "{{ns}:mute:1}:lease"]), 0);
    let error = cache
        .put("mute:1", MINUTE, Unwritable)
        .await
        .expect_err("it can't be written");
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(
        !error.to_string().contains("42"),
        "a value in an error: {error}"
    );
}

async fn scripts_the_server_has_forgotten_are_loaded_again(backend: Backend) {
    let cache = backend.cache();
    for id in 0..3u32 {
        backend.tell::<()>(&["SCRIPT", "FLUSH"]);
        let key = format!("script:{id}");
        assert_eq!(
            cache.get_or_compute(&key, MINUTE, || async { id }).await,
            id
        );
        assert_eq!(cache.get::<u32>(&key).await.expect("it works"), Some(id));
    }
    assert_eq!(cache.stats().total.errors, 0);
}

async fn a_flushed_server_means_misses_and_the_names_come_back(backend: Backend) {
    let cache = backend.cache();
    cache
        .get_or_compute("flush:1", MINUTE, || async { 1u32 })
        .await;
    backend.flush();
    until("the push has travelled", || async {
        let value = cache.get_or_compute("flush:1", MINUTE, || async { 2u32 });
        value.await == 2
    })
    .await;
    until("the name is back", || async {
        backend.ask::<Vec<String>>(&["HKEYS", "{ns}:functions"]) == ["flush"]
    })
    .await;
}

async fn without_pushes_waiters_poll_and_invalidations_hold(backend: Backend) {
    // This user has no tracking, like behind a proxy that forwards no pushes.
    let url = backend.without_pushes();
    let [one, two] = [(); 2].map(|()| cache_on(&url, &backend.namespace));
    until("both are connected", || async {
        works(&one).await && works(&two).await
    })
    .await;
    let runs = Arc::new(AtomicUsize::new(0));
    let both: Vec<_> = [&one, &two]
        .map(|cache| {
            let (cache, runs) = (cache.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                cache
                    .get_or_compute("poll:1", MINUTE, || async {
                        runs.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        "old".to_owned()
                    })
                    .await
            })
        })
        .into_iter()
        .collect();
    for task in both {
        assert_eq!(task.await.expect("no panic"), "old");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let _ = one.invalidate("poll").await.expect("it works");
    for cache in [&one, &two] {
        assert_eq!(
            cache
                .get_or_compute("poll:1", MINUTE, || async { "new".to_owned() })
                .await,
            "new"
        );
    }
    assert_eq!(one.stats().total.errors + two.stats().total.errors, 0);
}

async fn a_wrong_password_costs_no_result_and_is_reported_without_it(backend: Backend) {
    let url = backend.url().replace("://", "://ada:hunter2@");
    let cache = cache_by_default(&url, &backend.namespace);
    until("the refusal is known", || async {
        cache.check().await.is_err_and(|error| {
            let text = error.to_string();
            assert!(!text.contains("hunter2"), "{text}");
            text.to_lowercase().contains("password") || text.to_lowercase().contains("auth")
        })
    })
    .await;
    assert_eq!(
        cache.get_or_compute("x:1", MINUTE, || async { 1u32 }).await,
        1
    );
}

#[tokio::test]
async fn what_a_server_quotes_of_a_command_is_not_reported() {
    let server = Server::start_with("rename-command GET \"\"\n");
    let told = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let keep = Arc::clone(&told);
    let cache = Cache::builder()
        .redis(server.url())
        .command_timeout(Duration::from_secs(5))
        .observer(move |event| {
            keep.lock()
                .expect("no panic")
                .push(format!("{event} {event:?}"))
        });
    let cache = cache.build().expect("the url is good");
    assert_eq!(cache.get::<u32>("x:secret").await.expect("no error"), None);
    assert!(cache.stats().function("x").error_kinds.server > 0);
    let told = told.lock().expect("no panic").join(" ");
    assert!(told.contains("unknown command"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[cached(ttl = 60, cache = cache, skip(cache))]
async fn by_argument(cache: Arc<Cache>, id: u64) -> u64 {
    id
}

#[tokio::test]
async fn the_cache_may_be_an_argument_that_is_skipped() {
    let cache = Cache::builder().in_process().build().expect("it builds");
    for _ in 0..2 {
        assert_eq!(by_argument(Arc::new(cache.clone()), 1).await, 1);
    }
    assert_eq!(cache.stats().total.computations, 1);
}

async fn an_entry_that_cannot_be_read_is_replaced_once_in_the_fleet(backend: Backend) {
    let caches: Vec<Cache> = (0..5).map(|_| backend.cache()).collect();
    caches[0]
        .put("odd:1", MINUTE, 1u32)
        .await
        .expect("it works");
    let mut entry: Vec<u8> = backend.ask(&["GET", "{ns}:odd:1"]);
    entry.truncate(40);
    entry.extend_from_slice(b"{half");
    let mut set = redis::cmd("SET");
    let key = format!("{}:odd:1", backend.namespace);
    set.arg(&key).arg(entry).arg("PX").arg(60_000);
    set.query::<()>(&mut backend.client(&key))
        .expect("it works");
    let runs = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = caches
        .into_iter()
        .map(|cache| {
            let runs = Arc::clone(&runs);
            tokio::spawn(async move {
                let compute = || async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    2u32
                };
                cache.get_or_compute("odd:1", MINUTE, compute).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 2);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn who_calls_after_a_lost_connection_waits_for_what_began_before_and_is_woken(
    backend: Backend,
) {
    let cache = backend.cache();
    let hour = Duration::from_secs(3_600);
    let policy = MINUTE.lease(hour).lease_wait(hour);
    let (begun, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (cache, begun, leave) = (cache.clone(), Arc::clone(&begun), Arc::clone(&leave));
        async move {
            let compute = || async {
                begun.notify_one();
                leave.notified().await;
                1u32
            };
            cache.get_or_compute("lost:1", policy, compute).await
        }
    });
    begun.notified().await;
    backend.tell::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    until("it is connected again", || works(&cache)).await;
    let second = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_or_compute("lost:1", policy, || async { 2u32 })
                .await
        }
    });
    until("the second waits for the lease", || async {
        cache.stats().function("lost").lease_waits == 1
    })
    .await;
    leave.notify_one();
    assert_eq!(first.await.expect("no panic"), 1);
    let second = tokio::time::timeout(PATIENCE, second).await;
    assert_eq!(second.expect("it is woken").expect("no panic"), 1);
}

async fn an_expired_entry_is_computed_once_though_its_end_is_pushed_to_all(backend: Backend) {
    let cache = backend.cache();
    let policy = Policy::new(Duration::from_millis(50)).jitter(0.0);
    let runs = Arc::new(AtomicUsize::new(0));
    for round in 1..=5 {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let (cache, runs) = (cache.clone(), Arc::clone(&runs));
                tokio::spawn(async move {
                    cache
                        .get_or_compute("expired:1", policy, || async {
                            runs.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            1u32
                        })
                        .await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.expect("no panic"), 1);
        }
        assert_eq!(runs.load(Ordering::SeqCst), round);
        // No call has waited for a lease to expire.
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        until("it has expired", || async {
            backend.ask::<i64>(&["PTTL", "{ns}:expired:1"]) == -2
        })
        .await;
    }
}
