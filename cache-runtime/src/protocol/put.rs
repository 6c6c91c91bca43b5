use std::time::Duration;

use super::call::{Boxed, Call};
use crate::backend::claim::{ClaimMode, ExistingEntry};
use crate::backend::contract::Backend;
use crate::entry::policy::ValueClass;
use crate::error::{Error, ErrorKind};
use crate::invalidation::request::Invalidation;
use crate::values::value_kind::Erased;

/// Maximum number of claims of one put. A claim is repeated if the groups are invalidated
/// meanwhile.
const CLAIMS: usize = 5;

impl Call<'_> {
    /// Stores a value by hand. The results of running computations are not stored.
    ///
    /// If Redis is unreachable, the call is invalidated instead, because the stored entry is older
    /// than the value.
    pub(crate) fn put(&self, held: Erased, class: ValueClass) -> Boxed<'_, Result<(), Error>> {
        Box::pin(async move {
            let outcome = self.put_now(&held, class).await;
            match self.vtable.is_own {
                // The value of a `local` function is stored only in this process.
                true => self.inner.process.flights.close_to_joiners(self.key),
                false => self.inner.forget_call(self.key),
            }
            match outcome {
                Ok(()) => {
                    self.state.counters.here().puts.count();
                    Ok(())
                }
                Err(error) if error.is_transient() => {
                    self.note(Err(error));
                    let removed = self
                        .inner
                        .apply(self.caller, Invalidation::call(self.key))
                        .await;
                    removed.map(drop)
                }
                Err(error) => Err(error),
            }
        })
    }

    async fn put_now(&self, held: &Erased, class: ValueClass) -> Result<(), Error> {
        self.announce().await?;
        let life = self.policy.life(class);
        match life.as_millis() {
            0 => self.session.remove(self.key).await.map(drop),
            _ => self.replace(held, class, life).await,
        }
    }

    /// Stores the value under a lease, like every fill. An invalidation meanwhile removes the
    /// lease, so that a late fill stores nothing.
    async fn replace(&self, held: &Erased, class: ValueClass, life: Duration) -> Result<(), Error> {
        let span = self.span(life, class, Duration::ZERO);
        let leader = self.inner.process.flights.detached(self.key, self.groups);
        for _ in 0..CLAIMS {
            let header = self.header(self.session.stamp(self.groups).await?);
            // The value is encoded before the claim, because encoding may fail.
            let entry = self.entry(&header, held, span)?;
            let claim = self.claim_once(&header, ClaimMode::Force, Duration::ZERO, &leader);
            if let Some(lease) = claim.await? {
                let filled = lease.fill(entry, span.life, ExistingEntry::Replace);
                return filled.await.map(drop);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the call was invalidated again and again while its value was put",
        ))
    }
}
