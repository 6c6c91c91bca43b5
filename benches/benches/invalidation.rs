//! Invalidating a function with many entries: a new generation, compared with other methods.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_benches::{median, micros, report};
use recached_tests::{Server, cache_on};
use redis::Pipeline;

const TOTAL: u64 = 1_000_000;

/// Creates entries `from..to` of a function by copying one that the cache has stored.
async fn fill(cache: &Cache, server: &Server, name: &str, from: u64, to: u64) {
    let hour = Policy::new(Duration::from_secs(3_600));
    cache
        .put(&format!("{name}:0"), hour, "x".repeat(60))
        .await
        .expect("it works");
    let entry: Vec<u8> = server.ask(&["GET", &format!("bench:{name}:0")]);
    let mut client = server.client();
    for batch in (from..to).step_by(10_000) {
        let mut pipeline = Pipeline::new();
        for id in batch..(batch + 10_000).min(to) {
            let key = format!("bench:{name}:{id}");
            pipeline
                .cmd("SET")
                .arg(key)
                .arg(&entry)
                .arg("PX")
                .arg(3_600_000)
                .ignore();
        }
        pipeline.query::<()>(&mut client).expect("it works");
    }
}

/// Runs `work` while another client reads. Returns the duration of `work` and of the longest read.
async fn beside_a_reader<F: Future<Output = ()>>(server: &Server, work: F) -> (Duration, Duration) {
    let (stop, longest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let reader = {
        let (mut client, stop, longest) =
            (server.client(), Arc::clone(&stop), Arc::clone(&longest));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let _: Option<String> = redis::cmd("GET")
                    .arg("other")
                    .query(&mut client)
                    .expect("it works");
                longest.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    longest.store(0, Ordering::Relaxed);
    let begun = Instant::now();
    work.await;
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(2)).await;
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("no panic");
    (took, Duration::from_micros(longest.load(Ordering::Relaxed)))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "bench");
    let mut table = String::from(
        "| | entries of the function | keys in all | takes | another client waits at most |\n|---|---|---|---|---|\n",
    );
    let mut row = |how: &str, entries: u64, (took, waited): (Duration, Duration)| {
        let keys: u64 = server.ask(&["DBSIZE"]);
        let (took, waited) = (micros(took), micros(waited));
        let _ = writeln!(table, "| {how} | {entries} | {keys} | {took} | {waited} |");
    };

    let mut filled = 0;
    for entries in [10_000, 100_000, TOTAL] {
        fill(&cache, &server, "item", filled, entries).await;
        filled = entries;
        let mut rounds = Vec::new();
        for _ in 0..21 {
            let invalidate = async { drop(cache.invalidate("item").await.expect("it works")) };
            rounds.push(beside_a_reader(&server, invalidate).await);
        }
        assert!(
            !cache.exists("item:1").await.expect("it works"),
            "they are out of reach"
        );
        let took: Vec<_> = rounds.iter().map(|round| round.0).collect();
        let waited: Vec<_> = rounds.iter().map(|round| round.1).collect();
        row(
            "recached, `invalidate`",
            entries,
            (median(&took), median(&waited)),
        );
    }

    fill(&cache, &server, "some", 0, 100_000).await;
    let purge = async { drop(cache.purge("some").await.expect("it works")) };
    let outcome = beside_a_reader(&server, purge).await;
    row("recached, `purge`", 100_000, outcome);

    fill(&cache, &server, "some", 0, 100_000).await;
    let mut client = server.client();
    let scan = async {
        let mut cursor = 0_u64;
        loop {
            let mut step = redis::cmd("SCAN");
            step.arg(cursor)
                .arg("MATCH")
                .arg("bench:some:*")
                .arg("COUNT")
                .arg(1_000);
            let (next, keys): (u64, Vec<String>) = step.query(&mut client).expect("it works");
            if !keys.is_empty() {
                redis::cmd("UNLINK")
                    .arg(keys)
                    .query::<u64>(&mut client)
                    .expect("it works");
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
    };
    let outcome = beside_a_reader(&server, scan).await;
    row("SCAN COUNT 1000 and UNLINK", 100_000, outcome);

    fill(&cache, &server, "some", 0, 100_000).await;
    let mut client = server.client();
    let keys = async {
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("bench:some:*")
            .query(&mut client)
            .expect("it works");
        redis::cmd("DEL")
            .arg(keys)
            .query::<u64>(&mut client)
            .expect("it works");
    };
    let outcome = beside_a_reader(&server, keys).await;
    row("KEYS and DEL", 100_000, outcome);
    report("invalidation", &table);
}
