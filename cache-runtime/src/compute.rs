//! Get or compute: the protocol of one call, from the look at the store to the stored value.

mod claim;
mod look;
mod put;
mod settle;
mod typed;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::background;
use crate::cache::Inner;
use crate::computation::{self, Calling};
use crate::entry::Mark;
use crate::error::Error;
use crate::flight::{Follower, Landing, Lead, Role};
use crate::function::State;
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::policy::Policy;
use crate::returns::{Erased, Form};
use crate::seal::{Seal, Sealed};
use crate::store::{Caller, Reach, Session, Tier};

use claim::Turn;
use look::{Hit, Looked};
pub use settle::Verdict;
pub(crate) use settle::Work;
pub(crate) use typed::{Answer, TypedRequest};

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
            session: inner.store.session(caller),
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
                // It needs itself, and would wait for itself.
                Role::Follow(_) if computation::is_within(self.calling()) => {
                    return self.alone(None);
                }
                Role::Follow(follower) => match Box::pin(self.follow(&follower, deadline)).await {
                    Some(Landing::Landed(value)) => {
                        if (self.form.is)(&value) {
                            self.state.counters.here().joined.count();
                            return Sought::Found(value);
                        }
                        // The key serves another type too: this caller is on its own.
                        return self.alone(None);
                    }
                    // One of those who waited leads the next flight.
                    Some(Landing::Abandoned) => {}
                    Some(Landing::Failed(failure)) => {
                        if let Some(failure) = failure.filter(self.shares) {
                            self.state.counters.here().joined.count();
                            return Sought::Failed(failure);
                        }
                        // Twice, so that the places of those who go first are free by then.
                        let cost = follower.begun().map(|begun| begun.elapsed() * 2);
                        let turn = follower.turn(cost.unwrap_or_default());
                        failed = Some(Box::pin(turn).await);
                    }
                    // One of those who have waited in vain computes; the others wait for it.
                    None => {
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
                self.claim(self.mark(stamp), Reach::Force, deadline, &lead)
                    .await
            }
            Err(error) => self.failed(&error, &lead),
        };
        self.sought(lead, turn, None)
    }

    async fn follow(&self, follower: &Follower, deadline: Instant) -> Option<Landing> {
        let mut deadline = deadline;
        let mut grace = self.wait().min(GRACE);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Ok(landing) = background::timeout(left, follower.landing()).ok()?.await {
                return Some(landing);
            }
            // Its leader may have waited as long as we, and may be about to compute only now.
            deadline = match follower.begun() {
                Some(begun) => begun + self.wait(),
                None => deadline + std::mem::take(&mut grace),
            };
            if deadline <= Instant::now() {
                return None;
            }
        }
    }

    async fn lead(&self, lead: Lead, deadline: Instant) -> Sought {
        match self.look(&lead).await {
            Ok(Looked::Hit(hit)) => self.found(lead, hit),
            // The lease may be its own.
            Ok(Looked::Miss(..)) if computation::is_within(self.calling()) => self.alone(None),
            Ok(Looked::Miss(stamp, spare)) => {
                let mark = self.mark(stamp);
                let turn = Box::pin(self.claim(mark, Reach::Normal, deadline, &lead)).await;
                self.sought(lead, turn, spare)
            }
            Err(error) => {
                let turn = self.failed(&error, &lead);
                self.sought(lead, turn, None)
            }
        }
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
        let (lease, vigil) = match turn {
            Turn::Theirs(hit) => return self.found(lead, hit),
            Turn::Ours(lease, mark) => (Some((lease, mark)), None),
            Turn::Unstored(vigil) => (None, vigil),
        };
        let spare = spare.filter(|_| !lead.has_changed());
        if spare.is_none() {
            // Otherwise it is one only if nothing stands in.
            self.state.counters.here().misses.count();
        }
        self.state.counters.here().computations.count();
        Sought::Compute(Box::new(Work::new(lead, lease, vigil, spare)))
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
        self.state.counters.here().errors.count();
        self.trouble(error);
        Turn::Unstored(None)
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
        Mark::new(self.policy.codec, (self.form.shape)(), stamp)
    }

    /// With its seals, if there are tags.
    fn sealed(&self, value: Erased) -> Erased {
        match &self.seals {
            Some(seals) => Arc::new(Sealed {
                value,
                seals: Arc::clone(seals),
            }),
            None => value,
        }
    }

    /// This is what its function's copies are to be of, if all of them have the same groups.
    fn set_current(&self, stamp: Stamp) {
        if self.seals.is_none() {
            self.state.current.set(stamp);
        }
    }

    fn wait(&self) -> Duration {
        // Far beyond any patience, near enough for the clock to add.
        let wait = self.policy.wait.unwrap_or(self.inner.defaults.wait);
        wait.min(Duration::from_secs(365 * 24 * 3_600))
    }
}
