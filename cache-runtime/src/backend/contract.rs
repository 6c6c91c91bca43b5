use std::future::Future;
use std::time::Duration;

use crate::backend::claim::{ClaimReply, ClaimRequest, ExistingEntry};
use crate::backend::lease_watch::LeaseWatch;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::stored_entry::StoredEntry;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::process::unique_id::UniqueId;

/// Names of the fleet's functions that could be read.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    pub(crate) names: Vec<String>,
    /// `true` if the list lacks names, so that an invalidation by pattern must invalidate
    /// everything.
    pub(crate) incomplete: bool,
}

/// A store of entries, leases and generations.
pub(crate) trait Backend {
    /// Restores the caller's whole time budget, if the session has one.
    fn refill(&self) {}
    fn read(
        &self,
        key: &Key,
        groups: &[Group],
        look: ReadMode,
    ) -> impl Future<Output = Result<Lookup, Error>> + Send;
    fn stamp(
        &self,
        groups: &[Group],
    ) -> impl Future<Output = Result<GenerationStamp, Error>> + Send;
    /// Watches the lease of `key` from this call on.
    fn watch(&self, key: &Key) -> LeaseWatch;
    fn claim(
        &self,
        claimed: &ClaimRequest<'_>,
    ) -> impl Future<Output = Result<ClaimReply, Error>> + Send;
    fn renew(
        &self,
        key: &Key,
        token: UniqueId,
        life: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Stores the entry and removes the lease, if `token` still holds the lease. Returns `true` if
    /// the entry was stored.
    fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Replaces the lease by a pause, if `token` still holds the lease.
    fn pause(
        &self,
        key: &Key,
        token: UniqueId,
        pause: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn release(&self, key: &Key, token: UniqueId)
    -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes the entries and leases of the call in every variant. Returns the number of removed
    /// entries.
    fn remove(&self, key: &Key) -> impl Future<Output = Result<u64, Error>> + Send;
    /// Replaces the generation of each group.
    fn change(&self, groups: &[Group]) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes matching leases, then matching entries. Returns the removed entries.
    fn remove_matching(
        &self,
        pattern: &KeyPattern,
    ) -> impl Future<Output = Result<RemovedEntries, Error>> + Send;
    /// Returns the names of the fleet's functions.
    fn functions(&self) -> impl Future<Output = Result<KnownNames, Error>> + Send;
    /// Announces a function and its variant to the fleet. `variant` is empty for keys that are
    /// written by hand.
    fn announce(&self, name: &str, variant: &str)
    -> impl Future<Output = Result<(), Error>> + Send;
}

/// Kind of caller: a blocking thread must not wait for its own runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Async,
    Blocking,
}
