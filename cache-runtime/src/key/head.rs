use super::{arguments::hashed, types};
use crate::fingerprint::digest;

/// Generic arguments longer than this many bytes are replaced by their hash.
const LONGEST_TYPES: usize = 100;

/// What all keys of one function begin with, up to the arguments: `{namespace}:{name}[@{version}]`
/// and, for one instance of a generic function, `<{types}>`.
pub(crate) struct Head {
    pub(super) text: String,
    pub(super) digest: u128,
}

impl Head {
    /// `path`: of a closure in the function's body, for the generic arguments it is in.
    pub(crate) fn new(prefix: &str, path: &str) -> Self {
        Self::with(prefix, &types::generics(path))
    }

    /// As [`new`](Self::new), of a method that a trait provides.
    pub(crate) fn provided(prefix: &str, path: &str) -> Self {
        Self::with(prefix, &types::provided(path))
    }

    fn with(prefix: &str, types: &str) -> Self {
        let mut text = prefix.to_owned();
        if !types.is_empty() {
            text.push('<');
            if types.len() <= LONGEST_TYPES {
                text.push_str(types);
            } else {
                text.push_str(&hashed(types.as_bytes()));
            }
            text.push('>');
        }
        let digest = digest(text.as_bytes());
        Self { text, digest }
    }
}
