//! Instructions per near hit and per key under callgrind, which do not depend on the machine's
//! load. The benchmark runs itself under `valgrind`, twice per case, and reports the difference.

use std::fmt::Write;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use recached::cached;
use recached_benches::report;

#[cached(ttl = 600)]
async fn of_number(id: u64) -> Arc<u64> {
    Arc::new(id)
}

#[cached(ttl = 600)]
fn plain_of_number(id: u64) -> Arc<u64> {
    Arc::new(id)
}

#[cached(ttl = 600)]
async fn of_text(name: &str) -> Arc<usize> {
    Arc::new(name.len())
}

#[cached(ttl = 600)]
async fn of_three(id: u64, name: &str, flag: bool) -> Arc<u64> {
    Arc::new(id + name.len() as u64 + u64::from(flag))
}

fn key(add: impl FnOnce(&mut recached::__private::Arguments)) {
    let mut arguments = recached::__private::Arguments::new("m::f::{{closure}}");
    add(&mut arguments);
    black_box(&arguments);
}

/// Runs one case `count` times.
fn run(case: &str, count: u64) {
    let bare = quick_cache::sync::Cache::<String, Arc<u64>>::new(100_000);
    bare.insert("of_number:42".to_owned(), Arc::new(42));
    let id = black_box(42u64);
    let name = black_box("ada");
    for _ in 0..count {
        match case {
            "bare" => drop(black_box(bare.get(black_box("of_number:42")))),
            "bare_formatted" => drop(black_box(bare.get(format!("of_number:{id}").as_str()))),
            "number" => drop(black_box(pollster::block_on(of_number(id)))),
            "plain" => drop(black_box(plain_of_number(id))),
            "text" => drop(black_box(pollster::block_on(of_text(name)))),
            "three" => drop(black_box(pollster::block_on(of_three(id, name, true)))),
            "block_on" => pollster::block_on(async { black_box(()) }),
            "key_number" => key(|arguments| arguments.add("id", &id)),
            "key_text" => key(|arguments| arguments.add("name", name)),
            "key_format" => drop(black_box(format!("of_number:{id}"))),
            _ => {}
        }
    }
}

/// Number of instructions of the whole process.
fn instructions(case: &str, count: u64) -> Option<u64> {
    let own = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--case", case, &count.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "--case") {
        return run(
            &words[place + 1],
            words[place + 2].parse().expect("a number"),
        );
    }
    let cases = [
        ("bare quick_cache, key prepared", "bare"),
        ("bare quick_cache, key formatted", "bare_formatted"),
        ("near hit, plain fn(u64) -> Arc<u64>", "plain"),
        ("near hit, async fn(u64) -> Arc<u64>", "number"),
        ("near hit, async fn(&str) -> Arc<usize>", "text"),
        ("near hit, async fn(u64, &str, bool) -> Arc<u64>", "three"),
        ("`pollster::block_on` alone, in each async row", "block_on"),
        ("arguments of a key, u64", "key_number"),
        ("arguments of a key, &str of 3 bytes", "key_text"),
        ("`format!` of a key, u64", "key_format"),
    ];
    let mut table = String::from("| | instructions |\n|---|---|\n");
    for (name, case) in cases {
        let (few, many) = (1_000, 11_000);
        let (Some(less), Some(more)) = (instructions(case, few), instructions(case, many)) else {
            println!("valgrind is not installed: no instructions were counted");
            return;
        };
        let _ = writeln!(table, "| {name} | {} |", (more - less) / (many - few));
    }
    report("instructions", &table);
}
