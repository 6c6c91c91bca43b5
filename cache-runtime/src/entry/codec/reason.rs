/// Kinds of errors in the words of serde (`serde::de::Error`).
const KINDS: [&str; 8] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "unknown variant",
    "unknown field",
    "data did not match any variant",
    "u128 is not supported",
    "i128 is not supported",
];

/// Returns the reason of a failed `Deserialize` without any part of the value: a field's name, or
/// the kind of error and the expected type. `None` for messages that serde has not written.
pub(super) fn reason(text: &str) -> Option<String> {
    let text = text.split(" at line ").next()?;
    for kind in ["missing field", "duplicate field"] {
        let field = text
            .strip_prefix(kind)
            .and_then(|text| text.strip_prefix(" `"));
        if let Some(field) = field.and_then(|field| field.strip_suffix('`')) {
            let is_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
            let is_whole = field.len() <= 64 && field.chars().all(is_name);
            return is_whole.then(|| format!("{kind} `{field}`"));
        }
    }
    let kind = KINDS.into_iter().find(|kind| text.starts_with(kind))?;
    // The text before the last comma may quote the value; the text after it describes the type.
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    Some(match expected {
        Some(expected) => format!("{kind}, expected {expected}"),
        None => kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "it is never read")]
    struct User {
        id: u32,
        role: Option<Direction>,
    }

    #[derive(Debug, Deserialize)]
    enum Direction {
        Admin,
    }

    #[test]
    fn a_reason_names_fields_and_types_and_quotes_no_value() {
        let why = |json: &str| {
            let error = serde_json::from_str::<User>(json).expect_err("it is no user");
            reason(&error.to_string())
        };
        let cases = [
            ("{}", "missing field `id`"),
            (r#"{"id":1,"id":2}"#, "duplicate field `id`"),
            (
                r#"{"id":"secret, expected secret"}"#,
                "invalid type, expected u32",
            ),
            (r#"{"id":-77}"#, "invalid value, expected u32"),
            (
                r#"{"id":1,"role":"secret"}"#,
                "unknown variant, expected `Admin`",
            ),
        ];
        for (json, wanted) in cases {
            assert_eq!(why(json).as_deref(), Some(wanted), "{json}");
        }
        assert_eq!(why("{"), None);
        for words in [
            "secret",
            "missing field `my secret is 7`",
            "missing field secret",
        ] {
            assert_eq!(reason(words), None, "{words}");
        }
    }
}
