use std::any::type_name;

/// Whether a text stands in quotes.
///
/// A placeholder's own text needs none where the template separates it, unless its type has
/// other values as well, one of which is written like it: a `serde_json::Value` may be `42` or
/// `"42"`.
#[derive(Clone, Copy)]
pub(super) enum Quotes {
    Always,
    /// Where another value of a type of this name could be meant. The name is asked for by texts
    /// alone: what is looked up by a number has no time for it.
    AsNeeded(fn() -> &'static str),
}

impl Quotes {
    /// Of a placeholder of type `T`.
    pub(super) fn of<T: ?Sized>() -> Self {
        Self::AsNeeded(type_name::<T>)
    }

    /// Of the `T` that is all there is to a value.
    pub(super) fn within<T: ?Sized>(self) -> Self {
        match self {
            Self::Always => Self::Always,
            Self::AsNeeded(_) => Self::of::<T>(),
        }
    }

    pub(super) fn are_left_out(self, text: &str) -> bool {
        match self {
            Self::Always => false,
            Self::AsNeeded(name) => is_text(name()) || !says_more(text),
        }
    }
}

/// Whether a type of this name has no values but texts. By name, because it may borrow; a compiler
/// that names them otherwise means a miss.
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

/// Whether something that is no text may be written like this.
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

/// A type and a variant, or a text like `example.org`.
fn is_variant(text: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    // What is escaped in a text is escaped in a name.
    let plain = |byte: u8| !byte.is_ascii_graphic() || of_names(byte);
    text.matches('.').count() == 1 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::borrow::Cow;

    #[test]
    fn what_can_only_be_a_text_needs_no_quotes() {
        let all = [
            Quotes::of::<str>(),
            Quotes::of::<&&str>(),
            Quotes::of::<String>(),
            Quotes::of::<Cow<'_, str>>(),
            Quotes::of::<Box<str>>(),
            Quotes::of::<std::sync::Arc<str>>(),
            Quotes::of::<std::rc::Rc<str>>(),
            Quotes::of::<char>(),
        ];
        for (place, quotes) in all.iter().enumerate() {
            assert!(quotes.are_left_out("42"), "{place}");
        }
    }

    #[test]
    fn what_may_be_something_else_needs_them_where_it_is_written_like_that() {
        let quotes = Quotes::of::<serde_json::Value>();
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
            assert!(!quotes.are_left_out(text), "{text}");
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
            assert!(quotes.are_left_out(text), "{text}");
        }
    }
}
