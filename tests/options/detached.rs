//! Computations that continue after their callers are cancelled, and whose values are stored.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, cached};
use recached_tests::{Fixture, on_both_stores, until};
use tokio::sync::Semaphore;
use tokio::time::timeout;

on_both_stores! {
    a_detached_computation_is_stored_though_its_caller_is_cancelled
    one_that_is_not_detached_ends_with_its_caller
    a_detached_computation_that_is_awaited_is_as_any_other
    no_more_go_on_than_refreshes_may
    what_is_not_used_is_held_until_the_end
    an_invalidation_ends_a_detached_computation_as_any_other
}

struct Source {
    gate: Semaphore,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Source {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    async fn ask(&self) -> usize {
        let value = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let permit = self.gate.acquire().await;
        permit.expect("nobody closes it").forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        value
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

#[cached(ttl = 60, detached, cache = cache, skip(cache, source))]
async fn report(cache: Cache, source: Arc<Source>, id: usize) -> Result<usize, String> {
    Ok(source.ask().await)
}

#[cached(ttl = 60, cache = cache, skip(cache, source))]
async fn attached(cache: Cache, source: Arc<Source>, id: usize) -> Result<usize, String> {
    Ok(source.ask().await)
}

#[cached(ttl = 60, detached, cache = cache, skip(cache, source, _permit))]
async fn holding(
    cache: Cache,
    source: Arc<Source>,
    _permit: tokio::sync::OwnedSemaphorePermit,
) -> usize {
    source.ask().await
}

#[cached(ttl = "1ms", jitter = 0.0, stale_while_revalidate = "1h", cache = cache, skip(cache, source, _permit))]
async fn holding_refresh(
    cache: Cache,
    source: Arc<Source>,
    _permit: tokio::sync::OwnedSemaphorePermit,
) -> usize {
    source.ask().await
}

/// Cancels a call once `begun` computations have begun.
async fn cancel_computing<T>(source: &Source, begun: usize, call: impl Future<Output = T>) {
    let mut call = pin!(call);
    while source.begun() < begun {
        assert!(timeout(SOON, call.as_mut()).await.is_err());
    }
}

const SOON: Duration = Duration::from_millis(1);

async fn a_detached_computation_is_stored_though_its_caller_is_cancelled(fixture: Fixture) {
    let source = Source::new();
    let call = || report(fixture.one.clone(), Arc::clone(&source), 1);
    // All of these requests have timeouts shorter than the function's run time.
    cancel_computing(&source, 1, call()).await;
    for _ in 0..20 {
        assert!(timeout(SOON, call()).await.is_err());
    }
    assert_eq!(source.begun(), 1, "those who come later wait for the first");
    source.gate.add_permits(1);
    assert_eq!(call().await, Ok(1));
    assert_eq!((source.begun(), source.ended()), (1, 1));
    let entry = report_entry(fixture.one.clone(), Arc::clone(&source), 1);
    until("it is stored", || async {
        entry.peek().await.is_ok_and(|stored| stored == Some(1))
    })
    .await;
}

async fn one_that_is_not_detached_ends_with_its_caller(fixture: Fixture) {
    let source = Source::new();
    let call = || attached(fixture.one.clone(), Arc::clone(&source), 1);
    for begun in 1..=3 {
        cancel_computing(&source, begun, call()).await;
    }
    assert_eq!((source.begun(), source.ended()), (3, 0));
}

async fn a_detached_computation_that_is_awaited_is_as_any_other(fixture: Fixture) {
    let source = Source::new();
    source.gate.add_permits(10);
    for _ in 0..3 {
        assert_eq!(
            report(fixture.one.clone(), Arc::clone(&source), 1).await,
            Ok(1)
        );
    }
    let stats = fixture.one.stats().total;
    assert_eq!(
        (
            stats.computations,
            stats.misses,
            stats.near_hits + stats.redis_hits
        ),
        (1, 1, 2)
    );
    let mut entry = report_entry(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(entry.refresh().await, Ok(2));
    entry = report_entry(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(entry.peek().await.expect("it works"), Some(2));
}

async fn no_more_go_on_than_refreshes_may(fixture: Fixture) {
    let source = Source::new();
    for id in 0..80 {
        let call = report(fixture.one.clone(), Arc::clone(&source), id);
        cancel_computing(&source, id + 1, call).await;
    }
    source.gate.add_permits(100);
    until("those end that go on", || async { source.ended() == 64 }).await;
    // The other cancelled computations were dropped, which leaves room for the next call.
    let late = report(fixture.one.clone(), Arc::clone(&source), 79);
    assert_eq!(late.await, Ok(81));
    assert_eq!(source.ended(), 65);
}

async fn what_is_not_used_is_held_until_the_end(fixture: Fixture) {
    let source = Source::new();
    let permits = Arc::new(Semaphore::new(1));
    let permit = async || {
        Arc::clone(&permits)
            .acquire_owned()
            .await
            .expect("it is open")
    };
    let call = holding(fixture.one.clone(), Arc::clone(&source), permit().await);
    cancel_computing(&source, 1, call).await;
    assert_eq!(permits.available_permits(), 0, "the computation goes on");
    source.gate.add_permits(1);
    until("it is given back", || async {
        permits.available_permits() == 1
    })
    .await;
    assert_eq!(source.ended(), 1);

    // The same for a refresh whose caller received a stale value.
    source.gate.add_permits(1);
    let call = holding_refresh(fixture.one.clone(), Arc::clone(&source), permit().await);
    call.await;
    until("it is given back", || async {
        permits.available_permits() == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let before = source.begun();
    let call = holding_refresh(fixture.one.clone(), Arc::clone(&source), permit().await);
    assert_eq!(call.await, before);
    until("it is computed anew", || async {
        source.begun() == before + 1
    })
    .await;
    assert_eq!(permits.available_permits(), 0, "the refresh holds it");
    source.gate.add_permits(1);
    until("it is given back", || async {
        permits.available_permits() == 1
    })
    .await;
}

async fn an_invalidation_ends_a_detached_computation_as_any_other(fixture: Fixture) {
    let source = Source::new();
    let call = || report(fixture.one.clone(), Arc::clone(&source), 1);
    cancel_computing(&source, 1, call()).await;
    drop(fixture.one.invalidate("report").await);
    source.gate.add_permits(2);
    // The computation began before the invalidation, so later calls do not receive its value.
    assert_eq!(call().await, Ok(2));
    until("both have ended", || async { source.ended() == 2 }).await;
    assert_eq!(call().await, Ok(2));
}
