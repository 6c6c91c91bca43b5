//! More concurrent calls than the cache is designed for (G9): all calls return, and no memory or
//! lease is left behind.
//!
//! A single test, because it measures the memory of the process.

use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{Server, resident, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// Number of concurrent tasks: 100,000 with `RECACHED_CROWD=100000`, fewer by default because debug
/// builds are slow.
fn size() -> u64 {
    let size = std::env::var("RECACHED_CROWD").ok();
    size.and_then(|size| size.parse().ok()).unwrap_or(10_000)
}

/// Starts one task per key and asserts that all return the right value.
async fn crowd(cache: &Cache, round: u64) {
    let calls: Vec<_> = (0..size())
        .map(|id| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let key = format!("crowd:{round}:{id}");
                let compute = || async { (round, id) };
                cache.get_or_compute(&key, MINUTE, compute).await
            })
        })
        .collect();
    for (id, call) in (0..).zip(calls) {
        assert_eq!(call.await.expect("it runs"), (round, id));
    }
}

/// Runs three crowds in sequence: the second and third reuse memory that the first has allocated.
async fn leaves_no_memory_behind(cache: &Cache) {
    let mut after = Vec::new();
    for round in 0..3 {
        let begun = Instant::now();
        crowd(cache, round).await;
        let resident = resident();
        println!("crowd {round}: {:?}, {resident:?} bytes", begun.elapsed());
        after.extend(resident);
    }
    if let [_, second, third] = after[..] {
        let grown = third.saturating_sub(second);
        // Small differences come from the allocator.
        assert!(
            grown < (second / 10).max(32 << 20),
            "{grown} bytes more after the third than after the second"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_cold_keys_is_answered_and_leaves_nothing_behind() {
    in_the_process().await;
    on_a_server_with_time_for_all().await;
    on_a_server_that_is_too_slow_for_it().await;
}

async fn in_the_process() {
    let cache = Cache::builder().in_process().max_entries(10_000).build();
    let cache = cache.expect("the settings are usable");
    leaves_no_memory_behind(&cache).await;
    let stats = cache.stats();
    assert_eq!(stats.total.errors, 0, "{stats}");
    assert_eq!(stats.total.computations, 3 * size(), "{stats}");
    assert!(stats.near.entries <= 10_000, "{stats}");
}

async fn on_a_server_with_time_for_all() {
    let server = Server::start();
    let cache = Cache::builder().redis(server.url()).namespace("crowd");
    // Timeouts long enough to store all values; a heartbeat waits in the same queue and is limited
    // by the connect timeout.
    let long = Duration::from_secs(120);
    let cache = cache.command_timeout(long).connect_timeout(long).build();
    let cache = cache.expect("the settings are usable");
    crowd(&cache, 0).await;
    let stats = cache.stats();
    println!("{stats}");
    // A heartbeat that waits in the queue for three seconds closes the connection to new calls. On
    // a slow machine some values are therefore not stored, and the errors are counted.
    let stored: u64 = server.ask(&["DBSIZE"]);
    assert!(stored > size() / 4, "{stored} keys: {stats}");
    assert!(
        stored + stats.total.errors >= size(),
        "{stored} keys: {stats}"
    );
    until("no lease is left", || async {
        let leases: Vec<String> = server.ask(&["KEYS", "*:lease*"]);
        leases.is_empty()
    })
    .await;
}

async fn on_a_server_that_is_too_slow_for_it() {
    let server = Server::start();
    let cache = Cache::builder().redis(server.url()).namespace("crowd");
    let cache = cache.build().expect("the settings are usable");
    leaves_no_memory_behind(&cache).await;
    until("calls are stored again", || async {
        let stored = cache.put("crowd:after", MINUTE, 1u32).await;
        stored.is_ok()
    })
    .await;
}
