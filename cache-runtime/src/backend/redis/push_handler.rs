use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::aio::AsyncPushSender;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::generations::{ConnectionEpoch, Generations};
use crate::backend::invalidation_sink::InvalidationSink;
use crate::backend::lease_watch::LeaseWatchers;
use crate::key::Key;
use crate::key::keyspace;

/// Handles the pushes of one connection in the connection's reader, before any later reply.
pub(crate) struct PushHandler {
    generations_prefix: String,
    names_key: String,
    overrides_key: String,
    pub(super) listener: Arc<dyn InvalidationSink>,
    pub(crate) generations: Generations,
    pub(crate) watchers: Arc<LeaseWatchers>,
    /// Wakes the supervisor to check the connection, the registry and the overrides.
    pub(crate) doubt: Arc<Notify>,
    names_changed: AtomicBool,
    /// Number of possible changes of the registry.
    names_changes: AtomicU64,
    overrides_changed: AtomicBool,
    /// Set while pushes may have been missed, from the loss of a connection until the reconnection.
    unwatched: AtomicBool,
}

impl PushHandler {
    pub(crate) fn new(
        namespace: &str,
        names_key: &str,
        listener: Arc<dyn InvalidationSink>,
    ) -> Self {
        Self {
            generations_prefix: keyspace::generations(namespace),
            names_key: names_key.to_owned(),
            overrides_key: keyspace::overrides(namespace),
            listener,
            generations: Generations::default(),
            watchers: Arc::default(),
            doubt: Arc::default(),
            names_changed: AtomicBool::new(false),
            names_changes: AtomicU64::new(0),
            overrides_changed: AtomicBool::new(true),
            unwatched: AtomicBool::new(false),
        }
    }

    pub(crate) fn receive(&self, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => keys.iter().for_each(|key| self.changed(key)),
                // A push without a list of keys means that the whole database was flushed.
                _ => {
                    self.lose_names();
                    self.keep_overrides_changed();
                    self.forget_everything();
                }
            },
            PushKind::Disconnection => {
                self.lost();
                self.doubt.notify_one();
            }
            _ => {}
        }
    }

    /// Drops everything that was read on this connection.
    pub(crate) fn forget_everything(&self) {
        self.generations.clear();
        self.listener.everything_changed();
        self.watchers.notify_all();
    }

    /// Records that pushes no longer arrive, so that everything that was read may be outdated.
    pub(crate) fn lost(&self) {
        self.unwatched.store(true, Ordering::Release);
        self.names_changes.fetch_add(1, Ordering::AcqRel);
        self.generations.clear();
        self.listener.lost();
        self.watchers.notify_all();
    }

    /// Records that the connection was restored or replaced.
    pub(crate) fn reconnected(&self) {
        self.unwatched.store(false, Ordering::Release);
        self.listener.reconnected();
    }

    /// Returns `true` if the connection was lost and is not restored.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.unwatched.load(Ordering::Acquire)
    }

    /// Returns `true` if the server tracks everything that was read since `epoch` began.
    pub(crate) fn watches_since(&self, epoch: ConnectionEpoch) -> bool {
        !self.is_unwatched() && self.generations.is_of(epoch)
    }

    /// Records the loss of one of several connections, and of its server's tracking table.
    pub(crate) fn one_lost(&self) {
        self.lost();
        self.doubt.notify_one();
    }

    /// Closes flights to joiners, because pushes may have been missed.
    pub(crate) fn gap(&self) {
        self.listener.gap();
    }

    /// Reports to the invalidation sink if this connection receives pushes.
    pub(crate) fn pushes(&self, pushes: bool) {
        self.listener.pushes(pushes);
    }

    /// Returns `true` if the registry may have lost names of this process since the last call.
    pub(crate) fn names_changed(&self) -> bool {
        self.names_changed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn keep_names_changed(&self) {
        self.names_changes.fetch_add(1, Ordering::AcqRel);
        self.names_changed.store(true, Ordering::Release);
    }

    /// Number of possible changes of the registry.
    pub(crate) fn names_changes(&self) -> u64 {
        self.names_changes.load(Ordering::Acquire)
    }

    /// Returns `true` if the fleet's overrides may have changed since the last call.
    pub(crate) fn overrides_changed(&self) -> bool {
        self.overrides_changed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn keep_overrides_changed(&self) {
        self.overrides_changed.store(true, Ordering::Release);
    }

    fn lose_names(&self) {
        self.keep_names_changed();
        self.doubt.notify_one();
    }

    fn changed(&self, key: &Value) {
        let Value::BulkString(key) = key else { return };
        let Ok(key) = std::str::from_utf8(key) else {
            return;
        };
        if let Some(entry) = Key::of_lease(key) {
            self.listener.lease_changed(entry);
            self.watchers.notify(entry);
        } else if key.starts_with(&self.generations_prefix) {
            self.generations.forget(key);
            self.listener.group_changed(key);
        } else if key == self.names_key {
            self.lose_names();
        } else if key == self.overrides_key {
            self.keep_overrides_changed();
            self.doubt.notify_one();
        } else {
            self.listener.call_changed(key);
        }
    }
}

/// Returns a push sender that handles pushes in the connection's reader.
pub(super) fn on_push(
    push_handler: impl Fn() -> Option<Arc<PushHandler>> + Send + Sync + 'static,
) -> impl AsyncPushSender {
    move |push: PushInfo| {
        let Some(push_handler) = push_handler() else {
            return Ok(());
        };
        // Handling a push may drop a user's value, and a panic in that drop must not end the
        // reader.
        let receive = std::panic::AssertUnwindSafe(|| push_handler.receive(&push));
        if std::panic::catch_unwind(receive).is_err() {
            push_handler.forget_everything();
        }
        Ok::<(), std::convert::Infallible>(())
    }
}
