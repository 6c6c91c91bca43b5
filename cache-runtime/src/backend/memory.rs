use crate::process::sync::{Mutex, MutexGuard, RwLock};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::lease_watch::LeaseWatchers;
use crate::backend::claim::{ClaimMode, ClaimReply, ClaimRequest, ExistingEntry};
use crate::backend::contract::{Backend, KnownNames};
use crate::backend::lease_watch::LeaseWatch;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::stored_entry::{StoredEntry, TypedValue};
use crate::entry::header::LONGEST;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::near_cache::{Evicted, NearCache, NearCopy};
use crate::process::unique_id::UniqueId;

/// Reported life of a lease. The lease itself never expires: the guard of its holder, in this
/// process, releases it.
const UNTIL_RELEASED: Duration = Duration::from_secs(3_600);

/// Number of leases below which expired pauses are not removed.
const FEW: usize = 1_024;

/// Maximum number of functions. Beyond it, all generations of functions are dropped, which causes
/// misses and never an old value.
const MOST_GENERATIONS: usize = 100_000;

/// Maximum number of tags. Beyond it, quick_cache's policy decides which tags are dropped.
const MOST_TAGS: usize = 200_000;

/// The backend in this process. It holds unencoded values, with the same protocol as on Redis.
pub(crate) struct MemoryBackend {
    entries: Arc<NearCache>,
    leases: Mutex<HashMap<Key, MemoryLease>>,
    /// Number of leases at which expired pauses are removed.
    many: AtomicUsize,
    generations: RwLock<HashMap<u128, UniqueId>>,
    tags: quick_cache::sync::Cache<u128, UniqueId>,
    names: Mutex<HashSet<String>>,
    watchers: Arc<LeaseWatchers>,
}

struct MemoryLease {
    token: UniqueId,
    stamp: GenerationStamp,
    /// End of the pause after a failed refresh. During a pause, the lease has no holder.
    paused: Option<Instant>,
}

impl MemoryLease {
    /// Returns `true` if this is a pause that has ended.
    fn is_over(&self) -> bool {
        self.paused.is_some_and(|end| end <= Instant::now())
    }
}

