use std::time::Duration;

use crate::backend::stored_entry::StoredEntry;
use crate::entry::header::EntryHeader;
use crate::invalidation::group::Group;
use crate::key::Key;
use crate::process::unique_id::UniqueId;

/// Reply to a claim on a call.
pub(crate) enum ClaimReply {
    /// The lease is granted.
    Granted,
    /// Another holder has stored the entry meanwhile, with this remaining life.
    Found(StoredEntry, Duration),
    /// Another holder computes; its lease ends in this time unless it is renewed.
    Held(Duration),
    /// A group has been invalidated since the stamp was read: read again.
    Stale,
    /// The last refresh has failed just now: the stale value is served.
    Paused,
}

/// How far a claim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimMode {
    /// Take an entry, or a lease that is free.
    Normal,
    /// Take a lease that is free; the entry there is of no use.
    IgnoreEntry,
    /// Take the lease from whoever has it: a refresh replaces what they compute.
    Force,
}

/// A claim on one call.
pub(crate) struct ClaimRequest<'a> {
    pub(crate) key: &'a Key,
    pub(crate) groups: &'a [Group],
    pub(crate) header: &'a EntryHeader,
    pub(crate) token: UniqueId,
    pub(crate) life: Duration,
    pub(crate) reach: ClaimMode,
    /// An entry that is stored for no longer than this is of no use.
    pub(crate) min_remaining_ttl: Duration,
    /// `true` if there is a stale value to serve, so that a pause after a failed refresh is
    /// respected.
    pub(crate) respects_pause: bool,
}

/// Treatment of an existing entry by a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExistingEntry {
    /// Replaces it.
    Replace,
    /// Keeps it, if it is one of the same generations, and pauses the call for so long: an error
    /// never replaces a value that may still be served.
    Keep { pause: Duration },
}
