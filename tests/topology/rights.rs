//! Rights that a cluster and sentinels must grant, and reports about missing rights.

use std::time::Duration;

use recached::{Cache, Policy};
use recached_tests::{Cluster, Sentinels, cache_on, reaches, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// Rights that the guide adds for a cluster.
const ON_A_CLUSTER: &str = "+cluster|slots +asking";

/// Rights that the guide lists for one server.
fn rule() -> &'static str {
    let page = include_str!("../../src/guide/operating.md");
    assert!(page.contains(&format!("on a cluster also `{ON_A_CLUSTER}`")));
    assert!(page.contains("behind sentinels also `+role`"));
    let (_, rule) = page
        .split_once("ACL SETUSER app on >password ")
        .expect("it is there");
    rule.lines().next().expect("it is one line")
}

fn setuser(rule: &str) -> Vec<&str> {
    let mut words = vec!["ACL", "SETUSER", "app", "reset", "on", ">hunter2"];
    words.extend(rule.split(' '));
    words
}

fn allow(cluster: &Cluster, rule: &str) {
    for place in 0..6 {
        cluster.ask::<()>(place, &setuser(rule));
    }
}

fn as_app(url: &str) -> Cache {
    cache_on(&url.replace("://", "://app:hunter2@"), "shop")
}

async fn ready(cache: &Cache) {
    until("it is reached", || async { reaches(cache).await }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_on_a_cluster_while_a_slot_moves_too() {
    let cluster = Cluster::start();
    allow(&cluster, &format!("{} {ON_A_CLUSTER}", rule()));
    let [one, two] = [(); 2].map(|()| as_app(&cluster.url()));
    for cache in [&one, &two] {
        ready(cache).await;
        let check = cache.check().await.expect("it is reached");
        assert!(check.missing_rights().is_empty(), "{check}");
    }
    let call = async |cache: &Cache, value: u64| {
        let value = async || value;
        cache.get_or_compute("item:1", MINUTE, value).await
    };
    let mut told = 0;
    assert_eq!(call(&one, told).await, told);
    // Begin to move the slot of the function's generation, then that of the entry.
    for key in ["shop:gen:fn:item", "shop:item:1"] {
        let slot = cluster.slot_of(key);
        cluster.begin_move(slot);
        for _ in 0..3 {
            until("it is invalidated and computed anew", || async {
                let _ = one.invalidate("item").await.expect("it may");
                call(&two, told + 1).await == told + 1
            })
            .await;
            told += 1;
            let _ = one.invalidate_keys("item:*").await.expect("it may");
        }
        cluster.move_slot(slot);
    }
    until("it is stored", || async {
        call(&one, told).await;
        one.exists("item:1").await.expect("it may")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_on_a_cluster_is_named() {
    let cluster = Cluster::start();
    let all = format!("{} {ON_A_CLUSTER}", rule());
    let rights = all.split(' ').filter(|right| right.starts_with('+'));
    // Without `ping`, the process cannot detect whether the servers are reachable.
    for right in rights.filter(|right| *right != "+ping") {
        let rule: Vec<&str> = all.split(' ').filter(|other| *other != right).collect();
        allow(&cluster, &rule.join(" "));
        let cache = as_app(&cluster.url());
        match cache.check().await {
            Ok(check) => assert_eq!(check.missing_rights(), [right], "{check}"),
            // Without this right there is no connection.
            Err(error) => {
                let error = error.to_string();
                // Redis 6.2 names only the command.
                let named = ["'cluster|slots'", "'cluster' command or its subcommand"];
                let is_named = named.iter().any(|words| error.contains(words));
                assert!(right == "+cluster|slots" && is_named, "{right}: {error}");
            }
        }
        let value = cache.get_or_compute("item:1", MINUTE, async || 5);
        assert_eq!(value.await, 5, "{right}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_behind_sentinels() {
    let sentinels = Sentinels::start();
    let all = format!("{} +role", rule());
    for (rule, missing) in [(all.as_str(), None), (rule(), Some("+role"))] {
        for server in 0..2 {
            sentinels.ask::<()>(server, &setuser(rule));
        }
        let cache = as_app(&sentinels.url());
        // On a busy machine the sentinels may name another server.
        until("it is reached", || async { cache.check().await.is_ok() }).await;
        let check = cache.check().await.expect("it is reached");
        assert_eq!(check.missing_rights(), Vec::from_iter(missing), "{check}");
        let key = format!("item:{}", missing.is_some());
        until("it is near", || async {
            cache.get_or_compute(&key, MINUTE, async || 5).await;
            cache.stats().total.near_hits > 3
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_described_in_words() {
    let cluster = Cluster::start();
    for (what, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        for place in 0..6 {
            cluster.ask::<()>(place, &["CONFIG", "SET", what, value]);
        }
    }
    let cache = cache_on(&cluster.url(), "words");
    let check = cache.check().await.expect("it is reached");
    assert!(check.is_healthy(), "{check}");
    assert!(check.server().contains('.'), "{check}");
    for words in [
        "a cluster of 3 primaries",
        "RESP3",
        "of 100.00M used, allkeys-lru",
    ] {
        assert!(check.to_string().contains(words), "{words}: {check}");
    }
    // One node with a different configuration is enough.
    let one = cluster.primaries()[1];
    cluster.ask::<()>(one, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let check = cache.check().await.expect("it is reached");
    assert_eq!(check.advice().len(), 1, "{check}");
    assert!(check.advice()[0].contains("refuses writes"), "{check}");
    // A URL of a single server that names a node of a cluster is reported.
    let alone = cache_on(&cluster.urls()[0], "words");
    let check = alone.check().await.expect("it is reached");
    assert!(check.to_string().contains("redis+cluster://"), "{check}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_tells_of_no_changes_keeps_no_copies() {
    let cluster = Cluster::start();
    // Redis 6.2 can revoke only whole commands.
    let rule = rule().replace(" +client|tracking", "");
    assert_ne!(rule, self::rule(), "there is nothing to take back");
    allow(&cluster, &format!("{rule} {ON_A_CLUSTER}"));
    let [one, two] = [(); 2].map(|()| as_app(&cluster.url()));
    for cache in [&one, &two] {
        ready(cache).await;
        assert!(cache.stats().near.disabled_reason.is_some());
    }
    for round in 0..5 {
        for cache in [&one, &two] {
            let value = cache.get_or_compute("item:1", MINUTE, async || round);
            assert_eq!(value.await, round);
        }
        let _ = two.invalidate("item").await.expect("it works");
    }
}
