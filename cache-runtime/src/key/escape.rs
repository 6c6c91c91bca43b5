use super::key_buffer::KeyBuffer;

/// Returns `true` if a byte is not escaped in content: it is printable, is no separator, and has no
/// meaning in a glob or a cluster slot.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-' | b'.' | b'@' | b'/' | b'+' | b'~' | b'$' | b'&'
        )
}

/// Appends `content`, with every other byte as `%XX`.
pub(super) fn content(content: &str, out: &mut KeyBuffer) {
    escape(content, out, is_plain);
}

/// Appends the literal text of a template, which keeps its colons.
pub(super) fn template(literal: &str, out: &mut KeyBuffer) {
    escape(literal, out, |byte| byte == b':' || is_plain(byte));
}

/// Appends the name of a field, variant or type; dots are escaped, because a dot separates names.
pub(super) fn name(name: &str, out: &mut KeyBuffer) {
    escape(name, out, |byte| {
        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
    });
}

/// Appends the text of generic arguments, which keeps its structure.
pub(super) fn types(text: &str, out: &mut KeyBuffer) {
    escape(text, out, |byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'_' | b'.' | b'<' | b'>' | b',' | b'(' | b')' | b'&' | b'='
            )
    });
}

fn escape(text: &str, out: &mut KeyBuffer, plain: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !plain(byte)) {
        out.push_str(&rest[..at]);
        // Only ASCII bytes are plain, so `at` is the beginning of a character.
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..at + width].bytes() {
            out.push(b'%');
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
        rest = &rest[at + width..];
    }
    out.push_str(rest);
}

/// Reverses the escaping.
pub(super) fn undone(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(known) => {
                bytes.push(known);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_escaped_comes_back() {
        for text in ["", "plain:1", "a b:%41{*}é\u{1F600}", "%", "%4"] {
            let mut out = super::KeyBuffer::default();
            super::template(text, &mut out);
            assert_eq!(super::undone(out.as_str()), text);
        }
    }

    #[test]
    fn what_is_not_plain_is_escaped_byte_by_byte() {
        let mut out = super::KeyBuffer::default();
        super::content("aé*?[]{}:%,'()=<>^\\ \n#!", &mut out);
        assert_eq!(
            out.as_str(),
            "a%C3%A9%2A%3F%5B%5D%7B%7D%3A%25%2C%27%28%29%3D%3C%3E%5E%5C%20%0A%23%21"
        );
    }
}
