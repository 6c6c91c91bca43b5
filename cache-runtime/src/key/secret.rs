use std::sync::atomic::{AtomicBool, Ordering};

use hmac_sha256::HMAC;

use crate::error::{Error, ErrorKind};
use crate::process::unique_id::UniqueId;

/// The fewest bytes that nobody guesses.
const FEWEST: usize = 16;

/// Key of the hash of arguments that must not be readable in a cache key.
pub(crate) struct Secret {
    key: Vec<u8>,
    /// The event about a key of this process's own is still due.
    untold: AtomicBool,
    /// Why there is none: calls with secret arguments are computed.
    refused: Option<Error>,
}

impl Secret {
    /// The one that is given, or the environment's `RECACHED_SECRET`, or one of this process's
    /// own; `shared`: whether there are other processes at all.
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

    /// One that no other process has.
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

    /// Why nothing can be hashed, if so.
    pub(crate) fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Returns `true` if it is this process's own and was not reported yet; once.
    pub(crate) fn is_untold(&self) -> bool {
        self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed)
    }

    /// HMAC-SHA-256 (RFC 2104), the first 128 bits of it: nobody without the secret can look for
    /// two texts that meet. Of one text in two arguments, nothing tells that it is one.
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
        // As `openssl dgst -sha256 -hmac 0123456789abcdef` has it.
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
    fn that_it_is_shared_with_nobody_is_told_once() {
        let own = Secret::own(true);
        assert!(own.is_untold() && !own.is_untold());
        assert!(!Secret::own(false).is_untold());
    }
}
