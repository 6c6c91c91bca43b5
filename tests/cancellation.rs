//! Calls and invalidations that are dropped at every one of their await points.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};
use recached_tests::{PATIENCE, Server, cache_on};

/// Maximum delay of other calls by a dropped call.
const LEASE: Duration = Duration::from_millis(400);
const POLICY: Policy = Policy::new(Duration::from_secs(60)).lease(LEASE);

/// Upper bound on the number of await points of any call here.
const MANY: usize = 500;

static SOURCE: AtomicU64 = AtomicU64::new(0);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts running computations; decremented when a computation ends or is dropped.
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Reads the source first and then passes some await points of its own.
async fn compute() -> u64 {
    let _running = Running::begin();
    let value = SOURCE.load(Ordering::SeqCst);
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    value
}

#[cached(ttl = 60, lease = "400ms", cache = cache, skip(cache))]
async fn annotated(cache: &Cache, id: u64) -> u64 {
    let _ = id;
    compute().await
}

#[cached(ttl = 60, lease = "400ms", near = false, cache = cache, skip(cache))]
async fn fallible(cache: &Cache, id: u64) -> Result<u64, String> {
    match id {
        0 => Err(compute().await.to_string()),
        _ => Ok(compute().await),
    }
}

/// Polls `future` whenever it is woken, at most `polls` times, and then drops it.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// State at the beginning of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Nothing is stored.
    Cold,
    /// The value is stored in Redis but not in the near cache.
    Stored,
    /// Another call of this process computes the value.
    Flying,
    /// Another process computes the value.
    Leased,
}

struct Fixture {
    server: Server,
    here: Cache,
    there: Cache,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        let (here, there) = (
            cache_on(&server.url(), "cancelled"),
            cache_on(&server.url(), "cancelled"),
        );
        Self {
            server,
            here,
            there,
        }
    }

    /// Asserts that the next calls return the current value of the source, without waiting longer
    /// than a lease each.
    async fn is_whole(&self, what: &str) {
        let wanted = SOURCE.load(Ordering::SeqCst);
        let begun = Instant::now();
        let calls = async {
            let by_hand = self.here.get_or_compute("hand:1", POLICY, compute);
            assert_eq!(by_hand.await, wanted, "{what}, by hand");
            assert_eq!(annotated(&self.here, 1).await, wanted, "{what}, annotated");
            assert_eq!(
                fallible(&self.here, 1).await,
                Ok(wanted),
                "{what}, fallible"
            );
            let failed = fallible(&self.here, 0).await;
            assert_eq!(failed, Err(wanted.to_string()), "{what}, failing");
            assert_eq!(annotated(&self.there, 1).await, wanted, "{what}, elsewhere");
        };
        let ended = tokio::time::timeout(PATIENCE, calls).await;
        assert!(ended.is_ok(), "{what}: somebody waits in vain");
        // Each of the four calls may have waited for something that the dropped call left behind.
        let took = begun.elapsed();
        assert!(
            took < LEASE * 4 + Duration::from_secs(2),
            "{what}: {took:?}"
        );
        assert_eq!(
            RUNNING.load(Ordering::SeqCst),
            0,
            "{what}: it goes on computing"
        );
    }

    /// Asserts that no lease outlives its duration.
    async fn has_no_lease(&self, what: &str) {
        let begun = Instant::now();
        loop {
            let leases: Vec<String> = self.server.ask(&["KEYS", "{*}:lease"]);
            if leases.is_empty() {
                return;
            }
            let late = begun.elapsed() > LEASE + Duration::from_secs(2);
            assert!(!late, "{what}: {leases:?} are held by nobody");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Changes the source and invalidates everything in both processes.
    async fn begin(&self, stage: Stage) -> Option<tokio::task::JoinHandle<()>> {
        SOURCE.fetch_add(1, Ordering::SeqCst);
        let _ = self.here.invalidate_all().await.expect("it works");
        // The second cache invalidates over its own connection, so it has received the change too.
        let _ = self.there.invalidate_all().await.expect("it works");
        let fly = |cache: &Cache| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let slow = || async {
                    let value = compute().await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    value
                };
                cache.get_or_compute("hand:1", POLICY, slow).await;
                annotated(&cache, 1).await;
            })
        };
        match stage {
            Stage::Cold => None,
            Stage::Stored => {
                self.there.get_or_compute("hand:1", POLICY, compute).await;
                annotated(&self.there, 1).await;
                None
            }
            Stage::Flying => Some(fly(&self.here)),
            Stage::Leased => Some(fly(&self.there)),
        }
    }

    /// Drops the future that `make` returns after one poll, after two, and so on, until the future
    /// completes.
    async fn drop_everywhere<F: Future>(&self, what: &str, stage: Stage, make: impl Fn() -> F) {
        for polls in 1..MANY {
            let other = self.begin(stage).await;
            let what = format!("{what}, {stage:?}, dropped after {polls} polls");
            let ended = tokio::time::timeout(PATIENCE, polled(make(), polls)).await;
            let ended = ended
                .unwrap_or_else(|_| panic!("{what}: it hangs"))
                .is_some();
            if let Some(other) = other {
                let other = tokio::time::timeout(PATIENCE, other).await;
                other.expect("it ends").expect("no panic");
            }
            self.is_whole(&what).await;
            self.has_no_lease(&what).await;
            if ended {
                return;
            }
        }
        panic!("{what} never ends");
    }
}

