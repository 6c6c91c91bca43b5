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

/// Maximum pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time limit of the credentials callback. It is long, because the callback may query another
/// service.
const CREDENTIALS: Duration = Duration::from_secs(10);

/// Guard in the supervising task. Marks the connection as ended when its runtime is shut down or
/// the connection is dropped.
pub(super) struct SupervisorGuard {
    pub(super) connection: Weak<Connection>,
    pub(super) alive: Arc<AtomicBool>,
    pub(super) push_handler: Arc<PushHandler>,
    pub(super) redirected: bool,
    pub(super) batchers: Arc<NodeBatchers>,
}

impl Drop for SupervisorGuard {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Release);
        // The connection's pushes are no longer read.
        match self.redirected {
            true => self.push_handler.one_lost(),
            false => self.push_handler.forget_everything(),
        }
        self.batchers.close();
        if let Some(connection) = self.connection.upgrade() {
            connection.fall("its runtime has ended");
        }
    }
}

/// Connects, watches the connection and reconnects, until the [`Connection`] is dropped.
pub(super) async fn keep(
    connection: Weak<Connection>,
    push_handler: Arc<PushHandler>,
    config: Arc<RedisConfig>,
) {
    let mut source = None;
    let mut pause = Duration::from_millis(20);
    loop {
        let connected = connect(&mut source, &config, &push_handler, None).await;
        let Some(connection) = connection.upgrade() else {
            return;
        };
        match connected {
            Ok(mut checkout) => {
                pause = Duration::from_millis(20);
                push_handler.pushes(checkout.tracking);
                let up = Established {
                    transport: checkout.transport.clone(),
                    tracking: checkout.tracking,
                    epoch: push_handler.generations.begin(),
                    id: checkout.id,
                };
                connection.record_reply(Instant::now());
                connection.renewed();
                connection.part(&checkout.topology);
                config.health.arrive(&connection, checkout.place());
                connection.restore(up.clone());
                connection.chores.wake_for_all();
                let weak = Arc::downgrade(&connection);
                drop(connection);
                watch(&weak, &push_handler, &config, up, &mut checkout).await;
                // Takes the connection out of the pool: a broken connection must not be handed out
                // again.
                drop(checkout);
                let Some(connection) = weak.upgrade() else {
                    return;
                };
                connection.fall("the connection was lost");
                push_handler.lost();
            }
            Err(error) => {
                connection.fall(&error.to_string());
                drop(connection);
                let spread = 0.75 + fastrand::f64() / 2.0;
                sleep(pause.mul_f64(spread)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Connects. If `redirect` is set, the server sends the pushes to the connection with this client
/// id.
///
/// # Errors
///
/// Returns `ErrorKind::Timeout` if the credentials callback or the attempt to connect exceeds its
/// time limit, or another error if the attempt fails.
pub(super) async fn connect(
    source: &mut Option<ConnectionSource>,
    config: &Arc<RedisConfig>,
    push_handler: &Arc<PushHandler>,
    redirect: Option<i64>,
) -> Result<Checkout, Error> {
    let source = match source {
        Some(source) => source,
        None => source.insert(ConnectionSource::new(config, push_handler)?),
    };
    let topology = timeout(CREDENTIALS, source.topology())
        .await
        .map_err(|_| {
            let text = format!(
                "the callback given to `credentials` has not returned within {CREDENTIALS:?}"
            );
            Error::new(ErrorKind::Timeout, text)
        })??;
    let limit = config.connect_timeout;
    timeout(limit, source.connect(&topology, redirect))
        .await
        .unwrap_or_else(|_| {
            let text = format!("no connection within {limit:?}; {SILENT}");
            Err(Error::new(ErrorKind::Timeout, text))
        })
}

/// Watches the connection. Returns when the connection is lost or dropped.
async fn watch(
    connection: &Weak<Connection>,
    push_handler: &PushHandler,
    config: &RedisConfig,
    mut up: Established,
    checkout: &mut Checkout,
) {
    let mut database = DatabaseId::default();
    // Ends when another connection has followed a failover to another server.
    while config.health.is_at(checkout.place()) {
        let pause = match connection.upgrade() {
            Some(connection) if connection.is_up() => HEARTBEAT,
            Some(_) => HEARTBEAT / 5,
            None => return,
        };
        let told = timeout(pause, push_handler.doubt.notified()).await.is_ok();
        if connection
            .upgrade()
            .is_none_or(|connection| connection.is_broken())
        {
            return;
        }
        let begun = Instant::now();
        let ping = up.transport.ping(config.topology.moves());
        match timeout(config.connect_timeout, ping).await {
            // If a primary has left the cluster, the connection is given up: values that were read
            // from a former primary may be outdated.
            Ok(Ok(now)) if checkout.topology.is_within(&now) => {
                if let Some(connection) = connection.upgrade() {
                    connection.part(&now);
                }
                checkout.topology = now;
            }
            // An error reply (read-only, busy) still shows that the server replies.
            Ok(Err(error)) if is_answer(&error) => {}
            _ => return,
        }
        let took = begun.elapsed();
        if let Some(connection) = connection.upgrade() {
            connection.record_reply(begun);
        }
        #[cfg(feature = "sentinel")]
        if let Some(failover_watcher) = &mut checkout.failover_watcher
            && (is_background(connection) || failover_watcher.is_cheap())
            && failover_watcher.names_another().await
        {
            return;
        }
        if !config.health.is_at(checkout.place()) {
            return;
        }
        if database.was_swapped(&mut up, config).await {
            push_handler.forget_everything();
        }
        let Some(connection) = connection.upgrade() else {
            return;
        };
        // A call needs at least two exchanges within `command_timeout`. The connection therefore
        // takes calls again only after a ping of at most half of that time.
        if !connection.is_up()
            && took <= config.command_timeout / 2
            && !connection.batchers.is_stuck()
        {
            connection.restore(up.clone());
        } else if push_handler.is_unwatched() && connection.is_up() {
            // Pushes were missed while a connection was lost. All connections are restored now.
            push_handler.reconnected();
        }
        // Without pushes, no change is reported, so everything is checked.
        match told || up.tracking {
            true => connection.chores.wake(),
            false => connection.chores.wake_for_all(),
        }
    }
}

/// Returns `true` if this is the background connection.
#[cfg(feature = "sentinel")]
fn is_background(connection: &Weak<Connection>) -> bool {
    connection
        .upgrade()
        .is_some_and(|connection| connection.background.is_none())
}
