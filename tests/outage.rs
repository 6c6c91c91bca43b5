//! Invalidations that are made while the server is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, Error, ErrorKind, Policy};
use recached_tests::{PATIENCE, Server, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// The number a source holds, through the cache.
async fn read(cache: &Cache, source: &AtomicU64) -> u64 {
    let compute = || async { source.load(Ordering::SeqCst) };
    cache.get_or_compute("outage.item:1", MINUTE, compute).await
}

fn cache_by_default(server: &Server) -> Cache {
    let builder = Cache::builder().redis(server.url()).namespace("outage");
    builder.build().expect("the url is good")
}

/// Lets the cache find that the server hangs: what follows is not even sent.
async fn away(cache: &Cache) {
    until("the server is known to be away", || async {
        let read = cache.get::<u64>("outage.probe:1").await;
        read.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    })
    .await;
}

/// Invalidates by `how` while the server hangs: from then on nobody here, and once it is back
/// nobody anywhere, is given what was before.
async fn never_undone<F>(how: impl Fn(Cache) -> F)
where
    F: Future<Output = Result<(), Error>>,
{
    let server = Server::start();
    let here = cache_by_default(&server);
    // Patient enough to wait for the server.
    let there = cache_on(&server.url(), "outage");
    let source = AtomicU64::new(1);
    until("both have it from the server", || async {
        read(&here, &source).await;
        read(&there, &source).await;
        let hits = |cache: &Cache| cache.stats().total.redis_hits > 0;
        hits(&here) && hits(&there)
    })
    .await;
    server.freeze();
    away(&here).await;
    source.store(2, Ordering::SeqCst);
    let error = how(here.clone()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("redis will be told when it is back"),
        "{text}"
    );
    assert_eq!(read(&here, &source).await, 2);
    server.thaw();
    let begun = std::time::Instant::now();
    let hits = || here.stats().total.redis_hits + here.stats().total.near_hits;
    let before = hits();
    while hits() == before {
        assert_eq!(read(&here, &source).await, 2);
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < PATIENCE, "the server is not used again");
    }
    // It was told before it was believed, and so the push is on its way.
    until("the others have heard of it", || async {
        read(&there, &source).await == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_invalidated_in_an_outage_is_never_undone() {
    never_undone(|cache| async move { cache.remove("outage.item:1").await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_invalidated_in_an_outage_is_never_undone() {
    never_undone(|cache| async move { cache.invalidate("it*").await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_invalidated_in_an_outage_are_never_undone() {
    never_undone(|cache| async move { cache.invalidate_keys("item:*").await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_invalidated_in_an_outage_is_never_undone() {
    never_undone(|cache| async move { cache.invalidate_all().await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_only_others_know_is_invalidated_once_the_server_is_back() {
    let server = Server::start();
    let (here, there) = (cache_by_default(&server), cache_on(&server.url(), "outage"));
    let source = AtomicU64::new(1);
    until("one has it from the server", || async {
        read(&there, &source).await;
        there.stats().total.redis_hits > 0 && here.exists("probe:1").await.is_ok()
    })
    .await;
    server.freeze();
    away(&here).await;
    source.store(2, Ordering::SeqCst);
    here.invalidate("item").await.expect_err("nobody answers");
    server.thaw();
    until("it has been told", || async {
        read(&there, &source).await == 2
    })
    .await;
}

#[tokio::test]
async fn a_full_server_can_still_be_told() {
    let server = Server::start();
    let (here, there) = (
        cache_on(&server.url(), "outage"),
        cache_on(&server.url(), "outage"),
    );
    let source = AtomicU64::new(1);
    assert_eq!(read(&here, &source).await, 1);
    assert_eq!(read(&there, &source).await, 1);
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    source.store(2, Ordering::SeqCst);
    here.invalidate("item").await.expect("it needs no room");
    assert_eq!(read(&here, &source).await, 2);
    until("the other has heard of it", || async {
        read(&there, &source).await == 2
    })
    .await;
    // There is room again: a generation, and entries, too.
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    until("it is stored again", || async {
        read(&there, &source).await == 2 && there.stats().total.redis_hits > 1
    })
    .await;
}
