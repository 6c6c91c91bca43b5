//! Injects faults into the fleet, several at a time, and records their times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, sleep};
use std::time::{Duration, Instant};

use recached_tests::{Cluster, Fault, Proxy, Sentinels};
use rustix::process::Signal;

use crate::disturbance::{Disturbance, FOUND_OUT};
use crate::fleet::Slot;
use crate::reader;
use crate::record::{nanos, now};
use crate::registers::COUNT;
use crate::servers::{Pair, Servers, replace, succeed};

/// Milliseconds between two faults of a storm.
const PACE: std::ops::Range<u64> = 30..140;

/// Faults come in storms with calm periods in between. Reads in the calm periods reveal stale
/// entries that a storm has left behind.
const STORM: Duration = Duration::from_millis(2_300);
const CALM: Duration = Duration::from_millis(1_700);

/// Round trips to the server above this limit count as a busy machine.
const SLOW: Duration = Duration::from_millis(60);

pub(crate) struct Injector {
    pub(crate) slots: Vec<Mutex<Slot>>,
    servers: Mutex<Servers>,
    /// Port of the primary.
    port: AtomicU16,
    pub(crate) disturbances: Mutex<Vec<Disturbance>>,
    pub(crate) counts: Mutex<BTreeMap<&'static str, u64>>,
    over: AtomicBool,
    /// `true` if there are proxies for faults of the network.
    proxies: bool,
}

/// Bytes that are no valid frame, so that no caller takes them for its reply.
const GARBAGE: [&[u8]; 5] = [
    b"\xff\xfe\x00",
    b"$-7x\r\n",
    b"$99999999\r\n",
    b"*1000000\r\n",
    b">3\r\n",
];

