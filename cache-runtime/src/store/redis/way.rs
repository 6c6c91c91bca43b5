use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coarsetime::Instant;
use redis::RedisResult;

use super::Link;
use super::link::Line;
use crate::error::{Error, ErrorKind};

/// One call's way to the server: a link, and how long the call may still wait for it.
pub(crate) struct Way {
    link: Arc<Link>,
    /// Milliseconds.
    left: AtomicU64,
    /// Whether it goes ahead of invalidations that wait.
    ahead: bool,
}

impl Way {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let way = Self {
            link,
            left: AtomicU64::new(0),
            ahead: false,
        };
        way.refill();
        way
    }

    /// For what must be told before anything is believed.
    pub(super) fn ahead(link: Arc<Link>) -> Self {
        let ahead = true;
        Self {
            ahead,
            ..Self::new(link)
        }
    }

    /// On our own runtime, for what must go on while the caller's is busy or blocked.
    pub(crate) fn steady(&self) -> Self {
        Self {
            ahead: self.ahead,
            ..Self::new(self.link.steady())
        }
    }

    /// The whole patience again: between two exchanges the call was busy with something else.
    pub(crate) fn refill(&self) {
        let limit = self.link.settings.command_timeout.as_millis();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        self.left.store(limit, Ordering::Relaxed);
    }

    /// Runs one exchange within what is left of the call's patience.
    pub(super) async fn exchange<T, F>(&self, exchange: impl FnOnce(Line) -> F) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if !self.ahead {
            self.link.queue.check()?;
        }
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(Error::new(ErrorKind::Timeout, "redis is too slow"));
        }
        let begun = Instant::now();
        let limit = Duration::from_millis(left);
        let outcome = self.link.exchange(limit, exchange).await;
        let spent = begun.elapsed().as_millis();
        self.left.fetch_sub(spent.min(left), Ordering::Relaxed);
        outcome
    }
}

impl Clone for Way {
    fn clone(&self) -> Self {
        Self {
            ahead: self.ahead,
            ..Self::new(Arc::clone(&self.link))
        }
    }
}

impl Deref for Way {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}
