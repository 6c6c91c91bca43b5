//! Checks a fleet of real processes against G1, G2 and G7 while servers, processes and the network
//! fail.
//!
//! Processes read and invalidate versioned registers through the cache and record each operation
//! with its times. An injector kills, stops, disconnects, delays, flushes and fails over. At the
//! end, every read is checked against every invalidation.
//!
//! ```text
//! cargo run --release -p recached-tests --bin history -- --minutes 1
//! cargo run --release -p recached-tests --bin history -- --minutes 1 --on cluster
//! ```

mod check;
mod disturbance;
mod fleet;
mod injector;
mod reader;
mod record;
mod registers;
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use check::{Process, Verdict, check};
use fleet::Slot;
use injector::Injector;
use record::{Kind, Record, SIZE, nanos};
use registers::Registers;
use servers::Servers;

const USAGE: &str = "history [--minutes N | --seconds N] [--processes N] [--seed N] [--on server|cluster|sentinels]";

/// Maximum number of violations that are printed.
const TOLD: usize = 3;

/// Time after the last fault within which all processes must work normally again.
const RECOVERY: Duration = Duration::from_secs(3);

struct Options {
    time: Duration,
    processes: usize,
    seed: Option<u64>,
    on: String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, url, folder, records, release] = &words[..]
        && role == "reader"
    {
        reader::run(url, folder.into(), records.into(), release == "new");
        return ExitCode::SUCCESS;
    }
    match options(&words) {
        Some(options) => run(&options),
        None => {
            eprintln!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[String]) -> Option<Options> {
    let mut options = Options {
        time: Duration::from_secs(60),
        processes: 4,
        seed: None,
        on: "server".to_owned(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--on" {
            options.on = words.next()?.clone();
            continue;
        }
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--minutes" => options.time = Duration::from_secs(number()? * 60),
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--processes" => options.processes = usize::try_from(number()?).ok()?,
            "--seed" => options.seed = Some(number()?),
            _ => return None,
        }
    }
    Some(options)
}

fn run(options: &Options) -> ExitCode {
    // The seed determines the faults; the scheduler determines the order of operations in between.
    fastrand::seed(options.seed.unwrap_or_else(|| fastrand::u64(..)));
    println!("seed {}", fastrand::get_seed());
    let folder = tempfile::tempdir().expect("a temporary folder");
    drop(Registers::open(folder.path()));
    // Servers write their files to the current directory.
    std::env::set_current_dir(folder.path()).expect("it is there");
    let Some(servers) = Servers::start(&options.on) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let slots = (0..options.processes).map(|place| Slot::new(place, &servers, folder.path()));
    let slots = slots.collect();
    let injector = Injector::new(servers, slots);
    let end = std::thread::scope(|scope| {
        scope.spawn(|| injector.feel_the_pulse());
        std::thread::sleep(Duration::from_secs(1));
        injector.run(options.time.saturating_sub(RECOVERY));
        std::thread::sleep(RECOVERY);
        let end = record::now();
        injector.stop();
        end
    });
    let mut processes = Vec::new();
    let mut forks = 0;
    for slot in &injector.slots {
        let mut slot = slot.lock().expect("no fault has panicked");
        slot.finish();
        let forked = slot.all_forks();
        forks += forked.len();
        for file in forked.into_iter().chain(slot.all_records()) {
            let bytes = std::fs::read(file).expect("it was written");
            processes.push(Process {
                slot: slot.place,
                records: bytes.chunks_exact(SIZE).map(Record::read).collect(),
            });
        }
    }
    let disturbances = injector.disturbances.lock().expect("no fault has panicked");
    let verdict = check(&processes, &disturbances);
    let faults = injector.counts.lock().expect("no fault has panicked");
    for (what, count) in &*faults {
        println!("fault: {what}: {count}");
    }
    println!("forks: {forks}");
    println!("faults: {}", faults.values().sum::<u64>());
    tell(&verdict, processes.len());
    for violation in verdict.violations.iter().take(TOLD) {
        println!("{}", violation.tell(&processes, &disturbances));
    }
    let silent = (0..options.processes).filter(|slot| !reads_at(&processes, *slot, end));
    let silent: Vec<usize> = silent.collect();
    if !silent.is_empty() {
        println!("not working again at the end: {silent:?}");
    }
    match verdict.violations.is_empty() && silent.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn tell(verdict: &Verdict, processes: usize) {
    for (kind, count) in &verdict.counts {
        if !matches!(kind, Kind::Hits) {
            println!("records: {kind:?}: {count}");
        }
    }
    let count = |kind| verdict.counts.get(&kind).copied().unwrap_or_default();
    println!("invalidations that failed: {}", verdict.failed);
    println!("processes: {processes}");
    println!("near hits: {}", verdict.near_hits);
    println!("slowest read: {} ms", verdict.slowest / 1_000_000);
    println!("reads: {}", count(Kind::Read) + count(Kind::Refresh));
    println!("reads with nothing in the way: {}", verdict.clear);
    println!("violations: {}", verdict.violations.len());
}

/// Returns `true` if the last process of a slot had near hits in the last second.
fn reads_at(processes: &[Process], slot: usize, end: u64) -> bool {
    let Some(last) = processes.iter().rfind(|process| process.slot == slot) else {
        return false;
    };
    let since = end - nanos(Duration::from_secs(1));
    let hits = last.records.iter().filter(|one| one.kind == Kind::Hits);
    let mut hits = hits.filter(|one| one.begin > since).map(|one| one.version);
    let first = hits.next();
    first.is_some() && hits.next_back() > first
}
