//! No call waits in vain: not if the call needs itself, if its leader is no longer polled, or if
//! its function fails.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};
use recached_tests::{Backend, PATIENCE, cache_on, on_server_and_cluster};
use tokio::sync::Notify;

/// Far longer than any test: a call that waits this long fails the test.
const HOUR: Duration = Duration::from_secs(3_600);
const HOURS: Policy = Policy::new(HOUR).lease_wait(HOUR);

static MEMORY: LazyLock<Cache> = LazyLock::new(|| {
    let builder = Cache::builder().in_process().namespace("flights");
    builder.build().expect("it builds")
});

mod multi_thread {
    use super::*;

    on_server_and_cluster! {
        "multi_thread"
        shared [
            a_call_that_needs_itself_does_not_wait_for_its_own_lease
            two_calls_that_need_each_other_wait_for_no_flight_and_no_lease
            a_call_that_waits_for_itself_by_a_task_goes_on_after_its_wait
            two_processes_whose_calls_need_each_other_wait_once_and_count_it
        ]
        own []
    }
}

on_server_and_cluster! {
    "current_thread"
    shared [
        a_holder_that_is_not_polled_any_more_is_succeeded_after_a_lease
        a_cache_may_stand_before_another_with_the_same_keys
    ]
    own []
}

async fn in_time<T>(claim: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, claim).await;
    outcome.expect("nobody waits in vain")
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, skip(cache))]
async fn countdown(cache: &Cache, id: u64, left: u64) -> u64 {
    match left {
        0 => 0,
        _ => 1 + Box::pin(detour(cache, id, left)).await,
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, key = "detour:{id}")]
async fn detour(cache: &Cache, id: u64, left: u64) -> u64 {
    match left {
        0 => 0,
        // Needs the same call again.
        _ => 1 + Box::pin(detour(cache, id, left - 1)).await,
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, skip(cache, left))]
fn blocking_detour(cache: &Cache, id: u64, left: u64) -> u64 {
    match left {
        0 => 0,
        _ => 1 + blocking_detour(cache, id, left - 1),
    }
}

async fn needs_itself(cache: &Cache) {
    assert_eq!(in_time(countdown(cache, 1, 3)).await, 4);
    // The stored value is that of the outermost call.
    assert_eq!(in_time(detour(cache, 1, 0)).await, 3);
    let stats = cache.stats().function("flights.detour");
    assert_eq!((stats.computations, stats.lease_waits), (4, 0));
    let plain = cache.clone();
    let plain = tokio::task::spawn_blocking(move || blocking_detour(&plain, 1, 3));
    assert_eq!(in_time(plain).await.expect("no panic"), 3);
    assert_eq!(blocking_detour(cache, 1, 0), 3);
}

#[tokio::test]
async fn a_call_that_needs_itself_does_not_wait_for_itself() {
    needs_itself(&MEMORY).await;
}

async fn a_call_that_needs_itself_does_not_wait_for_its_own_lease(backend: Backend) {
    needs_itself(&backend.cache()).await;
    // Without pushes, no call joins its own flight, so the inner call finds its own lease held.
    let url = backend.without_pushes();
    needs_itself(&cache_on(&url, &format!("{}.plain", backend.namespace))).await;
}

/// Waits until two functions that need each other are both being computed.
struct Meeting(tokio::sync::Barrier);

impl Meeting {
    async fn at(&self, left: u64) {
        if left == 3 {
            self.0.wait().await;
        }
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, key = "hen:{id}")]
async fn hen(cache: &Cache, meeting: &Meeting, id: u64, left: u64) -> u64 {
    meeting.at(left).await;
    match left {
        0 => 0,
        // A call of a third function lies in between.
        _ => 1 + Box::pin(nest(cache, meeting, id, left - 1)).await,
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, key = "nest:{id}")]
async fn nest(cache: &Cache, meeting: &Meeting, id: u64, left: u64) -> u64 {
    Box::pin(egg(cache, meeting, id, left)).await
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, key = "egg:{id}")]
async fn egg(cache: &Cache, meeting: &Meeting, id: u64, left: u64) -> u64 {
    meeting.at(left).await;
    match left {
        0 => 0,
        _ => 1 + Box::pin(hen(cache, meeting, id, left - 1)).await,
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, skip(cache, meeting, left))]
fn plain_hen(cache: &Cache, meeting: &std::sync::Barrier, id: u64, left: u64) -> u64 {
    if left == 3 {
        meeting.wait();
    }
    match left {
        0 => 0,
        _ => 1 + plain_egg(cache, meeting, id, left - 1),
    }
}

