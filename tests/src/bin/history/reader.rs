//! A process of the fleet: reads and invalidates the registers through the cache, and records it.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use recached::{Cache, cached};
use tokio::time::{sleep, timeout};

use crate::record::{Kind, Log, Record, nanos, now};
use crate::registers::{COUNT, Registers};

static REGISTERS: OnceLock<Registers> = OnceLock::new();

/// Registers below are kept in the process; those from here on expire soon.
const BRIEF: u8 = 8;
/// Those from here on are read from Redis each time.
const FAR: u8 = 12;

/// Invalidations come in bursts, by all processes at once, with calm between: what a burst has
/// left behind is seen in the calm.
const BURST: Duration = Duration::from_millis(300);
const CALM: Duration = Duration::from_millis(600);

/// A gap in a clock's ticks that is a pause of the process and not of the clock.
const STALL: Duration = Duration::from_millis(60);

const TICK: Duration = Duration::from_millis(5);

/// A value knows which register it is of.
type Held = (u8, u64);

#[cached(ttl = 60, name = "history.near", lease = "1s", wait = "5s")]
async fn kept(register: u8) -> Held {
    compute(register).await
}

#[cached(ttl = "700ms", name = "history.brief", lease = "1s", wait = "5s")]
async fn brief(register: u8) -> Held {
    compute(register).await
}

#[cached(
    ttl = 60,
    name = "history.far",
    near = false,
    lease = "1s",
    wait = "5s"
)]
async fn far(register: u8) -> Held {
    compute(register).await
}

/// Its value is of its beginning, and it may take its time.
async fn compute(register: u8) -> Held {
    let version = registers().version(register);
    match fastrand::u8(..) {
        0..4 => sleep(Duration::from_millis(fastrand::u64(20..60))).await,
        4..128 => sleep(Duration::from_millis(fastrand::u64(0..4))).await,
        _ => tokio::task::yield_now().await,
    }
    (register, version)
}

fn registers() -> &'static Registers {
    REGISTERS.get().expect("it is set first")
}

/// Reads and invalidates until its orders end.
pub(crate) fn run(url: &str, folder: PathBuf, records: PathBuf) {
    let opened = REGISTERS.set(Registers::open(&folder));
    assert!(opened.is_ok(), "it is set once");
    let log = Log::to(&records);
    Cache::builder()
        .redis(url)
        .namespace("history")
        .install()
        .expect("the url is good");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    for _ in 0..9 {
        runtime.spawn(read(log.clone()));
    }
    runtime.spawn(invalidate(log.clone()));
    runtime.spawn(tick(log.clone()));
    // One whose calls go by the connection of the cache's own runtime.
    std::thread::spawn({
        let log = log.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(read(log));
        }
    });
    std::thread::spawn({
        let log = log.clone();
        move || keep(&log)
    });
    let _ = std::io::stdin().read(&mut [0]);
    log.flush();
    std::process::exit(0);
}

async fn read(log: Log) {
    loop {
        for _ in 0..fastrand::u8(12..36) {
            let register = fastrand::u8(..COUNT);
            match fastrand::u16(..400) {
                0 => refresh(register, &log).await,
                // A caller that goes away.
                1..5 => {
                    let patience = Duration::from_micros(fastrand::u64(0..3_000));
                    let _ = timeout(patience, call(register)).await;
                }
                _ => {
                    let begin = now();
                    let held = call(register).await;
                    note(Kind::Read, register, begin, held, &log);
                }
            }
        }
        sleep(Duration::from_micros(500)).await;
    }
}

async fn call(register: u8) -> Held {
    match register {
        ..BRIEF => kept(register).await,
        BRIEF..FAR => brief(register).await,
        _ => far(register).await,
    }
}

