use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// One release's form of an entry: eight hex digits, a digest of the return type's schema and the
/// `version` option. Two releases that disagree about a type have separate entries.
///
/// All processes must compute the same digest, so it has no random key; a golden test freezes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant(u32);

/// Length of a variant's text, in bytes.
pub(super) const DIGITS: usize = 8;

impl Variant {
    pub(crate) fn new(schema: u64, version: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(&schema.to_be_bytes());
        hasher.write(version.as_bytes());
        Self((hasher.finish() >> 32) as u32)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_frozen_and_differs_by_schema_and_version() {
        let text = |schema, version| Variant::new(schema, version).to_string();
        assert_eq!(text(0x0102_0304_0506_0708, ""), "884ccc87");
        assert_eq!(text(0x0102_0304_0506_0708, "2"), "1ec9ba18");
        assert_ne!(text(1, ""), text(2, ""));
        assert_eq!(text(1, "").len(), DIGITS);
    }
}
