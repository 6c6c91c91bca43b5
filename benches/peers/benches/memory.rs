//! Memory of near entries, each a struct with 100 bytes of text. The caches have a capacity of a
//! hundred thousand and are nearly full; with as many entries, some would be evicted. Each
//! contender runs in a process of its own, which reports its growth.

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;

use recached::cached;
use recached_benches::{median, report};
use recached_peers::{Item, SIZE, make, moka, quick_cache};

const ENTRIES: u64 = 95_000;
const ROUNDS: usize = 5;

#[cached(ttl = 600)]
fn ours(id: u64) -> Arc<Item> {
    Arc::new(make(id, SIZE))
}

const CONTENDERS: [&str; 4] = [
    "the values alone, in a vector",
    "bare quick_cache, `String` key",
    "bare moka, `String` key",
    "recached",
];

/// Bytes per entry, measured in this process.
fn measure(contender: &str) -> u64 {
    // One-time setup is not counted, including memory reserved for the full capacity.
    let fill = |from: u64, to: u64| -> Vec<Arc<Item>> {
        match contender {
            "recached" => (from..to).map(ours).for_each(drop),
            "bare moka, `String` key" => (from..to).map(moka::item).for_each(drop),
            "bare quick_cache, `String` key" => (from..to).map(quick_cache::item).for_each(drop),
            _ => return (from..to).map(|id| Arc::new(make(id, SIZE))).collect(),
        }
        Vec::new()
    };
    let before = recached_tests::resident().expect("Linux tells");
    let held = fill(0, ENTRIES);
    // moka runs its maintenance later.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let after = recached_tests::resident().expect("Linux tells");
    if contender == "recached" {
        let near = recached::Cache::global().stats().near;
        assert_eq!(near.entries, ENTRIES, "none was evicted");
    }
    drop(held);
    (after - before) / ENTRIES
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "--contender") {
        println!("{}", measure(&words[place + 1]));
        return;
    }
    let own = std::env::current_exe().expect("it has a path");
    let mut table = String::from("| | bytes an entry | of it beside the value |\n|---|---|---|\n");
    let mut value = 0;
    for (place, contender) in CONTENDERS.into_iter().enumerate() {
        let measured: Vec<u64> = (0..ROUNDS)
            .map(|_| {
                let output = Command::new(&own)
                    .args(["--contender", contender])
                    .output()
                    .expect("it runs");
                let text = String::from_utf8_lossy(&output.stdout);
                text.trim().parse().expect("it prints a number")
            })
            .collect();
        let bytes = median(&measured);
        if place == 0 {
            value = bytes;
        }
        let beside = bytes.saturating_sub(value);
        writeln!(table, "| {contender} | {bytes} | {beside} |").expect("memory");
    }
    report("memory", &table);
}
