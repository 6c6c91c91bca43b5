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

/// How much longer a follower waits than its leader, at most.
const GRACE: Duration = Duration::from_secs(1);

/// Result of a search for a call's value.
pub(crate) enum SeekOutcome {
    /// It is answered.
    Found(Erased),
    /// The one that it has waited for has failed, with this.
    Failed(Erased),
    /// It is answered, and a new value is due: one that is stored for longer than this.
    DueRenewal(Erased, Duration),
    /// The caller computes, then lets the request settle the result.
    Compute(Box<ComputePermit>),
}

/// How the wait for somebody else's flight has ended.
enum FollowOutcome {
    To(FlightResult),
    /// It must not be waited for: its computation waits for the caller's, or the caller's thread is
    /// about to end.
    Never,
    /// It took too long.
    InVain,
}

impl Call<'_> {
    /// Looks for the value; where there is none, the caller is to compute it, once in the fleet
    /// as far as the store can tell.
    ///
    /// Futures that a hit on Redis does not need are boxed: the future is moved around, and large
    /// ones cost as much as the rest.
    ///
    /// The computation is not awaited in here: a plain function then computes on its caller's
    /// stack, and may call others as deep as it likes.
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
                // What has just failed is not tried again one by one.
                FlightRole::Follow(_) if failed.is_some() => return self.alone(failed.flatten()),
                FlightRole::Follow(follower) => {
                    match Box::pin(self.follow(&follower, deadline)).await {
                        FollowOutcome::Never => return self.alone(None),
                        FollowOutcome::To(FlightResult::Landed(value)) => {
                            if (self.vtable.is)(&value) {
                                self.state.counters.here().coalesced.count();
                                return SeekOutcome::Found(value);
                            }
                            // The key serves another type too: this caller is on its own.
                            return self.alone(None);
                        }
                        // One of those who waited leads the next flight.
                        FollowOutcome::To(FlightResult::Abandoned) => {}
                        FollowOutcome::To(FlightResult::Failed(failure)) => {
                            if let Some(failure) = failure.filter(self.shares) {
                                self.state.counters.here().coalesced.count();
                                return SeekOutcome::Failed(failure);
                            }
                            // Twice, so that the places of those who go first are free by then.
                            let cost = follower.begun().map(|begun| begun.elapsed() * 2);
                            let turn = follower.turn(cost.unwrap_or_default());
                            failed = Some(Box::pin(turn).await);
                        }
                        // One of those who have waited in vain computes; the others wait for it.
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

    /// As [`seek`](Self::seek), but the caller computes in any case and replaces what is stored.
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
            // Its leader may have waited as long as we, and may be about to compute only now.
            deadline = match follower.begun() {
                Some(begun) => begun + self.wait(),
                None => deadline + std::mem::take(&mut grace),
            };
            if deadline <= Instant::now() {
                return FollowOutcome::InVain;
            }
        }
    }

    /// Tells and counts that the caller computes for itself after all of its `wait`.
    pub(super) fn waited_in_vain(&self) {
        let error = Error::new(
            ErrorKind::WaitExceeded,
            format!(
                "calls compute after waiting {:?} for another computation of the same call: \
                 let `wait` exceed what the function takes; one that calls itself from a task it has spawned, \
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
            // The lease may be its own.
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

    /// Returns `true` if the lease is asked for without a look: that finds what is stored as well,
    /// and saves a round trip where there is nothing. Not where a value past its ttl may stand in,
    /// which a claim does not give.
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
            // Nobody respects a pause with nothing to serve.
            (ClaimOutcome::Paused, None) => None,
        };
        let spare = spare.filter(|_| !leader.has_changed());
        let lease = lease.map(|(lease, header)| match &spare {
            Some(_) => (lease.pausing(self.policy.retry_after), header),
            None => (lease, header),
        });
        if spare.is_none() {
            // Otherwise it is one only if nothing stands in.
            self.state.counters.here().misses.count();
        }
        self.state.counters.here().computations.count();
        SeekOutcome::Compute(Box::new(ComputePermit::new(leader, lease, spare)))
    }

    /// Computes beside the cache.
    fn alone(&self, turn: Option<OwnedSemaphorePermit>) -> SeekOutcome {
        self.state.counters.here().misses.count();
        self.state.counters.here().computations.count();
        SeekOutcome::Compute(Box::new(ComputePermit::alone(turn)))
    }

    pub(super) fn failed(&self, error: &Error, leader: &Leader) -> ClaimOutcome {
        if self.inner.backend.is_up() {
            // Nothing of ours is stored, so no push would arrive. (A server that is away
            // for all of this process ends our flights when it comes back.)
            leader.leave();
        }
        self.state.counters.here().errors.count(error.kind());
        self.failures(error);
        ClaimOutcome::Unstored
    }
}
