//! In the edition of 2015, where paths begin at the user's own crate.
#![deny(warnings)]

extern crate recached;

use std::sync::Arc;

use recached::{cached, invalidates};

/// All that a plain function may ask for.
#[cached(
    ttl = 60,
    tags("u:{id}"),
    stale_while_revalidate = "1m",
    stale_if_error = 60,
    soft_timeout = 5,
    jitter = 0.1,
    codec = "json"
)]
pub fn user(id: u64, shared: Arc<str>, text: String) -> u64 {
    id + shared.len() as u64 + text.len() as u64
}

/// With a template.
#[cached(ttl = 60, none_ttl = 1, key = "x:{id}:{name}")]
pub fn keyed(id: u64, name: &str) -> Option<Arc<str>> {
    Some(name.get(id as usize..)?.into())
}

/// With methods.
pub struct Users;

impl Users {
    /// Of a `Result`.
    #[cached(ttl = 60, skip(self))]
    pub fn of(&self, id: u64) -> Result<u64, String> {
        Ok(id)
    }

    /// Invalidates all of them.
    #[invalidates("of", tag = "u:{id}", entry = self.of_entry(id))]
    pub fn change(&self, id: u64) -> u64 {
        id
    }
}
