use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::look::Hit;
use super::{Boxed, Request, Work};
use crate::background;
use crate::entry::Mark;
use crate::error::Error;
use crate::flight::Lead;
use crate::lease::{Asking, Lease, Vigil};
use crate::nonce::Nonce;
use crate::store::{Claim, Claimed, Reach, Tier};

/// The shortest and the longest pause of a waiter that no push will wake.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// What the leader may do about a call that is not stored.
pub(super) enum Turn {
    /// Compute and store.
    Ours(Lease, Mark),
    /// Compute and store nothing: the store is away, or somebody else is at it for too long.
    Unstored(Option<Vigil>),
    /// Somebody else has computed it.
    Theirs(Hit),
}

impl Request<'_> {
    /// Takes the lease, or waits for whoever holds it.
    pub(super) async fn claim(
        &self,
        mut mark: Mark,
        mut reach: Reach,
        deadline: Instant,
        lead: &Lead,
    ) -> Turn {
        if let Err(error) = self.announce().await {
            return self.failed(&error, lead);
        }
        if !self.session.pushes() {
            // Nothing would tell of an invalidation: who comes from now on reads for itself.
            lead.leave();
        }
        let token = Nonce::fresh();
        let life = self.lease();
        let mut watch = self.session.watch(self.key);
        let mut pause = POLL.0;
        let mut waited = false;
        loop {
            let claimed = Claimed {
                key: self.key,
                groups: self.groups,
                mark: &mark,
                token,
                life,
                reach,
                // Past its ttl: we have seen it.
                beyond: self.policy.window(),
            };
            lead.look_anew();
            // Whether the server tells of the lease's next change.
            let mut watched = false;
            let asking = Asking::new(&self.session, self.key, token);
            let answer = self.session.claim(&claimed).await;
            asking.answered();
            match answer {
                Ok(Claim::Granted) => {
                    let lease = Lease::keep(&self.session, self.key, token, life, lead.attend());
                    return Turn::Ours(lease, mark);
                }
                Ok(Claim::Found(entry, left)) => {
                    let held = entry.value(self.form, &mark);
                    let hit = held.map(|held| self.worth(&entry, Some(left), held));
                    match hit {
                        Some(Ok(hit)) => {
                            let keeps = self.keeps();
                            let keep = || self.keep(keeps, &hit, mark.stamp(), Some(&entry));
                            if !lead.close(keep) {
                                return Turn::Theirs(hit);
                            }
                            // It has changed since: once more, with nobody who joins.
                        }
                        Some(Err(_)) | None => reach = Reach::IgnoreEntry,
                    }
                }
                Ok(Claim::Stale) => match self.session.stamp(self.groups).await {
                    Ok(stamp) => mark = self.mark(stamp),
                    Err(error) => return self.failed(&error, lead),
                },
                Ok(Claim::Held(left)) => {
                    if !waited {
                        waited = true;
                        self.state.counters.here().lease_waits.count();
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

    /// The lease, for a refresh in the background; `None` if a value is stored that lives longer
    /// than `beyond`, or somebody else is at it.
    pub(crate) fn seek_ahead(&self, beyond: Duration) -> Boxed<'_, Option<Box<Work>>> {
        Box::pin(self.find_ahead(beyond))
    }

    async fn find_ahead(&self, beyond: Duration) -> Option<Box<Work>> {
        self.session.refill();
        let lead = self.inner.local.flights.aside(self.key, self.groups);
        match self.claim_ahead(beyond, &lead).await {
            Ok(Some((lease, mark))) => {
                self.state.counters.here().computations.count();
                let mut work = Work::new(lead, Some((lease, mark)), None, None);
                work.replaces = Some(beyond);
                Some(Box::new(work))
            }
            Ok(None) => None,
            Err(error) => {
                self.note(Err(error));
                None
            }
        }
    }

    async fn claim_ahead(
        &self,
        beyond: Duration,
        lead: &Lead,
    ) -> Result<Option<(Lease, Mark)>, Error> {
        self.announce().await?;
        let mark = self.mark(self.session.stamp(self.groups).await?);
        let lease = self.claim_once(&mark, Reach::Normal, beyond, lead).await?;
        Ok(lease.map(|lease| (lease, mark)))
    }

    /// The lease, if it can be had now.
    pub(super) async fn claim_once(
        &self,
        mark: &Mark,
        reach: Reach,
        beyond: Duration,
        lead: &Lead,
    ) -> Result<Option<Lease>, Error> {
        let (token, life) = (Nonce::fresh(), self.lease());
        let claimed = Claimed {
            key: self.key,
            groups: self.groups,
            mark,
            token,
            life,
            reach,
            beyond,
        };
        let asking = Asking::new(&self.session, self.key, token);
        let answer = self.session.claim(&claimed).await;
        asking.answered();
        let granted = matches!(answer?, Claim::Granted);
        Ok(granted.then(|| Lease::keep(&self.session, self.key, token, life, lead.attend())))
    }

    /// What is stored under this name must be within the reach of a pattern: the name first.
    pub(super) async fn announce(&self) -> Result<(), Error> {
        if !self.state.announced.load(Ordering::Acquire) {
            self.session.announce(&self.state.name).await?;
            self.state.announced.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn lease(&self) -> Duration {
        let life = self.policy.lease.unwrap_or(self.inner.defaults.lease);
        life.max(Duration::from_millis(100))
    }
}
