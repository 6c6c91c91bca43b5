//! Values whose `Drop` uses the cache: no value is dropped while a lock of the cache is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, Policy, cached};
use recached_tests::{Fixture, on_both_stores, until};
use serde::{Deserialize, Serialize};

on_both_stores! {
    a_value_whose_drop_calls_a_cached_function_may_be_evicted_replaced_and_invalidated
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Calls a cached function and invalidates another one when dropped.
#[derive(Clone, Serialize, Deserialize)]
struct Calling {
    id: u64,
    #[serde(skip)]
    cache: Option<Cache>,
}

impl Drop for Calling {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
        if let Some(cache) = self.cache.take() {
            let key = format!("inner:{}", self.id % 7);
            let minute = Policy::new(Duration::from_secs(60));
            // The value may be dropped on any thread, with or without a runtime.
            let work = move || {
                recached_tests::block_on(async {
                    cache.get_or_compute(&key, minute, || async { 1u32 }).await;
                    let _ = cache.remove("other:1").await;
                });
            };
            match tokio::runtime::Handle::try_current() {
                Ok(_) => tokio::task::block_in_place(work),
                Err(_) => work(),
            }
        }
    }
}

#[cached(ttl = "200ms", cache = cache, skip(cache))]
async fn calling(cache: &Cache, id: u64) -> Arc<Calling> {
    let cache = Some(cache.clone());
    Arc::new(Calling { id, cache })
}

fn small(fixture: &Fixture) -> Cache {
    let builder = Cache::builder().max_entries(8).namespace("dropping");
    let builder = match &fixture.server {
        Some(server) => builder.redis(server.url()),
        None => builder.in_process(),
    };
    builder.build().expect("it builds")
}

async fn a_value_whose_drop_calls_a_cached_function_may_be_evicted_replaced_and_invalidated(
    fixture: Fixture,
) {
    for cache in [fixture.one.clone(), small(&fixture)] {
        for round in 0..3u64 {
            let tasks: Vec<_> = (0..200u64)
                .map(|id| {
                    let cache = cache.clone();
                    tokio::spawn(async move {
                        drop(calling(&cache, id).await);
                        drop(calling(&cache, id).await);
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            let _ = match round {
                0 => cache.invalidate_keys("*calling:*").await,
                1 => cache.invalidate("calling").await,
                _ => cache.purge_all().await,
            };
            for id in 0..20 {
                let _ = calling_entry(&cache, id).invalidate().await;
            }
        }
    }
    until("some were dropped", || async {
        DROPPED.load(Ordering::SeqCst) > 100
    })
    .await;
}
