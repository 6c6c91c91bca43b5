use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use coarsetime::Instant;
#[cfg(feature = "cluster")]
use futures_util::future::try_join_all;
use redis::{Cmd, RedisResult, Value};
use tokio::task::unconstrained;

use super::batcher::command_batcher::Submission;
use super::batcher::limits::refused;
use super::batcher::request::{BatchReply, BatchRequest};
use super::connection::Connection;
use super::connection::ConnectionHandle;
use super::health::unreachable;
use super::raw_entry::{RawEntry, ask, seen};
use super::scripts::LuaScript;
use crate::backend::lookup::ReadMode;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::telemetry::event::Event;

/// Maximum number of exchanges of a call before it computes.
const EXCHANGES: u64 = 4;

/// Session of one call with the server: a connection, and the time that the call may still wait.
pub(crate) struct RedisSession {
    home: Arc<Connection>,
    /// Set when the session has moved from a connection that was not read in time to the background
    /// connection.
    moved: AtomicBool,
    /// Remaining time budget, in milliseconds.
    left: AtomicU64,
    /// Set if the session's commands go ahead of the outbox.
    ahead: bool,
}

impl RedisSession {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        let session = Self {
            home: connection,
            moved: AtomicBool::new(false),
            left: AtomicU64::new(0),
            ahead: false,
        };
        session.refill();
        session
    }

    /// Creates a session whose commands go ahead of the outbox, for invalidations.
    pub(super) fn ahead(connection: Arc<Connection>) -> Self {
        let ahead = true;
        Self {
            ahead,
            ..Self::new(connection)
        }
    }

    /// Returns a session on the background connection, for work that continues while the caller's
    /// runtime is busy or blocked.
    pub(crate) fn background(&self) -> Self {
        Self {
            ahead: self.ahead,
            ..Self::new(self.home.background())
        }
    }

    /// Converts the session into one whose commands go ahead of the outbox.
    pub(crate) fn into_ahead(mut self) -> Self {
        self.ahead = true;
        self
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        match &self.home.background {
            Some(background) if self.moved.load(Ordering::Relaxed) => background,
            _ => &self.home,
        }
    }

    /// Returns `true` if Redis pushes changes of the keys that this session reads.
    pub(crate) fn is_tracking(&self) -> bool {
        self.connection().is_tracking()
    }

    /// Moves the session to the background connection if `error` says that the command would
    /// succeed there. Returns `true` for the first move.
    pub(crate) fn moves(&self, error: &Error) -> bool {
        let moves = error.is_elsewhere() && self.home.background.is_some();
        if moves && !self.moved.swap(true, Ordering::Relaxed) {
            self.refill();
            return true;
        }
        false
    }

    /// Restores the whole time budget, because the call did other work between two exchanges.
    pub(crate) fn refill(&self) {
        self.left.store(self.whole(), Ordering::Relaxed);
    }

    /// Runs one exchange within the call's remaining time budget.
    pub(super) async fn exchange<T, F>(
        &self,
        exchange: impl FnOnce(ConnectionHandle) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let left = self.check()?;
        let begun = Instant::now();
        let limit = Duration::from_millis(left);
        let outcome = self.connection().exchange(limit, exchange).await;
        let spent = Duration::from(begun.elapsed());
        // A reply after the deadline means that the caller's own thread was late.
        let is_ours = outcome.is_ok() && spent > limit;
        self.spend(if is_ours { self.share() } else { spent }, left);
        outcome
    }

    /// Returns the call's remaining time budget in milliseconds.
    ///
    /// # Errors
    ///
    /// Returns an error if invalidations wait in the outbox and the session does not go ahead of
    /// them, or if the budget is used up.
    fn check(&self) -> Result<u64, Error> {
        if !self.ahead {
            self.home.queue.check()?;
        }
        match self.left.load(Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Timeout, "redis is too slow")),
            left => Ok(left),
        }
    }

    fn spend(&self, spent: Duration, left: u64) {
        let spent = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        self.left.store(left - spent.min(left), Ordering::Relaxed);
    }

    /// Reads the entry of `key` and, if requested, its remaining life.
    pub(super) async fn entry(&self, key: &Key, look: ReadMode) -> Result<RawEntry, Error> {
        match self.ask(BatchRequest::Lookup(key.clone(), look), 0).await? {
            BatchReply::Entry(seen) => Ok(seen),
            BatchReply::Values(_) => Err(self.connection().mixed_up()),
        }
    }

    /// Sends commands with `bytes` bytes of arguments and returns their replies. The commands of
    /// each part are about keys of one cluster slot. Urgent commands are sent before others.
    pub(super) async fn commands(
        &self,
        parts: Vec<Vec<Cmd>>,
        bytes: usize,
        urgent: bool,
    ) -> Result<Vec<Value>, Error> {
        #[cfg(feature = "cluster")]
        if parts.len() > 1 && self.connection().batchers.is_parted() {
            let asked = parts
                .into_iter()
                .map(|part| Box::pin(self.commands(vec![part], bytes, urgent)));
            let replies = try_join_all(asked).await?;
            return Ok(replies.into_iter().flatten().collect());
        }
        match self
            .ask(BatchRequest::commands(parts, urgent), bytes)
            .await?
        {
            BatchReply::Values(values) => Ok(values),
            BatchReply::Entry(_) => Err(self.connection().mixed_up()),
        }
    }

    /// Sends a request, together with concurrent requests of other calls if there are any.
    async fn ask(&self, request: BatchRequest, bytes: usize) -> Result<BatchReply, Error> {
        let left = self.check()?;
        match self.connection().batchers.begin(request, bytes) {
            Submission::Together(reply) => {
                // Excluded from tokio's cooperative budget: of 100,000 calls that one task awaits,
                // the budget would let some hundred continue at a time and poll all others again.
                let outcome = unconstrained(reply).await;
                let outcome = outcome.map_err(|_| unreachable("its runtime has ended"))?;
                // A delay of the caller's own thread does not count as the server's time.
                self.spend(outcome.spent.min(self.share()), left);
                outcome.reply
            }
            Submission::SoleRequest(alone, request) => {
                let reply = Box::pin(self.ask_alone(request)).await;
                drop(alone);
                reply
            }
            Submission::Refused { first } => {
                if first {
                    self.connection()
                        .config
                        .health
                        .observer()
                        .notify(&Event::Overloaded);
                }
                Err(refused())
            }
        }
    }

    async fn ask_alone(&self, request: BatchRequest) -> Result<BatchReply, Error> {
        let most = self.connection().config.largest_entry();
        self.exchange(|mut handle| async move {
            match request {
                BatchRequest::Lookup(key, look) => {
                    let parts = vec![ask(&key, look, most).collect()];
                    let replies = handle.transport.send_all(parts).await?;
                    seen(&mut replies.into_iter().map(Ok), &key, look, most).map(BatchReply::Entry)
                }
                BatchRequest::Commands { parts, .. } => handle
                    .transport
                    .send_all(parts)
                    .await
                    .map(BatchReply::Values),
            }
        })
        .await
    }

    /// Calls a script with `bytes` bytes of arguments. Loads the script first if the server does
    /// not know it.
    pub(super) async fn script(
        &self,
        script: &LuaScript,
        bytes: usize,
        call: impl Fn() -> Cmd,
    ) -> Result<Value, Error> {
        let replies = self.commands(vec![vec![call()]], bytes, true).await?;
        let reply = replies.into_iter().next().unwrap_or(Value::Nil);
        match reply.extract_error() {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.exchange(|mut handle| async move {
                    script.load().exec_async(&mut handle.transport).await?;
                    call().query_async(&mut handle.transport).await
                })
                .await
            }
            reply => reply.map_err(|error| self.connection().error(&error)),
        }
    }

    /// Returns the maximum part of the budget that one late reply may use.
    fn share(&self) -> Duration {
        Duration::from_millis(self.whole() / EXCHANGES)
    }

    /// Returns the maximum wait for a fill: 1.25 × `command_timeout`, so that an error of Redis
    /// arrives first.
    pub(crate) fn patience(&self) -> Duration {
        let limit = self.home.config.command_timeout;
        limit.saturating_add(limit / 4)
    }

    /// Returns the whole time budget in milliseconds.
    fn whole(&self) -> u64 {
        let limit = self.home.config.command_timeout.as_millis();
        u64::try_from(limit).unwrap_or(u64::MAX)
    }
}

impl Clone for RedisSession {
    fn clone(&self) -> Self {
        Self {
            ahead: self.ahead,
            moved: AtomicBool::new(self.moved.load(Ordering::Relaxed)),
            ..Self::new(Arc::clone(&self.home))
        }
    }
}
