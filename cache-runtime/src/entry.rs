//! Stored entries: a versioned header and a payload, and the lifetimes of a function's entries.

pub mod codec;
mod compression;
pub(crate) mod encoding;
pub(crate) mod entry_writer;
pub(crate) mod header;
mod lossless;
pub(crate) mod policy;
pub(crate) mod schema;
