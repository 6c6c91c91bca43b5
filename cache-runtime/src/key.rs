//! Keys: which entry is whose.
//!
//! `{namespace}:{name}@{variant}[<{types}>]:{arguments}`. Two different calls never share a key, and
//! a call has the same key in every process of one release; of another release it may differ in
//! the variant.

mod arguments;
mod escape;
pub(crate) mod fingerprint;
mod key_buffer;
mod key_prefix;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod key_ref;
pub(crate) mod nearest;
mod order;
mod packed_ascii;
pub(crate) mod pattern;
mod quoting;
pub(crate) mod secret;
mod serializer;
mod types;
mod variant;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;

pub(crate) use arguments::PREFIX;
pub use arguments::{Arguments, KeyPart};
pub(crate) use key_prefix::KeyPrefix;
pub use key_ref::{AnyPart, KeyRef};
pub(crate) use variant::Variant;

use crate::error::{Error, ErrorKind};
use crate::key::fingerprint::Fingerprint;

/// The key of one call, as it stands in Redis.
///
/// `Display` gives the whole text, `Debug` only the function's name: arguments may be personal.
#[derive(Clone)]
pub struct Key {
    text: Arc<str>,
    fingerprint: Fingerprint,
}

/// Names whose keys the cache needs for itself.
const RESERVED: [&str; 3] = ["functions", "gen", "settings"];

impl Key {
    pub(crate) fn new(text: &str, fingerprint: Fingerprint) -> Self {
        let text = text.into();
        Self { text, fingerprint }
    }

    /// A key of which nothing is known yet but its text.
    pub(crate) fn of(text: &str) -> Self {
        Self::new(text, Fingerprint::of(text))
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The key of an entry by hand: `name` or `name:rest`.
    pub(crate) fn by_hand(namespace: &str, text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(plain) || RESERVED.contains(&name) {
            return Err(Error::new(
                ErrorKind::Key,
                "a key begins with a name of letters, digits, `_`, `-` and `.`, other than `gen`, `functions` and `settings`, as in `user:42`",
            ));
        }
        let mut arguments = key_buffer::KeyBuffer::default();
        escape::template(rest, &mut arguments);
        let head = KeyPrefix::by_hand(&format!("{namespace}:{name}"));
        Ok(arguments::assemble(&head, &arguments))
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        Self::name_in(&self.text)
    }

    /// The function's name in the text of a key.
    pub(crate) fn name_in(text: &str) -> &str {
        let (_, rest) = text.split_once(':').unwrap_or(("", text));
        split(rest).0
    }

    /// The variant with the types behind it, as it is announced; `None` of a key by hand.
    pub(crate) fn variant(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once(':')?;
        let (head, _) = rest.split_once(':')?;
        head.split_once('@').map(|(_, variant)| variant)
    }

    /// The key of the same call in another variant, if that is of the same types.
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

    /// The key of the call's lease: in braces, so that both have one slot in a cluster.
    pub(crate) fn lease(&self) -> String {
        let mut lease = String::with_capacity(self.text.len() + 8);
        lease.push('{');
        lease.push_str(&self.text);
        lease.push_str("}:lease");
        lease
    }

    /// The call's key, if `key` is that of a lease.
    pub(crate) fn of_lease(key: &str) -> Option<&str> {
        key.strip_prefix('{')?.strip_suffix("}:lease")
    }
}

/// Name and arguments of a key without its namespace; variant and types belong to neither.
pub(crate) fn split(key: &str) -> (&str, &str) {
    let name = key.find(['@', '<', ':']).unwrap_or(key.len());
    let arguments = key.find(':').map_or("", |colon| &key[colon + 1..]);
    (&key[..name], arguments)
}

/// The prefix of arguments that were too long to be written out; nothing of others.
pub(crate) fn prefix_of_long(arguments: &str) -> Option<&str> {
    arguments::prefix(arguments)
}

/// Whether a key of this name is the cache's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// A tag as it stands in the key of its generation: escaped, and hashed where it is long.
pub(crate) fn tag_text(tag: &str) -> String {
    let mut text = key_buffer::KeyBuffer::default();
    escape::template(tag, &mut text);
    match text.as_bytes().len() > arguments::LONGEST {
        true => arguments::hashed(text.as_bytes()),
        false => text.as_str().to_owned(),
    }
}

/// What a value takes in a key, in bytes, as far as it can be written.
pub(crate) fn length<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut text = key_buffer::KeyBuffer::default();
    let _ = serializer::write(value, serializer::Position::Argument, &mut text);
    text.as_bytes().len() as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_by_hand_keeps_its_colons_and_escapes_the_rest() {
        let key = |text| {
            Key::by_hand("ns", text)
                .map(|key| key.to_string())
                .map_err(|e| e.kind())
        };
        assert_eq!(key("user:42:en").as_deref(), Ok("ns:user:42:en"));
        assert_eq!(key("user").as_deref(), Ok("ns:user:"));
        assert_eq!(key("a:{*}é").as_deref(), Ok("ns:a:%7B%2A%7D%C3%A9"));
        for bad in [
            "",
            ":1",
            "gen:1",
            "functions",
            "settings:x",
            "a b:1",
            "a@2:1",
        ] {
            assert_eq!(key(bad), Err(ErrorKind::Key), "{bad}");
        }
    }

    #[test]
    fn a_lease_and_its_key_lead_to_each_other() {
        let key = Key::of("ns:user:42");
        assert_eq!(key.lease(), "{ns:user:42}:lease");
        assert_eq!(Key::of_lease(&key.lease()), Some("ns:user:42"));
        assert_eq!(Key::of_lease("ns:user:42"), None);
    }

    #[test]
    fn a_call_is_found_in_other_variants_of_its_types() {
        let key = Key::of("ns:app.user@00000001<u8>:'a@b:c'");
        assert_eq!(key.variant(), Some("00000001<u8>"));
        let other = key
            .in_variant("0000000f<u8>")
            .expect("it is of these types");
        assert_eq!(other.as_str(), "ns:app.user@0000000f<u8>:'a@b:c'");
        assert!(key.in_variant("0000000f").is_none());
        assert!(key.in_variant("0000000f<u16>").is_none());
        assert!(key.in_variant("").is_none());
        assert_eq!(Key::of("ns:by.hand:a@b").variant(), None);
    }

    #[test]
    fn the_parts_of_a_key_are_found_and_debug_hides_the_arguments() {
        for text in [
            "ns:app.user:'ada'",
            "ns:app.user@2:'ada'",
            "ns:app.user@2<u8>:'ada'",
        ] {
            let key = Key::of(text);
            assert_eq!(key.name(), "app.user");
            assert_eq!(split(&text[3..]), ("app.user", "'ada'"));
            assert_eq!(format!("{key:?}"), "Key(app.user:…)");
        }
    }
}
