//! Renews the leases of this process, all of them in one task: a task for each would be made and
//! dropped at every miss, and those that are over would pile up wherever our thread is late.

use crate::process::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::process::background;

/// How exactly a renewal is in time; a lease lives for 100 ms at least.
const TICK: Duration = Duration::from_millis(10);

/// How long the warden stays awake with nothing to do: waking it costs a system call.
const AWAKE: u32 = 100;

/// How long it sleeps at most, whatever happens.
const NAP: Duration = Duration::from_secs(60);

static WARDEN: OnceLock<LeaseRenewer> = OnceLock::new();

/// A renewal that is due.
pub(crate) type Renew = Arc<dyn Fn(RenewalHandle) + Send + Sync>;

struct LeaseRenewer {
    duties: Arc<RenewalQueue>,
}

#[derive(Default)]
struct RenewalQueue {
    /// Bounded by the computations that hold leases.
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

/// A lease in the warden's care, until this is dropped.
pub(crate) struct RenewalGuard {
    duties: Arc<RenewalQueue>,
    id: u64,
}

/// The same, for whoever renews it.
#[derive(Clone)]
pub(crate) struct RenewalHandle {
    duties: Arc<RenewalQueue>,
    id: u64,
}

impl RenewalHandle {
    /// There is nothing to renew any more.
    pub(crate) fn end(&self) {
        self.duties.lock().remove(&self.id);
    }
}

impl Drop for RenewalGuard {
    fn drop(&mut self) {
        let ended = self.duties.lock().remove(&self.id);
        // What it holds is dropped after the lock is free.
        drop(ended);
    }
}

/// Takes a lease into care: `renew` is called `every` so often, on our runtime, and must not
/// block. `None` if there is no runtime.
pub(crate) fn take(every: Duration, renew: Renew) -> Option<RenewalGuard> {
    let warden = match WARDEN.get() {
        Some(warden) => warden,
        // One too many, in a race, has nothing to do and ends with the process.
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
                // Who comes after this finds us asleep, and wakes us.
                if self.lock().is_empty() {
                    let _ = timeout(NAP, self.wake.notified()).await;
                }
                self.asleep.store(false, Ordering::Release);
                idle = 0;
            }
        }
    }

    /// Renews what is due; whether there is anything to look after.
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
            // Whoever would send is gone.
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
