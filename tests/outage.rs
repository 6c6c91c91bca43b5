//! Invalidations that are made while the server is unreachable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, Error, InvalidationReport, Policy};
use recached_tests::{
    Backend, Fault, PATIENCE, Proxy, Server, on_server_and_cluster, reaches, until,
};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

mod multi_thread {
    use super::*;

    on_server_and_cluster! {
        "multi_thread"
        shared []
        own [
            a_call_invalidated_in_an_outage_is_never_undone
            a_function_invalidated_in_an_outage_is_never_undone
            keys_invalidated_in_an_outage_are_never_undone
            everything_invalidated_in_an_outage_is_never_undone
            a_function_that_only_others_know_is_invalidated_once_the_server_is_back
            copies_are_served_in_an_outage_where_that_is_asked_for_and_never_once_invalidated
            copies_are_served_in_an_outage_for_as_long_as_was_asked_for
            what_others_invalidated_while_a_connection_was_lost_is_not_served_once_it_is_back
        ]
    }
}

on_server_and_cluster! {
    "current_thread"
    shared []
    own [
        a_full_server_still_takes_invalidations
    ]
}

/// Reads the number in `source` through the cache.
async fn read(cache: &Cache, source: &AtomicU64) -> u64 {
    let compute = || async { source.load(Ordering::SeqCst) };
    cache.get_or_compute("outage.item:1", MINUTE, compute).await
}

fn cache_by_default(backend: &Backend) -> Cache {
    let builder = Cache::builder().redis(backend.url());
    let builder = builder.namespace(&backend.namespace);
    builder.build().expect("the url is good")
}

/// Waits until the cache has detected that the server hangs, so that later commands are not sent.
async fn away(cache: &Cache) {
    until("the server is known to be away", || async {
        let before = cache.stats().total.error_kinds.unavailable;
        let read = cache.get::<u64>("outage.probe:1").await;
        assert_eq!(read.expect("an outage is not the caller's error"), None);
        cache.stats().total.error_kinds.unavailable > before
    })
    .await;
}

/// Invalidates by `how` while the server hangs. Afterwards no call in this process returns the old
/// value, and no call in any process does once the server is back.
async fn never_undone<F>(backend: Backend, how: impl Fn(Cache) -> F)
where
    F: Future<Output = Result<InvalidationReport, Error>>,
{
    let here = cache_by_default(&backend);
    // This cache has timeouts long enough to wait for the server.
    let there = backend.cache();
    let source = AtomicU64::new(1);
    until("both have it from the server", || async {
        read(&here, &source).await;
        read(&there, &source).await;
        let hits = |cache: &Cache| cache.stats().total.redis_hits > 0;
        hits(&here) && hits(&there)
    })
    .await;
    backend.freeze();
    away(&here).await;
    source.store(2, Ordering::SeqCst);
    let report = how(here.clone()).await.expect("it is queued");
    assert!(report.queued && report.entries == 0);
    assert_eq!(read(&here, &source).await, 2);
    backend.thaw();
    let begun = std::time::Instant::now();
    let hits = || here.stats().total.redis_hits + here.stats().total.near_hits;
    let before = hits();
    while hits() == before {
        assert_eq!(read(&here, &source).await, 2);
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < PATIENCE, "the server is not used again");
    }
    // The outbox is delivered before any read, so the push is on its way.
    until("the others have heard of it", || async {
        read(&there, &source).await == 2
    })
    .await;
}

async fn a_call_invalidated_in_an_outage_is_never_undone(backend: Backend) {
    never_undone(backend, |cache| async move {
        cache.remove("outage.item:1").await
    })
    .await;
}

async fn a_function_invalidated_in_an_outage_is_never_undone(backend: Backend) {
    never_undone(
        backend,
        |cache| async move { cache.invalidate("it*").await },
    )
    .await;
}

async fn keys_invalidated_in_an_outage_are_never_undone(backend: Backend) {
    never_undone(backend, |cache| async move {
        cache.invalidate_keys("item:*").await
    })
    .await;
}

async fn everything_invalidated_in_an_outage_is_never_undone(backend: Backend) {
    never_undone(backend, |cache| async move { cache.invalidate_all().await }).await;
}

