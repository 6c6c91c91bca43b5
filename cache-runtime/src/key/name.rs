/// Returns the name of a function: `crate.module.function` or `crate.module.Type.method`.
///
/// `path` is the path of an item inside the function or its entry handle, as returned by
/// [`std::any::type_name`]; `function` is the function's identifier.
pub(crate) fn function_name(path: &str, function: &str) -> String {
    let mut name = String::new();
    for segment in surroundings(path) {
        match subject(segment) {
            // The path of the type itself, which is complete.
            Some(subject) => {
                name.clear();
                for segment in segments(subject) {
                    push(&mut name, segment);
                }
            }
            None => push(&mut name, segment),
        }
    }
    push(&mut name, function.strip_prefix("r#").unwrap_or(function));
    name
}

/// Returns the scope of a function, `impl`s included: the same for the function and its entry
/// handle.
pub(crate) fn within(path: &str) -> String {
    surroundings(path).join("::")
}

fn surroundings(path: &str) -> Vec<&str> {
    let mut segments = segments(path);
    segments.retain(|segment| !segment.starts_with('{'));
    // Drops the item itself, and the function or entry handle around it.
    segments.truncate(segments.len().saturating_sub(2));
    segments
}

/// Returns the segments of a path; a `::` within brackets does not separate.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    let bytes = path.as_bytes();
    let (mut segments, mut depth, mut from, mut at) = (Vec::new(), 0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of a function type is no closing bracket.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                segments.push(&path[from..at]);
                at += 1;
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    segments.push(&path[from..]);
    segments
}

/// Returns `A` of `<A as Trait>` and of `<impl A>`.
fn subject(segment: &str) -> Option<&str> {
    let inside = segment.strip_prefix('<')?.strip_suffix('>')?;
    if let Some(subject) = inside.strip_prefix("impl ") {
        return Some(subject);
    }
    let mut depth = 0_usize;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 && inside[at..].starts_with(" as ") => return Some(&inside[..at]),
            _ => {}
        }
    }
    Some(inside)
}

fn push(name: &mut String, segment: &str) {
    use std::fmt::Write;
    if !name.is_empty() {
        name.push('.');
    }
    let bare = segment.split('<').next().unwrap_or_default();
    for byte in bare.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            // Escaped, so that names in other scripts stay distinct. Writing to a string never
            // fails.
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{function_name, within};

    #[test]
    fn a_function_is_in_what_its_companion_is_in() {
        for (function, companion, surroundings) in [
            ("m::user::here", "m::user_entry::here", "m"),
            (
                "<m::Bar as m::Tr>::q::{{closure}}::here",
                "<m::Bar as m::Tr>::q_entry::here",
                "<m::Bar as m::Tr>",
            ),
        ] {
            assert_eq!(within(function), surroundings);
            assert_eq!(within(companion), surroundings);
        }
    }

    #[test]
    fn a_name_is_the_path_without_generic_arguments() {
        for (path, function, name) in [
            ("m::user::here", "user", "m.user"),
            ("m::a::b::user_entry::here", "user", "m.a.b.user"),
            ("m::Foo<_>::m::here", "m", "m.Foo.m"),
            ("m::Bar::c::{{closure}}::here", "c", "m.Bar.c"),
            ("m::outer::inner::here", "inner", "m.outer.inner"),
            (
                "m::outer::{{closure}}::inner::here",
                "inner",
                "m.outer.inner",
            ),
            ("<m::Bar as m::Tr>::q::here", "q", "m.Bar.q"),
            ("<m::Foo<a::B> as m::Tr<c::D>>::q::here", "q", "m.Foo.q"),
            (
                "<alloc::vec::Vec<u8> as m::Tr>::q::here",
                "q",
                "alloc.vec.Vec.q",
            ),
            ("m::z::<impl m::Foo<u8>>::zz_entry::here", "zz", "m.Foo.zz"),
            ("m::r#type::here", "r#type", "m.type"),
            ("m::été::here", "été", "m.%C3%A9t%C3%A9"),
        ] {
            assert_eq!(function_name(path, function), name, "{path}");
        }
    }
}