async fn refresh(register: u8, log: &Log) {
    let begin = now();
    let held = match register {
        ..BRIEF => kept_entry(register).refresh().await,
        BRIEF..FAR => brief_entry(register).refresh().await,
        _ => far_entry(register).refresh().await,
    };
    note(Kind::Refresh, register, begin, held, log);
}

fn note(kind: Kind, register: u8, begin: u64, (of, version): Held, log: &Log) {
    let kind = match of == register {
        true => kind,
        false => Kind::Foreign,
    };
    log.add(Record {
        kind,
        register,
        ok: true,
        begin,
        end: now(),
        version,
    });
}

async fn invalidate(log: Log) {
    loop {
        let cycle = nanos(BURST + CALM);
        let place = now() % cycle;
        if place > nanos(BURST) {
            sleep(Duration::from_nanos(cycle - place)).await;
        }
        let register = fastrand::u8(..COUNT);
        registers().advance(register);
        // By groups in one burst of three, and then by some processes only: what groups leave
        // behind, entries would sweep away, and the other way round, and one's own invalidations
        // make up for what was not heard of others'.
        let number = now() / cycle;
        let groups = number.is_multiple_of(3);
        if groups && !(number / 3 + u64::from(std::process::id())).is_multiple_of(3) {
            sleep(BURST).await;
            continue;
        }
        let (kind, reached) = match fastrand::u8(..100) {
            0..20 if groups => (Kind::Everything, 0..COUNT),
            _ if groups => (Kind::Function, reach(register)),
            0..10 => (Kind::Keys, reach(register)),
            _ => (Kind::Entry, register..register + 1),
        };
        let versions: Vec<_> = reached
            .map(|register| (register, registers().version(register)))
            .collect();
        let begin = now();
        let ok = tell(kind, register).await;
        let end = now();
        for (register, version) in versions {
            log.add(Record {
                kind,
                register,
                ok,
                begin,
                end,
                version,
            });
        }
        // At once, and joining whatever still flies.
        for _ in 0..2 {
            let begin = now();
            let held = call(register).await;
            note(Kind::Read, register, begin, held, &log);
        }
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
    }
}

/// The registers of the same function.
fn reach(register: u8) -> std::ops::Range<u8> {
    match register {
        ..BRIEF => 0..BRIEF,
        BRIEF..FAR => BRIEF..FAR,
        _ => FAR..COUNT,
    }
}

/// Whether it was told to the server.
async fn tell(kind: Kind, register: u8) -> bool {
    let name = match register {
        ..BRIEF => "near",
        BRIEF..FAR => "brief",
        _ => "far",
    };
    match kind {
        Kind::Everything => recached::invalidate_all().await.is_ok(),
        Kind::Function => recached::invalidate(name).await.is_ok(),
        Kind::Keys => {
            let pattern = format!("{name}:*");
            recached::invalidate_keys(&pattern).await.is_ok()
        }
        _ => match register {
            ..BRIEF => kept_entry(register).invalidate().await.is_ok(),
            BRIEF..FAR => brief_entry(register).invalidate().await.is_ok(),
            _ => far_entry(register).invalidate().await.is_ok(),
        },
    }
}

/// Whether this runtime runs.
async fn tick(log: Log) {
    let mut before = now();
    loop {
        sleep(TICK).await;
        before = note_stall(before, &log);
    }
}

/// Whether this process runs; and writes down what it did.
fn keep(log: &Log) {
    let mut before = now();
    loop {
        std::thread::sleep(TICK);
        before = note_stall(before, log);
        log.add(Record {
            kind: Kind::Hits,
            register: 0,
            ok: true,
            begin: before,
            end: before,
            version: recached::stats().total.near_hits,
        });
        log.flush();
    }
}

fn note_stall(before: u64, log: &Log) -> u64 {
    let after = now();
    if after - before > nanos(STALL) {
        log.add(Record {
            kind: Kind::Stall,
            register: 0,
            ok: true,
            begin: before,
            end: after,
            version: 0,
        });
    }
    after
}
