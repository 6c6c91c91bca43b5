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

/// Where the pushes of one connection arrive: in its reader, before any later reply.
pub(crate) struct PushHandler {
    generations_prefix: String,
    names_key: String,
    overrides_key: String,
    pub(super) listener: Arc<dyn InvalidationSink>,
    pub(crate) generations: Generations,
    pub(crate) watchers: Arc<LeaseWatchers>,
    /// The connection may be gone, or the fleet's names: look.
    pub(crate) doubt: Arc<Notify>,
    names_changed: AtomicBool,
    /// How often that was so.
    names_changes: AtomicU64,
    overrides_changed: AtomicBool,
    /// Notifies the supervisor that something may be outdated.
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
                // No list of keys: the whole database was flushed.
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

    /// Nothing read before this can be trusted any more.
    pub(crate) fn forget_everything(&self) {
        self.generations.clear();
        self.listener.everything_changed();
        self.watchers.notify_all();
    }

    /// Everything that was read may be outdated.
    pub(crate) fn lost(&self) {
        self.unwatched.store(true, Ordering::Release);
        self.names_changes.fetch_add(1, Ordering::AcqRel);
        self.generations.clear();
        self.listener.lost();
        self.watchers.notify_all();
    }

    /// The connection is back, or another in its place.
    pub(crate) fn reconnected(&self) {
        self.unwatched.store(false, Ordering::Release);
        self.listener.reconnected();
    }

    /// Returns `true` if it was lost, and not found since.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.unwatched.load(Ordering::Acquire)
    }

    /// Returns `true` if what was read since this connection began is watched over.
    pub(crate) fn watches_since(&self, epoch: ConnectionEpoch) -> bool {
        !self.is_unwatched() && self.generations.is_of(epoch)
    }

    /// One of several connections is gone, and what its server watched over for us.
    pub(crate) fn one_lost(&self) {
        self.lost();
        self.doubt.notify_one();
    }

    /// Computations that began unwatched take no more joiners.
    pub(crate) fn gap(&self) {
        self.listener.gap();
    }

    /// Returns `true` if this connection receives pushes.
    pub(crate) fn pushes(&self, pushes: bool) {
        self.listener.pushes(pushes);
    }

    /// Returns `true` if our names may be missing from the fleet's since the last time this was
    /// asked.
    pub(crate) fn names_changed(&self) -> bool {
        self.names_changed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn keep_names_changed(&self) {
        self.names_changes.fetch_add(1, Ordering::AcqRel);
        self.names_changed.store(true, Ordering::Release);
    }

    /// How often the fleet's names may have changed.
    pub(crate) fn names_changes(&self) -> u64 {
        self.names_changes.load(Ordering::Acquire)
    }

    /// Returns `true` if the fleet may have set something since the last time this was asked.
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

/// Hears what a connection is pushed, in its reader.
pub(super) fn on_push(
    push_handler: impl Fn() -> Option<Arc<PushHandler>> + Send + Sync + 'static,
) -> impl AsyncPushSender {
    move |push: PushInfo| {
        let Some(push_handler) = push_handler() else {
            return Ok(());
        };
        // What is dropped in there may be a user's value: its panic must not end the reader.
        let receive = std::panic::AssertUnwindSafe(|| push_handler.receive(&push));
        if std::panic::catch_unwind(receive).is_err() {
            push_handler.forget_everything();
        }
        Ok::<(), std::convert::Infallible>(())
    }
}
