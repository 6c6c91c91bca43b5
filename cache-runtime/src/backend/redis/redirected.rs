//! Supervises a connection whose pushes go to the background connection.
//!
//! A current-thread runtime does not read its connection while a task is busy. Its own calls wait
//! for that thread anyway; invalidations concern the whole process and must not wait. So the server
//! sends them to the connection on our own runtime (`CLIENT TRACKING … REDIRECT`,
//! <https://redis.io/docs/latest/commands/client-tracking/>), and values that were read here are valid for
//! as long as that very connection is.

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

/// Longest pause between two attempts to connect; meanwhile its calls use the background
/// connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The server's id and the epoch of the background connection that receives the pushes.
type PushTarget = (i64, ConnectionEpoch);

/// Connects, watches the connection, and reconnects; ends with its connection.
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

/// Returns an error unless pushes about keys read here arrive at the background connection: in
/// between may be something that has led the two to different servers, where the number is
/// another's.
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

/// Watches the connection, and returns when it, or the one that receives its pushes, is lost.
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
        // The background connection handles the loss of others.
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
