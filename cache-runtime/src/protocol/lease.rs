use std::sync::Arc;
use std::time::Duration;

use crate::backend::claim::{ClaimReply, ExistingEntry};
use crate::backend::contract::Backend;
use crate::backend::session::BackendSession;
use crate::backend::stored_entry::StoredEntry;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::process::background;
use crate::process::unique_id::UniqueId;
use crate::protocol::renewer::{self, RenewalGuard, RenewalHandle};
use crate::protocol::single_flight::LeaderHandle;

/// A lease on one call. The lease is renewed every `life / 3`, and is released on drop.
pub(crate) struct Lease {
    session: BackendSession,
    key: Key,
    token: UniqueId,
    /// Guard of the renewal; `None` if the background runtime could not start.
    ward: Option<RenewalGuard>,
    /// Pause of the call after a failure. Zero means no pause.
    pause: Duration,
    released: bool,
}

impl Lease {
    /// Holds the lease that was granted to `token`, and renews that lease every `life / 3`.
    pub(crate) fn keep(
        session: &BackendSession,
        key: &Key,
        token: UniqueId,
        life: Duration,
        flight: LeaderHandle,
    ) -> Self {
        let held = Arc::new(HeldLease {
            session: session.clone(),
            key: key.clone(),
            token,
            life,
            flight,
        });
        // The renewal runs on the background runtime, because the computation may block the
        // caller's runtime.
        let renew = move |duty: RenewalHandle| background::spawn(Arc::clone(&held).renew(duty));
        Self {
            session: session.clone(),
            key: key.clone(),
            token,
            ward: renewer::take(life / 3, Arc::new(renew)),
            pause: Duration::ZERO,
            released: false,
        }
    }

    /// Sets the pause of the call after a failure. During the pause, a stale value is served.
    pub(crate) fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Stores the value and ends the lease. Returns `false` if the lease was lost or invalidated,
    /// or if the existing entry is kept.
    pub(crate) async fn fill(
        mut self,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> Result<bool, Error> {
        let filled = self
            .session
            .fill(&self.key, self.token, entry, life, existing)
            .await?;
        self.released = true;
        Ok(filled)
    }

    /// Ends the lease after a computation that failed or whose value is not stored. Pauses the call
    /// if a pause is set.
    pub(crate) async fn fail(mut self) -> Result<(), Error> {
        if self.pause.as_millis() == 0 {
            return self.release().await;
        }
        self.session
            .pause(&self.key, self.token, self.pause)
            .await?;
        self.released = true;
        Ok(())
    }

    /// Releases the lease and stores nothing. One waiter takes over.
    pub(crate) async fn release(mut self) -> Result<(), Error> {
        self.session.release(&self.key, self.token).await?;
        self.released = true;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.ward.take());
        if self.released {
            return;
        }
        let session = self.session.background();
        if self.pause.as_millis() > 0 && std::thread::panicking() {
            pause(session, self.key.clone(), self.token, self.pause);
        } else {
            release(session, self.key.clone(), self.token);
        }
    }
}

/// A claim whose reply is pending. A drop before the reply releases the lease, because the server
/// may still grant the lease although no caller waits.
pub(crate) struct PendingClaim<'a> {
    session: &'a BackendSession,
    key: &'a Key,
    token: UniqueId,
    answered: bool,
}

impl<'a> PendingClaim<'a> {
    pub(crate) fn new(session: &'a BackendSession, key: &'a Key, token: UniqueId) -> Self {
        Self {
            session,
            key,
            token,
            answered: false,
        }
    }

    /// Records the reply. After a timeout the claim stays pending, because the claim may still be
    /// granted or be on its way.
    pub(crate) fn ended(mut self, answer: &Result<ClaimReply, Error>) {
        let is_open = |error: &Error| error.kind() == ErrorKind::Timeout;
        self.answered = !answer.as_ref().is_err_and(is_open);
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // The release follows the claim on the same connection. A release ahead of the claim
            // would find no lease.
            release(self.session.clone(), self.key.clone(), self.token);
        }
    }
}

fn release(session: BackendSession, key: Key, token: UniqueId) {
    background::spawn(async move {
        if let Err(error) = session.release(&key, token).await {
            tracing::debug!("a lease could not be released: {error}");
        }
    });
}

/// Replaces the lease by a pause after a panic, in the background. A cancelled call leaves no
/// pause, because a cancellation is not a failure of the function.
fn pause(session: BackendSession, key: Key, token: UniqueId, pause: Duration) {
    background::spawn(async move {
        if let Err(error) = session.pause(&key, token, pause).await {
            tracing::debug!("a call could not be paused: {error}");
        }
    });
}

/// State of a lease that each renewal needs.
struct HeldLease {
    session: BackendSession,
    key: Key,
    token: UniqueId,
    life: Duration,
    flight: LeaderHandle,
}

impl HeldLease {
    async fn renew(self: Arc<Self>, duty: RenewalHandle) {
        let background = self.session.background();
        if self.flight.abandon_if_stalled(self.life) {
            duty.end();
            // The first waiter takes over; if the computation continues after all, its value is
            // not stored.
            if let Err(error) = background.release(&self.key, self.token).await {
                tracing::debug!("a lease could not be released: {error}");
            }
            return;
        }
        match background.renew(&self.key, self.token, self.life).await {
            Ok(true) => {}
            Ok(false) => {
                // The call was invalidated, so later callers must not get a value whose computation
                // began before.
                self.flight.close_to_joiners();
                duty.end();
            }
            Err(error) => tracing::debug!("a lease could not be renewed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
