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
    /// Returns the session of one call from its beginning to its end.
    pub(crate) fn session(&self, caller: Caller) -> BackendSession {
        match self {
            Self::Memory(memory) => BackendSession::Memory(Arc::clone(memory)),
            Self::Redis(redis) => {
                BackendSession::Redis(RedisSession::new(redis.connection(caller)))
            }
        }
    }

    /// As [`session`](Self::session), for values of `local` functions, which are kept in `memory`.
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

    /// Returns `true` if any call could reach it at this moment.
    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.is_up(),
        }
    }

    /// Puts invalidations that `error` has kept from the server into the outbox.
    ///
    /// # Errors
    ///
    /// Returns `error` if the server will never take them.
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

    /// Drops from all connections of this process what it has invalidated itself.
    pub(crate) fn forget(&self, change: &Invalidation) {
        if let Self::Redis(redis) = self {
            redis.forget(change);
        }
    }
}
