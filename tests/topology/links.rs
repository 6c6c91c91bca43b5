//! The connections of one process when the server may change at any moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{PATIENCE, Sentinels, block_on, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

async fn read(cache: &Cache, source: &AtomicU64) -> u64 {
    let value = || async { source.load(Ordering::SeqCst) };
    cache.get_or_compute("value:1", MINUTE, value).await
}

/// Connections to a server that use tracking, the oldest first.
fn links(sentinels: &Sentinels, server: usize) -> Vec<String> {
    let clients: String = sentinels.ask(server, &["CLIENT", "LIST"]);
    let hears = |client: &&str| {
        let mut fields = client.split(' ');
        fields.any(|field| {
            field
                .strip_prefix("flags=")
                .is_some_and(|it| it.contains('t'))
        })
    };
    let id = |client: &str| Some(client.strip_prefix("id=")?.split(' ').next()?.to_owned());
    clients.lines().filter(hears).filter_map(id).collect()
}

/// The replaced server keeps running. A connection that stayed there would read entries that were
/// invalidated on the new server over the other connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_link_of_a_process_has_gone_none_reads_elsewhere() {
    let sentinels = Sentinels::start();
    let cache = cache_on(&sentinels.url(), "watched");
    let source = AtomicU64::new(0);
    // Each connection detects the change within a heartbeat by itself, so in some rounds both may
    // do so at once.
    for round in 0..10 {
        let before = sentinels.primary();
        until("both links are there, and have it from there", || async {
            let hits = || cache.stats().total.near_hits;
            let kept = hits();
            let value = read(&cache, &source).await;
            let links = links(&sentinels, before);
            links.len() == 2 && value == round && hits() > kept
        })
        .await;
        source.store(round + 1, Ordering::SeqCst);
        let after = sentinels.name_another();
        // The background connection, which serves threads without a runtime, is the first to
        // connect.
        if let Some(steady) = links(&sentinels, before).first() {
            sentinels.ask::<u64>(before, &["CLIENT", "KILL", "ID", steady]);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| invalidate_at(&sentinels, after, &cache, round));
        });
        assert_eq!(read(&cache, &source).await, round + 1, "in round {round}");
    }
}

/// Invalidates from a thread without a runtime, once its connection uses this server.
fn invalidate_at(sentinels: &Sentinels, server: usize, cache: &Cache, round: u64) {
    let key = format!("arrived:{round}");
    let begun = Instant::now();
    let is_there = || {
        let _ = block_on(cache.put(&key, MINUTE, 1));
        sentinels.ask::<u64>(server, &["EXISTS", &format!("watched:{key}")]) == 1
    };
    while !is_there() || !block_on(cache.invalidate("value")).is_ok_and(|report| !report.queued) {
        assert!(begun.elapsed() < PATIENCE, "it does not arrive");
    }
}
