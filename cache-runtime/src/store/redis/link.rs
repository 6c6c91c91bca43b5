use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use deadpool_redis::Connection;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Settings, Way, names::Names, pool, queue::Queue};
use crate::background;
use crate::error::{Error, ErrorKind};
use crate::store::redis::generations::Epoch;
use crate::store::redis::inbox::Inbox;

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a quiet connection is asked whether it is still there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// One multiplexed connection that stays checked out of its pool, is replaced when it breaks,
/// and hears what the server pushes. It lives on one runtime and serves callers on any.
pub(crate) struct Link {
    pub(super) settings: Arc<Settings>,
    pub(super) names: Arc<Names>,
    pub(super) queue: Arc<Queue>,
    pub(super) inbox: Arc<Inbox>,
    status: RwLock<Status>,
    changed: Notify,
    alive: Arc<AtomicBool>,
    /// When its connection was last seen to answer.
    heard: Mutex<Instant>,
    /// The link on our own runtime, unless this is it.
    steady: Option<Arc<Link>>,
}

enum Status {
    Connecting,
    Up(Up),
    Down(Arc<str>),
}

#[derive(Clone)]
struct Up {
    connection: MultiplexedConnection,
    tracking: bool,
    epoch: Epoch,
}

/// A connection to send on.
pub(super) struct Line {
    pub(super) connection: MultiplexedConnection,
    /// Whether the server tells us of changes to what we read.
    pub(super) tracking: bool,
    pub(super) epoch: Epoch,
}

impl Link {
    /// A link whose connection lives on `runtime`.
    pub(super) fn start(
        settings: &Arc<Settings>,
        names: &Arc<Names>,
        queue: &Arc<Queue>,
        inbox: Inbox,
        runtime: &Handle,
        steady: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            settings: Arc::clone(settings),
            names: Arc::clone(names),
            queue: Arc::clone(queue),
            inbox: Arc::new(inbox),
            status: RwLock::new(Status::Connecting),
            changed: Notify::new(),
            alive: Arc::new(AtomicBool::new(true)),
            heard: Mutex::new(Instant::now()),
            steady,
        });
        let alive = Alive {
            alive: Arc::clone(&link.alive),
            inbox: Arc::clone(&link.inbox),
        };
        let keep = keep(
            Arc::downgrade(&link),
            Arc::clone(&link.inbox),
            Arc::clone(settings),
        );
        drop(runtime.spawn(async move {
            let _alive = alive;
            keep.await;
        }));
        link
    }

    /// Nobody has heard of the connection for some heartbeats: the runtime that it lives on is
    /// blocked, and what it has read may have changed. It takes calls again when it answers.
    pub(super) fn give_up_if_deaf(&self) {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_up() && heard.elapsed() > HEARTBEAT * 3 {
            self.set(Status::Down("its runtime is blocked".into()));
            self.inbox.forget_everything();
        }
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*status, Status::Up(_))
    }

    /// Whether the server pushes what changes.
    pub(crate) fn is_tracking(&self) -> bool {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        matches!(&*status, Status::Up(up) if up.tracking)
    }

    /// Runs one exchange within `limit`, connecting included.
    pub(super) async fn exchange<T, F>(
        &self,
        limit: Duration,
        exchange: impl FnOnce(Line) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let work = async {
            let line = self.line().await?;
            exchange(line).await.map_err(|error| {
                if error.is_unrecoverable_error() || error.is_io_error() {
                    self.inbox.doubt.notify_one();
                }
                pool::error_of(&error)
            })
        };
        match background::timeout(limit, work)?.await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.overdue();
                Err(Error::new(
                    ErrorKind::Timeout,
                    format!("redis did not answer within {limit:?}"),
                ))
            }
        }
    }

    async fn line(&self) -> Result<Line, Error> {
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
    fn line_now(&self) -> Option<Result<Line, Error>> {
        match &*self.status.read().unwrap_or_else(PoisonError::into_inner) {
            Status::Up(up) => Some(Ok(Line {
                connection: up.connection.clone(),
                tracking: up.tracking,
                epoch: up.epoch,
            })),
            Status::Down(reason) => Some(Err(Error::new(
                ErrorKind::Unavailable,
                format!("redis is not reachable: {reason}"),
            ))),
            Status::Connecting => None,
        }
    }

    /// Nobody else shall wait for a server that has let one caller wait in vain.
    fn overdue(&self) {
        let mut status = self.status.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*status, Status::Down(_)) {
            *status = Status::Down("it did not answer in time".into());
        }
        drop(status);
        self.inbox.doubt.notify_one();
    }

    /// Takes calls; what began while it took none may have missed an invalidation.
    fn restore(&self, up: Up) {
        let mut status = self.status.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *status, Status::Up(up));
        // Flights have locks of their own: none is taken under ours.
        drop(status);
        self.changed.notify_waiters();
        if matches!(before, Status::Down(_)) {
            self.inbox.gap();
        }
    }

    fn set(&self, status: Status) {
        *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        self.changed.notify_waiters();
    }

    /// Makes sure that the fleet knows our functions' names.
    async fn announce_all(self: &Arc<Self>) {
        let names = self.names.all();
        if !names.is_empty()
            && let Err(error) = Way::ahead(Arc::clone(self)).announce_names(&names).await
        {
            // Tried again with the next heartbeat.
            self.inbox.keep_names_changed();
            tracing::debug!("the names of the functions could not be announced: {error}");
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.doubt.notify_one();
    }
}

