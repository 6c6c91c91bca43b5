/// Rule for quotes around texts.
///
/// A text in a placeholder needs no quotes where the template delimits it, unless its type also has
/// other values that are written like it: a `serde_json::Value` may be `42` or `"42"`.
#[derive(Clone, Copy)]
pub(super) enum Quoting {
    Always,
    /// Quotes only where the text could be another value of its type.
    AsNeeded,
    /// No quotes: for tags, whose text is what a person writes by hand. Two tags may coincide, but
    /// an invalidation must not miss one.
    Never,
}

impl Quoting {
    /// Returns `true` if the value is part of a tag.
    pub(super) fn is_tag(self) -> bool {
        matches!(self, Self::Never)
    }

    /// Returns `true` if `text` is written without quotes; `of` returns the name of its type.
    pub(super) fn are_left_out(self, text: &str, of: fn() -> &'static str) -> bool {
        match self {
            Self::Always => false,
            Self::Never => true,
            Self::AsNeeded => is_text(of()) || !says_more(text),
        }
    }
}

/// Returns `true` if all values of the type with this name are texts. It is matched by name,
/// because a type may borrow; with a compiler that names types differently, the text gets quotes.
fn is_text(name: &str) -> bool {
    matches!(
        name.trim_start_matches('&'),
        "str"
            | "char"
            | "alloc::string::String"
            | "alloc::borrow::Cow<str>"
            | "alloc::borrow::Cow<'_, str>"
            | "alloc::boxed::Box<str>"
            | "alloc::rc::Rc<str>"
            | "alloc::sync::Arc<str>"
    )
}

/// Returns `true` if a value that is no text may be written like this.
fn says_more(text: &str) -> bool {
    matches!(
        text,
        "null" | "None" | "true" | "false" | "NaN" | "inf" | "-inf"
    ) || is_number(text)
        || text.strip_prefix("0x").is_some_and(is_hex)
        || is_variant(text)
}

fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let mut before = b' ';
    let of_one = |byte: u8| {
        let last = std::mem::replace(&mut before, byte);
        byte.is_ascii_digit() || matches!(byte, b'.' | b'e') || byte == b'-' && last == b'e'
    };
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.matches('.').count() <= 1
        && text.bytes().all(of_one)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns `true` for the form of a type and its variant, and for texts like `example.org`.
fn is_variant(text: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    // A byte that is escaped in texts is escaped in names, too.
    let plain = |byte: u8| !byte.is_ascii_graphic() || of_names(byte);
    text.matches('.').count() == 1 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::any::type_name;
    use std::borrow::Cow;

    const AS_NEEDED: Quoting = Quoting::AsNeeded;

    #[test]
    fn what_can_only_be_a_text_needs_no_quotes() {
        let all = [
            type_name::<str>,
            type_name::<&&str>,
            type_name::<String>,
            type_name::<Cow<'_, str>>,
            type_name::<Box<str>>,
            type_name::<std::sync::Arc<str>>,
            type_name::<std::rc::Rc<str>>,
            type_name::<char>,
        ];
        for name in all {
            assert!(AS_NEEDED.are_left_out("42", name), "{}", name());
        }
    }

    #[test]
    fn what_may_be_something_else_needs_them_where_it_is_written_like_that() {
        let left_out = |text: &str| AS_NEEDED.are_left_out(text, type_name::<serde_json::Value>);
        for text in [
            "null",
            "None",
            "true",
            "42",
            "-1",
            "1.5",
            "1e-7",
            "-inf",
            "0x",
            "0x00ff",
            "E.A",
            "example.org",
        ] {
            assert!(!left_out(text), "{text}");
        }
        for text in [
            "",
            "ada",
            "127.0.0.1",
            "2024-01-31",
            "ada@example.org",
            "550e8400-e29b-41d4-a716-446655440000",
            "Some(1)",
        ] {
            assert!(left_out(text), "{text}");
        }
    }
}
