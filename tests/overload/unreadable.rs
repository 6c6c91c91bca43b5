//! The fleet's functions and overrides, with some hash fields that are not text.

use std::time::Duration;

use recached::{Builder, Cache, Policy};
use recached_tests::{Backend, ReceivedEvents, Server, cache_on, on_server_and_cluster, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

on_server_and_cluster! {
    "multi_thread"
    shared [
        names_that_are_no_text_are_skipped_and_reported_once
        an_override_that_is_no_text_leaves_the_others_in_force
        a_namespace_full_of_overrides_is_read_as_far_as_its_bound
        a_namespace_full_of_names_is_invalidated_and_nothing_is_queued
        a_function_that_the_registry_has_no_room_for_is_invalidated_all_the_same
        what_the_fleet_has_set_is_listed_right_after_a_cache_is_built
    ]
    own []
}

fn on(backend: &Backend) -> Builder {
    let builder = Cache::builder().redis(backend.url());
    builder
        .namespace(&backend.namespace)
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
}

/// Sets this many additional fields in a hash of the namespace.
fn fill(backend: &Backend, hash: &str, count: usize, value: &str) {
    let key = format!("{}:{hash}", backend.namespace);
    let mut client = backend.client(&key);
    for batch in (0..count).collect::<Vec<_>>().chunks(5_000) {
        let mut set = redis::cmd("HSET");
        set.arg(&key);
        for field in batch {
            set.arg(format!("ttl:filler{field}")).arg(value);
        }
        set.exec(&mut client).expect("it is set");
    }
}

/// Sets fields that are not text in a hash of the namespace.
fn spoil(backend: &Backend, hash: &str, count: u8) {
    let key = format!("{}:{hash}", backend.namespace);
    let mut set = redis::cmd("HSET");
    set.arg(&key);
    for last in 0..count {
        set.arg(&[0xff, 0xfe, last]).arg("x");
    }
    set.exec(&mut backend.client(&key)).expect("it is set");
}

async fn names_that_are_no_text_are_skipped_and_reported_once(backend: Backend) {
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend));
    cache
        .get_or_compute("legible:1", MINUTE, || async { 1u32 })
        .await;
    spoil(&backend, "functions", 3);
    for _ in 0..3 {
        let report = cache.invalidate("legible*").await.expect("it works");
        assert_eq!(report.functions, ["legible"]);
        assert!(!report.queued);
    }
    let told = told.named("FunctionDegraded");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("3 names"), "{told:?}");
}

async fn an_override_that_is_no_text_leaves_the_others_in_force(backend: Backend) {
    let told = ReceivedEvents::default();
    let (one, two) = (backend.cache(), told.by(on(&backend)));
    spoil(&backend, "settings", 3);
    let fleet = one.overrides().fleet();
    fleet.disable("legible").await.expect("it works");
    until("the other has read it", || async {
        two.overrides().list().len() == 1
    })
    .await;
    two.get_or_compute("legible:1", MINUTE, || async { 1u32 })
        .await;
    assert_eq!(two.stats().function("legible").bypasses, 1);
    // The overrides are read again, and reported as before.
    fleet.enable("legible").await.expect("it works");
    until("the other has read it again", || async {
        let list = two.overrides().list();
        list.len() == 1 && list[0].to_string().contains("on")
    })
    .await;
    let told = told.named("OverrideIgnored");
    assert_eq!(told.len(), 3, "{told:?}");
}

async fn a_namespace_full_of_overrides_is_read_as_far_as_its_bound(backend: Backend) {
    fill(&backend, "settings", 200_000, r#"{"ms":60000,"by":"ada"}"#);
    let told = ReceivedEvents::default();
    let cache = told.by(on(&backend));
    until("what is beyond the bound is told", || async {
        told.count("OverrideIgnored") > 0
    })
    .await;
    let ignored = told.named("OverrideIgnored");
    assert_eq!(ignored.len(), 1, "{ignored:?}");
    assert!(ignored[0].contains("10000"), "{ignored:?}");
    // The connection serves calls all the time.
    for _ in 0..20 {
        let value = cache.get_or_compute("served:1", MINUTE, || async { 1u32 });
        assert_eq!(value.await, 1);
    }
    let stats = cache.stats().function("served");
    assert_eq!((stats.computations, stats.errors), (1, 0), "{stats:?}");
    assert_eq!(told.count("Disconnected"), 0, "{:?}", told.all());
}

async fn a_namespace_full_of_names_is_invalidated_and_nothing_is_queued(backend: Backend) {
    let cache = backend.cache();
    let call = async || {
        let runs = cache.stats().function("known").computations;
        cache
            .get_or_compute("known:1", MINUTE, || async { 1u32 })
            .await;
        cache.stats().function("known").computations - runs
    };
    assert_eq!((call().await, call().await), (1, 0));
    fill(&backend, "functions", 200_000, "");
    let report = cache.invalidate("known").await.expect("it works");
    assert!(!report.queued, "{report:?}");
    assert_eq!(call().await, 1);
    cache.check().await.expect("nothing waits");
}

async fn a_function_that_the_registry_has_no_room_for_is_invalidated_all_the_same(
    backend: Backend,
) {
    fill(&backend, "functions", 100_000, "");
    let [one, two] = [(); 2].map(|()| backend.cache());
    let call = async || {
        let runs = one.stats().function("beyond").computations;
        one.get_or_compute("beyond:1", MINUTE, || async { 1u32 })
            .await;
        one.stats().function("beyond").computations - runs
    };
    assert_eq!((call().await, call().await), (1, 0));
    let report = two.invalidate("beyond").await.expect("it works");
    assert!(!report.queued);
    until("it is computed anew", || async { call().await == 1 }).await;
    let marked: bool = backend.ask(&["HEXISTS", "{ns}:functions", "*"]);
    assert!(marked, "others are there");
}

async fn what_the_fleet_has_set_is_listed_right_after_a_cache_is_built(backend: Backend) {
    let one = backend.cache();
    let author = "ada\u{1b}[2J\nroot";
    one.overrides()
        .fleet()
        .by(author)
        .disable("listed")
        .await
        .expect("it works");
    for _ in 0..5 {
        let list = backend.cache().overrides().fleet().list().await;
        let list = list.expect("the server is there");
        assert_eq!(list.len(), 1);
        let line = list[0].to_string();
        assert!(line.contains("listed: off"), "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_ends_what_the_fleet_has_set() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "flushed"));
    one.overrides()
        .fleet()
        .disable("some")
        .await
        .expect("it works");
    until("the other has read it", || async {
        two.overrides().list().len() == 1
    })
    .await;
    let _: () = server.ask(&["FLUSHALL"]);
    for cache in [&one, &two] {
        until("it is taken back", || async {
            cache.overrides().list().is_empty()
        })
        .await;
    }
}
