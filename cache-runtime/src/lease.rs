use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::background;
use crate::error::Error;
use crate::flight::Flights;
use crate::key::Key;
use crate::nonce::Nonce;
use crate::store::{Session, Stored, Tier, Watch};

/// The right to compute a call, held by this process: renewed while it is held, released when
/// it is dropped.
pub(crate) struct Lease {
    session: Session,
    key: Key,
    token: Nonce,
    keeper: Option<AbortHandle>,
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
        flights: &Arc<Flights>,
    ) -> Self {
        let keeper = background::handle().ok().map(|runtime| {
            let keeper = keep(
                session.clone(),
                key.clone(),
                token,
                life,
                watch,
                Arc::clone(flights),
            );
            runtime.spawn(keeper).abort_handle()
        });
        Self {
            session: session.clone(),
            key: key.clone(),
            token,
            keeper,
            released: false,
        }
    }

    /// Stores the value and ends the lease; `false` if the lease was lost or invalidated.
    pub(crate) async fn fill(
        mut self,
        entry: Stored,
        life: Duration,
        kept: bool,
    ) -> Result<bool, Error> {
        let filled = self
            .session
            .fill(&self.key, self.token, entry, life, kept)
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
        if let Some(keeper) = &self.keeper {
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
            flights.retire(key.as_str());
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

/// Renews at a third of the lease's life, on a runtime that the computation can't block, and
/// looks at once when somebody else has touched the lease.
async fn keep(
    session: Session,
    key: Key,
    token: Nonce,
    life: Duration,
    mut watch: Watch,
    flights: Arc<Flights>,
) {
    let steady = session.steady();
    let mut due = Instant::now() + life / 3;
    loop {
        let ours = match timeout_at(due, watch.changed()).await {
            // Asked on the connection that was told: reading again is what keeps it told.
            Ok(()) => session.holds(&key, token).await,
            Err(_) => {
                due = Instant::now() + life / 3;
                steady.renew(&key, token, life).await
            }
        };
        match ours {
            Ok(false) => {
                // Invalidated: who comes now must not be given what was begun before.
                flights.retire(key.as_str());
                return;
            }
            Ok(true) => {}
            Err(error) => tracing::debug!("a lease could not be renewed: {error}"),
        }
    }
}
