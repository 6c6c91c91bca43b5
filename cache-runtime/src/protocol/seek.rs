use super::call::{Boxed, Call};
use super::claim::ClaimOutcome;
use super::computation::is_within;
use super::look::{Hit, LookOutcome};
use super::settle::ComputePermit;
use super::wait_graph::enter;
use crate::backend::claim::ClaimMode;
use crate::backend::contract::Backend;
use crate::error::{Error, ErrorKind};
use crate::process::background;
use crate::protocol::single_flight::{FlightResult, FlightRole, Follower, Leader};
use crate::values::value_kind::Erased;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// Extra time, granted once, that a follower waits past its deadline for its leader to begin to
/// compute.
const GRACE: Duration = Duration::from_secs(1);

/// Next step of a caller that looks for a value.
pub(crate) enum SeekOutcome {
    /// The value.
    Found(Erased),
    /// The failure of the flight that the call waited for.
    Failed(Erased),
    /// The value, and the remaining life of its entry. A refresh is due, and is skipped if an entry
    /// with a longer remaining life is stored by then.
    DueRenewal(Erased, Duration),
    /// The caller computes, then settles the result.
    Compute(Box<ComputePermit>),
}

/// Result of the wait for another caller's flight.
enum FollowOutcome {
    To(FlightResult),
    /// The caller must not wait: the flight's computation waits for the caller's computation, or
    /// the caller's thread is about to end.
    Never,
    /// The flight did not end before the deadline.
    InVain,
}

