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

/// The names of the fleet's functions, as far as they can be read.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    pub(crate) names: Vec<String>,
    /// `true` if there are others: then a pattern can only be matched by everything.
    pub(crate) incomplete: bool,
}

/// A place that holds entries, leases and generations.
pub(crate) trait Backend {
    /// Gives the caller its whole patience again, where it has one.
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
    /// Tells of changes to the lease of `key` from now on.
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
    /// Stores and drops the lease, if the token still holds it; whether it has stored.
    fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Replaces the lease by a pause, if the token still holds it.
    fn pause(
        &self,
        key: &Key,
        token: UniqueId,
        pause: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn release(&self, key: &Key, token: UniqueId)
    -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes entries and leases of the call, in every variant; how many entries.
    fn remove(&self, key: &Key) -> impl Future<Output = Result<u64, Error>> + Send;
    /// Gives each group a generation that never was.
    fn change(&self, groups: &[Group]) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes leases, then entries; which entries.
    fn remove_matching(
        &self,
        pattern: &KeyPattern,
    ) -> impl Future<Output = Result<RemovedEntries, Error>> + Send;
    /// The names of the fleet's functions.
    fn functions(&self) -> impl Future<Output = Result<KnownNames, Error>> + Send;
    /// Tells the fleet of a function, and of a variant of it; none (an empty one) by hand.
    fn announce(&self, name: &str, variant: &str)
    -> impl Future<Output = Result<(), Error>> + Send;
}

/// From where a call comes: a thread that blocks must not wait for its own runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Async,
    Blocking,
}
