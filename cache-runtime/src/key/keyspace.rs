//! Keys of the cache's own, besides those of entries and leases, with every reserved name.

const FUNCTIONS: &str = "functions";
const GENERATIONS: &str = "gen";
const SETTINGS: &str = "settings";

/// Names that no function and no key by hand can have.
pub(crate) const RESERVED: [&str; 3] = [FUNCTIONS, GENERATIONS, SETTINGS];

/// Returns whether a key of this name is one of the cache's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The hash from function names to their variants.
pub(crate) fn functions(namespace: &str) -> String {
    format!("{namespace}:{FUNCTIONS}")
}

/// The hash of the fleet's overrides.
pub(crate) fn overrides(namespace: &str) -> String {
    format!("{namespace}:{SETTINGS}")
}

/// The generation of every call of the namespace.
pub(crate) fn everything(namespace: &str) -> String {
    format!("{namespace}:{GENERATIONS}:all")
}

/// Returns whether this is the key of [`everything`].
pub(crate) fn is_everything(key: &str) -> bool {
    without_namespace(key) == Some("gen:all")
}

/// The beginning of every key that holds a generation.
pub(crate) fn generations(namespace: &str) -> String {
    format!("{namespace}:{GENERATIONS}:")
}

/// A key on which a connection checks that its pushes arrive.
pub(crate) fn redirection(namespace: &str, name: &str) -> String {
    format!("{namespace}:{GENERATIONS}:heard:{name}")
}

/// The beginning of the keys on which `check` tries commands.
pub(crate) fn check(namespace: &str) -> String {
    format!("{namespace}:{GENERATIONS}:check")
}

/// The id of the database.
pub(crate) fn database(namespace: &str) -> String {
    format!("{namespace}:{GENERATIONS}:database")
}

/// The generation of one function.
pub(crate) fn function(namespace: &str, name: &str) -> String {
    format!("{namespace}:{GENERATIONS}:fn:{name}")
}

/// The function whose generation this key holds.
pub(crate) fn function_of(key: &str) -> Option<&str> {
    without_namespace(key)?.strip_prefix("gen:fn:")
}

/// The generation of a tag, by the tag's escaped text.
pub(crate) fn tag(namespace: &str, text: &str) -> String {
    format!("{namespace}:{GENERATIONS}:tag:{text}")
}

/// Returns whether this key holds the generation of a tag.
pub(crate) fn is_tag(key: &str) -> bool {
    without_namespace(key).is_some_and(|rest| rest.starts_with("gen:tag:"))
}

/// Names have no colons, so the first one ends the namespace.
fn without_namespace(key: &str) -> Option<&str> {
    key.split_once(':').map(|(_, rest)| rest)
}
