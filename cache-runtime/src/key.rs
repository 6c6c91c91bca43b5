//! Keys of entries.
//!
//! A key is `{namespace}:{name}@{variant}[<{types}>]:{arguments}`. Two different calls never share
//! a key. A call has the same key in every process of one release; in another release the variant
//! may differ.

mod arguments;
mod by_hand;
pub(crate) mod cache_key;
mod escape;
pub(crate) mod fingerprint;
mod hashed;
mod key_buffer;
mod key_prefix;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod key_ref;
pub(crate) mod keyspace;
pub(crate) mod name;
pub(crate) mod nearest;
mod order;
mod packed_ascii;
pub(crate) mod pattern;
mod quoting;
pub(crate) mod secret;
mod serializer;
mod types;
mod variant;

pub use arguments::{Arguments, KeyPart};
pub(crate) use by_hand::{length, tag_text};
pub use cache_key::Key;
pub(crate) use key_prefix::KeyPrefix;
pub use key_ref::{AnyPart, KeyRef};
pub(crate) use variant::Variant;
