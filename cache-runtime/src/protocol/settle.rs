use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::call::{Boxed, Call};
use crate::backend::claim::ExistingEntry;
use crate::backend::contract::Backend;
use crate::backend::invalidation_sink::InvalidationSink;
use crate::backend::stored_entry::{AgedValue, StoredEntry, TypedValue};
#[cfg(debug_assertions)]
use crate::entry::codec::Encoding;
use crate::entry::codec::guarded;
use crate::entry::entry_writer::{EntryWriter, oversized};
#[cfg(debug_assertions)]
use crate::entry::header::HEADER;
use crate::entry::header::{EntryHeader, Lifetimes};
use crate::entry::policy::ValueClass;
use crate::error::{Error, ErrorKind};
use crate::process::background;
use crate::protocol::computation::PollWatch;
use crate::protocol::lease::Lease;
use crate::protocol::single_flight::Leader;
#[cfg(debug_assertions)]
use crate::telemetry::event::Event;
use crate::values::value_kind::Erased;

/// Permit to compute a call. If the permit is dropped before the call is settled, one waiter takes
/// over.
pub(crate) struct ComputePermit {
    leader: Option<Leader>,
    lease: Option<(Lease, EntryHeader)>,
    /// Semaphore permit of a follower that computes after a failed flight.
    pub(super) turn: Option<OwnedSemaphorePermit>,
    pub(super) pulse: Option<Arc<PollWatch>>,
    /// A stale value that can stand in for a computation that fails or takes too long.
    pub(super) spare: Option<Erased>,
    begun: Instant,
}

/// Decision about storing a computed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreDecision {
    /// Stores the value for the lifetime of the policy.
    Store,
    /// Stores the value for this lifetime.
    StoreFor(Duration),
    /// Does not store the value.
    Skip,
}

impl ComputePermit {
    pub(super) fn new(
        leader: Leader,
        lease: Option<(Lease, EntryHeader)>,
        spare: Option<Erased>,
    ) -> Self {
        Self {
            pulse: Some(leader.begin()),
            leader: Some(leader),
            lease,
            turn: None,
            spare,
            begun: Instant::now(),
        }
    }

    /// Creates a permit to compute without a flight and without a lease.
    pub(super) fn alone(turn: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            leader: None,
            lease: None,
            turn,
            pulse: None,
            spare: None,
            begun: Instant::now(),
        }
    }
}

