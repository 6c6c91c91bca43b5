//! A server with data that recached has not written, and a network that mixes up replies.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recached::{Cache, Credentials, Event, Policy, cached};
use recached_tests::{Backend, Fault, Proxy, Server, cache_on, on_server_and_cluster, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

on_server_and_cluster! {
    "multi_thread"
    shared [
        what_stands_in_the_place_of_an_entry_or_a_lease_is_replaced_and_reported_once
        a_damaged_generation_is_replaced_and_reported_once
        a_lease_that_outlives_its_own_life_is_taken_over
        something_else_in_the_place_of_the_registry_costs_no_invalidation
    ]
    own []
}

/// A cache and the events that its observer has received.
fn observed(url: &str, namespace: &str) -> (Cache, Arc<Mutex<Vec<String>>>) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let keep = Arc::clone(&told);
    let cache = Cache::builder()
        .redis(url)
        .namespace(namespace)
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
        .observer(move |event| {
            let text = match event {
                Event::FunctionDegraded { function, error } => format!("{function}: {error}"),
                event => format!("{event:?}"),
            };
            keep.lock().expect("no panic").push(text);
        });
    (cache.build().expect("the url is good"), told)
}

fn count(told: &Mutex<Vec<String>>, what: &str) -> usize {
    let told = told.lock().expect("no panic");
    told.iter().filter(|one| one.contains(what)).count()
}

/// Makes calls of one key and returns the number of computations.
async fn runs_of(cache: &Cache, key: &str, calls: usize) -> usize {
    let runs = AtomicUsize::new(0);
    for _ in 0..calls {
        let value = cache.get_or_compute(key, MINUTE.near(false), || async {
            runs.fetch_add(1, Ordering::SeqCst);
            7u32
        });
        assert_eq!(value.await, 7);
    }
    runs.into_inner()
}

async fn what_stands_in_the_place_of_an_entry_or_a_lease_is_replaced_and_reported_once(
    backend: Backend,
) {
    let (cache, told) = observed(&backend.url(), &backend.namespace);
    let plant: [&[&str]; 5] = [
        &["RPUSH", "KEY", "x"],
        &["HSET", "KEY", "a", "x"],
        &["SADD", "KEY", "x"],
        &["ZADD", "KEY", "1", "x"],
        &["XADD", "KEY", "*", "a", "x"],
    ];
    for (place, words) in plant.iter().enumerate() {
        for (kind, key) in [
            ("entry", "{ns}:foreign:ID"),
            ("lease", "{{ns}:foreign:ID}:lease"),
        ] {
            let id = format!("{kind}{place}");
            let key = key.replace("ID", &id);
            let words: Vec<&str> = words
                .iter()
                .map(|word| if *word == "KEY" { key.as_str() } else { *word })
                .collect();
            let _: redis::Value = backend.ask(&words);
            let runs = runs_of(&cache, &format!("foreign:{id}"), 20).await;
            assert_eq!(runs, 1, "{words:?}");
        }
    }
    assert_eq!(count(&told, "foreign: something else stood"), 1, "{told:?}");
    assert!(cache.stats().function("foreign").errors >= 10);
}

async fn a_damaged_generation_is_replaced_and_reported_once(backend: Backend) {
    let (cache, told) = observed(&backend.url(), &backend.namespace);
    for (place, words) in [
        vec!["SET", "{ns}:gen:fn:marked", "x"],
        vec!["SET", "{ns}:gen:fn:marked", "12345678901234567"],
        vec!["INCR", "{ns}:gen:fn:marked"],
        vec!["RPUSH", "{ns}:gen:fn:marked", "x"],
    ]
    .into_iter()
    .enumerate()
    {
        runs_of(&cache, "marked:1", 2).await;
        let _: u64 = backend.ask(&["DEL", "{ns}:gen:fn:marked"]);
        let _: redis::Value = backend.ask(&words);
        // The old generation is known until the push arrives.
        until("it is replaced", || async {
            runs_of(&cache, "marked:1", 1).await;
            backend.ask::<String>(&["TYPE", "{ns}:gen:fn:marked"]) == "string"
                && backend.ask::<u64>(&["STRLEN", "{ns}:gen:fn:marked"]) == 16
        })
        .await;
        until("it is stored", || async {
            runs_of(&cache, "marked:1", 5).await == 0
        })
        .await;
        assert!(place < 4);
    }
    assert_eq!(count(&told, "marked: something else stood"), 1, "{told:?}");
}

