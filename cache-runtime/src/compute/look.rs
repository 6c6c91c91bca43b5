use std::sync::Arc;
use std::time::Duration;

use super::{Boxed, Request};
use crate::entry::Age;
use crate::error::Error;
use crate::flight::Lead;
use crate::group::Stamp;
use crate::returns::Erased;
use crate::store::{Look, Read, Stored, Tier};

/// What the store has for a call.
pub(super) enum Looked {
    Hit(Hit),
    /// Nothing to serve: the stamp to compute with, and what can stand in for a computation that
    /// fails.
    Miss(Stamp, Option<Erased>),
}

/// A value to serve.
pub(super) struct Hit {
    pub(super) held: Erased,
    /// How long it may be kept in this process; `None` if it is past its ttl.
    pub(super) fresh: Option<Duration>,
    /// A new value is due, unless one is stored by now that lives longer than this.
    pub(super) due: Option<Duration>,
}

impl Request<'_> {
    pub(super) async fn look(&self, lead: &Lead) -> Result<Looked, Error> {
        let keeps = self.keeps();
        let look = match keeps || self.policy.ages() {
            true => Look::WithLife,
            false => Look::Entry,
        };
        let read = self.read(look).await?;
        match self.judge(&read) {
            Looked::Hit(hit) => {
                let keep = || self.keep(keeps, &hit, read.stamp, read.entry.as_ref());
                if !lead.close(keep) {
                    return Ok(Looked::Hit(hit));
                }
                // It has changed since: once more, now that nobody joins.
                Ok(self.judge(&Box::pin(self.read(look)).await?))
            }
            miss => Ok(miss),
        }
    }

    /// The stored value; nothing is computed.
    pub(crate) fn peek(&self) -> Boxed<'_, Result<Option<Erased>, Error>> {
        Box::pin(async {
            if let Some(held) = self.near() {
                return Ok(Some(held));
            }
            let read = self.read(Look::WithLife).await?;
            Ok(read.fresh(self.policy.cap).and(self.value(&read)))
        })
    }

    /// The remaining life of the stored value.
    pub(crate) fn ttl(&self) -> Boxed<'_, Result<Option<Duration>, Error>> {
        Box::pin(async {
            let read = self.read(Look::WithLife).await?;
            let there = self.value(&read).is_some();
            Ok(read.fresh(self.policy.cap).filter(|_| there))
        })
    }

    async fn read(&self, look: Look) -> Result<Read, Error> {
        self.session.read(self.key, self.groups, look).await
    }

    fn value(&self, read: &Read) -> Option<Erased> {
        let entry = read.entry.as_ref()?;
        entry.value(self.form, &self.mark(read.stamp))
    }

    fn judge(&self, read: &Read) -> Looked {
        let (Some(entry), Some(held)) = (&read.entry, self.value(read)) else {
            return Looked::Miss(read.stamp, None);
        };
        match self.worth(entry, read.left, held) {
            Ok(hit) => Looked::Hit(hit),
            Err(old) => Looked::Miss(read.stamp, old),
        }
    }

    /// What a stored value is good for: to be served, or else maybe to stand in for a
    /// computation that fails.
    pub(super) fn worth(
        &self,
        entry: &Stored,
        left: Option<Duration>,
        held: Erased,
    ) -> Result<Hit, Option<Erased>> {
        let whole = left.unwrap_or_default();
        let span = entry.span();
        // Another policy may have stored it, to be served for longer than its ttl.
        if !self.policy.ages() && span.stale.is_zero() {
            let (fresh, due) = (Some(whole), None);
            return Ok(Hit { held, fresh, due });
        }
        match span.age(whole, self.policy.cap) {
            Age::Fresh(fresh) => {
                let kept = fresh.checked_sub(self.policy.ahead(span.cost));
                let due = kept.is_none().then_some(whole);
                let fresh = Some(kept.unwrap_or_default());
                Ok(Hit { held, fresh, due })
            }
            Age::Stale(past) if past < self.policy.stale_while_revalidate => {
                let (fresh, due) = (None, Some(whole));
                Ok(Hit { held, fresh, due })
            }
            Age::Stale(past) => Err((past < self.policy.stale_if_error).then_some(held)),
        }
    }

    /// What this process holds, if it may be served.
    pub(super) fn near(&self) -> Option<Erased> {
        if !self.policy.near && !self.session.is_typed() {
            return None;
        }
        let near = &self.inner.local.near;
        let value = match self.seals {
            Some(_) => near.sealed(self.key.fingerprint())?,
            None => near.fresh(self.key.fingerprint(), &self.state.current)?,
        };
        Some(value).filter(self.form.is)
    }

    /// Whether a copy of the entry is to be kept in this process.
    pub(super) fn keeps(&self) -> bool {
        !self.session.is_typed()
            && self.policy.near
            && (self.session.pushes() || self.policy.near_ttl.is_some())
    }

    /// Keeps what has been read. To be called while the flight still stands for it, under its
    /// shard's lock: nothing in here may take a lock of a link.
    pub(super) fn keep(&self, keeps: bool, hit: &Hit, stamp: Stamp, entry: Option<&Stored>) {
        if !self.state.is_still(self.policy) {
            // This call began before a setting, and has waited: its flight may be newer than that.
            return;
        }
        if !self.session.is_typed() {
            if !keeps {
                if self.policy.near {
                    self.inner.local.near.refuse();
                }
                return;
            }
            let longest = self.policy.near_ttl.unwrap_or(Duration::MAX);
            let life = hit.fresh.unwrap_or_default().min(longest);
            if life.is_zero() {
                return;
            }
            let value = self.sealed(Arc::clone(&hit.held));
            let bytes = entry.map_or(0, Stored::bytes);
            self.inner
                .local
                .near
                .keep(self.key, value, stamp.half(), life, bytes);
        }
        self.set_current(stamp);
    }
}
