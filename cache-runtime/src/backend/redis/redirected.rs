//! Supervises a connection whose pushes arrive on the background connection.
//!
//! A current-thread runtime does not read its connection while a task is busy. The runtime's own
//! calls wait for that thread anyway, but invalidations concern the whole process and must not
//! wait. The server therefore sends the invalidations to the background connection, which the
//! library's own runtime reads (`CLIENT TRACKING … REDIRECT`,
//! <https://redis.io/docs/latest/commands/client-tracking/>). Values that were read on the
//! redirected connection are valid as long as that background connection lasts.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::cmd;
use tokio::time::{sleep, timeout};

use super::checkout::Checkout;
use super::connection::{Connection, Established, HEARTBEAT};
use super::driver_error::is_answer;
use super::supervisor::connect;
use crate::backend::redis::generations::ConnectionEpoch;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::key::keyspace;
use crate::process::unique_id::UniqueId;

/// Maximum pause between two attempts to connect. Meanwhile the runtime's calls use the background
/// connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The client id on the server and the epoch of the background connection that receives the pushes.
type PushTarget = (i64, ConnectionEpoch);

/// Connects, watches the connection and reconnects, until the [`Connection`] is dropped.
pub(super) async fn keep(connection: Weak<Connection>) {
    let mut source = None;
    let mut pause = Duration::from_millis(20);
    loop {
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let (config, push_handler) = (Arc::clone(&strong.config), Arc::clone(&strong.push_handler));
        let Some(ear) = ear(&strong) else {
            let doubt = Arc::clone(&strong.doubt);
            drop(strong);
            let _ = timeout(HEARTBEAT, doubt.notified()).await;
            continue;
        };
        drop(strong);
        let connected = connect(&mut source, &config, &push_handler, Some(ear.0)).await;
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let connected = match connected {
            Ok(mut checkout) => match is_heard(&strong, &mut checkout).await {
                Ok(()) => Ok(checkout),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match connected {
            Ok(mut checkout) if config.health.is_at(checkout.place()) => {
                pause = Duration::from_millis(20);
                strong.record_reply(Instant::now());
                strong.renewed();
                let up = Established {
                    transport: checkout.transport.clone(),
                    tracking: true,
                    epoch: ear.1,
                    id: None,
                };
                strong.restore(up.clone());
                drop(strong);
                watch(&connection, up, &mut checkout, ear).await;
                drop(checkout);
                let Some(strong) = connection.upgrade() else {
                    return;
                };
                strong.fall("the connection was lost");
                push_handler.one_lost();
            }
            outcome => {
                if let Err(error) = &outcome {
                    tracing::debug!("a runtime has no connection of its own: {error}");
                }
                strong.fall("there is no connection yet");
                drop((strong, outcome));
                sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn ear(connection: &Connection) -> Option<PushTarget> {
    connection.background.as_ref()?.on_push()
}

/// Checks that pushes about keys that are read on this connection arrive on the background
/// connection. A proxy may have routed the two connections to different servers, on which the same
/// client id belongs to another client.
///
/// # Errors
///
/// Returns `ErrorKind::Unavailable` if no push arrives within `connect_timeout`.
async fn is_heard(connection: &Connection, checkout: &mut Checkout) -> Result<(), Error> {
    let name: String = UniqueId::fresh()
        .0
        .map(|byte| format!("{byte:02x}"))
        .concat();
    let key = Key::of(&keyspace::redirection(&connection.config.namespace, &name));
    let lease = key.lease();
    let mut watch = connection.push_handler.watchers.watch(&key);
    let (mut get, mut set) = (cmd("GET"), cmd("SET"));
    get.arg(&lease);
    set.arg(&lease).arg(1).arg("PX").arg(1_000);
    let asked = checkout.transport.send_all(vec![vec![get, set]]);
    let limit = connection.config.connect_timeout;
    let unheard = || {
        let text =
            "pushes about keys that are read on it do not arrive at the background connection";
        Error::new(ErrorKind::Unavailable, text)
    };
    let replies = timeout(limit, asked).await.map_err(|_| unheard())?;
    let replies = replies.map_err(|error| super::driver_error::error_of(&error))?;
    for reply in replies {
        let reply = reply.extract_error();
        reply.map_err(|error| super::driver_error::error_of(&error))?;
    }
    timeout(limit, watch.changed()).await.map_err(|_| unheard())
}

/// Watches the connection. Returns when the connection, or the background connection that receives
/// its pushes, is lost.
async fn watch(
    connection: &Weak<Connection>,
    mut up: Established,
    checkout: &mut Checkout,
    before: PushTarget,
) {
    while let Some(strong) = connection.upgrade() {
        let config = Arc::clone(&strong.config);
        let pause = if strong.is_up() {
            HEARTBEAT
        } else {
            HEARTBEAT / 5
        };
        let doubt = Arc::clone(&strong.doubt);
        drop(strong);
        let _ = timeout(pause, doubt.notified()).await;
        let Some(strong) = connection.upgrade() else {
            return;
        };
        let is_at = config.health.is_at(checkout.place());
        // `false` if the background connection was replaced.
        let is_ear = strong.push_handler.generations.is_of(before.1);
        if strong.is_broken() || !is_at || !is_ear {
            return;
        }
        drop(strong);
        let begun = Instant::now();
        let ping = up.transport.ping(config.topology.moves());
        match timeout(config.connect_timeout, ping).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_answer(&error) => {}
            _ => return,
        }
        let took = begun.elapsed();
        let Some(strong) = connection.upgrade() else {
            return;
        };
        strong.record_reply(begun);
        if !strong.is_up() && took <= config.command_timeout / 2 && !strong.batchers.is_stuck() {
            strong.restore(up.clone());
        }
    }
}
