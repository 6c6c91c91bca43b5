use std::time::Duration;

use super::{Boxed, Request};
use crate::error::{Error, ErrorKind};
use crate::policy::Sort;
use crate::returns::Erased;
use crate::store::{Reach, Tier};

/// How often a call is claimed whose groups are invalidated meanwhile.
const CLAIMS: usize = 5;

impl Request<'_> {
    /// Stores a value from elsewhere; computations under way are not stored any more.
    pub(crate) fn put(&self, held: Erased, sort: Sort) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            self.announce().await?;
            let life = self.policy.life(sort);
            let outcome = match life.as_millis() {
                0 => self.session.remove(self.key).await.map(drop),
                _ => self.replace(&held, sort, life).await,
            };
            self.inner.forget_call(self.key);
            outcome
        })
    }

    /// With a lease, like everything that is stored: one that arrives late has lost it to any
    /// invalidation meanwhile.
    async fn replace(&self, held: &Erased, sort: Sort, life: Duration) -> Result<(), Error> {
        let span = self.span(life, sort, Duration::ZERO);
        let lead = self.inner.local.flights.aside(self.key, self.groups);
        for _ in 0..CLAIMS {
            let mark = self.mark(self.session.stamp(self.groups).await?);
            // Before anything is claimed, in case it can't be written.
            let entry = self.entry(&mark, held, span)?;
            let claim = self.claim_once(&mark, Reach::Force, Duration::ZERO, &lead);
            if let Some(lease) = claim.await? {
                return lease.fill(entry, span.life).await.map(drop);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the call was invalidated again and again while its value was put",
        ))
    }
}
