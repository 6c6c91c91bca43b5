//! A process that forks, that is stopped and resumed, or whose threads end. No call hangs, no
//! outdated value is served, and all calls return.

use std::time::Duration;

use recached_tests::{Cluster, Server, Source, Worker};
use tokio::time::timeout;

/// Runs the binary for at most a minute and returns its output.
async fn life(turn: &str, place: &str) -> String {
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_process_lives"));
    process.args([turn, place]).kill_on_drop(true);
    match place {
        "process" => process.env_remove("REDIS_URL"),
        url => process.env("REDIS_URL", url),
    };
    let process = process.output();
    let ended = timeout(Duration::from_secs(60), process).await;
    let ended = ended.expect("it is not stuck").expect("it starts");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{errors}");
    said
}

async fn everywhere(turn: &str, wanted: &[&str]) {
    let server = Server::start();
    for place in ["process", &server.url(), &Cluster::shared().url()] {
        let said = life(turn, place).await;
        for line in wanted {
            assert!(said.contains(line), "{place}: {said}");
        }
    }
}

#[tokio::test]
async fn a_fork_computes_and_is_reported_and_its_parent_goes_on() {
    everywhere("fork", &["the child computes", "the parent goes on"]).await;
}

#[tokio::test]
async fn destructors_of_threads_and_of_the_process_may_call_cached_functions() {
    let wanted = [
        "10 is computed at the end",
        "11 is computed at the end",
        "the process ends",
        "20 is computed at the end",
        "21 is computed at the end",
    ];
    everywhere("end", &wanted).await;
}

#[tokio::test]
async fn a_process_that_finds_no_descriptors_at_first_is_cached_later() {
    let wanted = [
        "it computes without descriptors",
        "it is cached with descriptors",
    ];
    everywhere("starve", &wanted).await;
}

/// Longer than the pause after which a process no longer trusts its near entries.
const STOPPED: Duration = Duration::from_secs(1);

async fn stopped(url: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::new(folder.path());
    source.set("0");
    let worker = env!("CARGO_BIN_EXE_worker");
    let mut stopped = Worker::start(worker, url, folder.path()).await;
    let mut other = Worker::start(worker, url, folder.path()).await;
    let mut before = stopped.ask("call 1 0").await;
    for round in 1..=10 {
        // Wait for a near hit, as long as the process takes to use its near cache again.
        stopped
            .until_answers("near 1", &format!("near {before}"))
            .await;
        stopped.freeze();
        tokio::time::sleep(STOPPED).await;
        source.set(&round.to_string());
        assert_eq!(other.ask("entry 1").await, "()");
        // The call is the first thing that the resumed process does.
        stopped.order("call 1 0").await;
        stopped.thaw();
        let after = stopped.answer().await;
        assert_ne!(after, before, "what was invalidated meanwhile is served");
        before = after;
    }
}

#[tokio::test]
async fn a_process_that_was_stopped_serves_nothing_invalidated_meanwhile() {
    let server = Server::start();
    stopped(&server.url()).await;
}

#[tokio::test]
async fn a_process_that_was_stopped_serves_nothing_invalidated_meanwhile_on_a_cluster() {
    stopped(&Cluster::shared().url()).await;
}
