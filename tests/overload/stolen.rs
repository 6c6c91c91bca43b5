//! Keys that are evicted or deleted while they are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, Policy};
use recached_tests::{Server, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

async fn ask(cache: &Cache, id: u64, source: &AtomicU64) -> u64 {
    let compute = || async {
        let value = source.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        value
    };
    let key = format!("stolen:{id}");
    cache.get_or_compute(&key, MINUTE, compute).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_is_gone_is_a_miss_and_brings_nothing_back() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "stolen");
    let source = AtomicU64::new(1);
    for id in 0..20 {
        ask(&cache, id, &source).await;
    }
    source.store(2, Ordering::SeqCst);
    let _ = cache.invalidate("stolen").await.expect("it works");
    let group = "stolen:gen:fn:stolen";
    let there: u64 = server.ask(&["EXISTS", group]);
    assert_eq!(
        there,
        1,
        "{:?}",
        server.ask::<Vec<String>>(&["KEYS", "*gen*"])
    );
    server.ask::<()>(&["DEL", group]);
    // Neither in a process that knows another generation nor in one that knows none.
    for cache in [cache, cache_on(&server.url(), "stolen")] {
        for id in 0..20 {
            assert_eq!(ask(&cache, id, &source).await, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_taken_away_an_invalidation_holds() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "stolen");
    let source = Arc::new(AtomicU64::new(1));
    // Version of the source at the last invalidation that has returned.
    let floor = Arc::new(AtomicU64::new(1));
    let done = Arc::new(AtomicBool::new(false));
    let thief = std::thread::spawn({
        let (done, mut client) = (Arc::clone(&done), server.client());
        move || {
            let mut taken = 0;
            while !done.load(Ordering::SeqCst) {
                let keys: Vec<String> = redis::cmd("KEYS")
                    .arg("*")
                    .query(&mut client)
                    .expect("it works");
                for key in keys {
                    if fastrand::u8(..4) == 0 {
                        let gone: u64 = redis::cmd("DEL")
                            .arg(key)
                            .query(&mut client)
                            .expect("it works");
                        taken += gone;
                    }
                }
            }
            taken
        }
    });
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (cache, source) = (cache.clone(), Arc::clone(&source));
            let (floor, done) = (Arc::clone(&floor), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    let least = floor.load(Ordering::SeqCst);
                    let value = ask(&cache, fastrand::u64(..10), &source).await;
                    assert!(value >= least, "{value} came back after {least}");
                }
            })
        })
        .collect();
    for round in 0..200 {
        let version = source.fetch_add(1, Ordering::SeqCst) + 1;
        match round % 3 {
            0 => drop(cache.invalidate("stolen").await.expect("it works")),
            1 => drop(cache.invalidate_all().await.expect("it works")),
            _ => drop(cache.invalidate_keys("stolen:*").await.expect("it works")),
        }
        floor.store(version, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    done.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("nothing came back");
    }
    let taken = thief.join().expect("it has its way");
    assert!(taken > 200, "{taken} keys were taken");
    // No entry is stored that a pattern cannot reach.
    until("the name is there again", || async {
        server.ask::<u64>(&["HEXISTS", "stolen:functions", "stolen"]) == 1
    })
    .await;
    let last = source.fetch_add(1, Ordering::SeqCst) + 1;
    let reached = cache_on(&server.url(), "stolen").invalidate("stol*").await;
    assert_eq!(reached.expect("it works").functions, ["stolen"]);
    until("the push has travelled", || async {
        ask(&cache, 1, &source).await == last
    })
    .await;
}
