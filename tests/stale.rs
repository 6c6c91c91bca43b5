//! Values past their ttl that are served on purpose: while a refresh runs, and if it fails.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};
use recached_tests::{Fixture, on_both_stores, until};
use tokio::sync::Semaphore;

on_both_stores! {
    an_old_value_is_served_while_one_of_the_fleet_computes_the_new_one
    a_refresh_begun_before_an_invalidation_never_lands
    nothing_old_is_served_once_it_is_invalidated
    a_refresh_that_fails_leaves_the_old_value
    nothing_is_served_past_its_windows
    an_old_value_stands_in_for_an_error
    an_old_value_stands_in_for_a_computation_that_takes_too_long
    who_is_served_what_is_old_is_counted_once
    with_nothing_old_a_computation_takes_as_long_as_it_takes
    what_was_expensive_is_computed_anew_before_its_end
    an_error_is_stored_for_as_long_as_was_asked_for
    an_error_is_served_past_its_ttl_to_nobody
    an_error_replaces_nothing_that_is_served_for_longer
    who_has_no_windows_is_served_nothing_past_its_ttl
    a_value_says_how_long_it_lives
    plain_functions_are_refreshed_on_another_thread
    by_hand_one_caller_computes_and_the_others_are_served_the_old_value
    after_a_failed_refresh_the_origin_is_left_alone_by_the_whole_fleet
    a_pause_ends_and_the_origin_is_tried_again
    an_invalidation_ends_a_pause
    a_pause_keeps_nobody_waiting_who_has_nothing_to_be_served
    a_window_of_any_length_makes_nothing_fresh_for_longer
    plain_functions_leave_a_failing_origin_alone
}

/// Source of a cached function whose computations end only when the test lets them pass.
struct Source {
    value: AtomicU64,
    begun: AtomicUsize,
    ended: AtomicUsize,
    fails: AtomicBool,
    gate: Semaphore,
}

const OPEN: usize = 1_000_000;

impl Source {
    fn new(value: u64) -> Arc<Self> {
        Arc::new(Self {
            value: AtomicU64::new(value),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            gate: Semaphore::new(OPEN),
        })
    }

