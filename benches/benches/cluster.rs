//! A hit on a cluster, compared with a hand-written GET over the driver's cluster connection.

use std::fmt::Write;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use recached::{Cache, cached};
use recached_benches::{median, report};
use recached_tests::{Cluster, cache_on};
use redis::cluster_async::ClusterConnection;
use serde::{Deserialize, Serialize};

const KEYS: u64 = 1_000;
const ROUNDS: usize = 9;

static CACHE: OnceLock<Cache> = OnceLock::new();

fn cache() -> &'static Cache {
    CACHE.get().expect("it is set")
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    id: u64,
    text: String,
}

fn make(id: u64) -> Item {
    let text = "x".repeat(80);
    Item { id, text }
}

#[cached(ttl = 600, near = false, cache = cache())]
async fn ours(id: u64) -> Item {
    make(id)
}

async fn by_hand(mut connection: ClusterConnection, id: u64) -> Item {
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{id}"));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&bytes).expect("it is json")
}

/// Calls per second.
async fn rate<F>(
    call: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
    tasks: u64,
    calls: u64,
) -> f64
where
    F: Future<Output = Item> + Send + 'static,
{
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
    let cluster = Cluster::start();
    CACHE.get_or_init(|| cache_on(&cluster.url(), "bench"));
    let client = redis::cluster::ClusterClient::new(cluster.urls()).expect("the urls are good");
    let connection = client.get_async_connection().await.expect("it connects");
    for id in 0..KEYS {
        let mut set = redis::cmd("SET");
        set.arg(format!("plain:{id}"))
            .arg(serde_json::to_vec(&make(id)).expect("it is json"));
        set.query_async::<()>(&mut connection.clone())
            .await
            .expect("it works");
    }
    while cache().exists("probe:1").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    rate(ours, 1, KEYS).await;
    let mut table = String::from(
        "| calls/s, medians, 100 B | 1 task | 64 tasks | 256 tasks |\n|---|---|---|---|\n",
    );
    let mut rows = ["| hand-written GET", "| recached", "| ratio"].map(String::from);
    for (tasks, calls) in [(1, 2_000), (64, 25_600), (256, 25_600)] {
        let (mut hand, mut our) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let plain = connection.clone();
            hand.push(rate(move |id| by_hand(plain.clone(), id), tasks, calls).await);
            our.push(rate(ours, tasks, calls).await);
        }
        let (hand, our) = (median(&hand), median(&our));
        write!(rows[0], " | {hand:.0}").expect("memory");
        write!(rows[1], " | {our:.0}").expect("memory");
        write!(rows[2], " | {:.2}", our / hand).expect("memory");
    }
    for row in rows {
        writeln!(table, "{row} |").expect("memory");
    }
    let misses = cache().stats().total.misses;
    assert_eq!(misses, KEYS, "all others are hits");
    report("cluster", &table);
}
