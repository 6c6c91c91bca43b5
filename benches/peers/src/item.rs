//! The shared value type. In its own module because hitbox's derive names the `hitbox` crate by a
//! relative path, which the crate root's `mod hitbox` would shadow.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often any peer has computed a value instead of serving it.
pub static COMPUTED: AtomicU64 = AtomicU64::new(0);

#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, hitbox_fn::CacheableResponse,
)]
pub struct Item {
    pub id: u64,
    pub name: String,
    pub body: String,
}

/// An item whose body is about `size` bytes.
pub fn make(id: u64, size: usize) -> Item {
    let mut body = format!("{id:016x}").repeat(size.div_ceil(16));
    body.truncate(size);
    Item {
        id,
        name: format!("item {id}"),
        body,
    }
}

/// Computation of every peer on a miss.
pub(crate) fn compute(id: u64, size: usize) -> Item {
    COMPUTED.fetch_add(1, Ordering::Relaxed);
    make(id, size)
}
