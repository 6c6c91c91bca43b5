//! Overrides at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, Override, OverrideSource, Policy, cached};
use recached_tests::{Backend, cache_on, on_server_and_cluster, until};
use tokio::sync::Notify;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

on_server_and_cluster! {
    "current_thread"
    shared [
        a_function_is_turned_off_and_on_beside_redis
        what_is_turned_off_is_invalidated_all_the_same
        a_shorter_ttl_holds_for_what_is_stored_and_a_longer_one_for_what_comes
        who_has_waited_since_before_it_was_off_keeps_nothing_beside_redis
        the_fleet_is_notified_and_lists_who_has_set_what
        what_cannot_be_set_is_an_error_that_says_why
        without_pushes_the_fleet_is_notified_with_a_heartbeat
    ]
    own []
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Number of computations since the previous call.
fn runs() -> usize {
    RUNS.swap(0, Ordering::SeqCst)
}

fn in_process() -> Cache {
    Cache::builder().in_process().build().expect("it builds")
}

mod shop {
    use super::*;

    #[cached(ttl = 3600, jitter = 0.0, cache = cache, skip(cache))]
    pub(crate) async fn price(cache: &Cache, id: u64) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        id
    }
}

use shop::{price, price_entry};

/// Serializes tests, because they share a counter.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn off_and_on(cache: &Cache) {
    let _alone = ALONE.lock().await;
    runs();
    let settings = cache.overrides();
    for _ in 0..3 {
        price(cache, 1).await;
    }
    assert_eq!(runs(), 1);
    assert_eq!(
        settings.disable("price").expect("it is good"),
        ["overrides.shop.price"]
    );
    for _ in 0..3 {
        price(cache, 1).await;
    }
    assert_eq!(runs(), 3);
    assert_eq!(cache.stats().function("overrides.shop.price").bypasses, 3);
    // A more specific pattern takes precedence.
    settings.enable("overrides.shop.*").expect("it is good");
    price(cache, 1).await;
    price(cache, 1).await;
    assert!(runs() <= 1);
    settings.reset("overrides.shop.*");
    price(cache, 1).await;
    assert_eq!(runs(), 1);
    settings.reset("price");
    price(cache, 1).await;
    price(cache, 1).await;
    assert!(runs() <= 1);
}

#[tokio::test]
async fn a_function_is_turned_off_and_on_in_process() {
    off_and_on(&in_process()).await;
}

async fn a_function_is_turned_off_and_on_beside_redis(backend: Backend) {
    off_and_on(&backend.cache()).await;
}

async fn what_is_turned_off_is_invalidated_all_the_same(backend: Backend) {
    let _alone = ALONE.lock().await;
    let cache = backend.cache();
    price(&cache, 1).await;
    cache.overrides().disable("price").expect("it is good");
    let _ = cache.invalidate("price").await.expect("it works");
    cache.overrides().reset("price");
    runs();
    price(&cache, 1).await;
    assert_eq!(runs(), 1);
}

async fn a_shorter_ttl_holds_for_what_is_stored_and_a_longer_one_for_what_comes(backend: Backend) {
    let _alone = ALONE.lock().await;
    let [one, two] = [(); 2].map(|()| backend.cache());
    for cache in [&one, &two, &one, &two] {
        price(cache, 1).await;
    }
    runs();
    let left = || async { price_entry(&one, 1).ttl().await.expect("it works") };
    assert!(left().await > Some(MINUTE));
    one.overrides().ttl("price", MINUTE).expect("it is good");
    assert!(left().await <= Some(MINUTE));
    price(&one, 1).await;
    assert_eq!(runs(), 0, "it is not that old yet");
    // The age is counted from the time of storing.
    one.overrides()
        .ttl("price", Duration::from_millis(50))
        .expect("it is good");
    until("it is too old", || async { left().await.is_none() }).await;
    price(&one, 1).await;
    assert_eq!(runs(), 1);
    until("that is too old again", || async {
        price(&one, 1).await;
        runs() == 1
    })
    .await;
    one.overrides().ttl("price", HOUR * 24).expect("it is good");
    price_entry(&one, 1).put(1).await.expect("it works");
    assert!(left().await > Some(HOUR * 20));
    one.overrides().reset("price");
    price_entry(&one, 1).put(1).await.expect("it works");
    assert!(left().await <= Some(HOUR));
}

