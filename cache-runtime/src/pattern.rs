use crate::error::{Error, ErrorKind};
use crate::key::{Key, split};

/// A pattern over function names: without a dot it is held against the last segment, with one
/// against the whole name.
pub(crate) struct NamePattern {
    glob: Glob,
    whole: bool,
}

/// A pattern over keys: a function pattern, a colon, and a pattern over the arguments.
pub(crate) struct KeyPattern {
    name: NamePattern,
    arguments: Glob,
}

impl NamePattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, Error> {
        if pattern.is_empty() {
            return Err(refusal("the pattern is empty: `*` names every function"));
        }
        if pattern.contains(':') {
            return Err(refusal(
                "a function's name has no `:`: for keys with arguments use `invalidate_keys`",
            ));
        }
        Ok(Self {
            glob: Glob::parse(pattern),
            whole: pattern.contains('.'),
        })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let subject = if self.whole {
            name
        } else {
            name.rsplit('.').next().unwrap_or(name)
        };
        self.glob.matches(subject)
    }
}

impl KeyPattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, Error> {
        let Some((name, arguments)) = pattern.split_once(':') else {
            return Err(refusal(
                "a key pattern has a `:` between function and arguments, as in `user*:42:*`: for functions by name use `invalidate`",
            ));
        };
        Ok(Self {
            name: NamePattern::parse(name)?,
            arguments: Glob::parse(arguments),
        })
    }

    /// Every key of the functions that match.
    pub(crate) fn of_functions(pattern: &str) -> Result<Self, Error> {
        Ok(Self {
            name: NamePattern::parse(pattern)?,
            arguments: Glob::parse("*"),
        })
    }

    pub(crate) fn matches(&self, key: &Key) -> bool {
        key.as_str()
            .split_once(':')
            .is_some_and(|(_, rest)| self.matches_rest(rest))
    }

    /// Whether `key` is one of the namespace's and matches.
    pub(crate) fn matches_text(&self, namespace: &str, key: &str) -> bool {
        let rest = key
            .strip_prefix(namespace)
            .and_then(|rest| rest.strip_prefix(':'));
        // Generations live beside the entries and are never removed by a pattern.
        rest.is_some_and(|rest| !rest.starts_with("gen:") && self.matches_rest(rest))
    }

    pub(crate) fn matches_name(&self, name: &str) -> bool {
        self.name.matches(name)
    }

    fn matches_rest(&self, rest: &str) -> bool {
        let (name, arguments) = split(rest);
        self.name.matches(name) && self.arguments.matches(arguments)
    }

    /// A glob for `SCAN` that finds all entries and leases that match, and maybe others.
    pub(crate) fn redis_match(&self, namespace: &str) -> String {
        let mut out = String::from("*");
        Glob::parse_literal(namespace).write_redis(&mut out);
        out.push(':');
        if !self.name.whole {
            out.push('*');
        }
        self.name.glob.write_redis(&mut out);
        // Version and types stand between the name and the arguments.
        out.push_str("*:");
        self.arguments.write_redis(&mut out);
        out.push('*');
        out
    }
}

fn refusal(message: &str) -> Error {
    Error::new(ErrorKind::Pattern, message)
}

/// `*` is any text, `?` any character, `\` takes the next one as it is.
struct Glob(Vec<Token>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Is(u8),
    AnyOne,
    AnyText,
}

