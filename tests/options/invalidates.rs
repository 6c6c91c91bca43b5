//! Functions that invalidate after they have succeeded.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use recached::{Cache, cached, invalidates};
use recached_tests::{Fixture, Server, on_both_stores, reaches, until};

on_both_stores! {
    what_succeeds_invalidates_and_what_fails_does_not
    every_form_of_function_may_invalidate
    a_call_that_is_dropped_or_panics_invalidates_beside_its_caller
}

#[derive(Default)]
struct Db {
    value: AtomicU64,
}

impl Db {
    fn get(&self) -> u64 {
        self.value.load(Ordering::SeqCst)
    }

    fn set(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }
}

#[cached(ttl = 60, cache = cache, skip(cache, db), tags("user:{id}"))]
async fn user(cache: &Cache, db: &Db, id: u64) -> u64 {
    db.get()
}

#[cached(ttl = 60, cache = cache, skip(cache, db))]
async fn page(cache: &Cache, db: &Db, id: u64) -> u64 {
    db.get()
}

/// Makes three calls, which the functions of these tests invalidate.
async fn read(cache: &Cache, db: &Db) -> [u64; 3] {
    [
        user(cache, db, 1).await,
        user(cache, db, 2).await,
        page(cache, db, 1).await,
    ]
}

type Alias = Result<(), String>;

#[invalidates(tag = "user:{id}", cache = cache)]
async fn by_tag(cache: &Cache, db: &Db, id: u64, value: Result<u64, String>) -> Alias {
    db.set(value?);
    Ok(())
}

#[invalidates("user", "pag?", cache = cache)]
async fn by_name(cache: &Cache, db: &Db, value: u64) -> Option<u64> {
    db.set(value);
    None
}

#[invalidates(entry = page_entry(cache, db, id), entry = user_entry(cache, db, 2), cache = cache)]
async fn by_entry(cache: &Cache, db: &Db, id: u64, value: u64) {
    db.set(value);
}

async fn what_succeeds_invalidates_and_what_fails_does_not(fixture: Fixture) {
    let db = Db::default();
    let (one, two) = (&fixture.one, &fixture.two);
    for cache in [one, two, one, two] {
        assert_eq!(read(cache, &db).await, [0, 0, 0]);
    }
    assert_eq!(by_tag(one, &db, 1, Ok(1)).await, Ok(()));
    assert_eq!(read(one, &db).await, [1, 0, 0]);
    until("the other has heard of it", || async {
        read(two, &db).await == [1, 0, 0]
    })
    .await;
    db.set(9);
    assert_eq!(
        by_tag(one, &db, 1, Err("no".into())).await,
        Err("no".into())
    );
    for cache in [one, two] {
        assert_eq!(read(cache, &db).await, [1, 0, 0], "it has failed");
    }
    assert_eq!(by_entry(one, &db, 1, 2).await, ());
    assert_eq!(read(one, &db).await, [1, 2, 2]);
    assert_eq!(by_name(one, &db, 3).await, None);
    assert_eq!(read(one, &db).await, [3, 3, 3]);
    until("the other has heard of it", || async {
        read(two, &db).await == [3, 3, 3]
    })
    .await;
}

#[invalidates("user", cache = cache)]
fn plain(cache: &Cache, db: &Db, value: Result<u64, u8>) -> Result<u64, u8> {
    if value == Ok(0) {
        return Err(0);
    }
    db.set(value?);
    value
}

#[invalidates(tag = "user:{id}", cache = cache)]
fn opaque(cache: &Cache, db: &Db, (id, value): (u64, u64)) -> impl Display + use<> {
    db.set(value);
    value
}

#[invalidates(tag = "{prefix}:{id}", cache = cache)]
async fn generic<T: AsRef<str> + serde::Serialize, const N: u64>(
    cache: &Cache,
    db: &Db,
    prefix: T,
    id: Cow<'_, str>,
) -> impl Display + use<T, N> {
    db.set(N);
    drop(id);
    prefix.as_ref().len()
}

struct Users {
    cache: Cache,
    db: Arc<Db>,
    tenant: String,
}

impl Users {
    /// Documented.
    #[must_use]
    #[invalidates(tag = "{self.tenant}:{id}", cache = self.cache)]
    pub(crate) async fn rename(&self, id: u64, value: u64) -> u64 {
        self.db.set(value);
        value
    }