#[tokio::test]
async fn a_shorter_ttl_holds_in_process() {
    let _alone = ALONE.lock().await;
    let cache = in_process();
    price(&cache, 1).await;
    runs();
    cache
        .overrides()
        .ttl("pri?e", Duration::from_millis(50))
        .expect("it is good");
    until("it is computed again and again", || async {
        price(&cache, 1).await;
        RUNS.load(Ordering::SeqCst) >= 3
    })
    .await;
    let stats = cache.stats().function("overrides.shop.price");
    assert!(stats.near_hits > 0, "{stats:?}");
}

#[cached(ttl = 3600, jitter = 0.0, cache = cache, skip(cache, end))]
async fn slow(cache: Cache, end: Arc<Notify>, id: u64) -> u64 {
    end.notified().await;
    id
}

#[cached(ttl = 3600, jitter = 0.0, tags("slow:{id}"), cache = cache, skip(cache, end))]
async fn slow_tagged(cache: Cache, end: Arc<Notify>, id: u64) -> u64 {
    end.notified().await;
    id
}

async fn is_computed(cache: &Cache, name: &str, count: u64) {
    let computed = || async { cache.stats().function(name).computations >= count };
    until("it is computed", computed).await;
}

#[tokio::test]
async fn a_shorter_ttl_holds_for_what_is_being_computed_in_process() {
    let (cache, end) = (in_process(), Arc::new(Notify::new()));
    let call = tokio::spawn(slow(cache.clone(), Arc::clone(&end), 1));
    is_computed(&cache, "overrides.slow", 1).await;
    let short = Duration::from_millis(50);
    cache.overrides().ttl("slow", short).expect("it is good");
    end.notify_one();
    assert_eq!(call.await.expect("no panic"), 1);
    tokio::time::sleep(short).await;
    end.notify_one();
    slow(cache.clone(), end, 1).await;
    assert_eq!(cache.stats().function("overrides.slow").computations, 2);
}

#[tokio::test]
async fn what_is_being_computed_is_not_served_once_it_is_off() {
    let (cache, end) = (in_process(), Arc::new(Notify::new()));
    let call = tokio::spawn(slow_tagged(cache.clone(), Arc::clone(&end), 1));
    is_computed(&cache, "overrides.slow_tagged", 1).await;
    cache
        .overrides()
        .disable("slow_tagged")
        .expect("it is good");
    end.notify_one();
    assert_eq!(call.await.expect("no panic"), 1);
    end.notify_one();
    slow_tagged(cache.clone(), end, 1).await;
    assert_eq!(cache.stats().function("overrides.slow_tagged").bypasses, 1);
}