async fn a_lease_that_outlives_its_own_life_is_taken_over(backend: Backend) {
    let policy = MINUTE.lease(Duration::from_secs(1));
    let (one, two) = (backend.cache(), backend.cache());
    for (id, how) in [(1, vec![]), (2, vec!["PX", "3600000"])] {
        let key = format!("dead:{id}");
        let lease = format!("{{{{ns}}:dead:{id}}}:lease");
        let (begun, go) = (AtomicBool::new(false), tokio::sync::Notify::new());
        let held = async {
            until("it is held", || async { begun.load(Ordering::SeqCst) }).await;
            let held: Vec<u8> = backend.ask(&["GET", &lease]);
            go.notify_one();
            held
        };
        let computed = one.get_or_compute(&key, policy, || async {
            begun.store(true, Ordering::SeqCst);
            go.notified().await;
            1u32
        });
        let (value, held) = tokio::join!(computed, held);
        assert_eq!((value, held.len() > 32), (1, true));
        let _ = one.remove(&key).await.expect("it works");
        // The lease as a dead holder left it, with a ttl that recached has not set.
        let name = lease.replace("{ns}", &backend.namespace);
        let mut set = redis::cmd("SET");
        set.arg(&name).arg(held).arg(&how);
        set.exec(&mut backend.client(&name)).expect("it is set");
        let before = Instant::now();
        let value = two.get_or_compute(&key, policy, || async { 2u32 }).await;
        assert_eq!(value, 2);
        assert!(
            before.elapsed() < Duration::from_secs(2),
            "{how:?}: {:?}",
            before.elapsed()
        );
        assert_eq!(two.get(&key).await.expect("it works"), Some(2u32));
    }
}

async fn something_else_in_the_place_of_the_registry_costs_no_invalidation(backend: Backend) {
    let (one, two) = (backend.cache(), backend.cache());
    let _: u64 = backend.ask(&["DEL", "{ns}:functions"]);
    let _: u64 = backend.ask(&["RPUSH", "{ns}:functions", "x"]);
    // Values that no pattern could reach are not stored; an invalidation still holds.
    runs_of(&one, "blind:1", 3).await;
    let report = two
        .invalidate("blind*")
        .await
        .expect("it is one of everything");
    assert!(!report.queued);
    let _ = two.remove("blind:1").await.expect("it works");
    let _: u64 = backend.ask(&["DEL", "{ns}:functions"]);
    until("it works again", || async {
        runs_of(&one, "blind:1", 3).await == 0
    })
    .await;
    // Fields that are no names are skipped.
    let mut set = redis::cmd("HSET");
    let registry = format!("{}:functions", backend.namespace);
    set.arg(&registry).arg(b"\xff\xfe").arg("x");
    set.exec(&mut backend.client(&registry)).expect("it is set");
    let report = two.invalidate("blind*").await.expect("it works");
    assert_eq!(
        (report.functions, report.queued),
        (vec!["blind".to_owned()], false)
    );
}

