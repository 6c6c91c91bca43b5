//! Values that are kept only in one process: their types need no traits for storage, and the whole
//! fleet can still invalidate them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, cached};
use recached_tests::{Fixture, Proxy, Server, cache_on, on_both_stores, reaches, until};
use tokio::sync::Semaphore;

on_both_stores! {
    a_local_value_is_kept_whatever_it_is
    a_name_that_is_invalidated_anywhere_ends_local_values
    a_tag_that_is_invalidated_anywhere_ends_local_values
    a_call_that_is_invalidated_ends_the_value_of_this_process
    keys_that_match_end_the_values_of_this_process
    callers_of_one_local_value_wait_for_one_computation
    a_local_value_begun_before_an_invalidation_is_not_kept
    a_local_value_past_its_ttl_is_served_while_a_new_one_is_computed
    a_setting_of_the_fleet_holds_for_local_values
}

/// A type that no serializer can write.
#[derive(Clone)]
struct Template(Arc<dyn Fn(u64) -> u64 + Send + Sync>);

#[derive(Default)]
struct Source {
    value: AtomicU64,
    runs: AtomicUsize,
    shut: AtomicBool,
    gate: Option<Arc<Semaphore>>,
}

impl Source {
    fn template(&self) -> Template {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let value = self.value.load(Ordering::SeqCst);
        Template(Arc::new(move |of| value + of))
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[cached(ttl = 60, local, cache = cache, skip(cache, source))]
async fn template(cache: &Cache, source: &Source, name: &str) -> Template {
    if let Some(gate) = &source.gate {
        let permit = gate.acquire().await;
        drop(permit);
    }
    source.template()
}

#[cached(ttl = 60, local, cache = cache, skip(cache, source))]
fn plain_template(
    cache: &Cache,
    source: &Source,
    name: &str,
) -> Arc<dyn Fn(u64) -> u64 + Send + Sync> {
    source.template().0
}

#[cached(ttl = 60, local, none_ttl = "1h", cache = cache, skip(cache, source))]
async fn maybe(cache: &Cache, source: &Source, name: &str) -> Option<Template> {
    let template = source.template();
    (!name.is_empty()).then_some(template)
}

struct Refused;

#[cached(ttl = 60, local, cache = cache, skip(cache, source))]
async fn fallible(cache: &Cache, source: &Source, name: &str) -> Result<Template, Refused> {
    let template = source.template();
    match name.is_empty() {
        true => Err(Refused),
        false => Ok(template),
    }
}

#[cached(ttl = 60, local, err_ttl = "1h", cache = cache, skip(cache, source))]
async fn remembered(
    cache: &Cache,
    source: &Source,
    name: &str,
) -> Result<Option<Template>, Arc<str>> {
    let template = source.template();
    match name.is_empty() {
        true => Err("refused".into()),
        false => Ok(Some(template)),
    }
}

#[cached(ttl = 60, local, tags("t:{name}"), cache = cache, skip(cache, source))]
async fn tagged(cache: &Cache, source: &Source, name: &str) -> Template {
    source.template()
}

#[cached(ttl = "50ms", jitter = 0.0, local, stale_while_revalidate = "1h", cache = cache, skip(cache, source))]
async fn aging(cache: Cache, source: Arc<Source>, name: String) -> Template {
    while source.shut.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    source.template()
}

async fn a_local_value_is_kept_whatever_it_is(fixture: Fixture) {
    let source = Source::default();
    for _ in 0..3 {
        assert_eq!((template(&fixture.one, &source, "a").await.0)(1), 1);
    }
    assert_eq!(source.runs(), 1);
    let _ = template(&fixture.one, &source, "b").await;
    assert_eq!(source.runs(), 2);
    for _ in 0..3 {
        assert_eq!(plain_template(&fixture.one, &source, "a")(1), 1);
        assert!(maybe(&fixture.one, &source, "").await.is_none());
        assert!(maybe(&fixture.one, &source, "a").await.is_some());
        assert!(fallible(&fixture.one, &source, "a").await.is_ok());
        assert!(remembered(&fixture.one, &source, "").await.is_err());
        assert!(remembered(&fixture.one, &source, "a").await.is_ok());
    }
    assert_eq!(source.runs(), 8);
    for _ in 0..3 {
        assert!(fallible(&fixture.one, &source, "").await.is_err());
    }
    assert_eq!(source.runs(), 11, "an error is not kept");
    if let Some(server) = &fixture.server {
        // The server stores only names and generations, and no values.
        let keys: Vec<String> = server.ask(&["KEYS", "*"]);
        let other = |key: &&String| !key.contains(":gen:") && !key.ends_with(":functions");
        let others: Vec<_> = keys.iter().filter(other).collect();
        assert!(others.is_empty(), "{others:?}");
    }
    let stats = fixture.one.stats().total;
    assert_eq!((stats.redis_hits, stats.errors), (0, 0));
}

async fn a_name_that_is_invalidated_anywhere_ends_local_values(fixture: Fixture) {
    let source = Source::default();
    let _ = template(&fixture.one, &source, "a").await;
    source.value.store(10, Ordering::SeqCst);
    let report = fixture
        .two
        .invalidate("template")
        .await
        .expect("it is known");
    assert_eq!(report.functions.len(), 1);
    until("the other cache hears of it", || async {
        (template(&fixture.one, &source, "a").await.0)(1) == 11
    })
    .await;
    let _ = template(&fixture.one, &source, "a").await;
    assert_eq!(source.runs(), 2);
    drop(fixture.one.invalidate_all().await);
    let _ = template(&fixture.one, &source, "a").await;
    assert_eq!(source.runs(), 3);
}

async fn a_tag_that_is_invalidated_anywhere_ends_local_values(fixture: Fixture) {
    let source = Source::default();
    let _ = (
        tagged(&fixture.one, &source, "a").await,
        tagged(&fixture.one, &source, "b").await,
    );
    let _ = (
        tagged(&fixture.one, &source, "a").await,
        tagged(&fixture.one, &source, "b").await,
    );
    assert_eq!(source.runs(), 2);
    source.value.store(10, Ordering::SeqCst);
    drop(fixture.two.invalidate_tag("t:a").await);
    until("the other cache hears of it", || async {
        (tagged(&fixture.one, &source, "a").await.0)(1) == 11
    })
    .await;
    assert_eq!((tagged(&fixture.one, &source, "b").await.0)(1), 1);
    assert_eq!(source.runs(), 3);
}

async fn a_call_that_is_invalidated_ends_the_value_of_this_process(fixture: Fixture) {
    let source = Source::default();
    let run = async || {
        let _ = (
            template(&fixture.one, &source, "a").await,
            template(&fixture.one, &source, "b").await,
        );
    };
    run().await;
    let report = template_entry(&fixture.one, &source, "a")
        .invalidate()
        .await;
    assert_eq!(report.expect("it works").entries, 1);
    run().await;
    assert_eq!(source.runs(), 3);
    let entry = template_entry(&fixture.one, &source, "a");
    assert!(entry.peek().await.expect("it works").is_some());
    assert!(entry.ttl().await.expect("it works").is_some());
    // An entry stored by hand behaves like any other.
    entry
        .put(Template(Arc::new(|_| 7)))
        .await
        .expect("it works");
    assert_eq!((template(&fixture.one, &source, "a").await.0)(1), 7);
}

async fn keys_that_match_end_the_values_of_this_process(fixture: Fixture) {
    let source = Source::default();
    let _ = template(&fixture.one, &source, "a").await;
    let report = fixture
        .one
        .invalidate_keys("template:'a'")
        .await
        .expect("it works");
    assert_eq!((report.entries, report.functions.len()), (1, 1));
    let _ = template(&fixture.one, &source, "a").await;
    assert_eq!(source.runs(), 2);
}

async fn callers_of_one_local_value_wait_for_one_computation(fixture: Fixture) {
    let gate = Arc::new(Semaphore::new(0));
    let source = Arc::new(Source {
        gate: Some(Arc::clone(&gate)),
        ..Source::default()
    });
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (cache, source) = (fixture.one.clone(), Arc::clone(&source));
            tokio::spawn(async move { (template(&cache, &source, "a").await.0)(1) })
        })
        .collect();
    until("all of them wait", || async {
        fixture.one.stats().total.computations == 1
    })
    .await;
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.expect("it ends"), 1);
    }
    assert_eq!(source.runs(), 1);
}

