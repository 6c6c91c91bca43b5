//! Releases of one program that define a type differently, at the same time on one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use std::time::Duration;

use recached::{Cache, InvalidationReport, Policy};
use recached_tests::{Backend, on_server_and_cluster, until};
use serde::{Deserialize, Serialize};

on_server_and_cluster! {
    "multi_thread"
    shared [
        releases_that_disagree_about_a_type_have_entries_of_their_own
        an_invalidation_of_one_call_reaches_every_release
        a_late_fill_of_another_release_never_lands
        a_call_is_invalidated_in_every_release_though_the_registry_is_lost
        what_a_gone_process_has_stored_is_invalidated_though_the_registry_was_lost
        instances_of_a_generic_function_are_distinguished
        a_name_by_hand_and_that_of_a_function_never_meet
    ]
    own [
        an_invalidation_that_was_queued_reaches_every_release
    ]
}

/// Return value of the function, and the number of its runs.
#[derive(Clone, Default)]
struct Source(Arc<(AtomicU32, AtomicU32)>);

impl Source {
    fn ask(&self) -> u32 {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        self.0.0.load(Ordering::SeqCst)
    }

    fn set(&self, value: u32) {
        self.0.0.store(value, Ordering::SeqCst);
    }

    fn runs(&self) -> u32 {
        self.0.1.load(Ordering::SeqCst)
    }
}

macro_rules! release {
    ($release:ident: $user:item, $version:literal) => {
        mod $release {
            use super::*;
            use recached::cached;

            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            $user

            #[cached(ttl = 60, name = "app.user", version = $version, cache = cache, skip(cache, source))]
            pub async fn user(cache: &Cache, source: &Source, id: u64) -> User {
                let _ = id;
                tokio::task::yield_now().await;
                User::from(source.ask())
            }

            #[allow(dead_code, reason = "not every release has callers of it")]
            #[cached(ttl = 60, name = "app.generic", cache = cache, skip(cache, source))]
            pub async fn generic<T: Serialize + Sync>(cache: &Cache, source: &Source, of: T) -> User {
                let _ = of;
                User::from(source.ask())
            }
        }
    };
}

release!(first: pub struct User { pub value: u32 }, 1);
release!(second: pub struct User { pub value: u32, pub note: Option<String> }, 1);
release!(third: pub struct User { pub value: u32 }, 2);

impl From<u32> for first::User {
    fn from(value: u32) -> Self {
        Self { value }
    }
}

impl From<u32> for second::User {
    fn from(value: u32) -> Self {
        let note = Some("new".to_owned());
        Self { value, note }
    }
}

impl From<u32> for third::User {
    fn from(value: u32) -> Self {
        Self { value }
    }
}

/// A cache for each release.
fn fleet(backend: &Backend) -> [Cache; 3] {
    [(); 3].map(|()| backend.cache())
}

async fn values([one, two, three]: &[Cache; 3], source: &Source, id: u64) -> [u32; 3] {
    [
        first::user(one, source, id).await.value,
        second::user(two, source, id).await.value,
        third::user(three, source, id).await.value,
    ]
}

async fn releases_that_disagree_about_a_type_have_entries_of_their_own(backend: Backend) {
    let (caches, source) = (fleet(&backend), Source::default());
    for _ in 0..50 {
        assert_eq!(values(&caches, &source, 1).await, [0; 3]);
    }
    assert_eq!(source.runs(), 3, "one for each release");
    let user = second::user(&caches[1], &source, 1).await;
    assert_eq!(user.note.as_deref(), Some("new"));
}

async fn invalidate(
    caches: &[Cache; 3],
    source: &Source,
    by: usize,
    id: u64,
) -> InvalidationReport {
    let [one, two, three] = caches;
    let report = match by {
        0 => first::user_entry(one, source, id).invalidate().await,
        1 => second::user_entry(two, source, id).invalidate().await,
        _ => third::user_entry(three, source, id).invalidate().await,
    };
    report.expect("the store works")
}

async fn an_invalidation_of_one_call_reaches_every_release(backend: Backend) {
    let (caches, source) = (fleet(&backend), Source::default());
    for by in 0..3 {
        let value = by as u32;
        for id in 0..2 {
            values(&caches, &source, id).await;
        }
        source.set(value + 1);
        let report = invalidate(&caches, &source, by, 1).await;
        assert_eq!(report.entries, 3, "by release {by}");
        assert_eq!(report.functions, ["app.user"]);
        until("all have heard of it", || async {
            values(&caches, &source, 1).await == [value + 1; 3]
        })
        .await;
        // The other call was not invalidated.
        assert_eq!(values(&caches, &source, 0).await, [0; 3]);
    }
    // A process that has stored nothing invalidates all releases too.
    source.set(7);
    let fresh = [(); 3].map(|()| backend.cache());
    assert_eq!(invalidate(&fresh, &source, 0, 1).await.entries, 3);
}

async fn a_late_fill_of_another_release_never_lands(backend: Backend) {
    let (caches, source) = (fleet(&backend), Source::default());
    values(&caches, &source, 0).await;
    let (one, two) = (&caches[0], backend.cache());
    let (begun, go) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let late = tokio::spawn({
        let (cache, begun, go) = (two.clone(), Arc::clone(&begun), Arc::clone(&go));
        async move { slow::user(&cache, &begun, &go, 1).await }
    });
    begun.notified().await;
    let entry = first::user_entry(one, &source, 1);
    let _ = entry.invalidate().await.expect("the store works");
    go.notify_one();
    late.await.expect("no panic");
    let entry = slow::user_entry(&two, &begun, &go, 1);
    assert_eq!(entry.peek().await.expect("the store works"), None);
}

