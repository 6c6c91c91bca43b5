//! Get or compute: the protocol of one call, from the look at the store to the stored value.

mod claim;
pub(crate) mod computation;
pub(crate) mod just_invalidated;
pub(crate) mod lease;
mod look;
pub(crate) mod process_state;
mod put;
pub(crate) mod refresh;
pub(crate) mod renewer;
mod settle;
pub(crate) mod single_flight;
mod typed;
pub(crate) mod wait_graph;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::api::cache::Inner;
use crate::backend::{Caller, Reach, Session, Tier};
use crate::entry::header::Mark;
use crate::entry::policy::Policy;
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::{Group, Stamp};
use crate::invalidation::tag_validity::{Seal, Sealed};
use crate::key::Key;
use crate::near_cache::Near;
use crate::process::background;
use crate::protocol::computation::Calling;
use crate::protocol::single_flight::{Follower, Landing, Lead, Role};
use crate::registry::State;
use crate::values::return_kind::{Erased, Form};

use claim::Turn;
use look::{Hit, Looked};
pub use settle::Verdict;
pub(crate) use settle::Work;
pub(crate) use typed::{Answer, Tally, TypedRequest};

/// How much longer a follower waits than its leader, at most.
const GRACE: Duration = Duration::from_secs(1);

/// The protocol's own futures, made here once for all types: in the crates that call it, they
/// would be compiled anew for each.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One call on its way through the cache. What its value is, only its form knows.
pub(crate) struct Request<'a> {
    inner: &'a Arc<Inner>,
    state: &'a State,
    key: &'a Key,
    groups: &'a Arc<[Group]>,
    /// Of the groups, if there are tags among them.
    seals: Option<Arc<[Arc<Seal>]>>,
    policy: &'a Policy,
    caller: Caller,
    session: Session,
    form: &'static Form,
    /// Whether a failure is one that can be given to those who wait.
    shares: fn(&Erased) -> bool,
}

/// What became of a call.
pub(crate) enum Sought {
    /// It is answered.
    Found(Erased),
    /// The one that it has waited for has failed, with this.
    Failed(Erased),
    /// It is answered, and a new value is due: one that is stored for longer than this.
    Due(Erased, Duration),
    /// The caller computes, then lets the request settle the result.
    Compute(Box<Work>),
}

/// How the wait for somebody else's flight has ended.
enum Followed {
    To(Landing),
    /// It must not be waited for: its computation waits for the caller's, or the caller's thread is
    /// about to end.
    Never,
    /// It took too long.
    InVain,
}

impl<'a> Request<'a> {
    pub(crate) fn new(
        inner: &'a Arc<Inner>,
        state: &'a State,
        key: &'a Key,
        policy: &'a Policy,
        caller: Caller,
        form: &'static Form,
    ) -> Self {
        Self {
            inner,
            state,
            key,
            groups: &state.groups,
            seals: None,
            policy,
            caller,
            session: match &inner.local.own {
                Some(own) if form.is_own => inner.store.session_here(caller, own.memory()),
                _ => inner.store.session(caller),
            },
            form,
            shares: |_| false,
        }
    }

    /// With tags: all groups of the call.
    pub(crate) fn tagged(self, groups: Option<&'a Arc<[Group]>>) -> Self {
        match groups {
            Some(groups) => Self {
                groups,
                seals: Some(self.inner.local.seals.of(groups)),
                ..self
            },
            None => self,
        }
    }

    /// Which failures can be given to those who wait.
    pub(crate) fn sharing(self, shares: fn(&Erased) -> bool) -> Self {
        Self { shares, ..self }
    }

