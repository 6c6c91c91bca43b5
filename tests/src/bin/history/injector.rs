//! Does faults to the fleet, several at a time, and notes when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, sleep};
use std::time::{Duration, Instant};

use recached_tests::Fault;
use rustix::process::Signal;

use crate::disturbance::{Disturbance, FOUND_OUT};
use crate::fleet::{Servers, Slot};
use crate::record::{nanos, now};

/// From one fault to the next, in a storm.
const PACE: std::ops::Range<u64> = 30..140;

/// Faults come in storms, with calm between: what they have left behind is seen in the calm.
const STORM: Duration = Duration::from_millis(2_300);
const CALM: Duration = Duration::from_millis(1_700);

/// A round trip to the server longer than this says that the machine is in the way.
const SLOW: Duration = Duration::from_millis(60);

pub(crate) struct Injector {
    pub(crate) slots: Vec<Mutex<Slot>>,
    servers: Mutex<Servers>,
    /// The port of the primary.
    port: AtomicU16,
    pub(crate) disturbances: Mutex<Vec<Disturbance>>,
    pub(crate) counts: Mutex<BTreeMap<&'static str, u64>>,
    over: AtomicBool,
}

/// What stands among replies and makes no frame: it can't be taken for somebody's answer.
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
        Self {
            port: AtomicU16::new(servers.primary.port()),
            slots: slots.into_iter().map(Mutex::new).collect(),
            servers: Mutex::new(servers),
            disturbances: Mutex::default(),
            counts: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Faults for so long, then none; returns when the last one has ended.
    pub(crate) fn run(&self, time: Duration) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
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

    /// Notes when the machine is in the way, until told to stop.
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
        match fastrand::u8(..100) {
            0..86 => {
                let slot = fastrand::choice(&self.slots).expect("there are some");
                if slot.try_lock().is_ok() {
                    scope.spawn(move || self.disturb_one(&mut lock(slot)));
                }
            }
            86..98 => {
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
            slot.proxy.set(fault);
            if cut {
                slot.proxy.cut();
            }
            sleep(time);
            slot.proxy.set(Fault::None);
        };
        let what = match fastrand::u8(..22) {
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
                // What has lost bytes stays dead until a heartbeat finds out.
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
                slot.proxy.cut();
                "cut connections"
            }
            17 => {
                with(Fault::NoHello, true, ms(300..1_500));
                slot.proxy.cut();
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
        let what = match fastrand::u8(..8) {
            0..3 => {
                let _: u64 = servers.primary.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
                "killed clients"
            }
            3..5 => {
                let _: () = servers.primary.ask(&["FLUSHALL"]);
                "flushed server"
            }
            5..7 => {
                servers.primary.freeze();
                sleep(ms(20..1_000));
                servers.primary.thaw();
                "stopped server"
            }
            _ => {
                servers.restart();
                "killed server"
            }
        };
        self.count(what);
        self.note(what, None, begin, now());
    }

    fn fail_over(&self) {
        let slots: Vec<_> = self.slots.iter().map(lock).collect();
        let mut servers = lock(&self.servers);
        let begin = now();
        for slot in &slots {
            slot.proxy.set(Fault::Refused);
            slot.proxy.cut();
        }
        let nobody = Instant::now();
        // The pulse's connection stays.
        while servers.clients() > 1 && nobody.elapsed() < Duration::from_secs(2) {
            sleep(Duration::from_millis(2));
        }
        let done = servers.clients() <= 1 && servers.fail_over();
        let port = servers.primary.port();
        self.port.store(port, Ordering::SeqCst);
        for slot in &slots {
            slot.proxy.aim(port);
            slot.proxy.set(Fault::None);
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
