use crate::process::sync::{Mutex, RwLock};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult};
use tokio::sync::Notify;

use super::announced_names::AnnouncedNames;
use super::batcher::limits::late_by;
use super::chores::Chores;
use super::config::RedisConfig;
use super::driver_error::error_of;
use super::health::Monitored;
use super::health::unreachable;
use super::node_batchers::NodeBatchers;
use super::outbox::InvalidationOutbox;
use super::transport::Transport;
use crate::backend::redis::generations::ConnectionEpoch;
use crate::backend::redis::push_handler::PushHandler;
use crate::error::Error;
use crate::process::background;

/// Maximum number of turns in which a reply from the server is awaited, and the longest duration of
/// a turn.
const TURNS: u32 = 4;
const LONGEST_TURN: Duration = Duration::from_millis(250);

/// Time for which a runtime may fail to read its connection before its calls use another
/// connection. If the whole machine is busy, another connection would help none of the calls.
pub(super) const BUSY: Duration = Duration::from_millis(250);

/// Factor by which the number of turns grows if more commands wait here than are in flight. Such a
/// burst of this process takes processor time from the process that must reply.
const PATIENCE_IN_A_BURST: u32 = 8;

/// Time after which turns count even on a machine that is too busy to measure them.
pub(super) const LONGEST_DOUBT: Duration = Duration::from_secs(2);

/// Interval between two pings of a quiet connection.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// One multiplexed connection that stays checked out of its pool, is replaced when it breaks, and
/// receives the server's pushes. The connection lives on one runtime and serves callers on any.
pub(crate) struct Connection {
    pub(super) config: Arc<RedisConfig>,
    pub(super) names: Arc<AnnouncedNames>,
    pub(super) queue: Arc<InvalidationOutbox>,
    /// Handler of the pushes about what is read on this connection.
    pub(super) push_handler: Arc<PushHandler>,
    /// Set if the pushes of this connection arrive on the background connection.
    pub(super) redirected: bool,
    /// Wakes the supervisor to check the connection, which may be gone.
    pub(super) doubt: Arc<Notify>,
    pub(super) batchers: Arc<NodeBatchers>,
    up: AtomicBool,
    /// Set when replies on the connection do not match their requests.
    broken: AtomicBool,
    status: RwLock<ConnectionStatus>,
    changed: Notify,
    pub(super) alive: Arc<AtomicBool>,
    last_reply: Mutex<Instant>,
    /// Wakes tasks that wait for a reply.
    replied: Notify,
    pub(super) chores: Arc<Chores>,
    /// The background connection; `None` if this is the background connection.
    pub(super) background: Option<Arc<Connection>>,
}

enum ConnectionStatus {
    Connecting,
    Established(Established),
    Down(Arc<str>),
}

#[derive(Clone)]
pub(super) struct Established {
    pub(super) transport: Transport,
    pub(super) tracking: bool,
    pub(super) epoch: ConnectionEpoch,
    /// Client id on the server, if other connections may redirect their pushes to this one.
    pub(super) id: Option<i64>,
}

/// Cause of a reply that did not arrive in time.
pub(super) enum SilenceCause {
    /// The server does not reply: nothing is sent until it does.
    Away,
    /// The server has replied to a later command on the background connection: this connection is
    /// not read.
    Busy,
    /// The server has replied to a later command on this connection.
    Slow,
}

/// Handle of a connection to send on.
pub(super) struct ConnectionHandle {
    pub(super) transport: Transport,
    /// Set if the server pushes changes of what is read.
    pub(super) tracking: bool,
    pub(super) epoch: ConnectionEpoch,
}

impl Connection {
    pub(super) fn new(
        config: &Arc<RedisConfig>,
        names: &Arc<AnnouncedNames>,
        queue: &Arc<InvalidationOutbox>,
        push_handler: Arc<PushHandler>,
        doubt: Arc<Notify>,
        redirected: bool,
        background: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let connection = Arc::new(Self {
            config: Arc::clone(config),
            names: Arc::clone(names),
            queue: Arc::clone(queue),
            push_handler,
            redirected,
            doubt,
            batchers: Arc::new(NodeBatchers::new(config.command_timeout)),
            up: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            status: RwLock::new(ConnectionStatus::Connecting),
            changed: Notify::new(),
            alive: Arc::new(AtomicBool::new(true)),
            last_reply: Mutex::new(Instant::now()),
            replied: Notify::new(),
            chores: Arc::default(),
            background,
        });
        config.health.watch(&connection);
        connection
    }

    /// Takes the connection down if there was no reply for three heartbeats: its runtime is
    /// blocked, and what was read on the connection may have changed. The connection takes calls
    /// again when the next reply arrives.
    pub(super) fn give_up_if_unread(&self) {
        if self.is_up() && self.is_unread() {
            self.fall("its runtime is blocked");
            self.push_handler.forget_everything();
        }
    }

