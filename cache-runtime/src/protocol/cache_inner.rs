use crate::process::sync::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::any_backend::AnyBackend;
use crate::key::secret::Secret;
use crate::process;
use crate::protocol::process_state::ProcessState;
use crate::protocol::refresh::BackgroundRefreshes;
use crate::registry::failure_reporter::FailureReporter;
use crate::telemetry::event::Event;

/// State that all handles of one cache share.
pub(crate) struct CacheInner {
    pub(crate) namespace: Arc<str>,
    pub(crate) backend: AnyBackend,
    pub(crate) process: Arc<ProcessState>,
    pub(crate) defaults: Defaults,
    /// Maximum size of an entry's payload, in bytes.
    pub(crate) max_value_size: u64,
    pub(crate) refreshes: Arc<BackgroundRefreshes>,
    pub(crate) secret: Secret,
    /// Maximum time that a call waits for the server.
    pub(crate) patience: Duration,
    /// Reporter of keys by hand that cannot be used.
    pub(crate) misuse: FailureReporter,
    /// `true` if this process is a fork and the fork was reported.
    pub(crate) forked: AtomicBool,
    /// Patterns that match no function and that were already reported.
    pub(crate) warned: Mutex<HashSet<String>>,
}

/// Default values for options that a policy does not set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) lease: Duration,
    pub(crate) lease_wait: Duration,
}

impl CacheInner {
    /// Returns `true` if calls must bypass the cache because this process is a fork.
    pub(crate) fn is_forked(&self) -> bool {
        if !process::is_forked() {
            return false;
        }
        // Copies are disabled without a lock, because a thread of the parent may hold the lock.
        self.process.distrust();
        if !self.forked.swap(true, Ordering::Relaxed) {
            self.process.observer.notify(&Event::Forked);
        }
        true
    }

    /// Returns the key of the hash of secret arguments.
    pub(crate) fn secret(&self) -> &Secret {
        if self.secret.is_unreported() {
            self.process.observer.notify(&Event::SecretNotShared);
        }
        &self.secret
    }
}
