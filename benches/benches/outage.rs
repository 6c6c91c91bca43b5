//! Cost of an outage for a call whose computation takes no time, with the default settings: the
//! server hangs (SIGSTOP) or is killed, and comes back; the holder of a lease is killed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_benches::{median, micros, report};
use recached_tests::{Server, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));
const ROUNDS: usize = 5;
const CALLS: usize = 5_000;

fn cache(server: &Server) -> Cache {
    let builder = Cache::builder().redis(server.url()).namespace("outage");
    builder.build().expect("the url is good")
}

/// Makes one call of a key that is not stored and returns its duration.
async fn call(cache: &Cache, id: usize) -> Duration {
    let key = format!("away:{id}");
    let begun = Instant::now();
    cache.get_or_compute(&key, MINUTE, || async { id }).await;
    begun.elapsed()
}

/// Waits until the same key is a hit at once, and returns the elapsed time.
async fn recovered(cache: &Cache) -> Duration {
    let begun = Instant::now();
    until("there are hits again", || async {
        let call = |value: u64| cache.get_or_compute("back:1", MINUTE, async move || value);
        call(1).await;
        let before = cache.stats().total;
        call(2).await;
        let after = cache.stats().total;
        after.near_hits + after.redis_hits > before.near_hits + before.redis_hits
    })
    .await;
    begun.elapsed()
}

#[derive(Default)]
struct Costs {
    first: Vec<Duration>,
    then: Vec<Duration>,
    worst: Vec<Duration>,
    back: Vec<Duration>,
}

impl Costs {
    /// Measures calls while the server is unreachable.
    async fn away(&mut self, cache: &Cache) {
        self.first.push(call(cache, 0).await);
        let mut calls = Vec::new();
        for id in 1..=CALLS {
            calls.push(call(cache, id).await);
        }
        self.then.push(median(&calls));
        self.worst.push(calls.into_iter().max().unwrap_or_default());
    }

    fn row(&self, what: &str) -> String {
        let all = [&self.first, &self.then, &self.worst, &self.back];
        let all = all.map(|costs| micros(median(costs)));
        format!("| {what} | {} |\n", all.join(" | "))
    }
}

/// Computes for ever, with the default lease.
async fn holder(url: &str) {
    let builder = Cache::builder().redis(url).namespace("outage");
    let cache = builder.build().expect("the url is good");
    let compute = || async {
        println!("computes");
        std::future::pending::<u64>().await
    };
    cache.get_or_compute("held:1", MINUTE, compute).await;
}

/// Time from the end of the holder to the beginning of its successor's computation.
async fn succession(server: &Server) -> Duration {
    let binary = std::env::current_exe().expect("it runs");
    let mut process = Command::new(binary)
        .args(["--holder", &server.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is this very file");
    let output = process.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .expect("it says that it computes");
    let cache = cache(server);
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move {
            let at = OnceLock::new();
            let compute = || async {
                let _ = at.set(Instant::now());
                1u64
            };
            cache.get_or_compute("held:1", MINUTE, compute).await;
            *at.get().expect("nobody else computes")
        }
    });
    until("it waits", || async { cache.stats().total.lease_waits > 0 }).await;
    process.kill().expect("it runs");
    let killed = Instant::now();
    process.wait().expect("it was ours");
    let begun = waiting.await.expect("no panic");
    let _ = cache.remove("held:1").await.expect("it works");
    begun.saturating_duration_since(killed)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "--holder") {
        return holder(&words[place + 1]).await;
    }
    let (mut hung, mut killed) = (Costs::default(), Costs::default());
    let mut successions = Vec::new();
    for _ in 0..ROUNDS {
        let mut server = Server::start();
        let cache = cache(&server);
        recovered(&cache).await;
        server.freeze();
        hung.away(&cache).await;
        server.thaw();
        hung.back.push(recovered(&cache).await);
        cache.remove("back:1").await.ok();
        successions.push(succession(&server).await);
        server.kill();
        killed.away(&cache).await;
        server.restart();
        killed.back.push(recovered(&cache).await);
    }
    let mut table = String::from(
        "| the server | first call | later calls, median | slowest of 5,000 | back: hits after |\n|---|---|---|---|---|\n",
    );
    table += &hung.row("hangs (SIGSTOP)");
    table += &killed.row("is killed");
    let _ = write!(
        table,
        "\nA holder of a lease killed: its successor begins after {} (median of {ROUNDS}; the lease's life is 5 s).\n",
        micros(median(&successions))
    );
    report("outage", &table);
}