async fn a_local_value_begun_before_an_invalidation_is_not_kept(fixture: Fixture) {
    let gate = Arc::new(Semaphore::new(0));
    let source = Arc::new(Source {
        gate: Some(Arc::clone(&gate)),
        ..Source::default()
    });
    for by_call in [false, true] {
        let before = source.runs();
        let (cache, of) = (fixture.one.clone(), Arc::clone(&source));
        let begun = tokio::spawn(async move { template(&cache, &of, "a").await });
        let counted = || fixture.one.stats().total.computations as usize;
        until("it computes", || async { counted() == before + 1 }).await;
        match by_call {
            true => drop(
                template_entry(&fixture.one, &source, "a")
                    .invalidate()
                    .await,
            ),
            false => drop(fixture.one.invalidate("template").await),
        }
        gate.add_permits(1);
        let _ = begun.await.expect("it ends");
        let _ = template(&fixture.one, &source, "a").await;
        assert_eq!(source.runs(), before + 2, "by call: {by_call}");
        drop(fixture.one.invalidate("template").await);
    }
}

async fn a_local_value_past_its_ttl_is_served_while_a_new_one_is_computed(fixture: Fixture) {
    let source = Arc::new(Source::default());
    let call = || aging(fixture.one.clone(), Arc::clone(&source), "a".to_owned());
    assert_eq!((call().await.0)(1), 1);
    source.value.store(10, Ordering::SeqCst);
    source.shut.store(true, Ordering::SeqCst);
    until("a stale value is served", || async {
        assert_eq!((call().await.0)(1), 1);
        fixture.one.stats().total.stale_hits > 0
    })
    .await;
    source.shut.store(false, Ordering::SeqCst);
    until("the new one is", || async { (call().await.0)(1) == 11 }).await;
}

