use super::Input;
use crate::key::Key;
use crate::key::cache_key::split;
use crate::key::pattern::{KeyPattern, NamePattern};

const NAMESPACE: &str = "n-s";

/// Checks that patterns match by their definition, and that the glob for Redis finds no less.
pub fn pattern(data: &[u8]) {
    let mut input = Input(data);
    let (name, arguments) = (input.text(20), input.text(30));
    let name = name.replace(':', "");
    let key = Key::by_hand(NAMESPACE, &input.text(60));
    let by_name = NamePattern::parse(&name);
    assert_eq!(by_name.is_err(), name.is_empty());
    let whole = format!("{name}:{arguments}");
    let Ok(by_key) = KeyPattern::parse(&whole, NAMESPACE) else {
        assert!(name.is_empty() || name.contains(['@', '<']));
        return;
    };
    // A pasted key is parsed differently.
    if name.contains(['@', '<']) || name == NAMESPACE || whole.starts_with('{') {
        return;
    }
    let Ok(key) = key else { return };
    let text = key.as_str();
    let (function, rest) = split(&text[NAMESPACE.len() + 1..]);
    assert_eq!(function, key.name());
    let subject = match name.contains('.') {
        true => function,
        false => function.rsplit('.').next().unwrap_or_default(),
    };
    let by_name = by_name.is_ok_and(|pattern| pattern.matches(function));
    assert_eq!(by_name, matches(&tokens(&name), subject.as_bytes()));
    let found = by_key.matches(&key);
    let mut matched = matches(&tokens(&arguments), rest.as_bytes());
    let mut shorter = arguments.as_str();
    while let Some(base) = shorter.strip_suffix(":*") {
        shorter = base;
        matched |= matches(&tokens(shorter), rest.as_bytes());
    }
    assert_eq!(found, by_name && matched);
    assert_eq!(found, by_key.matches_text(NAMESPACE, text));
    if found {
        let glob = by_key.redis_match(NAMESPACE);
        for subject in [text, &key.lease()] {
            let found = matches(&tokens(&glob), subject.as_bytes());
            assert!(found, "{glob} does not find {subject}");
        }
        // `[` is the only special character of Redis that `tokens` does not know.
        let plain = glob.replace("\\\\", "").replace("\\[", "");
        assert!(!plain.contains('['), "{glob}");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    One(Option<u8>),
    Any,
}

/// Tokens of a pattern: the definition of a glob, and that of Redis without its classes.
fn tokens(pattern: &str) -> Vec<Token> {
    let mut bytes = pattern.bytes();
    let mut tokens = Vec::new();
    while let Some(byte) = bytes.next() {
        tokens.push(match byte {
            b'*' => Token::Any,
            b'?' => Token::One(None),
            b'\\' => Token::One(Some(bytes.next().unwrap_or(b'\\'))),
            byte => Token::One(Some(byte)),
        });
    }
    tokens
}

/// Tries all matches, token by token, with the set of positions that may have been reached.
fn matches(tokens: &[Token], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in (0..=text.len()).filter(|at| reached[*at]) {
            match token {
                Token::Any => next[at..].fill(true),
                Token::One(byte) if at < text.len() => {
                    next[at + 1] |= byte.is_none_or(|byte| byte == text[at]);
                }
                Token::One(_) => {}
            }
        }
        reached = next;
    }
    reached[text.len()]
}
