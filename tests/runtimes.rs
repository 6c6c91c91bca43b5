//! Any runtime: one cache for callers on all of them, one after the other.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached, invalidates};
use recached_tests::{PATIENCE, Server, block_on, cache_on, until};

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static CACHE: LazyLock<Cache> = LazyLock::new(|| cache_on(&SERVER.url(), "runtimes"));
static RUNS: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60, cache = CACHE)]
fn square(number: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(20));
    number * number
}

#[cached(ttl = 60, cache = CACHE)]
async fn cube(number: u64) -> u64 {
    number * number * number
}

fn hits() -> u64 {
    let total = CACHE.stats().total;
    total.redis_hits + total.near_hits
}

/// Makes a call twice in `run` and asserts a hit without errors, so the connection works there.
fn serves(number: u64, run: impl Fn(u64) -> u64) {
    let before = hits();
    assert_eq!(run(number), run(number));
    assert!(hits() > before, "the second call was not served");
    assert_eq!(CACHE.stats().total.errors, 0);
}

#[test]
fn one_cache_serves_runtimes_of_every_kind_and_outlives_them() {
    // Three rounds, so that each kind finds connections that the others have left behind.
    for round in 0..3 {
        let number = |kind: u64| round * 10 + kind;
        serves(number(0), |n| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(cube(n))
        });
        serves(number(1), |n| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(cube(n))
        });
        // Without time and io drivers.
        serves(number(2), |n| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(cube(n))
        });
        serves(number(5), |n| {
            let runtime = tokio::runtime::Builder::new_multi_thread().build();
            runtime.expect("a runtime").block_on(cube(n))
        });
        // Without a tokio runtime.
        serves(number(3), |n| recached_tests::block_on(cube(n)));
        serves(number(4), square);
    }
}

#[test]
fn a_runtime_that_stays_is_served_at_home_and_after_another_has_gone() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let stays = runtime();
    for round in 0..5 {
        let goes = runtime();
        assert_eq!(
            goes.block_on(cube(1_000 + round)),
            stays.block_on(cube(1_000 + round))
        );
        drop(goes);
        assert_eq!(stays.block_on(cube(1_000 + round)), (1_000 + round).pow(3));
    }
    assert_eq!(CACHE.stats().total.errors, 0);
}

#[tokio::test]
async fn a_connection_of_one_test_serves_the_first_next() {
    assert_eq!(cube(100).await, 1_000_000);
    assert_eq!(cube(100).await, 1_000_000);
}

#[tokio::test]
async fn a_connection_of_one_test_serves_the_second_next() {
    assert_eq!(cube(100).await, 1_000_000);
    assert_eq!(cube(101).await, 1_030_301);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plain_function_works_on_the_only_worker_of_a_runtime() {
    assert_eq!(cube(200).await, 8_000_000);
    // The worker that blocks here is the one that drives the runtime connection.
    assert_eq!(square(201), 40_401);
    assert_eq!(square(201), 40_401);
    assert_eq!(CACHE.stats().total.errors, 0);
}

#[tokio::test]
async fn a_plain_function_works_inside_a_current_thread_runtime() {
    for number in 300..320 {
        assert_eq!(square(number), number * number);
        assert_eq!(
            square_entry(number).peek().expect("it works"),
            Some(number * number)
        );
    }
    assert_eq!(CACHE.stats().total.errors, 0);
}

#[tokio::test]
async fn a_plain_function_works_long_after_its_task_has_used_up_its_budget() {
    for _ in 0..500 {
        assert_eq!(square(330), 108_900);
    }
}

#[test]
fn threads_with_no_runtime_compute_a_plain_function_once() {
    let before = RUNS.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| square(4_000))).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), 16_000_000);
        }
    });
    // Other tests run at the same time, with other numbers.
    let stats = CACHE.stats().total;
    assert!(RUNS.load(Ordering::SeqCst) > before);
    assert!(stats.coalesced > 0);
}

#[test]
fn a_plain_function_may_call_another_and_itself() {
    #[cached(ttl = 60, cache = CACHE)]
    fn fibonacci(n: u32) -> u64 {
        if n < 2 {
            u64::from(n)
        } else {
            fibonacci(n - 1) + fibonacci(n - 2)
        }
    }
    assert_eq!(fibonacci(40), 102_334_155);
}

