//! The shared value type. It has its own module because hitbox's derive names the `hitbox` crate by
//! a relative path, which the crate root's `mod hitbox` would shadow.

use std::sync::atomic::{AtomicU64, Ordering};

/// Number of computations by all peers.
pub static COMPUTED: AtomicU64 = AtomicU64::new(0);

#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, hitbox_fn::CacheableResponse,
)]
pub struct Item {
    pub id: u64,
    pub name: String,
    pub body: String,
}

/// An item whose body has `size` bytes.
pub fn make(id: u64, size: usize) -> Item {
    let mut body = format!("{id:016x}").repeat(size.div_ceil(16));
    body.truncate(size);
    Item {
        id,
        name: format!("item {id}"),
        body,
    }
}

/// Computes the value for any peer on a miss.
pub(crate) fn compute(id: u64, size: usize) -> Item {
    COMPUTED.fetch_add(1, Ordering::Relaxed);
    make(id, size)
}
