//! A burst of calls is no outage: the calls wait to be sent, and their values are stored.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recached::{Cache, Policy, cached};
use recached_tests::{Backend, in_time, reaches, until};

const CALLS: u64 = 10_000;

#[cached(ttl = 600, near = false, cache = cache, skip(cache))]
async fn page(cache: &Cache, id: u64) -> String {
    format!("{id:>100}")
}

/// Number of calls whose values are stored.
fn stored(backend: &Backend) -> usize {
    let keys = backend.tell::<Vec<String>>(&["KEYS", "*page*"]);
    // Replicas list the same keys again.
    let keys: HashSet<String> = keys.into_iter().flatten().collect();
    let is_entry = |key: &&String| !key.contains(":gen:") && !key.ends_with(":lease");
    keys.iter().filter(is_entry).count()
}

async fn all_are_stored(backend: Backend, spawned: bool) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let cache = Cache::builder()
        .redis(backend.url())
        .namespace("burst")
        .command_timeout(Duration::from_secs(1))
        .observer({
            let events = Arc::clone(&events);
            move |event| events.lock().expect("no panic").push(event.to_string())
        });
    let cache = cache.build().expect("the url is good");
    until("it is reached", || reaches(&cache)).await;
    let minute = Policy::new(Duration::from_secs(60));
    until("from here, too", || async {
        let put = cache.put("warm:1", minute, 1u8).await;
        put.is_ok() && cache.stats().total.errors == 0
    })
    .await;
    events.lock().expect("no panic").clear();
    let calls = (0..CALLS).map(|id| {
        let cache = cache.clone();
        async move { assert_eq!(page(&cache, id).await.trim(), id.to_string()) }
    });
    if spawned {
        let calls: Vec<_> = calls.map(tokio::spawn).collect();
        for call in calls {
            call.await.expect("no panic");
        }
    } else {
        futures_util::future::join_all(calls).await;
    }
    until("the last ones are stored", || async {
        stored(&backend) as u64 == CALLS
    })
    .await;
    assert!(events.lock().expect("no panic").is_empty(), "{events:?}");
    let total = cache.stats().total;
    assert_eq!((total.errors, total.computations), (0, CALLS), "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cold_calls_of_one_task_are_all_stored_and_no_event_is_sent() {
    in_time(all_are_stored(Backend::server(), false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cold_calls_of_as_many_tasks_are_all_stored_and_no_event_is_sent() {
    in_time(all_are_stored(Backend::server(), true)).await;
}

#[tokio::test]
async fn ten_thousand_cold_calls_of_a_current_thread_are_all_stored_and_no_event_is_sent() {
    in_time(all_are_stored(Backend::server(), true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cold_calls_on_a_cluster_are_all_stored_and_no_event_is_sent() {
    in_time(all_are_stored(Backend::own_cluster(), true)).await;
}
