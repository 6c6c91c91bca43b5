mod glob;

use super::arguments::{PREFIX, prefix as prefix_of_long};
use super::cache_key::{Key, split};
use super::keyspace::is_reserved;
use crate::error::{Error, ErrorKind};
use glob::Glob;
pub(crate) use glob::decoded;

/// A pattern over function names. Without a dot it is matched against the last segment, with a dot
/// against the whole name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamePattern {
    text: Box<str>,
    glob: Glob,
    whole: bool,
}

/// A pattern over keys: a function pattern, a colon, and a pattern over the arguments. A trailing
/// `:*` also matches no further argument.
///
/// A pattern never misses a key: arguments that were cut match if their prefix may be the beginning
/// of a matching text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPattern(Vec<Alternative>);

/// One reading of a pattern: with a namespace before the name, or without.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alternative {
    name: NamePattern,
    arguments: ArgumentsPattern,
}

/// A pattern over the arguments in a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ArgumentsPattern {
    glob: Glob,
    /// The pattern without the trailing `:*`.
    base: Option<Glob>,
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
            text: pattern.into(),
            glob: Glob::parse(pattern),
            whole: pattern.contains('.'),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
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
    /// Parses `user*:42:*`, or a key as it stands in Redis.
    pub(crate) fn parse(pattern: &str, namespace: &str) -> Result<Self, Error> {
        let pattern = Key::of_lease(pattern).unwrap_or(pattern);
        let own = Alternative::parse(pattern);
        let rest = pattern.strip_prefix(namespace);
        let rest = rest.and_then(|rest| rest.strip_prefix(':'));
        // `shop:user:42` is a key in the namespace `shop`, or the arguments of a function `shop`.
        let pasted = rest.and_then(|rest| Alternative::parse(rest).ok());
        match (own, pasted) {
            (Ok(own), Some(pasted)) => Ok(Self(vec![own, pasted])),
            (Err(_), Some(pasted)) => Ok(Self(vec![pasted])),
            (own, None) => Ok(Self(vec![own?])),
        }
    }

    /// Returns the pattern for every key of the functions that match.
    pub(crate) fn of_functions(pattern: &str) -> Result<Self, Error> {
        Ok(Self(vec![Alternative {
            name: NamePattern::parse(pattern)?,
            arguments: ArgumentsPattern::parse("*"),
        }]))
    }

    pub(crate) fn matches(&self, key: &Key) -> bool {
        key.as_str()
            .split_once(':')
            .is_some_and(|(_, rest)| self.matches_rest(rest))
    }

    /// Returns `true` if `key` belongs to the namespace and matches.
    pub(crate) fn matches_text(&self, namespace: &str, key: &str) -> bool {
        let rest = key
            .strip_prefix(namespace)
            .and_then(|rest| rest.strip_prefix(':'));
        // Generations and the registry are stored beside the entries; no pattern removes them.
        rest.is_some_and(|rest| !is_reserved(split(rest).0) && self.matches_rest(rest))
    }

    fn matches_rest(&self, rest: &str) -> bool {
        let (name, arguments) = split(rest);
        self.0
            .iter()
            .any(|one| one.name.matches(name) && one.arguments.matches(arguments))
    }

    /// Returns a glob for `SCAN` that finds all entries and leases that match, and maybe others.
    pub(crate) fn redis_match(&self, namespace: &str) -> String {
        let mut out = String::from("*");
        Glob::parse_literal(namespace).write_redis(&mut out);
        out.push(':');
        match &self.0[..] {
            [one] => one.write_redis(&mut out),
            // A glob has no alternatives.
            _ => out.push('*'),
        }
        out
    }
}

impl Alternative {
    fn parse(pattern: &str) -> Result<Self, Error> {
        let Some((name, arguments)) = pattern.split_once(':') else {
            return Err(refusal(
                "a key pattern has a `:` between function and arguments, as in `user*:42:*`: for functions by name use `invalidate`",
            ));
        };
        // A pasted key has a variant and types after the name: the pattern matches every variant.
        let name = name.find(['@', '<']).map_or(name, |end| &name[..end]);
        Ok(Self {
            name: NamePattern::parse(name)?,
            arguments: ArgumentsPattern::parse(arguments),
        })
    }

    fn write_redis(&self, out: &mut String) {
        if !self.name.whole {
            out.push('*');
        }
        self.name.glob.write_redis(out);
        // Variant and types are between the name and the arguments.
        out.push_str("*:");
        self.arguments.write_redis(out);
        out.push('*');
    }
}

