//! A process of the fleet that reads and invalidates the registers through the cache and records
//! its operations.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fork::{Fork, fork};
use recached::Cache;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use tokio::time::{sleep, timeout};

use crate::record::{Kind, Log, Record, nanos, now};
use crate::registers::{COUNT, Registers};

static REGISTERS: OnceLock<Registers> = OnceLock::new();

/// First register whose entries expire early; registers below it use the near cache.
const BRIEF: u8 = 8;
/// First register that is read from Redis each time.
const FAR: u8 = 12;

/// Invalidations come in bursts by all processes at once, with calm periods in between. Reads in
/// the calm periods reveal stale entries that a burst has left behind.
const BURST: Duration = Duration::from_millis(300);
const CALM: Duration = Duration::from_millis(600);

/// Smallest gap between two ticks that counts as a pause of the process.
const STALL: Duration = Duration::from_millis(60);

const TICK: Duration = Duration::from_millis(5);

/// `FORKED` is the time for which a fork may serve inherited near entries, `FORK_LIFE` its maximum
/// lifetime.
const FORKED: Duration = Duration::from_millis(600);
const FORK_LIFE: Duration = Duration::from_secs(5);

/// A value: its register and its version.
type Held = (u8, u64);

/// Defines the functions of one release.
macro_rules! release {
    ($release:ident, version = $version:literal) => {
        mod $release {
            use super::{Held, compute};
            use recached::cached;

            #[cached(
                                                                        ttl = 60,
                                                                        name = "history.near",
                                                                        version = $version,
                                                                        lease = "1s",
                                                                        lease_wait = "5s"
                                                                    )]
            pub(super) async fn kept(register: u8) -> Held {
                compute(register).await
            }

            #[cached(
                                                                        ttl = "700ms",
                                                                        name = "history.brief",
                                                                        version = $version,
                                                                        lease = "1s",
                                                                        lease_wait = "5s"
                                                                    )]
            pub(super) async fn brief(register: u8) -> Held {
                compute(register).await
            }

            #[cached(
                                                                        ttl = 60,
                                                                        name = "history.far",
                                                                        version = $version,
                                                                        near = false,
                                                                        lease = "1s",
                                                                        lease_wait = "5s"
                                                                    )]
            pub(super) async fn far(register: u8) -> Held {
                compute(register).await
            }
        }
    };
}

release! { old, version = 1 }
release! { new, version = 2 }

/// `true` if this process runs the new release.
static IS_NEW: AtomicBool = AtomicBool::new(false);

fn is_new() -> bool {
    IS_NEW.load(Ordering::Relaxed)
}

/// `true` if this process is a fork without a runtime.
static IS_FORK: AtomicBool = AtomicBool::new(false);

