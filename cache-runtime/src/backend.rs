//! Storage of entries, leases and generations: in this process or on Redis.
//!
//! Both backends implement [`Backend`](contract::Backend) with the same guarantees.

pub(crate) mod any_backend;
pub(crate) mod apply;
pub(crate) mod claim;
pub(crate) mod contract;
pub(crate) mod invalidation_sink;
mod lease_watch;
pub(crate) mod local_values;
pub(crate) mod lookup;
pub(crate) mod memory;
pub(crate) mod redis;
pub(crate) mod session;
pub(crate) mod stored_entry;
