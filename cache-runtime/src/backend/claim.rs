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

/// Mode of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimMode {
    /// Accepts an entry, or takes a free lease.
    Normal,
    /// Takes a free lease and ignores the entry.
    IgnoreEntry,
    /// Takes the lease from its holder: a refresh replaces the holder's value.
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
    /// Least remaining life of an entry that is accepted.
    pub(crate) min_remaining_ttl: Duration,
    /// `true` if there is a stale value to serve, so that a pause after a failed refresh is
    /// respected.
    pub(crate) respects_pause: bool,
}

/// Treatment of an existing entry by a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExistingEntry {
    /// Replaces the entry.
    Replace,
    /// Keeps an entry of the same generations and pauses the call for this long: an error never
    /// replaces a value that may still be served.
    Keep { pause: Duration },
}
