//! A cluster whose primaries change or are unreachable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};
use recached_tests::{Cluster, cache_on, reaches, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

#[cached(ttl = 60, skip(cache, source), cache = cache, name = "item")]
async fn item(cache: &Cache, source: &AtomicU64, id: u64) -> u64 {
    source.load(Ordering::SeqCst)
}

async fn ready(cache: &Cache) {
    until("the cluster is reached", || async { reaches(cache).await }).await;
}

/// The old primary stays as a replica that receives no updates. A process with near hits only would
/// never contact it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_from_a_primary_that_is_one_no_more_are_not_served() {
    let cluster = Cluster::start();
    let [one, two] = [(); 2].map(|()| cache_on(&cluster.url(), "demoted"));
    let source = AtomicU64::new(0);
    for cache in [&one, &two] {
        ready(cache).await;
        until("it is near", || async {
            item(cache, &source, 1).await;
            cache.stats().total.near_hits > 3
        })
        .await;
    }
    let before = cluster.primary_of(cluster.slot_of("demoted:gen:fn:item"));
    for place in (0..6).filter(|place| *place != before) {
        // No node can replicate from the new primary any more.
        cluster.ask::<()>(place, &["ACL", "SETUSER", "default", "-psync", "-sync"]);
    }
    cluster.hand_over(before);
    source.store(1, Ordering::SeqCst);
    until("the new one is told", || async {
        two.invalidate("item")
            .await
            .is_ok_and(|report| !report.queued)
    })
    .await;
    until("the old copy is gone", || async {
        item(&one, &source, 1).await == 1
    })
    .await;
}

/// If a primary does not reply, each call for its keys would wait for the timeout, unless all calls
/// bypass the cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_nobody_replaces_costs_no_call_its_patience() {
    // The other primaries keep serving their slots.
    let mut cluster = Cluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let cache = Cache::builder()
        .redis(cluster.url())
        .namespace("part")
        .build()
        .expect("it builds");
    ready(&cache).await;
    let lost = cluster.primary_of(cluster.slot_of("part:item:1"));
    let replica = cluster.replica_of(lost);
    cluster.kill(replica);
    let away = async || {
        let unreachable = async |key: &str| {
            let errors = || cache.stats().total.error_kinds.unavailable;
            let before = errors();
            assert!(!cache.exists(key).await.expect("an outage is no error"));
            errors() > before
        };
        until("it is away", || unreachable("item:1")).await;
        // All calls bypass the cluster for that time.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            for id in 0..8 {
                let key = format!("item:{id}");
                assert!(unreachable(&key).await, "{key} is asked for");
                assert_eq!(cache.get_or_compute(&key, MINUTE, async || id).await, id);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    cluster.freeze(lost);
    away().await;
    cluster.thaw(lost);
    until("it is back", || async { reaches(&cache).await }).await;
    cluster.kill(lost);
    away().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_do_not_tell_their_hosts_are_swept_too() {
    let cluster = Cluster::start();
    let unknown = [
        "CONFIG",
        "SET",
        "cluster-preferred-endpoint-type",
        "unknown-endpoint",
    ];
    for place in 0..6 {
        if cluster.try_ask::<()>(place, &unknown).is_err() {
            eprintln!("not tested: this server always tells");
            return;
        }
    }
    let cache = cache_on(&cluster.url(), "unknown");
    ready(&cache).await;
    for id in 0..20 {
        let key = format!("item:{id}");
        assert_eq!(cache.get_or_compute(&key, MINUTE, async || id).await, id);
    }
    let swept = cache.invalidate_keys("item:*").await.expect("it works");
    assert_eq!(swept.entries, 20);
}
