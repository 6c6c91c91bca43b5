use std::any::type_name;

use serde::Serialize;

use super::cache_key::Key;
use super::escape;
use super::hashed::hashed;
use super::key_buffer::KeyBuffer;
use super::key_prefix::KeyPrefix;
use super::order::is_dynamic;
use super::serializer::{Position, Refusal, dynamic, write};
use crate::error::{Error, ErrorKind};
use crate::key::fingerprint::Fingerprint;
use crate::key::secret::Secret;

/// Maximum length of arguments in a key, in bytes. Longer arguments are cut to a prefix, followed
/// by their hash.
pub(super) const LONGEST: usize = 200;

/// Length of the prefix that is kept of longer arguments, in bytes, for people and patterns.
pub(crate) const PREFIX: usize = 100;

/// A type that can be part of a key: every type that serde can serialize.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be part of a cache key",
    label = "can't be part of the key",
    note = "if the type is yours and tells calls apart, derive `serde::Serialize` for it",
    note = "if it does not, as a connection or a pool does not, leave it out of the key with `skip(…)`",
    note = "if a part of it does, name that as well, as in `skip(uri), with(uri.path())`"
)]
pub trait KeyPart {
    // Methods instead of functions with a bound: the compiler's error then does not name them.
    #[doc(hidden)]
    fn recached_add(&self, arguments: &mut Arguments, name: &'static str);
    #[doc(hidden)]
    fn recached_field(&self, text: &mut Arguments, name: &'static str);
}

impl<T: Serialize + ?Sized> KeyPart for T {
    #[inline]
    fn recached_add(&self, arguments: &mut Arguments, name: &'static str) {
        match is_dynamic(type_name::<Self>()) {
            true => arguments.refuse(name, &dynamic()),
            false => arguments.add(name, self),
        }
    }

    #[inline]
    fn recached_field(&self, text: &mut Arguments, name: &'static str) {
        match is_dynamic(type_name::<Self>()) {
            true => text.refuse(name, &dynamic()),
            false => text.field(name, self),
        }
    }
}

/// The arguments of one call, as they are written into its key.
pub struct Arguments {
    path: &'static str,
    text: KeyBuffer,
    count: usize,
    /// Position of the placeholders.
    place: Position,
    // Boxed: errors are rare, and this struct is moved on the hit path.
    error: Option<Box<Error>>,
}

impl Arguments {
    /// Starts the arguments of a call. `path` is the path of a closure in the function's body; it
    /// contains the generic arguments.
    #[must_use]
    #[inline]
    pub fn new(path: &'static str) -> Self {
        Self {
            path,
            text: KeyBuffer::default(),
            count: 0,
            place: Position::Template,
            error: None,
        }
    }

    /// Starts the text of a tag.
    pub(crate) fn of_tag() -> Self {
        Self {
            place: Position::Tag,
            ..Self::new("")
        }
    }

    /// Adds the next argument.
    #[inline]
    pub fn add<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        if self.count > 0 {
            self.text.push(b':');
        }
        self.count += 1;
        self.write(name, value, Position::Argument);
    }

    /// Adds the next argument, as a hash: its value does not appear in the key.
    pub(crate) fn add_secret<T: Serialize + ?Sized>(
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

    /// Adds a placeholder of a template, as a hash: its value does not appear in the key.
    pub(crate) fn secret_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
        secret: &Secret,
    ) {
        if let (Some(error), None) = (secret.refused(), &self.error) {
            self.error = Some(Box::new(error.again()));
        }
        let before = std::mem::take(&mut self.text);
        self.write(name, value, Position::Argument);
        let seen = std::mem::replace(&mut self.text, before);
        let hash = secret.hash(name, seen.as_bytes());
        // No other text begins with `!`.
        self.text.push(b'!');
        for place in (0..32).rev() {
            let digit = (hash >> (place * 4)) as usize & 15;
            self.text.push(b"0123456789abcdef"[digit]);
        }
    }

    /// Adds literal text of a template.
    pub fn text(&mut self, literal: &'static str) {
        escape::template(literal, &mut self.text);
    }

    /// Adds a placeholder of a template.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.write(name, value, self.place);
    }

    /// Returns the text of a tag. Placeholders are unescaped, so that a person who invalidates the
    /// tag can write its text by hand.
    ///
    /// # Errors
    ///
    /// Returns the error of the first placeholder that could not be written.
    pub(crate) fn tag(&self) -> Result<String, Error> {
        match &self.error {
            Some(error) => Err(error.again()),
            None => Ok(escape::undone(self.text.as_str())),
        }
    }

    /// Returns the path of the call's body.
    #[inline]
    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    /// Returns `true` if all arguments could be written, so that the call has a key.
    #[inline]
    pub(crate) fn are_written(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the fingerprint of the call; valid only if all arguments could be written.
    // Not an `Option`, which would be returned in memory and stall the hit path.
    #[inline]
    pub(crate) fn fingerprint(&self, head: &KeyPrefix) -> Fingerprint {
        fingerprint(head, &self.text)
    }

    /// Returns the key under `name`, a `{namespace}:{name}` without a variant.
    ///
    /// # Errors
    ///
    /// Returns the error of the first argument that could not be written.
    pub fn finish(&self, name: &str) -> Result<Key, Error> {
        self.key(&KeyPrefix::by_hand(name))
    }

    /// Returns the key under the prefix of its function.
    ///
    /// # Errors
    ///
    /// Returns the error of the first argument that could not be written.
    pub(crate) fn key(&self, head: &KeyPrefix) -> Result<Key, Error> {
        match &self.error {
            Some(error) => Err(error.again()),
            None => Ok(assemble(head, &self.text)),
        }
    }

    #[inline]
    fn write<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T, place: Position) {
        if let Err(error) = write(value, place, &mut self.text)
            && self.error.is_none()
        {
            self.refuse(name, &error);
        }
    }

