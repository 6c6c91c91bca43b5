use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Error;

/// A change of state that no caller can see. Each change is sent once, not once for each call, to
/// the callback of [`Builder::observer`](crate::Builder::observer) and to `tracing`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Redis is unreachable or does not reply in time. Calls run without Redis.
    Disconnected(Error),
    /// Redis replies again. Calls are served from Redis.
    Reconnected,
    /// The queue of commands for Redis in this process is full (262,144 commands, or 64 MiB).
    /// Further calls compute and are not stored until half of the commands are sent. Redis is
    /// reachable.
    Overloaded,
    /// The near cache is disabled, because the server sends no notifications of changes (no RESP3,
    /// or a proxy between the process and the server).
    NearCacheDisabled,
    /// The near cache is enabled again.
    NearCacheEnabled,
    /// Invalidations wait for Redis. Nothing is read from Redis until the invalidations are sent.
    InvalidationsQueued,
    /// All waiting invalidations were sent.
    InvalidationsDelivered,
    /// An invalidation that waited for Redis is dropped, because Redis will never accept the
    /// invalidation.
    InvalidationDropped(Error),
    /// This process was forked from the process that built the cache, and has none of the parent's
    /// threads. Calls are computed without the cache. Build caches after forking.
    Forked,
    /// An override that the fleet stores in Redis cannot be read and is ignored. Names the field of
    /// the override, or reports that the overrides beyond a bound are ignored.
    OverrideIgnored(String),
    /// A function has a `secret` argument and the cache has no secret. Only this process can find
    /// the function's entries. See [`Builder::secret`](crate::Builder::secret).
    SecretNotShared,
    /// A function fails, and Redis does not. Calls of the function are computed and not stored.
    FunctionDegraded {
        /// The name of the function.
        function: String,
        /// The failure.
        error: Error,
    },
    /// A call of a degraded function was stored again.
    FunctionRecovered {
        /// The name of the function.
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
            // The callback may run in the reader task of a connection, so a panic of the callback
            // must not end the task.
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
