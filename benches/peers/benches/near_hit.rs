//! A near hit: recached compared with bare caches and other caching macros.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use recached::cached;
use recached_benches::{median, report};
use recached_peers::{
    Item, SIZE, cached as peer_cached, cachekit, hitbox, make, moka, quick_cache,
};

const KEYS: u64 = 10_000;
const ROUNDS: usize = 9;

#[cached(ttl = 600)]
async fn ours(id: u64) -> Arc<Item> {
    Arc::new(make(id, SIZE))
}

#[cached(ttl = 600)]
fn ours_plain(id: u64) -> Arc<Item> {
    Arc::new(make(id, SIZE))
}

/// Ids that one thread calls.
fn ids(thread: u64, keys: u64, calls: u64) -> impl Iterator<Item = u64> {
    (0..calls).map(move |call| (thread * 5_003 + call * 7_919) % keys)
}

/// Work of one thread, given its number, the number of keys, and the number of calls.
type Work<'a> = &'a (dyn Fn(u64, u64, u64) + Sync);

/// Nanoseconds per call on this number of threads.
fn cost(threads: u64, keys: u64, calls: u64, work: Work<'_>) -> f64 {
    let begun = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || work(thread, keys, calls));
        }
    });
    begun.elapsed().as_nanos() as f64 / calls as f64
}

macro_rules! plain {
    ($call:expr) => {
        &|thread, keys, calls| {
            for id in ids(thread, keys, calls) {
                black_box($call(id));
            }
        }
    };
}

macro_rules! awaited {
    ($call:expr) => {
        &|thread, keys, calls| {
            pollster::block_on(async {
                for id in ids(thread, keys, calls) {
                    black_box($call(id).await);
                }
            });
        }
    };
}

fn main() {
    let keys: Vec<String> = (0..KEYS).map(quick_cache::key).collect();
    let prepared = |id: u64| quick_cache::item_by_key(&keys[id as usize], id);
    // The number is that of calls in one measurement, which takes a few tens of milliseconds.
    let contenders: [(&str, u64, Work<'_>); 15] = [
        (
            "bare quick_cache, `String` key prepared",
            400_000,
            plain!(prepared),
        ),
        (
            "bare quick_cache, `String` key formatted",
            400_000,
            plain!(quick_cache::item),
        ),
        (
            "bare moka, `String` key formatted",
            100_000,
            plain!(moka::item),
        ),
        (
            "`cached`, `#[cached]`, plain, without a bound",
            100_000,
            plain!(peer_cached::item),
        ),
        (
            "`cached`, `#[cached]`, async, without a bound",
            100_000,
            awaited!(peer_cached::item_async),
        ),
        (
            "`cached`, `#[concurrent_cached]`, plain, without a bound",
            100_000,
            plain!(peer_cached::item_concurrent),
        ),
        (
            "`cached`, `#[concurrent_cached]`, async, without a bound",
            100_000,
            awaited!(peer_cached::item_concurrent_async),
        ),
        (
            "`cached`, `#[cached]`, plain, bounded",
            100_000,
            plain!(peer_cached::item_sized),
        ),
        (
            "`cached`, `#[cached]`, async, bounded",
            100_000,
            awaited!(peer_cached::item_sized_async),
        ),
        (
            "`cached`, `#[concurrent_cached]`, plain, bounded",
            100_000,
            plain!(peer_cached::item_concurrent_sized),
        ),
        (
            "`cached`, `#[concurrent_cached]`, async, bounded",
            100_000,
            awaited!(peer_cached::item_concurrent_sized_async),
        ),
        ("`hitbox` on moka, async", 20_000, awaited!(hitbox::item)),
        ("`cachekit-rs`, L1, async", 20_000, awaited!(cachekit::item)),
        ("recached, plain", 400_000, plain!(ours_plain)),
        ("recached, async", 400_000, awaited!(ours)),
    ];
    for (name, _, work) in &contenders {
        // Makes all keys hits, with known generations.
        work(0, KEYS, 2 * KEYS);
        println!("ready: {name}");
    }
    let mut table = String::from(
        "| ns a call, medians | 1 thread, 1 key | 1 thread, 10,000 keys | 2 threads, 1 key | 2 threads, 10,000 keys |\n|---|---|---|---|---|\n",
    );
    let cases = [(1, 1), (1, KEYS), (2, 1), (2, KEYS)];
    let mut costs = vec![vec![Vec::new(); cases.len()]; contenders.len()];
    for (case, (threads, keys)) in cases.iter().enumerate() {
        for _ in 0..ROUNDS {
            for (place, (_, calls, work)) in contenders.iter().enumerate() {
                costs[place][case].push(cost(*threads, *keys, *calls, *work));
            }
        }
    }
    for (place, (name, ..)) in contenders.iter().enumerate() {
        let _ = write!(table, "| {name}");
        for (case, own) in costs[place].iter().enumerate() {
            // Median of the ratios within each round.
            let ratios: Vec<f64> = own
                .iter()
                .zip(&costs[0][case])
                .map(|(a, b)| a / b)
                .collect();
            let _ = write!(table, " | {:.0} ({:.2}×)", median(own), median(&ratios));
        }
        let _ = writeln!(table, " |");
    }
    report("near_hit", &table);
}
