use std::time::Duration;

use crate::error::Error;
use crate::key::pattern::KeyPattern;

/// Receiver of invalidations by other processes. It is notified before any newer value is read.
pub(crate) trait InvalidationSink: Send + Sync {
    fn call_changed(&self, key: &str);
    /// Called when the lease of the call was taken, renewed, released or invalidated.
    fn lease_changed(&self, key: &str);
    fn calls_changed(&self, pattern: &KeyPattern);
    fn group_changed(&self, group: &str);
    fn everything_changed(&self);
    /// Called when pushes no longer arrive.
    fn lost(&self);
    /// Called when pushes arrive again. Values that were read before the loss may be outdated.
    fn reconnected(&self);
    /// Called when pushes may have been missed for a while.
    fn gap(&self);
    /// Returns the number of times that the fleet's overrides were received.
    fn overrides_version(&self) -> u64;
    /// Replaces all overrides of the fleet. Returns `false` and ignores `fields` if the overrides
    /// have changed since `version`, because `fields` may be outdated.
    fn overrides(&self, version: u64, fields: Vec<(String, String)>) -> bool;
    /// Called with `true` if a connection receives pushes, with `false` if it does not.
    fn pushes(&self, pushes: bool);
    /// Allows local copies to be served for `life`, because the process runs and reads its
    /// connections. A `life` of zero stops serving them.
    fn trust(&self, life: Duration);
    /// Called when a damaged key of `function` (`*`: of all functions) was found on the server and
    /// repaired.
    fn damaged(&self, function: &str, error: Error);
}
