use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
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

/// Runtimes that get a connection of their own at least; callers from further ones share ours.
const LEAST_HOMES: usize = 4;

/// Calls within this time after which a runtime with one thread gets one: most live for a test, or
/// for one call of a program that has none.
const BUSY_CALLS: u32 = 500;
const BUSY_TIME: Duration = Duration::from_secs(10);

/// Runtimes with one thread whose calls are counted.
const MOST_COUNTED: usize = 64;

/// The links of one cache: one on our own runtime, and one on each runtime that calls (often, if
/// it has one thread), where a reply needs no change of thread.
pub(crate) struct RedisBackend {
    settings: Arc<RedisConfig>,
    names: Arc<AnnouncedNames>,
    queue: Arc<InvalidationOutbox>,
    listener: Arc<dyn InvalidationSink>,
    steady: Arc<Connection>,
    homes: Arc<Homes>,
    counted: Mutex<Vec<RuntimeCalls>>,
}

/// How often a runtime has called, since when.
struct RuntimeCalls {
    runtime: Id,
    since: Instant,
    calls: u32,
}

/// The links on callers' runtimes.
type Homes = RwLock<Vec<(Id, Arc<Connection>)>>;

/// How often this process sees that it runs.
const TICK: Duration = Duration::from_millis(100);

/// How long it may have stood still before what its connections have told since is not trusted.
const GAP: Duration = Duration::from_millis(500);

/// Looks after the links from our own runtime: those at home may be blocked. And has the copies of
/// this process served while it runs: after a pause (a signal, a suspended machine) what others
/// have invalidated meanwhile stands in the connections, and is read before a ping is answered.
async fn look_after(
    homes: Weak<Homes>,
    steady: Weak<Connection>,
    listener: Arc<dyn InvalidationSink>,
) {
    let mut before = Instant::now();
    let mut heartbeat = before;
    // Since when copies are not served.
    let mut gap = None;
    loop {
        listener.trust(if gap.is_none() { GAP } else { Duration::ZERO });
        tokio::time::sleep(TICK).await;
        let (Some(homes), Some(steady)) = (homes.upgrade(), steady.upgrade()) else {
            return;
        };
        let links = homes.read().unwrap_or_else(PoisonError::into_inner).clone();
        let all = || links.iter().map(|(_, link)| link).chain([&steady]);
        let now = Instant::now();
        if now.duration_since(before) > GAP {
            listener.trust(Duration::ZERO);
            gap = Some(now);
            all().for_each(|link| link.doubt.notify_one());
        }
        before = now;
        if let Some(since) = gap
            && all().all(|link| !link.is_up() || link.was_heard_since(since))
        {
            gap = None;
        }
        if now.duration_since(heartbeat) >= HEARTBEAT {
            heartbeat = now;
            links.iter().for_each(|(_, link)| link.give_up_if_deaf());
            // A runtime with one thread that runs now and then is better served by ours.
            let is_of_use =
                |link: &Connection| !(link.redirected && link.is_alive() && link.is_deaf());
            if !links.iter().all(|(_, link)| is_of_use(link)) {
                let mut homes = homes.write().unwrap_or_else(PoisonError::into_inner);
                let (stay, gone): (Vec<_>, Vec<_>) = take(&mut *homes)
                    .into_iter()
                    .partition(|(_, link)| is_of_use(link));
                *homes = stay;
                drop(homes);
                drop(gone);
            }
        }
    }
}

impl RedisBackend {
    pub(crate) fn start(
        settings: RedisConfig,
        listener: Arc<dyn InvalidationSink>,
    ) -> Result<Self, Error> {
        let settings = Arc::new(settings);
        let names = Arc::<AnnouncedNames>::default();
        let inbox = PushHandler::new(
            &settings.namespace,
            &settings.names_key(),
            Arc::clone(&listener),
        );
        let queue = Arc::new(InvalidationOutbox::new(
            &settings.namespace,
            settings.health.observer(),
        ));
        let steady = Connection::start(
            &settings,
            &names,
            &queue,
            inbox,
            background::handle()?,
            None,
        );
        let homes = Arc::<Homes>::default();
        background::spawn(look_after(
            Arc::downgrade(&homes),
            Arc::downgrade(&steady),
            Arc::clone(&listener),
        ));
        Ok(Self {
            settings,
            names,
            queue,
            listener,
            steady,
            homes,
            counted: Mutex::default(),
        })
    }

