//! Chores of the background connection for the whole process, due each time its server has replied.
//! The chores run apart from the heartbeat, which must go on while a chore waits for a reply.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Wakes the task that runs the chores.
#[derive(Default)]
pub(super) struct Chores {
    pub(super) due: Notify,
    /// Requests that names and overrides are checked although no push has reported a change.
    pub(super) all: AtomicBool,
}

impl Chores {
    /// Wakes the chore runner. Called when the server has replied.
    pub(super) fn wake(&self) {
        self.due.notify_one();
    }

    /// Like [`wake`](Self::wake), for when the server may not have pushed all changes: requests
    /// that everything is checked.
    pub(super) fn wake_for_all(&self) {
        self.all.store(true, Ordering::Release);
        self.wake();
    }
}
