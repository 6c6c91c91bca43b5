//! Several processes on one server or one cluster.

use std::time::{Duration, Instant};

use recached::Policy;
use recached_tests::{Cluster, Server, Source, Worker, cache_on, now, until};
use tempfile::TempDir;

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

struct Fleet {
    place: Place,
    folder: TempDir,
    source: Source,
}

enum Place {
    Server(Server),
    Cluster(Cluster),
}

impl Fleet {
    fn new() -> Self {
        Self::on(Place::Server(Server::start()))
    }

    fn on_a_cluster() -> Self {
        Self::on(Place::Cluster(Cluster::start()))
    }

    fn on(place: Place) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Source::new(folder.path());
        source.set("old");
        Self {
            place,
            folder,
            source,
        }
    }

    async fn worker(&self) -> Worker {
        Worker::start(WORKER, &self.url(), self.folder.path()).await
    }

    fn url(&self) -> String {
        match &self.place {
            Place::Server(server) => server.url(),
            Place::Cluster(cluster) => cluster.url(),
        }
    }

    /// Sends one command to each server that accepts writes.
    fn tell<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> Vec<T> {
        match &self.place {
            Place::Server(server) => vec![server.ask(words)],
            Place::Cluster(cluster) => {
                let primaries = cluster.primaries().into_iter();
                primaries.map(|place| cluster.ask(place, words)).collect()
            }
        }
    }

    /// Sends one command about a key, its second word, to the server that stores the key.
    fn ask<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> T {
        match &self.place {
            Place::Server(server) => server.ask(words),
            Place::Cluster(cluster) => {
                cluster.ask(cluster.primary_of(cluster.slot_of(words[1])), words)
            }
        }
    }

    async fn workers(&self, count: usize) -> Vec<Worker> {
        let mut workers = Vec::new();
        for _ in 0..count {
            workers.push(self.worker().await);
        }
        workers
    }

    async fn begun(&self, count: usize) {
        until(&format!("{count} computations have begun"), || async {
            self.source.begun() >= count
        })
        .await;
    }
}

/// Expands each claim to a test on a server and a test on a cluster.
macro_rules! on_both {
    ($($claim:ident)+) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() { super::$claim(super::Fleet::new()).await })+
        }
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() { super::$claim(super::Fleet::on_a_cluster()).await })+
        }
    };
}

on_both! {
    four_processes_of_fifty_tasks_compute_a_cold_key_once
    an_invalidation_in_one_process_reaches_the_others
    a_late_fill_of_another_process_never_lands
    who_calls_after_an_invalidation_elsewhere_does_not_join_what_began_before
    a_killed_holder_delays_others_by_a_lease_and_one_succeeds_it
    a_computation_longer_than_its_lease_is_not_run_twice
    a_holder_frozen_beyond_its_lease_does_not_overwrite_its_successor
    a_live_process_restores_the_names_when_their_key_goes
    a_lost_generation_means_a_miss_and_never_an_old_value
    a_setting_for_the_fleet_is_in_force_in_every_process_at_once
}

async fn four_processes_of_fifty_tasks_compute_a_cold_key_once(fleet: Fleet) {
    let mut workers = fleet.workers(4).await;
    for round in 1..=5 {
        for worker in &mut workers {
            worker.order(&format!("burst 50 {round} 50")).await;
        }
        for worker in &mut workers {
            worker.answer().await.parse::<u64>().expect("microseconds");
        }
        assert_eq!(fleet.source.begun(), round, "one computation per cold key");
    }
}

async fn an_invalidation_in_one_process_reaches_the_others(fleet: Fleet) {
    let mut workers = fleet.workers(3).await;
    for order in ["invalidate report", "keys report:*", "all", "entry 1"] {
        fleet.source.set(&format!("before {order}"));
        for worker in &mut workers {
            worker.ask(&format!("invalidate {}", "fleet.*")).await;
        }
        for worker in &mut workers {
            assert_eq!(worker.ask("call 1 0").await, format!("1:before {order}"));
        }
        fleet.source.set(&format!("after {order}"));
        let told = workers[0].ask(order).await;
        assert!(!told.starts_with("error"), "{told}");
        // Takes effect at once in the process itself, and in the others when the push arrives.
        let after = format!("1:after {order}");
        assert_eq!(workers[0].ask("call 1 0").await, after);
        for worker in &mut workers {
            worker.until_answers("call 1 0", &after).await;
            assert_eq!(worker.ask("call 1 0").await, after, "once new, always new");
        }
    }
}