    /// Whether any of the links is.
    pub(crate) fn is_up(&self) -> bool {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        self.steady.is_up() || homes.iter().any(|(_, link)| link.is_up())
    }

    /// The server could not be told: it will be before it is believed again.
    pub(crate) fn queue(&self, new: impl IntoIterator<Item = Invalidation>) {
        self.queue.push(new);
        self.steady.doubt.notify_one();
    }

    /// The link for a call from here.
    pub(crate) fn link(&self, caller: Caller) -> Arc<Connection> {
        // A blocked thread may be the very one that would have to drive a link at home.
        if caller == Caller::Blocking {
            return Arc::clone(&self.steady);
        }
        let home = match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                self.home(&runtime)
            }
            Ok(runtime) if self.settings.target.can_redirect() => self.home_of_one_thread(&runtime),
            _ => None,
        };
        match home {
            Some(home) if home.is_alive() && home.is_up() => home,
            _ => Arc::clone(&self.steady),
        }
    }

    fn known_home(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        let home = homes.iter().find(|(id, _)| *id == runtime.id())?;
        Some(Arc::clone(&home.1))
    }

    fn home(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        if let Some(home) = self.known_home(runtime) {
            return Some(home);
        }
        self.new_home(runtime, || {
            let inbox = PushHandler::new(
                &self.settings.namespace,
                &self.settings.names_key(),
                Arc::clone(&self.listener),
            );
            let steady = Some(Arc::clone(&self.steady));
            Connection::start(
                &self.settings,
                &self.names,
                &self.queue,
                inbox,
                runtime,
                steady,
            )
        })
    }

    /// As [`home`](Self::home), of a runtime that calls often.
    fn home_of_one_thread(&self, runtime: &Handle) -> Option<Arc<Connection>> {
        if let Some(home) = self.known_home(runtime) {
            return Some(home);
        }
        let is_heard = || self.steady.hears().is_some();
        if background::is_here() || !self.calls_often(runtime.id()) || !is_heard() {
            return None;
        }
        self.new_home(runtime, || {
            Connection::start_redirected(&self.steady, runtime)
        })
    }

    fn calls_often(&self, runtime: Id) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn new_home(
        &self,
        runtime: &Handle,
        start: impl FnOnce() -> Arc<Connection>,
    ) -> Option<Arc<Connection>> {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, home)) = homes.iter().find(|(id, _)| *id == runtime.id()) {
            return Some(Arc::clone(home));
        }
        // A link that has died on a runtime that still runs found no drivers there: it stays,
        // so that it is not tried again.
        homes.retain(|(_, link)| link.is_alive());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if homes.len() >= processors.max(LEAST_HOMES) {
            return None;
        }
        let link = start();
        homes.push((runtime.id(), Arc::clone(&link)));
        Some(link)
    }

    /// What this process has changed itself, none of its connections may go on believing until
    /// the push has come.
    pub(crate) fn forget(&self, invalidation: &Invalidation) {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        for link in homes.iter().map(|(_, link)| link).chain([&self.steady]) {
            match invalidation {
                Invalidation::Group(group) => link.inbox.generations.forget(group),
                Invalidation::Call(key) => link.inbox.watchers.notify(key),
                Invalidation::Keys(_) => link.inbox.watchers.notify_all(),
                Invalidation::Functions(_) => {}
            }
        }
        drop(homes);
        match invalidation {
            // Whoever changes a group tells this process itself.
            Invalidation::Group(_) | Invalidation::Functions(_) => {}
            Invalidation::Call(key) => self.listener.call_changed(key),
            Invalidation::Keys(pattern) => self.listener.calls_changed(pattern),
        }
    }
}

impl Drop for RedisBackend {
    fn drop(&mut self) {
        self.settings.health.silence();
    }
}
