//! Each call is counted once, whatever its options and whatever happens during the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, FunctionStats, Policy, cached};
use recached_tests::{Fixture, on_both_stores};

on_both_stores! {
    each_call_is_counted_once_under_load
    what_is_done_by_hand_is_counted_under_its_name
}

const TASKS: u64 = 16;
const CALLS: u64 = 250;

fn roll() -> u64 {
    fastrand::u64(..)
}

/// Work of up to a few milliseconds, sometimes none.
async fn work() {
    match roll() % 4 {
        0 => {}
        1 => tokio::task::yield_now().await,
        some => tokio::time::sleep(Duration::from_millis(some)).await,
    }
}

#[cached(ttl = "20ms", cache = cache, skip(cache))]
async fn short(cache: &Cache, id: u64) -> u64 {
    work().await;
    id
}

#[cached(ttl = 60, near = false, cache = cache, skip(cache), tags("id:{id}"), bypass_if = roll().is_multiple_of(8))]
async fn far(cache: &Cache, id: u64) -> Option<u64> {
    work().await;
    id.is_multiple_of(2).then_some(id)
}

#[cached(
    ttl = "5ms", stale_while_revalidate = "20ms", stale_if_error = 60, soft_timeout = "2ms",
    retry_after = "5ms", refresh_ahead = 1.0, err_ttl = "3ms", jitter = 0.5, cache = cache, skip(cache)
)]
async fn stale(cache: Cache, id: u64) -> Result<u64, String> {
    work().await;
    match roll() % 3 {
        0 => Err("it fails".to_owned()),
        _ => Ok(id),
    }
}

#[cached(ttl = "5ms", stale_if_error = 60, soft_timeout = "2ms", retry_after = "0ms", cache = cache, skip(cache))]
fn plain(cache: Cache, id: u64) -> Result<u64, String> {
    std::thread::sleep(Duration::from_millis(roll() % 4));
    match roll() % 3 {
        0 => Err("it fails".to_owned()),
        _ => Ok(id),
    }
}

#[cached(ttl = 60, store_if = |id: &u64| *id > 1, lease = "100ms", lease_wait = "3ms", cache = cache, skip(cache))]
async fn rare(cache: &Cache, id: u64) -> u64 {
    work().await;
    id
}

/// Makes one call, or an operation that disturbs calls. Returns the name of the called function, if
/// any.
async fn step(cache: &Cache) -> Option<&'static str> {
    let id = roll() % 4;
    Some(match roll() % 8 {
        0 => {
            short(cache, id).await;
            "short"
        }
        1 => {
            far(cache, id).await;
            "far"
        }
        2 => {
            let _ = stale(cache.clone(), id).await;
            "stale"
        }
        3 => {
            let cache = cache.clone();
            let call = tokio::task::spawn_blocking(move || drop(plain(cache, id)));
            call.await.expect("no panic");
            "plain"
        }
        4 => {
            rare(cache, id).await;
            "rare"
        }
        5 => {
            let policy = Policy::new(Duration::from_millis(5));
            let policy = policy.stale_while_revalidate(Duration::from_millis(50));
            let compute = async || match roll() % 3 {
                0 => Err(()),
                _ => Ok(id),
            };
            let _ = cache.try_get_or_compute("hand:1", policy, compute).await;
            "hand"
        }
        _ => {
            match roll() % 16 {
                0 => drop(cache.invalidate("counters.*").await.expect("it works")),
                1 => drop(cache.invalidate_keys("*:1*").await.expect("it works")),
                2 => drop(cache.invalidate_tag("id:1").await.expect("it works")),
                3 => drop(cache.invalidate_all().await.expect("it works")),
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            return None;
        }
    })
}

fn answered(stats: &FunctionStats) -> u64 {
    stats.near_hits
        + stats.redis_hits
        + stats.stale_hits
        + stats.coalesced
        + stats.misses
        + stats.bypasses
}

const NAMES: [&str; 6] = ["short", "far", "stale", "plain", "rare", "hand"];

async fn each_call_is_counted_once_under_load(fixture: Fixture) {
    let made: Arc<[AtomicU64; 6]> = Arc::default();
    let tasks = (0..TASKS).map(|task| {
        let cache = if task % 2 == 0 {
            &fixture.one
        } else {
            &fixture.two
        };
        let (cache, made) = (cache.clone(), Arc::clone(&made));
        tokio::spawn(async move {
            for _ in 0..CALLS {
                if let Some(name) = step(&cache).await {
                    let place = NAMES.iter().position(|it| *it == name);
                    made[place.expect("a name")].fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    let caches = fixture.caches();
    for (name, made) in NAMES.iter().zip(&*made) {
        let name = match *name {
            "hand" => "hand".to_owned(),
            name => format!("counters.{name}"),
        };
        let stats = caches.iter().map(|cache| cache.stats().function(&name));
        let stats: Vec<_> = stats.collect();
        let counted: u64 = stats.iter().map(answered).sum();
        assert_eq!(counted, made.load(Ordering::Relaxed), "{name}: {stats:#?}");
        assert!(stats.iter().any(|stats| stats.misses > 0), "{name}");
    }
    // All intended cases have occurred.
    let total: Vec<_> = caches.iter().map(|cache| cache.stats().total).collect();
    for count in [
        |stats: &FunctionStats| stats.stale_hits,
        |stats: &FunctionStats| stats.coalesced,
        |stats: &FunctionStats| stats.bypasses,
    ] {
        assert!(total.iter().map(count).sum::<u64>() > 0, "{total:#?}");
    }
}

async fn what_is_done_by_hand_is_counted_under_its_name(fixture: Fixture) {
    const MINUTE: Policy = Policy::new(Duration::from_secs(60));
    let cache = &fixture.one;
    let stats = || cache.stats().function("by_hand");
    assert_eq!(cache.get::<u32>("by_hand:1").await.expect("it works"), None);
    assert_eq!((stats().misses, stats().computations), (1, 0));
    cache
        .put("by_hand:1", MINUTE, 7u32)
        .await
        .expect("it works");
    cache
        .put("by_hand:2", MINUTE, 8u32)
        .await
        .expect("it works");
    assert_eq!((stats().puts, stats().misses), (2, 1));
    for _ in 0..5 {
        assert_eq!(
            cache.get::<u32>("by_hand:1").await.expect("it works"),
            Some(7)
        );
    }
    let after = stats();
    assert_eq!(after.near_hits + after.redis_hits, 5, "{after:?}");
    assert_eq!(
        cache.remove("by_hand:1").await.expect("it works").entries,
        1
    );
    assert_eq!(cache.get::<u32>("by_hand:1").await.expect("it works"), None);
    let after = stats();
    assert_eq!((after.misses, answered(&after)), (2, 7), "{after:?}");
    assert_eq!(after.errors, 0);
}
