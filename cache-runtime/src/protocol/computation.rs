//! Running computations. Each thread lists the calls that it computes, so that a nested call does
//! not wait for itself. A watch detects computations that are no longer polled.

use crate::process::sync::{Mutex, MutexGuard};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use crate::key::fingerprint::Fingerprint;

/// Id of a call that is being computed. Includes the cache, because two caches may have the same
/// keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId {
    pub(crate) cache: u64,
    pub(crate) key: Fingerprint,
}

thread_local! {
    /// Calls that this thread is computing, the innermost last.
    static WITHIN: RefCell<Vec<CallId>> = const { RefCell::new(Vec::new()) };
}

/// Returns `true` if this thread is computing `call`.
pub(crate) fn is_within(call: CallId) -> bool {
    let within = |calls: &RefCell<Vec<_>>| calls.borrow().contains(&call);
    WITHIN.try_with(within).unwrap_or(false)
}

/// Returns the calls that this thread is computing.
pub(crate) fn within() -> Vec<CallId> {
    let within = |calls: &RefCell<Vec<_>>| calls.borrow().clone();
    WITHIN.try_with(within).unwrap_or_default()
}

/// Computes a call of a plain function.
pub(crate) fn run<T>(call: CallId, compute: impl FnOnce() -> T) -> T {
    let _within = ActiveCall::enter(call);
    compute()
}

/// Computes a call of an async function. `pulse` is the watch of the call's flight, if there is a
/// flight.
pub(crate) async fn drive<F: Future>(
    call: CallId,
    pulse: Option<Arc<PollWatch>>,
    mut compute: Pin<&mut F>,
) -> F::Output {
    let waker = pulse.clone().map(Waker::from);
    poll_fn(|context| {
        let _within = ActiveCall::enter(call);
        let (Some(pulse), Some(waker)) = (&pulse, &waker) else {
            return compute.as_mut().poll(context);
        };
        let _beat = pulse.beat(context.waker());
        compute.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

/// Guard that marks a call as computed by this thread.
pub(crate) struct ActiveCall(());

impl ActiveCall {
    pub(crate) fn enter(call: CallId) -> Self {
        let enter = |calls: &RefCell<Vec<_>>| calls.borrow_mut().push(call);
        // A thread that is about to end has no thread-locals.
        let _ = WITHIN.try_with(enter);
        Self(())
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let _ = WITHIN.try_with(|calls| calls.borrow_mut().pop());
    }
}

/// Watch that distinguishes a computation that waits or is busy from a computation that is no
/// longer polled.
pub(crate) struct PollWatch {
    begun: Instant,
    polled: Mutex<Polled>,
}

#[derive(Default)]
struct Polled {
    /// The waker of the task that polls.
    waker: Option<Waker>,
    /// Time since which a poll is due; `None` if nothing has woken the computation since the last
    /// poll.
    due: Option<Instant>,
    /// `true` while the computation is being polled.
    busy: bool,
}

/// Guard during which the computation is being polled.
struct PollGuard<'a>(&'a PollWatch);

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        let mut polled = self.0.lock();
        polled.busy = false;
        // If the computation was woken during this poll, the next poll could not begin before now.
        if let Some(due) = &mut polled.due {
            *due = Instant::now();
        }
    }
}

impl PollWatch {
    /// Creates the watch of a computation that begins now.
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            polled: Mutex::default(),
        })
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Returns `true` if the computation was woken at least `limit` ago and has not been polled
    /// since.
    pub(crate) fn is_stalled(&self, limit: Duration) -> bool {
        let polled = self.lock();
        !polled.busy && polled.due.is_some_and(|due| due.elapsed() >= limit)
    }

    /// Records that the task of the waker `by` polls the computation, until the guard is dropped.
    fn beat(&self, by: &Waker) -> PollGuard<'_> {
        let mut polled = self.lock();
        polled.due = None;
        polled.busy = true;
        let known = polled
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(by));
        drop(polled);
        if !known {
            // Cloning and dropping a waker runs foreign code, so no lock is held.
            let waker = by.clone();
            let before = self.lock().waker.replace(waker);
            drop(before);
        }
        PollGuard(self)
    }

    fn lock(&self) -> MutexGuard<'_, Polled> {
        self.polled.lock()
    }
}

