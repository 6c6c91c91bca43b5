//! The part of the protocol that is compiled for each return type.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::seek::SeekOutcome;
use super::settle::{ComputePermit, StoreDecision};
use crate::backend::contract::Caller;
use crate::entry::policy::Policy;
use crate::error::Error;
use crate::invalidation::group::Group;
use crate::key::Key;
use crate::protocol::cache_inner::CacheInner;
use crate::protocol::computation::{self, ActiveCall};
use crate::registry::FunctionState;
use crate::values::returns::Returns;
use crate::values::share::Share;
use crate::values::value_kind::ValueKind;

/// One call of a function that returns `R`.
pub(crate) struct TypedCall<'a, R, const KIND: u8> {
    request: Call<'a>,
    share: Share<R>,
}

type Kind<R, const KIND: u8> = <R as Returns<KIND>>::Kind;
type Held<R, const KIND: u8> = <Kind<R, KIND> as ValueKind>::Held;

/// Result of a call.
pub(crate) enum CallOutcome<R> {
    /// The value.
    Found(R),
    /// The value, and the remaining life of its entry. A refresh is due, and is skipped if an entry
    /// with a longer remaining life is stored by then.
    DueRenewal(R, Duration),
    /// The caller computes, then settles the result.
    Compute(Box<ComputePermit>),
}

/// Counter that a call increments after its computation.
pub(crate) enum Tally {
    Stale,
    Miss,
    /// No counter, because the call was counted when the computation began.
    Counted,
}

impl<'a, R: Returns<KIND>, const KIND: u8> TypedCall<'a, R, KIND> {
    pub(crate) fn new(
        inner: &'a Arc<CacheInner>,
        state: &'a FunctionState,
        key: &'a Key,
        policy: &'a Policy,
        caller: Caller,
    ) -> Self {
        let vtable = Kind::<R, KIND>::FORM;
        Self {
            request: Call::new(inner, state, key, policy, caller, vtable),
            share: Share::NOTHING,
        }
    }

    /// Sets the groups of a call with tags. `None` keeps the groups of the function.
    pub(crate) fn tagged(self, groups: Option<&'a Arc<[Group]>>) -> Self {
        Self {
            request: self.request.tagged(groups),
            ..self
        }
    }

    /// Sets how a failure is passed to followers.
    pub(crate) fn sharing(self, share: Share<R>) -> Self {
        Self {
            request: self.request.sharing(share.is),
            share,
        }
    }

    pub(crate) async fn seek(&self) -> CallOutcome<R> {
        self.answer(self.request.seek().await)
    }

    pub(crate) async fn seek_anew(&self) -> CallOutcome<R> {
        self.answer(self.request.seek_anew().await)
    }

    pub(crate) async fn seek_ahead(
        &self,
        min_remaining_ttl: Duration,
    ) -> Option<Box<ComputePermit>> {
        self.request.seek_ahead(min_remaining_ttl).await
    }

    fn answer(&self, sought: SeekOutcome) -> CallOutcome<R> {
        let answer = match sought {
            SeekOutcome::Found(held) => Kind::<R, KIND>::restore(held)
                .map(give)
                .map(CallOutcome::Found),
            SeekOutcome::Failed(failure) => self.share.give(&failure).map(CallOutcome::Found),
            SeekOutcome::DueRenewal(held, min_remaining_ttl) => {
                let held = Kind::<R, KIND>::restore(held);
                held.map(|held| CallOutcome::DueRenewal(give(held), min_remaining_ttl))
            }
            SeekOutcome::Compute(permit) => Some(CallOutcome::Compute(permit)),
        };
        // The type was checked before, so the fallback is not expected to run.
        answer.unwrap_or_else(|| CallOutcome::Compute(Box::new(ComputePermit::alone(None))))
    }

    /// Computes an async function and records its polls, so that a stalled computation is detected.
    pub(crate) async fn compute<F: Future>(
        &self,
        permit: &ComputePermit,
        compute: Pin<&mut F>,
    ) -> F::Output {
        computation::drive(self.request.calling(), permit.pulse.clone(), compute).await
    }

