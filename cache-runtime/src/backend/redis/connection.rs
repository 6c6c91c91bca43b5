use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
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

/// In how many turns an answer to the question whether the server is there is waited for, and how
/// long each takes at most.
const TURNS: u32 = 4;
const LONGEST_TURN: Duration = Duration::from_millis(250);

/// How long a runtime may not come to read its connection before its calls go by another: where all
/// of this machine is busy, that would help none of them.
pub(super) const BUSY: Duration = Duration::from_millis(250);

/// How many times as long it is waited for while more waits here than is on the way: a burst of our
/// own, which takes the processors from whoever would have to answer.
const PATIENCE_IN_A_BURST: u32 = 8;

/// How long it is waited for on a machine that is too busy to tell.
pub(super) const LONGEST_DOUBT: Duration = Duration::from_secs(2);

/// How often a quiet connection is asked whether it is still there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// One multiplexed connection that stays checked out of its pool, is replaced when it breaks,
/// and hears what the server pushes. It lives on one runtime and serves callers on any.
pub(crate) struct Connection {
    pub(super) settings: Arc<RedisConfig>,
    pub(super) names: Arc<AnnouncedNames>,
    pub(super) queue: Arc<InvalidationOutbox>,
    /// Where pushes about what is read on it arrive.
    pub(super) inbox: Arc<PushHandler>,
    /// They arrive on the steady link's connection.
    pub(super) redirected: bool,
    /// Its connection may be gone: look.
    pub(super) doubt: Arc<Notify>,
    pub(super) lanes: Arc<NodeBatchers>,
    up: AtomicBool,
    /// Replies on its connection do not fit their requests.
    broken: AtomicBool,
    status: RwLock<ConnectionStatus>,
    changed: Notify,
    pub(super) alive: Arc<AtomicBool>,
    heard: Mutex<Instant>,
    /// Wakes who waits for an answer.
    heard_again: Notify,
    pub(super) chores: Arc<Chores>,
    /// The link on our own runtime, unless this is it.
    pub(super) steady: Option<Arc<Connection>>,
}

enum ConnectionStatus {
    Connecting,
    Established(Established),
    Down(Arc<str>),
}

#[derive(Clone)]
pub(super) struct Established {
    pub(super) connection: Transport,
    pub(super) tracking: bool,
    pub(super) epoch: ConnectionEpoch,
    /// What the server calls it, where others may have their pushes sent to it.
    pub(super) id: Option<i64>,
}

/// What is to be thought of a server that has not answered in time.
pub(super) enum SilenceCause {
    /// It does not answer: nothing is sent to it until it does.
    Away,
    /// It has answered what was asked since, by another connection: this one is not read.
    Busy,
    /// It has answered what was asked since.
    Slow,
}

/// A connection to send on.
pub(super) struct ConnectionHandle {
    pub(super) connection: Transport,
    /// Whether the server tells us of changes to what we read.
    pub(super) tracking: bool,
    pub(super) epoch: ConnectionEpoch,
}

