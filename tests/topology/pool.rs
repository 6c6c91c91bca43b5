//! Connections from an external pool.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_redis::{Manager, Pool, cluster, sentinel};
use recached::{Cache, Credentials, ErrorKind, ExternalPool, cached};
use recached_tests::{Cluster, Sentinels, Server, reaches, until};

static RUNS: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60, skip(cache, value), cache = cache, tags("lent:{id}"))]
async fn lent(cache: &Cache, value: &AtomicU64, id: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::SeqCst);
    value.load(Ordering::SeqCst)
}

async fn serves(pool: impl Into<ExternalPool> + Clone) {
    let build = || {
        let builder = Cache::builder().pool(pool.clone()).namespace("lent");
        let builder = builder.command_timeout(Duration::from_secs(5));
        builder.build().expect("it builds")
    };
    let (one, two) = (build(), build());
    for cache in [&one, &two] {
        until("it is reached", || async { reaches(cache).await }).await;
        assert!(
            cache.stats().near.disabled_reason.is_some(),
            "nobody would tell of changes"
        );
    }
    let check = one.check().await.expect("it is reached").to_string();
    assert!(check.contains("TCP_NODELAY"), "{check}");
    let value = AtomicU64::new(0);
    for round in 0..3 {
        let runs = RUNS.load(Ordering::SeqCst);
        value.store(round, Ordering::SeqCst);
        let _ = one.invalidate_tag("lent:1").await.expect("it works");
        for cache in [&one, &two, &one, &two] {
            assert_eq!(lent(cache, &value, 1).await, round);
        }
        assert_eq!(RUNS.load(Ordering::SeqCst), runs + 1, "once in the fleet");
    }
    assert_eq!(
        one.invalidate_keys("lent:*")
            .await
            .expect("it works")
            .entries,
        1
    );
}

/// One test for all kinds, because they count the same computations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_any_kind_serves_a_cache() {
    let server = Server::start();
    let manager = Manager::new(server.url()).expect("the url is good");
    let pool = Pool::builder(manager)
        .max_size(4)
        .build()
        .expect("it is a pool");
    serves(pool.clone()).await;
    assert!(pool.get().await.is_ok(), "it has others for its owner");

    let sentinels = Sentinels::start();
    let kind = sentinel::SentinelServerType::Master;
    let manager = sentinel::Manager::new(sentinels.urls(), "main".to_owned(), None, kind);
    let manager = manager.expect("the urls are good");
    serves(
        sentinel::Pool::builder(manager)
            .build()
            .expect("it is a pool"),
    )
    .await;

    let nodes = Cluster::start();
    let manager = cluster::Manager::new(nodes.urls(), false).expect("the urls are good");
    serves(
        cluster::Pool::builder(manager)
            .build()
            .expect("it is a pool"),
    )
    .await;
}

#[test]
fn a_pool_and_a_login_beside_it_are_an_error_when_it_is_built() {
    let manager = Manager::new("redis://127.0.0.1:1").expect("the url is good");
    let pool = Pool::builder(manager).build().expect("it is a pool");
    let builder = Cache::builder().pool(pool);
    let builder = builder.credentials(|| Credentials::password("sesame"));
    let error = builder.build().expect_err("the pool has its own");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("pool"), "{error}");
}