impl Call<'_> {
    /// Looks for the value. If no value is found, the caller computes the value, once in the fleet
    /// while the backend can grant the lease.
    ///
    /// Futures of the miss path are boxed to keep the returned future small: moving a large future
    /// costs as much as the rest of a hit on Redis.
    ///
    /// The computation is not awaited here, so that a plain function computes on its caller's stack
    /// and may recurse as deep as without the cache.
    pub(crate) fn seek(&self) -> Boxed<'_, SeekOutcome> {
        Box::pin(self.find())
    }

    async fn find(&self) -> SeekOutcome {
        if let Some(held) = self.near() {
            self.state.counters.here().near_hits.count();
            return SeekOutcome::Found(held);
        }
        let mut deadline = Instant::now() + self.wait();
        let mut patience = deadline;
        let mut failed: Option<Option<OwnedSemaphorePermit>> = None;
        loop {
            match self.inner.process.flights.join(self.key, self.groups) {
                FlightRole::Leader(leader) => {
                    let mut sought = self.leader(leader, patience).await;
                    if let (SeekOutcome::Compute(permit), Some(turn)) = (&mut sought, failed) {
                        permit.turn = turn;
                    }
                    return sought;
                }
                // After a failed flight each follower computes by itself. Followers that joined the
                // next flight would retry one after the other.
                FlightRole::Follow(_) if failed.is_some() => return self.alone(failed.flatten()),
                FlightRole::Follow(follower) => {
                    match Box::pin(self.follow(&follower, deadline)).await {
                        FollowOutcome::Never => return self.alone(None),
                        FollowOutcome::To(FlightResult::Landed(value)) => {
                            if (self.vtable.is)(&value) {
                                self.state.counters.here().coalesced.count();
                                return SeekOutcome::Found(value);
                            }
                            // The key is also used for another type, so this caller computes
                            // without the cache.
                            return self.alone(None);
                        }
                        // One of the followers leads the next flight.
                        FollowOutcome::To(FlightResult::Abandoned) => {}
                        FollowOutcome::To(FlightResult::Failed(failure)) => {
                            if let Some(failure) = failure.filter(self.shares) {
                                self.state.counters.here().coalesced.count();
                                return SeekOutcome::Failed(failure);
                            }
                            // The limit is twice the cost, so that the first followers have
                            // released their permits by then.
                            let cost = follower.begun().map(|begun| begun.elapsed() * 2);
                            let turn = follower.turn(cost.unwrap_or_default());
                            failed = Some(Box::pin(turn).await);
                        }
                        // One of the followers that gave up leads the next flight; the others wait
                        // for that flight.
                        FollowOutcome::InVain => {
                            self.waited_in_vain();
                            self.inner.process.flights.give_up(self.key, &follower);
                            patience = Instant::now();
                            deadline = patience + self.wait();
                        }
                    }
                }
            }
        }
    }

    /// Leads a new flight. The caller always computes and replaces the entry.
    pub(crate) fn seek_anew(&self) -> Boxed<'_, SeekOutcome> {
        Box::pin(self.find_anew())
    }

    async fn find_anew(&self) -> SeekOutcome {
        let leader = self.inner.process.flights.replace(self.key, self.groups);
        let turn = match self.session.stamp(self.groups).await {
            Ok(stamp) => {
                let deadline = Instant::now() + self.wait();
                self.claim(
                    self.header(stamp),
                    ClaimMode::Force,
                    deadline,
                    &leader,
                    false,
                )
                .await
            }
            Err(error) => self.failed(&error, &leader),
        };
        self.sought(leader, turn, None)
    }

    async fn follow(&self, follower: &Follower, deadline: Instant) -> FollowOutcome {
        let Some(_wait) = enter(self.calling()) else {
            return FollowOutcome::Never;
        };
        let mut deadline = deadline;
        let mut grace = self.wait().min(GRACE);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(result) = background::timeout(left, follower.result()) else {
                return FollowOutcome::Never;
            };
            if let Ok(result) = result.await {
                return FollowOutcome::To(result);
            }
            // The leader may have waited for the lease, so the wait counts from the start of the
            // computation.
            deadline = match follower.begun() {
                Some(begun) => begun + self.wait(),
                None => deadline + std::mem::take(&mut grace),
            };
            if deadline <= Instant::now() {
                return FollowOutcome::InVain;
            }
        }
    }

    /// Counts and reports a caller that has waited for its whole `lease_wait` without a result.
    pub(super) fn waited_in_vain(&self) {
        let error = Error::new(
            ErrorKind::WaitExceeded,
            format!(
                "calls compute after waiting {:?} for another computation of the same call: \
                 let `lease_wait` exceed what the function takes; one that calls itself from a task it has spawned, \
                 or through another process, waits for itself",
                self.wait(),
            ),
        );
        self.state.counters.here().errors.count(error.kind());
        self.failures(&error);
    }

    async fn leader(&self, leader: Leader, deadline: Instant) -> SeekOutcome {
        if self.claims_first() {
            return Box::pin(self.lead_by_claim(leader, deadline)).await;
        }
        match self.look(&leader).await {
            Ok(LookOutcome::Hit(hit)) => {
                self.state.outlook.note(true);
                self.found(leader, hit)
            }
            // The call is nested in a computation of itself, which may hold the lease.
            Ok(LookOutcome::Miss(..)) if is_within(self.calling()) => self.alone(None),
            Ok(LookOutcome::Miss(stamp, spare)) => {
                self.state.outlook.note(false);
                let header = self.header(stamp);
                let claim = self.claim(
                    header,
                    ClaimMode::Normal,
                    deadline,
                    &leader,
                    spare.is_some(),
                );
                let turn = Box::pin(claim).await;
                self.sought(leader, turn, spare)
            }
            Err(error) => {
                let turn = self.failed(&error, &leader);
                self.sought(leader, turn, None)
            }
        }
    }

    /// Returns `true` if the call claims without a look first. The claim also returns a stored
    /// entry, and a miss saves one round trip. If a stale value may be served, the look comes
    /// first, because a claim does not return stale values.
    fn claims_first(&self) -> bool {
        !self.session.is_typed()
            && !self.policy.ages()
            && self.expects_miss()
            && !is_within(self.calling())
    }

    fn expects_miss(&self) -> bool {
        let just_invalidated = &self.inner.process.just_invalidated;
        just_invalidated.take(self.key.fingerprint()) || self.state.outlook.expects_miss()
    }

    async fn lead_by_claim(&self, leader: Leader, deadline: Instant) -> SeekOutcome {
        let turn = match self.session.stamp(self.groups).await {
            Ok(stamp) => {
                let header = self.header(stamp);
                self.claim(header, ClaimMode::Normal, deadline, &leader, false)
                    .await
            }
            Err(error) => self.failed(&error, &leader),
        };
        self.state
            .outlook
            .note(matches!(turn, ClaimOutcome::Theirs(_)));
        self.sought(leader, turn, None)
    }

    fn found(&self, leader: Leader, hit: Hit) -> SeekOutcome {
        let Hit { held, fresh, due } = hit;
        let counters = self.state.counters.here();
        match (fresh, self.session.is_typed()) {
            (None, _) => counters.stale_hits.count(),
            (Some(_), true) => counters.near_hits.count(),
            (Some(_), false) => counters.redis_hits.count(),
        }
        leader.finish(|| Arc::clone(&held));
        match due {
            Some(min_remaining_ttl) => SeekOutcome::DueRenewal(held, min_remaining_ttl),
            None => SeekOutcome::Found(held),
        }
    }

    fn sought(&self, leader: Leader, turn: ClaimOutcome, spare: Option<Erased>) -> SeekOutcome {
        let lease = match (turn, &spare) {
            (ClaimOutcome::Theirs(hit), _) => return self.found(leader, hit),
            (ClaimOutcome::Paused, Some(held)) => {
                let (held, fresh, due) = (Arc::clone(held), None, None);
                return self.found(leader, Hit { held, fresh, due });
            }
            (ClaimOutcome::Ours(lease, header), _) => Some((lease, header)),
            (ClaimOutcome::Unstored, _) => None,
            // A pause is ignored if there is no value to serve.
            (ClaimOutcome::Paused, None) => None,
        };
        let spare = spare.filter(|_| !leader.has_changed());
        let lease = lease.map(|(lease, header)| match &spare {
            Some(_) => (lease.pausing(self.policy.retry_after), header),
            None => (lease, header),
        });
        if spare.is_none() {
            // With a stale value the call is a miss only if that value is not served.
            self.state.counters.here().misses.count();
        }
        self.state.counters.here().computations.count();
        SeekOutcome::Compute(Box::new(ComputePermit::new(leader, lease, spare)))
    }

    /// Lets the caller compute without a flight and without a lease.
    fn alone(&self, turn: Option<OwnedSemaphorePermit>) -> SeekOutcome {
        self.state.counters.here().misses.count();
        self.state.counters.here().computations.count();
        SeekOutcome::Compute(Box::new(ComputePermit::alone(turn)))
    }

    pub(super) fn failed(&self, error: &Error, leader: &Leader) -> ClaimOutcome {
        if self.inner.backend.is_up() {
            // This process has stored nothing, so no invalidation push would arrive. (If the server
            // is unreachable for the whole process, the reconnect ends this process's flights.)
            leader.leave();
        }
        self.state.counters.here().errors.count(error.kind());
        self.failures(error);
        ClaimOutcome::Unstored
    }
}