    /// Computes a plain function.
    pub(crate) fn compute_blocking<T>(&self, compute: impl FnOnce() -> T) -> T {
        computation::run(self.request.calling(), compute)
    }

    /// Returns a guard that marks this thread as computing the call.
    pub(crate) fn computing(&self) -> ActiveCall {
        ActiveCall::enter(self.request.calling())
    }

    /// Returns a value that can stand in for a computation that fails or takes too long.
    pub(crate) fn spare(&self, permit: &ComputePermit) -> Option<Held<R, KIND>> {
        Kind::<R, KIND>::restore(permit.spare.clone()?)
    }

    /// Returns the stale value and counts a stale hit.
    pub(crate) fn stand_in(&self, spare: Held<R, KIND>) -> R {
        self.count(Tally::Stale);
        give(spare)
    }

    /// Passes the result to the followers and stores the result. Returns the result, or a stale
    /// value that stands in.
    pub(crate) async fn settle(
        &self,
        permit: Box<ComputePermit>,
        result: R,
        judge: impl Fn(&R::Value) -> StoreDecision,
    ) -> R {
        let (result, tally) = self.settle_uncounted(permit, result, judge).await;
        self.count(tally);
        result
    }

    /// Settles like [`settle`](Self::settle), but does not count. The caller may get the stale
    /// value meanwhile, so the receiver of the result counts the tally.
    pub(crate) async fn settle_uncounted(
        &self,
        permit: Box<ComputePermit>,
        result: R,
        judge: impl Fn(&R::Value) -> StoreDecision,
    ) -> (R, Tally) {
        let spared = permit.spare.is_some();
        let (held, settled) = match result.split() {
            Ok(value) => {
                let verdict = judge(&value);
                let held = Kind::<R, KIND>::hold(value);
                let class = Kind::<R, KIND>::class(&held);
                let erased = Kind::<R, KIND>::erase(held.clone());
                let settled = self.request.settle(permit, erased, class, verdict);
                (Ok(held), settled)
            }
            Err(failure) => {
                let share = || self.share.take(&failure);
                let settled = self.request.settle_failure(permit, &share);
                (Err(failure), settled)
            }
        };
        match settled.await.and_then(Kind::<R, KIND>::restore) {
            Some(spare) => (give(spare), Tally::Stale),
            None => {
                let tally = if spared { Tally::Miss } else { Tally::Counted };
                (held.map_or_else(|failure| failure, give), tally)
            }
        }
    }

    pub(crate) fn count(&self, tally: Tally) {
        let counters = self.request.state.counters.here();
        match tally {
            Tally::Stale => counters.stale_hits.count(),
            Tally::Miss => counters.misses.count(),
            Tally::Counted => {}
        }
    }

    /// Ends a failed refresh. The caller of the refreshed call gets the stale value.
    pub(crate) async fn fail(&self, permit: Box<ComputePermit>) {
        self.request.settle_failure(permit, &|| None).await;
    }

    /// Returns the stored value and never computes.
    pub(crate) async fn peek(&self) -> Option<R::Value> {
        let held = self.request.peek().await.and_then(Kind::<R, KIND>::restore);
        held.map(Kind::<R, KIND>::give)
    }

    /// Returns the remaining life of the stored value.
    pub(crate) async fn ttl(&self) -> Option<Duration> {
        self.request.ttl().await
    }

    /// Stores a value by hand. The results of running computations are not stored.
    pub(crate) async fn put(&self, value: R::Value) -> Result<(), Error> {
        let held = Kind::<R, KIND>::hold(value);
        let class = Kind::<R, KIND>::class(&held);
        self.request.put(Kind::<R, KIND>::erase(held), class).await
    }
}

fn give<R: Returns<KIND>, const KIND: u8>(held: Held<R, KIND>) -> R {
    R::join(Kind::<R, KIND>::give(held))
}
