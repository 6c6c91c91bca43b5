use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Boxed, Request};
use crate::computation::Pulse;
use crate::draft::{Draft, oversized};
use crate::entry::{Mark, Span};
use crate::error::{Error, ErrorKind};
use crate::flight::Lead;
use crate::lease::{Lease, Vigil};
use crate::policy::Sort;
use crate::returns::Erased;
use crate::store::{Aged, Listener, Stored, Typed};

/// A computation that the caller has taken on. Dropped before it is settled, it gives way to
/// a successor.
pub(crate) struct Work {
    lead: Option<Lead>,
    lease: Option<(Lease, Mark)>,
    _vigil: Option<Vigil>,
    /// A place among those who try again after a failure.
    pub(super) turn: Option<OwnedSemaphorePermit>,
    pub(super) pulse: Option<Arc<Pulse>>,
    /// A value past its ttl that can stand in for a computation that fails or takes too long.
    pub(super) spare: Option<Erased>,
    /// In the background: for how much longer what it is to replace is stored.
    pub(super) replaces: Option<Duration>,
    /// Its caller was served what stands in, and counted.
    pub(super) served: bool,
    begun: Instant,
}

/// What is to become of a computed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stored for as long as the policy says.
    Keep,
    /// Stored for so long.
    KeepFor(Duration),
    /// Not stored.
    Pass,
}

impl Work {
    pub(super) fn new(
        lead: Lead,
        lease: Option<(Lease, Mark)>,
        vigil: Option<Vigil>,
        spare: Option<Erased>,
    ) -> Self {
        Self {
            pulse: Some(lead.begin()),
            lead: Some(lead),
            lease,
            _vigil: vigil,
            turn: None,
            spare,
            replaces: None,
            served: false,
            begun: Instant::now(),
        }
    }

    /// The caller has been served what stands in.
    pub(crate) fn served(&mut self) {
        self.served = true;
    }

    /// Beside the cache.
    pub(super) fn alone(turn: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            lead: None,
            lease: None,
            _vigil: None,
            turn,
            pulse: None,
            spare: None,
            replaces: None,
            served: false,
            begun: Instant::now(),
        }
    }
}

impl Request<'_> {
    /// Whether what is stored for `left` more is served though its computation fails: it is within
    /// its ttl, or stands in.
    fn stands_in(&self, left: Duration) -> bool {
        let past = self.policy.window().checked_sub(left);
        past.is_none_or(|past| past < self.policy.stale_if_error)
    }

    /// Gives a failure to those who wait; what is to stand in for it, if anything.
    pub(crate) fn settle_failure<'a>(
        &'a self,
        work: Box<Work>,
        failure: &dyn Fn() -> Option<Erased>,
    ) -> Boxed<'a, Option<Erased>> {
        let Work {
            lead, lease, spare, ..
        } = *work;
        let Some(mut lead) = lead else {
            return Box::pin(std::future::ready(None));
        };
        match &spare {
            Some(spare) => lead.land(Arc::clone(spare)),
            None => lead.fail(failure),
        }
        Box::pin(async move {
            self.session.refill();
            if let Some((lease, _)) = lease {
                self.note(lease.release().await);
            }
            drop(lead);
            spare
        })
    }

    /// Gives a value to those who wait, and stores it; what is to stand in for it, if anything.
    pub(crate) fn settle<'a>(
        &'a self,
        work: Box<Work>,
        held: Erased,
        sort: Sort,
        verdict: Verdict,
    ) -> Boxed<'a, Option<Erased>> {
        if let (Sort::Failure, Some(_)) = (sort, &work.spare) {
            return self.settle_failure(work, &|| None);
        }
        Box::pin(async move {
            let Work {
                lead: Some(mut lead),
                lease,
                replaces,
                begun,
                ..
            } = *work
            else {
                return None;
            };
            let cost = begun.elapsed();
            self.session.refill();
            let outlived = |left: Duration| self.stands_in(left.saturating_sub(cost));
            if sort == Sort::Failure && replaces.is_some_and(outlived) {
                if let Some((lease, _)) = lease {
                    self.note(lease.release().await);
                }
                return None;
            }
            let life = match verdict {
                Verdict::Keep => self.policy.life(sort),
                Verdict::KeepFor(ttl) => {
                    let longest = self.policy.cap.unwrap_or(Duration::MAX);
                    self.policy.jittered(ttl.min(longest))
                }
                Verdict::Pass => Duration::ZERO,
            };
            // Those who wait have it at once; those who come while it is being stored, too.
            lead.land(Arc::clone(&held));
            if let Some((lease, mark)) = lease {
                let span = self.span(life, sort, cost);
                let stored = self.store(&lead, lease, &mark, &held, span).await;
                self.note(stored);
            }
            None
        })
    }

    async fn store(
        &self,
        lead: &Lead,
        lease: Lease,
        mark: &Mark,
        held: &Erased,
        span: Span,
    ) -> Result<(), Error> {
        if span.ttl().as_millis() == 0 {
            return lease.release().await;
        }
        let entry = match self.entry(mark, held, span) {
            Ok(entry) => entry,
            Err(error) => {
                self.note(lease.release().await);
                return Err(error);
            }
        };
        let filled = lease.fill(entry, span.life).await?;
        let observer = &self.inner.local.observer;
        self.state.trouble.ends(observer, &self.state.name);
        if !self.session.is_typed() {
            // A refresh replaces a copy of the old value, and our own push is still on its way.
            // The new one is kept when it is read: our write has ended what the server tracks
            // for us.
            self.inner.local.call_changed(self.key.as_str());
        } else if filled && self.state.is_still(self.policy) {
            lead.keep(|| self.set_current(mark.stamp()));
        } else if filled {
            // What a setting ends is swept out once, and this came in behind the broom.
            self.inner.local.near.remove(self.key.as_str());
        }
        Ok(())
    }

    /// An error is not served past its ttl.
    pub(super) fn span(&self, fresh: Duration, sort: Sort, cost: Duration) -> Span {
        let stale = match sort {
            Sort::Failure => Duration::ZERO,
            Sort::Value | Sort::Nothing => self.policy.window(),
        };
        Span {
            life: fresh.saturating_add(stale),
            stale,
            cost,
        }
    }

    pub(super) fn entry(&self, mark: &Mark, held: &Erased, span: Span) -> Result<Stored, Error> {
        let most = self.inner.max_value_size;
        if self.session.is_typed() {
            // What has no room there would be computed again and again, and nobody told why.
            let most = most.min(self.inner.local.near.most(self.key));
            let Some(bytes) = (self.form.written)(held, self.policy.codec, most) else {
                return Err(oversized(most));
            };
            let value = Arc::clone(held);
            return Ok(Stored::Typed(Typed {
                value: self.sealed(match self.policy.ages() {
                    true => Arc::new(Aged { value, span }),
                    false => value,
                }),
                stamp: mark.stamp().half(),
                bytes,
            }));
        }
        let codec = self.policy.codec;
        let most = most.saturating_sub(codec.extra());
        let mut entry = Draft::new(mark.header(span), most);
        (self.form.encode)(held, codec, &mut entry)?;
        Ok(Stored::Encoded(codec.pack(entry.finish())))
    }

    pub(super) fn note(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            match error.kind() {
                ErrorKind::Oversized => self.state.counters.here().oversized.count(),
                _ => self.state.counters.here().errors.count(),
            }
            self.trouble(&error);
        }
    }
}