async fn a_setting_of_the_fleet_holds_for_local_values(fixture: Fixture) {
    let source = Source::default();
    let _ = template(&fixture.one, &source, "a").await;
    fixture
        .one
        .overrides()
        .disable("template")
        .expect("it is a pattern");
    let _ = template(&fixture.one, &source, "a").await;
    let _ = template(&fixture.one, &source, "a").await;
    assert_eq!(source.runs(), 3);
    fixture
        .one
        .overrides()
        .enable("template")
        .expect("it is a pattern");
    for _ in 0..2 {
        let _ = template(&fixture.one, &source, "a").await;
    }
    assert_eq!(source.runs(), 4, "what was kept before is not served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_value_outlives_a_lost_connection_and_nothing_invalidated_meanwhile_does() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let (one, two) = (
        cache_on(&proxy.url(), "local"),
        cache_on(&server.url(), "local"),
    );
    let source = Source::default();
    until("both are there", || async {
        reaches(&one).await && reaches(&two).await
    })
    .await;
    let _ = (
        template(&one, &source, "a").await,
        tagged(&one, &source, "a").await,
    );
    proxy.cut();
    until("it is back", || async { reaches(&one).await }).await;
    let _ = (
        template(&one, &source, "a").await,
        tagged(&one, &source, "a").await,
    );
    assert_eq!(source.runs(), 2, "their generations are what they were");
    proxy.set(recached_tests::Fault::Refused);
    proxy.cut();
    source.value.store(10, Ordering::SeqCst);
    drop(two.invalidate("template").await);
    drop(two.invalidate_tag("t:a").await);
    proxy.set(recached_tests::Fault::None);
    until("it is back", || async { reaches(&one).await }).await;
    assert_eq!((template(&one, &source, "a").await.0)(1), 11);
    assert_eq!((tagged(&one, &source, "a").await.0)(1), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pushes_local_values_are_held_against_their_generations_each_time() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    proxy.set(recached_tests::Fault::NoHello);
    let (one, two) = (
        cache_on(&proxy.url(), "local"),
        cache_on(&server.url(), "local"),
    );
    until("both are there", || async {
        reaches(&one).await && reaches(&two).await
    })
    .await;
    let source = Source::default();
    for round in 1..=5 {
        for _ in 0..3 {
            let _ = template(&one, &source, "a").await;
            let _ = tagged(&one, &source, "a").await;
        }
        assert_eq!(source.runs(), round * 2);
        drop(two.invalidate("template").await);
        drop(two.invalidate_tag("t:a").await);
    }
    assert!(
        one.stats().near.disabled_reason.is_some(),
        "nothing is told here"
    );
}
