//! What the steady link does for the whole process, each time its server has answered. Apart from
//! who asks whether it answers: while one of these waits for a reply, that must go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::connection::Connection;
use super::session::RedisSession;

/// Wakes who does them.
#[derive(Default)]
pub(super) struct Chores {
    due: Notify,
    /// What may have changed is to be looked at, though nobody has told that it has.
    all: AtomicBool,
}

impl Chores {
    /// The server has answered.
    pub(super) fn wake(&self) {
        self.due.notify_one();
    }

    /// As [`wake`](Self::wake), where nobody would tell of changes.
    pub(super) fn wake_for_all(&self) {
        self.all.store(true, Ordering::Release);
        self.wake();
    }
}

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
