//! Other caching crates behind one small interface, for benchmarks: one module per peer.
//!
//! In-process functions are `item*(id)` and hold `SIZE`-byte bodies; Redis functions are
//! `item_100(id)` and `item_16k(id)`, usable after the module's `start(url)`.

pub mod cached;
pub mod cachekit;
pub mod hitbox;
mod item;
pub mod moka;
pub mod quick_cache;

pub use item::{COMPUTED, Item, make};

/// Body size of the in-process items in bytes.
pub const SIZE: usize = 100;
/// Capacity of the in-process caches that need one.
pub const CAPACITY: usize = 100_000;
/// Time to live, for peers that support it.
pub const TTL: std::time::Duration = std::time::Duration::from_secs(600);
