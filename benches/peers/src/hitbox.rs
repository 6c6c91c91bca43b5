//! `hitbox` through `hitbox-fn`'s `#[cached]`, with its moka and Redis backends at their defaults:
//! moka holds JSON bytes, Redis a hash of bincode bytes. Key: function name and `u64` argument.

use std::sync::{Arc, LazyLock, OnceLock};

use hitbox::policy::PolicyConfig;
use hitbox_fn::{Cache, cached};
use hitbox_moka::MokaBackend;
use hitbox_redis::{ConnectionMode, RedisBackend};

use crate::item::compute;
use crate::{CAPACITY, Item, SIZE, TTL};

fn policy() -> PolicyConfig {
    PolicyConfig::builder().ttl(TTL).build()
}

static MEMORY: LazyLock<Cache<MokaBackend>> = LazyLock::new(|| {
    let backend = MokaBackend::builder().max_entries(CAPACITY as u64).build();
    Cache::builder().backend(backend).policy(policy()).build()
});

#[cached]
async fn memory(id: u64) -> Item {
    compute(id, SIZE)
}

/// Calls with the moka backend. A hit decodes the stored bytes, so the `Arc` is new each time.
pub async fn item(id: u64) -> Arc<Item> {
    Arc::new(memory(id).cache(&*MEMORY).await)
}

static REDIS: OnceLock<Cache<RedisBackend>> = OnceLock::new();

/// Builds the Redis backend, which connects on the first call.
pub async fn start(url: &str) {
    let backend = RedisBackend::builder()
        .connection(ConnectionMode::single(url))
        .build()
        .expect("hitbox builds its Redis backend");
    REDIS.get_or_init(|| Cache::builder().backend(backend).policy(policy()).build());
}

fn redis() -> &'static Cache<RedisBackend> {
    REDIS.get().expect("hitbox::start was called")
}

#[cached]
async fn redis_100(id: u64) -> Item {
    compute(id, 100)
}

#[cached]
async fn redis_16k(id: u64) -> Item {
    compute(id, 16384)
}

pub async fn item_100(id: u64) -> Item {
    redis_100(id).cache(redis()).await
}

pub async fn item_16k(id: u64) -> Item {
    redis_16k(id).cache(redis()).await
}
