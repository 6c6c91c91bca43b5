use super::hashed::hashed;
use super::types;
use super::variant::Variant;
use crate::key::fingerprint::digest;

/// Maximum length of generic arguments in a key, in bytes; longer ones are replaced by their hash.
const LONGEST_TYPES: usize = 100;

/// The prefix of all keys of one function, up to the arguments:
/// `{namespace}:{name}@{variant}[<{types}>]`, or `{namespace}:{name}` by hand.
pub(crate) struct KeyPrefix {
    pub(super) text: String,
    pub(super) digest: u128,
}

impl KeyPrefix {
    /// Returns the prefix of a function. `name` includes the namespace. `path` is the path of a
    /// closure in the function's body; it contains the generic arguments.
    pub(crate) fn new(name: &str, variant: Variant, path: &str) -> Self {
        Self::with(name, variant, &types::generics(path))
    }

    /// Returns the prefix as [`new`](Self::new) does, for a method that a trait provides.
    pub(crate) fn provided(name: &str, variant: Variant, path: &str) -> Self {
        Self::with(name, variant, &types::provided(path))
    }

    /// Returns the prefix of keys by hand.
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