impl Wake for PollWatch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut polled = self.lock();
        polled.due.get_or_insert_with(Instant::now);
        // The waker is woken outside the lock, because waking may poll at once. The next poll
        // provides a waker again.
        let waker = polled.waker.take();
        drop(polled);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::task::Poll;

    fn calling(cache: u64, key: &str) -> CallId {
        let key = Fingerprint::of(key);
        CallId { cache, key }
    }

    #[test]
    fn a_thread_is_within_a_call_while_it_computes_it_and_no_longer() {
        let (outer, inner) = (calling(0, "ns:a"), calling(0, "ns:b"));
        run(outer, || {
            run(inner, || assert!(is_within(outer) && is_within(inner)));
            assert!(is_within(outer) && !is_within(inner));
            assert!(!is_within(calling(1, "ns:a")), "of another cache");
        });
        assert!(!is_within(outer));
        let _ = std::panic::catch_unwind(|| run(outer, || panic!("on purpose")));
        assert!(!is_within(outer));
    }

    #[test]
    fn a_computation_is_stalled_once_it_is_woken_and_not_polled() {
        let call = calling(0, "ns:a");
        let pulse = PollWatch::begin();
        let mut wakers = Vec::new();
        let compute = poll_fn(|context| {
            assert!(is_within(call));
            wakers.push(context.waker().clone());
            Poll::<()>::Pending
        });
        let mut compute = std::pin::pin!(compute);
        {
            let mut driven =
                std::pin::pin!(drive(call, Some(Arc::clone(&pulse)), compute.as_mut()));
            let mut poll = || {
                driven
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
            };
            assert!(poll().is_pending() && !is_within(call));
            assert!(!pulse.is_stalled(Duration::ZERO), "nothing has woken it");
            Waker::from(Arc::clone(&pulse)).wake();
            assert!(pulse.is_stalled(Duration::ZERO));
            assert!(!pulse.is_stalled(Duration::from_secs(60)));
            assert!(poll().is_pending());
            assert!(!pulse.is_stalled(Duration::ZERO), "it has been polled");
        }
        assert_eq!(wakers.len(), 2);
    }

    /// Waker that counts its wake-ups.
    #[derive(Default)]
    struct Counts(std::sync::atomic::AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn a_computation_wakes_whoever_has_polled_it_last() {
        let pulse = PollWatch::begin();
        let [one, two] = [(); 2].map(|()| Arc::<Counts>::default());
        let woken = || [&one, &two].map(|by| by.0.load(std::sync::atomic::Ordering::SeqCst));
        let poll = |by: &Arc<Counts>| drop(pulse.beat(&Waker::from(Arc::clone(by))));
        let wake = || Waker::from(Arc::clone(&pulse)).wake();
        poll(&one);
        wake();
        assert_eq!(woken(), [1, 0]);
        poll(&one);
        poll(&two);
        wake();
        assert_eq!(woken(), [1, 1]);
        // The task is woken once for each poll.
        wake();
        assert_eq!(woken(), [1, 1]);
        poll(&one);
        wake();
        assert_eq!(woken(), [2, 1]);
    }

    #[test]
    fn a_computation_is_not_stalled_while_it_is_polled() {
        let pulse = PollWatch::begin();
        let waker = Waker::from(Arc::clone(&pulse));
        let beat = pulse.beat(Waker::noop());
        waker.wake_by_ref();
        assert!(!pulse.is_stalled(Duration::ZERO), "it may be busy for long");
        std::thread::sleep(Duration::from_millis(300));
        drop(beat);
        assert!(pulse.is_stalled(Duration::ZERO), "it was woken meanwhile");
        let limit = Duration::from_millis(290);
        assert!(!pulse.is_stalled(limit), "nobody could poll it before");
    }
}
