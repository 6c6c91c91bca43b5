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

/// Exchanges of a call at most, before it computes.
const EXCHANGES: u64 = 4;

/// One call's way to the server: a link, and how long the call may still wait for it.
pub(crate) struct RedisSession {
    home: Arc<Connection>,
    /// It has left a link that was not read in time for the one on our own runtime.
    moved: AtomicBool,
    /// Milliseconds.
    left: AtomicU64,
    /// `true` if it goes ahead of invalidations that wait.
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

    /// For invalidations, which are sent before anything else.
    pub(super) fn ahead(connection: Arc<Connection>) -> Self {
        let ahead = true;
        Self {
            ahead,
            ..Self::new(connection)
        }
    }

    /// On our own runtime, for what must go on while the caller's is busy or blocked.
    pub(crate) fn background(&self) -> Self {
        Self {
            ahead: self.ahead,
            ..Self::new(self.home.background())
        }
    }

    /// The same, sent though invalidations wait.
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

    /// Returns `true` if Redis pushes changes of what this session reads.
    pub(crate) fn is_tracking(&self) -> bool {
        self.connection().is_tracking()
    }

    /// Goes by the link on our own runtime from now on, if this error says that it would succeed
    /// there; whether it does so now for the first time.
    pub(crate) fn moves(&self, error: &Error) -> bool {
        let moves = error.is_elsewhere() && self.home.background.is_some();
        if moves && !self.moved.swap(true, Ordering::Relaxed) {
            self.refill();
            return true;
        }
        false
    }

    /// The whole patience again: between two exchanges the call was busy with something else.
    pub(crate) fn refill(&self) {
        self.left.store(self.whole(), Ordering::Relaxed);
    }

    /// Runs one exchange within what is left of the call's patience.
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
        // Later than its deadline, it is our thread that has not come to the reply.
        let is_ours = outcome.is_ok() && spent > limit;
        self.spend(if is_ours { self.share() } else { spent }, left);
        outcome
    }

    /// Returns what is left of the call's budget in milliseconds, if it may send.
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

    /// The entry of `key` and its life.
    pub(super) async fn entry(&self, key: &Key, look: ReadMode) -> Result<RawEntry, Error> {
        match self.ask(BatchRequest::Lookup(key.clone(), look), 0).await? {
            BatchReply::Entry(seen) => Ok(seen),
            BatchReply::Values(_) => Err(self.connection().mixed_up()),
        }
    }

    /// The replies to commands, those of each part about keys of one slot, and of so many
    /// bytes; urgent ones go before others.
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

    /// Asks together with what others ask at this moment.
    async fn ask(&self, request: BatchRequest, bytes: usize) -> Result<BatchReply, Error> {
        let left = self.check()?;
        match self.connection().batchers.begin(request, bytes) {
            Submission::Together(reply) => {
                // Outside of the task's budget: of a hundred thousand calls that one task waits
                // for, it would let some hundred go on at a time, and have all others polled again.
                let outcome = unconstrained(reply).await;
                let outcome = outcome.map_err(|_| unreachable("its runtime has ended"))?;
                // As long as its thread may have taken to come to the reply is not the server's
                // time.
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

    /// Calls a script with so many bytes of arguments, and loads it if the server does not know it.
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

    /// Largest share of the budget that one late reply costs.
    fn share(&self) -> Duration {
        Duration::from_millis(self.whole() / EXCHANGES)
    }

    /// Longest wait for a fill, a little above `command_timeout`, so that the error of Redis
    /// arrives first.
    pub(crate) fn patience(&self) -> Duration {
        let limit = self.home.config.command_timeout;
        limit.saturating_add(limit / 4)
    }

    /// Milliseconds.
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
