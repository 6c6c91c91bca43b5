//! `moka`'s sync cache, bounded and with a TTL, under a `String` key.

use std::sync::{Arc, LazyLock};

use moka::sync::Cache;

use crate::item::compute;
use crate::{CAPACITY, Item, SIZE, TTL};

static CACHE: LazyLock<Cache<String, Arc<Item>>> = LazyLock::new(|| {
    Cache::builder()
        .max_capacity(CAPACITY as u64)
        .time_to_live(TTL)
        .build()
});

pub fn item(id: u64) -> Arc<Item> {
    CACHE.get_with(format!("item:{id}"), || Arc::new(compute(id, SIZE)))
}
