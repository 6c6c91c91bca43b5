//! Logins of a cluster and of sentinels.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use recached::{Cache, Credentials, Policy};
use recached_tests::{Cluster, Sentinels, cache_on, until};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

async fn stores(cache: &Cache, key: &str) {
    until("it is stored", || async {
        cache.get_or_compute(key, MINUTE, async || 1).await;
        cache.exists(key).await.unwrap_or(false)
    })
    .await;
}

/// The driver connects to single nodes by itself, with the login that it was given.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_want_a_login_are_given_the_servers() {
    let sentinels = Sentinels::start();
    sentinels.ask_sentinels::<()>(&["SENTINEL", "SET", "main", "auth-pass", "sesame"]);
    for what in ["masterauth", "requirepass"] {
        for server in 0..2 {
            sentinels.ask::<()>(server, &["CONFIG", "SET", what, "sesame"]);
        }
    }
    sentinels.ask_sentinels::<()>(&["ACL", "SETUSER", "default", "resetpass", ">sesame"]);
    let url = sentinels.url().replace("://", "://:sesame@");
    stores(&cache_on(&url, "watched"), "item:1").await;
}
