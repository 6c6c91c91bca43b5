//! A near cache that is far smaller than the set of requested keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Builder, Cache, Policy};
use recached_tests::{Server, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));
const KEYS: u64 = 3_000;
const ENTRIES: usize = 400;
const BYTES: u64 = 256 << 10;

fn value(id: u64) -> String {
    format!("{id}:{}", "x".repeat((id % 700) as usize))
}

fn is_within(cache: &Cache) -> bool {
    let near = cache.stats().near;
    near.entries <= ENTRIES as u64 && near.weight <= BYTES
}

/// Calls many keys while another thread watches the size of the near cache.
async fn is_never_above_its_bounds(builder: Builder) -> Cache {
    let cache = builder.max_entries(ENTRIES).max_bytes(BYTES).build();
    let cache = cache.expect("the settings are usable");
    let done = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let (cache, done) = (cache.clone(), Arc::clone(&done));
        move || {
            while !done.load(Ordering::SeqCst) {
                assert!(is_within(&cache), "{}", cache.stats());
                std::thread::yield_now();
            }
        }
    });
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for _ in 0..2_000 {
                    // Some keys are used more often than others.
                    let id = fastrand::u64(..KEYS) * fastrand::u64(..KEYS) / KEYS;
                    let compute = || async { value(id) };
                    let key = format!("small:{id}");
                    assert_eq!(cache.get_or_compute(&key, MINUTE, compute).await, value(id));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("it runs");
    }
    done.store(true, Ordering::SeqCst);
    watcher.join().expect("it was never above its bounds");
    let stats = cache.stats();
    assert_eq!(stats.total.errors, 0, "{stats}");
    assert!(stats.total.near_hits > 0, "{stats}");
    assert!(
        stats.near.inserted > 4 * ENTRIES as u64,
        "it was never full: {stats}"
    );
    let _ = cache.invalidate_keys("small:*").await.expect("it works");
    cache
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_the_process_stays_within_its_bounds() {
    let cache = is_never_above_its_bounds(Cache::builder().in_process()).await;
    let near = cache.stats().near;
    assert_eq!((near.entries, near.weight), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_what_redis_holds_stay_within_their_bounds() {
    let server = Server::start();
    let builder = Cache::builder()
        .redis(server.url())
        .namespace("small")
        .command_timeout(Duration::from_secs(5));
    let cache = is_never_above_its_bounds(builder).await;
    let near = cache.stats().near;
    assert_eq!((near.entries, near.weight), (0, 0));
    // Another process finds no values either.
    let other = cache_on(&server.url(), "small");
    for id in 0..KEYS {
        let found = other.get::<String>(&format!("small:{id}")).await;
        assert_eq!(found.expect("it works"), None);
    }
}

/// Without a server values are not encoded, but their size is counted all the same.
#[tokio::test]
async fn values_that_cannot_be_written_take_their_room_too() {
    let builder = Cache::builder().in_process().max_entries(ENTRIES);
    let cache = builder.max_bytes(BYTES).max_value_size(BYTES / 4);
    let cache = cache.build().expect("the settings are usable");
    // JSON object keys are strings, so a map with pairs as keys cannot be written.
    let tile = |length: usize| async move { HashMap::from([((1_u8, 2_u8), "x".repeat(length))]) };
    for id in 0..50 {
        let key = format!("tile:{id}");
        let held = cache.get_or_compute(&key, MINUTE, || tile(10_000)).await;
        assert_eq!(held.len(), 1);
    }
    let near = cache.stats().near;
    assert!((2..=26).contains(&near.entries), "{near}");
    cache
        .get_or_compute("tile:large", MINUTE, || tile(100_000))
        .await;
    assert_eq!(cache.stats().total.oversized, 1);
}

/// Calls `entries` keys, then each again. Returns the number of computations of the second round.
async fn again(cache: &Cache, entries: usize) -> usize {
    let runs = AtomicUsize::new(0);
    let round = async || {
        for id in 0..entries {
            let key = format!("few:{id}");
            let value = async || {
                runs.fetch_add(1, Ordering::SeqCst);
                id
            };
            assert_eq!(cache.get_or_compute(&key, MINUTE, value).await, id);
        }
    };
    round().await;
    // A first round evicts the keys of an earlier use.
    round().await;
    let before = runs.load(Ordering::SeqCst);
    round().await;
    runs.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn a_store_of_a_few_entries_keeps_as_many() {
    for entries in [1, 2, 3, 5, 8, 31, 33, 34, 100] {
        let builder = Cache::builder().in_process().max_entries(entries);
        let cache = builder.build().expect("it builds");
        for id in 100..200 {
            let key = format!("few:{id}");
            cache.get_or_compute(&key, MINUTE, async || id).await;
        }
        let near = cache.stats().near;
        let kept = near.entries as usize;
        assert!(kept >= 1 && kept <= entries, "{entries}: {near}");
        if entries <= 32 {
            assert_eq!(kept, entries, "{near}");
        }
        let cache = Cache::builder().in_process().max_entries(entries);
        let cache = cache.build().expect("it builds");
        let few = entries.min(8);
        assert_eq!(again(&cache, few).await, 0, "{few} of {entries}");
    }
}

#[tokio::test]
async fn copies_of_a_few_entries_are_as_many_as_asked_for() {
    let server = Server::start();
    for entries in [1, 2, 3, 8] {
        let builder = Cache::builder().redis(server.url()).max_entries(entries);
        let builder = builder.command_timeout(Duration::from_secs(5));
        let cache = builder.build().expect("it builds");
        let wanted = entries as u64;
        until("all have copies", async || {
            again(&cache, entries).await;
            cache.stats().near.entries == wanted
        })
        .await;
        let before = cache.stats().total.near_hits;
        assert_eq!(again(&cache, entries).await, 0);
        assert!(cache.stats().total.near_hits >= before + 3 * wanted);
    }
}
