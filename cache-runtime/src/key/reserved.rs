/// Names whose keys the cache needs for itself.
pub(super) const RESERVED: [&str; 3] = ["functions", "gen", "settings"];

/// Whether a key of this name is the cache's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}
