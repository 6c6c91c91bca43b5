//! Rights that the cache needs, and reports about missing rights.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recached::{Cache, Event, Policy, cached};
use recached_tests::{Fault, Proxy, Server, cache_on, until};

/// Access rule of the guide.
const RULE: &str = "~shop:* ~{shop:* +ping +info +scan +get +set +getrange +getex +pttl +pexpire +del +unlink +hget +hset +hdel +hlen +hscan +hgetall +evalsha +script|load +client|tracking";

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

#[test]
fn the_rule_is_the_documented_one() {
    let page = include_str!("../../src/guide/operating.md");
    assert!(page.contains(RULE), "the guide names another");
}

fn allow(server: &Server, rule: &str) {
    let mut words = vec!["ACL", "SETUSER", "app", "reset", "on", ">hunter2"];
    words.extend(rule.split(' '));
    server.ask::<()>(&words);
}

fn url(server: &Server) -> String {
    format!("redis://app:hunter2@127.0.0.1:{}/", server.port())
}

#[cached(ttl = 60, cache = cache, skip(cache, source), name = "item", tags("tag:{id}"))]
async fn item(cache: &Cache, source: &AtomicU64, id: u64) -> u64 {
    source.fetch_add(1, Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_documented_rights_lacks_nothing() {
    let server = Server::start();
    allow(&server, RULE);
    let troubles = Arc::new(Mutex::new(Vec::new()));
    let build = || {
        let troubles = Arc::clone(&troubles);
        let builder = Cache::builder().redis(url(&server)).namespace("shop");
        let builder = builder.command_timeout(Duration::from_secs(5));
        let observed = builder.observer(move |event| {
            if !matches!(event, Event::Reconnected) {
                troubles.lock().expect("no panic").push(event.to_string());
            }
        });
        observed.build().expect("it builds")
    };
    let (one, two) = (build(), build());
    let source = AtomicU64::new(0);
    // Each round invalidates in a different way, with reads and writes in between.
    for round in 0..6 {
        for cache in [&one, &two, &one, &two] {
            until("it is of this round", || async {
                item(cache, &source, 1).await == round
            })
            .await;
        }
        match round {
            0 => drop(one.invalidate("item").await.expect("it may")),
            1 => drop(one.invalidate_tag("tag:1").await.expect("it may")),
            2 => drop(one.invalidate_keys("item:*").await.expect("it may")),
            3 => drop(one.purge("item").await.expect("it may")),
            4 => drop(one.invalidate_all().await.expect("it may")),
            _ => {
                let report = item_entry(&one, &source, 1).invalidate().await;
                assert_eq!(report.expect("it may").entries, 1);
            }
        }
    }
    item_entry(&one, &source, 2).put(7).await.expect("it may");
    assert_eq!(
        item_entry(&two, &source, 2).peek().await.expect("it may"),
        Some(7)
    );
    let settings = one.overrides();
    let fleet = settings.fleet().by("ada");
    let nine = Duration::from_secs(9);
    fleet.ttl("item", nine).await.expect("it may");
    fleet.reset("item").await.expect("it may");
    for _ in 0..3 {
        two.get_or_compute("hand:1", MINUTE, || async { 1 }).await;
    }
    let stats = two.stats();
    assert_eq!(stats.total.errors, 0, "{stats}");
    assert!(
        stats.near.disabled_reason.is_none() && stats.total.near_hits > 0,
        "{stats}"
    );
    let check = one.check().await.expect("it is reached");
    assert!(check.missing_rights().is_empty(), "{check}");
    assert_eq!(*troubles.lock().expect("no panic"), [""; 0]);
    let keys: Vec<String> = server.ask(&["KEYS", "*check*"]);
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named() {
    let server = Server::start();
    let rights: Vec<&str> = RULE
        .split(' ')
        .filter(|right| right.starts_with('+'))
        .collect();
    assert!(rights.len() > 15);
    for right in rights {
        if right == "+ping" {
            // Without `ping`, the process cannot detect whether the server is reachable.
            continue;
        }
        let rule: Vec<&str> = RULE.split(' ').filter(|other| *other != right).collect();
        allow(&server, &rule.join(" "));
        let cache = cache_on(&url(&server), "shop");
        let check = cache.check().await.expect("it is reached");
        assert_eq!(check.missing_rights(), [right], "{check}");
        assert!(check.to_string().contains(right), "{check}");
        assert!(!check.to_string().contains("hunter2"), "{check}");
        // No call fails because of the missing right.
        assert_eq!(
            cache.get_or_compute("item:1", MINUTE, || async { 5 }).await,
            5,
            "{right}"
        );
    }
    // The key patterns of another namespace.
    allow(&server, &RULE.replace("shop", "other"));
    let check = cache_on(&url(&server), "shop")
        .check()
        .await
        .expect("it is reached");
    assert_eq!(check.missing_rights(), ["~shop:* ~{shop:*"], "{check}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_described_in_words() {
    let server = Server::start_with("maxmemory 100mb\nmaxmemory-policy allkeys-lru\n");
    let cache = cache_on(&server.url(), "words");
    let check = cache.check().await.expect("it is reached");
    assert!(check.is_healthy(), "{check}");
    let text = check.to_string();
    for word in [
        "server: ",
        "RESP3",
        "pushes changes",
        "allkeys-lru",
        "round trip",
        "clock",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let check = cache.check().await.expect("it is reached");
    assert!(
        !check.is_healthy() && check.to_string().contains("refuses writes"),
        "{check}"
    );
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let check = cache.check().await.expect("it is reached");
    assert!(
        check
            .to_string()
            .contains("until the machine has none left"),
        "{check}"
    );
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::NoHello);
    let check = cache_on(&proxy.url(), "words")
        .check()
        .await
        .expect("it is reached");
    let text = check.to_string();
    assert!(
        text.contains("RESP2") && text.contains("pushes no changes"),
        "{text}"
    );
    let alone = Cache::builder().in_process().build().expect("it builds");
    let check = alone.check().await.expect("there is nothing to reach");
    assert!(
        check.is_healthy() && check.to_string().contains("in this process"),
        "{check}"
    );
}
