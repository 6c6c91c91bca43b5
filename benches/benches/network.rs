//! Hits and cold misses on a server across a network, compared with hand-written commands.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, cached};
use recached_benches::network::{Distance, connect};
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;

const ROUNDS: usize = 7;

#[cached(ttl = 600, near = false, cache = cache, skip(cache))]
async fn page(cache: &'static Cache, id: u64) -> String {
    format!("{id:>100}")
}

/// A cold miss with hand-written commands, as counterpart of [`by_hand`].
async fn cold_by_hand(mut connection: MultiplexedConnection, id: u64) -> String {
    let key = format!("cold:{id}");
    let mut get = redis::cmd("GET");
    let found: Option<Vec<u8>> = get
        .arg(&key)
        .query_async(&mut connection)
        .await
        .expect("it works");
    assert!(found.is_none());
    let value = format!("{id:>100}");
    let mut set = redis::cmd("SET");
    set.arg(&key)
        .arg(serde_json::to_vec(&value).expect("it is text"))
        .arg("PX")
        .arg(600_000);
    set.exec_async(&mut connection).await.expect("it works");
    value
}

async fn by_hand(mut connection: MultiplexedConnection, id: u64) -> String {
    let mut get = redis::cmd("GET");
    get.arg(format!("page:{id}"));
    let found: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&found).expect("it is json")
}

/// Calls per second with this number of tasks.
async fn run<F, T>(tasks: u64, each: u64, call: F) -> f64
where
    F: Fn(u64) -> T + Clone + Send + 'static,
    T: Future<Output = String> + Send,
{
    let begun = Instant::now();
    let tasks_at_work: Vec<_> = (0..tasks)
        .map(|task| {
            let call = call.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    assert_eq!(call(task * each + n).await.len(), 100);
                }
            })
        })
        .collect();
    for task in tasks_at_work {
        task.await.expect("no panic");
    }
    (tasks * each) as f64 / begun.elapsed().as_secs_f64()
}

/// Reserves ids that no call has used before.
fn unused(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

async fn misses(server: &Server) {
    let mut table = String::from(
        "| each way | tasks | GET + SET by hand | recached | of the first |\n|---|---|---|---|---|\n",
    );
    for delay in [0, 500] {
        let away = Distance::to(server.port(), Duration::from_micros(delay));
        let url = match delay {
            0 => server.url(),
            _ => away.url(),
        };
        let cache: &'static Cache = Box::leak(Box::new(cache_on(&url, "bench")));
        let connection = connect(&url, true).await;
        for tasks in [1, 64] {
            let each = match (delay, tasks) {
                (0, 1) => 2_000,
                (0, _) => 200,
                _ => 100,
            };
            let (mut hand, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let (connection, from) = (connection.clone(), unused(tasks * each));
                let call = move |id| cold_by_hand(connection.clone(), from + id);
                hand.push(run(tasks, each, call).await);
                let from = unused(tasks * each);
                ours.push(run(tasks, each, move |id| page(cache, from + id)).await);
            }
            let share: Vec<f64> = ours.iter().zip(&hand).map(|(a, b)| a / b).collect();
            let each = |rates: &[f64]| {
                let rate = median(rates);
                format!("{:.1} k/s, {:.2} ms", rate / 1e3, tasks as f64 / rate * 1e3)
            };
            let _ = writeln!(
                table,
                "| {delay} µs | {tasks} | {} | {} | {:.2} |",
                each(&hand),
                each(&ours),
                median(&share)
            );
        }
    }
    report("network_misses", &table);
}

fn main() {
    recached_benches::network::stand_between();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime.expect("it starts").block_on(measure());
}

async fn measure() {
    let server = Server::start();
    let mut table = String::from(
        "| each way | tasks | by hand, `TCP_NODELAY` | by hand, the driver's default | recached | of the first |\n|---|---|---|---|---|---|\n",
    );
    for delay in [0, 500] {
        let away = Distance::to(server.port(), Duration::from_micros(delay));
        let url = match delay {
            0 => server.url(),
            _ => away.url(),
        };
        let cache: &'static Cache = Box::leak(Box::new(cache_on(&url, "bench")));
        let (fast, slow) = (connect(&url, true).await, connect(&url, false).await);
        for id in 0..100 {
            let value = page(cache, id).await;
            let value = serde_json::to_vec(&value).expect("it is text");
            let mut set = redis::cmd("SET");
            set.arg(format!("page:{id}")).arg(value);
            set.exec_async(&mut fast.clone()).await.expect("it works");
        }
        for tasks in [1, 8, 64, 256] {
            let each = match (delay, tasks) {
                (0, 1) => 5_000,
                (0, _) => 20_000 / tasks,
                _ => 300,
            };
            let (mut hand, mut default, mut ours) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let connection = fast.clone();
                hand.push(run(tasks, each, move |id| by_hand(connection.clone(), id % 100)).await);
                let connection = slow.clone();
                default
                    .push(run(tasks, each, move |id| by_hand(connection.clone(), id % 100)).await);
                ours.push(run(tasks, each, move |id| page(cache, id % 100)).await);
            }
            let share: Vec<f64> = ours.iter().zip(&hand).map(|(a, b)| a / b).collect();
            let kilo = |rates: &[f64]| format!("{:.1} k/s", median(rates) / 1e3);
            let _ = writeln!(
                table,
                "| {delay} µs | {tasks} | {} | {} | {} | {:.2} |",
                kilo(&hand),
                kilo(&default),
                kilo(&ours),
                median(&share)
            );
        }
    }
    report("network", &table);
    misses(&server).await;
}
