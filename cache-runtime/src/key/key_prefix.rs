use super::hashed::hashed;
use super::types;
use super::variant::Variant;
use crate::key::fingerprint::digest;

/// Generic arguments longer than this many bytes are replaced by their hash.
const LONGEST_TYPES: usize = 100;

/// The beginning of all keys of one function, up to the arguments:
/// `{namespace}:{name}@{variant}[<{types}>]`, or `{namespace}:{name}` by hand.
pub(crate) struct KeyPrefix {
    pub(super) text: String,
    pub(super) digest: u128,
}

impl KeyPrefix {
    /// `name`: with its namespace. `path`: of a closure in the function's body, for the generic
    /// arguments it is in.
    pub(crate) fn new(name: &str, variant: Variant, path: &str) -> Self {
        Self::with(name, variant, &types::generics(path))
    }

    /// As [`new`](Self::new), of a method that a trait provides.
    pub(crate) fn provided(name: &str, variant: Variant, path: &str) -> Self {
        Self::with(name, variant, &types::provided(path))
    }

    /// Of keys by hand.
    pub(crate) fn by_hand(name: &str) -> Self {
        Self::of(name.to_owned())
    }

    fn with(name: &str, variant: Variant, types: &str) -> Self {
        let mut text = format!("{name}@{variant}");
        if !types.is_empty() {
            text.push('<');
            if types.len() <= LONGEST_TYPES {
                text.push_str(types);
            } else {
                text.push_str(&hashed(types.as_bytes()));
            }
            text.push('>');
        }
        Self::of(text)
    }

    fn of(text: String) -> Self {
        let digest = digest(text.as_bytes());
        Self { text, digest }
    }
}
