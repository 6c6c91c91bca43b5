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

/// A lease on one call. The holder renews it every `life / 3`; a drop releases it.
pub(crate) struct Lease {
    session: BackendSession,
    key: Key,
    token: UniqueId,
    /// The renewal, which ends with the lease.
    ward: Option<RenewalGuard>,
    /// Pause after a failure; zero is none.
    pause: Duration,
    released: bool,
}

impl Lease {
    /// Holds the lease that was granted to `token`, and renews it every `life / 3`.
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
        // On our own runtime, because the computation may block its own.
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

    /// Makes a failure pause the call for this long, while a stale value is served.
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

    /// Ends the lease of a computation that has failed, or whose value is not stored.
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

    /// Ends the lease without storing: one waiter succeeds.
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

/// A claim whose reply is pending. If it is dropped, the lease may be granted to no caller.
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

    /// A claim without a reply in time may still be granted, or be on its way.
    pub(crate) fn ended(mut self, answer: &Result<ClaimReply, Error>) {
        let is_open = |error: &Error| error.kind() == ErrorKind::Timeout;
        self.answered = !answer.as_ref().is_err_and(is_open);
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Sent behind the claim on its connection: ahead of the claim it would find no lease.
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

/// Replaces the lease by a pause in the background, after a panic. A cancelled call says nothing
/// about the function, so it leaves no pause.
fn pause(session: BackendSession, key: Key, token: UniqueId, pause: Duration) {
    background::spawn(async move {
        if let Err(error) = session.pause(&key, token, pause).await {
            tracing::debug!("a call could not be paused: {error}");
        }
    });
}

/// The renewer's view of a lease.
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
                // Invalidated: later callers must not get a value whose computation began before.
                self.flight.close_to_joiners();
                duty.end();
            }
            Err(error) => tracing::debug!("a lease could not be renewed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