/// A release whose computation waits.
mod slow {
    use super::Cache;
    use recached::cached;
    use tokio::sync::Notify;

    #[cached(ttl = 60, name = "app.user", version = "slow", cache = cache, skip(cache, begun, go))]
    pub async fn user(cache: &Cache, begun: &Notify, go: &Notify, id: u64) -> u64 {
        begun.notify_one();
        go.notified().await;
        id
    }
}

async fn a_call_is_invalidated_in_every_release_though_the_registry_is_lost(backend: Backend) {
    let (caches, source) = (fleet(&backend), Source::default());
    for round in 1..4 {
        values(&caches, &source, 1).await;
        source.set(round);
        // Simulates an eviction of the registry: live processes restore it, but none has done so
        // yet.
        let _: u64 = backend.ask(&["DEL", "{ns}:functions"]);
        let _ = invalidate(&caches, &source, 0, 1).await;
        until("all have heard of it", || async {
            values(&caches, &source, 1).await == [round; 3]
        })
        .await;
    }
}

async fn what_a_gone_process_has_stored_is_invalidated_though_the_registry_was_lost(
    backend: Backend,
) {
    let (one, source) = (backend.cache(), Source::default());
    for by_pattern in [false, true] {
        first::user(&one, &source, 1).await;
        let gone = backend.cache();
        second::user(&gone, &source, 1).await;
        second::generic(&gone, &source, 1).await;
        drop(gone);
        let _: u64 = backend.ask(&["DEL", "{ns}:functions"]);
        until("the one that lives has restored its own", || async {
            backend.ask(&["HEXISTS", "{ns}:functions", "app.user"])
        })
        .await;
        source.set(source.0.0.load(Ordering::SeqCst) + 1);
        let told = match by_pattern {
            false => first::user_entry(&one, &source, 1).invalidate().await,
            true => one.invalidate("generic").await,
        };
        assert!(!told.expect("the store works").queued);
        let again = backend.cache();
        let value = match by_pattern {
            false => second::user(&again, &source, 1).await.value,
            true => second::generic(&again, &source, 1).await.value,
        };
        assert_eq!(value, source.0.0.load(Ordering::SeqCst), "{by_pattern}");
    }
}

async fn instances_of_a_generic_function_are_distinguished(backend: Backend) {
    let ([one, two, _], source) = (fleet(&backend), Source::default());
    first::generic(&one, &source, 1u8).await;
    first::generic(&one, &source, "1").await;
    second::generic(&two, &source, 1u8).await;
    assert_eq!(source.runs(), 3);
    let report = second::generic_entry(&two, &source, 1u8).invalidate().await;
    assert_eq!(report.expect("the store works").entries, 2);
    first::generic(&one, &source, "1").await;
    assert_eq!(source.runs(), 3, "another instance");
}

async fn an_invalidation_that_was_queued_reaches_every_release(backend: Backend) {
    let (caches, source) = (fleet(&backend), Source::default());
    let impatient = Cache::builder()
        .redis(backend.url())
        .namespace(&backend.namespace);
    let impatient = impatient.build().expect("the url is good");
    until("it has it from the server", || async {
        values(&caches, &source, 1).await;
        first::user(&impatient, &source, 1).await;
        impatient.stats().total.redis_hits > 0
    })
    .await;
    backend.freeze();
    source.set(5);
    let entry = first::user_entry(&impatient, &source, 1);
    let report = entry.invalidate().await.expect("it is queued");
    assert!(report.queued);
    backend.thaw();
    until("all have heard of it", || async {
        values(&caches, &source, 1).await == [5; 3]
    })
    .await;
}

async fn by_hand_beside_a_function(cache: &Cache) {
    const MINUTE: Policy = Policy::new(Duration::from_secs(60));
    let source = Source::default();
    source.set(7);
    for id in [1, 2] {
        // In either order.
        if id == 2 {
            assert_eq!(first::user(cache, &source, id).await.value, 7);
        }
        let key = format!("app.user:{id}");
        let own = first::User { value: 99 };
        cache
            .put(&key, MINUTE, own.clone())
            .await
            .expect("it is a key");
        assert_eq!(first::user(cache, &source, id).await.value, 7);
        assert_eq!(first::user(cache, &source, id).await.value, 7);
        let stored = cache.get::<first::User>(&key).await.expect("it is a key");
        assert_eq!(stored, Some(own));
    }
    assert_eq!(source.runs(), 2, "each call once");
    // An invalidation by name affects both.
    let report = cache.invalidate("app.user").await.expect("it works");
    assert_eq!(report.functions, ["app.user"]);
    let stored = cache.get::<first::User>("app.user:1").await;
    assert_eq!(stored.expect("it is a key"), None);
    assert_eq!(first::user(cache, &source, 1).await.value, 7);
    assert_eq!(source.runs(), 3);
}

async fn a_name_by_hand_and_that_of_a_function_never_meet(backend: Backend) {
    by_hand_beside_a_function(&backend.cache()).await;
    let here = Cache::builder().in_process().build().expect("it builds");
    by_hand_beside_a_function(&here).await;
}