#[cached(ttl = 60, name = "mixed.value", near = false, cache = cache, skip(cache))]
async fn value(cache: &Cache, id: u64) -> u64 {
    tokio::task::yield_now().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_twice_gives_nobody_the_value_of_another_call() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let (cache, _) = observed(&proxy.url(), "mixed");
    for id in 0..50 {
        value(&cache, id).await;
    }
    // A complete reply of an earlier call, as a faulty network device might repeat it.
    let key: Vec<String> = server.ask(&["KEYS", "mixed:mixed.value@*:7"]);
    let entry: Vec<u8> = server.ask(&["GET", &key[0]]);
    let mut frame = format!("${}\r\n", entry.len()).into_bytes();
    frame.extend_from_slice(&entry);
    frame.extend_from_slice(b"\r\n");
    let frame: &'static [u8] = frame.leak();
    for garbage in [frame, b"$-1\r\n", b":1\r\n", b"*0\r\n", b"+OK\r\n"] {
        until("it works", || async {
            let before = cache.stats().total.redis_hits;
            assert_eq!(value(&cache, 7).await, 7);
            cache.stats().total.redis_hits > before
        })
        .await;
        let before = cache.stats().total.errors;
        proxy.set(Fault::Garbage(0, garbage));
        let tasks: Vec<_> = (0..400u64)
            .map(|place| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    let id = place % 50;
                    assert_eq!(value(&cache, id).await, id, "the value of another call");
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("each has its own");
        }
        // A reply for another call is an error that closes the connection, and not a miss.
        if garbage == frame {
            assert!(cache.stats().total.errors > before);
        }
        proxy.set(Fault::None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_database_is_noticed() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "swapped");
    let source = AtomicU64::new(1);
    let read = || {
        let now = source.load(Ordering::SeqCst);
        cache.get_or_compute("value:1", MINUTE, async move || now)
    };
    // By then a heartbeat has read the id of the database.
    until("it has an id", || async {
        server.ask::<u64>(&["EXISTS", "swapped:gen:database"]) == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for round in 1..4 {
        source.store(round, Ordering::SeqCst);
        let _ = cache.remove("value:1").await.expect("it works");
        until("a copy is kept", || async {
            let before = cache.stats().total.near_hits;
            let value = read().await;
            value == round && cache.stats().total.near_hits > before
        })
        .await;
        source.store(round + 1, Ordering::SeqCst);
        let _: () = server.ask(&["SWAPDB", "0", "1"]);
        // The other database contains values of an earlier round or nothing.
        until("it is noticed", || async { read().await != round }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_too_many_clients_is_reported_in_its_own_words() {
    let server = Server::start();
    let mut client = server.client();
    let _: () = redis::cmd("CONFIG")
        .arg(&["SET", "maxclients", "1"])
        .query(&mut client)
        .expect("it takes it");
    let (cache, told) = observed(&server.url(), "crowded");
    until("it is told", || async {
        count(&told, "max number of clients reached") > 0
    })
    .await;
    let error = cache.check().await.expect_err("there is no room");
    assert!(
        error.to_string().contains("max number of clients"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_cache_says_nothing() {
    let server = Server::start();
    let (cache, told) = observed(&server.url(), "dropped");
    runs_of(&cache, "value:1", 2).await;
    until("it is told of the server", || async {
        count(&told, "Reconnected") == 1
    })
    .await;
    drop(cache);
    until("its connections are gone", || async {
        let clients: String = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
        clients.lines().count() == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(told.lock().expect("no panic").len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_the_cause_while_invalidations_wait() {
    let mut server = Server::start();
    let (cache, told) = observed(&server.url(), "waiting");
    runs_of(&cache, "value:1", 2).await;
    server.kill();
    until("it is known", || async {
        count(&told, "Disconnected") == 1
    })
    .await;
    assert!(
        cache
            .invalidate("value")
            .await
            .expect("it is queued")
            .queued
    );
    until("it says why", || async {
        let error = cache.check().await.expect_err("nobody is there");
        error.to_string().contains("refused")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_for_the_login_may_take_longer_than_a_connection() {
    let server = Server::start();
    let cache = Cache::builder()
        .redis(server.url())
        .connect_timeout(Duration::from_millis(200))
        .credentials(|| {
            std::thread::sleep(Duration::from_millis(700));
            Credentials::new("default", "")
        });
    let cache = cache.build().expect("the url is good");
    server.ask::<()>(&["ACL", "SETUSER", "default", "nopass"]);
    until("it is connected", || async { cache.check().await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_panics_is_named() {
    let server = Server::start();
    let told = Arc::<Mutex<Vec<String>>>::default();
    let keep = Arc::clone(&told);
    let cache = Cache::builder()
        .redis(server.url())
        .credentials(|| panic!("on purpose"))
        .observer(move |event| keep.lock().expect("no panic").push(event.to_string()));
    let cache = cache.build().expect("the url is good");
    until("it is told", || async { count(&told, "`credentials`") > 0 }).await;
    drop(cache);
}
