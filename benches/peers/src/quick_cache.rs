//! `quick_cache`'s sync cache, with keys that the caller prepares. It has no TTL.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use quick_cache::sync::Cache;

use crate::item::compute;
use crate::{CAPACITY, Item, SIZE};

static CACHE: LazyLock<Cache<String, Arc<Item>>> = LazyLock::new(|| Cache::new(CAPACITY));

pub fn key(id: u64) -> String {
    format!("item:{id}")
}

/// Calls with a key from `key(id)` that is created outside the measurement.
pub fn item_by_key(key: &str, id: u64) -> Arc<Item> {
    CACHE
        .get_or_insert_with(key, || Ok::<_, Infallible>(Arc::new(compute(id, SIZE))))
        .expect("computing cannot fail")
}

pub fn item(id: u64) -> Arc<Item> {
    item_by_key(&key(id), id)
}
