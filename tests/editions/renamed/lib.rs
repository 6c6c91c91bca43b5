//! A user's crate: the facade has another name here, every warning is an error, and all that is
//! public is documented.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic
)]
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache_lib::cached;
use serde::{Deserialize, Serialize};

/// Where others get the facade from.
pub mod reexport {
    pub use cache_lib as recached;
}

/// How often a body has run.
pub static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: u64,
}

/// The errors.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure;

/// Looks somebody up.
///
/// # Errors
///
/// There is nobody with number 0.
#[cached(ttl = 60, crate = cache_lib)]
pub async fn user(id: u64, _of: &str) -> Result<Option<User>, Failure> {
    RUNS.fetch_add(1, Ordering::SeqCst);
    if id == 0 {
        return Err(Failure);
    }
    Ok(Some(User { id }))
}

/// As [`user`], on the spot, by way of the crate's own re-export.
#[must_use]
#[cached(ttl = "1m", with(1 + 1), crate = crate::reexport::recached, store_if = |user| user.id > 0)]
pub fn user_now(id: u64) -> Arc<User> {
    RUNS.fetch_add(1, Ordering::SeqCst);
    Arc::new(User { id })
}

/// A place with users.
#[derive(Debug, Default)]
pub struct Users {
    tenant: (String, u8),
}

impl Users {
    /// All of them.
    #[cached(
        ttl = 60, crate = cache_lib, with(self.tenant.0, self.tenant.1), none_ttl = 1,
        stale_if_error = "1h", ttl_with = |_| std::time::Duration::from_secs(1),
        bypass_if = self.tenant.0.is_empty() && self.tenant.1 != 0
    )]
    pub async fn all(self: Arc<Self>) -> Option<Vec<User>> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Ordering, RUNS, Users, user, user_entry, user_now, user_now_entry};

    #[test]
    fn a_facade_may_have_another_name() {
        pollster::block_on(async {
            for _ in 0..2 {
                assert!(user(0, "").await.is_err());
                assert_eq!(
                    user(1, "").await.ok().flatten().map(|user| user.id),
                    Some(1)
                );
                assert_eq!(user_now(2).id, 2);
                assert_eq!(std::sync::Arc::new(Users::default()).all().await, None);
            }
            assert_eq!(RUNS.load(Ordering::SeqCst), 5);
            assert!(
                user_entry(1, "")
                    .invalidate()
                    .await
                    .is_ok_and(|report| report.entries == 1)
            );
            assert!(user_now_entry(2).peek().is_ok_and(|user| user.is_some()));
            assert!(user(1, "").await.is_ok());
            assert_eq!(RUNS.load(Ordering::SeqCst), 6);
        });
    }
}
