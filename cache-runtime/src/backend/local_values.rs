//! Values of `local` functions. They are kept in this process under the generations of the fleet,
//! so that an invalidation by name or tag in any process reaches them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::memory::MemoryBackend;
use super::redis::session::RedisSession;
use crate::backend::claim::{ClaimReply, ClaimRequest, ExistingEntry};
use crate::backend::contract::{Backend, KnownNames};
use crate::backend::lease_watch::LeaseWatch;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::stored_entry::StoredEntry;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::near_cache::NearCache;
use crate::process::unique_id::UniqueId;

/// Memory backend for values of `local` functions, created at first use.
pub(crate) struct LocalValues {
    make: Box<dyn Fn() -> NearCache + Send + Sync>,
    made: OnceLock<Arc<MemoryBackend>>,
}

impl LocalValues {
    pub(crate) fn new(make: impl Fn() -> NearCache + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            made: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn memory(&self) -> &Arc<MemoryBackend> {
        let make = || Arc::new(MemoryBackend::new(Arc::new((self.make)())));
        self.made.get_or_init(make)
    }

    /// Returns the memory backend if it was created.
    pub(crate) fn made(&self) -> Option<&Arc<MemoryBackend>> {
        self.made.get()
    }
}

/// Session of one call of a `local` function: entries and leases are in this process, generations
/// and names on Redis.
#[derive(Clone)]
pub(crate) struct LocalSession {
    pub(super) memory: Arc<MemoryBackend>,
    pub(super) redis: RedisSession,
}

impl Backend for LocalSession {
    async fn read(&self, key: &Key, groups: &[Group], _: ReadMode) -> Result<Lookup, Error> {
        let (entry, left) = self.memory.stored(key);
        // Read after the entry, so that an entry from before an invalidation is recognized.
        let stamp = self.redis.stamp(groups).await?;
        Ok(Lookup { entry, stamp, left })
    }

    async fn stamp(&self, groups: &[Group]) -> Result<GenerationStamp, Error> {
        self.redis.stamp(groups).await
    }

    fn watch(&self, key: &Key) -> LeaseWatch {
        self.memory.watch(key)
    }

    async fn claim(&self, claimed: &ClaimRequest<'_>) -> Result<ClaimReply, Error> {
        // An invalidation between the two steps costs a computation whose value no caller gets.
        let now = self.redis.stamp(claimed.groups).await?;
        Ok(self.memory.claim_under(claimed, |stamp| stamp == now))
    }

    async fn renew(&self, key: &Key, token: UniqueId, life: Duration) -> Result<bool, Error> {
        self.memory.renew(key, token, life).await
    }

    async fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> Result<bool, Error> {
        self.memory.fill(key, token, entry, life, existing).await
    }

    async fn pause(&self, key: &Key, token: UniqueId, pause: Duration) -> Result<(), Error> {
        self.memory.pause(key, token, pause).await
    }

    async fn release(&self, key: &Key, token: UniqueId) -> Result<(), Error> {
        self.memory.release(key, token).await
    }

    async fn remove(&self, key: &Key) -> Result<u64, Error> {
        self.memory.remove(key).await
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        self.redis.change(groups).await
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<RemovedEntries, Error> {
        self.memory.remove_matching(pattern).await
    }

    async fn functions(&self) -> Result<KnownNames, Error> {
        self.redis.functions().await
    }

    async fn announce(&self, name: &str, variant: &str) -> Result<(), Error> {
        self.redis.announce(name, variant).await
    }
}
