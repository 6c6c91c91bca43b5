//! What the steady link does for the whole process, each time its server has answered. Apart from
//! who asks whether it answers: while one of these waits for a reply, that must go on.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Wakes who does them.
#[derive(Default)]
pub(super) struct Chores {
    pub(super) due: Notify,
    /// What may have changed is to be looked at, though nobody has told that it has.
    pub(super) all: AtomicBool,
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
