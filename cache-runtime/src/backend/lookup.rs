use std::time::Duration;

use crate::backend::stored_entry::StoredEntry;
use crate::entry::header::Age;
use crate::invalidation::group::GenerationStamp;

/// Result of one look at a call.
pub(crate) struct Lookup {
    pub(crate) entry: Option<StoredEntry>,
    /// The digest of the generations as they stood when the entry had arrived.
    pub(crate) stamp: GenerationStamp,
    /// The entry's remaining life, if it was asked for.
    pub(crate) left: Option<Duration>,
}

impl Lookup {
    /// How much of the entry's ttl remains, if any, and if it was asked for.
    pub(crate) fn fresh(&self, cap: Option<Duration>) -> Option<Duration> {
        match self.entry.as_ref()?.span().age(self.left?, cap) {
            Age::Fresh(left) => Some(left),
            Age::Stale(_) => None,
        }
    }
}

/// How much a look asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// The entry alone: the cheapest there is.
    Entry,
    /// Its remaining life too, because a copy will be kept.
    WithLife,
}
