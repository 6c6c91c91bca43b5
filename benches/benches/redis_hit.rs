//! A hit on Redis: recached beside a hand-written multiplexed GET and a pool's checkout per call.

use std::fmt::Write;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use recached::{Cache, cached};
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

const KEYS: u64 = 1_000;
const ROUNDS: usize = 9;

static CACHE: OnceLock<Cache> = OnceLock::new();

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    id: u64,
    name: String,
    tags: Vec<String>,
    price: f64,
}

#[cached(ttl = 600, name = "item", near = false, cache = CACHE.get().expect("it is set"))]
async fn item(id: u64) -> Item {
    Item {
        id,
        name: format!("item number {id}"),
        tags: vec!["red".into(), "large".into()],
        price: 9.99,
    }
}

async fn by_hand(mut connection: MultiplexedConnection, id: u64) -> Item {
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{id}"));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&bytes).expect("it is json")
}

async fn by_checkout(pool: deadpool_redis::Pool, id: u64) -> Item {
    let mut connection = pool.get().await.expect("there is one");
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{id}"));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&bytes).expect("it is json")
}

/// Calls per second.
async fn rate<F: Future<Output = Item> + Send>(
    tasks: u64,
    calls: u64,
    call: impl Fn(u64) -> F + Send + Sync + 'static,
) -> f64 {
    let call = Arc::new(call);
    let begun = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let call = Arc::clone(&call);
            tokio::spawn(async move {
                for n in 0..calls / tasks {
                    let id = (task * 7 + n) % KEYS;
                    assert_eq!(call(id).await.id, id);
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no panic");
    }
    calls as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = Server::start();
    let cache = CACHE.get_or_init(|| cache_on(&server.url(), "bench"));
    let client = redis::Client::open(server.url()).expect("the url is good");
    let multiplexed = client.get_multiplexed_async_connection().await.expect("it connects");
    let pool = deadpool_redis::Config::from_url(server.url());
    let pool = pool.create_pool(Some(deadpool_redis::Runtime::Tokio1)).expect("a pool");
    let mut plain = multiplexed.clone();
    for id in 0..KEYS {
        let json = serde_json::to_vec(&item(id).await).expect("it is json");
        let mut set = redis::cmd("SET");
        set.arg(format!("plain:{id}")).arg(json).query_async::<()>(&mut plain).await.expect("it works");
    }

    let mut table = String::from(
        "| tasks | hand-written GET, calls/s | checkout per call | recached | recached / hand-written | recached / checkout |\n|---|---|---|---|---|---|\n",
    );
    for tasks in [1, 64, 256] {
        let calls = if tasks == 1 { 5_000 } else { 64_000 };
        let (mut hand, mut checkout, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let connection = multiplexed.clone();
            hand.push(rate(tasks, calls, move |id| by_hand(connection.clone(), id)).await);
            ours.push(rate(tasks, calls, item).await);
            let pool = pool.clone();
            checkout.push(rate(tasks, calls / 4, move |id| by_checkout(pool.clone(), id)).await);
        }
        // The ratio of each round, then the middle one: what was slow was slow for all.
        let ratio = |of: &[f64]| median(&ours.iter().zip(of).map(|(a, b)| a / b).collect::<Vec<_>>());
        let _ = writeln!(
            table,
            "| {tasks} | {:.0} | {:.0} | {:.0} | {:.2} | {:.1} |",
            median(&hand),
            median(&checkout),
            median(&ours),
            ratio(&hand),
            ratio(&checkout)
        );
    }
    let stats = cache.stats().total;
    assert_eq!((stats.computations, stats.errors), (KEYS, 0), "all but the first were hits");
    report("redis_hit", &table);
}
