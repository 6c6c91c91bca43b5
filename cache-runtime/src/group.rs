use std::fmt;
use std::sync::Arc;

use crate::nonce::Nonce;

/// A set of calls that can be invalidated together, named by the key of its generation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group(Arc<str>);

impl Group {
    /// Every call of the namespace.
    pub(crate) fn everything(namespace: &str) -> Self {
        Self(format!("{namespace}:gen:all").into())
    }

    /// Every call of one function.
    pub(crate) fn function(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}:gen:fn:{name}").into())
    }

    /// The key that holds the group's generation.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Group {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of the generations of all groups of a call, in the order of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp(pub(crate) [u8; 16]);

impl Stamp {
    pub(crate) fn of(generations: impl IntoIterator<Item = Nonce>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for generation in generations {
            hasher.update(&generation.0);
        }
        let mut stamp = [0; 16];
        stamp.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(stamp)
    }

    pub(crate) fn halves(self) -> [u64; 2] {
        let whole = u128::from_le_bytes(self.0);
        [whole as u64, (whole >> 64) as u64]
    }
}

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
