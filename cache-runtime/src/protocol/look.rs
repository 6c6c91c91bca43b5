use std::sync::Arc;
use std::time::Duration;

use super::call::{Boxed, Call};
use crate::backend::contract::Backend;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::stored_entry::StoredEntry;
use crate::entry::header::{Age, EntryHeader};
use crate::error::Error;
use crate::invalidation::group::GenerationStamp;
use crate::near_cache::Evicted;
use crate::protocol::single_flight::Leader;
use crate::values::value_kind::Erased;

/// Result of a look at the backend.
pub(super) enum LookOutcome {
    Hit(Hit),
    /// No value to serve. Holds the stamp for the computation, and a stale value that can stand in
    /// if the computation fails.
    Miss(GenerationStamp, Option<Erased>),
}

/// A value to serve.
pub(super) struct Hit {
    pub(super) held: Erased,
    /// Time for which a copy may be kept in this process; `None` if the value is stale.
    pub(super) fresh: Option<Duration>,
    /// Remaining life of the entry if a refresh is due. The refresh is skipped if an entry that
    /// lives longer is stored by then.
    pub(super) due: Option<Duration>,
}

impl Call<'_> {
    pub(super) async fn look(&self, leader: &Leader) -> Result<LookOutcome, Error> {
        let keeps = self.keeps();
        let look = match keeps || self.policy.ages() {
            true => ReadMode::WithLife,
            false => ReadMode::Entry,
        };
        let read = self.read(look).await?;
        match self.judge(&read) {
            LookOutcome::Hit(hit) => {
                let keep = || self.keep(keeps, &hit, read.stamp, read.entry.as_ref());
                if !leader.close(keep) {
                    return Ok(LookOutcome::Hit(hit));
                }
                // The entry has changed since the read, so the leader reads again, without joiners.
                Ok(self.judge(&Box::pin(self.read(look)).await?))
            }
            miss => Ok(miss),
        }
    }

    /// Returns the stored value and never computes; `None` if no fresh value is stored or the
    /// backend is unreachable.
    pub(crate) fn peek(&self) -> Boxed<'_, Option<Erased>> {
        Box::pin(async {
            let counters = self.state.counters.here();
            if let Some(held) = self.near() {
                counters.near_hits.count();
                return Some(held);
            }
            let read = match self.read(ReadMode::WithLife).await {
                Ok(read) => read,
                Err(error) => {
                    self.note(Err(error));
                    self.state.counters.here().misses.count();
                    return None;
                }
            };
            let held = read.fresh(self.policy.cap).and(self.value(&read));
            let counters = self.state.counters.here();
            match (&held, self.session.is_typed()) {
                (None, _) => counters.misses.count(),
                (Some(_), true) => counters.near_hits.count(),
                (Some(_), false) => counters.redis_hits.count(),
            }
            held
        })
    }

    /// Returns the remaining life of the stored value; `None` if no fresh value is stored or the
    /// backend is unreachable.
    pub(crate) fn ttl(&self) -> Boxed<'_, Option<Duration>> {
        Box::pin(async {
            match self.read(ReadMode::WithLife).await {
                Ok(read) => {
                    let there = self.value(&read).is_some();
                    read.fresh(self.policy.cap).filter(|_| there)
                }
                Err(error) => {
                    self.note(Err(error));
                    None
                }
            }
        })
    }

    async fn read(&self, look: ReadMode) -> Result<Lookup, Error> {
        self.session.read(self.key, self.groups, look).await
    }

    fn value(&self, read: &Lookup) -> Option<Erased> {
        self.value_of(read.entry.as_ref()?, &self.header(read.stamp))
    }

    /// Returns the value of an entry. An entry with the expected header that cannot be decoded is a
    /// miss, and is reported because every such call computes.
    pub(super) fn value_of(&self, entry: &StoredEntry, header: &EntryHeader) -> Option<Erased> {
        let value = entry.value(self.vtable, header, self.inner.max_value_size);
        value.unwrap_or_else(|error| {
            self.note(Err(error));
            None
        })
    }

    fn judge(&self, read: &Lookup) -> LookOutcome {
        let (Some(entry), Some(held)) = (&read.entry, self.value(read)) else {
            return LookOutcome::Miss(read.stamp, None);
        };
        match self.worth(entry, read.left, held) {
            Ok(hit) => LookOutcome::Hit(hit),
            Err(old) => LookOutcome::Miss(read.stamp, old),
        }
    }

    /// Returns a hit if the stored value may be served. Otherwise returns, as the error, the value
    /// if that value may stand in for a computation that fails.
    pub(super) fn worth(
        &self,
        entry: &StoredEntry,
        left: Option<Duration>,
        held: Erased,
    ) -> Result<Hit, Option<Erased>> {
        let whole = left.unwrap_or_default();
        let span = entry.span();
        // An entry that was stored under a policy with longer windows takes the branch below.
        if !self.policy.ages() && span.ends_fresh() {
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

    /// Returns this process's copy of the value, if the copy may be served.
    pub(super) fn near(&self) -> Option<Erased> {
        if !self.policy.near && !self.session.is_typed() {
            return None;
        }
        let near = self.held();
        let value = match self.tags {
            Some(_) => near.sealed(self.key.fingerprint())?,
            None => near.fresh(self.key.fingerprint(), &self.state.current)?,
        };
        Some(value).filter(self.vtable.is)
    }

    /// Returns `true` if this process keeps a copy of the entry: the policy allows the near cache,
    /// and pushes or `near_ttl` bound the age of a copy.
    pub(super) fn keeps(&self) -> bool {
        !self.session.is_typed()
            && self.policy.near
            && (self.session.pushes() || self.policy.near_ttl.is_some())
    }

    /// Inserts a value that was read into the near cache. The caller holds the lock of the flight's
    /// shard while the flight takes joiners, so this function must not take a lock of a connection.
    pub(super) fn keep(
        &self,
        keeps: bool,
        hit: &Hit,
        stamp: GenerationStamp,
        entry: Option<&StoredEntry>,
    ) -> Evicted {
        let mut evicted = Evicted::default();
        if !self.state.is_still(self.policy) {
            // An override may have been set after this call began to wait.
            return evicted;
        }
        if !self.session.is_typed() {
            if !keeps {
                if self.policy.near {
                    self.inner.process.near.refuse();
                }
                return evicted;
            }
            let longest = self.policy.near_ttl.unwrap_or(Duration::MAX);
            let life = hit.fresh.unwrap_or_default().min(longest);
            if life.is_zero() {
                return evicted;
            }
            let value = self.sealed(Arc::clone(&hit.held));
            let bytes = entry.map_or(0, StoredEntry::bytes);
            let near = &self.inner.process.near;
            evicted = near.keep(self.key, value, stamp.half(), life, bytes);
        }
        self.set_current(stamp);
        evicted
    }
}
