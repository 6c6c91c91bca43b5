use crate::process::sync::Mutex;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::key::Key;
use crate::key::fingerprint::Fingerprint;
use crate::process::background;

/// Maximum number of concurrent background refreshes in one process. A refresh beyond the maximum
/// is skipped; the next call tries again.
const MOST: usize = 64;

/// Calls that this process refreshes in the background. Each call has at most one running refresh.
#[derive(Default)]
pub(crate) struct BackgroundRefreshes(Mutex<HashSet<Fingerprint>>);

/// Guard of one background refresh.
pub(crate) struct RefreshGuard {
    all: Arc<BackgroundRefreshes>,
    fingerprint: Fingerprint,
}

impl BackgroundRefreshes {
    /// Begins a refresh. Returns `None` if the call is being refreshed already, or if the maximum
    /// number of refreshes is running.
    pub(crate) fn begin(self: &Arc<Self>, key: &Key) -> Option<RefreshGuard> {
        let fingerprint = *key.fingerprint();
        let mut running = self.0.lock();
        let begun = running.len() < MOST && running.insert(fingerprint);
        begun.then(|| RefreshGuard {
            all: Arc::clone(self),
            fingerprint,
        })
    }
}

impl Drop for RefreshGuard {
    fn drop(&mut self) {
        let mut running = self.all.0.lock();
        running.remove(&self.fingerprint);
    }
}

/// Runs `permit` in the background. `permit` runs on the caller's runtime, because `permit` may
/// need the drivers of that runtime. Otherwise `permit` runs on a blocking thread of the background
/// runtime. On the background runtime's own thread, `permit` would block all connections, and would
/// deadlock when `permit` calls a plain cached function.
pub(crate) fn spawn(permit: impl Future<Output = ()> + Send + 'static) {
    let Ok(ours) = background::handle() else {
        return;
    };
    match Handle::try_current() {
        Ok(runtime) if runtime.id() != ours.id() => drop(background::spawn_on(&runtime, permit)),
        // The caller has no runtime, or the caller is itself a refresh.
        _ => drop(ours.spawn_blocking(|| ours.block_on(permit))),
    }
}

/// Runs the plain function `permit` in the background, on a thread that may block.
pub(crate) fn spawn_blocking(permit: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = background::handle() {
        drop(runtime.spawn_blocking(permit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_refreshed_once_at_a_time_and_not_too_many_are() {
        let all = Arc::<BackgroundRefreshes>::default();
        let key = |id: usize| Key::of(&format!("ns:user:{id}"));
        let first = all.begin(&key(0));
        assert!(first.is_some() && all.begin(&key(0)).is_none());
        let others: Vec<_> = (1..MOST).map(|id| all.begin(&key(id))).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(all.begin(&key(MOST)).is_none());
        drop(first);
        assert!(all.begin(&key(MOST)).is_some());
    }
}
