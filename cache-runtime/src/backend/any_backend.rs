use std::sync::Arc;

use crate::backend::contract::Caller;
use crate::backend::local_values::LocalSession;
use crate::backend::memory::MemoryBackend;
use crate::backend::redis::redis_backend::RedisBackend;
use crate::backend::redis::session::RedisSession;
use crate::backend::session::BackendSession;
use crate::error::Error;
use crate::invalidation::request::Invalidation;

/// The backend of one cache.
pub(crate) enum AnyBackend {
    Memory(Arc<MemoryBackend>),
    Redis(RedisBackend),
}

impl AnyBackend {
    /// Returns the session that one call uses from its beginning to its end.
    pub(crate) fn session(&self, caller: Caller) -> BackendSession {
        match self {
            Self::Memory(memory) => BackendSession::Memory(Arc::clone(memory)),
            Self::Redis(redis) => {
                BackendSession::Redis(RedisSession::new(redis.connection(caller)))
            }
        }
    }

    /// Like [`session`](Self::session), for `local` functions, whose values are kept in `memory`.
    pub(crate) fn session_here(
        &self,
        caller: Caller,
        memory: &Arc<MemoryBackend>,
    ) -> BackendSession {
        match self.session(caller) {
            BackendSession::Redis(redis) => BackendSession::Local(LocalSession {
                memory: Arc::clone(memory),
                redis,
            }),
            session => session,
        }
    }

    /// Returns `true` if calls can reach the backend now.
    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.is_up(),
        }
    }

    /// Queues invalidations in the outbox, after `error` has prevented their delivery to Redis.
    ///
    /// # Errors
    ///
    /// Returns `error` if a later delivery would fail as well, or if the backend has no outbox.
    pub(crate) fn queue(
        &self,
        new: impl IntoIterator<Item = Invalidation>,
        error: Error,
    ) -> Result<(), Error> {
        match self {
            Self::Redis(redis) if error.is_transient() => {
                redis.queue(new);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Drops from all connections of this process the state that an invalidation by this process
    /// has outdated.
    pub(crate) fn forget(&self, change: &Invalidation) {
        if let Self::Redis(redis) = self {
            redis.forget(change);
        }
    }
}
