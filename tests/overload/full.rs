//! A server without free memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, Policy};
use recached_tests::{Server, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// Number of versions of the source.
const VERSIONS: u64 = 3;
const KEYS: u64 = 350;

/// A server with room for some hundreds of values of 4 KiB beyond its own needs.
fn full(policy: &str) -> Server {
    let server = Server::start();
    let most = server.used_memory() + (1 << 20);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", policy]);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", &most.to_string()]);
    server
}

/// Result of a call while the source is at `version`.
async fn ask(cache: &Cache, id: u64, version: u64) -> (u64, u64) {
    let compute = || async { (id, version, "x".repeat(4 << 10)) };
    let key = format!("full:{id}");
    let (id, version, _) = cache.get_or_compute(&key, MINUTE, compute).await;
    (id, version)
}

/// Makes more calls than fit into memory through two caches, with invalidations in between.
async fn is_always_right(server: &Server) -> [Cache; 2] {
    let caches = [(); 2].map(|()| cache_on(&server.url(), "full"));
    let source = AtomicU64::new(0);
    for _ in 0..VERSIONS {
        let version = source.fetch_add(1, Ordering::SeqCst) + 1;
        let _ = caches[0]
            .invalidate("full")
            .await
            .expect("there is always room for that");
        for id in 0..KEYS {
            assert_eq!(ask(&caches[0], id, version).await, (id, version));
        }
        // The other cache receives a push or reads the new generation.
        until("the other knows", || async {
            ask(&caches[1], KEYS, version).await == (KEYS, version)
        })
        .await;
        for id in 0..KEYS {
            assert_eq!(ask(&caches[1], id, version).await, (id, version));
        }
    }
    caches
}

async fn is_stored(cache: &Cache, key: &str) -> bool {
    for _ in 0..2 {
        cache.get_or_compute(key, MINUTE, || async { 1u32 }).await;
    }
    cache.get::<u32>(key).await.expect("it works").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_that_refuses_to_store_costs_no_answer() {
    let server = full("noeviction");
    let caches = is_always_right(&server).await;
    for cache in &caches {
        let stats = cache.stats();
        assert!(stats.total.errors > 0, "it was never full: {stats}");
    }
    // Unreachable entries are removed, and there is room again.
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until("values are stored again", || {
        is_stored(&caches[0], "full:again")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_that_evicts_what_was_not_used_costs_no_answer() {
    evicts("allkeys-lru").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_that_evicts_what_expires_soonest_costs_no_answer() {
    evicts("volatile-ttl").await;
}

async fn evicts(policy: &str) {
    let server = full(policy);
    let caches = is_always_right(&server).await;
    assert!(
        server.info("stats", "evicted_keys") > KEYS,
        "it was never full"
    );
    for cache in &caches {
        let stats = cache.stats();
        assert_eq!(stats.total.errors, 0, "{stats}");
        assert!(is_stored(cache, "full:again").await);
    }
}
