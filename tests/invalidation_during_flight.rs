//! No call joins a flight that began before an invalidation known to the process.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{Backend, Fault, Proxy, Server, cache_on, on_server_and_cluster, until};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

on_server_and_cluster! {
    "current_thread"
    shared [
        without_pushes_nobody_joins_what_was_begun_before
        a_holder_receives_its_invalidation_elsewhere_from_the_beginning
        a_holder_receives_its_invalidation_after_it_has_renewed_its_lease
        without_pushes_nobody_joins_a_waiter_of_an_old_generation
        who_computes_after_waiting_in_vain_receives_the_invalidation_of_its_call
        who_joined_after_a_change_is_given_nothing_old_by_a_failure
        who_comes_while_it_is_computed_joins_and_asks_nobody
    ]
    own [
        a_full_server_leaves_nobody_with_what_was_begun_before
    ]
}

async fn works(cache: &Cache) -> bool {
    let stored = cache.put("probe:1", MINUTE, 1u32).await;
    stored.is_ok() && cache.get::<u32>("probe:1").await.ok() == Some(Some(1))
}

/// Invalidates through `two` and asserts that no call of `one` joins a flight that began before.
async fn invalidated_elsewhere(one: &Cache, two: &Cache, key: &str) {
    let hour = Duration::from_secs(3_600);
    let policy = MINUTE.lease(hour).lease_wait(hour);
    let slow = endless(one, key, policy).await;
    let name = key.split(':').next().expect("a name");
    let _ = two.remove(key).await.expect("it works");
    joined_no_more(one, key, policy).await;
    slow.abort();
    let slow = endless(one, &key.replace(":1", ":2"), policy).await;
    two.invalidate(name).await.ok();
    joined_no_more(one, &key.replace(":1", ":2"), policy).await;
    slow.abort();
}

async fn a_full_server_leaves_nobody_with_what_was_begun_before(backend: Backend) {
    let one = backend.cache();
    let two = backend.cache();
    assert!(works(&one).await && works(&two).await);
    let hour = Duration::from_secs(3_600);
    let policy = MINUTE.lease(hour).lease_wait(hour);
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let slow = endless(&one, "full:1", policy).await;
    // Nothing is stored, so no push arrives.
    assert_eq!(
        two.remove("full:1")
            .await
            .expect("removing needs no room")
            .entries,
        0
    );
    joined_no_more(&one, "full:1", policy).await;
    slow.abort();
}

async fn without_pushes_nobody_joins_what_was_begun_before(backend: Backend) {
    let url = backend.without_pushes();
    let (one, two) = (
        cache_on(&url, &backend.namespace),
        cache_on(&url, &backend.namespace),
    );
    invalidated_elsewhere(&one, &two, "silent:1").await;
}

/// Starts a computation of `key` that never ends.
async fn endless(cache: &Cache, key: &str, policy: Policy) -> JoinHandle<String> {
    let (cache, key, begun) = (cache.clone(), key.to_owned(), Arc::new(Notify::new()));
    let task = tokio::spawn({
        let begun = Arc::clone(&begun);
        async move {
            let compute = || async {
                begun.notify_one();
                std::future::pending().await
            };
            cache.get_or_compute(&key, policy, compute).await
        }
    });
    begun.notified().await;
    task
}

/// Waits until a call of `key` is computed anew instead of joining the earlier flight.
async fn joined_no_more(cache: &Cache, key: &str, policy: Policy) {
    // The timeout grows because the call itself may take longer on a busy machine.
    let patience = Cell::new(Duration::from_millis(20));
    until("it takes no more joiners", || async {
        let value = cache.get_or_compute(key, policy, || async { "new".to_owned() });
        let value = tokio::time::timeout(patience.get(), value).await;
        patience.set((patience.get() * 5 / 4).min(Duration::from_secs(2)));
        value.is_ok_and(|value| value == "new")
    })
    .await;
}

async fn a_holder_receives_its_invalidation_elsewhere_from_the_beginning(backend: Backend) {
    let one = backend.cache();
    let two = backend.cache();
    // With a lease of an hour, no renewal reveals the invalidation.
    let hour = Duration::from_secs(3_600);
    let policy = MINUTE.lease(hour).lease_wait(hour);
    let slow = endless(&one, "claimed:1", policy).await;
    assert_eq!(two.remove("claimed:1").await.expect("it works").entries, 0);
    joined_no_more(&one, "claimed:1", policy).await;
    slow.abort();
}

