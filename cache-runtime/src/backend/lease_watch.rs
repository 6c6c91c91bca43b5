use crate::process::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::key::Key;

/// Waiters for a change of a call's lease, by call. Bounded by the number of waiters.
#[derive(Default)]
pub(crate) struct LeaseWatchers {
    keys: Mutex<HashMap<Key, watch::Sender<()>>>,
}

impl LeaseWatchers {
    pub(crate) fn watch(self: &Arc<Self>, key: &Key) -> LeaseWatch {
        let mut keys = self.keys.lock();
        let changes = keys
            .entry(key.clone())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        LeaseWatch {
            watchers: Arc::clone(self),
            key: key.clone(),
            changes: Some(changes),
        }
    }

    pub(crate) fn notify(&self, key: &str) {
        let keys = self.keys.lock();
        let changes = keys.get(key).cloned();
        // Waiters are woken after the lock is released, because a woken waiter may be polled and
        // dropped immediately.
        drop(keys);
        if let Some(changes) = changes {
            changes.send_replace(());
        }
    }

    pub(crate) fn notify_all(&self) {
        let keys = self.keys.lock();
        let all: Vec<_> = keys.values().cloned().collect();
        drop(keys);
        for changes in all {
            changes.send_replace(());
        }
    }
}

/// A watch of a lease. The watch records changes from its creation on, so that no change between a
/// lookup and a wait is missed.
pub(crate) struct LeaseWatch {
    watchers: Arc<LeaseWatchers>,
    key: Key,
    changes: Option<watch::Receiver<()>>,
}

impl LeaseWatch {
    /// Waits for the next change, or returns immediately if there was one since the last return.
    pub(crate) async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes {
            // The sender lives at least as long as any receiver.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        let mut keys = self.watchers.keys.lock();
        self.changes = None;
        if keys
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::Future;
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};
    use std::time::Duration;

    /// A waker that polls immediately.
    struct Eager(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

    impl Wake for Eager {
        fn wake(self: Arc<Self>) {
            let waiting = self.0.lock().take();
            if let Some(mut waiting) = waiting {
                let poll = waiting
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                assert!(poll.is_ready());
            }
        }
    }

    #[test]
    fn who_is_woken_may_go_on_the_spot() {
        for all in [false, true] {
            let (send, gone) = mpsc::channel();
            std::thread::spawn(move || {
                let watchers = Arc::<LeaseWatchers>::default();
                let mut watch = watchers.watch(&Key::of("ns:user:1"));
                let mut waiting = Box::pin(async move { watch.changed().await });
                let eager = Arc::new(Eager(Mutex::default()));
                let waker = Waker::from(Arc::clone(&eager));
                assert!(
                    waiting
                        .as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_pending()
                );
                *eager.0.lock() = Some(waiting);
                match all {
                    true => watchers.notify_all(),
                    false => watchers.notify("ns:user:1"),
                }
                let left = watchers.keys.lock().len();
                send.send(left).expect("somebody listens");
            });
            assert_eq!(gone.recv_timeout(Duration::from_secs(20)), Ok(0));
        }
    }
}