/// One test for all cases, because they share the source and the count of computations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_dropped_at_any_await_leaves_nobody_waiting_and_nothing_behind() {
    let fixture = Fixture::new();
    let cache = &fixture.here;
    for stage in [Stage::Cold, Stage::Stored, Stage::Flying, Stage::Leased] {
        fixture
            .drop_everywhere("by hand", stage, || {
                cache.get_or_compute("hand:1", POLICY, compute)
            })
            .await;
        fixture
            .drop_everywhere("annotated", stage, || annotated(cache, 1))
            .await;
    }
    fixture
        .drop_everywhere("fallible", Stage::Cold, || fallible(cache, 1))
        .await;
    fixture
        .drop_everywhere("failing", Stage::Cold, || fallible(cache, 0))
        .await;
    fixture
        .drop_everywhere("refresh", Stage::Stored, || {
            annotated_entry(cache, 1).refresh()
        })
        .await;
    invalidations_dropped_at_any_await(&fixture).await;
}

/// A lease granted to a dropped call would block all other calls for an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_dropped_while_it_claims_leaves_no_lease() {
    let fixture = Fixture::new();
    let hour = Duration::from_secs(3_600);
    let policy = POLICY.lease(hour).lease_wait(hour);
    // Not `compute`, because other tests count its computations.
    async fn one() -> u64 {
        tokio::task::yield_now().await;
        1
    }
    // Over the runtime connection and over the background connection.
    let home = |key: &str, polls| {
        let (cache, key) = (fixture.here.clone(), key.to_owned());
        async move {
            let call = cache.get_or_compute(&key, policy, one);
            polled(call, polls).await.is_some()
        }
    };
    let steady = |key: &str, polls| {
        let call = home(key, polls);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| recached_tests::block_on(call));
            call.join().expect("no panic")
        })
    };
    for polls in 1..MANY {
        let (first, second) = (format!("home:{polls}"), format!("steady:{polls}"));
        let ended = [home(&first, polls).await, steady(&second, polls)];
        for key in [&first, &second] {
            let calls = fixture.there.get_or_compute(key, policy, one);
            let call = tokio::time::timeout(PATIENCE, calls).await;
            assert!(call.is_ok(), "{key} is held by nobody after {polls} polls");
        }
        if ended == [true; 2] {
            return;
        }
    }
    panic!("it never ends");
}

/// A dropped invalidation gives no guarantee. The next invalidation that returns must hold,
/// whatever state the dropped one has left behind.
async fn invalidations_dropped_at_any_await(fixture: &Fixture) {
    let (cache, key) = (&fixture.here, "hand:1");
    let read = || cache.get_or_compute(key, POLICY, compute);
    for how in ["remove", "function", "keys", "everything", "purge", "put"] {
        let invalidate = || async {
            match how {
                "remove" => cache.remove(key).await.map(drop),
                "function" => cache.invalidate("hand").await.map(drop),
                "keys" => cache.invalidate_keys("hand:*").await.map(drop),
                "everything" => cache.invalidate_all().await.map(drop),
                "purge" => cache.purge("hand").await.map(drop),
                _ => cache.put(key, POLICY, SOURCE.load(Ordering::SeqCst)).await,
            }
        };
        for polls in 1..MANY {
            let what = format!("{how}, dropped after {polls} polls");
            // A value is in the near cache, and a flight is in progress.
            for _ in 0..3 {
                read().await;
            }
            let flying = tokio::spawn({
                let cache = cache.clone();
                async move { cache.get_or_compute("hand:2", POLICY, compute).await }
            });
            SOURCE.fetch_add(1, Ordering::SeqCst);
            let ended = polled(invalidate(), polls).await;
            if ended.is_none() {
                SOURCE.fetch_add(1, Ordering::SeqCst);
                invalidate().await.expect("it works");
            }
            assert_eq!(read().await, SOURCE.load(Ordering::SeqCst), "{what}");
            let flying = tokio::time::timeout(PATIENCE, flying).await;
            flying.expect("it ends").expect("no panic");
            let _ = fixture.there.invalidate_all().await.expect("it works");
            if let Some(ended) = ended {
                ended.expect("it works");
                break;
            }
            assert!(polls + 1 < MANY, "{how} never ends");
        }
        fixture.is_whole_after(how).await;
    }
}

impl Fixture {
    async fn is_whole_after(&self, how: &str) {
        self.begin(Stage::Cold).await;
        self.is_whole(how).await;
        self.has_no_lease(how).await;
    }
}

/// When the leader of a flight is dropped, one of the joined calls leads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_a_call_dropped_at_any_await_share_one_computation() {
    let fixture = Fixture::new();
    let runs = Arc::new(AtomicUsize::new(0));
    for polls in 1..MANY {
        let key = format!("led:{polls}");
        let count = || async {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            polls
        };
        let led = polled(fixture.here.get_or_compute(&key, POLICY, count), polls);
        let follow = || fixture.here.get_or_compute(&key, POLICY, count);
        let all = async { tokio::join!(led, follow(), follow(), follow()) };
        let (led, one, two, three) = tokio::time::timeout(PATIENCE, all)
            .await
            .unwrap_or_else(|_| panic!("somebody waits in vain after {polls} polls"));
        assert_eq!([one, two, three], [polls; 3]);
        // One computation of the dropped call, if it had begun, and one more.
        assert!(runs.swap(0, Ordering::SeqCst) <= 2, "after {polls} polls");
        if led.is_some() {
            return;
        }
    }
    panic!("it never ends");
}
