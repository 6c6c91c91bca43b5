//! Globs over the names and arguments in keys.

use std::borrow::Cow;

/// A glob: `*` matches any text, `?` any character, and `\` makes the next character literal.
/// Characters beyond ASCII are stored in keys byte by byte, as `%C3%B6`; a pattern may use either
/// form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Glob(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Is(char),
    AnyOne,
    AnyText,
}

impl Glob {
    pub(super) fn parse(pattern: &str) -> Self {
        let pattern = decoded(pattern);
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' => Token::AnyText,
                '?' => Token::AnyOne,
                '\\' => Token::Is(chars.next().unwrap_or('\\')),
                char => Token::Is(char),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::AnyText && *b == Token::AnyText);
        Self(tokens)
    }

    pub(super) fn parse_literal(text: &str) -> Self {
        Self(decoded(text).chars().map(Token::Is).collect())
    }

    /// Returns the literal beginning that takes at most `most` bytes in a key.
    pub(super) fn literal(&self, most: usize) -> Self {
        let mut length = 0;
        let literal = self.0.iter().take_while(|token| {
            length += match token {
                Token::AnyText => return false,
                Token::AnyOne => 1,
                Token::Is(char) if char.is_ascii() => 1,
                Token::Is(char) => char.len_utf8() * "%XX".len(),
            };
            length <= most
        });
        Self(literal.copied().collect())
    }

    /// Returns `true` if the text matches. Backtracks to the last `*` only, so the cost is at most
    /// tokens times bytes.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (tokens, text) = (&self.0, &*decoded(text));
        let after = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
        let (mut token, mut at) = (0, 0);
        let mut star = None;
        while at < text.len() {
            match tokens.get(token) {
                Some(Token::AnyText) => {
                    star = Some((token, at));
                    token += 1;
                }
                Some(Token::AnyOne) => {
                    token += 1;
                    at += after(at);
                }
                Some(Token::Is(char)) if text[at..].starts_with(*char) => {
                    token += 1;
                    at += char.len_utf8();
                }
                _ => match star {
                    Some((of, from)) => {
                        at = from + after(from);
                        star = Some((of, at));
                        token = of + 1;
                    }
                    None => return false,
                },
            }
        }
        tokens[token..].iter().all(|token| *token == Token::AnyText)
    }

    /// Returns `true` if a text that begins with `prefix` and is longer may match.
    pub(super) fn may_match(&self, prefix: &str) -> bool {
        // The positions in the pattern that the text so far may have reached.
        let mut places = vec![false; self.0.len() + 1];
        places[0] = true;
        for char in decoded(whole(prefix)).chars() {
            let mut next = vec![false; self.0.len() + 1];
            self.skip_stars(&mut places);
            for (place, token) in self.0.iter().enumerate() {
                match token {
                    _ if !places[place] => {}
                    Token::AnyText => next[place] = true,
                    Token::AnyOne => next[place + 1] = true,
                    Token::Is(wanted) => next[place + 1] |= *wanted == char,
                }
            }
            places = next;
        }
        // The text continues, so a match can't have reached the end of the pattern.
        places[..self.0.len()].contains(&true)
    }

    /// Marks the positions after a `*`, which may match an empty text.
    fn skip_stars(&self, places: &mut [bool]) {
        for (place, token) in self.0.iter().enumerate() {
            places[place + 1] |= places[place] && *token == Token::AnyText;
        }
    }

    /// Appends a Redis glob over keys that matches all that this glob matches, and maybe more.
    pub(super) fn write_redis(&self, out: &mut String) {
        use std::fmt::Write;
        for token in &self.0 {
            match token {
                Token::AnyText => out.push('*'),
                // One character may be several escaped bytes in a key.
                Token::AnyOne => out.push_str("?*"),
                Token::Is(char) if char.is_ascii_alphanumeric() || "_-.:%".contains(*char) => {
                    out.push(*char);
                }
                Token::Is(char) if char.is_ascii() => {
                    out.push('\\');
                    out.push(*char);
                }
                Token::Is(char) => {
                    for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                        // Writing to a string never fails.
                        let _ = write!(out, "%{byte:02X}");
                    }
                }
            }
        }
    }
}