/// Reads the version first and then waits for a random time, so the value may be outdated when the
/// computation ends.
async fn compute(register: u8) -> Held {
    let version = registers().version(register);
    if IS_FORK.load(Ordering::Relaxed) {
        return (register, version);
    }
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

/// Key of a register's entry in the old release.
pub(crate) fn key(register: u8) -> String {
    let key = match register {
        ..BRIEF => old::kept_entry(register).key().map(ToString::to_string),
        BRIEF..FAR => old::brief_entry(register).key().map(ToString::to_string),
        _ => old::far_entry(register).key().map(ToString::to_string),
    };
    // The injector has no global cache with this namespace.
    key.expect("it is a key")
        .replacen("recached:", "history:", 1)
}

/// Reads and invalidates until the standard input is closed.
pub(crate) fn run(url: &str, folder: PathBuf, records: PathBuf, is_new: bool) {
    IS_NEW.store(is_new, Ordering::Relaxed);
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
    // The calls of this reader use the connection of the cache's own runtime.
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
    std::thread::spawn(move || multiply(&records));
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
                // A cancelled call.
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
    match (register, is_new()) {
        (..BRIEF, false) => old::kept(register).await,
        (..BRIEF, true) => new::kept(register).await,
        (BRIEF..FAR, false) => old::brief(register).await,
        (BRIEF..FAR, true) => new::brief(register).await,
        (_, false) => old::far(register).await,
        (_, true) => new::far(register).await,
    }
}

/// Forks the process at random intervals. The fork has the near entries of this process and none of
/// its threads.
fn multiply(records: &std::path::Path) {
    for number in 0.. {
        std::thread::sleep(Duration::from_millis(fastrand::u64(500..4_000)));
        match fork() {
            Ok(Fork::Child) => {
                let mut name = records.as_os_str().to_owned();
                name.push(format!("-fork-{number}"));
                read_alone(PathBuf::from(name));
            }
            Ok(Fork::Parent(child)) => reap(child),
            Err(_) => {}
        }
    }
}

/// Body of a fork, which reads and exits.
fn read_alone(records: PathBuf) -> ! {
    IS_FORK.store(true, Ordering::Relaxed);
    let log = Log::to(&records);
    let begun = now();
    log.add(Record {
        kind: Kind::Stall,
        register: 0,
        ok: true,
        begin: begun,
        end: begun + nanos(FORKED),
        version: 0,
    });
    let life = begun + nanos(FORKED) + nanos(Duration::from_millis(fastrand::u64(300..1_500)));
    while now() < life {
        let register = fastrand::u8(..COUNT);
        let begin = now();
        let held = recached_tests::block_on(call(register));
        note(Kind::Read, register, begin, held, &log);
        std::thread::sleep(Duration::from_millis(1));
    }
    log.flush();
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

/// Waits for the end of a fork, and kills it after `FORK_LIFE`. A fork taken while another thread
/// holds a lock of the cache waits for that lock for ever, as in any process with threads.
fn reap(child: i32) {
    let Some(child) = Pid::from_raw(child) else {
        return;
    };
    let begun = now();
    while let Ok(None) = waitpid(Some(child), WaitOptions::NOHANG) {
        if now() - begun > nanos(FORK_LIFE) {
            let _ = kill_process(child, Signal::KILL);
        }
        std::thread::sleep(TICK);
    }
}

async fn refresh(register: u8, log: &Log) {
    let begin = now();
    let held = match (register, is_new()) {
        (..BRIEF, false) => old::kept_entry(register).refresh().await,
        (..BRIEF, true) => new::kept_entry(register).refresh().await,
        (BRIEF..FAR, false) => old::brief_entry(register).refresh().await,
        (BRIEF..FAR, true) => new::brief_entry(register).refresh().await,
        (_, false) => old::far_entry(register).refresh().await,
        (_, true) => new::far_entry(register).refresh().await,
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
        // One burst in three invalidates by groups, and only some processes take part in it.
        // Otherwise, invalidations of entries would hide faults in those of groups and the other
        // way round, and the invalidations of a process would hide missed invalidations of others.
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
        // Read at once and join any flight that still runs.
        for _ in 0..2 {
            let begin = now();
            let held = call(register).await;
            note(Kind::Read, register, begin, held, &log);
        }
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
    }
}

/// Registers of the same function.
fn reach(register: u8) -> std::ops::Range<u8> {
    match register {
        ..BRIEF => 0..BRIEF,
        BRIEF..FAR => BRIEF..FAR,
        _ => FAR..COUNT,
    }
}

/// Invalidates. Returns `true` if the server has received the invalidation.
async fn tell(kind: Kind, register: u8) -> bool {
    let name = match register {
        ..BRIEF => "near",
        BRIEF..FAR => "brief",
        _ => "far",
    };
    match kind {
        Kind::Everything => recached::invalidate_all().await,
        Kind::Function => recached::invalidate(name).await,
        Kind::Keys => recached::invalidate_keys(&format!("{name}:*")).await,
        _ => match (register, is_new()) {
            (..BRIEF, false) => old::kept_entry(register).invalidate().await,
            (..BRIEF, true) => new::kept_entry(register).invalidate().await,
            (BRIEF..FAR, false) => old::brief_entry(register).invalidate().await,
            (BRIEF..FAR, true) => new::brief_entry(register).invalidate().await,
            (_, false) => old::far_entry(register).invalidate().await,
            (_, true) => new::far_entry(register).invalidate().await,
        },
    }
    .is_ok_and(|report| !report.queued)
}

/// Records pauses of this runtime.
async fn tick(log: Log) {
    let mut before = now();
    loop {
        sleep(TICK).await;
        before = note_stall(before, &log);
    }
}

/// Records pauses of this process and its near hits, and writes its records to the file.
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
