//! A process of the fleet for the tests. The process reads one order per line and answers each
//! order on one line:
//!
//! - `call ID MS`: calls the function, whose computation takes `MS` milliseconds
//! - `burst N ID MS`: calls the function from `N` tasks at once; answers with the microseconds that
//!   all calls took together
//! - `try ID MS WITHIN`: calls the function with a timeout of `WITHIN` milliseconds
//! - `begin ID MS`: calls the function in the background; `join` answers with its value, `abort`
//!   aborts the call
//! - `invalidate PATTERN`, `keys PATTERN`, `all`, `entry ID`: invalidates
//! - `off ID`: calls the function until the call is a bypass; answers with that time in nanoseconds
//! - `near ID`: calls the function; answers with its value, prefixed by `near ` for a near hit
//! - `waits`: answers with the number of waits for a lease of another process

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use recached::{Cache, cached};
use recached_tests::{Source, now, reaches, until};
use tokio::io::{AsyncBufReadExt, BufReader};

static SOURCE: OnceLock<Source> = OnceLock::new();

#[cached(
    ttl = 60,
    name = "fleet.report",
    lease = "1s",
    lease_wait = "30s",
    skip(ms)
)]
async fn report(id: u64, ms: u64) -> String {
    let source = SOURCE.get().expect("it is set in main");
    let value = source.begin();
    tokio::time::sleep(Duration::from_millis(ms)).await;
    source.end();
    format!("{id}:{value}")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut words = std::env::args().skip(1);
    let (url, folder) = (
        words.next().expect("a url"),
        words.next().expect("a folder"),
    );
    SOURCE.set(Source::new(folder.as_ref())).expect("only here");
    Cache::builder()
        .redis(url)
        .namespace("fleet")
        .command_timeout(Duration::from_secs(5))
        .install()
        .expect("the url is good");
    until("the server answers", || async {
        let cache = Cache::global();
        reaches(cache).await
    })
    .await;
    println!("ready");

    let mut running = Vec::new();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(order)) = orders.next_line().await {
        let words: Vec<&str> = order.split(' ').collect();
        let number = |place: usize| words[place].parse::<u64>().expect("a number");
        let answer = match words[0] {
            "near" => near(number(1)).await,
            "call" => report(number(1), number(2)).await,
            "burst" => burst(number(1), number(2), number(3)).await,
            "begin" => {
                running.push(tokio::spawn(report(number(1), number(2))));
                continue;
            }
            "try" => {
                let within = Duration::from_millis(number(3));
                let outcome = tokio::time::timeout(within, report(number(1), number(2))).await;
                outcome.unwrap_or_else(|_| "given up".to_owned())
            }
            "abort" => {
                running.remove(0).abort();
                "aborted".to_owned()
            }
            "join" => running.remove(0).await.expect("the task ends"),
            "invalidate" => told(
                recached::invalidate(words[1])
                    .await
                    .map(|what| what.functions),
            ),
            "keys" => told(
                recached::invalidate_keys(words[1])
                    .await
                    .map(|what| what.entries),
            ),
            "all" => told(recached::invalidate_all().await.map(|_| ())),
            "entry" => told(report_entry(number(1), 0).invalidate().await.map(|_| ())),
            "off" => off(number(1)).await,
            "waits" => {
                let stats = recached::stats();
                stats.function("fleet.report").lease_waits.to_string()
            }
            other => panic!("no such order: {other}"),
        };
        println!("{answer}");
    }
}

async fn burst(tasks: u64, id: u64, ms: u64) -> String {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(report(id, ms))).collect();
    for task in tasks {
        task.await.expect("the task ends");
    }
    begun.elapsed().as_micros().to_string()
}

async fn near(id: u64) -> String {
    let hits = || recached::stats().function("fleet.report").near_hits;
    let before = hits();
    let value = report(id, 0).await;
    match hits() > before {
        true => format!("near {value}"),
        false => value,
    }
}

async fn off(id: u64) -> String {
    let bypasses = || recached::stats().function("fleet.report").bypasses;
    let before = bypasses();
    while bypasses() == before {
        report(id, 0).await;
        tokio::task::yield_now().await;
    }
    now().to_string()
}

fn told<T: std::fmt::Debug>(outcome: Result<T, recached::Error>) -> String {
    match outcome {
        Ok(what) => format!("{what:?}"),
        Err(error) => format!("error: {error}"),
    }
}
