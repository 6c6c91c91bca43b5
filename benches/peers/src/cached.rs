//! `cached` 4: `#[cached]`, `#[concurrent_cached]` in memory and `#[concurrent_cached]` on Redis.
//! Macro attributes only take literals, hence the repeated `600`.

use std::sync::{Arc, OnceLock};

use cached::AsyncRedisCache;
use cached::macros::{cached, concurrent_cached};

use crate::item::compute;
use crate::{Item, SIZE, TTL};

/// `#[cached]`: one `RwLock` around an unbounded TTL store, key `u64`.
#[cached(ttl_secs = 600)]
pub fn item(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

/// The same on an async function (async lock).
#[cached(ttl_secs = 600)]
pub async fn item_async(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

/// `#[cached]` with an LRU bound (a literal equal to `CAPACITY`) and TTL.
#[cached(max_size = 100_000, ttl_secs = 600)]
pub fn item_sized(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

#[cached(max_size = 100_000, ttl_secs = 600)]
pub async fn item_sized_async(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

/// `#[concurrent_cached]` with an LRU bound and TTL.
#[concurrent_cached(max_size = 100_000, ttl_secs = 600)]
pub fn item_concurrent_sized(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

#[concurrent_cached(max_size = 100_000, ttl_secs = 600)]
pub async fn item_concurrent_sized_async(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

/// `#[concurrent_cached]`: sharded unbounded TTL store.
#[concurrent_cached(ttl_secs = 600)]
pub fn item_concurrent(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

#[concurrent_cached(ttl_secs = 600)]
pub async fn item_concurrent_async(id: u64) -> Arc<Item> {
    Arc::new(compute(id, SIZE))
}

static URL: OnceLock<String> = OnceLock::new();

/// Stores the URL; each function connects on its first call.
pub async fn start(url: &str) {
    URL.get_or_init(|| url.to_owned());
}

/// Builds the cache that `redis = true, ttl_secs = 600` would build, prefix included, but with the
/// URL from `start`.
async fn store(prefix: &str) -> AsyncRedisCache<u64, Item> {
    AsyncRedisCache::builder(prefix)
        .ttl(TTL)
        .connection_string(URL.get().expect("cached::start was called"))
        .build()
        .await
        .expect("cached connects to Redis")
}

#[concurrent_cached(
    map_error = |e| format!("{e:?}"),
    ty = "AsyncRedisCache<u64, Item>",
    create = { store("cached::macros::concurrent_cached::TRY_ITEM_100").await }
)]
async fn try_item_100(id: u64) -> Result<Item, String> {
    Ok(compute(id, 100))
}

#[concurrent_cached(
    map_error = |e| format!("{e:?}"),
    ty = "AsyncRedisCache<u64, Item>",
    create = { store("cached::macros::concurrent_cached::TRY_ITEM_16K").await }
)]
async fn try_item_16k(id: u64) -> Result<Item, String> {
    Ok(compute(id, 16384))
}

pub async fn item_100(id: u64) -> Item {
    try_item_100(id).await.expect("cached on Redis")
}

pub async fn item_16k(id: u64) -> Item {
    try_item_16k(id).await.expect("cached on Redis")
}