async fn a_holder_receives_its_invalidation_after_it_has_renewed_its_lease(backend: Backend) {
    let one = backend.cache();
    let two = backend.cache();
    let policy = MINUTE
        .lease(Duration::from_secs(15))
        .lease_wait(Duration::from_secs(60));
    let slow = endless(&one, "renewed:1", policy).await;
    // A renewal ends the tracking of the lease unless the lease is read again.
    let left = || backend.ask::<i64>(&["PTTL", "{{ns}:renewed:1}:lease"]);
    let lowest = Cell::new(i64::MAX);
    until("the lease has been renewed", || async {
        let (left, before) = (left(), lowest.get());
        if left > 0 {
            lowest.set(before.min(left));
        }
        before < 13_000 && left > before
    })
    .await;
    let removed = Instant::now();
    assert_eq!(two.remove("renewed:1").await.expect("it works").entries, 0);
    joined_no_more(&one, "renewed:1", policy).await;
    // The next renewal is due after five seconds, so only a push can have caused this.
    let heard = removed.elapsed();
    assert!(heard < Duration::from_millis(4_500), "{heard:?}");
    slow.abort();
}

/// Starts a call of `key` that computes `value` and ends on command.
async fn begun(cache: &Cache, key: &'static str, value: u32, end: &Arc<Notify>) {
    let (cache, began, end) = (cache.clone(), Arc::new(Notify::new()), Arc::clone(end));
    let told = Arc::clone(&began);
    // A thread without a runtime, whose calls use the background connection.
    std::thread::spawn(move || {
        let compute = || async {
            told.notify_one();
            end.notified().await;
            value
        };
        pollster::block_on(cache.get_or_compute(key, MINUTE, compute))
    });
    began.notified().await;
}