fn ms(range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(fastrand::u64(range))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Injector {
    pub(crate) fn new(servers: Servers, slots: Vec<Slot>) -> Self {
        let proxies = servers.pair().is_some();
        Self {
            port: AtomicU16::new(servers.port()),
            slots: slots.into_iter().map(Mutex::new).collect(),
            servers: Mutex::new(servers),
            disturbances: Mutex::default(),
            counts: Mutex::default(),
            over: AtomicBool::new(false),
            proxies,
        }
    }

    /// Injects faults for this long. Returns when the last fault has ended.
    pub(crate) fn run(&self, time: Duration) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            if !self.proxies {
                // A run this short might otherwise contain no failover.
                scope.spawn(|| self.fail_over());
            }
            while begun.elapsed() < time {
                let storm = Instant::now();
                while storm.elapsed() < STORM {
                    self.begin_one(scope);
                    sleep(ms(PACE));
                }
                sleep(CALM);
            }
        });
    }

    /// Records the times at which the machine is too busy, until the run is over.
    pub(crate) fn feel_the_pulse(&self) {
        let mut line = None;
        let mut port = 0;
        while !self.over.load(Ordering::SeqCst) {
            let wanted = self.port.load(Ordering::SeqCst);
            if line.is_none() || port != wanted {
                port = wanted;
                line = connect(port);
            }
            let begin = now();
            sleep(Duration::from_millis(5));
            if let Some(connection) = &mut line
                && redis::cmd("PING").query::<()>(connection).is_err()
            {
                line = None;
            }
            if now() - begin > nanos(SLOW) {
                self.note("a slow machine", None, begin, now());
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn begin_one<'a>(&'a self, scope: &'a Scope<'a, '_>) {
        // Without proxies there are no network faults, so most faults must hit the servers and not
        // the processes.
        match fastrand::u8(..100) {
            place @ 0..86 if self.proxies || place < 20 => {
                let slot = fastrand::choice(&self.slots).expect("there are some");
                if slot.try_lock().is_ok() {
                    scope.spawn(move || self.disturb_one(&mut lock(slot)));
                }
            }
            0..98 => {
                if self.servers.try_lock().is_ok() {
                    scope.spawn(move || self.disturb_all(&mut lock(&self.servers)));
                }
            }
            _ => drop(scope.spawn(|| self.fail_over())),
        }
    }

    fn disturb_one(&self, slot: &mut Slot) {
        let place = Some(slot.place);
        let begin = now();
        let mut tail = Duration::ZERO;
        let with = |fault, cut: bool, time| {
            let Some(proxy) = &slot.proxy else { return };
            proxy.set(fault);
            if cut {
                proxy.cut();
            }
            sleep(time);
            proxy.set(Fault::None);
        };
        let cut = || slot.proxy.iter().for_each(Proxy::cut);
        let faults = match slot.proxy {
            Some(_) => 0..22,
            None => 18..22,
        };
        let what = match fastrand::u8(faults) {
            0 | 1 => {
                with(Fault::Slow(ms(1..30), ms(1..30)), false, ms(100..800));
                tail = Duration::from_millis(30);
                "slow network"
            }
            2 | 3 => {
                with(Fault::Slow(ms(0..300), ms(0..300)), false, ms(100..1_000));
                tail = Duration::from_millis(300);
                "network slower than the deadline"
            }
            4..7 => {
                with(Fault::Held, false, ms(30..1_000));
                "bytes kept back"
            }
            7 => {
                with(Fault::HalfOpen, false, ms(30..2_000));
                // A connection that has lost bytes stays dead until a heartbeat detects it.
                tail = FOUND_OUT;
                "half-open connections"
            }
            8..10 => {
                with(Fault::Cut(fastrand::usize(..3_000)), false, ms(30..500));
                "replies cut in the middle"
            }
            10 => {
                let garbage = fastrand::choice(GARBAGE).expect("there is some");
                let garbage = Fault::Garbage(fastrand::usize(..3_000), garbage);
                with(garbage, false, ms(30..500));
                tail = FOUND_OUT;
                "garbage among the replies"
            }
            11..15 => {
                with(Fault::Refused, true, ms(30..700));
                "refused connections"
            }
            15..17 => {
                cut();
                "cut connections"
            }
            17 => {
                with(Fault::NoHello, true, ms(300..1_500));
                cut();
                "no RESP3"
            }
            18..20 => {
                slot.signal(Signal::STOP);
                sleep(ms(20..1_500));
                slot.signal(Signal::CONT);
                "stopped process"
            }
            _ => {
                slot.kill();
                slot.start();
                "killed process"
            }
        };
        self.count(what);
        self.note(what, place, begin, now() + nanos(tail));
    }

    fn disturb_all(&self, servers: &mut Servers) {
        let begin = now();
        let (what, tail) = match servers {
            Servers::Pair(pair) => disturb_pair(pair),
            Servers::Cluster(cluster) => disturb_cluster(cluster),
            Servers::Sentinels(sentinels) => disturb_watched(sentinels),
        };
        self.count(what);
        self.note(what, None, begin, now() + nanos(tail));
    }

    fn fail_over(&self) {
        let slots: Vec<_> = self.slots.iter().map(lock).collect();
        let mut servers = lock(&self.servers);
        let begin = now();
        let Servers::Pair(servers) = &mut *servers else {
            drop(slots);
            let (what, tail) = match &mut *servers {
                Servers::Cluster(cluster) => (replace(cluster, fastrand::u16(..SLOTS)), FOUND_OUT),
                Servers::Sentinels(sentinels) => (succeed(sentinels), FOUND_OUT),
                Servers::Pair(_) => return,
            };
            if what {
                self.count("failover");
            }
            return self.note("failover", None, begin, now() + nanos(tail));
        };
        let proxies = || slots.iter().filter_map(|slot| slot.proxy.as_ref());
        for proxy in proxies() {
            proxy.set(Fault::Refused);
            proxy.cut();
        }
        let nobody = Instant::now();
        // The load measurement keeps its own connection.
        while servers.clients() > 1 && nobody.elapsed() < Duration::from_secs(2) {
            sleep(Duration::from_millis(2));
        }
        let done = servers.clients() <= 1 && servers.fail_over();
        let port = servers.primary.port();
        self.port.store(port, Ordering::SeqCst);
        for proxy in proxies() {
            proxy.aim(port);
            proxy.set(Fault::None);
        }
        let what = match done {
            true => "failover",
            false => "outage, with no replica to fail over to",
        };
        self.count(what);
        self.note(what, None, begin, now());
    }

    fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    fn note(&self, what: &str, slot: Option<usize>, begin: u64, end: u64) {
        lock(&self.disturbances).push(Disturbance {
            what: what.to_owned(),
            slot,
            begin,
            end,
        });
    }
}

fn connect(port: u16) -> Option<redis::Connection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
    let limit = Duration::from_secs(1);
    let connection = client.get_connection_with_timeout(limit).ok()?;
    connection.set_read_timeout(Some(limit)).ok()?;
    Some(connection)
}