async fn a_late_fill_of_another_process_never_lands(fleet: Fleet) {
    let mut workers = fleet.workers(3).await;
    for (round, order) in ["invalidate report", "keys report:*", "all", "entry 7"]
        .iter()
        .enumerate()
    {
        fleet.source.set("old");
        let begun = fleet.source.begun();
        workers[0].ask("invalidate report").await;
        workers[0].order("begin 7 400").await;
        fleet.begun(begun + 1).await;
        // The first process computes; the second process invalidates.
        fleet.source.set(&format!("new {round}"));
        let told = workers[1].ask(order).await;
        assert!(!told.starts_with("error"), "{told}");
        let new = format!("7:new {round}");
        assert_eq!(workers[1].ask("call 7 0").await, new, "{order}");
        workers[2].until_answers("call 7 0", &new).await;
        // The next read of the first process already respects the invalidation.
        assert_eq!(workers[0].ask("join").await, "7:old");
        for worker in &mut workers {
            assert_eq!(
                worker.ask("call 7 0").await,
                new,
                "after the late fill: {order}"
            );
        }
    }
}

async fn who_calls_after_an_invalidation_elsewhere_does_not_join_what_began_before(fleet: Fleet) {
    let mut workers = fleet.workers(2).await;
    for (round, order) in ["invalidate report", "all", "entry 5", "keys report:5*"]
        .iter()
        .enumerate()
    {
        fleet.source.set("old");
        workers[0].ask("invalidate report").await;
        let begun = fleet.source.begun();
        // Longer than this test waits for anything.
        workers[0].order("begin 5 600000").await;
        fleet.begun(begun + 1).await;
        fleet.source.set(&format!("new {round}"));
        workers[1].ask(order).await;
        // When the push has arrived, the first process starts another flight.
        let new = format!("5:new {round}");
        workers[0].until_answers("try 5 0 50", &new).await;
        assert_eq!(workers[0].ask("abort").await, "aborted");
        assert_eq!(workers[0].ask("call 5 0").await, new, "{order}");
    }
}

