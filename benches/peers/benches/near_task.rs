//! A near hit as in a service: an async function that is awaited in a tokio task, whose value is an
//! `Arc` of a struct, with a thousand keys.

use std::fmt::Write;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use recached::cached;
use recached_benches::{median, report};
use recached_peers::{Item, SIZE, cached as peer_cached, make, moka, quick_cache};
use tokio::runtime::Runtime;

const KEYS: u64 = 1_000;
const CALLS: u64 = 400_000;
const ROUNDS: usize = 15;

#[cached(ttl = 600)]
async fn ours(id: u64) -> Arc<Item> {
    Arc::new(make(id, SIZE))
}

/// Work of one task, given its number.
type Work = fn(u64) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn ids(task: u64) -> impl Iterator<Item = u64> {
    (0..CALLS).map(move |call| (task * 503 + call * 7_919) % KEYS)
}

macro_rules! work {
    (|$id:ident| $call:expr) => {
        |task| {
            Box::pin(async move {
                for $id in ids(task) {
                    black_box($call);
                }
            })
        }
    };
}

/// Nanoseconds per call in this number of tasks.
fn cost(runtime: &Runtime, tasks: u64, work: Work) -> f64 {
    runtime.block_on(async {
        let begun = Instant::now();
        let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(work(task))).collect();
        for task in running {
            task.await.expect("no panic");
        }
        begun.elapsed().as_nanos() as f64 / CALLS as f64
    })
}

fn prepared(id: u64) -> Arc<Item> {
    static KEYS_OF: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let keys = KEYS_OF.get_or_init(|| (0..KEYS).map(quick_cache::key).collect());
    quick_cache::item_by_key(&keys[id as usize], id)
}

fn main() {
    let contenders: [(&str, Work); 5] = [
        (
            "bare quick_cache, `String` key prepared",
            work!(|id| prepared(id)),
        ),
        (
            "bare quick_cache, `String` key formatted",
            work!(|id| quick_cache::item(id)),
        ),
        (
            "bare moka, `String` key formatted",
            work!(|id| moka::item(id)),
        ),
        (
            "`cached`, `#[concurrent_cached]`, async, bounded",
            work!(|id| peer_cached::item_concurrent_sized_async(id).await),
        ),
        ("recached, async", work!(|id| ours(id).await)),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("it starts");
    for (_, work) in contenders {
        cost(&runtime, 1, work);
    }
    let mut table = String::from("| ns a call, medians | 1 task | 2 tasks |\n|---|---|---|\n");
    let cases = [1, 2];
    let mut costs = vec![[const { Vec::new() }; 2]; contenders.len()];
    for _ in 0..ROUNDS {
        for (case, tasks) in cases.into_iter().enumerate() {
            for (place, (_, work)) in contenders.into_iter().enumerate() {
                costs[place][case].push(cost(&runtime, tasks, work));
            }
        }
    }
    for (place, (name, _)) in contenders.iter().enumerate() {
        write!(table, "| {name}").expect("memory");
        for case in 0..cases.len() {
            let (bare, this) = (&costs[0][case], &costs[place][case]);
            let ratios: Vec<f64> = this
                .iter()
                .zip(bare)
                .map(|(this, bare)| this / bare)
                .collect();
            write!(table, " | {:.0} ({:.2}×)", median(this), median(&ratios)).expect("memory");
        }
        table.push_str(" |\n");
    }
    report("near_task", &table);
}
