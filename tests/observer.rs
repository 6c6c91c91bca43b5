//! The observer receives events that no caller can see, once per change of state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, mpsc};
use std::time::{Duration, Instant};

use recached::{Builder, Cache, Event, Policy, cached};
use recached_tests::{
    Backend, PATIENCE, ReceivedEvents, Server, block_on, on_server_and_cluster, until,
};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

mod multi_thread {
    use super::*;

    on_server_and_cluster! {
        "multi_thread"
        shared []
        own [
            an_outage_is_reported_once_and_so_are_its_end_and_what_waited_for_it
        ]
    }
}

on_server_and_cluster! {
    "current_thread"
    shared [
        a_server_without_pushes_is_reported_once
        a_function_whose_values_cannot_be_stored_is_reported_once
    ]
    own [
        a_server_that_was_never_there_is_reported_once
        a_full_server_is_reported_once_for_each_function_and_so_is_its_recovery
    ]
}

fn on(url: &str, namespace: &str) -> Builder {
    let builder = Cache::builder().redis(url).namespace(namespace);
    builder
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
}

async fn call(cache: &Cache) -> u32 {
    cache
        .get_or_compute("told:1", MINUTE, || async { 1u32 })
        .await
}

async fn an_outage_is_reported_once_and_so_are_its_end_and_what_waited_for_it(
    mut backend: Backend,
) {
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend.url(), &backend.namespace));
    until("the server is there", || async {
        told.count("Reconnected") == 1
    })
    .await;
    for _ in 0..20 {
        call(&cache).await;
    }
    backend.kill();
    until("it is away", || async { told.count("Disconnected") == 1 }).await;
    for _ in 0..50 {
        call(&cache).await;
        let report = cache.invalidate("told").await;
        assert!(report.expect("it is queued").queued);
    }
    assert_eq!(told.count("InvalidationsQueued"), 1);
    assert_eq!(
        (
            told.count("Reconnected"),
            told.count("InvalidationsDelivered")
        ),
        (1, 0)
    );
    backend.restart();
    until("it is back", || async {
        told.count("Reconnected") == 2 && told.count("InvalidationsDelivered") == 1
    })
    .await;
    assert_eq!(told.count("Disconnected"), 1, "{:?}", told.all());
    assert_eq!(told.count("FunctionDegraded"), 0, "{:?}", told.all());
}

async fn a_server_that_was_never_there_is_reported_once(mut backend: Backend) {
    backend.kill();
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend.url(), &backend.namespace));
    until("it is told", || async { told.count("Disconnected") > 0 }).await;
    for _ in 0..50 {
        call(&cache).await;
    }
    assert_eq!(told.count("Disconnected"), 1, "{:?}", told.all());
    let away = told.all()[0].clone();
    assert!(away.contains("not reachable"), "{away}");
}

async fn a_server_without_pushes_is_reported_once(backend: Backend) {
    let url = backend.without_pushes();
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend.url(), &backend.namespace).redis(url));
    for _ in 0..20 {
        call(&cache).await;
    }
    assert_eq!(told.count("NearCacheDisabled"), 1, "{:?}", told.all());
}

#[derive(Clone, serde::Deserialize)]
struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it has no form"))
    }
}

async fn a_function_whose_values_cannot_be_stored_is_reported_once(backend: Backend) {
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend.url(), &backend.namespace));
    for _ in 0..20 {
        cache
            .get_or_compute("odd:1", MINUTE, || async { Unwritable })
            .await;
        call(&cache).await;
    }
    let degraded = told.named("FunctionDegraded");
    assert_eq!(degraded.len(), 1, "{degraded:?}");
    assert!(degraded[0].contains("`odd`"), "{degraded:?}");
}

async fn a_full_server_is_reported_once_for_each_function_and_so_is_its_recovery(backend: Backend) {
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend.url(), &backend.namespace));
    until("the server is there", || async {
        told.count("Reconnected") == 1
    })
    .await;
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let begun = Instant::now();
    for _ in 0..20 {
        call(&cache).await;
    }
    assert_eq!(told.count("FunctionDegraded"), 1, "{:?}", told.all());
    backend.tell::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until("it has been well for a while", || async {
        call(&cache).await;
        cache.remove("told:1").await.ok();
        told.count("FunctionRecovered") == 1
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_secs(10), "no flapping");
}