    fn begin(&self) -> Result<u64, String> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        match self.fails.load(Ordering::SeqCst) {
            true => Err("down".to_owned()),
            false => Ok(self.value.load(Ordering::SeqCst)),
        }
    }

    async fn ask(&self) -> Result<u64, String> {
        let value = self.begin();
        self.gate
            .acquire()
            .await
            .expect("it is not closed")
            .forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        value
    }

    fn set(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Blocks all computations from now on.
    fn shut(&self) {
        self.gate.forget_permits(OPEN);
    }

    fn open(&self) {
        self.gate.add_permits(OPEN / 2);
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

type Answer = Result<u64, String>;

#[cached(ttl = "500ms", jitter = 0.0, stale_while_revalidate = "1h", cache = cache, skip(cache, source))]
async fn revalidated(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

/// Waits until `call` is a stale hit.
async fn grown_old<F: Future<Output = Answer>>(cache: &Cache, call: impl Fn() -> F) {
    let before = cache.stats().total.stale_hits;
    until("the value is past its ttl", || async {
        call().await.expect("there is something");
        cache.stats().total.stale_hits > before
    })
    .await;
}

async fn an_old_value_is_served_while_one_of_the_fleet_computes_the_new_one(fixture: Fixture) {
    let source = Source::new(1);
    let call = |cache: &Cache| revalidated(cache.clone(), Arc::clone(&source), 1);
    assert_eq!(call(&fixture.one).await, Ok(1));
    source.set(2);
    source.shut();
    grown_old(&fixture.one, || call(&fixture.one)).await;
    until("it is computed anew", || async { source.begun() == 2 }).await;
    let calls: Vec<_> = (0..100)
        .map(|id| tokio::spawn(call([&fixture.one, &fixture.two][id % 2])))
        .collect();
    for served in calls {
        assert_eq!(served.await.expect("no panic"), Ok(1));
    }
    assert_eq!(source.begun(), 2);
    source.open();
    for cache in [&fixture.one, &fixture.two] {
        until("the new one is there", || async {
            call(cache).await == Ok(2)
        })
        .await;
    }
    assert_eq!(
        fixture.one.stats().total.errors + fixture.two.stats().total.errors,
        0
    );
}

async fn a_refresh_begun_before_an_invalidation_never_lands(fixture: Fixture) {
    for (id, how) in [(1, "call"), (2, "function"), (3, "keys"), (4, "all")] {
        let source = Source::new(1);
        let call = |cache: &Cache| revalidated(cache.clone(), Arc::clone(&source), id);
        assert_eq!(call(&fixture.one).await, Ok(1));
        source.set(2);
        source.shut();
        grown_old(&fixture.one, || call(&fixture.one)).await;
        until("it is computed anew", || async { source.begun() == 2 }).await;
        source.set(3);
        let entry = revalidated_entry(fixture.two.clone(), Arc::clone(&source), id);
        match how {
            "call" => entry.invalidate().await.map(drop),
            "function" => fixture.two.invalidate("revalidated").await.map(drop),
            "keys" => fixture
                .two
                .invalidate_keys("*revalidated:*")
                .await
                .map(drop),
            _ => fixture.two.invalidate_all().await.map(drop),
        }
        .expect("the store works");
        source.open();
        // The invalidation takes effect here at once, and in the other process when the push
        // arrives.
        assert_eq!(call(&fixture.two).await, Ok(3), "{how}");
        until("it is told", || async { call(&fixture.one).await == Ok(3) }).await;
        until("both have ended", || async { source.ended() >= 3 }).await;
        for _ in 0..20 {
            assert_eq!(call(&fixture.one).await, Ok(3), "{how}");
            assert_eq!(call(&fixture.two).await, Ok(3), "{how}");
        }
    }
}

async fn nothing_old_is_served_once_it_is_invalidated(fixture: Fixture) {
    let source = Source::new(1);
    let call = |cache: &Cache| revalidated(cache.clone(), Arc::clone(&source), 1);
    let failing = |cache: &Cache| rescued(cache.clone(), Arc::clone(&source), 1);
    assert_eq!(
        (call(&fixture.one).await, failing(&fixture.one).await),
        (Ok(1), Ok(1))
    );
    source.fail(true);
    grown_old(&fixture.one, || call(&fixture.one)).await;
    grown_old(&fixture.one, || failing(&fixture.one)).await;
    let _ = fixture
        .one
        .invalidate("re*")
        .await
        .expect("the store works");
    assert!(call(&fixture.one).await.is_err() && failing(&fixture.one).await.is_err());
}

async fn a_refresh_that_fails_leaves_the_old_value(fixture: Fixture) {
    let source = Source::new(1);
    let call = || revalidated(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    source.fail(true);
    grown_old(&fixture.one, call).await;
    until("it has failed a few times", || async {
        assert_eq!(call().await, Ok(1));
        source.ended() >= 4
    })
    .await;
    source.set(2);
    source.fail(false);
    until("the new one is there", || async { call().await == Ok(2) }).await;
}

#[cached(ttl = "100ms", jitter = 0.0, stale_while_revalidate = "300ms", stale_if_error = "300ms", cache = cache, skip(cache, source))]
async fn windowed(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn nothing_is_served_past_its_windows(fixture: Fixture) {
    let source = Source::new(1);
    let call = || windowed(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    let begun = Instant::now();
    source.fail(true);
    grown_old(&fixture.one, call).await;
    until("the windows have passed", || async {
        call().await.is_err()
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(390));
}

#[cached(ttl = "100ms", jitter = 0.0, stale_if_error = "1h", retry_after = "0s", cache = cache, skip(cache, source))]
async fn rescued(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn an_old_value_stands_in_for_an_error(fixture: Fixture) {
    let source = Source::new(1);
    let call = |cache: &Cache| rescued(cache.clone(), Arc::clone(&source), 1);
    assert_eq!(call(&fixture.one).await, Ok(1));
    source.fail(true);
    grown_old(&fixture.one, || call(&fixture.one)).await;
    let calls: Vec<_> = (0..100)
        .map(|id| tokio::spawn(call([&fixture.one, &fixture.two][id % 2])))
        .collect();
    for served in calls {
        assert_eq!(served.await.expect("no panic"), Ok(1));
    }
    source.set(2);
    source.fail(false);
    // The old value is served only if the computation fails.
    assert_eq!(call(&fixture.one).await, Ok(2));
}

#[cached(ttl = "100ms", jitter = 0.0, stale_if_error = "1h", retry_after = "0s", soft_timeout = "50ms", cache = cache, skip(cache, source))]
async fn limited(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

#[cached(ttl = "100ms", jitter = 0.0, stale_if_error = "1h", retry_after = "0s", soft_timeout = "50ms", cache = cache, skip(cache, source))]
fn limited_plain(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    recached_tests::block_on(source.ask())
}

async fn an_old_value_stands_in_for_a_computation_that_takes_too_long(fixture: Fixture) {
    let source = Source::new(1);
    let call = || limited(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    source.set(2);
    source.shut();
    grown_old(&fixture.one, call).await;
    assert_eq!(source.begun(), 2);
    // The computation outlives its call and stores its value.
    source.open();
    until("the new one is there", || async { call().await == Ok(2) }).await;

    let source = Source::new(1);
    let call = || {
        let (cache, source) = (fixture.one.clone(), Arc::clone(&source));
        tokio::task::spawn_blocking(move || limited_plain(cache, source, 1))
    };
    let plain = || async { call().await.expect("no panic") };
    assert_eq!(plain().await, Ok(1));
    source.set(2);
    source.shut();
    grown_old(&fixture.one, plain).await;
    source.open();
    until("the new one is there", || async { plain().await == Ok(2) }).await;
}

async fn who_is_served_what_is_old_is_counted_once(fixture: Fixture) {
    let source = Source::new(1);
    let call = || limited(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    source.fail(true);
    source.shut();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(call().await, Ok(1));
    source.open();
    until("it has failed as well", || async { source.ended() == 2 }).await;
    // Time for late effects of the failed computation.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let total = fixture.one.stats().total;
    assert_eq!((total.misses, total.stale_hits), (1, 1), "of two calls");
    // A stale hit outside the limit is counted too.
    assert_eq!(call().await, Ok(1));
    let total = fixture.one.stats().total;
    assert_eq!((total.misses, total.stale_hits), (1, 2), "of three calls");
    source.fail(false);
    source.set(2);
    assert_eq!(call().await, Ok(2));
    let total = fixture.one.stats().total;
    assert_eq!((total.misses, total.stale_hits), (2, 2), "of four calls");
}

async fn with_nothing_old_a_computation_takes_as_long_as_it_takes(fixture: Fixture) {
    let source = Source::new(1);
    source.shut();
    let call = tokio::spawn(limited(fixture.one.clone(), Arc::clone(&source), 1));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!call.is_finished());
    source.open();
    assert_eq!(call.await.expect("no panic"), Ok(1));
}

#[cached(ttl = "1h", refresh_ahead = 1e9, cache = cache, skip(cache, source))]
async fn ahead(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    tokio::time::sleep(Duration::from_millis(20)).await;
    source.ask().await
}

async fn what_was_expensive_is_computed_anew_before_its_end(fixture: Fixture) {
    let source = Source::new(1);
    let call = |cache: &Cache| ahead(cache.clone(), Arc::clone(&source), 1);
    assert_eq!(call(&fixture.one).await, Ok(1));
    source.set(2);
    source.shut();
    // With this factor a refresh is due at once: the value is still served and is not stale.
    assert_eq!(call(&fixture.one).await, Ok(1));
    until("it is computed anew", || async {
        call(&fixture.one).await.expect("it is served");
        source.begun() == 2
    })
    .await;
    let calls: Vec<_> = (0..100)
        .map(|id| tokio::spawn(call([&fixture.one, &fixture.two][id % 2])))
        .collect();
    for served in calls {
        assert_eq!(served.await.expect("no panic"), Ok(1));
    }
    assert_eq!(source.begun(), 2);
    assert_eq!(fixture.one.stats().total.stale_hits, 0);
    source.open();
    until("the new one is there", || async {
        call(&fixture.two).await == Ok(2)
    })
    .await;
}

#[cached(ttl = "1h", err_ttl = "1h", refresh_ahead = 1e9, cache = cache, skip(cache, source))]
async fn ahead_remembered(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    tokio::time::sleep(Duration::from_millis(20)).await;
    source.ask().await
}

#[cached(ttl = "100ms", jitter = 0.0, err_ttl = "1h", stale_while_revalidate = "1h", stale_if_error = "1h", cache = cache, skip(cache, source))]
async fn rescued_remembered(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn an_error_replaces_nothing_that_is_served_for_longer(fixture: Fixture) {
    let source = Source::new(1);
    let ahead = || ahead_remembered(fixture.one.clone(), Arc::clone(&source), 1);
    let rescued = || rescued_remembered(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!((ahead().await, rescued().await), (Ok(1), Ok(1)));
    source.fail(true);
    until("both have failed a few times", || async {
        assert_eq!((ahead().await, rescued().await), (Ok(1), Ok(1)));
        source.ended() >= 8
    })
    .await;
}

async fn who_has_no_windows_is_served_nothing_past_its_ttl(fixture: Fixture) {
    let short = Policy::new(Duration::from_millis(100)).jitter(0.0);
    let hour = Duration::from_secs(3_600);
    for near in [true, false] {
        let stored = fixture
            .one
            .put("windows:1", short.stale_if_error(hour), 1u32)
            .await;
        stored.expect("it works");
        let call = |value: u32| {
            let policy = short.near(near);
            let compute = move || async move { value };
            fixture.two.get_or_compute("windows:1", policy, compute)
        };
        assert!(call(2).await <= 2);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(call(3).await, 3);
    }
}

#[cached(ttl = "1h", err_ttl = "500ms", cache = cache, skip(cache, source))]
async fn remembered(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn an_error_is_stored_for_as_long_as_was_asked_for(fixture: Fixture) {
    let source = Source::new(1);
    let call = |cache: &Cache| remembered(cache.clone(), Arc::clone(&source), 1);
    source.fail(true);
    for cache in [&fixture.one, &fixture.two, &fixture.one] {
        assert_eq!(call(cache).await, Err("down".to_owned()));
    }
    assert_eq!(source.begun(), 1);
    source.fail(false);
    until("the error has expired", || async {
        call(&fixture.one).await == Ok(1)
    })
    .await;
    source.fail(true);
    // The value has the ttl of the function.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(call(&fixture.two).await, Ok(1));
}

#[cached(ttl = "1h", err_ttl = "300ms", jitter = 0.0, stale_while_revalidate = "1h", stale_if_error = "1h", cache = cache, skip(cache, source))]
async fn windowed_error(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn an_error_is_served_past_its_ttl_to_nobody(fixture: Fixture) {
    for id in 0..3 {
        let source = Source::new(1);
        let call = |cache: &Cache| windowed_error(cache.clone(), Arc::clone(&source), id);
        source.fail(true);
        assert_eq!(call(&fixture.one).await, Err("down".to_owned()));
        source.fail(false);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            call(&fixture.two).await,
            Ok(1),
            "its windows are those of a value"
        );
    }
}

#[cached(ttl = "1h", jitter = 0.0, ttl_with = |value: &u64| Duration::from_millis(*value), cache = cache, skip(cache, source))]
async fn its_own(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    source.ask().await
}

async fn a_value_says_how_long_it_lives(fixture: Fixture) {
    let source = Source::new(0);
    let call = || its_own(fixture.one.clone(), Arc::clone(&source), 1);
    let left = || async {
        let entry = its_own_entry(fixture.one.clone(), Arc::clone(&source), 1);
        entry.ttl().await.expect("the store works")
    };
    assert_eq!(call().await, Ok(0));
    assert_eq!(left().await, None, "no time at all: not stored");
    source.set(30_000);
    assert_eq!(call().await, Ok(30_000));
    let minute = left().await.expect("it is stored");
    assert!(minute <= Duration::from_secs(30) && minute > Duration::from_secs(10));
    source.set(200);
    its_own_entry(fixture.one.clone(), Arc::clone(&source), 1)
        .refresh()
        .await
        .expect("it works");
    until("it has expired", || async { left().await.is_none() }).await;
    // Longer than any clock can represent: the entry lives as long as the store allows.
    source.set(u64::MAX);
    assert_eq!(call().await, Ok(u64::MAX));
    assert!(left().await > Some(Duration::from_secs(3_600)));
    assert_eq!(fixture.one.stats().total.errors, 0);
}

#[cached(ttl = "300ms", jitter = 0.0, stale_while_revalidate = "1h", cache = cache, skip(cache, source))]
fn revalidated_plain(cache: Cache, source: Arc<Source>, id: u64) -> Answer {
    recached_tests::block_on(source.ask())
}

async fn plain_functions_are_refreshed_on_another_thread(fixture: Fixture) {
    let source = Source::new(1);
    let call = || {
        let (cache, source) = (fixture.one.clone(), Arc::clone(&source));
        // From a thread without a runtime.
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || send.send(revalidated_plain(cache, source, 1)));
        async { receive.await.expect("no panic") }
    };
    assert_eq!(call().await, Ok(1));
    source.set(2);
    source.shut();
    grown_old(&fixture.one, call).await;
    until("it is computed anew", || async { source.begun() == 2 }).await;
    for _ in 0..20 {
        assert_eq!(call().await, Ok(1));
    }
    assert_eq!(source.begun(), 2);
    source.open();
    until("the new one is there", || async { call().await == Ok(2) }).await;
}

async fn by_hand_one_caller_computes_and_the_others_are_served_the_old_value(fixture: Fixture) {
    const POLICY: Policy = Policy::new(Duration::from_millis(200))
        .jitter(0.0)
        .stale_while_revalidate(Duration::from_secs(3_600));
    let source = Source::new(1);
    let call = |cache: &Cache| {
        let (cache, source) = (cache.clone(), Arc::clone(&source));
        async move {
            let compute = || async { source.ask().await };
            cache.try_get_or_compute("hand:1", POLICY, compute).await
        }
    };
    assert_eq!(call(&fixture.one).await, Ok(1));
    source.set(2);
    source.shut();
    // One call computes and waits at the gate.
    let mut calls = Vec::new();
    until("one computes anew", || {
        calls.push(tokio::spawn(call(&fixture.one)));
        async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            source.begun() == 2
        }
    })
    .await;
    for id in 0..20 {
        assert_eq!(call([&fixture.one, &fixture.two][id % 2]).await, Ok(1));
    }
    source.open();
    let mut new = 0;
    for served in calls {
        new += usize::from(served.await.expect("no panic") == Ok(2));
    }
    assert_eq!((new, source.begun()), (1, 2));
}

/// Outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    No,
    Error,
    Panic,
    /// `store_if` rejects the value.
    Unstored,
}

/// An origin that counts its calls.
#[derive(Clone)]
struct Failable(Arc<(AtomicUsize, std::sync::Mutex<Failing>)>);

impl Failable {
    fn new() -> Self {
        Self(Arc::new((
            AtomicUsize::new(0),
            std::sync::Mutex::new(Failing::No),
        )))
    }

    fn fails(&self, how: Failing) {
        *self.0.1.lock().expect("no panic under it") = how;
    }

    fn begun(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Returns 1 at first, then the number of calls, or 0 for a value that is not to be stored.
    fn ask(&self) -> Answer {
        let begun = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        let how = *self.0.1.lock().expect("no panic under it");
        match how {
            Failing::No => Ok(begun as u64),
            Failing::Error => Err("down".to_owned()),
            Failing::Panic => panic!("on purpose"),
            Failing::Unstored => Ok(0),
        }
    }
}

/// Functions with each kind of refresh, with a pause of this length.
macro_rules! paused {
    ($module:ident, $pause:literal) => {
        mod $module {
            use super::*;

            #[cached(ttl = "200ms", jitter = 0.0, stale_while_revalidate = "1h", retry_after = $pause, store_if = |value| *value > 0, cache = cache, skip(cache, origin))]
            pub async fn revalidated(cache: Cache, origin: Failable, id: u64) -> Answer {
                origin.ask()
            }

            #[cached(ttl = "200ms", jitter = 0.0, stale_if_error = "1h", retry_after = $pause, store_if = |value| *value > 0, cache = cache, skip(cache, origin))]
            pub async fn rescued(cache: Cache, origin: Failable, id: u64) -> Answer {
                origin.ask()
            }

            #[cached(ttl = "1h", refresh_ahead = 1e12, retry_after = $pause, store_if = |value| *value > 0, cache = cache, skip(cache, origin))]
            pub async fn ahead(cache: Cache, origin: Failable, id: u64) -> Answer {
                tokio::time::sleep(Duration::from_millis(5)).await;
                origin.ask()
            }

            #[cached(ttl = "200ms", jitter = 0.0, stale_while_revalidate = "1h", err_ttl = "10s", retry_after = $pause, store_if = |value| value.as_ref().is_ok_and(|value| *value > 0) || value.is_err(), cache = cache, skip(cache, origin))]
            pub async fn remembered(cache: Cache, origin: Failable, id: u64) -> Answer {
                origin.ask()
            }
        }
    };
}

paused!(long, "1h");
paused!(brief, "300ms");

type Calls =
    [fn(Cache, Failable, u64) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>; 4];

macro_rules! calls {
    ($module:ident) => {
        [
            |cache, origin, id| Box::pin($module::revalidated(cache, origin, id)),
            |cache, origin, id| Box::pin($module::rescued(cache, origin, id)),
            |cache, origin, id| Box::pin($module::ahead(cache, origin, id)),
            |cache, origin, id| Box::pin($module::remembered(cache, origin, id)),
        ]
    };
}

/// Result of a call, or `None` if the function has panicked.
async fn answer(call: impl Future<Output = Answer> + Send + 'static) -> Option<Answer> {
    tokio::spawn(call).await.ok()
}

async fn after_a_failed_refresh_the_origin_is_left_alone_by_the_whole_fleet(fixture: Fixture) {
    let calls: Calls = calls!(long);
    for (id, how) in [
        (1, Failing::Error),
        (2, Failing::Panic),
        (3, Failing::Unstored),
    ] {
        for (place, call) in calls.iter().enumerate() {
            let origin = Failable::new();
            let what = format!("{how:?} of {place}");
            assert_eq!(call(fixture.one.clone(), origin.clone(), id).await, Ok(1));
            origin.fails(how);
            until("it is refreshed, and that fails", || async {
                answer(call(fixture.one.clone(), origin.clone(), id)).await;
                origin.begun() >= 2
            })
            .await;
            // Wait until late effects of the failed refresh are over.
            until("the pause has begun", || async {
                let before = origin.begun();
                for cache in [&fixture.one, &fixture.two, &fixture.one, &fixture.two] {
                    answer(call(cache.clone(), origin.clone(), id)).await;
                }
                origin.begun() == before
            })
            .await;
            let attempts = origin.begun();
            assert!(attempts <= 6, "{what}: {attempts}");
            for round in 0..100 {
                let cache = [&fixture.one, &fixture.two][round % 2].clone();
                assert_eq!(call(cache, origin.clone(), id).await, Ok(1), "{what}");
            }
            assert_eq!(origin.begun(), attempts, "{what}");
        }
    }
}

async fn a_pause_ends_and_the_origin_is_tried_again(fixture: Fixture) {
    let calls: Calls = calls!(brief);
    for (place, call) in calls.iter().enumerate() {
        let origin = Failable::new();
        assert_eq!(call(fixture.one.clone(), origin.clone(), 1).await, Ok(1));
        origin.fails(Failing::Error);
        until("it has failed a few times", || async {
            let served = call(fixture.one.clone(), origin.clone(), 1).await;
            assert_eq!(served, Ok(1), "{place}");
            origin.begun() >= 4
        })
        .await;
        origin.fails(Failing::No);
        until("the new one is there", || async {
            call(fixture.two.clone(), origin.clone(), 1).await != Ok(1)
        })
        .await;
    }
}

async fn an_invalidation_ends_a_pause(fixture: Fixture) {
    let calls: Calls = calls!(long);
    for (id, how) in [(1, "call"), (2, "function"), (3, "keys"), (4, "all")] {
        let call = calls[1];
        let origin = Failable::new();
        assert_eq!(call(fixture.one.clone(), origin.clone(), id).await, Ok(1));
        origin.fails(Failing::Error);
        until("it is paused", || async {
            let served = call(fixture.one.clone(), origin.clone(), id).await;
            assert_eq!(served, Ok(1));
            origin.begun() >= 2
        })
        .await;
        origin.fails(Failing::No);
        assert_eq!(call(fixture.two.clone(), origin.clone(), id).await, Ok(1));
        let entry = long::rescued_entry(fixture.two.clone(), origin.clone(), id);
        let report = match how {
            "call" => entry.invalidate().await,
            "function" => fixture.two.invalidate("rescued").await,
            "keys" => fixture.two.invalidate_keys("*rescued:*").await,
            _ => fixture.two.invalidate_all().await,
        };
        let _ = report.expect("the store works");
        let anew = call(fixture.two.clone(), origin.clone(), id).await;
        assert!(anew > Ok(1), "{how}: {anew:?}");
    }
}

async fn a_pause_keeps_nobody_waiting_who_has_nothing_to_be_served(fixture: Fixture) {
    let policy = Policy::new(Duration::from_millis(100)).jitter(0.0);
    let hour = Duration::from_secs(3_600);
    let call = |cache: &Cache, policy: Policy, answer: Result<u32, ()>| {
        let cache = cache.clone();
        async move {
            let compute = move || async move { answer };
            cache.try_get_or_compute("pause:1", policy, compute).await
        }
    };
    let patient = policy.stale_if_error(hour).retry_after(hour);
    assert_eq!(call(&fixture.one, patient, Ok(1)).await, Ok(1));
    let before = fixture.one.stats().total.stale_hits;
    until("it stands in", || async {
        assert_eq!(call(&fixture.one, patient, Err(())).await, Ok(1));
        fixture.one.stats().total.stale_hits > before
    })
    .await;
    assert_eq!(
        call(&fixture.two, patient, Ok(2)).await,
        Ok(1),
        "it is paused"
    );
    // A policy without a stale window has no value to serve and computes at once.
    let begun = Instant::now();
    assert_eq!(call(&fixture.two, policy, Ok(3)).await, Ok(3));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

async fn a_window_of_any_length_makes_nothing_fresh_for_longer(fixture: Fixture) {
    let day = Duration::from_secs(24 * 3_600);
    for (id, window) in [day * 49, day * 50, day * 365, day * 3_650, Duration::MAX]
        .into_iter()
        .enumerate()
    {
        let policy = Policy::new(Duration::from_millis(150)).jitter(0.0);
        let policy = policy.retry_after(Duration::ZERO);
        for (kind, policy) in [
            ("error", policy.stale_if_error(window)),
            ("revalidate", policy.stale_while_revalidate(window)),
        ] {
            let key = format!("{kind}:{id}");
            let call = |answer: Result<u32, ()>| {
                let (cache, key) = (fixture.two.clone(), key.clone());
                async move {
                    let compute = move || async move { answer };
                    cache.try_get_or_compute(&key, policy, compute).await
                }
            };
            assert_eq!(call(Ok(1)).await, Ok(1));
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = fixture.two.stats().total.stale_hits;
            assert_eq!(
                call(Err(())).await,
                Ok(1),
                "{kind} {window:?}: it is served"
            );
            assert_eq!(
                fixture.two.stats().total.stale_hits,
                before + 1,
                "{kind} {window:?}"
            );
            assert_eq!(
                call(Ok(2)).await,
                Ok(2),
                "{kind} {window:?}: it is not fresh"
            );
        }
    }
    let endless = Policy::new(Duration::MAX).stale_if_error(Duration::MAX);
    for _ in 0..2 {
        let value = fixture
            .one
            .get_or_compute("endless:1", endless, || async { 7u32 });
        assert_eq!(value.await, 7);
    }
    assert_eq!(fixture.one.stats().function("endless").computations, 1);
}

#[cached(ttl = "200ms", jitter = 0.0, stale_while_revalidate = "1h", retry_after = "1h", cache = cache, skip(cache, origin))]
fn plain_revalidated(cache: Cache, origin: Failable, id: u64) -> Answer {
    origin.ask()
}

async fn plain_functions_leave_a_failing_origin_alone(fixture: Fixture) {
    for (id, how) in [(1, Failing::Error), (2, Failing::Panic)] {
        let origin = Failable::new();
        let call = |cache: &Cache| {
            let (cache, origin) = (cache.clone(), origin.clone());
            let call = tokio::task::spawn_blocking(move || plain_revalidated(cache, origin, id));
            async { call.await.expect("the old value is served") }
        };
        assert_eq!(call(&fixture.one).await, Ok(1));
        origin.fails(how);
        until("it is refreshed, and that fails", || async {
            assert_eq!(call(&fixture.one).await, Ok(1));
            origin.begun() >= 2
        })
        .await;
        until("the pause has begun", || async {
            let before = origin.begun();
            for _ in 0..10 {
                assert_eq!(call(&fixture.two).await, Ok(1));
            }
            origin.begun() == before
        })
        .await;
        let attempts = origin.begun();
        for _ in 0..50 {
            assert_eq!(call(&fixture.two).await, Ok(1));
        }
        assert_eq!(origin.begun(), attempts, "{how:?}");
    }
}