#[test]
fn a_computation_that_blocks_its_runtime_beyond_its_lease_keeps_it() {
    // A server of its own, so that only this test changes the counters.
    let server = Server::start();
    let (here, elsewhere) = (
        cache_on(&server.url(), "runtimes"),
        cache_on(&server.url(), "runtimes"),
    );
    let policy = Policy::new(Duration::from_secs(60))
        .lease(Duration::from_millis(300))
        .lease_wait(Duration::from_secs(60));
    let one_worker = || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        runtime.expect("a runtime")
    };
    let (blocked, free) = (one_worker(), one_worker());
    let (begun, has_begun) = std::sync::mpsc::channel();
    let slow = blocked.spawn(async move {
        // First connect on this runtime: the connection is blocked together with its runtime.
        until("there is a connection at home", || async {
            here.get::<u64>("warm").await.is_ok()
        })
        .await;
        for _ in 0..200 {
            assert_eq!(here.get::<u64>("warm").await.ok(), Some(None));
            tokio::task::yield_now().await;
        }
        let compute = || async move {
            begun.send(()).expect("the test waits");
            // Four times the lease.
            std::thread::sleep(Duration::from_millis(1_200));
            1u64
        };
        here.get_or_compute("blocks:1", policy, compute).await
    });
    has_begun.recv().expect("it begins");
    let value = free.block_on(elsewhere.get_or_compute("blocks:1", policy, || async { 2u64 }));
    assert_eq!(value, 1, "it was computed again: the lease was lost");
    assert_eq!(free.block_on(slow).expect("no panic"), 1);
}

#[cached(ttl = "100ms", jitter = 0.0, stale_while_revalidate = "1h", cache = CACHE)]
async fn doubled(number: u64) -> u64 {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    // The argument is new each time, so the call is always a miss.
    negated(TIMES.fetch_add(1, Ordering::SeqCst));
    2 * number
}

#[cached(ttl = 60, cache = CACHE)]
fn negated(number: u64) -> u64 {
    !number
}

#[cached(ttl = "100ms", jitter = 0.0, stale_while_revalidate = "1h", cache = CACHE)]
async fn doubled_twice(number: u64) -> u64 {
    2 * doubled(number).await
}

/// If the refresh ran on the cache's own thread, it would wait for itself and block everything
/// else.
#[test]
fn a_refresh_with_no_runtime_may_call_plain_functions_and_others_that_refresh() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let refreshed = || CACHE.stats().function("runtimes.doubled").computations;
        let begun = Instant::now();
        while refreshed() < 4 {
            assert!(begun.elapsed() < PATIENCE, "nothing is refreshed");
            assert_eq!(pollster::block_on(doubled_twice(3)), 12);
            std::thread::sleep(Duration::from_millis(10));
        }
        tell.send(())
    });
    let ended = told.recv_timeout(PATIENCE * 2);
    ended.expect("a refresh waits for itself");
}

#[test]
fn a_refresh_with_no_runtime_holds_up_nobody() {
    #[cached(ttl = "50ms", jitter = 0.0, stale_while_revalidate = "1h", cache = CACHE)]
    async fn expensive(id: u64) -> u64 {
        if REFRESHES.fetch_add(1, Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
        id
    }
    static REFRESHES: AtomicUsize = AtomicUsize::new(0);
    block_on(expensive(1));
    while REFRESHES.load(Ordering::SeqCst) < 2 {
        let begun = Instant::now();
        assert_eq!(block_on(expensive(1)), 1);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    let begun = Instant::now();
    block_on(cube(5_000));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// A function for this test only, because the other tests count their hits.
#[cached(ttl = 60, cache = CACHE)]
async fn forgotten(number: u64) -> u64 {
    number * number * number
}

#[invalidates("nobody_has_this_name", "forgot*", cache = CACHE)]
fn forget_cubes(id: u64) -> u64 {
    id
}

#[invalidates("cub*")]
fn forget_in_process(id: u64) -> u64 {
    id
}

#[cached(ttl = 60)]
fn cubed(number: u64) -> u64 {
    number * number * number
}

/// A blocking wait inside a runtime must not depend on that runtime to be woken.
#[test]
fn plain_functions_invalidate_by_name_inside_any_runtime() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Functions must be called once before a name can match.
        assert_eq!((block_on(forgotten(2)), cubed(2)), (8, 8));
        let all = || {
            assert_eq!(forget_cubes(1) + forget_in_process(1), 2);
            let _ = recached::blocking::invalidate("cub*");
            let _ = recached::blocking::invalidate_all();
            let _ = recached::blocking::invalidate_keys("cube:*");
        };
        all();
        let one = tokio::runtime::Builder::new_current_thread();
        let many = tokio::runtime::Builder::new_multi_thread();
        for mut runtime in [one, many] {
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(async { all() });
            let spawned = runtime.spawn(async move { all() });
            runtime.block_on(spawned).expect("no panic");
        }
        tell.send(())
    });
    let ended = told.recv_timeout(PATIENCE * 2);
    ended.expect("an invalidation waits for its own thread");
}
