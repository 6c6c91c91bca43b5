//! Runs the chores of a cache on its background connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::task::JoinSet;

use super::chores::Chores;
use super::connection::Connection;
use super::outbox::InvalidationOutbox;
use super::session::RedisSession;
use crate::backend::apply::apply;
use crate::telemetry::event::Event;

/// Runs the chores each time they are due; returns when the connection is dropped.
pub(super) async fn run(connection: Weak<Connection>, chores: Arc<Chores>) {
    loop {
        chores.due.notified().await;
        let Some(connection) = connection.upgrade() else {
            return;
        };
        let all = chores.all.swap(false, Ordering::AcqRel);
        connection.queue.deliver(&connection).await;
        if connection.push_handler.names_changed() || all {
            announce_all(&connection).await;
        }
        if connection.push_handler.overrides_changed() || all {
            read_overrides(&connection).await;
        }
    }
}

/// Reads the overrides of the fleet and applies them.
async fn read_overrides(connection: &Arc<Connection>) {
    let told = connection.push_handler.listener.overrides_version();
    match RedisSession::ahead(Arc::clone(connection))
        .fleet_overrides()
        .await
    {
        Ok(all) => {
            if !connection.push_handler.listener.overrides(told, all) {
                // This process applied newer overrides during the read: read again.
                connection.push_handler.keep_overrides_changed();
                connection.doubt.notify_one();
            }
        }
        Err(error) => {
            // Retried with the next heartbeat.
            connection.push_handler.keep_overrides_changed();
            tracing::debug!("the fleet's settings could not be read: {error}");
        }
    }
}

/// Ensures that the fleet's registry contains the functions of this process.
async fn announce_all(connection: &Arc<Connection>) {
    let names = connection.names.announced();
    if !names.is_empty()
        && let Err(error) = RedisSession::ahead(Arc::clone(connection))
            .announce_names(&names, true)
            .await
    {
        // Retried with the next heartbeat.
        connection.push_handler.keep_names_changed();
        tracing::debug!("the names of the functions could not be announced: {error}");
    }
}

impl InvalidationOutbox {
    /// Sends all queued invalidations on this connection. When the outbox is empty, the backend is
    /// used again.
    ///
    /// No local copy has to be dropped then: values whose read began before an invalidation were
    /// dropped when the invalidation was queued, and nothing has been read since.
    pub(super) async fn deliver(&self, connection: &Arc<Connection>) {
        while self.check().is_err() {
            let batch = self.next();
            let mut under_way = JoinSet::new();
            for item in batch.keys() {
                let item = item.clone();
                let namespace = Arc::clone(&self.namespace);
                let session = RedisSession::ahead(Arc::clone(connection));
                under_way.spawn(async move {
                    apply(&session, &namespace, &item, Vec::new()).await.outcome
                });
            }
            while let Some(delivered) = under_way.join_next().await {
                match delivered {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) if error.is_transient() => {
                        tracing::debug!("an invalidation still waits for redis: {error}");
                        return;
                    }
                    // Redis will never accept this invalidation: report the loss instead of
                    // retrying forever.
                    Ok(Err(error)) => self.observer.notify(&Event::InvalidationDropped(error)),
                    Err(_) => return,
                }
            }
            self.done(&batch);
        }
    }
}
