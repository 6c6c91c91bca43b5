use crate::process::sync::{Mutex, RwLock};
use std::mem::take;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::announced_names::AnnouncedNames;
use super::config::RedisConfig;
use super::connection::{Connection, HEARTBEAT};
use super::outbox::InvalidationOutbox;
use super::push_handler::PushHandler;
use crate::backend::contract::Caller;
use crate::backend::invalidation_sink::InvalidationSink;
use crate::error::Error;
use crate::invalidation::request::Invalidation;
use crate::process::background;

/// Minimum limit of runtimes with connections of their own; the limit is the number of processors
/// if that is larger. Callers on other runtimes use the background connection.
const LEAST_HOMES: usize = 4;

/// Number of calls within `BUSY_TIME` after which a current-thread runtime gets a connection. Fewer
/// calls do not justify one, because most such runtimes live for one test or one call.
const BUSY_CALLS: u32 = 500;
const BUSY_TIME: Duration = Duration::from_secs(10);

/// Maximum number of current-thread runtimes whose calls are counted.
const MOST_COUNTED: usize = 64;

/// The connections of one cache: the background connection, and one runtime connection on each
/// runtime that calls. A reply on a runtime connection needs no change of thread.
pub(crate) struct RedisBackend {
    config: Arc<RedisConfig>,
    names: Arc<AnnouncedNames>,
    queue: Arc<InvalidationOutbox>,
    listener: Arc<dyn InvalidationSink>,
    background: Arc<Connection>,
    runtime_connections: Arc<Homes>,
    counted: Mutex<Vec<RuntimeCalls>>,
}

/// Number of calls of a runtime since a point in time.
struct RuntimeCalls {
    runtime: Id,
    since: Instant,
    calls: u32,
}

/// Runtime connections, by the id of their runtime.
type Homes = RwLock<Vec<(Id, Arc<Connection>)>>;

/// Interval between two checks that this process runs.
const TICK: Duration = Duration::from_millis(100);

/// Maximum time between two checks. After a longer one, pushes may wait unread in the sockets, and
/// no local copies are served until each connection has received a reply.
const GAP: Duration = Duration::from_millis(500);

/// Watches the connections on the library's own runtime, because callers' runtimes may be blocked.
///
/// While this process runs, each check extends the time for which local copies may be served. After
/// a pause of the process (a signal, a suspended machine), invalidations of other processes may
/// wait unread in the sockets; these arrive before the reply to a ping.
async fn look_after(
    runtime_connections: Weak<Homes>,
    background: Weak<Connection>,
    listener: Arc<dyn InvalidationSink>,
) {
    let mut before = Instant::now();
    let mut heartbeat = before;
    // Start of the period in which no local copies are served.
    let mut gap = None;
    loop {
        listener.trust(if gap.is_none() { GAP } else { Duration::ZERO });
        tokio::time::sleep(TICK).await;
        let (Some(runtime_connections), Some(background)) =
            (runtime_connections.upgrade(), background.upgrade())
        else {
            return;
        };
        let connections = runtime_connections.read().clone();
        let all = || {
            connections
                .iter()
                .map(|(_, connection)| connection)
                .chain([&background])
        };
        let now = Instant::now();
        if now.duration_since(before) > GAP {
            listener.trust(Duration::ZERO);
            gap = Some(now);
            all().for_each(|connection| connection.doubt.notify_one());
        }
        before = now;
        if let Some(since) = gap
            && all().all(|connection| !connection.is_up() || connection.has_replied_since(since))
        {
            gap = None;
        }
        if now.duration_since(heartbeat) >= HEARTBEAT {
            heartbeat = now;
            connections
                .iter()
                .for_each(|(_, connection)| connection.give_up_if_unread());
            // Drops the connection of a current-thread runtime that runs rarely: the background
            // connection serves its calls better.
            let is_of_use = |connection: &Connection| {
                !(connection.redirected && connection.is_alive() && connection.is_unread())
            };
            if !connections
                .iter()
                .all(|(_, connection)| is_of_use(connection))
            {
                let mut runtime_connections = runtime_connections.write();
                let (stay, gone): (Vec<_>, Vec<_>) = take(&mut *runtime_connections)
                    .into_iter()
                    .partition(|(_, connection)| is_of_use(connection));
                *runtime_connections = stay;
                drop(runtime_connections);
                drop(gone);
            }
        }
    }
}

impl RedisBackend {
    pub(crate) fn start(
        config: RedisConfig,
        listener: Arc<dyn InvalidationSink>,
    ) -> Result<Self, Error> {
        let config = Arc::new(config);
        let names = Arc::<AnnouncedNames>::default();
        let push_handler = PushHandler::new(
            &config.namespace,
            &config.names_key(),
            Arc::clone(&listener),
        );
        let queue = Arc::new(InvalidationOutbox::new(
            &config.namespace,
            config.health.observer(),
        ));
        let background = Connection::start(
            &config,
            &names,
            &queue,
            push_handler,
            background::handle()?,
            None,
        );
        let runtime_connections = Arc::<Homes>::default();
        background::spawn(look_after(
            Arc::downgrade(&runtime_connections),
            Arc::downgrade(&background),
            Arc::clone(&listener),
        ));
        Ok(Self {
            config,
            names,
            queue,
            listener,
            background,
            runtime_connections,
            counted: Mutex::default(),
        })
    }

