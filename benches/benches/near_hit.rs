//! A near hit: recached beside a bare quick_cache.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use recached::{Cache, cached};
use recached_benches::{median, report};

const KEYS: u64 = 10_000;
const ROUNDS: usize = 15;
const CALLS: u64 = 400_000;

static CACHE: OnceLock<Cache> = OnceLock::new();

#[cached(ttl = 600, name = "item", cache = CACHE.get().expect("it is set"))]
async fn item(id: u64) -> Arc<u64> {
    Arc::new(id)
}

#[cached(ttl = 600)]
async fn installed(id: u64) -> Arc<u64> {
    Arc::new(id)
}

#[cached(ttl = 600)]
fn plain(id: u64) -> Arc<u64> {
    Arc::new(id)
}

/// The ids one thread asks for.
fn ids(thread: u64, keys: u64) -> impl Iterator<Item = u64> {
    (0..CALLS).map(move |call| (thread * 5_003 + call * 7_919) % keys)
}

/// What one thread does: given its number and the number of keys.
type Work<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Nanoseconds a call, on so many threads.
fn cost(threads: u64, keys: u64, work: Work<'_>) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || work(thread, keys));
        }
    });
    begun.elapsed().as_nanos() as f64 / CALLS as f64
}

fn main() {
    let cache = Cache::builder().in_process().build().expect("nothing to go wrong");
    CACHE.set(cache).expect("only here");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let bare = quick_cache::sync::Cache::<String, Arc<u64>>::new(100_000);
    let names: Vec<String> = (0..KEYS).map(|id| format!("item:{id}")).collect();
    for id in 0..KEYS {
        bare.insert(names[id as usize].clone(), Arc::new(id));
        for _ in 0..2 {
            runtime.block_on(item(id));
            runtime.block_on(installed(id));
            plain(id);
        }
    }
    let prepared = |thread, keys| {
        for id in ids(thread, keys) {
            black_box(bare.get(names[id as usize].as_str()));
        }
    };
    let formatted = |thread, keys| {
        for id in ids(thread, keys) {
            black_box(bare.get(format!("item:{id}").as_str()));
        }
    };
    let ours = |thread, keys| {
        pollster::block_on(async {
            for id in ids(thread, keys) {
                black_box(installed(id).await);
            }
        });
    };
    let given = |thread, keys| {
        pollster::block_on(async {
            for id in ids(thread, keys) {
                black_box(item(id).await);
            }
        });
    };
    let sync = |thread, keys| {
        for id in ids(thread, keys) {
            black_box(plain(id));
        }
    };
    let contenders: [(&str, Work<'_>); 5] = [
        ("bare quick_cache, key prepared", &prepared),
        ("bare quick_cache, key formatted", &formatted),
        ("recached, async", &ours),
        ("recached, async, `cache = …`", &given),
        ("recached, plain", &sync),
    ];
    let mut table = String::from("| | threads | keys | ns a call | of the first |\n|---|---|---|---|---|\n");
    for (threads, keys) in [(1, 1), (1, KEYS), (2, 1), (2, KEYS)] {
        let mut costs = vec![Vec::new(); contenders.len()];
        for _ in 0..ROUNDS {
            for (place, (_, call)) in contenders.iter().enumerate() {
                costs[place].push(cost(threads, keys, call));
            }
        }
        for (place, (name, _)) in contenders.iter().enumerate() {
            let ratios: Vec<f64> = costs[place].iter().zip(&costs[0]).map(|(a, b)| a / b).collect();
            let _ = writeln!(
                table,
                "| {name} | {threads} | {keys} | {:.0} | {:.2} |",
                median(&costs[place]),
                median(&ratios)
            );
        }
    }
    report("near_hit", &table);
}
