//! The near cache: hits without a round trip, no older than the travel time of a push.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, Policy, cached};
use recached_tests::{Backend, Cluster, Server, cache_on, on_server_and_cluster, reaches, until};
use tokio::sync::Notify;

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

on_server_and_cluster! {
    "multi_thread"
    shared [
        a_refresh_replaces_the_copy_before_it_returns
        others_are_served_the_old_value_until_a_refresh_has_the_new_one
        a_copy_lives_no_longer_than_its_entry
        a_function_may_keep_no_copies_or_shorter_ones
        where_the_server_tells_of_nothing_it_is_off_and_says_so
    ]
    own [
        a_near_hit_asks_the_server_nothing
        whatever_changes_an_entry_elsewhere_reaches_its_copies
        a_lost_connection_a_flush_and_a_hung_server_empty_it
        a_server_that_watches_over_few_keys_costs_hits_and_never_an_old_value
    ]
}

/// Reads the number in `source` through the cache.
async fn read(cache: &Cache, key: &str, policy: Policy, source: &AtomicU64) -> u64 {
    let compute = || async { source.load(Ordering::SeqCst) };
    cache.get_or_compute(key, policy, compute).await
}

fn near_hits(cache: &Cache) -> u64 {
    cache.stats().total.near_hits
}

/// Returns `true` if a call is a near hit after its value was computed.
async fn is_kept(cache: &Cache, key: &str, policy: Policy) -> bool {
    let source = AtomicU64::new(1);
    let before = near_hits(cache);
    for _ in 0..5 {
        read(cache, key, policy, &source).await;
    }
    near_hits(cache) > before
}

#[cached(ttl = 60, name = "near.doubled", cache = cache, skip(cache))]
async fn doubled(cache: &Cache, number: u64) -> Arc<u64> {
    Arc::new(number * 2)
}

async fn a_near_hit_asks_the_server_nothing(backend: Backend) {
    let cache = backend.cache();
    for _ in 0..100 {
        assert_eq!(*doubled(&cache, 21).await, 42);
    }
    let stats = cache.stats();
    let own = stats.function("near.doubled");
    // Computed once, read from Redis a few times, and a near hit from then on.
    assert_eq!(own.computations, 1, "{stats}");
    assert!(own.redis_hits <= 5 && own.near_hits >= 94, "{stats}");
    let stats = backend.tell(&["INFO", "commandstats"]);
    let calls = |stats: &String| {
        let mut lines = stats.lines();
        let gets = lines.find_map(|line| line.strip_prefix("cmdstat_get:calls="))?;
        gets.split(',').next()?.parse::<u64>().ok()
    };
    let calls: u64 = stats.iter().filter_map(calls).sum();
    // Reads of the generations, the entry and the lease, far fewer than a hundred each.
    assert!((1..20).contains(&calls), "{stats:?}");
}

