//! Renews all leases of this process in one task. A task per lease would be created and dropped at
//! every miss, and ended tasks would pile up whenever the background thread is late.

use crate::process::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::process::background;

/// Precision of a renewal. A lease lives for at least 100 ms, so 10 ms are precise enough.
const TICK: Duration = Duration::from_millis(10);

/// Number of ticks that the renewer stays awake without work, because a wake-up costs a system
/// call.
const AWAKE: u32 = 100;

/// Maximum duration of one sleep of the renewer.
const NAP: Duration = Duration::from_secs(60);

static WARDEN: OnceLock<LeaseRenewer> = OnceLock::new();

/// Callback that renews a lease when the renewal is due.
pub(crate) type Renew = Arc<dyn Fn(RenewalHandle) + Send + Sync>;

struct LeaseRenewer {
    duties: Arc<RenewalQueue>,
}

#[derive(Default)]
struct RenewalQueue {
    /// Renewals of all held leases. The number of renewals is bounded by the number of held leases.
    all: Mutex<HashMap<u64, DueRenewal>>,
    count: AtomicU64,
    asleep: AtomicBool,
    wake: Notify,
}

struct DueRenewal {
    at: Instant,
    every: Duration,
    renew: Renew,
}

/// Guard of a renewal. The renewer renews the lease until the guard is dropped.
pub(crate) struct RenewalGuard {
    duties: Arc<RenewalQueue>,
    id: u64,
}

/// The renewer's handle of a lease.
#[derive(Clone)]
pub(crate) struct RenewalHandle {
    duties: Arc<RenewalQueue>,
    id: u64,
}

impl RenewalHandle {
    /// Ends the renewal.
    pub(crate) fn end(&self) {
        self.duties.lock().remove(&self.id);
    }
}

impl Drop for RenewalGuard {
    fn drop(&mut self) {
        let ended = self.duties.lock().remove(&self.id);
        // The renewal is dropped after the lock is released.
        drop(ended);
    }
}

/// Renews a lease: calls `renew` at the interval `every` on the background runtime. `renew` must
/// not block. Returns `None` if the background runtime cannot start.
pub(crate) fn take(every: Duration, renew: Renew) -> Option<RenewalGuard> {
    let warden = match WARDEN.get() {
        Some(warden) => warden,
        // If two threads race, the second task never gets a lease to renew.
        None => {
            let started = LeaseRenewer::start()?;
            WARDEN.get_or_init(|| started)
        }
    };
    let duties = Arc::clone(&warden.duties);
    let id = duties.count.fetch_add(1, Ordering::Relaxed);
    let at = Instant::now() + every;
    duties.lock().insert(id, DueRenewal { at, every, renew });
    if duties.asleep.swap(false, Ordering::AcqRel) {
        duties.wake.notify_one();
    }
    Some(RenewalGuard { duties, id })
}

impl LeaseRenewer {
    fn start() -> Option<Self> {
        let duties = Arc::<RenewalQueue>::default();
        let runtime = background::handle().ok()?;
        background::spawn_on(runtime, Arc::clone(&duties).run());
        Some(Self { duties })
    }
}

impl RenewalQueue {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, DueRenewal>> {
        self.all.lock()
    }

    async fn run(self: Arc<Self>) {
        let mut idle = 0;
        loop {
            sleep(TICK).await;
            idle = if self.renew_all() { 0 } else { idle + 1 };
            if idle > AWAKE {
                self.asleep.store(true, Ordering::Release);
                // A later lease wakes the sleeping renewer.
                if self.lock().is_empty() {
                    let _ = timeout(NAP, self.wake.notified()).await;
                }
                self.asleep.store(false, Ordering::Release);
                idle = 0;
            }
        }
    }

    /// Renews the leases that are due. Returns `true` if any lease is held.
    fn renew_all(self: &Arc<Self>) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        let some = !all.is_empty();
        let mut due = Vec::new();
        for (id, one) in all.iter_mut().filter(|(_, one)| one.at <= now) {
            one.at = now + one.every;
            due.push((*id, Arc::clone(&one.renew)));
        }
        drop(all);
        for (id, renew) in due {
            renew(RenewalHandle {
                duties: Arc::clone(self),
                id,
            });
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_is_in_care_is_renewed_until_it_ends() {
        for round in 0..3 {
            let (send, renewed) = mpsc::channel();
            let ward = take(
                Duration::from_millis(20),
                Arc::new(move |_| send.send(()).unwrap_or_default()),
            );
            assert!(ward.is_some());
            for _ in 0..3 {
                assert!(renewed.recv_timeout(PATIENCE).is_ok(), "{round}");
            }
            drop(ward);
            // The sender has been dropped.
            while renewed.recv_timeout(PATIENCE).is_ok() {}
            assert_eq!(renewed.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        }
    }

    #[test]
    fn one_that_was_given_up_is_renewed_no_more() {
        let (send, renewed) = mpsc::channel();
        let every = Duration::from_millis(10);
        let _ward = take(
            every,
            Arc::new(move |duty: RenewalHandle| {
                duty.end();
                send.send(()).unwrap_or_default();
            }),
        );
        assert!(renewed.recv_timeout(PATIENCE).is_ok());
        assert!(renewed.recv_timeout(PATIENCE).is_err());
    }
}
