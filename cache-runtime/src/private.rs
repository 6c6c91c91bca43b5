//! What generated code uses. No promise is made about it.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::blocking;
use crate::cache::Cache;
use crate::companion::{self, Place, is_refresh};
use crate::compute::Request;
use crate::function::State;
use crate::key::Key;
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

    fn begin(self) -> (Begun, C) {
        let cache = self.cache.unwrap_or_else(|| Cache::installed().clone());
        let state = self.function.state(&cache.inner.registry);
        let begun = if !self.when || state.is_refused() {
            state.counters.bypasses.count();
            None
        } else {
            match self.arguments.finish(&state.prefix) {
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
        let state = self.function.state(&cache.inner.registry);
        let key = self.arguments.finish(&state.prefix);
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
    async fn run<R, const KIND: u8, C, F>(self, caller: Caller, cache_if: C, compute: F) -> R
    where
        R: Returns<KIND>,
        C: Fn(&R::Value) -> bool,
        F: Future<Output = R>,
    {
        let Some((refresh, key)) = &self.key else {
            return compute.await;
        };
        let inner = &self.cache.inner;
        let request = Request::<R, KIND>::new(inner, &self.state, key, &self.policy, caller);
        if *refresh {
            request.refresh(cache_if, compute).await
        } else {
            request.get_or_compute(cache_if, compute).await
        }
    }
}

/// Runs an async function through the cache.
pub async fn run<R, const KIND: u8, C, F>(call: Call<R, KIND, C>, compute: F) -> R
where
    R: Returns<KIND>,
    C: Fn(&R::Value) -> bool,
    F: Future<Output = R>,
{
    let (begun, cache_if) = call.begin();
    begun.run(Caller::Async, cache_if, compute).await
}

/// Runs a plain function through the cache.
pub fn run_blocking<R, const KIND: u8, C, F>(call: Call<R, KIND, C>, compute: F) -> R
where
    R: Returns<KIND>,
    C: Fn(&R::Value) -> bool,
    F: FnOnce() -> R,
{
    let (begun, cache_if) = call.begin();
    if begun.key.is_none() {
        return compute();
    }
    blocking::wait(begun.run(Caller::Blocking, cache_if, async { compute() }))
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
