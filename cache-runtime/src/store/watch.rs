use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::key::Key;

/// Who waits for a change of which call's lease. Bounded by those who wait.
#[derive(Default)]
pub(crate) struct Watchers {
    keys: Mutex<HashMap<Key, watch::Sender<()>>>,
}

impl Watchers {
    pub(crate) fn watch(self: &Arc<Self>, key: &Key) -> Watch {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = keys
            .entry(key.clone())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        Watch {
            watchers: Arc::clone(self),
            key: key.clone(),
            changes: Some(changes),
        }
    }

    pub(crate) fn notify(&self, key: &str) {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = keys.get(key) {
            changes.send_replace(());
        }
    }

    pub(crate) fn notify_all(&self) {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        for changes in keys.values() {
            changes.send_replace(());
        }
    }
}

/// Remembers changes from its creation on, so that none between a look and a sleep is missed.
pub(crate) struct Watch {
    watchers: Arc<Watchers>,
    key: Key,
    changes: Option<watch::Receiver<()>>,
}

impl Watch {
    /// Returns at the next change, or at once if there was one since the last return.
    pub(crate) async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes {
            // The sender lives as long as a receiver does: it can't have gone.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut keys = self
            .watchers
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.changes = None;
        if keys
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            keys.remove(&self.key);
        }
    }
}