/// A joined call that waited since before the override becomes the leader.
async fn who_has_waited_since_before_it_was_off_keeps_nothing(one: &Cache, two: &Cache) {
    let end = Arc::new(Notify::new());
    let stats = || one.stats().function("overrides.slow");
    let call = |id| slow(one.clone(), Arc::clone(&end), id);
    // From then on the generations are known, so no push about them closes a flight.
    until("a copy is kept", || async {
        let at_once = Arc::new(Notify::new());
        at_once.notify_one();
        slow(one.clone(), at_once, 0).await;
        stats().near_hits > 0
    })
    .await;
    let before = stats().computations;
    let leader = tokio::spawn(call(1));
    is_computed(one, "overrides.slow", before + 1).await;
    let follower = tokio::spawn(call(1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    one.overrides().disable("slow").expect("it is good");
    let entry = slow_entry(two.clone(), Arc::clone(&end), 1);
    entry.put(1).await.expect("it works");
    // Time for the push to arrive.
    tokio::time::sleep(Duration::from_millis(100)).await;
    leader.abort();
    assert_eq!(follower.await.expect("no panic"), 1);
    for count in 1..=3 {
        end.notify_one();
        call(1).await;
        assert_eq!(stats().bypasses, count, "{:?}", stats());
    }
}

#[tokio::test]
async fn who_has_waited_since_before_it_was_off_keeps_nothing_in_process() {
    let cache = in_process();
    who_has_waited_since_before_it_was_off_keeps_nothing(&cache, &cache).await;
}

async fn who_has_waited_since_before_it_was_off_keeps_nothing_beside_redis(backend: Backend) {
    let [one, two] = [(); 2].map(|()| backend.cache());
    who_has_waited_since_before_it_was_off_keeps_nothing(&one, &two).await;
}

#[tokio::test]
async fn a_setting_holds_by_hand_too() {
    let cache = in_process();
    let call = || cache.get_or_compute("hand:1", Policy::new(HOUR), || async { 1u32 });
    call().await;
    cache.overrides().disable("hand").expect("it is good");
    call().await;
    assert_eq!(cache.stats().function("hand").bypasses, 1);
    cache.overrides().reset("hand");
    cache.overrides().ttl("hand", MINUTE).expect("it is good");
    cache
        .put("hand:2", Policy::new(HOUR), 1u32)
        .await
        .expect("it works");
    assert!(cache.ttl("hand:2").await.expect("it works") <= Some(MINUTE));
}

async fn the_fleet_is_notified_and_lists_who_has_set_what(backend: Backend) {
    let [one, two] = [(); 2].map(|()| backend.cache());
    let _alone = ALONE.lock().await;
    for cache in [&one, &two] {
        price(cache, 1).await;
    }
    let fleet = one.overrides().fleet().by("ada");
    let functions = fleet.ttl("shop.*", MINUTE).await.expect("it works");
    assert!(
        functions.is_empty(),
        "no function of that name: {functions:?}"
    );
    let functions = fleet.disable("*.shop.*").await.expect("it works");
    assert_eq!(functions, ["overrides.shop.price"]);
    // Takes effect here at once.
    runs();
    price(&one, 1).await;
    assert_eq!(runs(), 1);
    until("the other has heard of both", || async {
        two.overrides().list().len() == 2
    })
    .await;
    let list = two.overrides().list();
    let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "shop.*: ttl = 60s, for the fleet, by ada (no function of that name has been called here)",
            "*.shop.*: off, for the fleet, by ada (overrides.shop.price)",
        ]
    );
    assert_eq!(list[1].setting, Override::Enabled(false));
    assert_eq!(list[1].origin, OverrideSource::Fleet);
    price(&two, 1).await;
    price(&two, 1).await;
    assert_eq!(runs(), 2);
    // An invalidation does not affect overrides.
    let _ = one.invalidate_all().await.expect("it works");
    let _ = one.purge("*").await.expect("it works");
    let _ = one.invalidate_keys("*:*").await.expect("it works");
    let late = backend.cache();
    until("one that comes later knows", || async {
        late.overrides().list().len() == 2
    })
    .await;
    two.overrides()
        .fleet()
        .reset("*.shop.*")
        .await
        .expect("it works");
    until("it is taken back", || async {
        one.overrides().list().len() == 1
    })
    .await;
    let other = cache_on(&backend.url(), &format!("{}.other", backend.namespace));
    until("it is connected", || async {
        other.get::<u32>("x:1").await.is_ok()
    })
    .await;
    assert!(other.overrides().list().is_empty(), "another namespace");
}

#[tokio::test]
async fn the_fleet_of_a_cache_without_a_server_is_its_process() {
    let cache = in_process();
    let fleet = cache.overrides().fleet();
    fleet.disable("alone").await.expect("it works");
    let call = || cache.get_or_compute("alone:1", Policy::new(HOUR), || async { 1u32 });
    call().await;
    assert_eq!(cache.stats().function("alone").bypasses, 1);
    assert_eq!(cache.overrides().list()[0].origin, OverrideSource::Fleet);
    fleet.reset("alone").await.expect("it works");
    assert!(cache.overrides().list().is_empty());
}

async fn what_cannot_be_set_is_an_error_that_says_why(backend: Backend) {
    let cache = backend.cache();
    let settings = cache.overrides();
    let error = settings.ttl("price", Duration::ZERO).expect_err("zero");
    assert!(error.to_string().contains("set it off"), "{error}");
    let error = settings.disable("price:1").expect_err("a key");
    assert!(error.to_string().contains("`:`"), "{error}");
    let error = settings.fleet().ttl("", MINUTE).await.expect_err("nothing");
    assert!(error.to_string().contains("pattern is empty"), "{error}");
    assert!(settings.list().is_empty());
}

async fn without_pushes_the_fleet_is_notified_with_a_heartbeat(backend: Backend) {
    let url = backend.without_pushes();
    let [one, two] = [(); 2].map(|()| cache_on(&url, &backend.namespace));
    one.overrides()
        .fleet()
        .disable("x")
        .await
        .expect("it works");
    until("the other has heard", || async {
        two.overrides().list().len() == 1
    })
    .await;
}