impl ArgumentsPattern {
    fn parse(pattern: &str) -> Self {
        let mut base = pattern;
        while let Some(shorter) = base.strip_suffix(":*") {
            base = shorter;
        }
        if base.len() == pattern.len() {
            return Self {
                glob: Glob::parse(pattern),
                base: None,
            };
        }
        Self {
            // One `:*` covers all trailing ones.
            glob: Glob::parse(&format!("{base}:*")),
            base: Some(Glob::parse(base)),
        }
    }

    fn matches(&self, arguments: &str) -> bool {
        let globs = std::iter::once(&self.glob).chain(&self.base);
        let mut globs = globs.map(|glob| match prefix_of_long(arguments) {
            Some(prefix) => glob.may_match(prefix),
            None => glob.matches(arguments),
        });
        globs.any(|matches| matches)
    }

    /// Appends the literal beginning, up to the length that cut keys keep.
    fn write_redis(&self, out: &mut String) {
        let glob = self.base.as_ref().unwrap_or(&self.glob);
        glob.literal(PREFIX).write_redis(out);
    }
}

fn refusal(message: &str) -> Error {
    Error::new(ErrorKind::Pattern, message)
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
        let pattern = |text: &str| KeyPattern::parse(text, "ns").expect("a pattern");
        let user = pattern("user*:42:*");
        assert!(user.matches_text("ns", "ns:app.user:42:'en'"));
        assert!(user.matches_text("ns", "ns:app.user@2<<u8>>:42:'en'"));
        assert!(user.matches_text("ns", "ns:app.user@1a2b3c4d:42"));
        assert!(pattern("user*:42:*:*").matches_text("ns", "ns:app.user@1a2b3c4d:42"));
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
            KeyPattern::parse("user*", "ns")
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
            KeyPattern::parse(text, "n-s")
                .expect("a pattern")
                .redis_match("n-s")
        };
        assert_eq!(glob("user*:42:*"), "*n-s:*user**:42*");
        assert_eq!(glob("user:42:*:'en'"), "*n-s:*user*:42:*");
        assert_eq!(glob("n-s:user:42"), "*n-s:*");
        assert_eq!(glob("app.u?:'a'"), r"*n-s:app.u?**:\'a\'*");
        assert_eq!(glob(r"a:\*["), r"*n-s:*a*:\*\[*");
    }

    #[test]
    fn a_pasted_key_is_a_pattern() {
        let pattern = |text: &str| KeyPattern::parse(text, "ns").expect("a pattern");
        for pasted in [
            "ns:app.user@1a2b3c4d:42",
            "{ns:app.user@1a2b3c4d:42}:lease",
            "ns:app.user@1a2b3c4d<<u8>>:42",
            "app.user@1a2b3c4d:42",
        ] {
            let pattern = pattern(pasted);
            assert!(
                pattern.matches_text("ns", "ns:app.user@1a2b3c4d:42"),
                "{pasted}"
            );
            // A key of another release matches, too.
            assert!(
                pattern.matches_text("ns", "ns:app.user@00000000:42"),
                "{pasted}"
            );
            assert!(
                !pattern.matches_text("ns", "ns:app.user@1a2b3c4d:43"),
                "{pasted}"
            );
        }
        // A function may have the name of the namespace.
        assert!(pattern("ns:42:*").matches_text("ns", "ns:app.ns@1a2b3c4d:42:1"));
    }

    #[test]
    fn what_may_match_is_matched() {
        let long = |text: &str| format!("ns:app.search@1a2b3c4d:{text}#0123");
        let matches = |pattern: &str, key: &str| {
            let pattern = KeyPattern::parse(pattern, "ns").expect("a pattern");
            pattern.matches_text("ns", key)
        };
        for pattern in [
            "search:42:*",
            "search*:42:*",
            "*:*",
            "search:42:*:7",
            "search:*x*",
        ] {
            assert!(matches(pattern, &long("42:'xx")), "{pattern}");
        }
        for pattern in [
            "search:43:*",
            "search:42",
            "search:42:'xx",
            "find:*",
            "search:42:?",
        ] {
            assert!(!matches(pattern, &long("42:'xx")), "{pattern}");
        }
        assert!(matches("search:42:'xx?", &long("42:'xx")));
        assert!(
            matches("search:*:7", &long("42:'xx")),
            "it may end like that"
        );
    }

    #[test]
    fn what_the_cache_keeps_for_itself_is_no_entry() {
        let everything = KeyPattern::parse("*:*", "ns").expect("a pattern");
        for key in ["ns:gen:all", "ns:functions", "ns:settings", "ns:gen:tag:x"] {
            assert!(!everything.matches_text("ns", key), "{key}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_they_must() {
        let pattern = Glob::parse(&format!("{}b", "a*".repeat(100)));
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }
}
