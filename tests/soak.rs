//! A day of steady traffic, measured in calls. At its end, process and server use no more memory
//! than after its first tenth, apart from what the allocator retains.
//!
//! A service with 600 cached calls per second makes 52 million calls a day. The long form makes all
//! of them, without the pauses in between: `RECACHED_CALLS=52000000 cargo test --release --test
//! soak -- --nocapture`. The short form makes one of 2,600. Ttls are shortened by the same factor,
//! so that entries expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{Server, resident};

/// Number of tasks that call.
const CALLERS: u64 = 16;

fn calls() -> u64 {
    let calls = std::env::var("RECACHED_CALLS").ok();
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(20_000)
}

/// One step of a caller.
async fn turn(cache: &Cache, number: u64, keys: u64) {
    const BRIEF: Policy = Policy::new(Duration::from_millis(400));
    // Half of all calls use a hundredth of the keys.
    let id = match fastrand::bool() {
        true => fastrand::u64(..keys / 100 + 1),
        false => fastrand::u64(..keys),
    };
    let key = format!("steady:{id}");
    let value = || (id, "x".repeat((id % 300) as usize));
    let slow = || async {
        tokio::task::yield_now().await;
        value()
    };
    match number % 1_000 {
        // The computation fails.
        0..20 => {
            let compute = || async { Err::<(u64, String), String>("down".to_owned()) };
            if let Ok(found) = cache.try_get_or_compute(&key, BRIEF, compute).await {
                assert_eq!(found, value());
            }
        }
        // The call is dropped at its first await point, if it has one.
        20..40 => {
            let call = cache.get_or_compute(&key, BRIEF, slow);
            tokio::select! {
                biased;
                found = call => assert_eq!(found, value()),
                () = tokio::task::yield_now() => {}
            }
        }
        40..45 => drop(cache.remove(&key).await.expect("it works")),
        45..50 => cache.put(&key, BRIEF, value()).await.expect("it works"),
        50 => {
            let brief = BRIEF
                .near(false)
                .stale_while_revalidate(Duration::from_millis(50));
            assert_eq!(cache.get_or_compute(&key, brief, slow).await, value());
        }
        // The value is too large.
        51 => {
            let compute = || async { "x".repeat(20_000) };
            let key = format!("large:{id}");
            let large = cache.get_or_compute(&key, BRIEF, compute);
            assert_eq!(large.await.len(), 20_000);
        }
        52 if number.is_multiple_of(10_000 + 52) => {
            let _ = cache.invalidate("steady").await.expect("it works");
        }
        _ => assert_eq!(cache.get_or_compute(&key, BRIEF, slow).await, value()),
    }
}

/// Makes the calls in tenths and returns the memory use after each.
async fn day(cache: &Cache, server: Option<&Server>) -> Vec<(u64, u64)> {
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let (calls, mut levels) = (calls(), Vec::new());
    // Each key is read about ten times a day.
    let keys = calls / 10;
    for tenth in 1..=10 {
        let end = calls * tenth / 10;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (cache, next) = (cache.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            return;
                        }
                        turn(&cache, number, keys).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("its answers are right");
        }
        next.store(end, Ordering::Relaxed);
        let level = (
            resident().unwrap_or_default(),
            server.map_or(0, Server::used_memory),
        );
        println!("{tenth}0 %, {:?}: {level:?} bytes", begun.elapsed());
        levels.push(level);
    }
    println!("{}", cache.stats());
    levels
}

fn is_level(what: &str, first: u64, last: u64) {
    // Memory that the allocator keeps per thread grows for some hundred thousand calls.
    let slack = if calls() < 100_000 { 2 << 20 } else { 12 << 20 };
    let most = first + (first / 10).max(slack);
    assert!(last <= most, "{what}: {first} bytes, then {last}");
}

/// Both backends in sequence, so that the memory of one is not attributed to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_traffic_leaves_nothing_behind() {
    let small = || {
        let builder = Cache::builder().namespace("steady").max_entries(2_000);
        let builder = builder.max_bytes(2 << 20).max_value_size(10_000);
        builder.command_timeout(Duration::from_secs(5))
    };
    let server = Server::start();
    for (cache, server) in [
        (small().in_process(), None),
        (small().redis(server.url()), Some(&server)),
    ] {
        let cache = cache.build().expect("the settings are usable");
        let levels = day(&cache, server).await;
        let (first, last) = (levels[0], levels[9]);
        is_level("this process", first.0, last.0);
        is_level("the server", first.1, last.1);
        let stats = cache.stats();
        assert_eq!(stats.total.errors, 0, "{stats}");
        assert!(stats.total.oversized > 0, "{stats}");
        assert!(stats.near.entries <= 2_000, "{stats}");
    }
}
