//! Keys and tags from texts that the program supplies.

use serde::Serialize;

use super::arguments::{LONGEST, assemble};
use super::cache_key::Key;
use super::escape;
use super::hashed::hashed;
use super::key_buffer::KeyBuffer;
use super::key_prefix::KeyPrefix;
use super::keyspace::RESERVED;
use super::serializer::{Position, write};
use crate::error::{Error, ErrorKind};

impl Key {
    /// Returns the key of an entry by hand: `name` or `name:rest`.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the name is empty, reserved, or has other characters than
    /// letters, digits, `_`, `-` and `.`.
    pub(crate) fn by_hand(namespace: &str, text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(plain) || RESERVED.contains(&name) {
            return Err(Error::new(
                ErrorKind::Key,
                "a key begins with a name of letters, digits, `_`, `-` and `.`, other than `gen`, `functions` and `settings`, as in `user:42`",
            ));
        }
        let mut arguments = KeyBuffer::default();
        escape::template(rest, &mut arguments);
        let head = KeyPrefix::by_hand(&format!("{namespace}:{name}"));
        Ok(assemble(&head, &arguments))
    }
}

/// Returns a tag's text in the key of its generation: escaped, and hashed if it is longer than
/// `LONGEST`.
pub(crate) fn tag_text(tag: &str) -> String {
    let mut text = KeyBuffer::default();
    escape::template(tag, &mut text);
    match text.as_bytes().len() > LONGEST {
        true => hashed(text.as_bytes()),
        false => text.as_str().to_owned(),
    }
}

/// Returns the length of a value in a key, in bytes; of an incomplete text if the value can't be
/// written.
pub(crate) fn length<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut text = KeyBuffer::default();
    let _ = write(value, Position::Argument, &mut text);
    text.as_bytes().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::cache_key::split;

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