async fn whatever_changes_an_entry_elsewhere_reaches_its_copies(backend: Backend) {
    let (here, there) = (backend.cache(), backend.cache());
    let source = AtomicU64::new(0);
    for how in [
        "remove",
        "put",
        "function",
        "keys",
        "everything",
        "purge",
        "by hand",
        "flush",
    ] {
        let old = source.fetch_add(1, Ordering::SeqCst) + 1;
        until("the old value is kept here", || async {
            let _ = there.remove("value:1").await.expect("it works");
            let before = near_hits(&here);
            read(&here, "value:1", MINUTE, &source).await == old
                && read(&here, "value:1", MINUTE, &source).await == old
                && near_hits(&here) > before
        })
        .await;
        let new = source.fetch_add(1, Ordering::SeqCst) + 1;
        match how {
            "remove" => drop(there.remove("value:1").await.expect("it works")),
            "put" => there.put("value:1", MINUTE, new).await.expect("it works"),
            "function" => drop(there.invalidate("value").await.expect("it works")),
            "keys" => drop(there.invalidate_keys("value:1").await.expect("it works")),
            "everything" => drop(there.invalidate_all().await.expect("it works")),
            "purge" => drop(there.purge("value").await.expect("it works")),
            "by hand" => drop(backend.ask::<u64>(&["DEL", "{ns}:value:1"])),
            _ => backend.flush(),
        }
        until(&format!("`{how}` has travelled"), || async {
            read(&here, "value:1", MINUTE, &source).await == new
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_of_ones_own_is_not_waited_for() {
    not_waited_for(&Server::start().url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_of_ones_own_is_not_waited_for_on_a_cluster() {
    let cluster = Cluster::shared();
    not_waited_for(&cluster.url()).await;
}

async fn not_waited_for(url: &str) {
    let cache = cache_on(url, "own");
    let source = AtomicU64::new(0);
    for round in 0..50 {
        for how in ["remove", "put", "function", "keys", "everything", "purge"] {
            let old = source.load(Ordering::SeqCst);
            for _ in 0..2 {
                assert_eq!(read(&cache, "own:1", MINUTE, &source).await, old);
            }
            let new = source.fetch_add(1, Ordering::SeqCst) + 1;
            let told = match how {
                "remove" => cache.remove("own:1").await.map(drop),
                "put" => cache.put("own:1", MINUTE, new).await,
                "function" => cache.invalidate("own").await.map(drop),
                "keys" => cache.invalidate_keys("own:1").await.map(drop),
                "everything" => cache.invalidate_all().await.map(drop),
                _ => cache.purge("own").await.map(drop),
            };
            told.expect("it works");
            let value = read(&cache, "own:1", MINUTE, &source).await;
            assert_eq!(value, new, "{how} in round {round}");
        }
    }
}

static SOURCE: AtomicU64 = AtomicU64::new(0);

#[cached(ttl = 60, cache = cache, skip(cache))]
async fn sourced(cache: &Cache) -> u64 {
    SOURCE.load(Ordering::SeqCst)
}

async fn a_refresh_replaces_the_copy_before_it_returns(backend: Backend) {
    let cache = backend.cache();
    for round in 0..200 {
        let old = SOURCE.load(Ordering::SeqCst);
        for _ in 0..4 {
            assert_eq!(sourced(&cache).await, old);
        }
        SOURCE.fetch_add(1, Ordering::SeqCst);
        assert_eq!(sourced_entry(&cache).refresh().await, old + 1);
        assert_eq!(sourced(&cache).await, old + 1, "in round {round}");
    }
    assert!(near_hits(&cache) > 0);
}

async fn others_are_served_the_old_value_until_a_refresh_has_the_new_one(backend: Backend) {
    let cache = backend.cache();
    let (begun, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    assert_eq!(slowly(&cache, None).await, 0);
    let refresh = tokio::spawn({
        let (cache, gates) = (cache.clone(), (Arc::clone(&begun), Arc::clone(&leave)));
        async move { slowly_entry(&cache, Some(&gates)).refresh().await }
    });
    begun.notified().await;
    // Check a call in this process and one in another process.
    let elsewhere = backend.cache();
    assert_eq!(slowly(&cache, None).await, 0);
    assert_eq!(slowly(&elsewhere, None).await, 0);
    leave.notify_one();
    assert_eq!(refresh.await.expect("no panic"), 1);
    assert_eq!(slowly(&cache, None).await, 1);
}

/// Signals for the beginning and the end of a computation.
type Gates = (Arc<Notify>, Arc<Notify>);

#[cached(ttl = 60, near = false, cache = cache, skip(cache, gates))]
async fn slowly(cache: &Cache, gates: Option<&Gates>) -> u32 {
    match gates {
        None => 0,
        Some((begun, leave)) => {
            begun.notify_one();
            leave.notified().await;
            1
        }
    }
}

#[test]
fn a_runtime_that_is_blocked_keeps_nobody_else_with_old_copies() {
    blocked(&Backend::server());
}

#[test]
fn a_runtime_that_is_blocked_keeps_nobody_else_with_old_copies_on_a_cluster() {
    blocked(&Backend::cluster());
}

fn blocked(backend: &Backend) {
    let (cache, there) = (backend.cache(), backend.cache());
    let one_worker = || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        runtime.expect("a runtime")
    };
    let source = Arc::new(AtomicU64::new(1));
    let (blocked, free) = (one_worker(), one_worker());
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let task = blocked.spawn({
        let (cache, source) = (cache.clone(), Arc::clone(&source));
        async move {
            let reads = || async {
                let before = near_hits(&cache);
                read(&cache, "blocked:1", MINUTE, &source).await;
                near_hits(&cache) > before
            };
            // The first calls may use the background connection until this runtime has a
            // connection.
            until("it is kept", reads).await;
            let _ = there.remove("blocked:1").await.expect("it works");
            until("it is forgotten", || async { !reads().await }).await;
            until("it is kept again", reads).await;
            ready.send(()).expect("the test waits");
            // Block this runtime, and with it its connection.
            let _ = wait.recv();
        }
    });
    is_ready.recv().expect("it is sent");
    source.store(2, Ordering::SeqCst);
    free.block_on(async {
        assert_eq!(backend.ask::<u64>(&["DEL", "{ns}:blocked:1"]), 1);
        until("the connection is known to be deaf", || async {
            recached_tests::block_on(read(&cache, "blocked:1", MINUTE, &source)) == 2
        })
        .await;
    });
    drop(release);
    free.block_on(task).expect("no panic");
}

async fn a_copy_lives_no_longer_than_its_entry(backend: Backend) {
    let (here, there) = (backend.cache(), backend.cache());
    let short = Policy::new(Duration::from_millis(300)).jitter(0.0);
    let source = AtomicU64::new(1);
    read(&there, "short:1", short, &source).await;
    // An entry inserted halfway through its lifetime lives for the other half.
    until("half its life is over", || async {
        backend.ask::<i64>(&["PTTL", "{ns}:short:1"]) < 150
    })
    .await;
    source.store(2, Ordering::SeqCst);
    let taken = std::time::Instant::now();
    if read(&here, "short:1", short, &source).await == 1 {
        until("the copy has expired", || async {
            read(&here, "short:1", short, &source).await == 2
        })
        .await;
        assert!(
            taken.elapsed() < Duration::from_millis(290),
            "{:?}",
            taken.elapsed()
        );
    }
}

async fn a_function_may_keep_no_copies_or_shorter_ones(backend: Backend) {
    let cache = backend.cache();
    assert!(is_kept(&cache, "kept:1", MINUTE).await);
    assert!(!is_kept(&cache, "not:1", MINUTE.near(false)).await);
    assert!(cache.stats().function("not").redis_hits >= 2);
    let short = MINUTE.near_ttl(Duration::from_millis(100));
    assert!(is_kept(&cache, "shorter:1", short).await);
    let before = cache.stats().total.redis_hits;
    until("Redis is asked again", || async {
        read(&cache, "shorter:1", short, &AtomicU64::new(2)).await;
        cache.stats().total.redis_hits > before
    })
    .await;
    assert_eq!(cache.stats().function("shorter").computations, 1);
}

async fn a_lost_connection_a_flush_and_a_hung_server_empty_it(backend: Backend) {
    let cache = Cache::builder()
        .redis(backend.url())
        .namespace(&backend.namespace)
        .build()
        .expect("the url is good");
    let entries = || cache.stats().near.entries;
    let filled = || async {
        until("something is kept", || async {
            is_kept(&cache, "lost:1", MINUTE).await
        })
        .await;
        assert!(entries() > 0);
    };
    filled().await;
    backend.tell::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    until("the lost connection has emptied it", || async {
        entries() == 0
    })
    .await;
    filled().await;
    backend.flush();
    until("the flush has emptied it", || async { entries() == 0 }).await;
    filled().await;
    // The connection stays open, but no bytes arrive.
    backend.freeze();
    until("the heartbeat has missed its answer", || async {
        entries() == 0
    })
    .await;
    backend.thaw();
    filled().await;
    assert!(cache.stats().near.invalidated >= 3);
}

#[test]
fn copies_go_with_the_runtime_that_received_their_changes() {
    gone_with_its_runtime(&Backend::server());
}

#[test]
fn copies_go_with_the_runtime_that_received_their_changes_on_a_cluster() {
    gone_with_its_runtime(&Backend::own_cluster());
}

fn gone_with_its_runtime(backend: &Backend) {
    let cache = backend.cache();
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        runtime.expect("a runtime")
    };
    let source = AtomicU64::new(1);
    let first = runtime();
    first.block_on(async {
        // Repeat, so that the runtime connection is in use.
        for id in (0..100).map(|place| place / 2) {
            read(&cache, &format!("home:{id}"), MINUTE, &source).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(cache.stats().near.entries > 0);
    drop(first);
    assert_eq!(cache.stats().near.entries, 0);
    source.store(2, Ordering::SeqCst);
    backend.flush();
    runtime().block_on(async {
        until("the flush is known", || async {
            read(&cache, "home:49", MINUTE, &source).await == 2
        })
        .await;
    });
}

async fn where_the_server_tells_of_nothing_it_is_off_and_says_so(backend: Backend) {
    let cache = cache_on(&backend.without_pushes(), &backend.namespace);
    assert!(!is_kept(&cache, "off:1", MINUTE).await);
    let stats = cache.stats();
    assert!(
        stats
            .near
            .disabled_reason
            .is_some_and(|why| why.contains("no changes")),
        "{stats}"
    );
    assert!(stats.near.rejected >= 2, "{stats}");
    assert!(stats.to_string().contains("off, because"), "{stats}");
    // With `near_ttl`, entries are kept without pushes, for at most this time.
    let bounded = MINUTE.near_ttl(Duration::from_millis(200));
    assert!(is_kept(&cache, "bounded:1", bounded).await);
    let _: u64 = backend.ask(&["DEL", "{ns}:bounded:1"]);
    until("the bound is over", || async {
        read(&cache, "bounded:1", bounded, &AtomicU64::new(2)).await == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_bounded_by_entries_and_by_bytes() {
    for (entries, bytes, weight) in [(100, 1 << 30, 10), (10_000, 100_000, 1_000)] {
        let server = Server::start();
        let cache = Cache::builder()
            .redis(server.url())
            .namespace("near")
            .command_timeout(Duration::from_secs(5))
            .max_entries(entries)
            .max_bytes(bytes)
            .build()
            .expect("the settings are good");
        // The first call computes; the others read until the push of its own write has arrived and
        // the entry is inserted.
        for id in (0..4_000).map(|place| place / 4) {
            let value = "x".repeat(weight);
            cache
                .get_or_compute(&format!("many:{id}"), MINUTE, || async { value })
                .await;
        }
        let near = cache.stats().near;
        assert!(near.inserted >= 300, "{near}");
        assert!(
            near.entries <= entries as u64 && near.entries > 10,
            "{near}"
        );
        assert!(near.weight <= bytes, "{near}");
    }
}

async fn a_server_that_watches_over_few_keys_costs_hits_and_never_an_old_value(backend: Backend) {
    backend.tell::<()>(&["CONFIG", "SET", "tracking-table-max-keys", "20"]);
    let (here, there) = (backend.cache(), backend.cache());
    let source = AtomicU64::new(1);
    let key = |id: usize| format!("few:{id}");
    for id in (0..600).map(|place| place / 2) {
        read(&here, &key(id), MINUTE, &source).await;
    }
    // The server invalidates the keys that it can no longer track.
    until("most copies are gone", || async {
        cache_entries(&here) < 100
    })
    .await;
    source.store(2, Ordering::SeqCst);
    let _ = there.invalidate_keys("few:*").await.expect("it works");
    for id in 0..300 {
        until("it has travelled", || async {
            read(&here, &key(id), MINUTE, &source).await == 2
        })
        .await;
    }
}

fn cache_entries(cache: &Cache) -> u64 {
    cache.stats().near.entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_stale_once_traffic_has_stopped() {
    none_is_stale(&Server::start().url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_a_cluster_is_stale_once_traffic_has_stopped() {
    let cluster = Cluster::shared();
    none_is_stale(&cluster.url()).await;
}

/// Lets one process read and another write 300 keys, and asserts that every near entry has the
/// newest value 20 milliseconds after the last write.
async fn none_is_stale(url: &str) {
    const KEYS: usize = 300;
    const ROUNDS: usize = 10_000;
    let [here, there] = [(); 2].map(|()| cache_on(url, "near"));
    let sources: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (cache, sources, stop) = (here.clone(), Arc::clone(&sources), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut id = reader * 71;
                while !stop.load(Ordering::SeqCst) {
                    id = (id + 37) % KEYS;
                    let key = format!("race:{id}");
                    for _ in 0..2 {
                        read(&cache, &key, MINUTE, &sources[id]).await;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        let id = (round * 101) % KEYS;
        let key = format!("race:{id}");
        sources[id].fetch_add(1, Ordering::SeqCst);
        match round % 50 {
            0 => drop(there.invalidate("race").await.expect("it works")),
            n if n % 2 == 0 => {
                let value = sources[id].load(Ordering::SeqCst);
                there.put(&key, MINUTE, value).await.expect("it works");
            }
            _ => drop(there.remove(&key).await.expect("it works")),
        }
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no panic");
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut stale = 0;
    for (id, source) in sources.iter().enumerate() {
        let value = read(&here, &format!("race:{id}"), MINUTE, source).await;
        stale += usize::from(value != source.load(Ordering::SeqCst));
    }
    assert_eq!(stale, 0, "of {KEYS} keys");
    // The number of reads during the writes depends on the machine, so read again without writes.
    for (id, source) in sources.iter().enumerate() {
        read(&here, &format!("race:{id}"), MINUTE, source).await;
    }
    let stats = here.stats();
    assert!(
        stats.total.near_hits > 0 && stats.near.invalidated > 0,
        "{stats}"
    );
}

/// Number of executions of a command on the server.
fn calls_of(server: &Server, command: &str) -> u64 {
    let stats: String = server.ask(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let mut lines = stats.lines();
    let calls = lines.find_map(|line| line.strip_prefix(&start)?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[cached(ttl = 60, near = false, cache = cache, skip(cache))]
async fn cold(cache: &Cache, id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_misses_asks_for_leases_at_once_until_it_hits() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "outlook");
    until("it is reached", || async { reaches(&cache).await }).await;
    let looks = || calls_of(&server, "getrange");
    let before = looks();
    for id in 0..100 {
        assert_eq!(cold(&cache, id).await, id);
    }
    let after = looks();
    assert!(
        after - before < 30,
        "{} looks for 100 misses",
        after - before
    );
    assert_eq!(cache.stats().function("near.cold").computations, 100);
    // Stored entries are still found, and the following calls read Redis first as usual.
    for _ in 0..3 {
        for id in 0..100 {
            assert_eq!(cold(&cache, id).await, id);
        }
    }
    let stats = cache.stats();
    let own = stats.function("near.cold");
    assert_eq!((own.computations, own.redis_hits), (100, 300), "{stats}");
    assert!(looks() - after > 250, "{}", looks() - after);
    // A call that this process just invalidated is not read from Redis.
    let before = looks();
    for id in 0..20 {
        let told = cold_entry(&cache, id).invalidate().await;
        assert_eq!(told.expect("the store works").entries, 1);
        assert_eq!(cold(&cache, id).await, id);
    }
    assert_eq!(looks(), before);
    assert_eq!(cache.stats().function("near.cold").computations, 120);
    // Invalidating a function with near hits counts like eight misses.
    let calls = async || {
        let function = cache.stats().function("near.doubled");
        assert_eq!(*doubled(&cache, 21).await, 42);
        cache.stats().function("near.doubled").near_hits > function.near_hits
    };
    until("there is a copy", calls).await;
    drop(cache.invalidate("doubled").await);
    let before = looks();
    assert!(!calls().await);
    assert_eq!(looks(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_a_claim_has_found_receives_changes_as_any_other() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "found"));
    until("both are there", || async {
        reaches(&one).await && reaches(&two).await
    })
    .await;
    let source = AtomicU64::new(0);
    let read = |cache: &'static Cache, key: u64| {
        let now = source.load(Ordering::SeqCst);
        let key = format!("found:{key}");
        async move { cache.get_or_compute(&key, MINUTE, async move || now).await }
    };
    let [one, two]: [&'static Cache; 2] = [one, two].map(|cache| &*Box::leak(Box::new(cache)));
    // The first process expects misses from now on, whatever the second one stores.
    for key in 0..10 {
        read(one, key).await;
    }
    for key in 10..30 {
        read(two, key).await;
        let looks = calls_of(&server, "getrange");
        let before = one.stats().function("found").redis_hits;
        assert_eq!(read(one, key).await, key - 10);
        let found = one.stats().function("found").redis_hits - before;
        if key == 10 {
            assert_eq!((found, calls_of(&server, "getrange") - looks), (1, 0));
        }
        source.fetch_add(1, Ordering::SeqCst);
        drop(two.remove(&format!("found:{key}")).await);
        until("it is computed anew", || async {
            read(one, key).await == key - 9
        })
        .await;
        // Make the process expect misses again.
        for other in 0..10 {
            read(one, 1_000 + key * 10 + other).await;
        }
    }
}