/// Injects a fault into a primary with a replica.
fn disturb_pair(pair: &mut Pair) -> (&'static str, Duration) {
    let what = match fastrand::u8(..9) {
        0..3 => {
            let _: u64 = pair.primary.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            "killed clients"
        }
        3..5 => {
            let _: () = pair.primary.ask(&["FLUSHALL"]);
            "flushed server"
        }
        5..7 => {
            pair.primary.freeze();
            sleep(ms(20..1_000));
            pair.primary.thaw();
            "stopped server"
        }
        7 => {
            if let Some(place) = another_database() {
                pair.primary.ask::<()>(&["SWAPDB", "0", &place]);
                return ("swapped database", FOUND_OUT);
            }
            let _: () = pair.primary.ask(&["FLUSHALL"]);
            "flushed server"
        }
        _ => {
            pair.restart();
            "killed server"
        }
    };
    (what, Duration::ZERO)
}

/// Returns the number of an empty database. A database swapped out before would restore entries
/// that were invalidated meanwhile.
fn another_database() -> Option<String> {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let place = LAST.fetch_add(1, Ordering::SeqCst) + 1;
    (place < 16).then(|| place.to_string())
}

/// Number of slots of a cluster.
const SLOTS: u16 = 16_384;

/// Injects a fault into a cluster. Returns its name and the time until every process has detected
/// it.
fn disturb_cluster(cluster: &mut Cluster) -> (&'static str, Duration) {
    let place = fastrand::choice(cluster.primaries()).expect("there are three");
    match fastrand::u8(..10) {
        0..2 => {
            let _: u64 = cluster.ask(place, &["CLIENT", "KILL", "TYPE", "normal"]);
            ("killed clients of a node", Duration::ZERO)
        }
        2 => {
            cluster.ask::<()>(place, &["FLUSHALL"]);
            ("flushed node", Duration::ZERO)
        }
        3..5 => {
            cluster.freeze(place);
            // Short enough that the other nodes do not consider the node dead.
            sleep(ms(20..400));
            cluster.thaw(place);
            ("stopped node", Duration::ZERO)
        }
        5..8 => {
            let name = fastrand::choice(["near", "brief", "far"]).expect("there are some");
            let key = match fastrand::u8(..3) {
                0 => format!("history:gen:fn:history.{name}"),
                1 => "history:functions".to_owned(),
                _ => reader::key(fastrand::u8(..COUNT)),
            };
            cluster.move_slot(cluster.slot_of(&key));
            ("moved slot", Duration::ZERO)
        }
        _ => {
            cluster.hand_over(place);
            cluster.is_whole();
            ("primary that hands over", FOUND_OUT)
        }
    }
}

/// Injects a fault into a server behind sentinels.
fn disturb_watched(sentinels: &Sentinels) -> (&'static str, Duration) {
    let primary = sentinels.primary();
    let what = match fastrand::u8(..5) {
        0 => {
            let _: u64 = sentinels.ask(primary, &["CLIENT", "KILL", "TYPE", "normal"]);
            "killed clients"
        }
        1 => {
            sentinels.ask::<()>(primary, &["FLUSHALL"]);
            "flushed server"
        }
        2 => {
            if let Some(place) = another_database() {
                sentinels.ask::<()>(primary, &["SWAPDB", "0", &place]);
                return ("swapped database", FOUND_OUT);
            }
            sentinels.ask::<()>(primary, &["FLUSHALL"]);
            "flushed server"
        }
        _ => {
            sentinels.freeze(primary);
            // Two pauses in a row must not make the sentinels consider the server dead.
            sleep(ms(20..120));
            sentinels.thaw(primary);
            "stopped server"
        }
    };
    (what, Duration::ZERO)
}