impl Call<'_> {
    /// Passes a failure to the followers. Returns the stale value that stands in, if the permit has
    /// one.
    pub(crate) fn settle_failure<'a>(
        &'a self,
        permit: Box<ComputePermit>,
        failure: &dyn Fn() -> Option<Erased>,
    ) -> Boxed<'a, Option<Erased>> {
        let ComputePermit {
            leader,
            lease,
            spare,
            ..
        } = *permit;
        let Some(mut leader) = leader else {
            return Box::pin(std::future::ready(None));
        };
        match &spare {
            // The flight has no more joiners, so the stale value is as old as when it was read.
            Some(spare) if !leader.close(|| {}) => leader.land(Arc::clone(spare)),
            // The entry has changed since the stale value was read, and followers may have joined
            // after the change.
            _ => leader.fail(failure),
        }
        Box::pin(async move {
            self.session.refill();
            if let Some((lease, _)) = lease {
                self.note(lease.fail().await);
            }
            drop(leader);
            spare
        })
    }

    /// Passes a value to the followers and stores the value. If the value is a failure and the
    /// permit has a stale value, returns the stale value instead.
    pub(crate) fn settle<'a>(
        &'a self,
        permit: Box<ComputePermit>,
        held: Erased,
        class: ValueClass,
        verdict: StoreDecision,
    ) -> Boxed<'a, Option<Erased>> {
        if let (ValueClass::Failure, Some(_)) = (class, &permit.spare) {
            return self.settle_failure(permit, &|| None);
        }
        Box::pin(async move {
            let ComputePermit {
                leader: Some(mut leader),
                lease,
                begun,
                ..
            } = *permit
            else {
                return None;
            };
            let cost = begun.elapsed();
            self.session.refill();
            let life = match verdict {
                StoreDecision::Store => self.policy.life(class),
                StoreDecision::StoreFor(ttl) => {
                    let longest = self.policy.cap.unwrap_or(Duration::MAX);
                    self.policy.jittered(ttl.min(longest))
                }
                StoreDecision::Skip => Duration::ZERO,
            };
            // Followers get the value at once, and so do callers that join while it is being
            // stored.
            leader.land(Arc::clone(&held));
            if let Some((lease, header)) = lease {
                let span = self.span(life, class, cost);
                let existing = match class {
                    ValueClass::Failure => ExistingEntry::Keep {
                        pause: self.policy.retry_after,
                    },
                    ValueClass::Value | ValueClass::Nothing => ExistingEntry::Replace,
                };
                let stored = self
                    .store(&leader, lease, &header, &held, span, existing)
                    .await;
                self.note(stored);
            }
            None
        })
    }

    async fn store(
        &self,
        leader: &Leader,
        lease: Lease,
        header: &EntryHeader,
        held: &Erased,
        span: Lifetimes,
        existing: ExistingEntry,
    ) -> Result<(), Error> {
        if span.ttl.as_millis() == 0 {
            return lease.fail().await;
        }
        let entry = match self.entry(header, held, span) {
            Ok(entry) => entry,
            Err(error) => {
                self.note(lease.fail().await);
                return Err(error);
            }
        };
        let filled = match self.session.patience() {
            None => lease.fill(entry, span.life, existing).await?,
            Some(patience) => {
                let (process, key) = (Arc::clone(&self.inner.process), self.key.clone());
                let filling = async move {
                    let filled = lease.fill(entry, span.life, existing).await;
                    // A refresh drops the copy of the old value, because the push about this
                    // process's write is still on its way. The new value is inserted at the next
                    // read, because the write has ended the server's tracking of the key.
                    process.call_changed(key.as_str());
                    filled
                };
                match background::beside(patience, filling).await {
                    Some(filled) => filled?,
                    // The fill continues on the background runtime.
                    None => return Ok(()),
                }
            }
        };
        let observer = &self.inner.process.observer;
        self.state.failures.ends(observer, &self.state.name);
        if !self.session.is_typed() {
            return Ok(());
        }
        if filled && self.state.is_still(self.policy) {
            leader.keep(|| self.set_current(header.stamp()));
        } else if filled {
            // An override may have swept the near cache before this value was inserted.
            drop(self.held().remove(self.key.as_str()));
        }
        Ok(())
    }

    /// Returns the lifetimes of an entry. An error has no stale window.
    pub(super) fn span(&self, fresh: Duration, class: ValueClass, cost: Duration) -> Lifetimes {
        let stale = match class {
            ValueClass::Failure => Duration::ZERO,
            ValueClass::Value | ValueClass::Nothing => self.policy.window(),
        };
        Lifetimes::new(fresh, stale, cost)
    }

    pub(super) fn entry(
        &self,
        header: &EntryHeader,
        held: &Erased,
        span: Lifetimes,
    ) -> Result<StoredEntry, Error> {
        let most = self.inner.max_value_size;
        if self.session.is_typed() {
            // A value that does not fit would be computed at every call, so the value is reported
            // as oversized.
            let most = most.min(self.held().most(self.key));
            let written = || Ok((self.vtable.written)(held, self.policy.codec, most));
            // A value that cannot be encoded is stored nevertheless, with a size of 0, because this
            // backend stores the value itself.
            let written = guarded(ErrorKind::Encode, written).unwrap_or(Some(0));
            let Some(bytes) = written else {
                return Err(oversized(most));
            };
            let value = Arc::clone(held);
            return Ok(StoredEntry::TypedValue(TypedValue {
                value: self.sealed(match self.policy.ages() {
                    true => Arc::new(AgedValue { value, span }),
                    false => value,
                }),
                stamp: header.stamp().half(),
                bytes,
            }));
        }
        let codec = self.policy.codec;
        let most = most.saturating_sub(codec.extra());
        let mut entry = EntryWriter::new(header.header(span), most);
        guarded(ErrorKind::Encode, || {
            (self.vtable.encode)(held, codec, &mut entry)
        })?;
        let entry = entry.finish();
        #[cfg(debug_assertions)]
        self.read_back(header, &entry);
        Ok(StoredEntry::Encoded(codec.pack(entry)))
    }

    /// Reports a type whose values change when they are encoded and decoded. Checks only the first
    /// value of each function.
    #[cfg(debug_assertions)]
    fn read_back(&self, header: &EntryHeader, entry: &[u8]) {
        if !self.state.is_read_back_first() {
            return;
        }
        let payload = &entry[HEADER..];
        let plain = Encoding {
            packed: false,
            ..self.policy.codec
        };
        let most = self.inner.max_value_size;
        let again = guarded(ErrorKind::Decode, || {
            let value = (self.vtable.decode)(payload, plain, most)?;
            let mut again = EntryWriter::new(header.header(Lifetimes::default()), u64::MAX);
            (self.vtable.encode)(&value, plain, &mut again)?;
            Ok(again.finish())
        });
        // Sets and maps may be decoded in another order, so the sorted bytes are compared.
        let sorted = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.sort_unstable();
            bytes
        };
        let error = match again {
            Ok(again) if sorted(&again[HEADER..]) == sorted(payload) => return,
            Ok(_) => Error::new(
                ErrorKind::Decode,
                "a value is read back as another: `untagged`, `skip_serializing_if` without `default`, or a conversion that loses something",
            ),
            // Each call reports a failure to decode by itself.
            Err(error) => return self.failures(&error),
        };
        self.inner
            .process
            .observer
            .notify(&Event::FunctionDegraded {
                function: self.state.name.to_string(),
                error,
            });
    }

    pub(super) fn note(&self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            match error.kind() {
                ErrorKind::Oversized => self.state.counters.here().oversized.count(),
                kind => self.state.counters.here().errors.count(kind),
            }
            self.failures(&error);
        }
    }
}
