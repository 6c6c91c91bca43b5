//! Network faults: each call returns its function's result, no outdated value is served, and the
//! cache recovers by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{Fault, PATIENCE, Proxy, Server, cache_on, reaches, until};
use tokio::sync::Notify;

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// A cache behind a proxy with the default timeouts, and one with a direct connection.
struct Fixture {
    here: Cache,
    there: Cache,
    proxy: Proxy,
    _server: Server,
    source: AtomicU64,
}

impl Fixture {
    async fn new() -> Self {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let here = Cache::builder()
            .redis(proxy.url())
            .namespace("proxy")
            .build()
            .expect("the url is good");
        let fixture = Self {
            here,
            there: cache_on(&server.url(), "proxy"),
            proxy,
            _server: server,
            source: AtomicU64::new(1),
        };
        fixture.recovers().await;
        fixture
    }

    async fn read(&self) -> u64 {
        let compute = || async { self.source.load(Ordering::SeqCst) };
        self.here.get_or_compute("value:1", MINUTE, compute).await
    }

    /// Waits until a near entry exists, which the next change invalidates.
    async fn is_kept(&self) {
        until("a copy is kept", || async {
            let before = self.here.stats().total.near_hits;
            self.read().await;
            self.here.stats().total.near_hits > before
        })
        .await;
    }

    /// Asserts that calls return their function's result despite the fault. Returns the median
    /// duration of a call.
    async fn calls(&self, count: u64) -> Duration {
        // A claim whose reply is lost leaves a lease that no process releases (G4).
        let policy = MINUTE.lease(Duration::from_millis(500));
        let mut took = Vec::new();
        for id in 0..count {
            let begun = Instant::now();
            let key = format!("call:{id}");
            let value = self.here.get_or_compute(&key, policy, || async { id });
            assert_eq!(value.await, id);
            took.push(begun.elapsed());
            assert!(took[took.len() - 1] < Duration::from_secs(2), "{took:?}");
        }
        took.sort_unstable();
        took[took.len() / 2]
    }

    /// Asserts that an invalidation by another process takes effect here after some seconds at
    /// most, and that the old value does not return.
    async fn receives_a_change(&self) {
        let new = self.source.fetch_add(1, Ordering::SeqCst) + 1;
        let _ = self.there.remove("value:1").await.expect("it works there");
        let changed = Instant::now();
        until("the old value is gone", || async {
            self.read().await == new
        })
        .await;
        // A heartbeat, its timeout, and time for a busy machine.
        let gone = changed.elapsed();
        assert!(gone < Duration::from_secs(8), "{gone:?}");
        for _ in 0..50 {
            assert_eq!(self.read().await, new, "once new, always new");
        }
    }

    /// Asserts that a successful invalidation holds; one that failed may be repeated.
    async fn invalidates(&self) {
        for how in ["remove", "function", "keys", "everything"] {
            self.read().await;
            let new = self.source.fetch_add(1, Ordering::SeqCst) + 1;
            let told = match how {
                "remove" => self.here.remove("value:1").await,
                "function" => self.here.invalidate("value").await,
                "keys" => self.here.invalidate_keys("value:*").await,
                _ => self.here.invalidate_all().await,
            };
            // A queued invalidation also holds in this process.
            if told.is_ok() {
                for _ in 0..5 {
                    assert_eq!(self.read().await, new, "{how}");
                }
            }
        }
    }

    async fn recovers(&self) {
        until("the server is used again", || async {
            let stored = self.here.put("probe:1", MINUTE, 7u64).await;
            let probe = self.here.get::<u64>("probe:1").await;
            stored.is_ok() && probe.is_ok_and(|value| value == Some(7))
        })
        .await;
        self.is_kept().await;
    }

