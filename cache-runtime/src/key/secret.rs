use std::sync::atomic::{AtomicBool, Ordering};

use hmac_sha256::HMAC;

use crate::error::{Error, ErrorKind};
use crate::process::unique_id::UniqueId;

/// Minimum length of a secret, in bytes: shorter ones can be guessed.
const FEWEST: usize = 16;

/// Secret with which arguments are hashed that must not be readable in a cache key.
pub(crate) struct Secret {
    key: Vec<u8>,
    /// The event that the secret belongs to this process only has not been sent yet.
    untold: AtomicBool,
    /// The reason for rejecting the secret: calls with secret arguments are computed.
    refused: Option<Error>,
}

impl Secret {
    /// Returns the given secret, or the environment's `RECACHED_SECRET`, or a random one of this
    /// process. `shared` is `true` if the cache has a server.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if the given secret is shorter than 16 bytes. A short
    /// `RECACHED_SECRET` is logged, and functions with secret arguments are then not cached.
    pub(crate) fn new(given: Option<&[u8]>, shared: bool) -> Result<Self, Error> {
        let environment = std::env::var_os("RECACHED_SECRET").filter(|secret| !secret.is_empty());
        let environment = environment.map(|secret| secret.into_encoded_bytes());
        match given.or(environment.as_deref()) {
            Some(key) if key.len() < FEWEST => {
                let short = |what: &str| {
                    let text = format!(
                        "{what} is short enough to be guessed: give {FEWEST} bytes at least"
                    );
                    Error::new(ErrorKind::Config, text)
                };
                if given.is_some() {
                    return Err(short("the secret"));
                }
                let error = short("RECACHED_SECRET");
                tracing::error!("{error}; functions with secret arguments are not cached");
                Ok(Self {
                    refused: Some(error),
                    ..Self::own(false)
                })
            }
            Some(key) => Ok(Self {
                key: key.to_vec(),
                untold: AtomicBool::new(false),
                refused: None,
            }),
            None => Ok(Self::own(shared)),
        }
    }

    /// Returns a random secret that no other process has.
    pub(crate) fn own(shared: bool) -> Self {
        let mut key = vec![0; 32];
        if getrandom::fill(&mut key).is_err() {
            key = [UniqueId::fresh().0, UniqueId::fresh().0].concat();
        }
        Self {
            key,
            untold: AtomicBool::new(shared),
            refused: None,
        }
    }

    /// Returns the reason if nothing can be hashed.
    pub(crate) fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Returns `true`, once, if the secret belongs to this process only and this was not reported
    /// yet.
    pub(crate) fn is_unreported(&self) -> bool {
        self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed)
    }

    /// Returns the first 128 bits of the HMAC-SHA-256 (RFC 2104): without the secret, nobody can
    /// search for collisions. The argument's name is hashed too, so that equal texts in two
    /// arguments have different hashes.
    pub(crate) fn hash(&self, argument: &str, text: &[u8]) -> u128 {
        let mut hmac = HMAC::new(&self.key);
        hmac.update(argument);
        hmac.update([0]);
        hmac.update(text);
        let hash = hmac.finalize();
        hash[..16]
            .iter()
            .fold(0, |all, byte| all << 8 | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_secret_the_argument_and_the_text() {
        let given = |secret: &[u8; 16]| Secret::new(Some(secret), true).expect("it is long enough");
        let one = given(b"0123456789abcdef");
        let hash = one.hash("token", b"'hunter2'");
        assert_eq!(hash, given(b"0123456789abcdef").hash("token", b"'hunter2'"));
        assert_ne!(hash, given(b"0123456789abcdeF").hash("token", b"'hunter2'"));
        assert_ne!(hash, one.hash("other", b"'hunter2'"));
        assert_ne!(hash, one.hash("token", b"'hunter3'"));
        assert_ne!(hash, Secret::own(true).hash("token", b"'hunter2'"));
        // Computed with `openssl dgst -sha256 -hmac 0123456789abcdef`.
        assert_eq!(format!("{hash:032x}"), GOLDEN);
    }

    const GOLDEN: &str = "52f8ffd2c83b3326828260f91b36e9dc";

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let refused = Secret::new(Some(b"hunter2"), true)
            .err()
            .expect("it is short");
        assert!(refused.to_string().contains("16 bytes"));
        assert!(!refused.to_string().contains("hunter2"));
    }

    #[test]
    fn that_it_is_shared_with_no_event_is_sent_once() {
        let own = Secret::own(true);
        assert!(own.is_unreported() && !own.is_unreported());
        assert!(!Secret::own(false).is_unreported());
    }
}
