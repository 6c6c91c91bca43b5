//! `cachekit-rs` through `#[cachekit]`. Key: `{namespace}:{operation}:{blake2b of the arguments}`;
//! both layers hold MessagePack bytes.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use cachekit::backend::{Backend, HealthStatus};
use cachekit::error::BackendError;
use cachekit::{CacheKit, CachekitError, cachekit};

use crate::item::compute;
use crate::{CAPACITY, Item, SIZE, TTL};

/// A backend that stores nothing, since a client needs one; only the L1 remains.
struct Nowhere;

#[async_trait]
impl Backend for Nowhere {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(None)
    }
    async fn set(&self, _: &str, _: Vec<u8>, _: Option<Duration>) -> Result<(), BackendError> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<bool, BackendError> {
        Ok(false)
    }
    async fn exists(&self, _: &str) -> Result<bool, BackendError> {
        Ok(false)
    }
    async fn health(&self) -> Result<HealthStatus, BackendError> {
        Err(BackendError::permanent("no backend"))
    }
}

static MEMORY: LazyLock<CacheKit> = LazyLock::new(|| {
    CacheKit::builder()
        .backend(Arc::new(Nowhere))
        .default_ttl(TTL)
        .l1_capacity(CAPACITY)
        .build()
        .expect("cachekit builds without Redis")
});

#[cachekit(client = cache, ttl = 600, interop = "item", namespace = "peers")]
async fn memory(cache: &CacheKit, id: u64) -> Result<Item, CachekitError> {
    Ok(compute(id, SIZE))
}

/// Calls with the L1 only. A hit decodes the stored bytes, so the `Arc` is new each time.
pub async fn item(id: u64) -> Arc<Item> {
    Arc::new(memory(&MEMORY, id).await.expect("cachekit in memory"))
}

static REDIS: OnceLock<CacheKit> = OnceLock::new();

/// Connects with the `minimal` preset (its fastest: no reliability stack) and no L1.
pub async fn start(url: &str) {
    let builder = CacheKit::minimal(url)
        .await
        .expect("cachekit connects to Redis");
    let client = builder.default_ttl(TTL).no_l1().build();
    REDIS.get_or_init(|| client.expect("cachekit builds on Redis"));
}

fn redis() -> &'static CacheKit {
    REDIS.get().expect("cachekit::start was called")
}

#[cachekit(client = cache, ttl = 600, interop = "item_100", namespace = "peers")]
async fn redis_100(cache: &CacheKit, id: u64) -> Result<Item, CachekitError> {
    Ok(compute(id, 100))
}

#[cachekit(client = cache, ttl = 600, interop = "item_16k", namespace = "peers")]
async fn redis_16k(cache: &CacheKit, id: u64) -> Result<Item, CachekitError> {
    Ok(compute(id, 16384))
}

pub async fn item_100(id: u64) -> Item {
    redis_100(redis(), id).await.expect("cachekit on Redis")
}

pub async fn item_16k(id: u64) -> Item {
    redis_16k(redis(), id).await.expect("cachekit on Redis")
}