mod twice {
    #[recached::cached(ttl = 60, name = "twice", cache = cache, skip(cache))]
    pub(crate) async fn one(cache: &recached::Cache) -> u32 {
        1
    }
    #[recached::cached(ttl = 60, name = "twice", cache = cache, skip(cache))]
    pub(crate) async fn two(cache: &recached::Cache) -> u32 {
        2
    }
}

#[cached(ttl = 60, cache = cache, skip(cache))]
async fn counts(cache: &Cache) -> usize {
    // An observer may use the cache, and so may a cached function.
    cache.stats().functions.len()
}

#[tokio::test]
async fn a_name_that_is_taken_is_reported_once() {
    let told = ReceivedEvents::default();
    let cache = told.by(Cache::builder().in_process().namespace("observer"));
    for _ in 0..3 {
        assert_eq!((twice::one(&cache).await, twice::two(&cache).await), (1, 2));
    }
    assert_eq!(told.count("FunctionDegraded"), 1, "{:?}", told.all());
    assert!(counts(&cache).await > 0);
}

static ASKED: LazyLock<Server> = LazyLock::new(Server::start);
static ASKED_CACHE: LazyLock<Cache> = LazyLock::new(|| {
    let builder = on(&ASKED.url(), "observer").observer(|_| {
        // Only on the cache's own thread, not on the thread that builds the cache.
        if std::thread::current().name() == Some("recached") {
            ANSWERS.fetch_add(asked(7), Ordering::SeqCst);
            let refused = asked_entry(7).invalidate();
            let refused = refused.expect_err("it would wait for itself");
            assert!(refused.to_string().contains("observer"), "{refused}");
            ANSWERS.fetch_add(1, Ordering::SeqCst);
        }
    });
    builder.build().expect("it builds")
});
static ANSWERS: AtomicU64 = AtomicU64::new(0);

#[cached(ttl = 60, near = false, cache = ASKED_CACHE)]
fn asked(id: u64) -> u64 {
    id
}

/// The thread of the callback is the one that would have to read the reply.
#[test]
fn an_observer_that_calls_a_plain_function_holds_up_nobody() {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        while ANSWERS.load(Ordering::SeqCst) == 0 {
            assert_eq!(asked(1), 1);
        }
        assert_eq!(asked(1), 1);
        tell.send(())
    });
    let ended = told.recv_timeout(PATIENCE);
    ended.expect("somebody waits in vain");
    assert!(ANSWERS.load(Ordering::SeqCst) >= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_may_use_the_cache_from_another_runtime() {
    let server = Server::start();
    let other = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let other = other.expect("a runtime");
    let handle = other.handle().clone();
    let (send, called) = std::sync::mpsc::channel();
    let this = Arc::<OnceLock<Cache>>::default();
    let builder = on(&server.url(), "observer").command_timeout(Duration::from_millis(300));
    let cache = builder.observer({
        let this = Arc::clone(&this);
        move |event| {
            if let (Event::Disconnected(_), Some(cache)) = (event, this.get()) {
                // The call opens a new connection.
                let _other = handle.enter();
                let call = cache.get_or_compute("told:3", MINUTE, || async { 1u32 });
                send.send(block_on(call)).expect("the test waits");
            }
        }
    });
    let cache = cache.build().expect("it builds");
    this.set(cache.clone()).expect("it is set once");
    until("there is a connection at home, and ours", || async {
        let stored = cache.put("told:2", MINUTE, 1u32).await;
        let there: u64 = server.info("clients", "connected_clients");
        stored.is_ok() && there > 2
    })
    .await;
    server.freeze();
    let late = tokio::spawn(async move { call(&cache).await });
    let called = tokio::task::spawn_blocking(move || called.recv_timeout(PATIENCE));
    assert_eq!(called.await.expect("no panic"), Ok(1));
    assert_eq!(late.await.expect("no panic"), 1);
    other.shutdown_background();
}
