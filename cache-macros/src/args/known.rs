use super::OPTIONS;
use crate::options;

/// Options of other crates, and their replacements here.
const ELSEWHERE: [(&[&str], &str); 6] = [
    (
        &["time", "ttl_secs", "ttl_millis"],
        "write `ttl = 60` in seconds, or `ttl = \"250ms\"`",
    ),
    (
        &["size", "max_size"],
        "entries are bounded for all functions together: `Cache::builder().max_entries(…)`",
    ),
    (
        &["result", "sync_writes"],
        "only an `Ok` is stored and callers of one key wait for one, always: remove it",
    ),
    (
        &["option"],
        "a `None` is stored as any value is, unless you write `store_if = |value| value.is_some()`",
    ),
    (
        &["convert"],
        "write `key = \"item:{id}\"`, or `skip(…)` and `with(…)`",
    ),
    (&["result_fallback"], "write `stale_if_error = \"1h\"`"),
];

/// Returns the message for an unknown option.
pub(super) fn unknown(name: &str) -> String {
    let mut elsewhere = ELSEWHERE.iter();
    match elsewhere.find(|(names, _)| names.contains(&name)) {
        Some((_, instead)) => format!("there is no option `{name}`: {instead}"),
        None => options::nearest(name, &OPTIONS.map(|(option, _)| option)),
    }
}
