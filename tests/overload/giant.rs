//! Values that are too large to be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Builder, Cache, ErrorKind, Policy};
use recached_tests::{PATIENCE, Server, until};
use tokio::sync::{Notify, Semaphore};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

fn builder(server: &Server) -> Builder {
    Cache::builder()
        .redis(server.url())
        .namespace("giant")
        .command_timeout(Duration::from_secs(20))
}

fn limited(builder: Builder, bytes: u64) -> Cache {
    let cache = builder.max_value_size(bytes).build();
    cache.expect("the settings are usable")
}

/// Asserts that twenty calls share one computation, and that the next call computes again.
async fn is_shared_and_not_stored(cache: &Cache, key: &str) {
    let (runs, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(Semaphore::new(0));
    let before = cache.stats().total;
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (cache, key) = (cache.clone(), key.to_owned());
            let (runs, called, go) = (runs.clone(), called.clone(), Arc::clone(&go));
            tokio::spawn(async move {
                called.fetch_add(1, Ordering::SeqCst);
                let compute = || async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    go.acquire().await.expect("it is open").forget();
                    "x".repeat(2_000)
                };
                cache.get_or_compute(&key, MINUTE, compute).await
            })
        })
        .collect();
    until("all have called and one computes", || async {
        called.load(Ordering::SeqCst) == 20 && runs.load(Ordering::SeqCst) == 1
    })
    .await;
    go.add_permits(20);
    for caller in callers {
        assert_eq!(caller.await.expect("it runs").len(), 2_000);
    }
    let stats = cache.stats();
    assert_eq!(stats.total.errors, before.errors, "{stats}");
    assert!(stats.total.oversized > before.oversized, "{stats}");
    assert!(stats.total.coalesced > before.coalesced, "{stats}");
    assert!(stats.to_string().contains("oversized"), "{stats}");
    assert_eq!(cache.get::<String>(key).await.expect("it works"), None);
    let again = cache.get_or_compute(key, MINUTE, || async { "short".to_owned() });
    assert_eq!(again.await, "short");
    let short = cache.get::<String>(key).await.expect("it works");
    assert_eq!(short.as_deref(), Some("short"));
    let error = cache.put(key, MINUTE, "x".repeat(2_000)).await;
    let error = error.expect_err("it is too large");
    assert_eq!(error.kind(), ErrorKind::Oversized);
    // With the quotes, 1,000 bytes.
    let most = "x".repeat(998);
    cache
        .put(key, MINUTE, most.clone())
        .await
        .expect("there is room");
    assert_eq!(
        cache.get::<String>(key).await.expect("it works"),
        Some(most)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_beyond_the_limit_is_given_to_all_who_wait_and_not_stored() {
    let server = Server::start();
    let cache = limited(builder(&server), 1_000);
    is_shared_and_not_stored(&cache, "large:1").await;
    let leases: Vec<String> = server.ask(&["KEYS", "*lease*"]);
    assert_eq!(leases, Vec::<String>::new());
    is_shared_and_not_stored(&limited(Cache::builder().in_process(), 1_000), "large:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_elsewhere_for_a_value_beyond_the_limit_is_woken() {
    let server = Server::start();
    let caches = [(); 2].map(|()| limited(builder(&server), 1_000));
    // Only the release can end the wait in time.
    let policy = MINUTE
        .lease(Duration::from_secs(60))
        .lease_wait(Duration::from_secs(60));
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let holder = tokio::spawn({
        let (cache, begun, go) = (caches[0].clone(), Arc::clone(&begun), Arc::clone(&go));
        async move {
            let compute = || async {
                begun.notify_one();
                go.notified().await;
                "x".repeat(2_000)
            };
            cache.get_or_compute("large:2", policy, compute).await
        }
    });
    begun.notified().await;
    let waiter = tokio::spawn({
        let cache = caches[1].clone();
        async move {
            let compute = || async { "own".to_owned() };
            cache.get_or_compute("large:2", policy, compute).await
        }
    });
    until("it waits", || async {
        caches[1].stats().function("large").lease_waits == 1
    })
    .await;
    go.notify_one();
    let woken = tokio::time::timeout(PATIENCE, waiter).await;
    assert_eq!(woken.expect("it is woken").expect("it runs"), "own");
    assert_eq!(holder.await.expect("it runs").len(), 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_that_somebody_else_has_stored_is_not_read_to_its_end() {
    const GIANT: usize = 32 << 20;
    const LIMIT: u64 = 1 << 20;
    let server = Server::start();
    let writer = limited(builder(&server), 1 << 30);
    writer
        .put("giant:1", MINUTE, "x".repeat(GIANT))
        .await
        .expect("it has room");
    let reader = limited(builder(&server), LIMIT);
    reader.put("small:1", MINUTE, 7u32).await.expect("it works");
    let sent = || server.info("stats", "total_net_output_bytes");
    let before = sent();
    for round in 0..5 {
        // Both the lookup and the claim find the entry; the computed value is too large as well.
        let compute = || async { "y".repeat(LIMIT as usize) };
        let value = reader.get_or_compute("giant:1", MINUTE, compute).await;
        assert_eq!(value.len() as u64, LIMIT, "round {round}");
        assert_eq!(
            reader.get::<String>("giant:1").await.expect("it works"),
            None
        );
        assert_eq!(
            reader.get::<u32>("small:1").await.expect("it works"),
            Some(7)
        );
    }
    let taken = sent() - before;
    assert!(taken < 15 * LIMIT, "{taken} bytes");
    let stats = reader.stats();
    assert_eq!(stats.total.errors, 0, "{stats}");
    assert_eq!(stats.function("giant").oversized, 5, "{stats}");
    // The entry remains for caches with a larger limit, until a smaller value replaces it.
    let giant = writer.get::<String>("giant:1").await.expect("it works");
    assert_eq!(giant.map(|giant| giant.len()), Some(GIANT));
    let compute = || async { "short".to_owned() };
    reader.get_or_compute("giant:1", MINUTE, compute).await;
    until("it is replaced", || async {
        writer.get::<String>("giant:1").await.expect("it works") == Some("short".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_64_mib_costs_its_callers_nothing_but_the_store() {
    const GIANT: usize = 64 << 20;
    let server = Server::start();
    let caches = [
        builder(&server).build().expect("the settings are usable"),
        Cache::builder()
            .in_process()
            .build()
            .expect("the settings are usable"),
        // More than a shard of the near cache can hold, but within the limit.
        limited(Cache::builder().in_process(), 1 << 30),
    ];
    for cache in caches {
        for _ in 0..2 {
            let compute = || async { vec!["x".repeat(1 << 20); 64] };
            let value = cache.get_or_compute("giant:2", MINUTE, compute).await;
            assert_eq!(value.len(), 64);
        }
        let stats = cache.stats();
        assert_eq!(stats.total.oversized, 2, "{stats}");
        assert_eq!(stats.near.entries, 0, "{stats}");
    }
    assert!(server.used_memory() < GIANT as u64);
}

/// Measures small hits while an entry of 64 MiB is read, with and without a size limit.
#[ignore = "it measures, and says so"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_giant_does_to_small_hits() {
    let server = Server::start();
    // A value without a header, so that no JSON has to be written or read.
    let mut client = server.client();
    let giant = vec![b'x'; 64 << 20];
    redis::cmd("SET")
        .arg("giant:giant:1")
        .arg(giant)
        .exec(&mut client)
        .expect("it has room");
    for limit in [4 << 20, 1 << 30] {
        let cache = Cache::builder().redis(server.url()).namespace("giant");
        let cache = limited(cache, limit);
        until("it is there", || async {
            cache.put("small:1", MINUTE, 1u32).await.is_ok()
        })
        .await;
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move {
                for _ in 0..20 {
                    drop(cache.get::<String>("giant:1").await);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        let policy = MINUTE.near(false);
        let mut times = Vec::new();
        while !reader.is_finished() {
            let begun = std::time::Instant::now();
            let small = cache.get_or_compute("small:1", policy, || async { 1u32 });
            assert_eq!(small.await, 1);
            times.push(begun.elapsed());
        }
        times.sort();
        let stats = cache.stats().function("small");
        println!(
            "limit {limit}: {} hits, {} errors, median {:?}, 99.9 % {:?}, longest {:?}",
            stats.redis_hits,
            stats.errors,
            times[times.len() / 2],
            times[times.len() * 999 / 1_000],
            times[times.len() - 1],
        );
    }
}
