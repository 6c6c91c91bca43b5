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
    /// An entry was stored before the claim, and has this remaining life.
    Found(StoredEntry, Duration),
    /// Another holder computes. Its lease expires after this duration, unless the holder renews it.
    Held(Duration),
    /// A group was invalidated since the stamp was read, so the generations must be read again.
    Stale,
    /// The last refresh failed recently, so the stale value is served.
    Paused,
}

/// Mode of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimMode {
    /// Accepts an entry, or takes a free lease.
    Normal,
    /// Takes a free lease and ignores the entry.
    IgnoreEntry,
    /// Takes the lease from its holder, because a refresh must replace the holder's value.
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
    /// Remaining life that an accepted entry must exceed.
    pub(crate) min_remaining_ttl: Duration,
    /// Set if a stale value can be served. A pause after a failed refresh is then respected.
    pub(crate) respects_pause: bool,
}

/// Treatment of an existing entry by a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExistingEntry {
    /// Replaces the entry.
    Replace,
    /// Keeps an entry of the same generations and pauses the call for `pause`, because an error
    /// must never replace a value that may still be served.
    Keep { pause: Duration },
}