/// Falls when the runtime that the link lives on is shut down, or the link is dropped.
struct Alive {
    alive: Arc<AtomicBool>,
    inbox: Arc<Inbox>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Release);
        // Nobody hears its pushes any more.
        self.inbox.forget_everything();
    }
}

/// Connects, watches over the connection, and connects again; ends with its link.
async fn keep(link: Weak<Link>, inbox: Arc<Inbox>, settings: Arc<Settings>) {
    let mut pool = None;
    let mut pause = Duration::from_millis(20);
    loop {
        let attempt = connect(&mut pool, &settings, &inbox);
        let connected = match timeout(settings.connect_timeout, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("no connection within {:?}", settings.connect_timeout),
            )),
        };
        let Some(link) = link.upgrade() else { return };
        match connected {
            Ok((connection, tracking)) => {
                pause = Duration::from_millis(20);
                tracing::info!(tracking, "connected to redis");
                inbox.pushes(tracking);
                let up = Up {
                    connection: (*connection).clone(),
                    tracking,
                    epoch: inbox.generations.begin(),
                };
                link.hear();
                link.restore(up.clone());
                let steady = link.steady.is_none();
                if steady {
                    link.queue.deliver(&link).await;
                    link.announce_all().await;
                }
                let weak = Arc::downgrade(&link);
                drop(link);
                watch(&weak, &inbox, &settings, up, steady).await;
                // Out of the pool for good: what is broken must not be handed out again.
                drop(Connection::take(connection));
                let Some(link) = weak.upgrade() else { return };
                link.set(Status::Down("the connection was lost".into()));
                inbox.forget_everything();
                tracing::warn!("the connection to redis was lost");
            }
            Err(error) => {
                let reason: Arc<str> = error.to_string().into();
                link.set(Status::Down(Arc::clone(&reason)));
                tracing::debug!("redis is not reachable: {reason}");
                drop(link);
                let spread = 0.75 + fastrand::f64() / 2.0;
                sleep(pause.mul_f64(spread)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn connect(
    pool: &mut Option<pool::Source>,
    settings: &Settings,
    inbox: &Arc<Inbox>,
) -> Result<(Connection, bool), Error> {
    let source = match pool {
        Some(source) => source,
        None => pool.insert(pool::Source::new(settings, inbox)?),
    };
    source.connect().await
}

/// Returns when the connection is gone, or its link.
async fn watch(link: &Weak<Link>, inbox: &Inbox, settings: &Settings, mut up: Up, steady: bool) {
    loop {
        let pause = match link.upgrade() {
            Some(link) if link.is_up() => HEARTBEAT,
            Some(_) => HEARTBEAT / 5,
            None => return,
        };
        let told = timeout(pause, inbox.doubt.notified()).await.is_ok();
        let begun = Instant::now();
        let ping = redis::cmd("PING");
        let ping = ping.query_async::<()>(&mut up.connection);
        match timeout(settings.connect_timeout, ping).await {
            Ok(Ok(())) => {}
            // It answers, if only that it can't write or is busy.
            Ok(Err(error)) if pool::is_answer(&error) => {}
            _ => return,
        }
        let Some(link) = link.upgrade() else { return };
        link.hear();
        // A call takes two exchanges at least: a server that is slower costs every call its
        // patience, and gives it nothing.
        if !link.is_up() && begun.elapsed() <= settings.command_timeout / 2 {
            link.restore(up.clone());
        }
        if steady {
            link.queue.deliver(&link).await;
        }
        // Without pushes nobody tells us that the names are gone.
        if steady && (inbox.names_changed() || !told && !up.tracking) {
            link.announce_all().await;
        }
    }
}