    /// Checks all guarantees during the fault and after it.
    async fn survives(&self, fault: Fault) -> Duration {
        self.is_kept().await;
        self.proxy.set(fault);
        let median = self.calls(40).await;
        self.receives_a_change().await;
        self.invalidates().await;
        self.proxy.set(Fault::None);
        self.recovers().await;
        self.invalidates().await;
        self.receives_a_change().await;
        median
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_is_waited_for_within_the_deadline() {
    let fixture = Fixture::new().await;
    let ms = Duration::from_millis;
    fixture.survives(Fault::Slow(ms(5), ms(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_slower_than_the_deadline_costs_some_calls_a_deadline() {
    let fixture = Fixture::new().await;
    let ms = Duration::from_millis;
    for fault in [Fault::Slow(ms(200), ms(0)), Fault::Slow(ms(0), ms(200))] {
        let median = fixture.survives(fault).await;
        assert!(median < ms(30), "{fault:?}: {median:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exchanges_of_a_call_share_one_deadline_and_a_slow_server_is_left_alone() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let cache = Cache::builder()
        .redis(proxy.url())
        .namespace("slow")
        .command_timeout(Duration::from_secs(1));
    let cache = cache.build().expect("the url is good");
    until("it is reached", || reaches(&cache)).await;
    // Makes the function and the scripts known to the server.
    cache
        .get_or_compute("slow:2", MINUTE, || async { 2u32 })
        .await;
    // One round trip takes less than the timeout, and two take more.
    let half = Duration::from_millis(350);
    proxy.set(Fault::Slow(half, half));
    let policy = MINUTE.near(false);
    let call = async || {
        cache
            .get_or_compute("slow:1", policy, || async { 1u32 })
            .await
    };
    assert_eq!(call().await, 1);
    let errors = || cache.stats().function("slow").error_kinds;
    assert_eq!(errors().timeout, 1, "{}", errors());
    // A ping takes more than half of the timeout, so calls do not wait for this server.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        assert_eq!(call().await, 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(errors().timeout, 1, "{}", errors());
    assert!(errors().unavailable > 20, "{}", errors());
    proxy.set(Fault::None);
    until("it is reached again", || reaches(&cache)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_comes_before_a_reply_makes_it_old() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let (here, there) = (
        cache_on(&proxy.url(), "old"),
        cache_on(&server.url(), "old"),
    );
    let policy = MINUTE.near(false);
    let source = AtomicU64::new(0);
    let call = async || {
        let compute = async || source.load(Ordering::SeqCst);
        here.get_or_compute("read:1", policy, compute).await
    };
    for round in 0..20 {
        source.store(round, Ordering::SeqCst);
        until("it is read from the server", || async {
            let before = here.stats().function("read").redis_hits;
            assert_eq!(call().await, round);
            here.stats().function("read").redis_hits > before
        })
        .await;
        source.store(round + 1, Ordering::SeqCst);
        proxy.set(Fault::Held);
        let late = async {
            // By then the read has been sent and its generations are known.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let report = there.invalidate("read").await.expect("it works");
            assert!(!report.queued);
            proxy.set(Fault::None);
        };
        let (value, ()) = tokio::join!(call(), late);
        assert_eq!(value, round + 1, "the push came first");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_costs_one_deadline_and_empties_the_near_tier() {
    let fixture = Fixture::new().await;
    let entries = || fixture.here.stats().near.entries;
    assert!(entries() > 0);
    fixture.proxy.set(Fault::HalfOpen);
    // Without any call, the heartbeat alone detects the fault.
    let begun = Instant::now();
    until("it is emptied", || async { entries() == 0 }).await;
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    fixture.proxy.set(Fault::None);
    fixture.recovers().await;
    let median = fixture.survives(Fault::HalfOpen).await;
    assert!(median < Duration::from_millis(30), "{median:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_kept_back_for_a_while_cost_one_deadline() {
    let fixture = Fixture::new().await;
    let median = fixture.survives(Fault::Held).await;
    assert!(median < Duration::from_millis(30), "{median:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_the_network_has_kept_back_does_not_land() {
    let fixture = Fixture::new().await;
    for how in ["remove", "function", "keys", "everything"] {
        let (begun, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let late = tokio::spawn({
            let (here, begun, leave) =
                (fixture.here.clone(), Arc::clone(&begun), Arc::clone(&leave));
            async move {
                let compute = || async {
                    begun.notify_one();
                    leave.notified().await;
                    "old"
                };
                let compute = || async { compute().await.to_owned() };
                here.get_or_compute("late:1", MINUTE, compute).await
            }
        });
        begun.notified().await;
        fixture.proxy.set(Fault::Held);
        leave.notify_one();
        // The fill is on its way, and its timeout is over.
        assert_eq!(late.await.expect("no panic"), "old");
        match how {
            "remove" => drop(fixture.there.remove("late:1").await.expect("it works")),
            "function" => drop(fixture.there.invalidate("late").await.expect("it works")),
            "keys" => drop(
                fixture
                    .there
                    .invalidate_keys("late:*")
                    .await
                    .expect("it works"),
            ),
            _ => drop(fixture.there.invalidate_all().await.expect("it works")),
        }
        fixture.proxy.set(Fault::None);
        fixture.recovers().await;
        assert_eq!(
            fixture
                .there
                .get::<String>("late:1")
                .await
                .expect("it works"),
            None,
            "{how}"
        );
        assert_eq!(
            fixture
                .here
                .get::<String>("late:1")
                .await
                .expect("it works"),
            None,
            "{how}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_the_network_has_kept_back_undoes_no_invalidation() {
    let fixture = Fixture::new().await;
    // Makes the generations known, so that the first command of the next `put` is a write.
    fixture
        .here
        .put("put:1", MINUTE, 1u32)
        .await
        .expect("it works");
    fixture.here.get::<u32>("put:1").await.expect("it works");
    fixture.proxy.set(Fault::Held);
    let late = fixture.here.put("put:1", MINUTE, 2u32).await;
    late.expect("the call is invalidated in its place, once redis is back");
    assert_eq!(
        fixture
            .there
            .remove("put:1")
            .await
            .expect("it works")
            .entries,
        1
    );
    fixture.proxy.set(Fault::None);
    fixture.recovers().await;
    for cache in [&fixture.there, &fixture.here] {
        assert_eq!(cache.get::<u32>("put:1").await.expect("it works"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_cut_anywhere_costs_no_result() {
    let fixture = Fixture::new().await;
    for after in (0..64).chain((64..512).step_by(16)) {
        fixture.proxy.set(Fault::Cut(after));
        fixture.calls(3).await;
        fixture.proxy.set(Fault::None);
    }
    fixture.recovers().await;
    fixture.survives(Fault::Cut(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_under_many_calls_cost_none_its_result() {
    let fixture = Fixture::new().await;
    let computed = Arc::new(AtomicUsize::new(0));
    for round in 0..20 {
        let calls: Vec<_> = (0..50)
            .map(|id| {
                let (here, computed) = (fixture.here.clone(), Arc::clone(&computed));
                tokio::spawn(async move {
                    let key = format!("many:{round}:{}", id % 10);
                    let compute = || async {
                        computed.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        id % 10
                    };
                    let value = here.get_or_compute(&key, MINUTE, compute).await;
                    assert_eq!(value, id % 10);
                })
            })
            .collect();
        fixture.proxy.cut();
        for call in calls {
            let call = tokio::time::timeout(PATIENCE, call).await;
            call.expect("it ends").expect("it has its own value");
        }
    }
    assert!(computed.load(Ordering::SeqCst) >= 200);
    fixture.recovers().await;
    fixture.receives_a_change().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_costs_no_result() {
    let fixture = Fixture::new().await;
    fixture.is_kept().await;
    fixture.proxy.set(Fault::Refused);
    fixture.proxy.cut();
    until("it is known", || async { !reaches(&fixture.here).await }).await;
    let median = fixture.calls(40).await;
    assert!(median < Duration::from_millis(20), "{median:?}");
    fixture.receives_a_change().await;
    fixture.proxy.set(Fault::None);
    fixture.recovers().await;
    fixture.receives_a_change().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_resp3_keeps_everything_but_the_near_tier() {
    let fixture = Fixture::new().await;
    fixture.proxy.set(Fault::NoHello);
    fixture.proxy.cut();
    until("the near cache is disabled", || async {
        fixture.read().await;
        fixture.here.stats().near.disabled_reason.is_some()
    })
    .await;
    fixture.read().await;
    assert_eq!(fixture.here.stats().near.entries, 0);
    let hits = || fixture.here.stats().total.redis_hits;
    until("Redis serves hits", || async {
        let before = hits();
        fixture.read().await;
        hits() > before
    })
    .await;
    fixture.calls(20).await;
    // Without pushes there is nothing to wait for.
    for how in ["remove", "function", "keys", "everything"] {
        let new = fixture.source.fetch_add(1, Ordering::SeqCst) + 1;
        match how {
            "remove" => drop(fixture.there.remove("value:1").await.expect("it works")),
            "function" => drop(fixture.there.invalidate("value").await.expect("it works")),
            "keys" => drop(
                fixture
                    .there
                    .invalidate_keys("value:*")
                    .await
                    .expect("it works"),
            ),
            _ => drop(fixture.there.invalidate_all().await.expect("it works")),
        }
        assert_eq!(fixture.read().await, new, "{how}");
    }
    fixture.invalidates().await;
    fixture.proxy.set(Fault::None);
    fixture.proxy.cut();
    fixture.recovers().await;
    assert_eq!(fixture.here.stats().near.disabled_reason, None);
}

/// Bytes that violate the protocol, announce more data than follows, or nest too deep.
const GARBAGE: &[&[u8]] = &[
    b"\xff\xfe\x00\x01",
    b"hello\r\n",
    b"\r\n\r\n",
    b"$-7\r\n",
    b"$99999999\r\n",
    b"$99999999999999999999\r\n",
    b"*100000000\r\n",
    b"*-2\r\n",
    b"%3\r\n",
    b">2\r\n$10\r\ninvalidate\r\n:1\r\n",
    b">1\r\n",
    b"=9999\r\n",
    b"(12345678901234567890123456789\r\n",
    b",nan\r\n",
    b"#x\r\n",
    b"_\r\n",
    b"!21\r\nSYNTAX invalid syntax\r\n",
    b"-ERR no such thing\r\n",
    b"+OK\r\n",
    b":7\r\n",
    b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_among_the_replies_costs_no_result_and_does_not_last() {
    let fixture = Fixture::new().await;
    for garbage in GARBAGE {
        for after in [0, 5, 40] {
            fixture.is_kept().await;
            fixture.proxy.set(Fault::Garbage(after, garbage));
            let calls = fixture.calls(10);
            let calls = tokio::time::timeout(PATIENCE, calls).await;
            calls.unwrap_or_else(|_| panic!("a call hangs on {garbage:?}"));
            // The process must detect the remains on connections that are still open.
            fixture.proxy.set(Fault::None);
            fixture.recovers().await;
        }
        fixture.receives_a_change().await;
    }
}