    /// Returns `true` if any connection is up.
    pub(crate) fn is_up(&self) -> bool {
        let runtime_connections = self.runtime_connections.read();
        self.background.is_up()
            || runtime_connections
                .iter()
                .any(|(_, connection)| connection.is_up())
    }

    /// Queues invalidations that could not be sent. They are sent before any value is read again.
    pub(crate) fn queue(&self, new: impl IntoIterator<Item = Invalidation>) {
        self.queue.push(new);
        self.background.doubt.notify_one();
    }

    /// Returns the connection for a call from this thread.
    pub(crate) fn connection(&self, caller: Caller) -> Arc<Connection> {
        // A blocked thread may be the only one that could drive the runtime connection.
        if caller == Caller::Blocking {
            return Arc::clone(&self.background);
        }
        let home = match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                self.home(&runtime)
            }
            Ok(runtime) if self.config.topology.can_redirect() => {
                self.of_current_thread_runtime(&runtime)
            }
            _ => None,
        };
        match home {
            Some(home) if home.is_alive() && home.is_up() => home,
            _ => Arc::clone(&self.background),
        }
    }

    fn known_home(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        let runtime_connections = self.runtime_connections.read();
        let home = runtime_connections
            .iter()
            .find(|(id, _)| *id == runtime.id())?;
        Some(Arc::clone(&home.1))
    }

    fn home(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        if let Some(home) = self.known_home(runtime) {
            return Some(home);
        }
        self.new_runtime_connection(runtime, || {
            let push_handler = PushHandler::new(
                &self.config.namespace,
                &self.config.names_key(),
                Arc::clone(&self.listener),
            );
            let background = Some(Arc::clone(&self.background));
            Connection::start(
                &self.config,
                &self.names,
                &self.queue,
                push_handler,
                runtime,
                background,
            )
        })
    }

    /// Like [`home`](Self::home), for a current-thread runtime that calls often.
    fn of_current_thread_runtime(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        if let Some(home) = self.known_home(runtime) {
            return Some(home);
        }
        let is_heard = || self.background.on_push().is_some();
        if background::is_here() || !self.calls_often(runtime.id()) || !is_heard() {
            return None;
        }
        self.new_runtime_connection(runtime, || {
            Connection::start_redirected(&self.background, runtime)
        })
    }

    fn calls_often(&self, runtime: Id) -> bool {
        let mut counted = self.counted.lock();
        let Some(place) = counted.iter().position(|known| known.runtime == runtime) else {
            if counted.len() >= MOST_COUNTED {
                counted.remove(0);
            }
            counted.push(RuntimeCalls {
                runtime,
                since: Instant::now(),
                calls: 1,
            });
            return false;
        };
        counted[place].calls += 1;
        if counted[place].calls < BUSY_CALLS {
            return false;
        }
        let known = counted.swap_remove(place);
        known.since.elapsed() < BUSY_TIME
    }

    fn new_runtime_connection(
        &self,
        runtime: &Handle,
        start: impl FnOnce() -> Arc<Connection>,
    ) -> Option<Arc<Connection>> {
        let mut runtime_connections = self.runtime_connections.write();
        if let Some((_, home)) = runtime_connections
            .iter()
            .find(|(id, _)| *id == runtime.id())
        {
            return Some(Arc::clone(home));
        }
        // A connection whose task ended on a running runtime found no I/O or time driver there. Its
        // entry stays, so that no other connection is started.
        runtime_connections.retain(|(_, connection)| connection.is_alive());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if runtime_connections.len() >= processors.max(LEAST_HOMES) {
            return None;
        }
        let connection = start();
        runtime_connections.push((runtime.id(), Arc::clone(&connection)));
        Some(connection)
    }

    /// Drops from every connection the state that an invalidation by this process has outdated,
    /// before the push about the invalidation arrives.
    pub(crate) fn forget(&self, invalidation: &Invalidation) {
        let runtime_connections = self.runtime_connections.read();
        for connection in runtime_connections
            .iter()
            .map(|(_, connection)| connection)
            .chain([&self.background])
        {
            match invalidation {
                Invalidation::Group(group) => connection.push_handler.generations.forget(group),
                Invalidation::Call(key) => connection.push_handler.watchers.notify(key),
                Invalidation::Keys(_) => connection.push_handler.watchers.notify_all(),
                Invalidation::Functions(_) => {}
            }
        }
        drop(runtime_connections);
        match invalidation {
            // The caller invalidates groups in this process itself.
            Invalidation::Group(_) | Invalidation::Functions(_) => {}
            Invalidation::Call(key) => self.listener.call_changed(key),
            Invalidation::Keys(pattern) => self.listener.calls_changed(pattern),
        }
    }
}

impl Drop for RedisBackend {
    fn drop(&mut self) {
        self.config.health.silence();
    }
}
