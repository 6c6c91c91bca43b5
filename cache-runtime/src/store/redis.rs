//! The tier in a Redis server. Connections, scripts and pushes stay in here.

mod batcher;
#[cfg(feature = "cluster")]
mod cluster;
mod database;
mod fleet;
mod generations;
mod given;
mod greeting;
mod hash;
mod health;
mod inbox;
mod keeper;
mod lanes;
mod link;
mod look;
#[cfg(feature = "sentinel")]
mod lookout;
mod names;
mod pool;
#[cfg(feature = "cluster")]
mod primaries;
mod probe;
mod queue;
mod registry;
mod scripts;
mod seen;
#[cfg(feature = "sentinel")]
mod sentinel;
mod sweep;
mod target;
mod tcp;
mod tier;
mod topology;
mod url;
mod way;
mod wire;

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::{Caller, Listener};
use crate::background;
use crate::credentials::Ask;
use crate::entry::HEADER;
use crate::error::Error;
use crate::pattern::KeyPattern;
pub use given::Given;
pub(crate) use health::Health;
use inbox::Inbox;
pub(crate) use link::Link;
use names::Names;
pub(crate) use probe::{Facts, Info};
use queue::Queue;
pub(crate) use queue::Undelivered;
pub(crate) use target::Target;
pub(crate) use way::Way;

/// Runtimes that get a connection of their own; callers from further ones share ours.
const MOST_HOMES: usize = 4;

/// How a cache reaches its server.
pub(crate) struct Settings {
    pub(crate) namespace: Arc<str>,
    pub(crate) target: Target,
    pub(crate) credentials: Option<Ask>,
    #[cfg(feature = "sentinel")]
    pub(crate) sentinel_credentials: Option<Ask>,
    #[cfg(all(feature = "cluster", feature = "tls"))]
    pub(crate) certificates: Option<crate::certificates::Certificates>,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) max_value_size: u64,
    pub(crate) health: Health,
}

impl Settings {
    fn names_key(&self) -> String {
        format!("{}:functions", self.namespace)
    }

    fn settings_key(&self) -> String {
        format!("{}:settings", self.namespace)
    }

    /// What an entry takes at most: a larger one is not read to its end, because all calls would
    /// wait behind it.
    fn largest_entry(&self) -> u64 {
        // Redis counts in 63 bits.
        (HEADER as u64)
            .saturating_add(self.max_value_size)
            .min(1 << 62)
    }
}

/// The links of one cache: one on our own runtime, and one on each multi-threaded runtime that
/// calls, where a reply needs no change of thread.
pub(crate) struct Redis {
    settings: Arc<Settings>,
    names: Arc<Names>,
    queue: Arc<Queue>,
    listener: Arc<dyn Listener>,
    steady: Arc<Link>,
    homes: Arc<Homes>,
}

/// The links on callers' runtimes.
type Homes = RwLock<Vec<(Id, Arc<Link>)>>;

/// How often this process sees that it runs.
const TICK: Duration = Duration::from_millis(100);

/// How long it may have stood still before what its connections have told since is not trusted.
const GAP: Duration = Duration::from_millis(500);

/// Looks after the links from our own runtime: those at home may be blocked. And has the copies of
/// this process served while it runs: after a pause (a signal, a suspended machine) what others
/// have invalidated meanwhile stands in the connections, and is read before a ping is answered.
async fn look_after(homes: Weak<Homes>, steady: Weak<Link>, listener: Arc<dyn Listener>) {
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
            all().for_each(|link| link.inbox.doubt.notify_one());
        }
        before = now;
        if let Some(since) = gap
            && all().all(|link| !link.is_up() || link.was_heard_since(since))
        {
            gap = None;
        }
        if now.duration_since(heartbeat) >= link::HEARTBEAT {
            heartbeat = now;
            links.iter().for_each(|(_, link)| link.give_up_if_deaf());
        }
    }
}

impl Redis {
    pub(crate) fn start(settings: Settings, listener: Arc<dyn Listener>) -> Result<Self, Error> {
        let settings = Arc::new(settings);
        let names = Arc::<Names>::default();
        let inbox = Inbox::new(
            &settings.namespace,
            &settings.names_key(),
            Arc::clone(&listener),
        );
        let queue = Arc::new(Queue::new(&settings.namespace, settings.health.observer()));
        let steady = Link::start(
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
        })
    }

    /// Whether any of the links is.
    pub(crate) fn is_up(&self) -> bool {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        self.steady.is_up() || homes.iter().any(|(_, link)| link.is_up())
    }

    /// The server could not be told: it will be before it is believed again.
    pub(crate) fn queue(&self, new: impl IntoIterator<Item = Undelivered>) {
        self.queue.push(new);
        self.steady.inbox.doubt.notify_one();
    }

    /// The link for a call from here.
    pub(crate) fn link(&self, caller: Caller) -> Arc<Link> {
        // A blocked thread may be the very one that would have to drive a link at home.
        if caller == Caller::Blocking {
            return Arc::clone(&self.steady);
        }
        match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                let home = self.home(&runtime);
                if home.is_alive() && home.is_up() {
                    home
                } else {
                    Arc::clone(&self.steady)
                }
            }
            _ => Arc::clone(&self.steady),
        }
    }

    fn home(&self, runtime: &Handle) -> Arc<Link> {
        let find = |homes: &Vec<(Id, Arc<Link>)>| {
            let home = homes.iter().find(|(id, _)| *id == runtime.id())?;
            Some(Arc::clone(&home.1))
        };
        if let Some(link) = find(&self.homes.read().unwrap_or_else(PoisonError::into_inner)) {
            return link;
        }
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = find(&homes) {
            return link;
        }
        // A link that has died on a runtime that still runs found no drivers there: it stays,
        // so that it is not tried again.
        homes.retain(|(_, link)| link.is_alive());
        if homes.len() >= MOST_HOMES {
            return Arc::clone(&self.steady);
        }
        let inbox = Inbox::new(
            &self.settings.namespace,
            &self.settings.names_key(),
            Arc::clone(&self.listener),
        );
        let steady = Some(Arc::clone(&self.steady));
        let link = Link::start(
            &self.settings,
            &self.names,
            &self.queue,
            inbox,
            runtime,
            steady,
        );
        homes.push((runtime.id(), Arc::clone(&link)));
        link
    }

    /// What this process has changed itself, none of its connections may go on believing until
    /// the push has come.
    pub(crate) fn forget(&self, change: &Change<'_>) {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        for link in homes.iter().map(|(_, link)| link).chain([&self.steady]) {
            match change {
                Change::Group(group) => link.inbox.generations.forget(group),
                Change::Call(key) => link.inbox.watchers.notify(key),
                Change::Calls(_) => link.inbox.watchers.notify_all(),
            }
        }
        drop(homes);
        match change {
            // Whoever changes a group tells this process itself.
            Change::Group(_) => {}
            Change::Call(key) => self.listener.call_changed(key),
            Change::Calls(pattern) => self.listener.calls_changed(pattern),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.settings.health.silence();
    }
}

/// What this process has invalidated.
pub(crate) enum Change<'a> {
    Group(&'a str),
    Call(&'a str),
    Calls(&'a KeyPattern),
}
