//! What generated code uses. No promise is made about it.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::blocking;
use crate::cache::Cache;
use crate::companion::{self, Place, is_refresh, is_refreshing};
use crate::compute::{Request, Sought};
use crate::function::State;
use crate::key::{Head, Key};
use crate::policy::Policy;
use crate::store::Caller;

pub use crate::codec::Codec;
pub use crate::function::{Function, Site};
pub use crate::key::{Arguments, KeyPart};
pub use crate::returns::{AnyHead, Erased, Peel, Probe, Returns, ValueKind, kind, kind_of};

/// The path of an item or closure, with the generic arguments it is in.
pub fn path_of<T>(_: &T) -> &'static str {
    std::any::type_name::<T>()
}

/// One call of an annotated function.
pub struct Call<R, const KIND: u8, C> {
    function: &'static Function,
    arguments: Arguments,
    policy: Policy,
    cache: Option<Cache>,
    when: bool,
    cache_if: C,
    returns: PhantomData<fn() -> R>,
}

impl<R: Returns<KIND>, const KIND: u8> Call<R, KIND, fn(&<R as Returns<KIND>>::Value) -> bool> {
    pub fn new(function: &'static Function, arguments: Arguments, policy: Policy) -> Self {
        Self {
            function,
            arguments,
            policy,
            cache: None,
            when: true,
            cache_if: |_| true,
            returns: PhantomData,
        }
    }
}

impl<R: Returns<KIND>, const KIND: u8, C> Call<R, KIND, C> {
    #[must_use]
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    #[must_use]
    pub fn when(mut self, condition: bool) -> Self {
        self.when = condition;
        self
    }

    pub fn cache_if<D: Fn(&R::Value) -> bool>(self, cache_if: D) -> Call<R, KIND, D> {
        Call {
            function: self.function,
            arguments: self.arguments,
            policy: self.policy,
            cache: self.cache,
            when: self.when,
            cache_if,
            returns: PhantomData,
        }
    }

    /// The hit path: what this process holds and may serve. No await, no allocation of ours.
    fn near(&self) -> Option<R> {
        if !self.when || is_refreshing() {
            return None;
        }
        let cache = self.cache.as_ref().unwrap_or_else(|| Cache::installed());
        let local = &cache.inner.local;
        let state = self.function.state(&local.registry);
        let find = |head: &Head| self.arguments.fingerprint(head);
        let fingerprint = state.head(self.arguments.path(), find)?;
        let value = local.near.fresh(&fingerprint, &state.current)?;
        let held = R::Kind::restore(value)?;
        state.counters.near_hits.count();
        Some(R::join(R::Kind::give(held)))
    }

    fn begin(self) -> (Begun, C) {
        let cache = self.cache.unwrap_or_else(|| Cache::installed().clone());
        let state = self
            .function
            .state(&cache.inner.local.registry)
            .into_owned();
        let begun = if !self.when || state.is_refused() {
            state.counters.bypasses.count();
            None
        } else {
            match state.key(self.arguments) {
                Ok(key) => Some((is_refresh(&key), key)),
                Err(error) => {
                    state.counters.errors.count();
                    tracing::warn!(
                        function = &*state.name,
                        "computed without the cache: {error}"
                    );
                    None
                }
            }
        };
        let begun = Begun {
            cache,
            state,
            policy: self.policy,
            key: begun,
        };
        (begun, self.cache_if)
    }

    fn place(self) -> Place<R, KIND> {
        let cache = self.cache.unwrap_or_else(|| Cache::installed().clone());
        let state = self
            .function
            .state(&cache.inner.local.registry)
            .into_owned();
        let key = state.key(self.arguments);
        Place {
            cache,
            state,
            key,
            policy: self.policy,
            returns: PhantomData,
        }
    }
}

/// A call with its key; without one it does not consult the cache.
struct Begun {
    cache: Cache,
    state: Arc<State>,
    policy: Policy,
    key: Option<(bool, Key)>,
}

impl Begun {
    fn request<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
    ) -> Option<(Request<'_, R, KIND>, bool)> {
        let (refresh, key) = self.key.as_ref()?;
        let inner = &self.cache.inner;
        let request = Request::new(inner, &self.state, key, &self.policy, caller);
        Some((request, *refresh))
    }
}

async fn seek<R: Returns<KIND>, const KIND: u8>(
    request: &Request<'_, R, KIND>,
    refresh: bool,
) -> Sought<R> {
    if refresh {
        request.seek_anew().await
    } else {
        request.seek().await
    }
}

/// Runs an async function through the cache.
pub async fn run<R, const KIND: u8, C, F>(call: Call<R, KIND, C>, compute: F) -> R
where
    R: Returns<KIND>,
    C: Fn(&R::Value) -> bool,
    F: Future<Output = R>,
{
    if let Some(value) = call.near() {
        return value;
    }
    let (begun, cache_if) = call.begin();
    let Some((request, refresh)) = begun.request(Caller::Async) else {
        return compute.await;
    };
    match seek(&request, refresh).await {
        Sought::Found(value) => value,
        Sought::Compute(work) => {
            let result = compute.await;
            request.settle(work, result, cache_if).await
        }
    }
}

/// Runs a plain function through the cache.
pub fn run_blocking<R, const KIND: u8, C, F>(call: Call<R, KIND, C>, compute: F) -> R
where
    R: Returns<KIND>,
    C: Fn(&R::Value) -> bool,
    F: FnOnce() -> R,
{
    if let Some(value) = call.near() {
        return value;
    }
    let (begun, cache_if) = call.begin();
    let Some((request, refresh)) = begun.request(Caller::Blocking) else {
        return compute();
    };
    match blocking::wait(seek(&request, refresh)) {
        Sought::Found(value) => value,
        Sought::Compute(work) => {
            let result = compute();
            blocking::wait(request.settle(work, result, cache_if))
        }
    }
}

/// The companion of an async function.
pub fn entry<R, const KIND: u8, C, F>(
    call: Call<R, KIND, C>,
    compute: F,
) -> companion::Entry<R, KIND, F>
where
    R: Returns<KIND>,
    F: Future<Output = R>,
{
    let place = call.place();
    companion::Entry { place, compute }
}

/// The companion of a plain function.
pub fn blocking_entry<R, const KIND: u8, C, F>(
    call: Call<R, KIND, C>,
    compute: F,
) -> blocking::Entry<R, KIND, F>
where
    R: Returns<KIND>,
    F: FnOnce() -> R,
{
    let place = call.place();
    blocking::Entry { place, compute }
}
