//! Invalidations by key pattern and by tag: a pattern never misses an entry, and the report lists
//! what was invalidated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recached::{Cache, cached, invalidates};
use recached_tests::{Fixture, on_both_stores};
use serde::Serialize;

on_both_stores! {
    a_pattern_reaches_calls_whose_arguments_are_too_long_to_be_written_out
    a_trailing_star_matches_no_further_argument
    a_key_is_a_pattern_as_it_stands_in_redis
    the_report_names_the_functions_whose_entries_were_removed
    a_tag_is_what_one_would_write_by_hand
}

type Runs = Arc<AtomicUsize>;

fn ran(runs: &Runs) -> usize {
    runs.fetch_add(1, Ordering::SeqCst)
}

#[cached(ttl = 60, name = "pages.search", cache = cache, skip(cache, runs))]
async fn search(cache: &Cache, runs: &Runs, tenant: u64, text: &str) -> usize {
    let _ = (tenant, text);
    ran(runs)
}

#[cached(ttl = 60, name = "pages.get_user_details", cache = cache, skip(cache, runs))]
async fn get_user_details(cache: &Cache, runs: &Runs, id: u64) -> usize {
    let _ = id;
    ran(runs)
}

#[cached(ttl = 60, name = "pages.get_user_posts", cache = cache, skip(cache, runs))]
fn get_user_posts(cache: &Cache, runs: &Runs, id: u64, page: u64) -> usize {
    let _ = (id, page);
    ran(runs)
}

async fn a_pattern_reaches_calls_whose_arguments_are_too_long_to_be_written_out(fixture: Fixture) {
    let (cache, runs) = (&fixture.one, Runs::default());
    let long = "x".repeat(300);
    let other = format!("{}y", "x".repeat(299));
    for (pattern, reached) in [
        ("search*:42:*", true),
        ("search:42*", true),
        ("*:*", true),
        // The pattern may match the end of the text.
        ("search:42:*:7", true),
        ("search:43:*", false),
        ("search:42", false),
        ("find*:42:*", false),
    ] {
        for text in [&long, &other] {
            search(cache, &runs, 42, text).await;
        }
        let before = runs.load(Ordering::SeqCst);
        let report = fixture
            .two
            .invalidate_keys(pattern)
            .await
            .expect("it works");
        assert_eq!(report.entries, if reached { 2 } else { 0 }, "{pattern}");
        for text in [&long, &other] {
            search(&fixture.two, &runs, 42, text).await;
        }
        let computed = runs.load(Ordering::SeqCst) - before;
        assert_eq!(computed, if reached { 2 } else { 0 }, "{pattern}");
    }
}

async fn a_trailing_star_matches_no_further_argument(fixture: Fixture) {
    let (cache, runs) = (fixture.one.clone(), Runs::default());
    let fill = || async {
        for id in [1, 11, 2] {
            get_user_details(&cache, &runs, id).await;
            let (cache, runs) = (cache.clone(), Arc::clone(&runs));
            let post = move || get_user_posts(&cache, &runs, id, 3);
            tokio::task::spawn_blocking(post).await.expect("no panic");
        }
    };
    for (pattern, functions) in [
        (
            "get_user_*:1:*",
            vec!["pages.get_user_details", "pages.get_user_posts"],
        ),
        (
            "get_user_*:1:*:*",
            vec!["pages.get_user_details", "pages.get_user_posts"],
        ),
        ("pages.get_user_details:1:*", vec!["pages.get_user_details"]),
        ("get_user_*:1", vec!["pages.get_user_details"]),
        ("get_user_*:1:3", vec!["pages.get_user_posts"]),
    ] {
        fill().await;
        let report = fixture
            .two
            .invalidate_keys(pattern)
            .await
            .expect("it works");
        assert_eq!(report.functions, functions, "{pattern}");
        assert_eq!(report.entries, functions.len() as u64, "{pattern}");
    }
}

async fn a_key_is_a_pattern_as_it_stands_in_redis(fixture: Fixture) {
    let (cache, runs) = (&fixture.one, Runs::default());
    for text in ["short", "a:b*c", &"x".repeat(300)] {
        search(cache, &runs, 1, text).await;
        search(cache, &runs, 2, text).await;
        let key = search_entry(cache, &runs, 1, text)
            .key()
            .expect("a key")
            .to_string();
        let report = fixture.two.invalidate_keys(&key).await.expect("it works");
        assert_eq!(report.entries, 1, "{key}");
        assert_eq!(report.functions, ["pages.search"], "{key}");
    }
}

async fn the_report_names_the_functions_whose_entries_were_removed(fixture: Fixture) {
    let (cache, runs) = (&fixture.one, Runs::default());
    get_user_details(cache, &runs, 1).await;
    search(cache, &runs, 1, "a").await;
    let report = cache.invalidate_keys("*:2:*").await.expect("it works");
    assert_eq!((report.functions.len(), report.entries), (0, 0));
    let report = cache.invalidate_keys("*:1:*").await.expect("it works");
    assert_eq!(report.functions, ["pages.get_user_details", "pages.search"]);
    assert_eq!((report.entries, report.queued), (2, false));
    let report = cache
        .invalidate("no_such_function")
        .await
        .expect("it works");
    assert!(report.functions.is_empty());
}

#[derive(Clone, Copy, Serialize)]
enum Plan {
    Free,
}

#[derive(Clone, Serialize)]
struct Customer(String);

#[cached(ttl = 60, cache = cache, skip(cache, runs), tags("n:{name}", "p:{plan}", "s:{score}", "c:{customer}"))]
async fn order(
    cache: &Cache,
    runs: &Runs,
    name: Option<&str>,
    plan: Plan,
    score: f64,
    customer: &Customer,
) -> usize {
    let _ = (name, plan, score, customer);
    ran(runs)
}

#[invalidates(tag = "n:{name}", cache = cache)]
async fn rename(cache: &Cache, name: Option<String>) {
    let _ = (cache, name);
}

async fn a_tag_is_what_one_would_write_by_hand(fixture: Fixture) {
    let (cache, runs) = (&fixture.one, Runs::default());
    let ada = Customer("ada o:1".to_owned());
    let call = || order(cache, &runs, Some("a"), Plan::Free, 1.0, &ada);
    for tag in ["n:a", "p:Free", "s:1", "c:ada o:1"] {
        let before = call().await;
        assert_eq!(call().await, before, "it is served");
        let _ = cache.invalidate_tag(tag).await.expect("it works");
        assert_eq!(call().await, before + 1, "{tag}");
    }
    let before = call().await;
    rename(cache, Some("a".to_owned())).await;
    assert_eq!(call().await, before + 1);
    let _ = cache.invalidate_tag("n:b").await.expect("it works");
    assert_eq!(call().await, before + 1);
}
