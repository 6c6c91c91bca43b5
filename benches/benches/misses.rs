//! Cost of a cold miss beyond its computation.

use std::fmt::Write;
use std::time::{Duration, Instant};

use recached::Policy;
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};

const ROUNDS: usize = 9;
const CALLS: u64 = 1_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "bench");
    let client = redis::Client::open(server.url()).expect("the url is good");
    let mut plain = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    let policy = Policy::new(Duration::from_secs(600));
    let value = || async { "x".repeat(100) };
    cache.get_or_compute("warm:1", policy, value).await;
    let (mut pings, mut misses, mut hand) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let begun = Instant::now();
        for _ in 0..CALLS {
            redis::cmd("PING")
                .query_async::<()>(&mut plain)
                .await
                .expect("it works");
        }
        pings.push(begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64);
        let begun = Instant::now();
        for id in 0..CALLS {
            let key = format!("plain:{round}:{id}");
            let found: Option<String> = redis::cmd("GET")
                .arg(&key)
                .query_async(&mut plain)
                .await
                .expect("it works");
            assert_eq!(found, None);
            let value = value().await;
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(value).arg("PX").arg(600_000);
            set.query_async::<()>(&mut plain).await.expect("it works");
        }
        hand.push(begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64);
        let begun = Instant::now();
        for id in 0..CALLS {
            cache
                .get_or_compute(&format!("cold:{round}:{id}"), policy, value)
                .await;
        }
        misses.push(begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64);
    }
    assert_eq!(cache.stats().total.computations, 1 + CALLS * ROUNDS as u64);
    let mut table = String::from("| | round trips | µs a miss | PINGs |\n|---|---|---|---|\n");
    for (name, trips, costs) in [
        ("GET, then SET, no protection", 2, &hand),
        ("recached: lease, fill", 2, &misses),
    ] {
        let ratios: Vec<f64> = costs
            .iter()
            .zip(&pings)
            .map(|(cost, ping)| cost / ping)
            .collect();
        let _ = writeln!(
            table,
            "| {name} | {trips} | {:.0} | {:.1} |",
            median(costs),
            median(&ratios)
        );
    }
    report("misses", &table);
}
