//! The short form of the history checker in `src/bin/history`.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Serializes the tests, because each needs the whole machine.
static TURN: Mutex<()> = Mutex::new(());

fn holds(on: &str, seconds: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let checker = Command::new(env!("CARGO_BIN_EXE_history"))
        .args(["--seconds", seconds, "--on", on])
        .output()
        .expect("it was built with the tests");
    let told = String::from_utf8_lossy(&checker.stdout);
    let errors = String::from_utf8_lossy(&checker.stderr);
    assert!(checker.status.success(), "{told}\n{errors}");
    let count = |what: &str| {
        let count = told.lines().find_map(|line| line.strip_prefix(what));
        count.and_then(|count| count.parse::<u64>().ok())
    };
    // The checker has seen enough operations.
    assert!(count("reads: ") > Some(20_000), "{told}");
    assert!(count("near hits: ") > Some(5_000), "{told}");
    assert!(count("faults: ") > Some(15), "{told}");
}

#[test]
fn no_read_is_older_than_an_invalidation_it_must_have_received() {
    holds("server", "12");
}

#[test]
fn no_read_is_older_on_a_cluster() {
    holds("cluster", "16");
}

#[test]
fn no_read_is_older_where_sentinels_watch() {
    holds("sentinels", "16");
}
