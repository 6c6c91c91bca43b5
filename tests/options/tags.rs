//! Tags: groups of calls that are chosen by arguments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, ErrorKind, cached};
use recached_tests::{Fixture, Server, cache_on, on_both_stores, reaches, until};
use tokio::sync::Semaphore;

on_both_stores! {
    a_tag_ends_the_calls_that_bear_it_and_no_others
    a_tag_is_whatever_text_its_arguments_make
    each_of_several_tags_ends_a_call
    calls_with_tags_belong_to_their_function_as_well
    a_computation_from_before_the_invalidation_of_its_tag_is_not_kept
    the_companion_knows_the_tags
    a_value_past_its_ttl_is_not_served_once_its_tag_is_invalidated
    no_tagged_call_is_stale_once_traffic_has_stopped
    plain_functions_have_tags_too
}

/// Source of the cached functions.
#[derive(Default)]
struct Source {
    value: AtomicU64,
    runs: AtomicUsize,
}

impl Source {
    fn ask(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.value.load(Ordering::SeqCst)
    }

    fn set(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[cached(ttl = 60, skip(cache, source), cache = cache, tags("user:{id}"))]
async fn profile(cache: &Cache, source: &Source, id: u64) -> u64 {
    source.ask()
}

#[cached(ttl = 60, skip(cache, source), cache = cache, tags("user:{id}", "shop:{shop}"))]
async fn orders(cache: &Cache, source: &Source, shop: &str, id: u64) -> Vec<u64> {
    vec![source.ask()]
}

#[cached(ttl = 60, skip(cache, source), cache = cache)]
async fn untagged(cache: &Cache, source: &Source, id: u64) -> u64 {
    source.ask()
}

async fn a_tag_ends_the_calls_that_bear_it_and_no_others(fixture: Fixture) {
    let source = Source::default();
    let (one, two) = (&fixture.one, &fixture.two);
    for cache in [one, two, one] {
        assert_eq!(profile(cache, &source, 1).await, 0);
        assert_eq!(profile(cache, &source, 2).await, 0);
        assert_eq!(orders(cache, &source, "a", 1).await, [0]);
        assert_eq!(orders(cache, &source, "a", 2).await, [0]);
        assert_eq!(untagged(cache, &source, 1).await, 0);
    }
    assert_eq!(source.runs(), 5, "each call is computed once");
    source.set(1);
    let _ = one.invalidate_tag("user:1").await.expect("it works");
    assert_eq!(profile(one, &source, 1).await, 1);
    assert_eq!(orders(one, &source, "a", 1).await, [1]);
    assert_eq!(profile(one, &source, 2).await, 0);
    assert_eq!(orders(one, &source, "a", 2).await, [0]);
    assert_eq!(untagged(one, &source, 1).await, 0);
    until("the other has heard of it", || async {
        profile(two, &source, 1).await == 1 && orders(two, &source, "a", 1).await == [1]
    })
    .await;
    assert_eq!(profile(two, &source, 2).await, 0);
    assert_eq!(source.runs(), 7);
}

#[cached(ttl = 60, skip(cache, source), cache = cache, tags("of:{text}:{more}"))]
async fn of(cache: &Cache, source: &Source, text: &str, more: Option<u8>) -> u64 {
    source.ask()
}

async fn a_tag_is_whatever_text_its_arguments_make(fixture: Fixture) {
    let source = Source::default();
    let cache = &fixture.one;
    let long = "x".repeat(1_000);
    for (round, text) in ["", "a:b", "{braces}*?[é]%41\n", "gen:tag:", &long]
        .into_iter()
        .enumerate()
    {
        let round = round as u64;
        source.set(round);
        assert_eq!(of(cache, &source, text, None).await, round);
        source.set(round + 100);
        let _ = cache
            .invalidate_tag(&format!("of:{text}x:None"))
            .await
            .expect("it works");
        assert_eq!(of(cache, &source, text, None).await, round);
        let _ = cache
            .invalidate_tag(&format!("of:{text}:None"))
            .await
            .expect("it works");
        assert_eq!(of(cache, &source, text, None).await, round + 100);
    }
    let empty = cache.invalidate_tag("").await.expect_err("nobody means it");
    assert_eq!(empty.kind(), ErrorKind::Pattern);
}

async fn each_of_several_tags_ends_a_call(fixture: Fixture) {
    let source = Source::default();
    let cache = &fixture.one;
    for (round, tag) in ["user:1", "shop:a:b"].into_iter().enumerate() {
        let round = round as u64;
        source.set(round);
        let _ = cache.invalidate_tag(tag).await.expect("it works");
        assert_eq!(orders(cache, &source, "a:b", 1).await, [round]);
    }
}

async fn calls_with_tags_belong_to_their_function_as_well(fixture: Fixture) {
    let source = Source::default();
    let (one, two) = (&fixture.one, &fixture.two);
    for round in 0..4 {
        source.set(round);
        match round {
            1 => drop(two.invalidate("profile").await.expect("it works")),
            2 => drop(two.invalidate_all().await.expect("it works")),
            3 => drop(two.invalidate_keys("profile:*").await.expect("it works")),
            _ => {}
        }
        until("it has travelled", || async {
            profile(one, &source, 1).await == round
        })
        .await;
        assert_eq!(profile(one, &source, 1).await, round);
    }
    assert_eq!(source.runs(), 4);
}

#[cached(ttl = 60, skip(cache, source, gate), cache = cache, tags("slow:{id}"))]
async fn slow(cache: &Cache, source: &Source, gate: &Semaphore, id: u64) -> u64 {
    let value = source.ask();
    gate.acquire().await.expect("it is open").forget();
    value
}

async fn a_computation_from_before_the_invalidation_of_its_tag_is_not_kept(fixture: Fixture) {
    let source = Arc::new(Source::default());
    let gate = Arc::new(Semaphore::new(0));
    let call = |cache: &Cache| {
        let (cache, source, gate) = (cache.clone(), Arc::clone(&source), Arc::clone(&gate));
        tokio::spawn(async move { slow(&cache, &source, &gate, 1).await })
    };
    let old = call(&fixture.one);
    until("it has begun", || async { source.runs() == 1 }).await;
    source.set(1);
    let _ = fixture
        .two
        .invalidate_tag("slow:1")
        .await
        .expect("it works");
    // Takes effect in this process at once, and in the other when the push arrives.
    let new = call(&fixture.two);
    until("the next has begun", || async { source.runs() == 2 }).await;
    gate.add_permits(10);
    assert_eq!(
        old.await.expect("no panic"),
        0,
        "its caller has asked before"
    );
    assert_eq!(new.await.expect("no panic"), 1);
    until("it has travelled", || async {
        let value = call(&fixture.one).await.expect("no panic");
        value == 1
    })
    .await;
    for cache in [&fixture.one, &fixture.two] {
        assert_eq!(call(cache).await.expect("no panic"), 1);
    }
}

async fn the_companion_knows_the_tags(fixture: Fixture) {
    let source = Source::default();
    let cache = &fixture.one;
    let entry = || profile_entry(cache, &source, 7);
    entry().put(5).await.expect("it works");
    assert_eq!(entry().peek().await.expect("it works"), Some(5));
    assert!(entry().ttl().await.expect("it works").is_some());
    assert_eq!(profile(cache, &source, 7).await, 5);
    let _ = cache.invalidate_tag("user:7").await.expect("it works");
    assert_eq!(entry().peek().await.expect("it works"), None);
    assert_eq!(entry().ttl().await.expect("it works"), None);
    source.set(6);
    assert_eq!(entry().refresh().await, 6);
    source.set(7);
    assert_eq!(profile(cache, &source, 7).await, 6);
    let _ = cache.invalidate_tag("user:7").await.expect("it works");
    assert_eq!(profile(cache, &source, 7).await, 7);
}

#[cached(ttl = "50ms", jitter = 0.0, stale_while_revalidate = 60, skip(cache, source), cache = cache, tags("old:{id}"))]
async fn old(cache: Cache, source: Arc<Source>, id: u64) -> u64 {
    source.ask()
}

async fn a_value_past_its_ttl_is_not_served_once_its_tag_is_invalidated(fixture: Fixture) {
    let source = Arc::new(Source::default());
    let ask = || old(fixture.one.clone(), Arc::clone(&source), 1);
    assert_eq!(ask().await, 0);
    source.set(1);
    let _ = fixture.one.invalidate_tag("old:1").await.expect("it works");
    assert_eq!(ask().await, 1);
    source.set(2);
    until("it is past its ttl, and computed anew", || async {
        ask().await == 2
    })
    .await;
}

/// Reads through one cache and invalidates through the other; at the end no value is outdated.
async fn no_tagged_call_is_stale_once_traffic_has_stopped(fixture: Fixture) {
    const IDS: u64 = 50;
    let sources: Arc<Vec<Source>> = Arc::new((0..IDS).map(|_| Source::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (cache, sources, stop) =
                (fixture.one.clone(), Arc::clone(&sources), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut id = reader * 17 % IDS;
                while !stop.load(Ordering::SeqCst) {
                    id = (id + 7) % IDS;
                    for _ in 0..2 {
                        profile(&cache, &sources[id as usize], id).await;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..3_000 {
        let id = (round * 11) % IDS;
        sources[id as usize].set(round);
        let tag = format!("user:{id}");
        let _ = fixture.two.invalidate_tag(&tag).await.expect("it works");
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no panic");
    }
    for (id, source) in sources.iter().enumerate() {
        let newest = source.value.load(Ordering::SeqCst);
        let mut looks = 0;
        until("the push has travelled", || {
            looks += 1;
            async { profile(&fixture.one, source, id as u64).await == newest }
        })
        .await;
        assert!(looks < 100, "it takes far less than a millisecond");
        assert_eq!(profile(&fixture.one, source, id as u64).await, newest);
    }
}

#[cached(ttl = 60, skip(cache, source), cache = cache, tags("plain:{id}"))]
fn plain(cache: &Cache, source: &Source, id: u64) -> u64 {
    source.ask()
}

async fn plain_functions_have_tags_too(fixture: Fixture) {
    let source = Source::default();
    for round in 0..3 {
        source.set(round);
        let _ = fixture
            .one
            .invalidate_tag("plain:1")
            .await
            .expect("it works");
        for _ in 0..3 {
            assert_eq!(plain(&fixture.one, &source, 1), round);
        }
    }
    assert_eq!(source.runs(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tagged_call_is_a_near_hit_and_computed_once_in_the_fleet() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "tags"));
    let source = Source::default();
    for cache in [&one, &two] {
        until("it is served from this process", || async {
            orders(cache, &source, "a", 1).await;
            cache.stats().total.near_hits > 10
        })
        .await;
    }
    assert_eq!(source.runs(), 1);
    // Only the first calls read from Redis.
    assert!(two.stats().total.redis_hits < 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_keeps_of_a_tag_has_an_end() {
    let server = Server::start();
    let cache = cache_on(&server.url(), "tags");
    let source = Source::default();
    profile(&cache, &source, 1).await;
    let ttl = || server.ask::<i64>(&["TTL", "tags:gen:tag:user:1"]);
    let day = 24 * 3_600;
    assert!((day - 60..=day).contains(&ttl()));
    let _ = cache.invalidate_tag("user:1").await.expect("it works");
    assert_eq!(ttl(), -2, "nothing is left of it");
    // An evicted generation costs a miss, and no old entry becomes valid again.
    profile(&cache, &source, 1).await;
    source.set(1);
    assert_eq!(server.ask::<i64>(&["UNLINK", "tags:gen:tag:user:1"]), 1);
    until("it is computed anew", || async {
        profile(&cache, &source, 1).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_invalidated_while_redis_is_away_is_invalid_when_it_is_back() {
    let server = Server::start();
    let build = || {
        let builder = Cache::builder().redis(server.url()).namespace("tags");
        builder
            .command_timeout(Duration::from_millis(300))
            .build()
            .expect("it builds")
    };
    let (one, two) = (build(), build());
    let source = Source::default();
    for cache in [&one, &two] {
        until("it is stored", || async {
            profile(cache, &source, 1).await;
            reaches(cache).await
        })
        .await;
    }
    server.freeze();
    source.set(1);
    let report = one.invalidate_tag("user:1").await.expect("it is queued");
    assert!(report.queued);
    assert_eq!(profile(&one, &source, 1).await, 1, "forgotten here at once");
    server.thaw();
    for cache in [&one, &two] {
        until("it is invalid", || async {
            profile(cache, &source, 1).await == 1
        })
        .await;
    }
    until("it is stored again", || async {
        let runs = source.runs();
        profile(&one, &source, 1).await;
        profile(&two, &source, 1).await;
        source.runs() == runs
    })
    .await;
    assert_eq!(profile(&two, &source, 1).await, 1);
}
