//! Values of this process alone, under the generations of the fleet: they are invalidated by name
//! and by tag wherever that is done, and never written.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::memory::Memory;
use super::redis::Way;
use super::{Claim, Claimed, Existing, KnownNames, Look, Read, Removed, Stored, Tier, Watch};
use crate::error::Error;
use crate::invalidation::group::{Group, Stamp};
use crate::invalidation::unique_id::UniqueId;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::near_cache::Near;

/// The place for such values, made when the first one is asked for.
pub(crate) struct OwnValues {
    make: Box<dyn Fn() -> Near + Send + Sync>,
    made: OnceLock<Arc<Memory>>,
}

impl OwnValues {
    pub(crate) fn new(make: impl Fn() -> Near + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            made: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        let make = || Arc::new(Memory::new(Arc::new((self.make)())));
        self.made.get_or_init(make)
    }

    /// If anything was ever kept there.
    pub(crate) fn made(&self) -> Option<&Arc<Memory>> {
        self.made.get()
    }
}

/// One call's way: entries and leases here, generations and names from the fleet.
#[derive(Clone)]
pub(crate) struct Here {
    pub(super) memory: Arc<Memory>,
    pub(super) way: Way,
}

impl Tier for Here {
    async fn read(&self, key: &Key, groups: &[Group], _: Look) -> Result<Read, Error> {
        let (entry, left) = self.memory.stored(key);
        // After the entry: one that was stored before an invalidation is then seen to be.
        let stamp = self.way.stamp(groups).await?;
        Ok(Read { entry, stamp, left })
    }

    async fn stamp(&self, groups: &[Group]) -> Result<Stamp, Error> {
        self.way.stamp(groups).await
    }

    fn watch(&self, key: &Key) -> Watch {
        self.memory.watch(key)
    }

    async fn claim(&self, claimed: &Claimed<'_>) -> Result<Claim, Error> {
        // An invalidation that comes in between costs a computation that nobody is served.
        let now = self.way.stamp(claimed.groups).await?;
        Ok(self.memory.claim_under(claimed, |stamp| stamp == now))
    }

    async fn renew(&self, key: &Key, token: UniqueId, life: Duration) -> Result<bool, Error> {
        self.memory.renew(key, token, life).await
    }

    async fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: Stored,
        life: Duration,
        existing: Existing,
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
        self.way.change(groups).await
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<Removed, Error> {
        self.memory.remove_matching(pattern).await
    }

    async fn functions(&self) -> Result<KnownNames, Error> {
        self.way.functions().await
    }

    async fn announce(&self, name: &str, variant: &str) -> Result<(), Error> {
        self.way.announce(name, variant).await
    }
}
