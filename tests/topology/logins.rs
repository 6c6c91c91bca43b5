//! Logins of a cluster and of sentinels.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use recached::{Cache, Credentials, ErrorKind, Policy};
use recached_tests::{Cluster, Sentinels, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

async fn stores(cache: &Cache, key: &str) {
    until("it is stored", || async {
        cache.get_or_compute(key, MINUTE, async || 1).await;
        cache.exists(key).await.unwrap_or(false)
    })
    .await;
}

/// The driver reconnects to single nodes by itself, with the login of the first connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_changes_is_asked_for_anew_when_one_node_is_lost() {
    let cluster = Cluster::start();
    let password = Arc::new(Mutex::new(String::new()));
    let change = |new: &str| {
        *password.lock().expect("no panic") = new.to_owned();
        let new = format!(">{new}");
        for place in 0..6 {
            let app = ["ACL", "SETUSER", "app", "reset", "on", &new, "~*", "+@all"];
            cluster.ask::<()>(place, &app);
        }
    };
    change("first");
    let asked = Arc::clone(&password);
    let cache = Cache::builder()
        .redis(cluster.url())
        .command_timeout(Duration::from_secs(5))
        .credentials(move || Credentials::new("app", asked.lock().expect("no panic").as_str()))
        .build()
        .expect("it builds");
    stores(&cache, "item:1").await;
    change("second");
    let place = cluster.primary_of(cluster.slot_of("recached:item:2"));
    cluster.ask::<u64>(place, &["CLIENT", "KILL", "USER", "app"]);
    stores(&cache, "item:2").await;
}

/// Servers that require the password `sesame`, and sentinels that know it.
fn locked() -> Sentinels {
    let sentinels = Sentinels::start();
    sentinels.ask_sentinels::<()>(&["SENTINEL", "SET", "main", "auth-pass", "sesame"]);
    for what in ["masterauth", "requirepass"] {
        for server in 0..2 {
            sentinels.ask::<()>(server, &["CONFIG", "SET", what, "sesame"]);
        }
    }
    sentinels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_want_a_login_are_given_the_servers() {
    let sentinels = locked();
    sentinels.ask_sentinels::<()>(&["ACL", "SETUSER", "default", "resetpass", ">sesame"]);
    let url = sentinels.url().replace("://", "://:sesame@");
    stores(&cache_on(&url, "watched"), "item:1").await;
}

/// Servers and sentinels each reject the login of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_have_a_login_of_their_own_are_given_that() {
    let mut sentinels = locked();
    // The documented rights.
    let rights = "+role +sentinel|masters +sentinel|get-master-addr-by-name";
    let app = ["ACL", "SETUSER", "app", "on", ">open/me"];
    let rights: Vec<&str> = rights.split(' ').collect();
    sentinels.ask_sentinels::<()>(&[&app, &rights[..]].concat());
    sentinels.lock("shut");
    let url = sentinels.url().replace("://", "://:sesame@");
    let own = format!("{url}?sentinel_user=app&sentinel_password=open/me");
    let by_url = cache_on(&own, "watched");
    let builder = Cache::builder()
        .redis(own.replace("open", "stale"))
        .sentinel_credentials(|| Credentials::new("app", "open/me"));
    let builder = builder.command_timeout(Duration::from_secs(5));
    let by_asking = builder.namespace("watched").build().expect("it builds");
    for (cache, key) in [(&by_url, "item:1"), (&by_asking, "item:2")] {
        stores(cache, key).await;
    }
    // A missing login is reported as such.
    let without = cache_on(&url, "watched");
    let error = without.check().await.expect_err("they refuse it");
    let error = error.to_string();
    assert!(error.contains("sentinel_credentials"), "{error}");
    assert!(!error.contains("sesame"), "{error}");
    // The server is replaced and does not know it; only the sentinels know.
    let before = sentinels.primary();
    let deaf = ["ACL", "SETUSER", "default", "-ping", "-info", "-publish"];
    let login = format!("redis://:sesame@127.0.0.1:{}", sentinels.port(before));
    let client = redis::Client::open(login).expect("the url is good");
    let mut server = client.get_connection().expect("it answers");
    let mut deafen = redis::cmd(deaf[0]);
    deafen.arg(&deaf[1..]).exec(&mut server).expect("it works");
    until("another is the primary", || async {
        sentinels.primary() != before
    })
    .await;
    let login = format!("redis://:sesame@127.0.0.1:{}", sentinels.port(1 - before));
    let client = redis::Client::open(login).expect("the url is good");
    for (cache, key) in [(&by_url, "item:3"), (&by_asking, "item:4")] {
        until("it is written there", || async {
            let _ = cache.put(key, MINUTE, 1).await;
            let mut exists = redis::cmd("EXISTS");
            exists.arg(format!("watched:{key}"));
            let there = client.get_connection();
            there.is_ok_and(|mut there| exists.query(&mut there) == Ok(1))
        })
        .await;
    }
}

#[test]
fn a_login_for_sentinels_where_there_are_none_is_an_error_when_it_is_built() {
    let builder = Cache::builder().redis("redis://127.0.0.1:1");
    let builder = builder.sentinel_credentials(|| Credentials::password("sesame"));
    let error = builder.build().expect_err("there are no sentinels");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("redis+sentinel://"), "{error}");
}
