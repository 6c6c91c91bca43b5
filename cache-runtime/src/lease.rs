use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::background;
use crate::error::Error;
use crate::flight::{Attendant, Flights};
use crate::key::Key;
use crate::nonce::Nonce;
use crate::store::{Session, Stored, Tier, Watch};

/// The right to compute a call, held by this process: renewed while it is held, released when
/// it is dropped.
pub(crate) struct Lease {
    session: Session,
    key: Key,
    token: Nonce,
    keepers: Option<[AbortHandle; 2]>,
    released: bool,
}

impl Lease {
    /// Keeps the lease that `token` has been granted, for as long as this lives.
    pub(crate) fn keep(
        session: &Session,
        key: &Key,
        token: Nonce,
        life: Duration,
        watch: Watch,
        flight: Attendant,
    ) -> Self {
        let keepers = background::handle().ok().map(|runtime| {
            // Apart from each other: the connection that hears of changes may be one of a
            // runtime that the computation blocks, and renewing must not wait for it.
            let held = Held {
                session: session.clone(),
                key: key.clone(),
                token,
                flight,
            };
            [
                runtime.spawn(held.clone().renew(life)).abort_handle(),
                runtime.spawn(held.listen(watch)).abort_handle(),
            ]
        });
        Self {
            session: session.clone(),
            key: key.clone(),
            token,
            keepers,
            released: false,
        }
    }

    /// Stores the value and ends the lease; `false` if the lease was lost or invalidated.
    pub(crate) async fn fill(mut self, entry: Stored, life: Duration) -> Result<bool, Error> {
        let filled = self
            .session
            .fill(&self.key, self.token, entry, life)
            .await?;
        self.released = true;
        Ok(filled)
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
        for keeper in self.keepers.iter().flatten() {
            keeper.abort();
        }
        if !self.released {
            let (session, key, token) = (self.session.steady(), self.key.clone(), self.token);
            background::spawn(async move {
                if let Err(error) = session.release(&key, token).await {
                    tracing::debug!("a lease could not be released: {error}");
                }
            });
        }
    }
}

/// Watches over a computation that goes on without a lease: when the lease of its call changes,
/// it takes no more joiners.
pub(crate) struct Vigil(AbortHandle);

impl Vigil {
    pub(crate) fn keep(key: &Key, mut watch: Watch, flights: &Arc<Flights>) -> Option<Self> {
        let (key, flights) = (key.clone(), Arc::clone(flights));
        let vigil = async move {
            watch.changed().await;
            flights.retire(&key);
        };
        let runtime = background::handle().ok()?;
        Some(Self(runtime.spawn(vigil).abort_handle()))
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A lease as its keepers see it: they run beside the computation, which may block.
#[derive(Clone)]
struct Held {
    session: Session,
    key: Key,
    token: Nonce,
    flight: Attendant,
}

impl Held {
    /// Renews at a third of the lease's life.
    async fn renew(self, life: Duration) {
        let steady = self.session.steady();
        loop {
            sleep(life / 3).await;
            if self.flight.abandon_if_stalled(life) {
                // Whoever comes first takes over; should it go on after all, nothing of it is
                // stored.
                if let Err(error) = steady.release(&self.key, self.token).await {
                    tracing::debug!("a lease could not be released: {error}");
                }
                return;
            }
            if self.is_lost(steady.renew(&self.key, self.token, life).await) {
                return;
            }
        }
    }

    /// Looks whenever the lease has changed: renewed by ourselves, or taken from us.
    async fn listen(self, mut watch: Watch) {
        loop {
            watch.changed().await;
            // On the connection that was told: reading again is what keeps it told.
            if self.is_lost(self.session.holds(&self.key, self.token).await) {
                return;
            }
        }
    }

    fn is_lost(&self, ours: Result<bool, Error>) -> bool {
        match ours {
            Ok(true) => false,
            Ok(false) => {
                // Invalidated: who comes now must not be given what was begun before.
                self.flight.retire();
                true
            }
            Err(error) => {
                tracing::debug!("a lease could not be looked after: {error}");
                false
            }
        }
    }
}
