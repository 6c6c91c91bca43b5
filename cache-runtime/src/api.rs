//! Public types and functions of the cache.

pub mod blocking;
pub(crate) mod builder;
pub(crate) mod cache;
pub(crate) mod check_report;
pub(crate) mod entry_handle;
mod environment;
mod global;
pub(crate) mod overrides;
