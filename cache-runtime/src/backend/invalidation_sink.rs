use std::time::Duration;

use crate::error::Error;
use crate::key::pattern::KeyPattern;

/// Told of what others have invalidated, before anything newer is read.
pub(crate) trait InvalidationSink: Send + Sync {
    fn call_changed(&self, key: &str);
    /// The lease of the call was taken, renewed, let go or invalidated.
    fn lease_changed(&self, key: &str);
    fn calls_changed(&self, pattern: &KeyPattern);
    fn group_changed(&self, group: &str);
    fn everything_changed(&self);
    /// From now on nothing is told.
    fn lost(&self);
    /// Changes are told again: what was read before they were lost is not to be trusted.
    fn reconnected(&self);
    /// For a while nothing would have been told.
    fn gap(&self);
    /// How often it was told what the fleet has set.
    fn overrides_version(&self) -> u64;
    /// What the fleet has set, all of it; whether it was told of nothing since it was `told` so
    /// often. Otherwise this may be older, and is not believed.
    fn overrides(&self, told: u64, fields: Vec<(String, String)>) -> bool;
    /// Whether changes are told at all.
    fn pushes(&self, pushes: bool);
    /// The process runs, and its connections are read: copies may be served for so long.
    fn trust(&self, life: Duration);
    /// Something of this function (`*`: of all) was found damaged on the server, and mended.
    fn damaged(&self, function: &str, error: Error);
}