    pub(super) fn is_unread(&self) -> bool {
        self.last_reply().elapsed() > HEARTBEAT * 3
    }

    /// Returns `true` if the server has replied to a command that was sent after `since`.
    pub(super) fn has_replied_since(&self, since: Instant) -> bool {
        self.last_reply() > since
    }

    /// Records a reply to a command that was sent at `asked`.
    pub(super) fn record_reply(&self, asked: Instant) {
        *self.last_reply.lock() = asked;
        self.replied.notify_waiters();
    }

    fn last_reply(&self) -> Instant {
        *self.last_reply.lock()
    }

    /// Returns `true` while the runtime of the connection is running.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Returns the background connection, for work that must go on while the caller's runtime is
    /// busy or blocked.
    pub(crate) fn background(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.background.as_ref().unwrap_or(self))
    }

    /// Returns `true` if a call can be sent now.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Returns `true` if the server pushes changes.
    pub(crate) fn is_tracking(&self) -> bool {
        let status = self.status.read();
        matches!(&*status, ConnectionStatus::Established(up) if up.tracking)
    }

    /// Runs one exchange within `limit`, which includes the wait for a connection.
    pub(super) async fn exchange<T, F>(
        &self,
        limit: Duration,
        exchange: impl FnOnce(ConnectionHandle) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        // Pinned here, so that it is not moved into its timeout.
        let mut work = pin!(async {
            let handle = self.handle().await?;
            exchange(handle).await.map_err(|error| self.error(&error))
        });
        let begun = Instant::now();
        let half = limit / 2;
        if let Ok(outcome) = background::timeout(half, work.as_mut())?.await {
            return outcome;
        }
        self.ask_whether_it_answers();
        if let Ok(outcome) = background::timeout(limit - half, work.as_mut())?.await {
            return outcome;
        }
        match self.judge(begun).await {
            SilenceCause::Away | SilenceCause::Slow => Err(late_by(limit)),
            SilenceCause::Busy => {
                let left = BUSY.saturating_sub(begun.elapsed());
                if let Ok(outcome) = background::timeout(left, work)?.await {
                    return outcome;
                }
                self.leave();
                Err(late_by(limit).elsewhere())
            }
        }
    }

    /// Pings the server on the background connection, to find out if the server or the reader of
    /// this connection is slow. Called when a call has waited for half of its limit.
    pub(super) fn ask_whether_it_answers(&self) {
        let background = self.background.as_deref().unwrap_or(self);
        background.doubt.notify_one();
    }

    /// Takes the connection down because its runtime does not read it; calls use another connection
    /// until it does.
    pub(super) fn leave(&self) {
        self.fall("its runtime is busy");
        self.doubt.notify_one();
    }

    /// Determines why a command sent at `sent` got no reply in time. A server that does not reply
    /// is taken out of use, so that no other call waits for it in vain.
    pub(super) async fn judge(&self, sent: Instant) -> SilenceCause {
        let background = self.background.as_deref().unwrap_or(self);
        self.ask_whether_it_answers();
        let turn = (self.config.command_timeout / TURNS).min(LONGEST_TURN);
        let (begun, mut turns) = (Instant::now(), 0);
        let most = match self.batchers.are_crowded() {
            true => TURNS * PATIENCE_IN_A_BURST,
            false => TURNS,
        };
        while turns < most {
            let turned = Instant::now();
            let mut last_reply = pin!(background.replied.notified());
            last_reply.as_mut().enable();
            if !background.is_up() {
                break;
            }
            if background.has_replied_since(sent) {
                if self.background.is_none() {
                    return SilenceCause::Slow;
                }
                return SilenceCause::Busy;
            }
            let Ok(last_reply) = background::timeout(turn, last_reply) else {
                break;
            };
            let _ = last_reply.await;
            // A turn that takes much longer than planned shows that this machine is busy: do not
            // count it.
            let is_ours = turned.elapsed() > turn * 3 / 2 && begun.elapsed() < LONGEST_DOUBT;
            turns += u32::from(!is_ours);
        }
        self.doubt();
        self.config.health.suspect();
        SilenceCause::Away
    }

    /// Converts a driver error into the caller's error. If the error may mean the end of the
    /// connection, the connection is checked.
    pub(super) fn error(&self, error: &RedisError) -> Error {
        if error.kind() == redis::ErrorKind::UnexpectedReturnType {
            return self.mixed_up();
        }
        if error.is_unrecoverable_error() || error.is_io_error() {
            self.doubt.notify_one();
        }
        error_of(error)
    }

    /// Gives up the connection, with all that was read on it, because a reply did not match its
    /// request.
    pub(super) fn mixed_up(&self) -> Error {
        let text = "replies do not fit their requests: something in between repeats or adds some";
        if !self.broken.swap(true, Ordering::AcqRel) {
            self.fall(text);
            self.push_handler.forget_everything();
        }
        self.doubt.notify_one();
        unreachable(text)
    }

    /// Returns `true` if the connection must be given up.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    async fn handle(&self) -> Result<ConnectionHandle, Error> {
        if let Some(handle) = self.handle_now() {
            return handle;
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.handle_now() {
                Some(handle) => return handle,
                None => changed.await,
            }
        }
    }

    /// Returns the handle to send on, or `None` while the first attempt to connect is under way.
    pub(super) fn handle_now(&self) -> Option<Result<ConnectionHandle, Error>> {
        match &*self.status.read() {
            ConnectionStatus::Established(up)
                if self.redirected && !self.push_handler.watches_since(up.epoch) =>
            {
                Some(Err(self.unreachable("its pushes have nowhere to go")))
            }
            ConnectionStatus::Established(up) => Some(Ok(ConnectionHandle {
                transport: up.transport.clone(),
                tracking: up.tracking,
                epoch: up.epoch,
            })),
            ConnectionStatus::Down(reason) => Some(Err(self.unreachable(reason))),
            ConnectionStatus::Connecting => None,
        }
    }

    /// Returns the error of a call that cannot be sent on this connection.
    fn unreachable(&self, reason: &str) -> Error {
        let error = unreachable(reason);
        match self
            .background
            .as_ref()
            .is_some_and(|background| background.is_up())
        {
            true => error.elsewhere(),
            false => error,
        }
    }

    /// Stops taking calls until the server has replied to a ping.
    pub(super) fn doubt(&self) {
        if !self.is_down() {
            self.fall("it did not answer in time");
        }
        self.doubt.notify_one();
    }

    /// Clears the broken state, because the connection has been replaced.
    pub(super) fn renewed(&self) {
        self.broken.store(false, Ordering::Release);
    }

    /// Takes calls again. Computations that began while the connection was down may have missed an
    /// invalidation, so calls no longer join them.
    pub(super) fn restore(&self, up: Established) {
        if self.redirected {
            self.turn(ConnectionStatus::Established(up));
            return;
        }
        // Copies that were kept while the connection was lost must not outlive the outage.
        self.push_handler.reconnected();
        if matches!(
            self.turn(ConnectionStatus::Established(up)),
            ConnectionStatus::Down(_)
        ) {
            self.push_handler.gap();
        }
    }

    /// Stops taking calls.
    pub(super) fn fall(&self, reason: &str) {
        self.turn(ConnectionStatus::Down(reason.into()));
    }

    fn turn(&self, status: ConnectionStatus) -> ConnectionStatus {
        let reason = match &status {
            ConnectionStatus::Down(reason) => Some(Arc::clone(reason)),
            ConnectionStatus::Connecting | ConnectionStatus::Established(_) => None,
        };
        let mut now = self.status.write();
        let up = matches!(status, ConnectionStatus::Established(_));
        self.up.store(up, Ordering::Release);
        let change = reason.as_deref().unwrap_or("the connection is another");
        self.batchers.set_open(up, || self.unreachable(change));
        let before = std::mem::replace(&mut *now, status);
        // Flights and observers have locks of their own: release this lock before using them.
        drop(now);
        self.changed.notify_waiters();
        let was = matches!(before, ConnectionStatus::Established(_));
        self.config.health.turned(was, reason.as_ref());
        if self.background.is_none() {
            // Pushes for other connections arrive on this one.
            self.config.health.look_again();
        }
        before
    }

    /// Returns the target for pushes of other connections: the client id of the connection on the
    /// server, and its epoch.
    pub(super) fn on_push(&self) -> Option<(i64, ConnectionEpoch)> {
        let status = self.status.read();
        match &*status {
            ConnectionStatus::Established(up) if up.tracking => Some((up.id?, up.epoch)),
            _ => None,
        }
    }

    fn is_down(&self) -> bool {
        let status = self.status.read();
        matches!(*status, ConnectionStatus::Down(_))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.fall("the cache was dropped");
        self.batchers.close();
        self.doubt.notify_one();
        self.chores.wake();
    }
}

impl Monitored for Connection {
    fn is_in_use(&self) -> bool {
        self.is_up()
    }

    fn suspend(&self) {
        self.doubt();
    }

    fn check_now(&self) {
        self.doubt.notify_one();
    }

    fn abandon(&self) {
        self.fall("the sentinels name another server");
        self.doubt.notify_one();
    }
}
