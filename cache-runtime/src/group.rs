use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::fingerprint::digest;
use crate::nonce::Nonce;

/// A set of calls that can be invalidated together, named by the key of its generation.
#[derive(Clone)]
pub(crate) struct Group {
    key: Arc<str>,
    digest: u128,
}

impl Group {
    /// Every call of the namespace.
    pub(crate) fn everything(namespace: &str) -> Self {
        Self::new(format!("{namespace}:gen:all"))
    }

    /// Every call of one function.
    pub(crate) fn function(namespace: &str, name: &str) -> Self {
        Self::new(format!("{namespace}:gen:fn:{name}"))
    }

    /// The one whose generation is held by this key.
    pub(crate) fn of_key(key: &str) -> Self {
        Self::new(key.to_owned())
    }

    fn new(key: String) -> Self {
        Self {
            digest: digest(key.as_bytes()),
            key: key.into(),
        }
    }

    /// What it is found by in this process: the digest of its key.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    /// The key that holds the group's generation.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// The digest of the generations of all groups of a call, in the order of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp(pub(crate) [u8; 16]);

impl Stamp {
    pub(crate) fn of(generations: impl IntoIterator<Item = Nonce>) -> Self {
        // Without a key, because every process must agree; nonces are nobody's choice.
        let mut hasher = SipHasher13::new();
        for generation in generations {
            hasher.write(&generation.0);
        }
        Self(hasher.finish128().as_u128().to_le_bytes())
    }

    pub(crate) fn half(self) -> HalfStamp {
        HalfStamp(u128::from_le_bytes(self.0) as u64)
    }
}

/// What tells one process's stamps apart: 64 of a digest's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfStamp(pub(crate) u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_any_of_its_generations() {
        let (a, b, c) = (Nonce::fresh(), Nonce::fresh(), Nonce::fresh());
        assert_eq!(Stamp::of([a, b]), Stamp::of([a, b]));
        assert_ne!(Stamp::of([a, b]), Stamp::of([a, c]));
        assert_ne!(Stamp::of([a, b]), Stamp::of([b, a]));
    }
}
