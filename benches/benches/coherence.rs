//! Coherence lag: time from the return of `invalidate` in one process to the last stale near hit in
//! another.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use recached::Policy;
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};

const SAMPLES: u64 = 400;
const POLICY: Policy = Policy::new(Duration::from_secs(600));

/// Nanoseconds on a clock that all processes of this machine share.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_nanos() as u64
}

/// Calls without a pause, and prints for each new value when the previous value was last seen.
async fn reader(url: &str) {
    let cache = cache_on(url, "bench");
    let client = redis::Client::open(url).expect("the url is good");
    let source = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    let (mut value, mut last_seen) = (0, 0);
    while value < SAMPLES {
        let compute = || async {
            let mut get = redis::cmd("GET");
            get.arg("source")
                .query_async::<u64>(&mut source.clone())
                .await
                .expect("it works")
        };
        let new = cache.get_or_compute("lag:1", POLICY, compute).await;
        if new != value {
            println!("{new} {last_seen}");
            value = new;
        }
        last_seen = now();
        if last_seen % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    println!("near hits {}", cache.stats().total.near_hits);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "--reader") {
        return reader(&words[place + 1]).await;
    }
    let server = Server::start();
    let set = |value: u64| server.ask::<()>(&["SET", "source", &value.to_string()]);
    set(0);
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--reader", &server.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let cache = cache_on(&server.url(), "bench");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut returned = Vec::new();
    for value in 1..=SAMPLES {
        set(value);
        let _ = cache.invalidate("lag").await.expect("it works");
        returned.push(now());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lags = Vec::new();
    for line in output.lines().map_while(Result::ok) {
        let Some((value, seen)) = line.split_once(' ') else {
            continue;
        };
        if let (Ok(value), Ok(seen)) = (value.parse::<usize>(), seen.parse::<u64>()) {
            // The push may arrive before the invalidation returns.
            lags.push(seen.saturating_sub(returned[value - 1]) as f64 / 1e3);
        } else {
            println!("{line}");
        }
    }
    child.wait().expect("it ends");
    assert!(
        lags.len() as u64 > SAMPLES * 9 / 10,
        "only {} changes were seen",
        lags.len()
    );
    lags.sort_by(f64::total_cmp);
    let p99 = lags[lags.len() * 99 / 100];
    let mut table = String::from("| invalidations | median | p99 | longest |\n|---|---|---|---|\n");
    let _ = writeln!(
        table,
        "| {} | {:.0} µs | {p99:.0} µs | {:.0} µs |",
        lags.len(),
        median(&lags),
        lags[lags.len() - 1]
    );
    report("coherence", &table);
}
