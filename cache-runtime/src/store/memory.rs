use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::watch::Watchers;
use super::{Claim, Claimed, Look, Reach, Read, Stored, Tier, Typed, Watch};
use crate::error::Error;
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::near::{Kept, Near};
use crate::nonce::Nonce;
use crate::pattern::KeyPattern;

/// A lease that never lapses by itself: its guard lives in this process and lets go.
const UNTIL_RELEASED: Duration = Duration::from_secs(3_600);

/// Functions remembered at most; a forgotten generation means misses, never an old value.
const MOST_GENERATIONS: usize = 100_000;

/// Tags remembered at most: those that have not been used for longest are forgotten first.
const MOST_TAGS: usize = 200_000;

/// The in-process tier: values as they are, the same protocol as in Redis.
pub(crate) struct Memory {
    entries: Arc<Near>,
    leases: Mutex<HashMap<Key, Lease>>,
    generations: RwLock<HashMap<u128, Nonce>>,
    tags: quick_cache::sync::Cache<u128, Nonce>,
    names: Mutex<HashSet<String>>,
    watchers: Arc<Watchers>,
}

struct Lease {
    token: Nonce,
    stamp: Stamp,
}

impl Memory {
    pub(crate) fn new(entries: Arc<Near>) -> Self {
        Self {
            entries,
            leases: Mutex::default(),
            generations: RwLock::default(),
            tags: quick_cache::sync::Cache::new(MOST_TAGS),
            names: Mutex::default(),
            watchers: Arc::default(),
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Key, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, key: &Key, entry: Stored, life: Duration) {
        if let Stored::Typed(Typed {
            value,
            stamp,
            bytes,
        }) = entry
        {
            self.entries.keep(key, value, stamp, life, bytes);
        }
    }

    fn current(&self, groups: &[Group]) -> Stamp {
        Stamp::of(groups.iter().map(|group| self.generation(group)))
    }

    fn generation(&self, group: &Group) -> Nonce {
        let digest = group.digest();
        if group.is_tag() {
            let made = self.tags.get_or_insert_with(&digest, || Ok(Nonce::fresh()));
            return made.unwrap_or_else(|never: Infallible| match never {});
        }
        let known = self
            .generations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(generation) = known.get(&digest) {
            return *generation;
        }
        drop(known);
        let mut known = self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_GENERATIONS {
            known.clear();
        }
        *known.entry(digest).or_insert_with(Nonce::fresh)
    }
}

impl From<Kept> for Stored {
    fn from(kept: Kept) -> Self {
        Self::Typed(Typed {
            value: kept.value,
            stamp: kept.stamp,
            // It has been weighed when it was stored.
            bytes: 0,
        })
    }
}

impl Tier for Memory {
    async fn read(&self, key: &Key, groups: &[Group], _: Look) -> Result<Read, Error> {
        let kept = self.entries.find(key);
        Ok(Read {
            left: kept.as_ref().map(Kept::left),
            entry: kept.map(Stored::from),
            stamp: self.current(groups),
        })
    }

    async fn stamp(&self, groups: &[Group]) -> Result<Stamp, Error> {
        Ok(self.current(groups))
    }

    fn watch(&self, key: &Key) -> Watch {
        self.watchers.watch(key)
    }

    async fn claim(&self, claimed: &Claimed<'_>) -> Result<Claim, Error> {
        let stamp = claimed.mark.stamp();
        let mut leases = self.leases();
        // Under the lock: a claim of before an invalidation must not take what one after it has.
        if self.current(claimed.groups) != stamp {
            return Ok(Claim::Stale);
        }
        if claimed.reach == Reach::Normal
            && let Some(kept) = self.entries.find(claimed.key)
            && kept.stamp == stamp.half()
            && kept.left() > claimed.beyond
        {
            let left = kept.left();
            return Ok(Claim::Found(kept.into(), left));
        }
        match leases.get(claimed.key) {
            // Whoever computes for an older generation computes for nobody.
            Some(lease) if lease.stamp == stamp && claimed.reach != Reach::Force => {
                Ok(Claim::Held(UNTIL_RELEASED))
            }
            _ => {
                let token = claimed.token;
                let replaced = leases.insert(claimed.key.clone(), Lease { token, stamp });
                drop(leases);
                if replaced.is_some() {
                    self.watchers.notify(claimed.key.as_str());
                }
                Ok(Claim::Granted)
            }
        }
    }

    async fn renew(&self, key: &Key, token: Nonce, _: Duration) -> Result<bool, Error> {
        Ok(self
            .leases()
            .get(key)
            .is_some_and(|lease| lease.token == token))
    }

    async fn fill(
        &self,
        key: &Key,
        token: Nonce,
        entry: Stored,
        life: Duration,
    ) -> Result<bool, Error> {
        let mut leases = self.leases();
        if leases.get(key).is_none_or(|lease| lease.token != token) {
            return Ok(false);
        }
        self.insert(key, entry, life);
        leases.remove(key);
        drop(leases);
        self.watchers.notify(key.as_str());
        Ok(true)
    }

    async fn release(&self, key: &Key, token: Nonce) -> Result<(), Error> {
        let mut leases = self.leases();
        if leases.get(key).is_some_and(|lease| lease.token == token) {
            leases.remove(key);
            drop(leases);
            self.watchers.notify(key.as_str());
        }
        Ok(())
    }

    async fn remove(&self, key: &Key) -> Result<bool, Error> {
        let mut leases = self.leases();
        leases.remove(key);
        let there = self.entries.find(key).is_some();
        self.entries.remove(key.as_str());
        drop(leases);
        self.watchers.notify(key.as_str());
        Ok(there)
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        let mut known = self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for group in groups {
            match group.is_tag() {
                // Whoever asks next makes another.
                true => drop(self.tags.remove(&group.digest())),
                false => drop(known.insert(group.digest(), Nonce::fresh())),
            }
        }
        Ok(())
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<u64, Error> {
        let mut leases = self.leases();
        let mut gone: Vec<Key> = Vec::new();
        leases.retain(|key, _| {
            let matched = pattern.matches(key);
            if matched {
                gone.push(key.clone());
            }
            !matched
        });
        let removed = self.entries.remove_matching(pattern);
        drop(leases);
        for key in gone {
            self.watchers.notify(key.as_str());
        }
        Ok(removed)
    }

    async fn functions(&self) -> Result<Vec<String>, Error> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(names.iter().cloned().collect())
    }

    async fn announce(&self, name: &str) -> Result<(), Error> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tags_cost_the_functions_nothing() {
        let memory = Memory::new(Arc::new(Near::new(10, 10_000, 100)));
        let function = [Group::everything("ns"), Group::function("ns", "f")];
        let before = memory.current(&function);
        for id in 0..2 * MOST_TAGS {
            memory.generation(&Group::tag("ns", &format!("user:{id}"), Duration::ZERO));
        }
        assert!(memory.tags.len() <= MOST_TAGS);
        assert_eq!(memory.current(&function), before);
    }
}
