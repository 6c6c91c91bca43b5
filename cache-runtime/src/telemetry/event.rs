use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Error;

/// A change of state that no caller can see: sent once for each change, not once
/// for each call. By [`Builder::observer`](crate::Builder::observer), and to `tracing`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Redis can't be reached or does not answer in time: calls go through without it.
    Disconnected(Error),
    /// Redis answers: calls are served from it.
    Reconnected,
    /// More commands wait in this process for Redis than can be kept (262,144, or 64 MiB): further
    /// calls compute and are not stored, until half of them are sent. Redis is there.
    Overloaded,
    /// Nothing is kept in this process from now on, because the server tells of no changes (no
    /// RESP3, or a proxy between).
    NearCacheDisabled,
    /// Copies are kept in this process again.
    NearCacheEnabled,
    /// Invalidations wait for Redis, and nothing is read from it until they are sent.
    InvalidationsQueued,
    /// No invalidation waits any more.
    InvalidationsDelivered,
    /// Redis will never take an invalidation that has waited for it.
    InvalidationDropped(Error),
    /// This process was forked off one that had built the cache, and has none of its threads: calls
    /// are computed. Build caches after forking.
    Forked,
    /// An override that the fleet keeps in Redis can't be read and is passed over: its field, or
    /// all of them beyond a bound.
    OverrideIgnored(String),
    /// A function has a `secret` argument and the cache has no secret: its entries can be found by
    /// this process alone. See [`Builder::secret`](crate::Builder::secret).
    SecretNotShared,
    /// Something is wrong with a function, not with Redis: its calls are computed, and not
    /// stored.
    FunctionDegraded {
        /// Its name.
        function: String,
        /// The failure.
        error: Error,
    },
    /// A call of such a function was stored again.
    FunctionRecovered {
        /// Its name.
        function: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(error) => write!(f, "redis is away, calls go through: {error}"),
            Self::Reconnected => f.write_str("redis is there"),
            Self::Overloaded => f.write_str(
                "more calls at once than redis takes: further ones are computed and not stored",
            ),
            Self::NearCacheDisabled => f.write_str(
                "the near cache is disabled: the server pushes no changes (no RESP3, or a proxy between); functions with a `near_ttl` still use it",
            ),
            Self::NearCacheEnabled => f.write_str("the near tier is on"),
            Self::InvalidationsQueued => f.write_str("invalidations wait for redis"),
            Self::InvalidationsDelivered => f.write_str("all queued invalidations were sent to redis"),
            Self::InvalidationDropped(error) => write!(f, "an invalidation is lost: {error}"),
            Self::Forked => f.write_str(
                "this process was forked off after the cache was built: calls are computed; build caches after forking",
            ),
            Self::OverrideIgnored(what) => write!(
                f,
                "an override of the fleet can't be read and is passed over: {what}"
            ),
            Self::SecretNotShared => f.write_str(
                "entries of functions with a `secret` argument are not shared with other processes: give all of them one secret, by `Builder::secret` or RECACHED_SECRET",
            ),
            Self::FunctionDegraded { function, error } => {
                write!(f, "calls of `{function}` are computed and not stored: {error}")
            }
            Self::FunctionRecovered { function } => write!(f, "calls of `{function}` are stored again"),
        }
    }
}

/// The callback for [`Event`]s.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Observe>);

type Observe = Arc<dyn Fn(&Event) + Send + Sync>;

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(crate) fn notify(&self, event: &Event) {
        match event {
            Event::InvalidationDropped(_) => tracing::error!("{event}"),
            Event::Disconnected(_)
            | Event::Overloaded
            | Event::NearCacheDisabled
            | Event::InvalidationsQueued
            | Event::Forked
            | Event::OverrideIgnored(_)
            | Event::SecretNotShared
            | Event::FunctionDegraded { .. } => tracing::warn!("{event}"),
            Event::Reconnected
            | Event::NearCacheEnabled
            | Event::InvalidationsDelivered
            | Event::FunctionRecovered { .. } => {
                tracing::info!("{event}");
            }
        }
        if let Some(observe) = &self.0 {
            // It may run in the reader of a connection, which has others to serve.
            let observed = catch_unwind(AssertUnwindSafe(|| observe(event)));
            if observed.is_err() {
                tracing::error!("the cache's observer has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observer_that_panics_harms_nobody() {
        Observer::new(|_| panic!("on purpose")).notify(&Event::Reconnected);
        Observer::default().notify(&Event::Reconnected);
    }
}