async fn a_function_that_only_others_know_is_invalidated_once_the_server_is_back(backend: Backend) {
    let (here, there) = (cache_by_default(&backend), backend.cache());
    let source = AtomicU64::new(1);
    until("one has it from the server", || async {
        read(&there, &source).await;
        there.stats().total.redis_hits > 0 && reaches(&here).await
    })
    .await;
    backend.freeze();
    away(&here).await;
    source.store(2, Ordering::SeqCst);
    let report = here.invalidate("item").await.expect("it is queued");
    assert!(report.queued);
    backend.thaw();
    until("it has been told", || async {
        read(&there, &source).await == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_invalidated_though_the_fleet_has_lost_its_name_meanwhile() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let builder = Cache::builder().redis(proxy.url()).namespace("outage");
    let here = builder.build().expect("the url is good");
    let source = AtomicU64::new(1);
    until("it has it from the server", || async {
        read(&here, &source).await;
        here.stats().total.redis_hits > 0
    })
    .await;
    proxy.set(Fault::Refused);
    proxy.cut();
    away(&here).await;
    source.store(2, Ordering::SeqCst);
    let report = here.invalidate("item").await.expect("it is queued");
    assert!(report.queued);
    // Simulates eviction of the least recently used key.
    let lost: u64 = server.ask(&["DEL", "outage:functions"]);
    assert_eq!(lost, 1);
    proxy.set(Fault::None);
    let before = here.stats().total.redis_hits;
    until("the server is used again", || async {
        assert_eq!(read(&here, &source).await, 2);
        here.stats().total.redis_hits > before
    })
    .await;
}

/// Delivered one by one, the invalidations would take a round trip each, twenty seconds in total.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_invalidations_are_delivered_in_a_few_round_trips() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let builder = Cache::builder().redis(proxy.url()).namespace("outage");
    let cache = builder.build().expect("the url is good");
    proxy.set(Fault::Refused);
    proxy.cut();
    away(&cache).await;
    for id in 0..2_000 {
        let removed = cache.remove(&format!("outage.item:{id}")).await;
        assert!(removed.expect("it is queued").queued);
    }
    proxy.set(Fault::Slow(
        Duration::from_millis(5),
        Duration::from_millis(5),
    ));
    let begun = std::time::Instant::now();
    until("the server is believed again", || async {
        reaches(&cache).await
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

async fn a_full_server_still_takes_invalidations(backend: Backend) {
    let (here, there) = (backend.cache(), backend.cache());
    let source = AtomicU64::new(1);
    assert_eq!(read(&here, &source).await, 1);
    assert_eq!(read(&there, &source).await, 1);
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    source.store(2, Ordering::SeqCst);
    let _ = here.invalidate("item").await.expect("it needs no room");
    assert_eq!(read(&here, &source).await, 2);
    until("the other has heard of it", || async {
        read(&there, &source).await == 2
    })
    .await;
    // There is room again for a generation and for entries.
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until("it is stored again", || async {
        read(&there, &source).await == 2 && there.stats().total.redis_hits > 1
    })
    .await;
}

async fn by_hand(cache: &Cache, key: &str, value: u32) -> u32 {
    cache.get_or_compute(key, MINUTE, || async { value }).await
}

/// A cache with this `near_outage_grace`, and one without.
async fn graced(backend: &Backend, grace: Duration) -> (Cache, Cache) {
    let builder = Cache::builder().redis(backend.url());
    let builder = builder.namespace(&backend.namespace);
    let builder = builder
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5));
    let one = builder.clone().near_outage_grace(grace).build();
    let (one, two) = (one.expect("it builds"), builder.build().expect("it builds"));
    for cache in [&one, &two] {
        for key in ["kept:1", "kept:2", "other:1"] {
            until("a copy is kept", || async {
                by_hand(cache, key, 1).await;
                let before = cache.stats().total.near_hits;
                by_hand(cache, key, 2).await == 1 && cache.stats().total.near_hits > before
            })
            .await;
        }
    }
    (one, two)
}

async fn copies_are_served_in_an_outage_where_that_is_asked_for_and_never_once_invalidated(
    mut backend: Backend,
) {
    let (one, two) = graced(&backend, Duration::from_secs(3_600)).await;
    backend.kill();
    // The cache without a grace period computes.
    until("the connection is lost", || async {
        by_hand(&two, "kept:1", 2).await == 2
    })
    .await;
    until("it is lost here too", || async {
        by_hand(&one, "unknown:1", 3).await;
        one.stats().function("unknown").errors > 0
    })
    .await;
    for key in ["kept:1", "kept:2", "other:1"] {
        assert_eq!(by_hand(&one, key, 2).await, 1, "{key}");
    }
    assert!(one.remove("kept:1").await.expect("it is queued").queued);
    assert_eq!(by_hand(&one, "kept:1", 3).await, 3);
    let report = one.invalidate("other").await.expect("it is queued");
    assert!(report.queued);
    assert_eq!(by_hand(&one, "other:1", 3).await, 3);
    assert_eq!(by_hand(&one, "kept:2", 3).await, 1);
    // The server is back without its data, so near entries are no longer served.
    backend.restart();
    until("it is back", || async { reaches(&two).await }).await;
    until("the copy is gone", || async {
        by_hand(&one, "kept:2", 4).await == 4
    })
    .await;
}

async fn copies_are_served_in_an_outage_for_as_long_as_was_asked_for(mut backend: Backend) {
    let (one, _) = graced(&backend, Duration::from_secs(1)).await;
    backend.kill();
    until("they are not served any more", || async {
        by_hand(&one, "kept:1", 2).await == 2
    })
    .await;
}

async fn what_others_invalidated_while_a_connection_was_lost_is_not_served_once_it_is_back(
    backend: Backend,
) {
    let (one, two) = graced(&backend, Duration::from_secs(3_600)).await;
    backend.tell::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    until("the other has told", || async {
        two.remove("kept:1")
            .await
            .is_ok_and(|report| !report.queued)
    })
    .await;
    until("the copy is gone", || async {
        by_hand(&one, "kept:1", 2).await == 2
    })
    .await;
}