    /// Records the reason. Only the first argument that can't be written is reported.
    #[cold]
    fn refuse(&mut self, name: &'static str, why: &Refusal) {
        let text = format!("argument `{name}` can't enter the key: {why}");
        let error = || Box::new(Error::new(ErrorKind::Key, text));
        self.error.get_or_insert_with(error);
    }
}

pub(super) fn assemble(head: &KeyPrefix, arguments: &KeyBuffer) -> Key {
    let length = arguments.as_bytes().len();
    let mut key = String::with_capacity(head.text.len() + 1 + length.min(LONGEST));
    key.push_str(&head.text);
    key.push(':');
    if length <= LONGEST {
        key.push_str(arguments.as_str());
    } else {
        key.push_str(&cut(arguments));
    }
    Key::new(&key, fingerprint(head, arguments))
}

#[inline]
fn fingerprint(head: &KeyPrefix, arguments: &KeyBuffer) -> Fingerprint {
    match arguments.short() {
        Some(short) => Fingerprint::short(head.digest, short),
        None => long_fingerprint(head, arguments),
    }
}

fn long_fingerprint(head: &KeyPrefix, arguments: &KeyBuffer) -> Fingerprint {
    let text = arguments.as_bytes();
    if text.len() <= LONGEST {
        Fingerprint::new(head.digest, text)
    } else {
        Fingerprint::new(head.digest, cut(arguments).as_bytes())
    }
}

/// Returns the text in a key for arguments that are too long: their prefix, then their hash.
fn cut(arguments: &KeyBuffer) -> String {
    // The text is ASCII, so any index is a character boundary.
    let prefix = arguments.as_str().get(..PREFIX).unwrap_or_default();
    format!("{prefix}{}", hashed(arguments.as_bytes()))
}

/// Returns the prefix in a key whose arguments were cut; `None` if the arguments are complete.
pub(crate) fn prefix(arguments: &str) -> Option<&str> {
    arguments.split_once('#').map(|(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::super::Variant;
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
    fn a_tag_is_what_one_would_write_by_hand() {
        #[derive(Serialize)]
        enum Plan {
            Free,
            Seats(u8),
        }
        #[derive(Serialize)]
        struct Id(Option<&'static str>);
        let tag = |fill: &dyn Fn(&mut Arguments)| {
            let mut arguments = Arguments::of_tag();
            arguments.text("o:");
            fill(&mut arguments);
            arguments.tag().expect("it can be written")
        };
        assert_eq!(tag(&|a| a.field("x", "a b:%41'")), "o:a b:%41'");
        assert_eq!(tag(&|a| a.field("x", &Some("a"))), "o:a");
        assert_eq!(tag(&|a| a.field("x", &Some(Some(7)))), "o:7");
        assert_eq!(tag(&|a| a.field("x", &Id(Some("a")))), "o:a");
        assert_eq!(tag(&|a| a.field("x", &None::<u8>)), "o:None");
        assert_eq!(tag(&|a| a.field("x", &Plan::Free)), "o:Free");
        assert_eq!(tag(&|a| a.field("x", &Plan::Seats(3))), "o:Seats(3)");
        assert_eq!(tag(&|a| a.field("x", &1.0f64)), "o:1");
        assert_eq!(tag(&|a| a.field("x", &Some(1.5f32))), "o:1.5");
        assert_eq!(tag(&|a| a.field("x", &true)), "o:true");
        assert_eq!(tag(&|a| a.field("x", &'é')), "o:é");
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
        // Computed with `sha256sum`.
        let sum = "a8885ce5b669684e39f373bff563d00540cedc0e61e578303a948942767adb98";
        let prefix = "x".repeat(99);
        assert_eq!(hashed, format!("ns:m.user:'{prefix}#{sum}"));
        assert_ne!(hashed, key(|a| a.add("x", &"x".repeat(301))));
        let fits = "x".repeat(198);
        assert_eq!(key(|a| a.add("x", &fits)), format!("ns:m.user:'{fits}'"));
    }

    #[test]
    fn generic_arguments_are_part_of_the_key() {
        let of = |path| {
            let head = KeyPrefix::new("ns:m.f", Variant::new(1, "2"), path);
            let key = Arguments::new(path).key(&head);
            key.map(|key| key.to_string()).ok()
        };
        assert_eq!(
            of("m::f<u8>::{{closure}}").as_deref(),
            Some("ns:m.f@71901aed<<u8>>:")
        );
        assert_eq!(of("m::f::{{closure}}").as_deref(), Some("ns:m.f@71901aed:"));
    }

    #[test]
    fn a_call_and_its_key_have_one_fingerprint() {
        let head = KeyPrefix::new("ns:m.f", Variant::new(1, ""), "m::f<u8>::{{closure}}");
        for text in ["", "short", "longer than sixteen bytes", &"x".repeat(300)] {
            let mut arguments = Arguments::new("");
            arguments.add("x", text);
            let fingerprint = arguments.fingerprint(&head);
            let key = arguments.key(&head).ok();
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
