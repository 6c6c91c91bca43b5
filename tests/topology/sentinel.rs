//! A server whose address the sentinels know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_redis::RedisConnectionInfo;
use deadpool_redis::sentinel::{Manager, Pool, SentinelNodeConnectionInfo, SentinelServerType};
use recached::{Cache, Policy};
use recached_tests::{Sentinels, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// Reads until calls are hits, and returns the elapsed time.
async fn hits(cache: &Cache, key: &str, source: &AtomicU64) -> Duration {
    let begun = Instant::now();
    until("there are hits", || async {
        let runs = cache.stats().total.computations;
        for _ in 0..3 {
            let value = || async { source.load(Ordering::SeqCst) };
            cache.get_or_compute(key, MINUTE, value).await;
        }
        let stats = cache.stats().total;
        stats.computations <= runs + 1 && cache.exists(key).await.unwrap_or(false)
    })
    .await;
    begun.elapsed()
}

/// An external pool.
fn pool(sentinels: &Sentinels, login: Option<RedisConnectionInfo>) -> Pool {
    let node = login.map(|login| SentinelNodeConnectionInfo {
        tls_mode: None,
        redis_connection_info: Some(login),
    });
    let kind = SentinelServerType::Master;
    let manager = Manager::new(sentinels.urls(), "main".to_owned(), node, kind);
    let pool = Pool::builder(manager.expect("the urls are good")).max_size(10);
    pool.build().expect("it is a pool")
}

fn app() -> RedisConnectionInfo {
    RedisConnectionInfo {
        username: Some("app".to_owned()),
        password: Some("hunter2".to_owned()),
        ..RedisConnectionInfo::default()
    }
}

fn cache_by(pool: &Pool) -> Cache {
    let builder = Cache::builder().pool(pool.clone()).namespace("watched");
    let builder = builder
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5));
    builder.build().expect("it builds")
}

/// Leaves some connections to the current server in the pool.
async fn used(pool: &Pool) {
    let some = [pool.get().await, pool.get().await, pool.get().await];
    assert!(some.iter().all(Result::is_ok), "it has room for them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_whether_the_old_server_dies_or_lives_on() {
    let mut sentinels = Sentinels::start();
    let caches = [(); 2].map(|()| cache_on(&sentinels.url(), "watched"));
    follow(&mut sentinels, caches.each_ref(), async || {
        assert!(
            caches[1].stats().near.disabled_reason.is_none(),
            "copies are kept"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_by_a_pool_of_the_programs_own() {
    let mut sentinels = Sentinels::start();
    let pool = pool(&sentinels, None);
    let caches = [(); 2].map(|()| cache_by(&pool));
    follow(&mut sentinels, caches.each_ref(), || used(&pool)).await;
}

async fn follow(sentinels: &mut Sentinels, [one, two]: [&Cache; 2], connected: impl AsyncFnOnce()) {
    let source = AtomicU64::new(0);
    for cache in [one, two] {
        hits(cache, "value:1", &source).await;
    }
    connected().await;
    // The old primary lives on as a replica and would serve outdated entries for ever.
    let before = sentinels.primary();
    sentinels.fail_over();
    until("the old one is a replica", || async {
        let role: Vec<redis::Value> = sentinels.ask(before, &["ROLE"]);
        role[0] == redis::Value::BulkString(b"slave".to_vec())
    })
    .await;
    for cache in [one, two] {
        let again = hits(cache, "value:1", &source).await;
        assert!(again < Duration::from_secs(5), "{again:?}");
    }
    source.store(1, Ordering::SeqCst);
    until("the new one takes invalidations", || async {
        one.invalidate("value")
            .await
            .is_ok_and(|report| !report.queued)
    })
    .await;
    until("the other has heard of it", || async {
        let value = || async { source.load(Ordering::SeqCst) };
        two.get_or_compute("value:1", MINUTE, value).await == 1
    })
    .await;
    assert_ne!(sentinels.primary(), before);
    // The primary dies.
    until("the replica is in step", || async {
        let info: String = sentinels.ask(before, &["INFO", "replication"]);
        info.contains("master_link_status:up")
    })
    .await;
    let killed = Instant::now();
    sentinels.kill_primary();
    for cache in [one, two] {
        hits(cache, "value:2", &source).await;
    }
    assert!(
        killed.elapsed() < Duration::from_secs(10),
        "{:?}",
        killed.elapsed()
    );
    // The sentinels exchange the new address, and not all of them at once.
    until("the sentinels agree", || async {
        sentinels.primary() == before
    })
    .await;
}

/// A server that is cut off from its sentinels but not from the cache would serve its clients for
/// ever, without the invalidations of other processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_the_sentinels_have_replaced_is_left_though_it_knows_nothing_of_it() {
    let sentinels = Sentinels::start();
    let url = sentinels.url().replace("://", "://app:hunter2@");
    leave(&sentinels, || cache_on(&url, "watched"), async || {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_the_sentinels_have_replaced_is_left_by_a_pool_of_the_programs_own() {
    let sentinels = Sentinels::start();
    let pool = pool(&sentinels, Some(app()));
    leave(&sentinels, || cache_by(&pool), || used(&pool)).await;
}

/// The pool's user may not run `INFO`, so only the role shows that the server has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_a_replica_now_is_left_by_a_pool_of_the_programs_own() {
    let sentinels = Sentinels::start();
    for server in 0..2 {
        let app = [
            "ACL", "SETUSER", "app", "on", ">hunter2", "~*", "+@all", "-info",
        ];
        sentinels.ask::<()>(server, &app);
    }
    let pool = pool(&sentinels, Some(app()));
    let cache = cache_by(&pool);
    hits(&cache, "value:1", &AtomicU64::new(0)).await;
    used(&pool).await;
    let before = sentinels.primary();
    let after = sentinels.name_another();
    // Sentinels would also close the connections of the server.
    let port = sentinels.port(after).to_string();
    sentinels.ask::<()>(before, &["REPLICAOF", "127.0.0.1", &port]);
    written_at(&sentinels, after, &cache).await;
}

async fn written_at(sentinels: &Sentinels, server: usize, cache: &Cache) {
    until("it is written there", || async {
        let _ = cache.put("value:2", MINUTE, 2_u64).await;
        sentinels.ask::<u64>(server, &["EXISTS", "watched:value:2"]) == 1
    })
    .await;
}

async fn leave(
    sentinels: &Sentinels,
    cache: impl FnOnce() -> Cache,
    connected: impl AsyncFnOnce(),
) {
    for server in 0..2 {
        let app = ["ACL", "SETUSER", "app", "on", ">hunter2", "~*", "+@all"];
        sentinels.ask::<()>(server, &app);
    }
    let cache = cache();
    hits(&cache, "value:1", &AtomicU64::new(0)).await;
    connected().await;
    let before = sentinels.primary();
    // The sentinels log in as the default user.
    let deaf = ["ACL", "SETUSER", "default", "-ping", "-info", "-publish"];
    sentinels.ask::<()>(before, &deaf);
    until("another is the primary", || async {
        sentinels.primary() != before
    })
    .await;
    written_at(sentinels, 1 - before, &cache).await;
}
