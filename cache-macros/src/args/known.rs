use crate::options;

/// The options, each as one writes it.
pub(super) const OPTIONS: [(&str, &str); 30] = [
    ("ttl", "ttl = 60"),
    ("ttl_with", "ttl_with = |value| value.lifetime"),
    ("jitter", "jitter = 0.1"),
    ("none_ttl", "none_ttl = \"5s\""),
    ("err_ttl", "err_ttl = \"1s\""),
    ("stale_while_revalidate", "stale_while_revalidate = \"1m\""),
    ("stale_if_error", "stale_if_error = \"1h\""),
    ("refresh_ahead", "refresh_ahead = true"),
    ("retry_after", "retry_after = \"1s\""),
    ("soft_timeout", "soft_timeout = \"200ms\""),
    ("name", "name = \"shop.user\""),
    ("key", "key = \"item:{id}\""),
    ("version", "version = 2"),
    ("skip", "skip(db)"),
    ("with", "with(self.tenant)"),
    ("secret", "secret(token)"),
    ("tags", "tags(\"user:{id}\")"),
    ("bypass_if", "bypass_if = fresh"),
    ("store_if", "store_if = |value| !value.is_empty()"),
    ("lease", "lease = \"5s\""),
    ("lease_wait", "lease_wait = \"10s\""),
    ("near", "near = false"),
    ("near_ttl", "near_ttl = \"1s\""),
    ("local", "local"),
    ("detached", "detached"),
    ("codec", "codec = \"json\""),
    ("compress", "compress"),
    ("cache", "cache = SESSIONS"),
    ("entry", "entry = cached_user"),
    ("crate", "crate = crate::platform::recached"),
];

/// Options of other crates, and what there is in their place.
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

/// What to say of an option that is none of them.
pub(super) fn unknown(name: &str) -> String {
    let mut elsewhere = ELSEWHERE.iter();
    match elsewhere.find(|(names, _)| names.contains(&name)) {
        Some((_, instead)) => format!("there is no option `{name}`: {instead}"),
        None => options::nearest(name, &OPTIONS.map(|(option, _)| option)),
    }
}