impl Glob {
    fn parse(pattern: &str) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' => Token::AnyText,
                b'?' => Token::AnyOne,
                b'\\' => Token::Is(bytes.next().unwrap_or(b'\\')),
                byte => Token::Is(byte),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::AnyText && *b == Token::AnyText);
        Self(tokens)
    }

    fn parse_literal(text: &str) -> Self {
        Self(text.bytes().map(Token::Is).collect())
    }

    /// Goes back to the last `*` only: never more than tokens times bytes.
    fn matches(&self, text: &str) -> bool {
        let (tokens, text) = (&self.0, text.as_bytes());
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
                    at += 1;
                }
                Some(Token::Is(byte)) if *byte == text[at] => {
                    token += 1;
                    at += 1;
                }
                _ => match star {
                    Some((of, from)) => {
                        star = Some((of, from + 1));
                        token = of + 1;
                        at = from + 1;
                    }
                    None => return false,
                },
            }
        }
        tokens[token..].iter().all(|token| *token == Token::AnyText)
    }

    fn write_redis(&self, out: &mut String) {
        for token in &self.0 {
            match token {
                Token::AnyText => out.push('*'),
                Token::AnyOne => out.push('?'),
                Token::Is(byte) if byte.is_ascii_alphanumeric() || b"_-.:".contains(byte) => {
                    out.push(char::from(*byte));
                }
                // Keys are ASCII: any other byte is one of Redis's own signs, or found nowhere.
                Token::Is(byte) if byte.is_ascii() => {
                    out.push('\\');
                    out.push(char::from(*byte));
                }
                Token::Is(_) => out.push('?'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: &str, name: &str) -> bool {
        NamePattern::parse(pattern).is_ok_and(|pattern| pattern.matches(name))
    }

    #[test]
    fn a_pattern_without_a_dot_is_held_against_the_last_segment() {
        assert!(name("user*", "app.users.user"));
        assert!(name("user*", "app.user_list"));
        assert!(!name("user*", "app.users.get"));
        assert!(name("us?r", "app.user"));
        assert!(name("*", "app.user"));
    }

    #[test]
    fn a_pattern_with_a_dot_is_held_against_the_whole_name() {
        assert!(name("app.users.*", "app.users.user"));
        assert!(!name("users.*", "app.users.user"));
        assert!(name("*.users.*", "app.users.user"));
        assert!(name("app.user", "app.user"));
    }

    #[test]
    fn an_escaped_sign_stands_for_itself() {
        assert!(name(r"a\*b", "a*b"));
        assert!(!name(r"a\*b", "axb"));
        assert!(name(r"a\\", r"a\"));
    }

    #[test]
    fn a_key_pattern_holds_names_and_arguments_apart() {
        let pattern = |text: &str| KeyPattern::parse(text).expect("a pattern");
        let user = pattern("user*:42:*");
        assert!(user.matches_text("ns", "ns:app.user:42:'en'"));
        assert!(user.matches_text("ns", "ns:app.user@2<<u8>>:42:'en'"));
        assert!(!user.matches_text("ns", "ns:app.user:421:'en'"));
        assert!(!user.matches_text("ns", "nsx:app.user:42:'en'"));
        assert!(!user.matches_text("n", "ns:app.user:42:'en'"));
        assert!(!pattern("*:*").matches_text("ns", "ns:gen:fn:user"));
        assert!(user.matches(&Key::of("ns:app.user:42:'en'")));
    }

    #[test]
    fn a_pattern_of_the_wrong_sort_says_what_to_use_instead() {
        let text = |error: Error| error.to_string();
        assert!(
            KeyPattern::parse("user*")
                .map_err(text)
                .err()
                .is_some_and(|e| e.contains("`invalidate`"))
        );
        assert!(
            NamePattern::parse("user:1")
                .map_err(text)
                .err()
                .is_some_and(|e| e.contains("invalidate_keys"))
        );
        assert!(NamePattern::parse("").is_err());
    }

    #[test]
    fn redis_is_asked_for_no_less_than_what_matches() {
        let glob = |text: &str| {
            KeyPattern::parse(text)
                .expect("a pattern")
                .redis_match("n-s")
        };
        assert_eq!(glob("user*:42:*"), "*n-s:*user**:42:**");
        assert_eq!(glob("app.u?:'a'"), r"*n-s:app.u?*:\'a\'*");
        assert_eq!(glob(r"a:\*["), r"*n-s:*a*:\*\[*");
    }

    #[test]
    fn many_stars_take_no_longer_than_they_must() {
        let pattern = Glob::parse(&format!("{}b", "a*".repeat(100)));
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }
}
