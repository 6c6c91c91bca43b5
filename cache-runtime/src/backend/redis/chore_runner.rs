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

/// Does them; ends with its link.
pub(super) async fn run(link: Weak<Connection>, chores: Arc<Chores>) {
    loop {
        chores.due.notified().await;
        let Some(link) = link.upgrade() else { return };
        let all = chores.all.swap(false, Ordering::AcqRel);
        link.queue.deliver(&link).await;
        if link.inbox.names_changed() || all {
            announce_all(&link).await;
        }
        if link.inbox.settings_changed() || all {
            read_settings(&link).await;
        }
    }
}

/// Learns what the fleet has set.
async fn read_settings(link: &Arc<Connection>) {
    let told = link.inbox.listener.settings_told();
    match RedisSession::ahead(Arc::clone(link)).fleet_settings().await {
        Ok(all) => {
            if !link.inbox.listener.settings(told, all) {
                // A change of our own was told meanwhile.
                link.inbox.keep_settings_changed();
                link.doubt.notify_one();
            }
        }
        Err(error) => {
            // Tried again with the next heartbeat.
            link.inbox.keep_settings_changed();
            tracing::debug!("the fleet's settings could not be read: {error}");
        }
    }
}

/// Makes sure that the fleet knows our functions' names.
async fn announce_all(link: &Arc<Connection>) {
    let names = link.names.announced();
    if !names.is_empty()
        && let Err(error) = RedisSession::ahead(Arc::clone(link))
            .announce_names(&names, true)
            .await
    {
        // Tried again with the next heartbeat.
        link.inbox.keep_names_changed();
        tracing::debug!("the names of the functions could not be announced: {error}");
    }
}

impl InvalidationOutbox {
    /// Tells the server of all that waits, over this link; then everybody trusts it again.
    ///
    /// Nothing has to be forgotten then: what began to be read before they were made was
    /// forgotten with them, and since then nothing was read.
    pub(super) async fn deliver(&self, link: &Arc<Connection>) {
        while self.check().is_err() {
            let batch = self.next();
            let mut under_way = JoinSet::new();
            for item in batch.keys() {
                let item = item.clone();
                let namespace = Arc::clone(&self.namespace);
                let way = RedisSession::ahead(Arc::clone(link));
                under_way
                    .spawn(async move { apply(&way, &namespace, &item, Vec::new()).await.outcome });
            }
            while let Some(delivered) = under_way.join_next().await {
                match delivered {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) if error.is_passing() => {
                        tracing::debug!("an invalidation still waits for redis: {error}");
                        return;
                    }
                    // It will never be taken: better to say so than to wait for ever.
                    Ok(Err(error)) => self.observer.tell(&Event::InvalidationDropped(error)),
                    Err(_) => return,
                }
            }
            self.done(&batch);
        }
    }
}
