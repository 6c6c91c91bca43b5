//! Get or compute: the protocol of one call, from the look at the store to the stored value.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::background;
use crate::cache::Inner;
use crate::codec::Codec;
use crate::entry::Mark;
use crate::error::{Error, ErrorKind};
use crate::flight::{Follower, Landing, Lead, Role};
use crate::function::State;
use crate::group::Stamp;
use crate::key::Key;
use crate::lease::{Lease, Vigil};
use crate::nonce::Nonce;
use crate::policy::Policy;
use crate::returns::{Returns, ValueKind};
use crate::store::{
    Caller, Claim, Claimed, Listener, Look, Reach, Read, Session, Stored, Tier, Typed,
};

const CODEC: Codec = Codec::Json;

/// The shortest and the longest pause of a waiter that no push will wake.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// How much longer a follower waits than its leader, at most.
const GRACE: Duration = Duration::from_secs(1);

/// One call on its way through the cache.
pub(crate) struct Request<'a, R, const KIND: u8> {
    inner: &'a Arc<Inner>,
    state: &'a State,
    key: &'a Key,
    policy: &'a Policy,
    session: Session,
    returns: PhantomData<fn() -> R>,
}

type Kind<R, const KIND: u8> = <R as Returns<KIND>>::Kind;
type Held<R, const KIND: u8> = <Kind<R, KIND> as ValueKind>::Held;

/// What became of a call.
pub(crate) enum Sought<R> {
    /// It is answered.
    Found(R),
    /// The caller computes, then lets the request settle the result.
    Compute(Box<Work>),
}

/// A computation that the caller has taken on. Dropped before it is settled, it gives way to
/// a successor.
pub(crate) struct Work {
    lead: Option<Lead>,
    lease: Option<(Lease, Mark)>,
    _vigil: Option<Vigil>,
    _turn: Option<OwnedSemaphorePermit>,
    begun: Instant,
}

/// What the leader may do about a call that is not stored.
enum Turn<H> {
    /// Compute and store.
    Ours(Lease, Mark),
    /// Compute and store nothing: the store is away, or somebody else is at it for too long.
    Unstored(Option<Vigil>),
    /// Somebody else has computed it.
    Theirs(H),
}

impl<'a, R: Returns<KIND>, const KIND: u8> Request<'a, R, KIND> {
    pub(crate) fn new(
        inner: &'a Arc<Inner>,
        state: &'a State,
        key: &'a Key,
        policy: &'a Policy,
        caller: Caller,
    ) -> Self {
        Self {
            inner,
            state,
            key,
            policy,
            session: inner.store.session(caller),
            returns: PhantomData,
        }
    }

