use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coarsetime::Instant;
use redis::RedisResult;

use super::Link;
use super::health::unreachable;
use super::link::Line;
use super::reads::Sending;
use super::seen::{Seen, ask, seen};
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::store::Look;

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

    /// The same, sent though invalidations wait.
    pub(crate) fn into_ahead(mut self) -> Self {
        self.ahead = true;
        self
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The whole patience again: between two exchanges the call was busy with something else.
    pub(crate) fn refill(&self) {
        self.left.store(self.whole(), Ordering::Relaxed);
    }

    /// Runs one exchange within what is left of the call's patience.
    pub(super) async fn exchange<T, F>(&self, exchange: impl FnOnce(Line) -> F) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let left = self.check()?;
        let begun = Instant::now();
        let limit = Duration::from_millis(left);
        let outcome = self.link.exchange(limit, exchange).await;
        self.spend(begun, left);
        outcome
    }

    /// What is left of the call's patience, if it may ask.
    fn check(&self) -> Result<u64, Error> {
        if !self.ahead {
            self.link.queue.check()?;
        }
        match self.left.load(Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Timeout, "redis is too slow")),
            left => Ok(left),
        }
    }

    fn spend(&self, begun: Instant, left: u64) {
        let spent = begun.elapsed().as_millis();
        self.left.store(left - spent.min(left), Ordering::Relaxed);
    }

    /// The entry of `key` and its life, together with what others read at this moment.
    pub(super) async fn entry(&self, key: &Key, look: Look) -> Result<Seen, Error> {
        let left = self.check()?;
        let begun = Instant::now();
        let sending = match left == self.whole() {
            true => self.link.reads.begin(key, look, begun),
            false => None,
        };
        let alone = match sending {
            Some(Sending::Together(reply)) => {
                let outcome = reply.await;
                self.spend(begun, left);
                return outcome.unwrap_or_else(|_| Err(unreachable("its runtime has ended")));
            }
            Some(Sending::Alone(alone)) => Some(alone),
            None => None,
        };
        let outcome = Box::pin(self.entry_alone(key, look)).await;
        drop(alone);
        outcome
    }

    async fn entry_alone(&self, key: &Key, look: Look) -> Result<Seen, Error> {
        let most = self.settings.largest_entry();
        self.exchange(|mut line| async move {
            let replies = line
                .connection
                .send_all(vec![ask(key, look, most).collect()]);
            seen(&mut replies.await?.into_iter(), key, look, most)
        })
        .await
    }

    /// Milliseconds.
    fn whole(&self) -> u64 {
        let limit = self.link.settings.command_timeout.as_millis();
        u64::try_from(limit).unwrap_or(u64::MAX)
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
