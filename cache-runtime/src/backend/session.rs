use std::sync::Arc;
use std::time::Duration;

use crate::backend::claim::{ClaimReply, ClaimRequest, ExistingEntry};
use crate::backend::contract::{Backend, KnownNames};
use crate::backend::lease_watch::LeaseWatch;
use crate::backend::local_values::LocalSession;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::memory::MemoryBackend;
use crate::backend::redis::probe::ServerFacts;
use crate::backend::redis::session::RedisSession;
use crate::backend::stored_entry::StoredEntry;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::process::unique_id::UniqueId;

/// Session of one call with its backend.
#[derive(Clone)]
pub(crate) enum BackendSession {
    Memory(Arc<MemoryBackend>),
    Local(LocalSession),
    Redis(RedisSession),
}

impl BackendSession {
    /// Returns `true` if the backend holds unencoded values in this process.
    pub(crate) fn is_typed(&self) -> bool {
        !matches!(self, Self::Redis(_))
    }

    /// Returns a session whose commands go ahead of the outbox, for invalidations: an invalidation
    /// uses no value that it reads, and must not wait behind other invalidations.
    pub(crate) fn ahead(self) -> Self {
        match self {
            Self::Memory(memory) => Self::Memory(memory),
            Self::Local(here) => Self::Local(LocalSession {
                redis: here.redis.into_ahead(),
                ..here
            }),
            Self::Redis(redis) => Self::Redis(redis.into_ahead()),
        }
    }

    /// Returns `true` if changes of leases are pushed, so that waiters need not poll.
    pub(crate) fn pushes(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Local(here) => here.redis.is_tracking(),
            Self::Redis(redis) => redis.is_tracking(),
        }
    }

    /// Returns `true` if unencoded values may be served without reading the generations, because
    /// this process is notified of each change of a generation.
    pub(crate) fn is_coherent(&self) -> bool {
        match self {
            Self::Memory(_) | Self::Redis(_) => true,
            Self::Local(here) => here.redis.is_tracking(),
        }
    }

    /// Returns a session for work that continues while the caller's runtime is busy or blocked.
    pub(crate) fn background(&self) -> Self {
        match self {
            Self::Memory(memory) => Self::Memory(Arc::clone(memory)),
            Self::Local(here) => Self::Local(LocalSession {
                memory: Arc::clone(&here.memory),
                redis: here.redis.background(),
            }),
            Self::Redis(redis) => Self::Redis(redis.background()),
        }
    }

    /// Returns the longest wait for a fill, or `None` if a fill is immediate.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Memory(_) | Self::Local(_) => None,
            Self::Redis(redis) => Some(redis.patience()),
        }
    }

    /// Returns `true` if `error` moves this call to another connection: the server replies, but the
    /// current connection is not read in time.
    pub(crate) fn moves(&self, error: &Error) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Local(here) => here.redis.moves(error),
            Self::Redis(redis) => redis.moves(error),
        }
    }
}

macro_rules! forward {
    ($($(#[$meta:meta])* async fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $out:ty;)+) => {$(
        async fn $name(&self $(, $arg: $ty)*) -> $out {
            match self {
                Self::Memory(tier) => tier.$name($($arg),*).await,
                Self::Local(tier) => tier.$name($($arg),*).await,
                Self::Redis(tier) => tier.$name($($arg),*).await,
            }
        }
    )+};
}

impl Backend for BackendSession {
    fn refill(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Local(here) => here.redis.refill(),
            Self::Redis(redis) => redis.refill(),
        }
    }

    fn watch(&self, key: &Key) -> LeaseWatch {
        match self {
            Self::Memory(tier) => tier.watch(key),
            Self::Local(tier) => tier.watch(key),
            Self::Redis(tier) => tier.watch(key),
        }
    }

    forward! {
        async fn read(&self, key: &Key, groups: &[Group], look: ReadMode) -> Result<Lookup, Error>;
        async fn stamp(&self, groups: &[Group]) -> Result<GenerationStamp, Error>;
        async fn claim(&self, claimed: &ClaimRequest<'_>) -> Result<ClaimReply, Error>;
        async fn renew(&self, key: &Key, token: UniqueId, life: Duration) -> Result<bool, Error>;
        async fn fill(&self, key: &Key, token: UniqueId, entry: StoredEntry, life: Duration, existing: ExistingEntry) -> Result<bool, Error>;
        async fn pause(&self, key: &Key, token: UniqueId, pause: Duration) -> Result<(), Error>;
        async fn release(&self, key: &Key, token: UniqueId) -> Result<(), Error>;
        async fn remove(&self, key: &Key) -> Result<u64, Error>;
        async fn change(&self, groups: &[Group]) -> Result<(), Error>;
        async fn remove_matching(&self, pattern: &KeyPattern) -> Result<RemovedEntries, Error>;
        async fn functions(&self) -> Result<KnownNames, Error>;
        async fn announce(&self, name: &str, variant: &str) -> Result<(), Error>;
    }
}

impl BackendSession {
    /// Returns facts about the server, or `None` if the backend has no server.
    pub(crate) async fn facts(&self) -> Result<Option<ServerFacts>, Error> {
        match self {
            Self::Memory(_) | Self::Local(_) => Ok(None),
            Self::Redis(redis) => redis.facts().await.map(Some),
        }
    }

    /// Reads the fleet's overrides and activates them in this process.
    pub(crate) async fn apply_overrides(&self) -> Result<(), Error> {
        match self {
            Self::Memory(_) | Self::Local(_) => Ok(()),
            Self::Redis(redis) => redis.apply_overrides().await,
        }
    }

    /// Changes the fleet's overrides and activates them in this process. Returns `false` if there
    /// is no fleet.
    pub(crate) async fn change_overrides(
        &self,
        fields: &[(String, Option<String>)],
    ) -> Result<bool, Error> {
        match self {
            Self::Memory(_) | Self::Local(_) => Ok(false),
            Self::Redis(redis) => redis.change_overrides(fields).await.map(|()| true),
        }
    }
}
