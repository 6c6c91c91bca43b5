use crate::process::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use quick_cache::DefaultHashBuilder;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::invalidation::group::Group;
use crate::key::Key;
use crate::key::fingerprint::Fingerprint;
use crate::process::background;
use crate::protocol::computation::PollWatch;
use crate::values::value_kind::Erased;

const SHARDS: usize = 16;

/// The flights of this process, by key. At most one flight of a key takes joiners.
///
/// The number of flights is bounded by the number of callers, because a flight lives in the future
/// of its leader.
pub(crate) struct SingleFlight {
    hasher: DefaultHashBuilder,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<Fingerprint, Arc<Flight>, DefaultHashBuilder>;

/// The running computation of one call in this process.
pub(crate) struct Flight {
    key: Key,
    groups: Arc<[Group]>,
    followers: AtomicUsize,
    /// `true` if the stored entry has changed since the leader last began to read the entry.
    touched: AtomicBool,
    /// Watch of the computation, which begins after the look and the claim.
    pulse: OnceLock<Arc<PollWatch>>,
    state: Mutex<FlightState>,
    changed: Notify,
    /// Semaphore of the followers that compute after the flight has failed.
    width: OnceLock<Arc<Semaphore>>,
}

enum FlightState {
    Flying,
    Over(FlightResult),
}

/// Result of a flight.
#[derive(Clone)]
pub(crate) enum FlightResult {
    /// A value for all followers.
    Landed(Erased),
    /// A failure, or `None` if the failure cannot be shared. A failure that concerns only the
    /// leader does not predict the result of the next attempt.
    Failed(Option<Erased>),
    /// No result: the leader panicked, was dropped, or was no longer polled.
    Abandoned,
}

/// Maximum number of followers that compute concurrently after a flight has failed.
const WIDTH: usize = 16;

/// Role of a caller in a flight.
pub(crate) enum FlightRole {
    Leader(Leader),
    Follow(Follower),
}

impl SingleFlight {
    pub(crate) fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Joins the flight of `key`. If no flight takes joiners, opens a flight and returns the
    /// leader.
    pub(crate) fn join(self: &Arc<Self>, key: &Key, groups: &Arc<[Group]>) -> FlightRole {
        match self.shard(key.fingerprint()).entry(*key.fingerprint()) {
            Entry::Occupied(entry) => {
                let flight = Arc::clone(entry.get());
                flight.followers.fetch_add(1, Ordering::Relaxed);
                FlightRole::Follow(Follower { flight })
            }
            Entry::Vacant(entry) => {
                let flight = Flight::new(key, groups);
                entry.insert(Arc::clone(&flight));
                FlightRole::Leader(Leader::new(self, flight))
            }
        }
    }

    /// Opens a flight that takes no joiners, and closes the current flight of `key` to joiners.
    pub(crate) fn replace(self: &Arc<Self>, key: &Key, groups: &Arc<[Group]>) -> Leader {
        self.close_to_joiners(key);
        self.detached(key, groups)
    }

    /// Opens a flight that takes no joiners. The current flight of `key` stays open to joiners.
    pub(crate) fn detached(self: &Arc<Self>, key: &Key, groups: &Arc<[Group]>) -> Leader {
        Leader::new(self, Flight::new(key, groups))
    }

    /// Closes the flight of `key`, if any, to joiners.
    pub(crate) fn close_to_joiners(&self, key: &Key) {
        self.shard(key.fingerprint()).remove(key.fingerprint());
    }

    /// Closes the flight of a key to joiners, by the key's text.
    pub(crate) fn close_by_text(&self, key: &str) {
        let fingerprint = Fingerprint::of(key);
        self.shard(&fingerprint).remove(&fingerprint);
    }

    /// Closes to joiners the flight of a follower that has waited too long. A later flight of `key`
    /// stays open.
    pub(crate) fn give_up(&self, key: &Key, follower: &Follower) {
        let mut shard = self.shard(key.fingerprint());
        if follower.flight.is_in(&shard) {
            shard.remove(key.fingerprint());
        }
    }

