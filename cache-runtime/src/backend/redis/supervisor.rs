use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::checkout::Checkout;
use super::config::RedisConfig;
use super::connection::{Connection, Established, HEARTBEAT};
use super::database_id::DatabaseId;
use super::driver_error::{SILENT, is_answer};
use super::node_batchers::NodeBatchers;
use super::pool::ConnectionSource;
use super::push_handler::PushHandler;
use crate::error::{Error, ErrorKind};

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the callbacks that give a login may take: they may ask another service.
const CREDENTIALS: Duration = Duration::from_secs(10);

/// Falls when the runtime that the link lives on is shut down, or the link is dropped.
pub(super) struct SupervisorGuard {
    pub(super) link: Weak<Connection>,
    pub(super) alive: Arc<AtomicBool>,
    pub(super) inbox: Arc<PushHandler>,
    pub(super) redirected: bool,
    pub(super) lanes: Arc<NodeBatchers>,
}

impl Drop for SupervisorGuard {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Release);
        // Nobody hears its pushes any more.
        match self.redirected {
            true => self.inbox.one_lost(),
            false => self.inbox.forget_everything(),
        }
        self.lanes.close();
        if let Some(link) = self.link.upgrade() {
            link.fall("its runtime has ended");
        }
    }
}

/// Connects, watches over the connection, and connects again; ends with its link.
pub(super) async fn keep(
    link: Weak<Connection>,
    inbox: Arc<PushHandler>,
    settings: Arc<RedisConfig>,
) {
    let mut source = None;
    let mut pause = Duration::from_millis(20);
    loop {
        let connected = connect(&mut source, &settings, &inbox, None).await;
        let Some(link) = link.upgrade() else { return };
        match connected {
            Ok(mut checkout) => {
                pause = Duration::from_millis(20);
                inbox.pushes(checkout.tracking);
                let up = Established {
                    connection: checkout.wire.clone(),
                    tracking: checkout.tracking,
                    epoch: inbox.generations.begin(),
                    id: checkout.id,
                };
                link.hear(Instant::now());
                link.renewed();
                link.part(&checkout.topology);
                settings.health.arrive(&link, checkout.place());
                link.restore(up.clone());
                link.chores.wake_for_all();
                let weak = Arc::downgrade(&link);
                drop(link);
                watch(&weak, &inbox, &settings, up, &mut checkout).await;
                // Out of the pool for good: what is broken must not be handed out again.
                drop(checkout);
                let Some(link) = weak.upgrade() else { return };
                link.fall("the connection was lost");
                inbox.lost();
            }
            Err(error) => {
                link.fall(&error.to_string());
                drop(link);
                let spread = 0.75 + fastrand::f64() / 2.0;
                sleep(pause.mul_f64(spread)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A connection, whose pushes go to another if that is named.
pub(super) async fn connect(
    source: &mut Option<ConnectionSource>,
    settings: &Arc<RedisConfig>,
    inbox: &Arc<PushHandler>,
    redirect: Option<i64>,
) -> Result<Checkout, Error> {
    let source = match source {
        Some(source) => source,
        None => source.insert(ConnectionSource::new(settings, inbox)?),
    };
    let target = timeout(CREDENTIALS, source.target()).await.map_err(|_| {
        let text =
            format!("the callback given to `credentials` has not returned within {CREDENTIALS:?}");
        Error::new(ErrorKind::Timeout, text)
    })??;
    let limit = settings.connect_timeout;
    timeout(limit, source.connect(&target, redirect))
        .await
        .unwrap_or_else(|_| {
            let text = format!("no connection within {limit:?}; {SILENT}");
            Err(Error::new(ErrorKind::Timeout, text))
        })
}

/// Returns when the connection is gone, or its link.
async fn watch(
    link: &Weak<Connection>,
    inbox: &PushHandler,
    settings: &RedisConfig,
    mut up: Established,
    checkout: &mut Checkout,
) {
    let mut database = DatabaseId::default();
    // Another link may have gone elsewhere meanwhile.
    while settings.health.is_at(checkout.place()) {
        let pause = match link.upgrade() {
            Some(link) if link.is_up() => HEARTBEAT,
            Some(_) => HEARTBEAT / 5,
            None => return,
        };
        let told = timeout(pause, inbox.doubt.notified()).await.is_ok();
        if link.upgrade().is_none_or(|link| link.is_broken()) {
            return;
        }
        let begun = Instant::now();
        let ping = up.connection.ping(settings.target.moves());
        match timeout(settings.connect_timeout, ping).await {
            // Nobody vouches any more for what was read from one that is a primary no more.
            Ok(Ok(now)) if checkout.topology.is_within(&now) => {
                if let Some(link) = link.upgrade() {
                    link.part(&now);
                }
                checkout.topology = now;
            }
            // It answers, if only that it can't write or is busy.
            Ok(Err(error)) if is_answer(&error) => {}
            _ => return,
        }
        let took = begun.elapsed();
        if let Some(link) = link.upgrade() {
            link.hear(begun);
        }
        #[cfg(feature = "sentinel")]
        if let Some(lookout) = &mut checkout.lookout
            && (is_steady(link) || lookout.is_cheap())
            && lookout.names_another().await
        {
            return;
        }
        if !settings.health.is_at(checkout.place()) {
            return;
        }
        if database.was_swapped(&mut up, settings).await {
            inbox.forget_everything();
        }
        let Some(link) = link.upgrade() else { return };
        // A call takes two exchanges at least: a server that is slower costs every call its
        // patience, and gives it nothing.
        if !link.is_up() && took <= settings.command_timeout / 2 && !link.lanes.is_stuck() {
            link.restore(up.clone());
        } else if inbox.is_unwatched() && link.is_up() {
            // One of several connections has gone and come back.
            inbox.found();
        }
        // Without pushes nobody tells us what has changed.
        match told || up.tracking {
            true => link.chores.wake(),
            false => link.chores.wake_for_all(),
        }
    }
}

/// Whether it is the link on our own runtime.
#[cfg(feature = "sentinel")]
fn is_steady(link: &Weak<Connection>) -> bool {
    link.upgrade().is_some_and(|link| link.steady.is_none())
}
