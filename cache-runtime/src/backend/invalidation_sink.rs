use std::time::Duration;

use crate::error::Error;
use crate::key::pattern::KeyPattern;

/// Receiver of invalidations by other processes, before anything newer is read.
pub(crate) trait InvalidationSink: Send + Sync {
    fn call_changed(&self, key: &str);
    /// The lease of the call was taken, renewed, released or invalidated.
    fn lease_changed(&self, key: &str);
    fn calls_changed(&self, pattern: &KeyPattern);
    fn group_changed(&self, group: &str);
    fn everything_changed(&self);
    /// Pushes do not arrive any more.
    fn lost(&self);
    /// Pushes arrive again: values that were read before the loss are outdated.
    fn reconnected(&self);
    /// Pushes may have been missed for a while.
    fn gap(&self);
    /// Number of times that the fleet's overrides were received.
    fn overrides_version(&self) -> u64;
    /// Replaces all overrides of the fleet. Returns `false` if they have changed since the version
    /// `version`: then `fields` may be outdated and are ignored.
    fn overrides(&self, version: u64, fields: Vec<(String, String)>) -> bool;
    /// Returns `true` if pushes arrive at all.
    fn pushes(&self, pushes: bool);
    /// The process runs and reads its connections: copies may be served for this long.
    fn trust(&self, life: Duration);
    /// A damaged key of this function (`*`: of all functions) was found on the server and repaired.
    fn damaged(&self, function: &str, error: Error);
}
