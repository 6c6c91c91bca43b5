use crate::backend::contract::Caller;
use crate::backend::session::BackendSession;
use crate::entry::header::EntryHeader;
use crate::entry::policy::Policy;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::tag_validity::TagValidity;
use crate::key::Key;
use crate::near_cache::NearCache;
use crate::protocol::cache_inner::CacheInner;
use crate::protocol::computation::CallId;
use crate::registry::FunctionState;
use crate::values::tagged_value::TaggedValue;
use crate::values::value_kind::{Erased, ValueVTable};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future of the protocol. The future is boxed in this crate, so that calling crates do not
/// compile the protocol again.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One call on its way through the cache. Only its vtable knows the type of the value.
pub(crate) struct Call<'a> {
    pub(super) inner: &'a Arc<CacheInner>,
    pub(super) state: &'a FunctionState,
    pub(super) key: &'a Key,
    pub(super) groups: &'a Arc<[Group]>,
    /// Validity of each group; `None` if the call has no tags.
    pub(super) tags: Option<Arc<[Arc<TagValidity>]>>,
    pub(super) policy: &'a Policy,
    pub(super) caller: Caller,
    pub(super) session: BackendSession,
    pub(super) vtable: &'static ValueVTable,
    /// Predicate that returns `true` if followers may receive a failure.
    pub(super) shares: fn(&Erased) -> bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        inner: &'a Arc<CacheInner>,
        state: &'a FunctionState,
        key: &'a Key,
        policy: &'a Policy,
        caller: Caller,
        vtable: &'static ValueVTable,
    ) -> Self {
        Self {
            inner,
            state,
            key,
            groups: &state.groups,
            tags: None,
            policy,
            caller,
            session: match &inner.process.own {
                Some(own) if vtable.is_own => inner.backend.session_here(caller, own.memory()),
                _ => inner.backend.session(caller),
            },
            vtable,
            shares: |_| false,
        }
    }

    /// Sets the groups of a call with tags. `None` keeps the groups of the function.
    pub(crate) fn tagged(self, groups: Option<&'a Arc<[Group]>>) -> Self {
        match groups {
            Some(groups) => Self {
                groups,
                tags: Some(self.inner.process.tags.of(groups)),
                ..self
            },
            None => self,
        }
    }

    /// Sets the predicate for failures that followers may receive.
    pub(crate) fn sharing(self, shares: fn(&Erased) -> bool) -> Self {
        Self { shares, ..self }
    }

    pub(super) fn failures(&self, error: &Error) {
        let observer = &self.inner.process.observer;
        self.state
            .failures
            .arises(observer, &self.state.name, error);
    }

    pub(super) fn calling(&self) -> CallId {
        CallId {
            cache: self.inner.process.registry.id,
            key: *self.key.fingerprint(),
        }
    }

    pub(super) fn header(&self, stamp: GenerationStamp) -> EntryHeader {
        EntryHeader::new(self.policy.codec, (self.vtable.shape)(), stamp, self.key)
    }

    /// Returns the value together with the validity of the call's tags, if the call has tags.
    pub(super) fn sealed(&self, value: Erased) -> Erased {
        match &self.tags {
            // This process is not notified of changes, so no notification would end the validity.
            Some(_) if !self.session.is_coherent() => value,
            Some(tags) => Arc::new(TaggedValue {
                value,
                tags: Arc::clone(tags),
            }),
            None => value,
        }
    }

    /// Sets the known stamp of the function, unless the call has tags: calls with tags have groups
    /// of their own, so the function has no single stamp.
    pub(super) fn set_current(&self, stamp: GenerationStamp) {
        if self.tags.is_none() && self.session.is_coherent() {
            self.state.current.set(stamp);
        }
    }

    /// Returns the cache that holds the call's value in this process.
    pub(super) fn held(&self) -> &NearCache {
        self.inner.process.held(self.vtable.is_own)
    }

    pub(super) fn wait(&self) -> Duration {
        // One year is longer than any useful wait, and small enough to add to an `Instant`.
        let wait = self
            .policy
            .lease_wait
            .unwrap_or(self.inner.defaults.lease_wait);
        wait.min(Duration::from_secs(365 * 24 * 3_600))
    }
}
