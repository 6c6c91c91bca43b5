use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Boxed, Call};
use super::look::Hit;
use super::settle::ComputePermit;
use crate::backend::claim::{ClaimMode, ClaimReply, ClaimRequest};
use crate::backend::contract::Backend;
use crate::backend::session::BackendSession;
use crate::entry::header::EntryHeader;
use crate::error::Error;
use crate::process::background;
use crate::process::unique_id::UniqueId;
use crate::protocol::lease::{Lease, PendingClaim};
use crate::protocol::single_flight::Leader;
use crate::protocol::wait_graph;

/// Minimum and maximum pause between two claims of a waiter that polls.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Number of claims that one call sends without a pause. Later claims are paced.
const UNPACED: usize = 16;

/// Result of a claim.
pub(super) enum ClaimOutcome {
    /// The caller computes and stores.
    Ours(Lease, EntryHeader),
    /// The caller computes and does not store: the backend is unreachable, another holder takes too
    /// long, or the holder waits for this caller.
    Unstored,
    /// Another holder has stored the value.
    Theirs(Hit),
    /// The call is paused after a failed refresh, so the stale value is served.
    Paused,
}

impl Call<'_> {
    /// Claims the lease, or waits for the lease's holder until `deadline`.
    pub(super) async fn claim(
        &self,
        mut header: EntryHeader,
        mut reach: ClaimMode,
        deadline: Instant,
        leader: &Leader,
        mut respects_pause: bool,
    ) -> ClaimOutcome {
        if let Err(error) = self.announce().await {
            return self.failed(&error, leader);
        }
        if !self.session.pushes() {
            // No push would report an invalidation, so later callers must not join this flight.
            leader.leave();
        }
        let mut token = UniqueId::fresh();
        let life = self.lease();
        let mut watch = self.session.watch(self.key);
        let mut pause = POLL.0;
        let mut waits = None;
        let asked = Instant::now();
        let mut claims = 0;
        loop {
            claims += 1;
            if claims > UNPACED {
                // The pause bounds the rate of claims, even if the waiter is woken often.
                if let Ok(pace) = background::timeout(pause, std::future::pending::<()>()) {
                    let _ = pace.await;
                }
                pause = (pause * 2).min(POLL.1);
            }
            let claimed = ClaimRequest {
                key: self.key,
                groups: self.groups,
                header: &header,
                token,
                life,
                reach,
                // A stale entry is not accepted, because the look has read it already.
                min_remaining_ttl: self.policy.window(),
                respects_pause,
            };
            leader.look_anew();
            // `true` if the server will push the lease's next change.
            let mut watched = false;
            let asking = PendingClaim::new(&self.session, self.key, token);
            let answer = self.session.claim(&claimed).await;
            asking.ended(&answer);
            match answer {
                Err(error) if self.session.moves(&error) => {
                    watch = self.session.watch(self.key);
                    token = UniqueId::fresh();
                }
                Ok(ClaimReply::Granted) => {
                    let lease = Lease::keep(&self.session, self.key, token, life, leader.attend());
                    return ClaimOutcome::Ours(lease, header);
                }
                Ok(ClaimReply::Found(entry, left)) => {
                    let held = self.value_of(&entry, &header);
                    let hit = held.map(|held| self.worth(&entry, Some(left), held));
                    match hit {
                        Some(Ok(hit)) => {
                            let keeps = self.keeps();
                            let keep = || self.keep(keeps, &hit, header.stamp(), Some(&entry));
                            if !leader.close(keep) {
                                return ClaimOutcome::Theirs(hit);
                            }
                            // The entry has changed since the claim was sent, so the call claims
                            // again, without joiners.
                        }
                        Some(Err(_)) | None => reach = ClaimMode::IgnoreEntry,
                    }
                }
                Ok(ClaimReply::Stale) => match self.session.stamp(self.groups).await {
                    Ok(stamp) => header = self.header(stamp),
                    Err(error) => return self.failed(&error, leader),
                },
                Ok(ClaimReply::Paused) => {
                    if !leader.has_changed() && !leader.close(|| {}) {
                        return ClaimOutcome::Paused;
                    }
                    // The stale value that was read is outdated, so the pause does not apply.
                    respects_pause = false;
                }
                Ok(ClaimReply::Held(left)) => {
                    if waits.is_none() {
                        waits = wait_graph::enter(self.calling());
                        if waits.is_none() {
                            // The holder in this process waits for this caller, so a wait would
                            // deadlock.
                            leader.leave();
                            return ClaimOutcome::Unstored;
                        }
                        self.state.counters.here().lease_waits.count();
                    }
                    // The holder may replace an entry that could not be read, so entries are
                    // accepted again.
                    reach = ClaimMode::Normal;
                    let patience = deadline.saturating_duration_since(Instant::now());
                    let mut nap = patience.min((left + Duration::from_millis(1)).max(POLL.0));
                    if !self.session.pushes() {
                        nap = nap.min(pause);
                        pause = (pause * 2).min(POLL.1);
                    }
                    if let Ok(nap) = background::timeout(nap, watch.changed()) {
                        watched = nap.await.is_err();
                    }
                    self.session.refill();
                }
                Err(error) => return self.failed(&error, leader),
            }
            if Instant::now() >= deadline {
                if asked < deadline {
                    self.waited_in_vain();
                }
                // A push about the lease would close the flight. If no such push is expected, no
                // push would report an invalidation, so the flight is closed to joiners now.
                if !(watched && self.session.pushes()) {
                    leader.leave();
                }
                return ClaimOutcome::Unstored;
            }
        }
    }

    /// Claims the lease for a background refresh. Returns `None` if the lease is not granted: a
    /// stored entry lives longer than `min_remaining_ttl`, another holder refreshes, the call is
    /// paused, or the claim fails.
    pub(crate) fn seek_ahead(
        &self,
        min_remaining_ttl: Duration,
    ) -> Boxed<'_, Option<Box<ComputePermit>>> {
        Box::pin(self.find_ahead(min_remaining_ttl))
    }

    async fn find_ahead(&self, min_remaining_ttl: Duration) -> Option<Box<ComputePermit>> {
        self.session.refill();
        let leader = self.inner.process.flights.detached(self.key, self.groups);
        match self.claim_ahead(min_remaining_ttl, &leader).await {
            Ok(Some((lease, header))) => {
                self.state.counters.here().computations.count();
                let lease = lease.pausing(self.policy.retry_after);
                let permit = ComputePermit::new(leader, Some((lease, header)), None);
                Some(Box::new(permit))
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
        min_remaining_ttl: Duration,
        leader: &Leader,
    ) -> Result<Option<(Lease, EntryHeader)>, Error> {
        self.announce().await?;
        let header = self.header(self.session.stamp(self.groups).await?);
        let lease = self
            .claim_once(&header, ClaimMode::Normal, min_remaining_ttl, leader)
            .await?;
        Ok(lease.map(|lease| (lease, header)))
    }

    /// Claims the lease once, without a wait. Returns `None` if the lease is not granted.
    pub(super) async fn claim_once(
        &self,
        header: &EntryHeader,
        reach: ClaimMode,
        min_remaining_ttl: Duration,
        leader: &Leader,
    ) -> Result<Option<Lease>, Error> {
        let (token, life) = (UniqueId::fresh(), self.lease());
        let claimed = ClaimRequest {
            key: self.key,
            groups: self.groups,
            header,
            token,
            life,
            reach,
            min_remaining_ttl,
            respects_pause: reach == ClaimMode::Normal,
        };
        let asking = PendingClaim::new(&self.session, self.key, token);
        let answer = self.session.claim(&claimed).await;
        asking.ended(&answer);
        let granted = matches!(answer?, ClaimReply::Granted);
        Ok(granted.then(|| Lease::keep(&self.session, self.key, token, life, leader.attend())))
    }

    /// Announces the function's name and the key's variant to the fleet before the computation. An
    /// invalidation that read the fleet's registry before the announcement concerns an older value.
    pub(super) async fn announce(&self) -> Result<(), Error> {
        let variant = self.key.variant().unwrap_or_default();
        if !self.state.is_announced(variant) {
            if matches!(self.session, BackendSession::Memory(_)) {
                // The memory backend announces at once, so no task is needed.
                self.session.announce(&self.state.name, variant).await?;
            } else {
                let announce = || {
                    let session = self.session.background();
                    let (name, variant) = (Arc::clone(&self.state.name), variant.to_owned());
                    async move { session.announce(&name, &variant).await }
                };
                self.state.announcing.once(variant, announce).await?;
            }
            self.state.announced(variant);
        }
        Ok(())
    }

    fn lease(&self) -> Duration {
        let life = self.policy.lease.unwrap_or(self.inner.defaults.lease);
        life.max(Duration::from_millis(100))
    }
}