#[cached(ttl = 60, lease_wait = "1h", cache = cache, skip(cache, meeting, left))]
fn plain_egg(cache: &Cache, meeting: &std::sync::Barrier, id: u64, left: u64) -> u64 {
    if left == 3 {
        meeting.wait();
    }
    match left {
        0 => 0,
        _ => 1 + plain_hen(cache, meeting, id, left - 1),
    }
}

async fn need_each_other(cache: &Cache) {
    let meeting = Arc::new(Meeting(tokio::sync::Barrier::new(2)));
    let (one, two) = (cache.clone(), cache.clone());
    let (at_one, at_two) = (Arc::clone(&meeting), meeting);
    let hen = tokio::spawn(async move { hen(&one, &at_one, 1, 3).await });
    let egg = tokio::spawn(async move { egg(&two, &at_two, 1, 3).await });
    // The call that closes the cycle computes without waiting; the other waits for it.
    let both = (in_time(hen).await, in_time(egg).await);
    let both = (both.0.expect("no panic"), both.1.expect("no panic"));
    assert!(both.0 >= 3 && both.1 >= 3, "{both:?}");
    let meeting = Arc::new(std::sync::Barrier::new(2));
    let (one, two) = (cache.clone(), cache.clone());
    let (at_one, at_two) = (Arc::clone(&meeting), meeting);
    let hen = tokio::task::spawn_blocking(move || plain_hen(&one, &at_one, 1, 3));
    let egg = tokio::task::spawn_blocking(move || plain_egg(&two, &at_two, 1, 3));
    let both = (in_time(hen).await, in_time(egg).await);
    let both = (both.0.expect("no panic"), both.1.expect("no panic"));
    assert!(both.0 >= 3 && both.1 >= 3, "{both:?}");
    assert_eq!(cache.stats().total.error_kinds.wait_exceeded, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_functions_that_need_each_other_do_not_wait_for_each_other() {
    let cache = Cache::builder().in_process().namespace("circle").build();
    need_each_other(&cache.expect("it builds")).await;
}

async fn two_calls_that_need_each_other_wait_for_no_flight_and_no_lease(backend: Backend) {
    need_each_other(&backend.cache()).await;
    // Without pushes no call joins a flight, so each call finds the other's lease held.
    let url = backend.without_pushes();
    need_each_other(&cache_on(&url, &format!("{}.plain", backend.namespace))).await;
}

#[cached(ttl = 60, lease_wait = "500ms", cache = cache, key = "spawns:{id}")]
async fn spawns(cache: Cache, id: u64, left: u64) -> u64 {
    match left {
        0 => 0,
        // A spawned task is not known as part of the computation that spawned it.
        _ => {
            let again = tokio::spawn(spawned(cache, id, left - 1));
            1 + again.await.expect("no panic")
        }
    }
}

fn spawned(cache: Cache, id: u64, left: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(spawns(cache, id, left))
}

async fn spawns_itself(cache: &Cache) {
    assert_eq!(in_time(spawns(cache.clone(), 1, 1)).await, 1);
    let errors = cache.stats().function("flights.spawns").error_kinds;
    assert_eq!(errors.wait_exceeded, 1, "{errors}");
}

#[tokio::test]
async fn a_call_from_a_task_that_its_own_computation_awaits_waits_once_and_is_reported() {
    let (tell, told) = std::sync::mpsc::channel();
    let observer = move |event: &recached::Event| drop(tell.send(event.to_string()));
    let builder = Cache::builder().in_process().namespace("spawns");
    let cache = builder.observer(observer).build().expect("it builds");
    spawns_itself(&cache).await;
    let told = told.recv_timeout(PATIENCE).expect("it is told");
    assert!(told.contains("`flights.spawns`"), "{told}");
    assert!(told.contains("500ms"), "{told}");
}

async fn a_call_that_waits_for_itself_by_a_task_goes_on_after_its_wait(backend: Backend) {
    spawns_itself(&backend.cache()).await;
    let url = backend.without_pushes();
    spawns_itself(&cache_on(&url, &format!("{}.plain", backend.namespace))).await;
}

async fn two_processes_whose_calls_need_each_other_wait_once_and_count_it(backend: Backend) {
    const WAIT: Duration = Duration::from_millis(500);
    let policy = Policy::new(HOUR).lease_wait(WAIT);
    let (one, two) = (backend.cache(), backend.cache());
    let meeting = tokio::sync::Barrier::new(2);
    let inner = |cache: Cache, key: &'static str| async move {
        cache.get_or_compute(key, policy, || async { 1u32 }).await
    };
    let outer = |cache: Cache, own: &'static str, other: &'static str| {
        let meeting = &meeting;
        async move {
            let compute = || async {
                meeting.wait().await;
                inner(cache.clone(), other).await + 1
            };
            cache.get_or_compute(own, policy, compute).await
        }
    };
    let both = async {
        tokio::join!(
            outer(one.clone(), "hen:1", "egg:1"),
            outer(two.clone(), "egg:1", "hen:1"),
        )
    };
    let (hen, egg) = in_time(both).await;
    assert!((2..=3).contains(&hen) && (2..=3).contains(&egg));
    let count = |cache: &Cache| cache.stats().total.error_kinds.wait_exceeded;
    assert!((1..=2).contains(&(count(&one) + count(&two))));
}

#[cached(ttl = 60, cache = MEMORY, entry = false)]
async fn nested(id: u64) -> u64 {
    match id {
        0 => 0,
        _ => 1 + Box::pin(nested(id - 1)).await,
    }
}

#[tokio::test]
async fn a_function_that_calls_itself_with_other_arguments_is_cached_at_every_depth() {
    assert_eq!(in_time(nested(20)).await, 20);
    assert_eq!(in_time(nested(10)).await, 10);
    assert_eq!(MEMORY.stats().function("flights.nested").computations, 21);
}

/// A leader whose computation waits for `go`, polled up to that point.
async fn stalled<'a>(
    cache: &'a Cache,
    policy: Policy,
    go: &'a Notify,
) -> Pin<Box<dyn Future<Output = u32> + 'a>> {
    let mut leader: Pin<Box<dyn Future<Output = u32>>> = Box::pin(async move {
        let compute = || async {
            tokio::task::yield_now().await;
            go.notified().await;
            1u32
        };
        cache.get_or_compute("stalled:1", policy, compute).await
    });
    // Poll until the computation waits.
    in_time(async {
        let mut polls = 0;
        while polls < 3 {
            let computes = cache.stats().function("stalled").computations > 0;
            let poll = std::future::poll_fn(|context| Poll::Ready(leader.as_mut().poll(context)));
            assert!(poll.await.is_pending(), "it waits for us");
            polls += usize::from(computes);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    leader
}

async fn stalls(one: &Cache, two: &Cache) {
    let policy = HOURS.lease(Duration::from_millis(300));
    let go = Notify::new();
    let leader = stalled(one, policy, &go).await;
    // The computation waits for longer than a lease; the leader must not count as dead.
    let follower = one.get_or_compute("stalled:1", policy, || async { 2u32 });
    let mut follower = Box::pin(follower);
    let early = tokio::time::timeout(Duration::from_secs(1), follower.as_mut()).await;
    assert!(early.is_err(), "the leader is alive: {early:?}");
    // The computation could continue now, but its leader is not polled.
    go.notify_one();
    assert_eq!(in_time(follower).await, 2);
    let other = two.get_or_compute("stalled:1", policy, || async { 3u32 });
    assert_eq!(in_time(other).await, 2);
    // The late leader continues, and its value is not stored.
    assert_eq!(in_time(leader).await, 1);
    for cache in [one, two] {
        let value = cache.get_or_compute("stalled:1", policy, || async { 4u32 });
        assert_eq!(in_time(value).await, 2);
    }
}

#[tokio::test]
async fn a_leader_that_is_not_polled_any_more_is_succeeded_after_a_lease() {
    let cache = Cache::builder().in_process().namespace("stalls").build();
    let cache = cache.expect("it builds");
    stalls(&cache, &cache).await;
}

async fn a_holder_that_is_not_polled_any_more_is_succeeded_after_a_lease(backend: Backend) {
    let one = backend.cache();
    stalls(&one, &backend.cache()).await;
    // Waiters in other processes, with none in the leader's process.
    let policy = HOURS.lease(Duration::from_millis(300));
    let two = backend.cache();
    let _ = two.remove("stalled:1").await.expect("it works");
    let go = Notify::new();
    let fresh = backend.cache();
    let leader = stalled(&fresh, policy, &go).await;
    go.notify_one();
    let other = two.get_or_compute("stalled:1", policy, || async { 5u32 });
    assert_eq!(in_time(other).await, 5);
    drop(leader);
}

static BUSY: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60, lease = "200ms", lease_wait = "1h", cache = MEMORY)]
async fn busy(id: u64) -> u64 {
    BUSY.fetch_add(1, Ordering::SeqCst);
    // The awaited event happens while the task is busy on the same thread.
    let other = async { std::thread::sleep(Duration::from_secs(1)) };
    tokio::join!(tokio::time::sleep(Duration::from_millis(20)), other);
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_woken_while_it_is_busy_is_not_taken_for_dead() {
    let leader = tokio::spawn(busy(1));
    while BUSY.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(in_time(busy(1)).await, 1);
    assert_eq!(in_time(leader).await.expect("no panic"), 1);
    assert_eq!(BUSY.load(Ordering::SeqCst), 1);
}

async fn a_cache_may_stand_before_another_with_the_same_keys(backend: Backend) {
    let front = Cache::builder()
        .in_process()
        .namespace(&backend.namespace)
        .build();
    let front = front.expect("it builds");
    let back = backend.cache();
    for value in 1..4u32 {
        let slow = || async { value };
        let back = || back.get_or_compute("user:1", HOURS, slow);
        let served = front.get_or_compute("user:1", HOURS, back);
        assert_eq!(in_time(served).await, 1);
        assert_eq!(front.remove("user:1").await.expect("it works").entries, 1);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused(u64);

#[derive(Debug)]
struct Own(u64);

type Aliased<T, E> = Result<T, E>;

#[cached(ttl = 60, lease_wait = "1h", cache = MEMORY)]
async fn refused(id: u64) -> Aliased<u64, Refused> {
    // Time for all calls to join; no counter shows that they have.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Err(Refused(id))
}

#[cached(ttl = 60, lease_wait = "1h", cache = MEMORY)]
fn refused_plain(id: u64) -> Result<u64, Refused> {
    std::thread::sleep(Duration::from_millis(200));
    Err(Refused(id))
}

#[tokio::test]
async fn who_waited_for_a_failure_is_given_it_where_it_can_be_cloned() {
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(refused(7))).collect();
    for call in calls {
        let failure = in_time(call).await.expect("no panic");
        assert_eq!(failure, Err(Refused(7)));
    }
    let stats = MEMORY.stats().function("flights.refused");
    assert_eq!((stats.computations, stats.coalesced), (1, 49));
    // The error is not stored.
    assert_eq!(in_time(refused(7)).await, Err(Refused(7)));
    assert_eq!(MEMORY.stats().function("flights.refused").computations, 2);
    // The same for a plain function.
    let begun = Arc::new(std::sync::Barrier::new(8));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let begun = Arc::clone(&begun);
            std::thread::spawn(move || {
                begun.wait();
                refused_plain(7)
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.join().expect("no panic"), Err(Refused(7)));
    }
    assert_eq!(
        MEMORY
            .stats()
            .function("flights.refused_plain")
            .computations,
        1
    );
}

#[cached(ttl = 60, lease_wait = "1h", cache = MEMORY)]
async fn own(id: u64) -> Result<u64, Own> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    Err(Own(id))
}

#[tokio::test]
async fn who_waited_for_a_failure_of_its_leaders_own_waits_for_one_computation_at_most() {
    let begun = Instant::now();
    let calls: Vec<_> = (0..200).map(|_| tokio::spawn(own(7))).collect();
    for call in calls {
        let Own(id) = in_time(call)
            .await
            .expect("no panic")
            .expect_err("it fails");
        assert_eq!(id, 7);
    }
    assert_eq!(MEMORY.stats().function("flights.own").computations, 200);
    // The leader's computation, at most one more wait for a turn, and the call's own computation.
    // If every call took a turn, sixteen at a time, it would take fourteen.
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(500) * 8, "{took:?}");
}

static DOWN: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60, lease_wait = "1h", cache = MEMORY)]
async fn recovers(id: u64) -> Result<u64, Own> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    match DOWN.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Own(id)),
        _ => Ok(id),
    }
}

#[tokio::test]
async fn what_succeeds_after_a_failure_is_stored_and_found_by_those_who_wait() {
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(recovers(7))).collect();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(in_time(call).await.expect("no panic").is_err());
    }
    assert_eq!(failed, 1);
    // The failed computation, and those of the calls that had a turn at once.
    let computations = MEMORY.stats().function("flights.recovers").computations;
    assert!((2..=17).contains(&computations), "{computations}");
    assert_eq!(in_time(recovers(7)).await.ok(), Some(7));
    assert_eq!(
        MEMORY.stats().function("flights.recovers").computations,
        computations
    );
}