/// Decodes the escaped characters beyond ASCII in a text from a key. Escaped ASCII stays escaped,
/// because it would be mistaken for a separator.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let bytes: Vec<u8> = encoded(rest).collect();
        let valid = match std::str::from_utf8(&bytes) {
            Ok(chars) => chars,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        out.push_str(valid);
        rest = &rest[valid.len() * "%XX".len()..];
        // A `%` that starts no such byte is literal.
        if valid.is_empty() {
            out.push('%');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the escaped bytes beyond ASCII at the beginning of a text.
fn encoded(text: &str) -> impl Iterator<Item = u8> {
    text.as_bytes().chunks_exact(3).map_while(|code| {
        let [b'%', high, low] = code else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
        (byte >= 0x80).then_some(byte)
    })
}

/// Returns a prefix of a key without an incomplete character at its end.
fn whole(prefix: &str) -> &str {
    let bytes = prefix.as_bytes();
    let after = (bytes.len().saturating_sub(2)..bytes.len()).find(|&at| bytes[at] == b'%');
    let mut end = after.unwrap_or(bytes.len());
    let last = end;
    // A UTF-8 character has at most four bytes.
    for count in 1..=4 {
        let Some(at) = end.checked_sub(3).filter(|&at| bytes[at] == b'%') else {
            break;
        };
        end = at;
        let bytes: Vec<u8> = encoded(&prefix[at..last]).collect();
        match bytes.first() {
            // The first byte of a character, which may be complete or not.
            Some(first) if bytes.len() == count && *first >= 0xc0 => {
                return match std::str::from_utf8(&bytes) {
                    Ok(_) => &prefix[..last],
                    Err(_) => &prefix[..at],
                };
            }
            Some(_) => {}
            None => break,
        }
    }
    &prefix[..last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_meant_as_they_are_and_as_they_stand_in_keys() {
        for pattern in [
            "größe",
            "gr?ße",
            "gr*e",
            "gr%C3%B6%C3%9Fe",
            "gr*%9Fe?",
            "*ß*",
        ] {
            let matches = Glob::parse(pattern).matches("gr%C3%B6%C3%9Fe");
            assert_eq!(matches, !pattern.ends_with("%9Fe?"), "{pattern}");
        }
        assert!(!Glob::parse("gr??ße").matches("gr%C3%B6%C3%9Fe"));
        assert!(Glob::parse("a%3Ab").matches("a%3Ab"));
        assert!(!Glob::parse("a:b").matches("a%3Ab"));
        assert!(!Glob::parse("a?b").matches("a%3Ab"));
    }

    #[test]
    fn what_is_not_encoded_is_as_it_stands() {
        for text in ["100%", "%", "%C3", "%C3%", "%zz", "a%C3b", "%41"] {
            assert_eq!(decoded(text), text);
        }
        assert_eq!(decoded("%C3%A9%C3"), "é%C3");
        assert_eq!(decoded("%F0%9F%A6%80!"), "🦀!");
    }

    #[test]
    fn a_prefix_that_ends_within_a_character_may_match() {
        let text = "caf%C3%A9 %F0%9F%A6%80 und mehr";
        for end in 0..text.len() {
            let matches = Glob::parse("café 🦀 und*").may_match(&text[..end]);
            assert!(matches, "{}", &text[..end]);
        }
        assert!(!Glob::parse("cafe*").may_match("caf%C3%A9"));
    }

    #[test]
    fn redis_is_asked_for_what_stands_in_keys() {
        let mut out = String::new();
        Glob::parse("gr?ße*[x]").write_redis(&mut out);
        assert_eq!(out, r"gr?*%C3%9Fe*\[x\]");
        let mut literal = String::new();
        Glob::parse("aé?b*c").literal(8).write_redis(&mut literal);
        assert_eq!(literal, "a%C3%A9?*");
    }
}
