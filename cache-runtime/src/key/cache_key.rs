use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::variant;

/// The key of one call, as stored in Redis.
///
/// `Display` prints the whole text, `Debug` only the function's name, because arguments may be
/// personal data.
#[derive(Clone)]
pub struct Key {
    text: Arc<str>,
    fingerprint: Fingerprint,
}

impl Key {
    pub(crate) fn new(text: &str, fingerprint: Fingerprint) -> Self {
        let text = text.into();
        Self { text, fingerprint }
    }

    /// Returns a key from its text alone.
    pub(crate) fn of(text: &str) -> Self {
        Self::new(text, Fingerprint::of(text))
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        Self::name_in(&self.text)
    }

    /// Returns the function's name in the text of a key.
    pub(crate) fn name_in(text: &str) -> &str {
        let (_, rest) = text.split_once(':').unwrap_or(("", text));
        split(rest).0
    }

    /// Returns the variant and the types, as announced; `None` for a key by hand.
    pub(crate) fn variant(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once(':')?;
        let (head, _) = rest.split_once(':')?;
        head.split_once('@').map(|(_, variant)| variant)
    }

    /// Returns the key of the same call in another variant; `None` if the types differ.
    pub(crate) fn in_variant(&self, other: &str) -> Option<Self> {
        let own = self.variant()?;
        let types = |variant: &str| variant.get(variant::DIGITS..).map(str::to_owned);
        if types(own)? != types(other)? {
            return None;
        }
        let at = self.text.find('@')? + 1;
        let text = [&self.text[..at], other, &self.text[at + own.len()..]].concat();
        Some(Self::of(&text))
    }

    /// Returns the key of the call's lease. Braces put both keys into one slot of a cluster.
    pub(crate) fn lease(&self) -> String {
        let mut lease = String::with_capacity(self.text.len() + 8);
        lease.push('{');
        lease.push_str(&self.text);
        lease.push_str("}:lease");
        lease
    }

    /// Returns the call's key if `key` is the key of a lease.
    pub(crate) fn of_lease(key: &str) -> Option<&str> {
        key.strip_prefix('{')?.strip_suffix("}:lease")
    }
}

/// Splits a key without its namespace into name and arguments; variant and types belong to neither.
pub(crate) fn split(key: &str) -> (&str, &str) {
    let name = key.find(['@', '<', ':']).unwrap_or(key.len());
    let arguments = key.find(':').map_or("", |colon| &key[colon + 1..]);
    (&key[..name], arguments)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}:…)", self.name())
    }
}