    /// Marks the flight of `key` stale, because the entry has changed. The flight's leader must
    /// read again.
    pub(crate) fn mark_stale(&self, key: &str) {
        let fingerprint = Fingerprint::of(key);
        if let Some(flight) = self.shard(&fingerprint).get(&fingerprint) {
            flight.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Closes every flight for which `gone` returns `true` to joiners.
    pub(crate) fn close_where(&self, gone: impl Fn(&Key, &[Group]) -> bool) {
        for shard in &self.shards {
            lock(shard).retain(|_, flight| !gone(&flight.key, &flight.groups));
        }
    }

    fn shard(&self, fingerprint: &Fingerprint) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(fingerprint);
        // The shard is chosen by middle bits, because the maps use the lowest and the highest bits.
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock()
}

impl Flight {
    fn new(key: &Key, groups: &Arc<[Group]>) -> Arc<Self> {
        Arc::new(Self {
            key: key.clone(),
            groups: Arc::clone(groups),
            followers: AtomicUsize::new(0),
            touched: AtomicBool::new(false),
            pulse: OnceLock::new(),
            state: Mutex::new(FlightState::Flying),
            changed: Notify::new(),
            width: OnceLock::new(),
        })
    }

    fn is_in(&self, shard: &Shard) -> bool {
        shard
            .get(self.key.fingerprint())
            .is_some_and(|flight| std::ptr::eq(&**flight, self))
    }

    fn end(&self, result: FlightResult) {
        *self.state.lock() = FlightState::Over(result);
        self.changed.notify_waiters();
    }
}

/// A caller that waits for another caller's flight.
pub(crate) struct Follower {
    flight: Arc<Flight>,
}

impl Follower {
    /// Waits for the result of the flight.
    pub(crate) async fn result(&self) -> FlightResult {
        loop {
            let mut changed = std::pin::pin!(self.flight.changed.notified());
            // The follower registers before the check, so that a result in between is not missed.
            changed.as_mut().enable();
            match &*self.flight.state.lock() {
                FlightState::Flying => {}
                FlightState::Over(result) => return result.clone(),
            }
            changed.await;
        }
    }

    /// Returns the start of the computation, if it has begun.
    pub(crate) fn begun(&self) -> Option<Instant> {
        Some(self.flight.pulse.get()?.begun())
    }

    /// Waits at most `limit` for a permit to compute after a failed flight, so that no follower
    /// waits for all others. Returns `None` if no permit is free in time.
    pub(crate) async fn turn(&self, limit: Duration) -> Option<OwnedSemaphorePermit> {
        let width = self
            .flight
            .width
            .get_or_init(|| Arc::new(Semaphore::new(WIDTH)));
        let turn = Arc::clone(width).acquire_owned();
        background::timeout(limit, turn).ok()?.await.ok()?.ok()
    }
}

/// The leader of a flight. If the leader is dropped before the flight has a result, the flight is
/// abandoned, and one follower takes over.
pub(crate) struct Leader {
    flights: Arc<SingleFlight>,
    flight: Arc<Flight>,
    over: bool,
    /// `true` if the flight is closed to joiners.
    left: AtomicBool,
    /// `true` if the stored entry has changed since the leader first read the entry.
    changed: AtomicBool,
}

impl Leader {
    fn new(flights: &Arc<SingleFlight>, flight: Arc<Flight>) -> Self {
        Self {
            flights: Arc::clone(flights),
            flight,
            over: false,
            left: AtomicBool::new(false),
            changed: AtomicBool::new(false),
        }
    }

    /// Records that the computation begins now.
    pub(crate) fn begin(&self) -> Arc<PollWatch> {
        Arc::clone(self.flight.pulse.get_or_init(PollWatch::begin))
    }

    /// Returns a handle that watches the flight while its leader computes.
    pub(crate) fn attend(&self) -> LeaderHandle {
        LeaderHandle {
            flights: Arc::clone(&self.flights),
            flight: Arc::clone(&self.flight),
        }
    }

    /// Passes the value to all followers, and to all joiners until this leader is dropped.
    pub(crate) fn land(&mut self, value: Erased) {
        self.over = true;
        self.flight.end(FlightResult::Landed(value));
    }

    /// Ends the flight with a failure. Followers get the failure if it can be shared; otherwise
    /// followers compute by themselves.
    pub(crate) fn fail(&mut self, failure: impl FnOnce() -> Option<Erased>) {
        self.over = true;
        self.leave();
        let followed = self.flight.followers.load(Ordering::Relaxed) > 0;
        let failure = followed.then(failure).flatten();
        self.flight.end(FlightResult::Failed(failure));
    }

    /// Ends the flight with a value, which is built only if there are followers.
    pub(crate) fn finish(mut self, value: impl FnOnce() -> Erased) {
        self.leave();
        if self.flight.followers.load(Ordering::Relaxed) > 0 {
            self.land(value());
        }
        self.over = true;
    }

    /// Clears the stale mark, because a read that begins now is newer than the mark.
    pub(crate) fn look_anew(&self) {
        if self.flight.touched.swap(false, Ordering::Relaxed) {
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the entry has changed since the leader first read the entry. A follower
    /// that joined after the change must not get the value of the first read.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed) || self.flight.touched.load(Ordering::Relaxed)
    }

    /// Closes the flight to joiners. Returns `true` if the entry has changed since the leader last
    /// read the entry: a follower that joined after the change must not get an older value.
    ///
    /// If the flight took joiners until now and the entry has not changed, `keep` runs before any
    /// later change can be processed.
    pub(crate) fn close<T>(&self, keep: impl FnOnce() -> T) -> bool {
        let mut shard = self.shard();
        let flying = self.flight.is_in(&shard);
        if flying {
            shard.remove(self.flight.key.fingerprint());
        }
        self.left.store(true, Ordering::Relaxed);
        let touched = self.flight.touched.swap(false, Ordering::Relaxed);
        let evicted = (flying && !touched).then(keep);
        // Dropping an evicted value runs the user's code, so the lock is released first.
        drop(shard);
        drop(evicted);
        touched
    }

    /// Runs `keep` if the flight takes joiners and the entry has not changed since the leader last
    /// read the entry. `keep` runs before any later change can be processed.
    pub(crate) fn keep<T>(&self, keep: impl FnOnce() -> T) {
        let shard = self.shard();
        let stands = self.flight.is_in(&shard) && !self.flight.touched.load(Ordering::Relaxed);
        let evicted = stands.then(keep);
        drop(shard);
        drop(evicted);
    }

    /// Closes the flight to joiners.
    pub(crate) fn leave(&self) {
        if self.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut shard = self.shard();
        if self.flight.is_in(&shard) {
            shard.remove(self.flight.key.fingerprint());
        }
    }

    fn shard(&self) -> MutexGuard<'_, Shard> {
        self.flights.shard(self.flight.key.fingerprint())
    }
}

/// Handle with which the lease renewer watches the flight of a leader.
#[derive(Clone)]
pub(crate) struct LeaderHandle {
    flights: Arc<SingleFlight>,
    flight: Arc<Flight>,
}

impl LeaderHandle {
    /// Closes the current flight of the call to joiners, even if another leader has opened that
    /// flight.
    pub(crate) fn close_to_joiners(&self) {
        self.flights.close_to_joiners(&self.flight.key);
    }

    /// Abandons the flight if its computation was woken and not polled for `limit`, so that one
    /// follower takes over. Returns `true` if the flight was abandoned.
    pub(crate) fn abandon_if_stalled(&self, limit: Duration) -> bool {
        let pulse = self.flight.pulse.get();
        if !pulse.is_some_and(|pulse| pulse.is_stalled(limit)) {
            return false;
        }
        let mut shard = self.flights.shard(self.flight.key.fingerprint());
        if self.flight.is_in(&shard) {
            shard.remove(self.flight.key.fingerprint());
        }
        drop(shard);
        self.flight.end(FlightResult::Abandoned);
        true
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.leave();
        if !self.over {
            self.flight.end(FlightResult::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests;
