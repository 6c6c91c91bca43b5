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

/// The right to compute a call, held by this process: renewed while it is held, released when
/// it is dropped.
pub(crate) struct Lease {
    session: BackendSession,
    key: Key,
    token: UniqueId,
    /// Ends with it.
    ward: Option<RenewalGuard>,
    /// Pause after a failure; zero is none.
    pause: Duration,
    released: bool,
}

impl Lease {
    /// Keeps the lease that `token` has been granted, for as long as this lives: renewed at a
    /// third of its life.
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
        // Beside the computation, which may block its runtime.
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

    /// Has a failure pause the call for so long: a stale value is served meanwhile.
    pub(crate) fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Stores the value and ends the lease; `false` if the lease was lost or invalidated, or what
    /// is stored is kept.
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

    /// Ends the lease with nothing stored: one successor is woken.
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

/// A claim on its way: dropped before the answer has come, it may be granted to nobody.
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

    /// One that was not answered in time may be granted all the same, or be on its way.
    pub(crate) fn ended(mut self, answer: &Result<ClaimReply, Error>) {
        let is_open = |error: &Error| error.kind() == ErrorKind::Timeout;
        self.answered = !answer.as_ref().is_err_and(is_open);
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Behind the claim, on its own link: ahead of it, it would find nothing to end.
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

/// After a panic: one that was cancelled says nothing about the function.
fn pause(session: BackendSession, key: Key, token: UniqueId, pause: Duration) {
    background::spawn(async move {
        if let Err(error) = session.pause(&key, token, pause).await {
            tracing::debug!("a call could not be paused: {error}");
        }
    });
}

/// A lease as whoever renews it sees it.
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
            // Whoever comes first takes over; should it go on after all, nothing of it is
            // stored.
            if let Err(error) = background.release(&self.key, self.token).await {
                tracing::debug!("a lease could not be released: {error}");
            }
            return;
        }
        match background.renew(&self.key, self.token, self.life).await {
            Ok(true) => {}
            Ok(false) => {
                // Invalidated: who comes now must not be given what was begun before.
                self.flight.close_to_joiners();
                duty.end();
            }
            Err(error) => tracing::debug!("a lease could not be renewed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