async fn without_pushes_nobody_joins_a_waiter_of_an_old_generation(backend: Backend) {
    let url = backend.without_pushes();
    let (holder, waiter) = (
        cache_on(&url, &backend.namespace),
        cache_on(&url, &backend.namespace),
    );
    let end = Arc::new(Notify::new());
    begun(&holder, "wait:1", 1, &end).await;
    let call = |cache: Cache| {
        tokio::spawn(async move {
            cache
                .get_or_compute("wait:1", MINUTE, || async { 2u32 })
                .await
        })
    };
    let early = call(waiter.clone());
    until("it waits", || async {
        waiter.stats().function("wait").lease_waits > 0
    })
    .await;
    let _ = holder.invalidate("wait").await.expect("it works");
    // The waiter's process reads Redis for other calls and for this one.
    assert_eq!(waiter.get::<u32>("wait:2").await.ok(), Some(None));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let late = call(waiter);
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.notify_one();
    early.await.expect("no panic");
    assert_eq!(late.await.expect("no panic"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_joins_over_one_connection_what_the_other_was_cut_off_from() {
    let server = Server::start();
    let one = cache_on(&server.url(), "joiners");
    until("it is connected", || works(&one)).await;
    // The runtime connection is the second one.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(works(&one).await);
    let two = cache_on(&server.url(), "joiners");
    assert!(works(&two).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut admin = server.client();
    let list: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query(&mut admin)
        .expect("it works");
    let ids: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
        .collect();
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxclients").arg(ids.len() - 1);
    set.query::<()>(&mut admin).expect("it works");
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("ID").arg(ids[0]);
    kill.query::<()>(&mut admin).expect("it works");
    // Each connection attempt closes flights; later attempts are a second apart.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let end = Arc::new(Notify::new());
    begun(&one, "cut:1", 1, &end).await;
    let _ = two.remove("cut:1").await.expect("it works");
    // The process still reads Redis because its runtime connection is up.
    assert_eq!(one.get::<u32>("probe:1").await.ok(), Some(Some(1)));
    let late = tokio::spawn({
        let one = one.clone();
        async move { one.get_or_compute("cut:1", MINUTE, || async { 2u32 }).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.notify_one();
    assert_eq!(late.await.expect("no panic"), 2);
}

async fn who_computes_after_waiting_in_vain_receives_the_invalidation_of_its_call(
    backend: Backend,
) {
    let (holder, one, two) = (backend.cache(), backend.cache(), backend.cache());
    let hour = Duration::from_secs(3_600);
    let policy = MINUTE.lease(hour).lease_wait(hour);
    let held = endless(&holder, "vain:1", policy).await;
    let waited = endless(
        &one,
        "vain:1",
        policy.lease_wait(Duration::from_millis(200)),
    )
    .await;
    // A new call joins the flight instead of waiting for the lease.
    let late = one.get_or_compute("vain:1", policy, || async { "late".to_owned() });
    let late = tokio::time::timeout(Duration::from_millis(300), late).await;
    late.expect_err("it waits for the one under way");
    assert_eq!(one.stats().function("vain").lease_waits, 1);
    let _ = two.remove("vain:1").await.expect("it works");
    joined_no_more(&one, "vain:1", policy).await;
    held.abort();
    waited.abort();
}

/// Found by the model: an invalidation that removes the lease before it was taken, and the entry
/// after it.
async fn who_joined_after_a_change_is_given_nothing_old_by_a_failure(backend: Backend) {
    let one = backend.cache();
    assert!(works(&one).await);
    let policy = Policy::new(Duration::from_millis(100))
        .jitter(0.0)
        .stale_if_error(Duration::from_secs(3_600));
    for late_ends_first in [false, true] {
        let good = || async { Ok::<u32, ()>(1) };
        assert_eq!(one.try_get_or_compute("old:1", policy, good).await, Ok(1));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (one, begun, end) = (one.clone(), Arc::clone(&begun), Arc::clone(&end));
            async move {
                let fails = || async {
                    begun.notify_one();
                    end.notified().await;
                    Err::<u32, ()>(())
                };
                one.try_get_or_compute("old:1", policy, fails).await
            }
        });
        begun.notified().await;
        assert_eq!(backend.ask::<u64>(&["DEL", "{ns}:old:1"]), 1);
        // The push arrives before this reply.
        assert!(works(&one).await);
        let late = tokio::spawn({
            let one = one.clone();
            let new = || async { Ok::<u32, ()>(2) };
            async move { one.try_get_or_compute("old:1", policy, new).await }
        });
        if !late_ends_first {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        end.notify_one();
        assert_eq!(
            first.await.expect("no panic"),
            Ok(1),
            "it was called before"
        );
        let late = late.await.expect("no panic");
        assert_ne!(late, Ok(1), "it was called after");
        let _ = one.remove("old:1").await.expect("it works");
    }
}

async fn who_comes_while_it_is_computed_joins_and_asks_nobody(backend: Backend) {
    let cache = backend.cache();
    let end = Arc::new(Notify::new());
    // The first read of a function creates its generation, which causes a push.
    assert_eq!(cache.get::<u32>("open:0").await.ok(), Some(None));
    begun(&cache, "open:1", 1, &end).await;
    // By now all pushes about the lease have arrived.
    assert!(works(&cache).await);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                cache
                    .get_or_compute("open:1", MINUTE, || async { 2u32 })
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.notify_one();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 1);
    }
    let stats = cache.stats().function("open");
    assert_eq!((stats.coalesced, stats.lease_waits), (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_old_stands_in_for_who_comes_after_its_invalidation_elsewhere() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let one = cache_on(&proxy.url(), "joiners");
    let two = cache_on(&server.url(), "joiners");
    let policy = Policy::new(Duration::from_millis(100))
        .jitter(0.0)
        .stale_if_error(Duration::from_secs(3_600));
    let good = || async { Ok::<u32, ()>(1) };
    let call = |one: Cache, end: Arc<Notify>| async move {
        let fails = || async {
            end.notified().await;
            Err::<u32, ()>(())
        };
        one.try_get_or_compute("old:1", policy, fails).await
    };
    assert_eq!(one.try_get_or_compute("old:1", policy, good).await, Ok(1));
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The outdated entry is read after the first half second, and the lease taken after another.
    let slow = Duration::from_millis(500);
    proxy.set(Fault::Slow(slow, Duration::ZERO));
    let end = Arc::new(Notify::new());
    let first = tokio::spawn(call(one.clone(), Arc::clone(&end)));
    tokio::time::sleep(slow * 3 / 2).await;
    assert_eq!(two.remove("old:1").await.expect("it works").entries, 1);
    // Time for the push to arrive.
    tokio::time::sleep(slow / 5).await;
    let late = tokio::spawn(call(one.clone(), Arc::clone(&end)));
    while !late.is_finished() {
        end.notify_one();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(late.await.expect("no panic"), Err(()));
    first.await.expect("no panic").ok();
}