    #[invalidates("user", cache = self.cache)]
    fn consume(self, value: u64) -> String {
        self.db.set(value);
        self.tenant
    }
}

#[async_trait::async_trait]
trait Repository {
    async fn save(&mut self, id: u64, value: Result<u64, String>) -> Result<(), String>;
    async fn save_around(&self, id: u64, value: u64) -> u64;
}

#[async_trait::async_trait]
impl Repository for Users {
    #[invalidates(tag = "user:{id}", cache = self.cache)]
    async fn save(&mut self, id: u64, value: Result<u64, String>) -> Result<(), String> {
        assert_eq!(id, 1);
        self.db.set(value?);
        Ok(())
    }

    #[invalidates(tag = "user:{id}", cache = self.cache)]
    async fn save_around(&self, id: u64, value: u64) -> u64 {
        assert_eq!(id, 1);
        self.db.set(value);
        value
    }
}

async fn every_form_of_function_may_invalidate(fixture: Fixture) {
    let (cache, db) = (&fixture.one, &Arc::new(Db::default()));
    let users = || Users {
        cache: cache.clone(),
        db: Arc::clone(db),
        tenant: "user".to_owned(),
    };
    assert_eq!(user(cache, db, 1).await, 0);
    for value in [Err(5), Ok(0)] {
        assert!(plain(cache, db, value).is_err());
        assert_eq!(user(cache, db, 1).await, 0);
    }
    assert_eq!(plain(cache, db, Ok(1)), Ok(1));
    assert_eq!(user(cache, db, 1).await, 1);
    assert_eq!(opaque(cache, db, (1, 2)).to_string(), "2");
    assert_eq!(user(cache, db, 1).await, 2);
    let generic = generic::<_, 3>(cache, db, "user", "1".into());
    assert_eq!(generic.await.to_string(), "4");
    assert_eq!(user(cache, db, 1).await, 3);
    assert_eq!(users().rename(1, 4).await, 4);
    assert_eq!(user(cache, db, 1).await, 4);
    assert_eq!(users().consume(5), "user");
    assert_eq!(user(cache, db, 1).await, 5);
    assert!(users().save(1, Err("no".into())).await.is_err());
    db.set(6);
    assert_eq!(user(cache, db, 1).await, 5);
    assert_eq!(users().save(1, Ok(7)).await, Ok(()));
    assert_eq!(user(cache, db, 1).await, 7);
    assert_eq!(users().save_around(1, 8).await, 8);
    assert_eq!(user(cache, db, 1).await, 8);
    // The returned future can be spawned.
    let users = users();
    let spawned = tokio::spawn(async move { users.rename(1, 9).await });
    assert_eq!(spawned.await.expect("no panic"), 9);
    assert_eq!(user(cache, db, 1).await, 9);
}

#[invalidates(tag = "user:1", cache = cache)]
async fn writes_and_waits(cache: Cache, db: Arc<Db>, value: u64, panics: bool) {
    db.set(value);
    assert!(!panics, "on purpose");
    std::future::pending::<()>().await;
}

async fn a_call_that_is_dropped_or_panics_invalidates_beside_its_caller(fixture: Fixture) {
    let (cache, db) = (&fixture.one, &Arc::new(Db::default()));
    for (value, panics) in [(1, false), (2, true)] {
        user(cache, db, 1).await;
        let call = tokio::spawn(writes_and_waits(
            cache.clone(),
            Arc::clone(db),
            value,
            panics,
        ));
        until("it has written", || async { db.get() == value }).await;
        call.abort();
        assert!(call.await.is_err());
        until("it is invalidated", || async {
            user(cache, db, 1).await == value
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_costs_a_write_neither_its_result_nor_its_invalidation() {
    let server = Server::start();
    let build = || {
        let builder = Cache::builder().redis(server.url()).namespace("write");
        builder
            .command_timeout(Duration::from_millis(300))
            .build()
            .expect("it builds")
    };
    let (one, two) = (build(), build());
    let db = Db::default();
    for cache in [&one, &two] {
        until("it is read from redis", || async {
            user(cache, &db, 1).await;
            reaches(cache).await
        })
        .await;
    }
    server.freeze();
    assert_eq!(by_tag(&one, &db, 1, Ok(1)).await, Ok(()));
    assert_eq!(user(&one, &db, 1).await, 1);
    server.thaw();
    for cache in [&one, &two] {
        until("it has been told", || async {
            user(cache, &db, 1).await == 1
        })
        .await;
    }
}