async fn a_killed_holder_delays_others_by_a_lease_and_one_succeeds_it(fleet: Fleet) {
    let mut workers = fleet.workers(4).await;
    workers[0].order("begin 3 60000").await;
    fleet.begun(1).await;
    let mut others = workers.split_off(1);
    for worker in &mut others {
        for _ in 0..10 {
            worker.order("begin 3 20").await;
        }
        // The first call of each process waits for the lease; the others join its flight.
        worker.until_answers("waits", "1").await;
    }
    let killed = Instant::now();
    workers.remove(0).kill().await;
    for worker in &mut others {
        for _ in 0..10 {
            assert_eq!(worker.ask("join").await, "3:old");
        }
    }
    // A lease of one second, and time for a busy machine.
    assert!(
        killed.elapsed() < Duration::from_secs(4),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(
        fleet.source.begun(),
        2,
        "the dead one's, and one successor's"
    );
}

async fn a_computation_longer_than_its_lease_is_not_run_twice(fleet: Fleet) {
    let mut workers = fleet.workers(2).await;
    // Three times the lease of one second.
    workers[0].order("begin 4 3000").await;
    fleet.begun(1).await;
    assert_eq!(workers[1].ask("call 4 0").await, "4:old");
    assert_eq!(fleet.source.begun(), 1);
}

async fn a_holder_frozen_beyond_its_lease_does_not_overwrite_its_successor(fleet: Fleet) {
    let mut workers = fleet.workers(2).await;
    workers[0].order("begin 6 300").await;
    fleet.begun(1).await;
    workers[0].freeze();
    fleet.source.set("new");
    assert_eq!(workers[1].ask("call 6 0").await, "6:new");
    workers[0].thaw();
    assert_eq!(workers[0].ask("join").await, "6:old");
    for worker in &mut workers {
        assert_eq!(worker.ask("call 6 0").await, "6:new");
    }
}

async fn a_live_process_restores_the_names_when_their_key_goes(fleet: Fleet) {
    let mut workers = fleet.workers(2).await;
    assert_eq!(workers[0].ask("call 1 0").await, "1:old");
    let known = || {
        let mut names = fleet.ask::<Vec<String>>(&["HKEYS", "fleet:functions"]);
        // Ignore the function that shows whether a worker is connected.
        names.retain(|name| name != "reaches");
        names
    };
    assert_eq!(known(), ["fleet.report"]);
    let _: u64 = fleet.ask(&["DEL", "fleet:functions"]);
    until("the name is back", || async { known() == ["fleet.report"] }).await;
    // A process that has never called the function invalidates it by name.
    fleet.source.set("new");
    assert_eq!(
        workers[1].ask("invalidate rep*").await,
        r#"["fleet.report"]"#
    );
    assert_eq!(workers[0].ask("call 1 0").await, "1:new");
}

async fn a_lost_generation_means_a_miss_and_never_an_old_value(fleet: Fleet) {
    let mut worker = fleet.worker().await;
    assert_eq!(worker.ask("call 1 0").await, "1:old");
    fleet.source.set("new");
    worker.ask("invalidate report").await;
    // The entry of the old generation is still stored.
    let entries: Vec<Vec<String>> = fleet.tell(&["KEYS", "fleet:fleet.report@*:1"]);
    assert!(!entries.concat().is_empty());
    let generations: Vec<Vec<String>> = fleet.tell(&["KEYS", "fleet:gen:*"]);
    for key in generations.concat() {
        let _: u64 = fleet.ask(&["DEL", &key]);
    }
    assert_eq!(worker.ask("call 1 0").await, "1:new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_of_a_function_costs_the_same_for_any_number_of_entries() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "many");
    let minute = Policy::new(Duration::from_secs(60));
    cache.put("many:0", minute, 1u32).await.expect("it works");
    let touched = |server: &Server| {
        let info: String = server.ask(&["INFO", "stats"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .expect("INFO tells")
    };
    let mut costs = Vec::new();
    for entries in [10u64, 5_000] {
        for id in 0..entries {
            cache
                .put(&format!("many:{id}"), minute, 1u32)
                .await
                .expect("it works");
        }
        let before = touched(&server);
        let _ = cache.invalidate("many").await.expect("it works");
        costs.push(touched(&server) - before);
        assert_eq!(cache.get::<u32>("many:1").await.expect("it works"), None);
    }
    // Apart from heartbeats, a few commands regardless of the number.
    assert!(costs.iter().all(|cost| *cost < 12), "{costs:?}");
}

async fn a_setting_for_the_fleet_is_in_force_in_every_process_at_once(fleet: Fleet) {
    let mut workers = fleet.workers(4).await;
    for worker in &mut workers {
        worker.ask("call 1 0").await;
    }
    let cache = cache_on(&fleet.url(), "fleet");
    let settings = cache.overrides();
    let mut lags = Vec::new();
    for _ in 0..5 {
        for worker in &mut workers {
            worker.order("off 1").await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let set = now();
        let functions = settings.fleet().by("ada").disable("report").await;
        assert_eq!(functions.expect("it works"), ["fleet.report"]);
        let mut last = 0;
        for worker in &mut workers {
            last = last.max(worker.answer().await.parse().expect("a number"));
        }
        lags.push(Duration::from_nanos(
            u64::try_from(last - set).expect("it is later"),
        ));
        settings.fleet().reset("report").await.expect("it works");
        let runs = fleet.source.begun();
        for worker in &mut workers {
            worker.until_answers("call 1 0", "1:old").await;
        }
        until("all are served again", || async {
            fleet.source.begun() - runs < 100
        })
        .await;
    }
    lags.sort();
    println!("in force in 4 processes after {lags:?}");
    // Far more than it takes, and far less than a heartbeat interval.
    assert!(lags[2] < Duration::from_millis(500), "{lags:?}");
    // The override also applies after a restart.
    settings.fleet().disable("report").await.expect("it works");
    let mut fresh = fleet.worker().await;
    fresh.ask("off 1").await;
}
