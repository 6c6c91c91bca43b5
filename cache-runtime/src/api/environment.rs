//! Environment variables: `REDIS_URL`, and those that begin with `RECACHED_`.

use std::ffi::OsString;
use std::sync::Once;

use crate::key::nearest::nearest;

/// All `RECACHED_` variables that are read.
const KNOWN: [&str; 3] = ["RECACHED_OFF", "RECACHED_SECRET", "RECACHED_TTL"];

/// Warns, once per process, about unknown `RECACHED_` variables: a misspelt one has no effect.
pub(crate) fn warn_of_unknown() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        let names = std::env::vars_os().map(|(name, _)| name);
        for (name, meant) in unknown(names) {
            match meant {
                Some(meant) => tracing::warn!(
                    variable = %name.escape_debug(),
                    "there is no such variable: did you mean {meant}?"
                ),
                None => tracing::warn!(
                    variable = %name.escape_debug(),
                    "there is no such variable: there are {}",
                    KNOWN.join(", ")
                ),
            }
        }
    });
}

fn unknown(names: impl Iterator<Item = OsString>) -> Vec<(String, Option<&'static str>)> {
    let names = names.filter_map(|name| name.into_string().ok());
    let ours =
        names.filter(|name| name.starts_with("RECACHED_") && !KNOWN.contains(&name.as_str()));
    let with_nearest = |name: String| {
        let meant = nearest(&name, KNOWN);
        (name, meant)
    };
    ours.map(with_nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_recognised() {
        let names = ["RECACHED_TTLS", "RECACHED_TTL", "RECACHED_XYZXYZ", "PATH"];
        assert_eq!(
            unknown(names.map(OsString::from).into_iter()),
            [
                ("RECACHED_TTLS".to_owned(), Some("RECACHED_TTL")),
                ("RECACHED_XYZXYZ".to_owned(), None),
            ]
        );
    }
}