    /// Looks for the value; where there is none, the caller is to compute it, once in the fleet
    /// as far as the store can tell.
    ///
    /// What a hit on Redis does not need is boxed: its future is moved around, and large ones
    /// cost as much as the rest.
    ///
    /// The computation is not awaited in here: a plain function then computes on its caller's
    /// stack, and may call others as deep as it likes.
    pub(crate) fn seek(&self) -> Boxed<'_, Sought> {
        Box::pin(self.find())
    }

    async fn find(&self) -> Sought {
        if let Some(held) = self.near() {
            self.state.counters.here().near_hits.count();
            return Sought::Found(held);
        }
        let mut deadline = Instant::now() + self.wait();
        let mut patience = deadline;
        let mut failed: Option<Option<OwnedSemaphorePermit>> = None;
        loop {
            match self.inner.local.flights.join(self.key, self.groups) {
                Role::Lead(lead) => {
                    let mut sought = self.lead(lead, patience).await;
                    if let (Sought::Compute(work), Some(turn)) = (&mut sought, failed) {
                        work.turn = turn;
                    }
                    return sought;
                }
                // What has just failed is not tried again one by one.
                Role::Follow(_) if failed.is_some() => return self.alone(failed.flatten()),
                Role::Follow(follower) => match Box::pin(self.follow(&follower, deadline)).await {
                    Followed::Never => return self.alone(None),
                    Followed::To(Landing::Landed(value)) => {
                        if (self.form.is)(&value) {
                            self.state.counters.here().coalesced.count();
                            return Sought::Found(value);
                        }
                        // The key serves another type too: this caller is on its own.
                        return self.alone(None);
                    }
                    // One of those who waited leads the next flight.
                    Followed::To(Landing::Abandoned) => {}
                    Followed::To(Landing::Failed(failure)) => {
                        if let Some(failure) = failure.filter(self.shares) {
                            self.state.counters.here().coalesced.count();
                            return Sought::Failed(failure);
                        }
                        // Twice, so that the places of those who go first are free by then.
                        let cost = follower.begun().map(|begun| begun.elapsed() * 2);
                        let turn = follower.turn(cost.unwrap_or_default());
                        failed = Some(Box::pin(turn).await);
                    }
                    // One of those who have waited in vain computes; the others wait for it.
                    Followed::InVain => {
                        self.waited_in_vain();
                        self.inner.local.flights.give_up(self.key, &follower);
                        patience = Instant::now();
                        deadline = patience + self.wait();
                    }
                },
            }
        }
    }

    /// As [`seek`](Self::seek), but the caller computes in any case and replaces what is stored.
    pub(crate) fn seek_anew(&self) -> Boxed<'_, Sought> {
        Box::pin(self.find_anew())
    }

    async fn find_anew(&self) -> Sought {
        let lead = self.inner.local.flights.apart(self.key, self.groups);
        let turn = match self.session.stamp(self.groups).await {
            Ok(stamp) => {
                let deadline = Instant::now() + self.wait();
                self.claim(self.mark(stamp), Reach::Force, deadline, &lead, false)
                    .await
            }
            Err(error) => self.failed(&error, &lead),
        };
        self.sought(lead, turn, None)
    }

    async fn follow(&self, follower: &Follower, deadline: Instant) -> Followed {
        let Some(_wait) = wait_graph::enter(self.calling()) else {
            return Followed::Never;
        };
        let mut deadline = deadline;
        let mut grace = self.wait().min(GRACE);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(landing) = background::timeout(left, follower.landing()) else {
                return Followed::Never;
            };
            if let Ok(landing) = landing.await {
                return Followed::To(landing);
            }
            // Its leader may have waited as long as we, and may be about to compute only now.
            deadline = match follower.begun() {
                Some(begun) => begun + self.wait(),
                None => deadline + std::mem::take(&mut grace),
            };
            if deadline <= Instant::now() {
                return Followed::InVain;
            }
        }
    }

    /// Tells and counts that the caller computes for itself after all of its `wait`.
    fn waited_in_vain(&self) {
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
        self.trouble(&error);
    }

    async fn lead(&self, lead: Lead, deadline: Instant) -> Sought {
        if self.claims_first() {
            return Box::pin(self.lead_by_claim(lead, deadline)).await;
        }
        match self.look(&lead).await {
            Ok(Looked::Hit(hit)) => {
                self.state.outlook.note(true);
                self.found(lead, hit)
            }
            // The lease may be its own.
            Ok(Looked::Miss(..)) if computation::is_within(self.calling()) => self.alone(None),
            Ok(Looked::Miss(stamp, spare)) => {
                self.state.outlook.note(false);
                let mark = self.mark(stamp);
                let claim = self.claim(mark, Reach::Normal, deadline, &lead, spare.is_some());
                let turn = Box::pin(claim).await;
                self.sought(lead, turn, spare)
            }
            Err(error) => {
                let turn = self.failed(&error, &lead);
                self.sought(lead, turn, None)
            }
        }
    }

    /// Whether the lease is asked for without a look: that finds what is stored as well, and saves
    /// a round trip where there is nothing. Not where a value past its ttl may stand in, which
    /// a claim does not give.
    fn claims_first(&self) -> bool {
        !self.session.is_typed()
            && !self.policy.ages()
            && self.expects_miss()
            && !computation::is_within(self.calling())
    }

    fn expects_miss(&self) -> bool {
        let just_invalidated = &self.inner.local.just_invalidated;
        just_invalidated.take(self.key.fingerprint()) || self.state.outlook.expects_miss()
    }

    async fn lead_by_claim(&self, lead: Lead, deadline: Instant) -> Sought {
        let turn = match self.session.stamp(self.groups).await {
            Ok(stamp) => {
                let mark = self.mark(stamp);
                self.claim(mark, Reach::Normal, deadline, &lead, false)
                    .await
            }
            Err(error) => self.failed(&error, &lead),
        };
        self.state.outlook.note(matches!(turn, Turn::Theirs(_)));
        self.sought(lead, turn, None)
    }

    fn found(&self, lead: Lead, hit: Hit) -> Sought {
        let Hit { held, fresh, due } = hit;
        let counters = self.state.counters.here();
        match (fresh, self.session.is_typed()) {
            (None, _) => counters.stale_hits.count(),
            (Some(_), true) => counters.near_hits.count(),
            (Some(_), false) => counters.redis_hits.count(),
        }
        lead.finish(|| Arc::clone(&held));
        match due {
            Some(beyond) => Sought::Due(held, beyond),
            None => Sought::Found(held),
        }
    }

    fn sought(&self, lead: Lead, turn: Turn, spare: Option<Erased>) -> Sought {
        let lease = match (turn, &spare) {
            (Turn::Theirs(hit), _) => return self.found(lead, hit),
            (Turn::Paused, Some(held)) => {
                let (held, fresh, due) = (Arc::clone(held), None, None);
                return self.found(lead, Hit { held, fresh, due });
            }
            (Turn::Ours(lease, mark), _) => Some((lease, mark)),
            (Turn::Unstored, _) => None,
            // Nobody respects a pause with nothing to serve.
            (Turn::Paused, None) => None,
        };
        let spare = spare.filter(|_| !lead.has_changed());
        let lease = lease.map(|(lease, mark)| match &spare {
            Some(_) => (lease.pausing(self.policy.retry_after), mark),
            None => (lease, mark),
        });
        if spare.is_none() {
            // Otherwise it is one only if nothing stands in.
            self.state.counters.here().misses.count();
        }
        self.state.counters.here().computations.count();
        Sought::Compute(Box::new(Work::new(lead, lease, spare)))
    }

    /// Computes beside the cache.
    fn alone(&self, turn: Option<OwnedSemaphorePermit>) -> Sought {
        self.state.counters.here().misses.count();
        self.state.counters.here().computations.count();
        Sought::Compute(Box::new(Work::alone(turn)))
    }

    fn failed(&self, error: &Error, lead: &Lead) -> Turn {
        if self.inner.store.is_up() {
            // Nothing of ours is stored, so nothing would be told of it. (A server that is away
            // for all of this process ends our flights when it comes back.)
            lead.leave();
        }
        self.state.counters.here().errors.count(error.kind());
        self.trouble(error);
        Turn::Unstored
    }

    fn trouble(&self, error: &Error) {
        let observer = &self.inner.local.observer;
        self.state.trouble.arises(observer, &self.state.name, error);
    }

    fn calling(&self) -> Calling {
        Calling {
            cache: self.inner.local.registry.id,
            key: *self.key.fingerprint(),
        }
    }

    fn mark(&self, stamp: Stamp) -> Mark {
        Mark::new(self.policy.codec, (self.form.shape)(), stamp, self.key)
    }

    /// With its seals, if there are tags.
    fn sealed(&self, value: Erased) -> Erased {
        match &self.seals {
            // Nothing would break them.
            Some(_) if !self.session.vouches() => value,
            Some(seals) => Arc::new(Sealed {
                value,
                seals: Arc::clone(seals),
            }),
            None => value,
        }
    }

    /// This is what its function's copies are to be of, if all of them have the same groups.
    fn set_current(&self, stamp: Stamp) {
        if self.seals.is_none() && self.session.vouches() {
            self.state.current.set(stamp);
        }
    }

    /// Where this process holds the call's value, or a copy of it.
    fn held(&self) -> &Near {
        self.inner.local.held(self.form.is_own)
    }

    fn wait(&self) -> Duration {
        // Far beyond any patience, near enough for the clock to add.
        let wait = self
            .policy
            .lease_wait
            .unwrap_or(self.inner.defaults.lease_wait);
        wait.min(Duration::from_secs(365 * 24 * 3_600))
    }
}