    /// Looks for the value; where there is none, the caller is to compute it, once in the fleet
    /// as far as the store can tell.
    ///
    /// What a hit on Redis does not need is boxed: its future is moved around, and large ones
    /// cost as much as the rest.
    ///
    /// The computation is not awaited in here: a plain function then computes on its caller's
    /// stack, and may call others as deep as it likes.
    pub(crate) async fn seek(&self) -> Sought<R> {
        if let Some(held) = self.near() {
            self.state.counters.near_hits.count();
            return Sought::Found(give(held));
        }
        let mut deadline = Instant::now() + self.wait();
        let mut patience = deadline;
        loop {
            match self.inner.local.flights.join(self.key, &self.state.groups) {
                Role::Lead(lead) => return self.lead(lead, patience).await,
                Role::Follow(follower) => match Box::pin(self.follow(&follower, deadline)).await {
                    Some(Landing::Landed(value)) => {
                        if let Some(held) = Kind::<R, KIND>::restore(value) {
                            self.state.counters.joined.count();
                            return Sought::Found(give(held));
                        }
                        // The key serves another type too: this caller is on its own.
                        return self.alone(None);
                    }
                    // One of those who waited leads the next flight.
                    Some(Landing::Abandoned) => {}
                    // What has just failed is not tried again one by one.
                    Some(Landing::Failed) => {
                        return self.alone(Box::pin(follower.turn()).await);
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
    pub(crate) async fn seek_anew(&self) -> Sought<R> {
        let lead = self.inner.local.flights.apart(self.key, &self.state.groups);
        let turn = match self.session.stamp(&self.state.groups).await {
            Ok(stamp) => {
                let deadline = Instant::now() + self.wait();
                self.claim(self.mark(stamp), Reach::Force, deadline, &lead)
                    .await
            }
            Err(error) => self.failed(&error, &lead),
        };
        self.sought(lead, turn)
    }

    /// The stored value; nothing is computed.
    pub(crate) async fn peek(self) -> Result<Option<R::Value>, Error> {
        if let Some(held) = self.near() {
            return Ok(Some(Kind::<R, KIND>::give(held)));
        }
        let read = self.read(Look::Entry).await?;
        Ok(self.value(&read).map(Kind::<R, KIND>::give))
    }

    /// The remaining life of the stored value.
    pub(crate) async fn ttl(self) -> Result<Option<Duration>, Error> {
        let read = self.read(Look::WithLife).await?;
        Ok(read.left.filter(|_| self.value(&read).is_some()))
    }

    /// Stores a value from elsewhere; computations under way are not stored any more.
    pub(crate) async fn put(self, value: R::Value) -> Result<(), Error> {
        self.announce().await?;
        let stamp = self.session.stamp(&self.state.groups).await?;
        let held = Kind::<R, KIND>::hold(value);
        let life = self.policy.life(Kind::<R, KIND>::is_none(&held));
        let outcome = if life.as_millis() == 0 {
            self.session.remove(self.key).await.map(drop)
        } else {
            let entry = self.entry(&self.mark(stamp), &held, life, Duration::ZERO)?;
            self.session.put(self.key, entry, life).await
        };
        self.inner.forget_call(self.key);
        outcome
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

    async fn lead(&self, lead: Lead, deadline: Instant) -> Sought<R> {
        let turn = match self.hit(&lead).await {
            Ok(Ok(held)) => {
                self.hits();
                lead.finish(|| Kind::<R, KIND>::erase(held.clone()));
                return Sought::Found(give(held));
            }
            Ok(Err(stamp)) => {
                let mark = self.mark(stamp);
                Box::pin(self.claim(mark, Reach::Normal, deadline, &lead)).await
            }
            Err(error) => self.failed(&error, &lead),
        };
        self.sought(lead, turn)
    }

    /// The stored value, or else the stamp to compute with.
    async fn hit(&self, lead: &Lead) -> Result<Result<Held<R, KIND>, Stamp>, Error> {
        let keeps = self.keeps();
        let look = match keeps {
            true => Look::WithLife,
            false => Look::Entry,
        };
        let mut read = self.read(look).await?;
        if let Some(held) = self.value(&read) {
            let left = read.left.unwrap_or_default();
            if !lead.close(|| self.keep(keeps, &held, read.stamp, left, read.bytes())) {
                return Ok(Ok(held));
            }
            // It has changed since: once more, now that nobody joins.
            read = Box::pin(self.read(Look::Entry)).await?;
        }
        Ok(self.value(&read).ok_or(read.stamp))
    }

    async fn read(&self, look: Look) -> Result<Read, Error> {
        self.session.read(self.key, &self.state.groups, look).await
    }

    /// What this process holds, if it may be served.
    fn near(&self) -> Option<Held<R, KIND>> {
        let near = &self.inner.local.near;
        let value = near.fresh(self.key.fingerprint(), &self.state.current)?;
        Kind::<R, KIND>::restore(value)
    }

    /// Whether a copy of the entry is to be kept in this process.
    fn keeps(&self) -> bool {
        !self.session.is_typed()
            && self.policy.near
            && (self.session.pushes() || self.policy.near_ttl.is_some())
    }

    /// Keeps what has been read. To be called while the flight still stands for it, under its
    /// shard's lock: nothing in here may take a lock of a link.
    fn keep(&self, keeps: bool, held: &Held<R, KIND>, stamp: Stamp, left: Duration, bytes: u32) {
        if !self.session.is_typed() {
            if !keeps {
                if self.policy.near {
                    self.inner.local.near.refuse();
                }
                return;
            }
            let life = self
                .policy
                .near_ttl
                .map_or(left, |longest| left.min(longest));
            if life.is_zero() {
                return;
            }
            let value = Kind::<R, KIND>::erase(held.clone());
            self.inner
                .local
                .near
                .keep(self.key, value, stamp.half(), life, bytes);
        }
        self.state.current.set(stamp);
    }

    /// Takes the lease, or waits for whoever holds it.
    async fn claim(
        &self,
        mut mark: Mark,
        mut reach: Reach,
        deadline: Instant,
        lead: &Lead,
    ) -> Turn<Held<R, KIND>> {
        if let Err(error) = self.announce().await {
            return self.failed(&error, lead);
        }
        let token = Nonce::fresh();
        let life = self.lease();
        let mut watch = self.session.watch(self.key);
        let mut pause = POLL.0;
        let mut waited = false;
        loop {
            let claimed = Claimed {
                key: self.key,
                groups: &self.state.groups,
                mark: &mark,
                token,
                life,
                reach,
            };
            lead.look_anew();
            // Whether the server tells of the lease's next change.
            let mut watched = false;
            match self.session.claim(&claimed).await {
                Ok(Claim::Granted) => {
                    if !self.session.pushes() {
                        // Nothing would tell of a group's invalidation: who comes from now on
                        // waits for the lease, and reads.
                        lead.leave();
                    }
                    let flights = &self.inner.local.flights;
                    let lease = Lease::keep(&self.session, self.key, token, life, watch, flights);
                    return Turn::Ours(lease, mark);
                }
                Ok(Claim::Found(entry, left)) => {
                    match entry.value::<Kind<R, KIND>>(&mark, CODEC) {
                        Some(held) => {
                            let (keeps, bytes) = (self.keeps(), entry.bytes());
                            let keep = || self.keep(keeps, &held, mark.stamp(), left, bytes);
                            if !lead.close(keep) {
                                return Turn::Theirs(held);
                            }
                            // It has changed since: once more, with nobody who joins.
                        }
                        None => reach = Reach::IgnoreEntry,
                    }
                }
                Ok(Claim::Stale) => match self.session.stamp(&self.state.groups).await {
                    Ok(stamp) => mark = self.mark(stamp),
                    Err(error) => return self.failed(&error, lead),
                },
                Ok(Claim::Held(left)) => {
                    if !waited {
                        waited = true;
                        self.state.counters.lease_waits.count();
                    }
                    // Whoever holds it may replace what could not be read.
                    reach = Reach::Normal;
                    let patience = deadline.saturating_duration_since(Instant::now());
                    let mut nap = patience.min(left + Duration::from_millis(1));
                    if !self.session.pushes() {
                        nap = nap.min(pause);
                        pause = (pause * 2).min(POLL.1);
                    }
                    if let Ok(nap) = background::timeout(nap, watch.changed()) {
                        watched = nap.await.is_err();
                    }
                    self.session.refill();
                }
                Err(error) => return self.failed(&error, lead),
            }
            if Instant::now() >= deadline {
                if watched && self.session.pushes() {
                    return Turn::Unstored(Vigil::keep(self.key, watch, &self.inner.local.flights));
                }
                // Nothing would tell it of an invalidation.
                lead.leave();
                return Turn::Unstored(None);
            }
        }
    }

    fn sought(&self, lead: Lead, turn: Turn<Held<R, KIND>>) -> Sought<R> {
        let (lease, vigil) = match turn {
            Turn::Theirs(held) => {
                self.hits();
                lead.finish(|| Kind::<R, KIND>::erase(held.clone()));
                return Sought::Found(give(held));
            }
            Turn::Ours(lease, mark) => (Some((lease, mark)), None),
            Turn::Unstored(vigil) => (None, vigil),
        };
        self.state.counters.misses.count();
        self.state.counters.computations.count();
        lead.begin();
        Sought::Compute(Box::new(Work {
            lead: Some(lead),
            lease,
            _vigil: vigil,
            _turn: None,
            begun: Instant::now(),
        }))
    }

    /// Computes beside the cache.
    fn alone(&self, turn: Option<OwnedSemaphorePermit>) -> Sought<R> {
        self.state.counters.misses.count();
        self.state.counters.computations.count();
        Sought::Compute(Box::new(Work {
            lead: None,
            lease: None,
            _vigil: None,
            _turn: turn,
            begun: Instant::now(),
        }))
    }

    /// Gives the result to those who wait, stores it, and gives it back.
    pub(crate) async fn settle(
        &self,
        work: Box<Work>,
        result: R,
        cache_if: impl Fn(&R::Value) -> bool,
    ) -> R {
        let Work {
            lead: Some(mut lead),
            lease,
            begun,
            ..
        } = *work
        else {
            return result;
        };
        let cost = begun.elapsed();
        self.session.refill();
        let held = match result.split() {
            Ok(value) => Kind::<R, KIND>::hold(value),
            Err(failure) => {
                lead.fail();
                if let Some((lease, _)) = lease {
                    self.note(lease.release().await);
                }
                return failure;
            }
        };
        let keep = cache_if(Kind::<R, KIND>::view(&held));
        // Those who wait have it at once; those who come while it is being stored, too.
        lead.land(Kind::<R, KIND>::erase(held.clone()));
        if let Some((lease, mark)) = lease {
            let life = self.policy.life(Kind::<R, KIND>::is_none(&held));
            let stored = if keep && life.as_millis() > 0 {
                match self.entry(&mark, &held, life, cost) {
                    Ok(entry) => lease.fill(entry, life).await.map(|filled| {
                        if self.session.is_typed() {
                            if filled {
                                lead.keep(|| self.state.current.set(mark.stamp()));
                            }
                        } else {
                            // A refresh replaces a copy of the old value, and our own push is
                            // still on its way. The new one is kept when it is read: our write
                            // has ended what the server tracks for us.
                            self.inner.local.call_changed(self.key.as_str());
                        }
                    }),
                    Err(error) => {
                        self.note(lease.release().await);
                        Err(error)
                    }
                }
            } else {
                lease.release().await
            };
            self.note(stored);
        }
        drop(lead);
        give(held)
    }

    /// What is stored under this name must be within the reach of a pattern: the name first.
    async fn announce(&self) -> Result<(), Error> {
        if !self.state.announced.load(Ordering::Acquire) {
            self.session.announce(&self.state.name).await?;
            self.state.announced.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn hits(&self) {
        match self.session.is_typed() {
            true => self.state.counters.near_hits.count(),
            false => self.state.counters.redis_hits.count(),
        }
    }

    fn failed<H>(&self, error: &Error, lead: &Lead) -> Turn<H> {
        if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) {
            // The server is there and tells others of their success, but us of nothing, since
            // nothing of ours is stored. (One that is away ends our flights when it comes back.)
            lead.leave();
        }
        self.state.counters.errors.count();
        tracing::debug!(
            function = &*self.state.name,
            "computed without the cache: {error}"
        );
        Turn::Unstored(None)
    }

    fn note(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.state.counters.errors.count();
            tracing::debug!(function = &*self.state.name, "not stored: {error}");
        }
    }

    fn mark(&self, stamp: Stamp) -> Mark {
        Mark::new(CODEC, Kind::<R, KIND>::shape(), stamp)
    }

    fn value(&self, read: &Read) -> Option<Held<R, KIND>> {
        let entry = read.entry.as_ref()?;
        entry.value::<Kind<R, KIND>>(&self.mark(read.stamp), CODEC)
    }

    fn entry(
        &self,
        mark: &Mark,
        held: &Held<R, KIND>,
        life: Duration,
        cost: Duration,
    ) -> Result<Stored, Error> {
        if self.session.is_typed() {
            return Ok(Stored::Typed(Typed {
                value: Kind::<R, KIND>::erase(held.clone()),
                stamp: mark.stamp().half(),
                bytes: Kind::<R, KIND>::written(held, CODEC),
            }));
        }
        let mut entry = mark.header(life, cost);
        Kind::<R, KIND>::encode(held, CODEC, &mut entry)?;
        Ok(Stored::Encoded(entry))
    }

    fn wait(&self) -> Duration {
        // Far beyond any patience, near enough for the clock to add.
        let wait = self.policy.wait.unwrap_or(self.inner.defaults.wait);
        wait.min(Duration::from_secs(365 * 24 * 3_600))
    }

    fn lease(&self) -> Duration {
        let life = self.policy.lease.unwrap_or(self.inner.defaults.lease);
        life.max(Duration::from_millis(100))
    }
}

fn give<R: Returns<KIND>, const KIND: u8>(held: Held<R, KIND>) -> R {
    R::join(Kind::<R, KIND>::give(held))
}