impl MemoryBackend {
    pub(crate) fn new(entries: Arc<NearCache>) -> Self {
        Self {
            entries,
            leases: Mutex::default(),
            many: AtomicUsize::new(FEW),
            generations: RwLock::default(),
            tags: quick_cache::sync::Cache::new(MOST_TAGS),
            names: Mutex::default(),
            watchers: Arc::default(),
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Key, MemoryLease>> {
        self.leases.lock()
    }

    /// Replaces the lease by a pause, if `token` still holds the lease.
    fn pause_now(
        &self,
        mut leases: MutexGuard<'_, HashMap<Key, MemoryLease>>,
        key: &Key,
        token: UniqueId,
        pause: Duration,
    ) {
        let Some(lease) = leases.get_mut(key).filter(|lease| lease.token == token) else {
            return;
        };
        // `LONGEST` exceeds any pause, and every clock can add it to its present time.
        lease.paused = Some(Instant::now() + pause.min(LONGEST));
        lease.token = UniqueId::fresh();
        // Expired pauses are removed when there are twice as many leases as after the last removal.
        if leases.len() >= self.many.load(Ordering::Relaxed) {
            leases.retain(|_, lease| !lease.is_over());
            let many = FEW.max(leases.len() * 2);
            self.many.store(many, Ordering::Relaxed);
        }
        drop(leases);
        self.watchers.notify(key.as_str());
    }

    /// Returns the entries, for the hit path.
    pub(crate) fn entries(&self) -> &Arc<NearCache> {
        &self.entries
    }

    /// Returns an entry of any generation, and its remaining life.
    pub(super) fn stored(&self, key: &Key) -> (Option<StoredEntry>, Option<Duration>) {
        let kept = self.entries.find(key);
        (
            kept.clone().map(StoredEntry::from),
            kept.as_ref().map(NearCopy::left),
        )
    }

    /// Removes the entry and the lease of a call. Returns the number of removed entries.
    pub(crate) fn remove_call(&self, key: &str) -> u64 {
        let mut leases = self.leases();
        leases.remove(key);
        let evicted = self.entries.remove(key);
        drop(leases);
        let removed = evicted.alive();
        drop(evicted);
        self.watchers.notify(key);
        removed
    }

    /// Removes matching entries and leases. Returns the removed entries.
    pub(crate) fn remove_calls(&self, pattern: &KeyPattern) -> RemovedEntries {
        let mut leases = self.leases();
        let mut gone: Vec<Key> = Vec::new();
        leases.retain(|key, _| {
            let matched = pattern.matches(key);
            if matched {
                gone.push(key.clone());
            }
            !matched
        });
        let (removed, evicted) = self.entries.remove_matching(pattern);
        drop(leases);
        drop(evicted);
        for key in gone {
            self.watchers.notify(key.as_str());
        }
        removed
    }

    /// Replies to a claim, with [`ClaimReply::Stale`] if its generations are not current.
    pub(super) fn claim_under(
        &self,
        claimed: &ClaimRequest<'_>,
        is_current: impl FnOnce(GenerationStamp) -> bool,
    ) -> ClaimReply {
        let stamp = claimed.header.stamp();
        let mut leases = self.leases();
        // Checked under the lock, because a claim from before an invalidation must not take the
        // lease of a later claim.
        if !is_current(stamp) {
            return ClaimReply::Stale;
        }
        if claimed.reach == ClaimMode::Normal
            && let Some(kept) = self.entries.find(claimed.key)
            && kept.stamp == stamp.half()
            && kept.left() > claimed.min_remaining_ttl
        {
            let left = kept.left();
            return ClaimReply::Found(kept.into(), left);
        }
        match leases.get(claimed.key) {
            // A lease of an older generation is taken over, because its holder's value could not be
            // used.
            Some(lease)
                if lease.stamp == stamp
                    && lease.paused.is_none()
                    && claimed.reach != ClaimMode::Force =>
            {
                ClaimReply::Held(UNTIL_RELEASED)
            }
            Some(lease) if lease.stamp == stamp && claimed.respects_pause && !lease.is_over() => {
                ClaimReply::Paused
            }
            _ => {
                let lease = MemoryLease {
                    token: claimed.token,
                    stamp,
                    paused: None,
                };
                let replaced = leases.insert(claimed.key.clone(), lease);
                drop(leases);
                if replaced.is_some() {
                    self.watchers.notify(claimed.key.as_str());
                }
                ClaimReply::Granted
            }
        }
    }

    fn insert(&self, key: &Key, entry: StoredEntry, life: Duration) -> Evicted {
        if let StoredEntry::TypedValue(TypedValue {
            value,
            stamp,
            bytes,
        }) = entry
        {
            return self.entries.keep(key, value, stamp, life, bytes);
        }
        Evicted::default()
    }

    fn current(&self, groups: &[Group]) -> GenerationStamp {
        GenerationStamp::of(groups.iter().map(|group| self.generation(group)))
    }

    fn generation(&self, group: &Group) -> UniqueId {
        let digest = group.digest();
        if group.is_tag() {
            let made = self
                .tags
                .get_or_insert_with(&digest, || Ok(UniqueId::fresh()));
            return made.unwrap_or_else(|never: Infallible| match never {});
        }
        let known = self.generations.read();
        if let Some(generation) = known.get(&digest) {
            return *generation;
        }
        drop(known);
        let mut known = self.generations.write();
        if known.len() >= MOST_GENERATIONS {
            known.clear();
        }
        *known.entry(digest).or_insert_with(UniqueId::fresh)
    }
}

impl From<NearCopy> for StoredEntry {
    fn from(kept: NearCopy) -> Self {
        Self::TypedValue(TypedValue {
            value: kept.value,
            stamp: kept.stamp,
            // The size was counted when the value was stored.
            bytes: 0,
        })
    }
}

impl Backend for MemoryBackend {
    async fn read(&self, key: &Key, groups: &[Group], _: ReadMode) -> Result<Lookup, Error> {
        let (entry, left) = self.stored(key);
        let stamp = self.current(groups);
        Ok(Lookup { entry, stamp, left })
    }

    async fn stamp(&self, groups: &[Group]) -> Result<GenerationStamp, Error> {
        Ok(self.current(groups))
    }

    fn watch(&self, key: &Key) -> LeaseWatch {
        self.watchers.watch(key)
    }

    async fn claim(&self, claimed: &ClaimRequest<'_>) -> Result<ClaimReply, Error> {
        let is_current = |stamp| self.current(claimed.groups) == stamp;
        Ok(self.claim_under(claimed, is_current))
    }

    async fn renew(&self, key: &Key, token: UniqueId, _: Duration) -> Result<bool, Error> {
        Ok(self
            .leases()
            .get(key)
            .is_some_and(|lease| lease.token == token))
    }

    async fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> Result<bool, Error> {
        let mut leases = self.leases();
        let Some(lease) = leases.get(key).filter(|lease| lease.token == token) else {
            return Ok(false);
        };
        let half = lease.stamp.half();
        let kept = |kept: NearCopy| kept.stamp == half;
        if let ExistingEntry::Keep { pause } = existing
            && self.entries.find(key).is_some_and(kept)
        {
            self.pause_now(leases, key, token, pause);
            return Ok(false);
        }
        let evicted = self.insert(key, entry, life);
        leases.remove(key);
        drop(leases);
        drop(evicted);
        self.watchers.notify(key.as_str());
        Ok(true)
    }

    async fn pause(&self, key: &Key, token: UniqueId, pause: Duration) -> Result<(), Error> {
        self.pause_now(self.leases(), key, token, pause);
        Ok(())
    }

    async fn release(&self, key: &Key, token: UniqueId) -> Result<(), Error> {
        let mut leases = self.leases();
        if leases.get(key).is_some_and(|lease| lease.token == token) {
            leases.remove(key);
            drop(leases);
            self.watchers.notify(key.as_str());
        }
        Ok(())
    }

    async fn remove(&self, key: &Key) -> Result<u64, Error> {
        Ok(self.remove_call(key.as_str()))
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        let mut known = self.generations.write();
        for group in groups {
            match group.is_tag() {
                // The next reader creates another generation.
                true => drop(self.tags.remove(&group.digest())),
                false => drop(known.insert(group.digest(), UniqueId::fresh())),
            }
        }
        Ok(())
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<RemovedEntries, Error> {
        Ok(self.remove_calls(pattern))
    }

    async fn functions(&self) -> Result<KnownNames, Error> {
        let names = self.names.lock();
        Ok(KnownNames {
            names: names.iter().cloned().collect(),
            incomplete: false,
        })
    }

    async fn announce(&self, name: &str, _: &str) -> Result<(), Error> {
        let mut names = self.names.lock();
        names.insert(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
