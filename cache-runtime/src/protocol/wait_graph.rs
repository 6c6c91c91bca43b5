//! The graph of computations of this process that wait for calls. A wait that would close a cycle
//! is rejected, so that two functions that call each other do not deadlock.

use crate::process::sync::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::protocol::computation::{self, CallId};

/// The graph of all caches, because a computation of one cache may call a function of another.
static WAITS: LazyLock<WaitGraph> = LazyLock::new(WaitGraph::default);

/// The waits of a process. The number of waits is bounded by the number of callers, because a
/// caller's future owns the wait.
#[derive(Default)]
struct WaitGraph(Mutex<HashMap<CallId, Vec<CallId>>>);

/// Guard of a wait of computations for a call. The wait ends when the guard is dropped.
pub(crate) struct WaitGuard {
    waits: &'static WaitGraph,
    waiting: Vec<CallId>,
    call: CallId,
}

/// Returns a guard if the caller may wait for `call`. Returns `None` if the computation of `call`
/// waits for the computation that the caller is part of.
///
/// Computations are identified by the polling thread, so a task that a computation has spawned is
/// not recognised as a part of the computation.
pub(crate) fn enter(call: CallId) -> Option<WaitGuard> {
    WAITS.enter(computation::within(), call)
}

impl WaitGraph {
    fn enter(&'static self, waiting: Vec<CallId>, call: CallId) -> Option<WaitGuard> {
        if !waiting.is_empty() {
            let mut waits = self.lock();
            if is_reached(&waits, call, &waiting) {
                return None;
            }
            for waiter in &waiting {
                waits.entry(*waiter).or_default().push(call);
            }
        }
        Some(WaitGuard {
            waits: self,
            waiting,
            call,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Vec<CallId>>> {
        self.0.lock()
    }
}

/// Returns `true` if `call` is one of `waiting`, or waits for a call in `waiting`.
fn is_reached(waits: &HashMap<CallId, Vec<CallId>>, call: CallId, waiting: &[CallId]) -> bool {
    let mut reached = HashSet::from([call]);
    let mut next = vec![call];
    while let Some(call) = next.pop() {
        if waiting.contains(&call) {
            return true;
        }
        let further = waits.get(&call).into_iter().flatten();
        next.extend(further.copied().filter(|call| reached.insert(*call)));
    }
    false
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waits = self.waits.lock();
        for waiter in &self.waiting {
            let Some(calls) = waits.get_mut(waiter) else {
                continue;
            };
            if let Some(at) = calls.iter().position(|call| *call == self.call) {
                calls.swap_remove(at);
            }
            if calls.is_empty() {
                waits.remove(waiter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::key::fingerprint::Fingerprint;

    fn calling(key: &str) -> CallId {
        let key = Fingerprint::of(key);
        CallId { cache: 0, key }
    }

    fn waits() -> &'static WaitGraph {
        Box::leak(Box::default())
    }

    #[test]
    fn the_wait_that_would_close_a_circle_is_refused() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(calling);
        let waits = waits();
        let first = waits.enter(vec![a], b).expect("nothing waits yet");
        let second = waits.enter(vec![b], c).expect("no circle");
        assert!(waits.enter(vec![c], a).is_none(), "a, b, c, a");
        assert!(waits.enter(vec![d, c], b).is_none(), "c waits for itself");
        assert!(waits.enter(vec![a], a).is_none());
        // The same wait from another computation closes no cycle.
        let third = waits.enter(vec![d], a);
        assert!(third.is_some());
        drop(second);
        assert!(waits.enter(vec![c], a).is_some(), "b waits no more");
        drop((first, third));
        assert!(waits.lock().is_empty());
    }

    #[test]
    fn what_a_thread_computes_waits_for_what_it_asks() {
        let [a, b] = ["waits.a", "waits.b"].map(calling);
        computation::run(a, || {
            assert_eq!(computation::within(), [a]);
            assert!(enter(a).is_none(), "it would wait for itself");
            let first = enter(b).expect("nobody waits for it");
            computation::run(b, || assert!(enter(a).is_none(), "it waits for this"));
            drop(first);
        });
        assert!(enter(a).is_some() && computation::within().is_empty());
    }

    #[test]
    fn all_computations_of_a_caller_wait_and_each_as_often_as_it_does() {
        let [a, b, c] = ["a", "b", "c"].map(calling);
        let waits = waits();
        let one = waits.enter(vec![a, b], c);
        let two = waits.enter(vec![b], c);
        drop(one);
        assert!(waits.enter(vec![c], a).is_some(), "a waits no more");
        assert!(waits.enter(vec![c], b).is_none(), "b waits twice");
        drop(two);
        assert!(waits.enter(vec![c], b).is_some());
    }
}
