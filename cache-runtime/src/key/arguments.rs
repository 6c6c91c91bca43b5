use serde::Serialize;

use super::serializer::{Place, write};
use super::text::Text;
use super::{Head, Key, escape};
use crate::error::{Error, ErrorKind};
use crate::fingerprint::Fingerprint;
use crate::secret::Secret;

/// Arguments longer than this many bytes are replaced by their hash.
pub(super) const LONGEST: usize = 200;

/// What can be part of a key: everything that serde can write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be part of a cache key",
    label = "can't be part of the key",
    note = "leave it out of the key with `skip(…)`, or derive `serde::Serialize` for it"
)]
pub trait KeyPart: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart for T {}

/// The arguments of one call, on their way into its key.
pub struct Arguments {
    path: &'static str,
    text: Text,
    count: usize,
    // Boxed: it is nearly never there, and this is moved around on the hit path.
    error: Option<Box<Error>>,
}

impl Arguments {
    /// `path`: of a closure in the function's body, for the generic arguments it is in.
    #[must_use]
    #[inline]
    pub fn new(path: &'static str) -> Self {
        Self {
            path,
            text: Text::default(),
            count: 0,
            error: None,
        }
    }

    /// The next argument.
    #[inline]
    pub fn add<T: KeyPart + ?Sized>(&mut self, name: &'static str, value: &T) {
        if self.count > 0 {
            self.text.push(b':');
        }
        self.count += 1;
        self.write(name, value, Place::Argument);
    }

    /// The next argument, of which only a hash is seen.
    pub(crate) fn add_secret<T: KeyPart + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
        secret: &Secret,
    ) {
        if self.count > 0 {
            self.text.push(b':');
        }
        self.count += 1;
        self.secret_field(name, value, secret);
    }

    /// A placeholder of a template, of which only a hash is seen.
    pub(crate) fn secret_field<T: KeyPart + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
        secret: &Secret,
    ) {
        let before = std::mem::take(&mut self.text);
        self.write(name, value, Place::Argument);
        let seen = std::mem::replace(&mut self.text, before);
        let hash = secret.hash(name, seen.as_bytes());
        // No other text begins with it.
        self.text.push(b'!');
        for place in (0..32).rev() {
            let digit = (hash >> (place * 4)) as usize & 15;
            self.text.push(b"0123456789abcdef"[digit]);
        }
    }

    /// Literal text of a template.
    pub fn text(&mut self, literal: &'static str) {
        escape::template(literal, &mut self.text);
    }

    /// A placeholder of a template.
    pub fn field<T: KeyPart + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.write(name, value, Place::Template);
    }

    /// The text, where it is a tag's: every placeholder as it is and not as it is escaped, so
    /// that whoever invalidates the tag can write it down.
    pub(crate) fn tag(&self) -> Result<String, Error> {
        match &self.error {
            Some(error) => Err(error.again()),
            None => Ok(escape::undone(self.text.as_str())),
        }
    }

    /// The path of the call's body.
    #[inline]
    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    /// Whether there is a key with them.
    #[inline]
    pub(crate) fn are_written(&self) -> bool {
        self.error.is_none()
    }

    /// What the call is looked up by, if all could be written.
    // Not an option: that would be passed on in memory, and waited for there.
    #[inline]
    pub(crate) fn fingerprint(&self, head: &Head) -> Fingerprint {
        fingerprint(head, &self.text)
    }

    /// The key; `prefix` is `{namespace}:{name}[@{version}]`.
    ///
    /// # Errors
    ///
    /// The first argument that could not be written.
    pub fn finish(self, prefix: &str) -> Result<Key, Error> {
        let head = Head::new(prefix, self.path);
        self.finish_under(&head)
    }

    /// The key, where its head is known.
    pub(crate) fn finish_under(self, head: &Head) -> Result<Key, Error> {
        match self.error {
            Some(error) => Err(*error),
            None => Ok(assemble(head, &self.text)),
        }
    }

    #[inline]
    fn write<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T, place: Place) {
        if let Err(error) = write(value, place, &mut self.text)
            && self.error.is_none()
        {
            self.error = Some(Box::new(Error::new(
                ErrorKind::Key,
                format!("argument `{name}` can't enter the key: {error}"),
            )));
        }
    }
}

pub(super) fn assemble(head: &Head, arguments: &Text) -> Key {
    let length = arguments.as_bytes().len();
    let mut key = String::with_capacity(head.text.len() + 1 + length.min(LONGEST));
    key.push_str(&head.text);
    key.push(':');
    if length <= LONGEST {
        key.push_str(arguments.as_str());
    } else {
        key.push_str(&hashed(arguments.as_bytes()));
    }
    Key::new(&key, fingerprint(head, arguments))
}

