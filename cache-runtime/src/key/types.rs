//! The generic arguments of a call, read from the path of a closure in its body.

use super::escape;
use super::key_buffer::KeyBuffer;
use crate::key::name;

/// Returns the text of the generic arguments in `path`; empty if there are none.
pub(super) fn generics(path: &str) -> String {
    let brackets = path.bytes().filter(|byte| *byte == b'<').count();
    // `<A as Trait>::f` and `module::<impl A>::f` have a bracket without generic arguments.
    let wrapped = path.starts_with('<') || path.contains("::<impl ");
    if brackets == usize::from(wrapped) {
        return String::new();
    }
    let generic = |parent: &str| parent.contains('<');
    written(path, generic)
}

/// Returns the text of the generic arguments as [`generics`] does, for a method that a trait
/// provides. The text includes the `Self` type, because that is not part of the name.
pub(super) fn provided(path: &str) -> String {
    written(path, |_| true)
}

fn written(path: &str, says: impl Fn(&str) -> bool) -> String {
    let mut out = KeyBuffer::default();
    let mut segments = name::segments(path);
    segments.retain(|segment| !segment.starts_with('{'));
    // The entry handle of `user` is `user_entry`: only the arguments of the last segment count.
    let last = segments.pop().unwrap_or_default();
    let own = last.find('<').map_or("", |open| &last[open..]);
    let parent = segments.join("::");
    let mut text = String::new();
    if says(&parent) {
        text.push_str(&parent);
    }
    text.push_str(own);
    // Escaped first: a dot in a type's own text must differ from a replaced `::`.
    let text = text
        .replace('.', "%2E")
        .replace("::", ".")
        .replace(", ", ",");
    let text = text.replace("%2E", "\u{0}");
    for (place, part) in text.split('\u{0}').enumerate() {
        if place > 0 {
            out.push_str("%2E");
        }
        escape::types(part, &mut out);
    }
    out.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{generics, provided};

    #[test]
    fn a_path_without_generic_arguments_has_no_text() {
        for path in [
            "m::user::{{closure}}",
            "<m::Bar as m::Tr>::q::{{closure}}",
            "m::z::<impl m::Bar>::zz::{{closure}}",
            "m::Bar::c::{{closure}}::{{closure}}",
        ] {
            assert_eq!(generics(path), "", "{path}");
        }
    }

    #[test]
    fn what_a_trait_provides_is_distinguished_by_type() {
        for (path, text) in [
            ("<m::Bar as m::Tr>::q::{{closure}}", "<m.Bar%20as%20m.Tr>"),
            (
                "<m::Bar as m::Tr>::q_entry<u8>::{{closure}}",
                "<m.Bar%20as%20m.Tr><u8>",
            ),
        ] {
            assert_eq!(provided(path), text, "{path}");
        }
    }

    #[test]
    fn generic_arguments_are_frozen() {
        for (path, text) in [
            ("m::free<str>::{{closure}}", "<str>"),
            ("m::free_entry<str>::{{closure}}", "<str>"),
            ("m::Bar::c<u8>::{{closure}}::{{closure}}", "<u8>"),
            (
                "m::Foo<u8>::m<alloc::string::String, 3>::{{closure}}",
                "m.Foo<u8><alloc.string.String,3>",
            ),
            (
                "<m::Foo<u8> as m::Tr>::q::{{closure}}",
                "<m.Foo<u8>%20as%20m.Tr>",
            ),
            (
                "m::z::<impl m::Foo<u16>>::zz::{{closure}}",
                "m.z.<impl%20m.Foo<u16>>",
            ),
            ("m::f<[u8; 4]>::{{closure}}", "<%5Bu8%3B%204%5D>"),
        ] {
            assert_eq!(generics(path), text, "{path}");
        }
    }
}
