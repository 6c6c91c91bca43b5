//! Hits on Redis from two current-thread runtimes, as in servers with one runtime per core,
//! compared with hand-written commands on a connection of each runtime's own.

use std::fmt::Write;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use recached::{Cache, cached};
use recached_benches::network::{Distance, connect};
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

const RUNTIMES: usize = 2;
const ROUNDS: usize = 9;

#[cached(ttl = 600, near = false, cache = cache, skip(cache))]
async fn page(cache: &'static Cache, id: u64) -> String {
    format!("{id:>100}")
}

async fn by_hand(mut connection: MultiplexedConnection, id: u64) -> String {
    let mut get = redis::cmd("GET");
    get.arg(format!("page:{id}"));
    let found: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&found).expect("it is json")
}

/// Runs this number of tasks on the current runtime.
async fn run<F, T>(tasks: u64, each: u64, call: F)
where
    F: Fn(u64) -> T + Clone + Send + 'static,
    T: Future<Output = String> + Send,
{
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let call = call.clone();
        running.spawn(async move {
            for n in 0..each {
                assert_eq!(call(task * each + n).await.len(), 100);
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic");
    }
}

fn main() {
    recached_benches::network::stand_between();
    let server = Server::start();
    let mut table = String::from(
        "| each way | tasks on each runtime | by hand | recached | of it |\n|---|---|---|---|---|\n",
    );
    for delay in [0, 500] {
        let away = Distance::to(server.port(), Duration::from_micros(delay));
        let url = match delay {
            0 => server.url(),
            _ => away.url(),
        };
        let cache: &'static Cache = Box::leak(Box::new(cache_on(&url, "bench")));
        for tasks in [1u64, 64] {
            let each = match (delay, tasks) {
                (0, 1) => 5_000,
                (0, _) => 400,
                _ => 300,
            };
            let barrier = Arc::new(Barrier::new(RUNTIMES + 1));
            let threads: Vec<_> = (0..RUNTIMES)
                .map(|_| {
                    let (barrier, url) = (Arc::clone(&barrier), url.clone());
                    thread::spawn(move || serve(cache, &url, tasks, each, &barrier))
                })
                .collect();
            barrier.wait();
            let (mut hand, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                for rates in [&mut hand, &mut ours] {
                    barrier.wait();
                    let begun = Instant::now();
                    barrier.wait();
                    let calls = RUNTIMES as u64 * tasks * each;
                    rates.push(calls as f64 / begun.elapsed().as_secs_f64());
                }
            }
            for thread in threads {
                thread.join().expect("no panic");
            }
            let share: Vec<f64> = ours.iter().zip(&hand).map(|(a, b)| a / b).collect();
            let kilo = |rates: &[f64]| format!("{:.1} k/s", median(rates) / 1e3);
            writeln!(
                table,
                "| {delay} µs | {tasks} | {} | {} | {:.2} |",
                kilo(&hand),
                kilo(&ours),
                median(&share)
            )
            .expect("memory");
        }
    }
    report("current_thread", &table);
}

/// One runtime, which runs its share of each round.
fn serve(cache: &'static Cache, url: &str, tasks: u64, each: u64, barrier: &Barrier) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    let connection = runtime.block_on(async {
        let connection = connect(url, true).await;
        for id in 0..100 {
            let value = serde_json::to_vec(&page(cache, id).await).expect("it is text");
            let mut set = redis::cmd("SET");
            set.arg(format!("page:{id}")).arg(value);
            set.exec_async(&mut connection.clone())
                .await
                .expect("it works");
        }
        // Simulates a service that has run for a while.
        tokio::time::sleep(Duration::from_millis(500)).await;
        connection
    });
    barrier.wait();
    for _ in 0..ROUNDS {
        barrier.wait();
        let connection = connection.clone();
        runtime.block_on(run(tasks, each, move |id| {
            by_hand(connection.clone(), id % 100)
        }));
        barrier.wait();
        barrier.wait();
        runtime.block_on(run(tasks, each, move |id| page(cache, id % 100)));
        barrier.wait();
    }
}