#[inline]
fn fingerprint(head: &Head, arguments: &Text) -> Fingerprint {
    match arguments.short() {
        Some(short) => Fingerprint::short(head.digest, short),
        None => long_fingerprint(head, arguments),
    }
}

fn long_fingerprint(head: &Head, arguments: &Text) -> Fingerprint {
    let text = arguments.as_bytes();
    if text.len() <= LONGEST {
        Fingerprint::new(head.digest, text)
    } else {
        Fingerprint::new(head.digest, hashed(text).as_bytes())
    }
}

/// `#` and a SHA-256 (FIPS 180-4); no text begins with `#`.
pub(super) fn hashed(text: &[u8]) -> String {
    let mut written = String::with_capacity(65);
    written.push('#');
    for byte in hmac_sha256::Hash::hash(text) {
        for digit in [byte >> 4, byte & 15] {
            written.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(add: impl FnOnce(&mut Arguments)) -> String {
        let mut arguments = Arguments::new("m::user::{{closure}}");
        add(&mut arguments);
        arguments
            .finish("ns:m.user")
            .map_or_else(|e| e.to_string(), |key| key.to_string())
    }

    #[test]
    fn arguments_are_frozen() {
        assert_eq!(key(|_| {}), "ns:m.user:");
        assert_eq!(key(|a| a.add("id", &42)), "ns:m.user:42");
        assert_eq!(
            key(|a| {
                a.add("a", "a:b");
                a.add("b", "c");
            }),
            "ns:m.user:'a%3Ab':'c'"
        );
        assert_eq!(
            key(|a| {
                a.text("item:");
                a.field("id", "x:y");
                a.text("/{é}");
                a.field("n", &None::<u8>);
            }),
            "ns:m.user:item:x%3Ay/%7B%C3%A9%7DNone"
        );
    }

    #[test]
    fn a_template_tells_none_from_a_text_that_says_none() {
        let none = key(|a| a.field("x", &None::<&str>));
        let some = key(|a| a.field("x", &Some("None")));
        let bare = key(|a| a.field("x", "None"));
        assert_eq!(none, "ns:m.user:None");
        assert_eq!(some, "ns:m.user:Some('None')");
        assert_eq!(
            bare, "ns:m.user:None",
            "another argument type, so another function"
        );
    }

    #[test]
    fn long_arguments_are_replaced_by_their_hash() {
        let long = "x".repeat(300);
        let hashed = key(|a| a.add("x", &long));
        // As `sha256sum` has it.
        let sum = "a8885ce5b669684e39f373bff563d00540cedc0e61e578303a948942767adb98";
        assert_eq!(hashed, format!("ns:m.user:#{sum}"));
        assert_ne!(hashed, key(|a| a.add("x", &"x".repeat(301))));
        let fits = "x".repeat(198);
        assert_eq!(key(|a| a.add("x", &fits)), format!("ns:m.user:'{fits}'"));
    }

    #[test]
    fn generic_arguments_are_part_of_the_key() {
        let of = |path| {
            Arguments::new(path)
                .finish("ns:m.f@2")
                .map(|key| key.to_string())
                .ok()
        };
        assert_eq!(
            of("m::f<u8>::{{closure}}").as_deref(),
            Some("ns:m.f@2<<u8>>:")
        );
        assert_eq!(of("m::f::{{closure}}").as_deref(), Some("ns:m.f@2:"));
    }

    #[test]
    fn a_call_and_its_key_have_one_fingerprint() {
        let head = Head::new("ns:m.f", "m::f<u8>::{{closure}}");
        for text in ["", "short", "longer than sixteen bytes", &"x".repeat(300)] {
            let mut arguments = Arguments::new("");
            arguments.add("x", text);
            let fingerprint = arguments.fingerprint(&head);
            let key = arguments.finish_under(&head).ok();
            let fingerprint = Some(fingerprint);
            assert_eq!(fingerprint, key.as_ref().map(|key| *key.fingerprint()));
            assert_eq!(fingerprint, key.map(|key| Fingerprint::of(key.as_str())));
        }
    }

    #[test]
    fn an_argument_that_cannot_be_written_is_named() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("refused"))
            }
        }
        assert_eq!(
            key(|a| {
                a.add("ok", &1);
                a.add("bad", &Refuses);
                a.add("worse", &Refuses);
            }),
            "argument `bad` can't enter the key: its `Serialize` refuses"
        );
    }
}