impl Connection {
    pub(super) fn new(
        settings: &Arc<RedisConfig>,
        names: &Arc<AnnouncedNames>,
        queue: &Arc<InvalidationOutbox>,
        inbox: Arc<PushHandler>,
        doubt: Arc<Notify>,
        redirected: bool,
        steady: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            settings: Arc::clone(settings),
            names: Arc::clone(names),
            queue: Arc::clone(queue),
            inbox,
            redirected,
            doubt,
            lanes: Arc::new(NodeBatchers::new(settings.command_timeout)),
            up: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            status: RwLock::new(ConnectionStatus::Connecting),
            changed: Notify::new(),
            alive: Arc::new(AtomicBool::new(true)),
            heard: Mutex::new(Instant::now()),
            heard_again: Notify::new(),
            chores: Arc::default(),
            steady,
        });
        settings.health.watch(&link);
        link
    }

    /// Nobody has heard of the connection for some heartbeats: the runtime that it lives on is
    /// blocked, and what it has read may have changed. It takes calls again when it answers.
    pub(super) fn give_up_if_deaf(&self) {
        if self.is_up() && self.is_deaf() {
            self.fall("its runtime is blocked");
            self.inbox.forget_everything();
        }
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.heard().elapsed() > HEARTBEAT * 3
    }

    /// Whether its connection has answered what was asked after this moment.
    pub(super) fn was_heard_since(&self, since: Instant) -> bool {
        self.heard() > since
    }

    /// Its connection has answered what was asked at this moment.
    pub(super) fn hear(&self, asked: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        self.heard_again.notify_waiters();
    }

    fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its runtime still runs.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// The link for what must go on while the caller's runtime is busy or blocked.
    pub(crate) fn steady(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.steady.as_ref().unwrap_or(self))
    }

    /// Whether a call could be sent at this moment.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Whether the server pushes what changes.
    pub(crate) fn is_tracking(&self) -> bool {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        matches!(&*status, ConnectionStatus::Established(up) if up.tracking)
    }

    /// Runs one exchange within `limit`, connecting included.
    pub(super) async fn exchange<T, F>(
        &self,
        limit: Duration,
        exchange: impl FnOnce(ConnectionHandle) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        // Pinned here, and not moved into its deadline.
        let mut work = pin!(async {
            let line = self.line().await?;
            exchange(line).await.map_err(|error| self.error(&error))
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

    /// A call has waited for half of its patience: is it the server, or this connection's reader?
    /// The connection on our own runtime can tell.
    pub(super) fn ask_whether_it_answers(&self) {
        let steady = self.steady.as_deref().unwrap_or(self);
        steady.doubt.notify_one();
    }

    /// Its runtime does not come to read it: calls go by another until it does.
    pub(super) fn leave(&self) {
        self.fall("its runtime is busy");
        self.doubt.notify_one();
    }

    /// What was sent at this moment was not answered in time: nobody else shall wait in vain for it.
    pub(super) async fn judge(&self, sent: Instant) -> SilenceCause {
        let steady = self.steady.as_deref().unwrap_or(self);
        self.ask_whether_it_answers();
        let turn = (self.settings.command_timeout / TURNS).min(LONGEST_TURN);
        let (begun, mut turns) = (Instant::now(), 0);
        let most = match self.lanes.are_crowded() {
            true => TURNS * PATIENCE_IN_A_BURST,
            false => TURNS,
        };
        while turns < most {
            let turned = Instant::now();
            let mut heard = pin!(steady.heard_again.notified());
            heard.as_mut().enable();
            if !steady.is_up() {
                break;
            }
            if steady.was_heard_since(sent) {
                if self.steady.is_none() {
                    return SilenceCause::Slow;
                }
                return SilenceCause::Busy;
            }
            let Ok(heard) = background::timeout(turn, heard) else {
                break;
            };
            let _ = heard.await;
            // One that takes longer than it should says that it is this machine which is busy.
            let is_ours = turned.elapsed() > turn * 3 / 2 && begun.elapsed() < LONGEST_DOUBT;
            turns += u32::from(!is_ours);
        }
        self.doubt();
        self.settings.health.suspect();
        SilenceCause::Away
    }

    /// What a caller is told of it; if it may be the connection's end, that is looked into.
    pub(super) fn error(&self, error: &RedisError) -> Error {
        if error.kind() == redis::ErrorKind::UnexpectedReturnType {
            return self.mixed_up();
        }
        if error.is_unrecoverable_error() || error.is_io_error() {
            self.doubt.notify_one();
        }
        error_of(error)
    }

    /// A reply was not the one to its request: the connection is given up, with all that was read
    /// on it.
    pub(super) fn mixed_up(&self) -> Error {
        let text = "replies do not fit their requests: something in between repeats or adds some";
        if !self.broken.swap(true, Ordering::AcqRel) {
            self.fall(text);
            self.inbox.forget_everything();
        }
        self.doubt.notify_one();
        unreachable(text)
    }

    /// Whether the connection is to be given up.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    async fn line(&self) -> Result<ConnectionHandle, Error> {
        if let Some(line) = self.line_now() {
            return line;
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.line_now() {
                Some(line) => return line,
                None => changed.await,
            }
        }
    }

    /// `None` while the first attempt to connect is under way.
    pub(super) fn line_now(&self) -> Option<Result<ConnectionHandle, Error>> {
        match &*self.status.read().unwrap_or_else(PoisonError::into_inner) {
            ConnectionStatus::Established(up)
                if self.redirected && !self.inbox.watches_since(up.epoch) =>
            {
                Some(Err(self.unreachable("its pushes have nowhere to go")))
            }
            ConnectionStatus::Established(up) => Some(Ok(ConnectionHandle {
                connection: up.connection.clone(),
                tracking: up.tracking,
                epoch: up.epoch,
            })),
            ConnectionStatus::Down(reason) => Some(Err(self.unreachable(reason))),
            ConnectionStatus::Connecting => None,
        }
    }

    /// The error of who can't be sent by this link.
    fn unreachable(&self, reason: &str) -> Error {
        let error = unreachable(reason);
        match self.steady.as_ref().is_some_and(|steady| steady.is_up()) {
            true => error.elsewhere(),
            false => error,
        }
    }

    /// Takes no calls until the server has answered a ping.
    pub(super) fn doubt(&self) {
        if !self.is_down() {
            self.fall("it did not answer in time");
        }
        self.doubt.notify_one();
    }

    /// Its connection is a new one.
    pub(super) fn renewed(&self) {
        self.broken.store(false, Ordering::Release);
    }

    /// Takes calls; what began while it took none may have missed an invalidation.
    pub(super) fn restore(&self, up: Established) {
        if self.redirected {
            self.turn(ConnectionStatus::Established(up));
            return;
        }
        // What outlived the connection must not outlive the outage.
        self.inbox.found();
        if matches!(
            self.turn(ConnectionStatus::Established(up)),
            ConnectionStatus::Down(_)
        ) {
            self.inbox.gap();
        }
    }

    /// Takes no calls any more.
    pub(super) fn fall(&self, reason: &str) {
        self.turn(ConnectionStatus::Down(reason.into()));
    }

    fn turn(&self, status: ConnectionStatus) -> ConnectionStatus {
        let reason = match &status {
            ConnectionStatus::Down(reason) => Some(Arc::clone(reason)),
            ConnectionStatus::Connecting | ConnectionStatus::Established(_) => None,
        };
        let mut now = self.status.write().unwrap_or_else(PoisonError::into_inner);
        let up = matches!(status, ConnectionStatus::Established(_));
        self.up.store(up, Ordering::Release);
        let change = reason.as_deref().unwrap_or("the connection is another");
        self.lanes.set_open(up, || self.unreachable(change));
        let before = std::mem::replace(&mut *now, status);
        // Flights and observers have locks of their own: none is taken under ours.
        drop(now);
        self.changed.notify_waiters();
        let was = matches!(before, ConnectionStatus::Established(_));
        self.settings.health.turned(was, reason.as_ref());
        if self.steady.is_none() {
            // Pushes of others come to its connection.
            self.settings.health.look_again();
        }
        before
    }

    /// Where others may have their pushes sent: what the server calls its connection, and which of
    /// its connections that is.
    pub(super) fn hears(&self) -> Option<(i64, ConnectionEpoch)> {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        match &*status {
            ConnectionStatus::Established(up) if up.tracking => Some((up.id?, up.epoch)),
            _ => None,
        }
    }

    fn is_down(&self) -> bool {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*status, ConnectionStatus::Down(_))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.fall("nobody uses it any more");
        self.lanes.close();
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
