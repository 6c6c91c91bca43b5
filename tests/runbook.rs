//! The commands of the guide's page *runbook*, against a real server.

use recached::{Cache, cached};
use recached_tests::{Server, cache_on, until};

#[cached(ttl = 60, cache = cache, skip(cache), tags("user:{id}"))]
async fn user(cache: &Cache, id: u64) -> u64 {
    id
}

fn key(server: &Server, pattern: &str) -> Vec<u8> {
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", pattern]);
    assert_eq!(keys.len(), 1, "{pattern}");
    keys.into_iter().next().expect("there is one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_looks_invalidates_and_overrides_with_plain_commands() {
    let page = include_str!("../src/guide/runbook.md");
    let server = Server::start();
    let cache = cache_on(&server.url(), "ops");
    let computed = || cache.stats().function("runbook.user").computations;
    let is_computed_anew = async |before: u64| {
        until("it is computed anew", || async {
            user(&cache, 42).await;
            computed() > before
        })
        .await;
    };
    is_computed_anew(0).await;

    // A header of 60 bytes, then JSON.
    let entry = key(&server, "ops:runbook.user@*:42");
    let entry = String::from_utf8(entry).expect("it is text");
    let bytes: Vec<u8> = server.ask(&["GET", &entry]);
    assert!(page.contains("tail -c +61"));
    assert_eq!(&bytes[60..], b"42");

    // The registry.
    let variants: Option<String> = server.ask(&["HGET", "ops:functions", "runbook.user"]);
    let variant = entry.split(['@', ':']).nth(2).expect("it has a variant");
    assert!(variants.is_some_and(|variants| variants.contains(variant)));

    // Invalidating one call.
    let before = computed();
    server.ask::<u64>(&["UNLINK", &format!("{{{entry}}}:lease"), &entry]);
    is_computed_anew(before).await;

    // Invalidating a function, everything, and a tag.
    for set in ["ops:gen:fn:runbook.user", "ops:gen:all"] {
        assert!(page.contains(&set.replace("ops", "recached").replace("runbook", "app")));
        let before = computed();
        let id = format!("{:016}", before + 7);
        server.ask::<()>(&["SET", set, &id]);
        is_computed_anew(before).await;
    }
    let before = computed();
    assert!(page.contains("UNLINK 'recached:gen:tag:user:42'"));
    assert_eq!(server.ask::<u64>(&["UNLINK", "ops:gen:tag:user:42"]), 1);
    is_computed_anew(before).await;

    // Overrides.
    let set = [r#"{"ms":5000,"by":"ada"}"#, r#"{"on":false,"by":"ada"}"#];
    assert!(set.iter().all(|value| page.contains(value)));
    server.ask::<u64>(&["HSET", "ops:settings", "ttl:user*", set[0]]);
    server.ask::<u64>(&["HSET", "ops:settings", "on:user", set[1]]);
    until("both are active", || async {
        cache.overrides().list().len() == 2
    })
    .await;
    let before = cache.stats().function("runbook.user").bypasses;
    user(&cache, 42).await;
    assert_eq!(cache.stats().function("runbook.user").bypasses, before + 1);
    server.ask::<u64>(&["HDEL", "ops:settings", "on:user"]);
    until("one is active", || async {
        cache.overrides().list().len() == 1
    })
    .await;
}
