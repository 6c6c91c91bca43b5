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

/// The protocol's own futures, made here once for all types: in the crates that call it, they
/// would be compiled anew for each.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One call on its way through the cache. What its value is, only its form knows.
pub(crate) struct Call<'a> {
    pub(super) inner: &'a Arc<CacheInner>,
    pub(super) state: &'a FunctionState,
    pub(super) key: &'a Key,
    pub(super) groups: &'a Arc<[Group]>,
    /// Of the groups, if there are tags among them.
    pub(super) tags: Option<Arc<[Arc<TagValidity>]>>,
    pub(super) policy: &'a Policy,
    pub(super) caller: Caller,
    pub(super) session: BackendSession,
    pub(super) vtable: &'static ValueVTable,
    /// `true` if a failure is one that can be given to those who wait.
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

    /// With tags: all groups of the call.
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

    /// Which failures can be given to those who wait.
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

    /// With its seals, if there are tags.
    pub(super) fn sealed(&self, value: Erased) -> Erased {
        match &self.tags {
            // Nothing would break them.
            Some(_) if !self.session.is_coherent() => value,
            Some(tags) => Arc::new(TaggedValue {
                value,
                tags: Arc::clone(tags),
            }),
            None => value,
        }
    }

    /// This is what its function's copies are to be of, if all of them have the same groups.
    pub(super) fn set_current(&self, stamp: GenerationStamp) {
        if self.tags.is_none() && self.session.is_coherent() {
            self.state.current.set(stamp);
        }
    }

    /// Where this process holds the call's value, or a copy of it.
    pub(super) fn held(&self) -> &NearCache {
        self.inner.process.held(self.vtable.is_own)
    }

    pub(super) fn wait(&self) -> Duration {
        // Far beyond any patience, near enough for the clock to add.
        let wait = self
            .policy
            .lease_wait
            .unwrap_or(self.inner.defaults.lease_wait);
        wait.min(Duration::from_secs(365 * 24 * 3_600))
    }
}
