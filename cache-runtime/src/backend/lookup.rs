use std::time::Duration;

use crate::backend::stored_entry::StoredEntry;
use crate::entry::header::Age;
use crate::invalidation::group::GenerationStamp;

/// Result of one lookup of a call.
pub(crate) struct Lookup {
    pub(crate) entry: Option<StoredEntry>,
    /// Stamp of the generations at the time when the entry was read.
    pub(crate) stamp: GenerationStamp,
    /// The entry's remaining life, if it was requested.
    pub(crate) left: Option<Duration>,
}

impl Lookup {
    /// Returns the remaining ttl of the entry, if its life was requested and the entry is fresh.
    pub(crate) fn fresh(&self, cap: Option<Duration>) -> Option<Duration> {
        match self.entry.as_ref()?.span().age(self.left?, cap) {
            Age::Fresh(left) => Some(left),
            Age::Stale(_) => None,
        }
    }
}

/// Extent of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// The entry alone, which is cheapest.
    Entry,
    /// The entry and its remaining life, because a copy will be kept.
    WithLife,
}
