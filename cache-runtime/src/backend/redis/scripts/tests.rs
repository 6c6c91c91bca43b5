//! Tests each script on a real server: the keys that it changes, and the keys that it must not
//! change.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, Script, Value, cmd};

use super::{SCRIPTS, claimed};

const STAMP: &str = "stamp-stamp-stam";
const OTHER_STAMP: &str = "other-other-othe";
const OURS: &str = "token-token-toke";
const THEIRS: &str = "their-their-thei";
/// Life of a lease, in milliseconds.
const LIFE: u64 = 10_000;

/// A server for one test, on a Unix socket. It ends with the test.
struct Server {
    process: Child,
    socket: std::path::PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Server {
    fn start() -> (Self, Connection) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("recached-{}-{count}.sock", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let binary = std::env::var("REDISRS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
        let process = Command::new(binary)
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("there is a redis-server");
        let server = Self { process, socket };
        let url = format!("redis+unix://{}", server.socket.display());
        let client = redis::Client::open(url).expect("the url is good");
        let begun = Instant::now();
        loop {
            match client.get_connection() {
                Ok(connection) => return (server, connection),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ask<T: FromRedisValue>(server: &mut Connection, words: &[&str]) -> T {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command.query(server).expect("the command is good")
}

fn lease(token: &str, stamp: &str, life: u64) -> String {
    format!("{token}{stamp}{life}")
}

/// Arguments of a claim. Each test changes the ones that it is about.
struct Claim<'a> {
    stamp: &'a str,
    reach: &'a str,
    replaced: &'a str,
    min_remaining_ttl: i64,
    most: u64,
    respects_pause: u8,
}

const CLAIM: Claim<'static> = Claim {
    stamp: STAMP,
    reach: "normal",
    replaced: "",
    min_remaining_ttl: -2,
    most: 1_000,
    respects_pause: 1,
};

impl Claim<'_> {
    fn run(&self, server: &mut Connection) -> Value {
        let mut call = SCRIPTS.claim.key("entry");
        call.key("lease")
            .arg(lease(OURS, self.stamp, LIFE))
            .arg(LIFE)
            .arg("mark")
            .arg(self.reach)
            .arg(format!(
                "{} {} {}",
                self.min_remaining_ttl, self.most, self.respects_pause
            ));
        if !self.replaced.is_empty() {
            call.arg(self.replaced);
        }
        call.invoke(server).expect("the script runs")
    }

    fn answer(&self, server: &mut Connection) -> i64 {
        match self.run(server) {
            Value::Int(answer) => answer,
            Value::Array(reply) => match reply.first() {
                Some(Value::Int(answer)) => *answer,
                other => panic!("no answer to a claim: {other:?}"),
            },
            other => panic!("no answer to a claim: {other:?}"),
        }
    }
}

fn generation(server: &mut Connection, fresh: &str, life: u64) -> (String, u8) {
    let mut call = SCRIPTS.generation.key("group");
    call.arg(fresh).arg(life);
    call.invoke(server).expect("the script runs")
}

#[test]
fn a_generation_is_never_overwritten_by_a_reader() {
    let (_server, mut server) = Server::start();
    assert_eq!(generation(&mut server, OURS, 0), (OURS.into(), 0));
    assert_eq!(ask::<i64>(&mut server, &["PTTL", "group"]), -1);
    assert_eq!(generation(&mut server, THEIRS, LIFE), (OURS.into(), 0));
    assert_eq!(ask::<i64>(&mut server, &["PTTL", "group"]), -1);
    ask::<()>(&mut server, &["DEL", "group"]);
    assert_eq!(generation(&mut server, THEIRS, LIFE), (THEIRS.into(), 0));
    assert!((1..=10_000).contains(&ask::<i64>(&mut server, &["PTTL", "group"])));
}

#[test]
fn a_damaged_generation_is_replaced_whatever_its_type() {
    let (_server, mut server) = Server::start();
    for damage in [
        &["SET", "group", "short"][..],
        &["SET", "group", "seventeen-bytes-x"],
        &["SET", "group", ""],
        &["INCR", "group"],
        &["RPUSH", "group", "x"],
        &["SADD", "group", "x"],
        &["ZADD", "group", "1", "x"],
        &["HSET", "group", "x", "y"],
        &["XADD", "group", "*", "x", "y"],
    ] {
        ask::<()>(&mut server, &["DEL", "group"]);
        ask::<Value>(&mut server, damage);
        assert_eq!(
            generation(&mut server, OURS, 0),
            (OURS.into(), 1),
            "{damage:?}"
        );
        assert_eq!(
            generation(&mut server, THEIRS, 0),
            (OURS.into(), 0),
            "{damage:?}"
        );
    }
}

#[test]
fn a_claim_leaves_a_live_lease_to_its_holder() {
    let (_server, mut server) = Server::start();
    let theirs = lease(THEIRS, STAMP, LIFE);
    ask::<()>(&mut server, &["SET", "lease", &theirs, "PX", "5000"]);
    assert_eq!(CLAIM.answer(&mut server), claimed::HELD);
    assert_eq!(ask::<String>(&mut server, &["GET", "lease"]), theirs);
    // The lease of a holder with a longer `lease` option is not taken over.
    let longer = lease(THEIRS, STAMP, 60_000);
    ask::<()>(&mut server, &["SET", "lease", &longer, "PX", "60000"]);
    assert_eq!(CLAIM.answer(&mut server), claimed::HELD);
    let force = Claim {
        reach: "force",
        ..CLAIM
    };
    assert_eq!(force.answer(&mut server), claimed::GRANTED);
    assert_eq!(
        ask::<String>(&mut server, &["GET", "lease"]),
        lease(OURS, STAMP, LIFE)
    );
}

#[test]
fn a_claim_that_is_sent_twice_is_granted_twice() {
    let (_server, mut server) = Server::start();
    for _ in 0..2 {
        assert_eq!(CLAIM.answer(&mut server), claimed::GRANTED);
        assert_eq!(
            ask::<String>(&mut server, &["GET", "lease"]),
            lease(OURS, STAMP, LIFE)
        );
    }
}

#[test]
fn a_claim_takes_over_a_lease_of_another_stamp_only_by_its_value() {
    let (_server, mut server) = Server::start();
    let theirs = lease(THEIRS, OTHER_STAMP, LIFE);
    ask::<()>(&mut server, &["SET", "lease", &theirs, "PX", "5000"]);
    let older = lease(OURS, OTHER_STAMP, LIFE);
    for replaced in ["", older.as_str()] {
        let claim = Claim { replaced, ..CLAIM };
        assert_eq!(claim.answer(&mut server), claimed::OTHER_STAMP);
        assert_eq!(ask::<String>(&mut server, &["GET", "lease"]), theirs);
    }
    let claim = Claim {
        replaced: &theirs,
        ..CLAIM
    };
    assert_eq!(claim.answer(&mut server), claimed::GRANTED);
    assert_eq!(
        ask::<String>(&mut server, &["GET", "lease"]),
        lease(OURS, STAMP, LIFE)
    );
}

#[test]
fn a_claim_takes_over_a_lease_that_outlives_its_own_life() {
    let (_server, mut server) = Server::start();
    for stamp in [STAMP, OTHER_STAMP] {
        let theirs = lease(THEIRS, stamp, LIFE);
        for lasting in [&["PERSIST", "lease"][..], &["PEXPIRE", "lease", "3600000"]] {
            ask::<()>(&mut server, &["SET", "lease", &theirs, "PX", "5000"]);
            ask::<i64>(&mut server, lasting);
            assert_eq!(CLAIM.answer(&mut server), claimed::GRANTED, "{lasting:?}");
            let left = ask::<i64>(&mut server, &["PTTL", "lease"]);
            assert!((1..=10_000).contains(&left), "{left}");
        }
    }
}

#[test]
fn a_claim_respects_a_pause_if_it_is_asked_to() {
    let (_server, mut server) = Server::start();
    let pause = lease(&"\0".repeat(16), STAMP, 1_000);
    ask::<()>(&mut server, &["SET", "lease", &pause, "PX", "1000"]);
    assert_eq!(CLAIM.answer(&mut server), claimed::PAUSED);
    let claim = Claim {
        respects_pause: 0,
        ..CLAIM
    };
    assert_eq!(claim.answer(&mut server), claimed::GRANTED);
}

#[test]
fn a_claim_finds_only_an_entry_that_is_of_use() {
    let (_server, mut server) = Server::start();
    let mut answer = |claim: &Claim<'_>, entry: &str, px: &str| {
        ask::<()>(&mut server, &["DEL", "lease"]);
        ask::<()>(&mut server, &["SET", "entry", entry, "PX", px]);
        claim.answer(&mut server)
    };
    assert_eq!(answer(&CLAIM, "mark: value", "5000"), claimed::FOUND);
    assert_eq!(answer(&CLAIM, "another mark", "5000"), claimed::GRANTED);
    // The fourth byte is the codec, which may differ: each entry records its own codec.
    assert_eq!(answer(&CLAIM, "marM: value", "5000"), claimed::FOUND);
    let min_remaining_ttl = Claim {
        min_remaining_ttl: 5_000,
        ..CLAIM
    };
    assert_eq!(
        answer(&min_remaining_ttl, "mark: value", "4000"),
        claimed::GRANTED
    );
    assert_eq!(
        answer(&min_remaining_ttl, "mark: value", "60000"),
        claimed::FOUND
    );
    let small = Claim { most: 10, ..CLAIM };
    assert_eq!(answer(&small, "mark: value", "5000"), claimed::GRANTED);
    let ignore = Claim {
        reach: "ignore",
        ..CLAIM
    };
    assert_eq!(answer(&ignore, "mark: value", "5000"), claimed::GRANTED);
}

#[test]
fn a_claim_replaces_what_is_no_entry_or_no_lease() {
    let (_server, mut server) = Server::start();
    for key in ["entry", "lease"] {
        for damage in [
            &["RPUSH", key, "x"][..],
            &["SADD", key, "x"],
            &["ZADD", key, "1", "x"],
            &["HSET", key, "x", "y"],
            &["XADD", key, "*", "x", "y"],
        ] {
            ask::<()>(&mut server, &["DEL", "entry", "lease"]);
            ask::<Value>(&mut server, damage);
            let granted = Value::Array(vec![Value::Int(claimed::GRANTED), Value::Int(1)]);
            assert_eq!(CLAIM.run(&mut server), granted, "{damage:?}");
            assert_eq!(
                ask::<String>(&mut server, &["GET", "lease"]),
                lease(OURS, STAMP, LIFE)
            );
        }
    }
}

/// Runs each operation of a holder with the holder's token and with another one.
#[test]
fn only_the_holder_renews_fills_pauses_and_releases() {
    let (_server, mut server) = Server::start();
    for token in [OURS, THEIRS] {
        let ours = i64::from(token == OURS);
        let held = |server: &mut Connection| {
            ask::<()>(server, &["DEL", "entry"]);
            ask::<()>(
                server,
                &["SET", "lease", &lease(OURS, STAMP, LIFE), "PX", "5000"],
            );
        };
        held(&mut server);
        let mut renew = SCRIPTS.renew.key("lease");
        let renewed: i64 = renew
            .arg(token)
            .arg(LIFE)
            .invoke(&mut server)
            .expect("runs");
        assert_eq!(renewed, ours);
        assert_eq!(
            ask::<i64>(&mut server, &["PTTL", "lease"]) > 5_000,
            token == OURS
        );

        held(&mut server);
        let mut fill = SCRIPTS.fill.key("entry");
        fill.key("lease").arg(token).arg("value").arg(LIFE);
        assert_eq!(fill.invoke::<i64>(&mut server).expect("runs"), ours);
        let stored: Option<String> = ask(&mut server, &["GET", "entry"]);
        assert_eq!(stored.as_deref() == Some("value"), token == OURS);
        assert_eq!(ask::<i64>(&mut server, &["EXISTS", "lease"]), 1 - ours);

        held(&mut server);
        let mut pause = SCRIPTS.pause.key("lease");
        let paused: i64 = pause.arg(token).arg(700).invoke(&mut server).expect("runs");
        assert_eq!(paused, ours);
        let left: Vec<u8> = ask(&mut server, &["GET", "lease"]);
        assert_eq!(left.starts_with(&[0; 16]), token == OURS);

        held(&mut server);
        let mut release = SCRIPTS.release.key("lease");
        let released: i64 = release.arg(token).invoke(&mut server).expect("runs");
        assert_eq!(released, ours);
        assert_eq!(ask::<i64>(&mut server, &["EXISTS", "lease"]), 1 - ours);
    }
}

#[test]
fn what_is_no_lease_any_more_is_nobodys_and_no_error() {
    let (_server, mut server) = Server::start();
    for damage in [
        &["RPUSH", "lease", "x"][..],
        &["SADD", "lease", "x"],
        &["HSET", "lease", "x", "y"],
    ] {
        ask::<()>(&mut server, &["DEL", "lease"]);
        ask::<Value>(&mut server, damage);
        let scripts = &*SCRIPTS;
        let mut ask = |script: &Script, keys: &[&str], arguments: &[&str]| {
            let mut call = script.prepare_invoke();
            for key in keys {
                call.key(*key);
            }
            for argument in arguments {
                call.arg(*argument);
            }
            call.invoke::<i64>(&mut server).ok()
        };
        let (lease, both) = (&["lease"][..], &["entry", "lease"][..]);
        let answers = [
            ask(&scripts.renew, lease, &[OURS, "1000"]),
            ask(&scripts.fill, both, &[OURS, "entry", "1000"]),
            ask(&scripts.pause, lease, &[OURS, "1000"]),
            ask(&scripts.release, lease, &[OURS]),
        ];
        assert_eq!(answers, [Some(0); 4], "{damage:?}");
        assert_eq!(ask(&scripts.renew, &["entry"], &[OURS, "1000"]), Some(0));
    }
}
