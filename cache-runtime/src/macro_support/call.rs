use crate::api::blocking;
use crate::api::cache::Cache;
use crate::api::entry_handle::{self, EntryLocation, is_refresh, is_refreshing};
use crate::backend::contract::Caller;
use crate::entry::policy::Policy;
use crate::error::Error;
use crate::invalidation::group::Group;
use crate::key::Arguments;
use crate::key::fingerprint::Fingerprint;
use crate::key::secret::Secret;
use crate::key::{Key, KeyPrefix};
use crate::process::background;
use crate::protocol::process_state::ProcessState;
use crate::protocol::refresh::RefreshGuard;
use crate::protocol::settle::StoreDecision;
use crate::protocol::typed::{CallOutcome, TypedCall};
use crate::registry::Function;
use crate::registry::{FunctionRef, FunctionState};
use crate::values::returns::Returns;
use crate::values::share::Share;
use crate::values::value_kind::{Erased, ValueKind};
use serde::Serialize;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Returns the path of an item or closure, including the generic arguments around it.
pub fn path_of<T>(_: &T) -> &'static str {
    std::any::type_name::<T>()
}

/// Returns a value of any type, for code that is compiled and never run.
pub fn nothing<T>() -> T {
    unreachable!("nobody asks for nothing")
}

/// One call of an annotated function.
pub struct Call<R, const KIND: u8> {
    pub(super) asked: CallArgs,
    returns: PhantomData<fn() -> R>,
}

/// The function, arguments and options of a call. A type of its own without type parameters,
/// because generic code is compiled once per return type.
pub(super) struct CallArgs {
    function: &'static Function,
    arguments: Arguments,
    cache: Option<Cache>,
    mode: CallMode,
    // Boxed: tags are rare, and this struct is moved on the hit path.
    tags: Option<Box<Tags>>,
}

/// Texts of a call's tags.
#[derive(Default)]
struct Tags(Vec<Arguments>);

// The bounds are on the methods that need them. On the `impl`, they would make the compiler report
// "method not found" for a return type that can't be stored.
impl<R, const KIND: u8> Call<R, KIND> {
    /// Starts a call. `path` is the path of a closure in the function's body; it contains the
    /// generic arguments.
    #[inline]
    pub fn new(function: &'static Function, path: &'static str) -> Self {
        let asked = CallArgs {
            function,
            arguments: Arguments::new(path),
            cache: None,
            mode: CallMode::Consult,
            tags: None,
        };
        Self {
            asked,
            returns: PhantomData,
        }
    }

    /// Returns the arguments, to be written into the key.
    #[inline]
    pub fn arguments(&mut self) -> &mut Arguments {
        &mut self.asked.arguments
    }

    /// Adds the next argument, as a hash: its value does not appear in the key.
    pub fn secret<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> &mut Arguments {
        let (arguments, secret) = self.asked.secretly();
        arguments.add_secret(name, value, secret);
        arguments
    }

    /// Adds a placeholder of a template, as a hash: its value does not appear in the key.
    pub fn secret_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> &mut Arguments {
        let (arguments, secret) = self.asked.secretly();
        arguments.secret_field(name, value, secret);
        arguments
    }

    /// Sets a cache other than the global one.
    #[inline]
    pub fn cache(&mut self, cache: &Cache) {
        self.asked.cache = Some(cache.clone());
    }

    /// Bypasses the cache if `condition` is true.
    #[inline]
    pub fn bypass_if(&mut self, condition: bool) {
        if condition {
            self.asked.mode = CallMode::Bypass;
        }
    }

    /// Computes the call anew and replaces its entry if `condition` is true, unless the call
    /// bypasses the cache.
    pub fn refresh_if(&mut self, condition: bool) {
        if condition && self.asked.mode == CallMode::Consult {
            self.asked.mode = CallMode::Refresh;
        }
    }

    /// Adds a tag and returns its text, to be written; tags are read only after a miss in `near`.
    pub fn tag(&mut self) -> &mut Arguments {
        self.asked.tag()
    }

    /// Looks a call with tags up in this process, as [`near`](Self::near) does for one without.
    pub fn near_tagged(&self) -> Option<R>
    where
        R: Returns<KIND>,
    {
        let process = self.asked.near()?;
        let state = self.asked.function.state(&process.registry);
        let schema = R::Kind::FORM.shape;
        let own = R::Kind::FORM.is_own;
        Self::hit(self.asked.sealed(process, &state, schema, own), &state)
    }

    /// Returns a fresh value from this process's memory: the hit path. It does not await, and it
    /// allocates nothing itself.
    #[inline]
    pub fn near(&self) -> Option<R>
    where
        R: Returns<KIND>,
    {
        let process = self.asked.near()?;
        let state = self.asked.function.state(&process.registry);
        let schema = R::Kind::FORM.shape;
        let own = R::Kind::FORM.is_own;
        Self::hit(self.asked.held(process, &state, schema, own), &state)
    }

    fn hit(held: Option<Erased>, state: &FunctionState) -> Option<R>
    where
        R: Returns<KIND>,
    {
        let held = R::Kind::restore(held?)?;
        state.counters.here().near_hits.count();
        Some(R::join(R::Kind::give(held)))
    }
}

/// Use of the cache by one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallMode {
    Consult,
    /// Computes beside the cache.
    Bypass,
    /// Computes and replaces the entry.
    Refresh,
}

impl CallArgs {
    /// Returns the state to look the call up in; `None` if the call bypasses the cache or is a
    /// refresh.
    #[inline]
    fn near(&self) -> Option<&ProcessState> {
        if self.mode != CallMode::Consult || is_refreshing() {
            return None;
        }
        let cache = self.cache.as_ref().unwrap_or_else(|| Cache::global());
        Some(&cache.inner.process)
    }

    #[inline]
    fn held(
        &self,
        process: &ProcessState,
        state: &FunctionState,
        schema: fn() -> u64,
        own: bool,
    ) -> Option<Erased> {
        let fingerprint = self.fingerprint(state, schema)?;
        process.held(own).fresh(&fingerprint, &state.current)
    }

    fn sealed(
        &self,
        process: &ProcessState,
        state: &FunctionState,
        schema: fn() -> u64,
        own: bool,
    ) -> Option<Erased> {
        let fingerprint = self.fingerprint(state, schema)?;
        process.held(own).sealed(&fingerprint)
    }

    #[inline(always)]
    fn fingerprint(&self, state: &FunctionState, schema: fn() -> u64) -> Option<Fingerprint> {
        if !self.arguments.are_written() {
            return None;
        }
        let find = |head: &KeyPrefix| self.arguments.fingerprint(head);
        Some(state.head(self.arguments.path(), schema, find))
    }

    /// Returns the arguments, and the secret with which secret arguments are hashed.
    fn secretly(&mut self) -> (&mut Arguments, &Secret) {
        let cache = self.cache.as_ref().unwrap_or_else(|| Cache::global());
        (&mut self.arguments, cache.inner.secret())
    }

    fn tag(&mut self) -> &mut Arguments {
        let Tags(tags) = &mut **self.tags.get_or_insert_default();
        let last = tags.len();
        tags.push(Arguments::of_tag());
        &mut tags[last]
    }

    pub(super) fn begin(self, policy: Policy, schema: fn() -> u64) -> PreparedCall {
        let cache = self.cache.as_ref().unwrap_or_else(|| Cache::global());
        let state = self.function.state(&cache.inner.process.registry);
        let policy = state.policy(policy);
        let begun = if self.mode == CallMode::Bypass || state.is_out() || cache.inner.is_forked() {
            state.counters.here().bypasses.count();
            None
        } else {
            let groups = groups(cache, &state, self.tags, &policy);
            match groups.and_then(|groups| Ok((groups, state.key(&self.arguments, schema)?))) {
                Ok((groups, key)) => Some(KeyedCall {
                    refresh: self.mode == CallMode::Refresh || is_refresh(&key),
                    key,
                    groups,
                }),
                Err(error) => {
                    state.counters.here().errors.count(error.kind());
                    state.counters.here().bypasses.count();
                    let observer = &cache.inner.process.observer;
                    state.failures.arises(observer, &state.name, &error);
                    None
                }
            }
        };
        PreparedCall {
            cache: self.cache,
            state,
            policy,
            called: begun,
        }
    }

    fn place(self, policy: Policy) -> EntryLocation {
        let cache = self.cache.unwrap_or_else(|| Cache::global().clone());
        let state = self.function.state(&cache.inner.process.registry);
        let policy = state.policy(policy);
        let groups = groups(&cache, &state, self.tags, &policy);
        EntryLocation {
            cache,
            state,
            arguments: self.arguments,
            key: OnceLock::new(),
            groups,
            policy,
        }
    }
}

/// Returns all groups of a call with tags; `None` for a call without tags, which has only its
/// function's groups.
fn groups(
    cache: &Cache,
    state: &FunctionState,
    tags: Option<Box<Tags>>,
    policy: &Policy,
) -> Result<Option<Arc<[Group]>>, Error> {
    let Some(tags) = tags else { return Ok(None) };
    let ttl = policy.ttl.saturating_add(policy.window());
    let of_tag = |tag: Arguments| Ok(Group::tag(&cache.inner.namespace, &tag.tag()?, ttl));
    let own = state.groups.iter().cloned().map(Ok);
    let all = own.chain(tags.0.into_iter().map(of_tag));
    all.collect::<Result<_, _>>().map(Some)
}

/// A prepared call; without a key if the call bypasses the cache.
#[derive(Clone)]
pub(super) struct PreparedCall {
    cache: Option<Cache>,
    state: FunctionRef,
    policy: Policy,
    called: Option<KeyedCall>,
}

#[derive(Clone)]
struct KeyedCall {
    refresh: bool,
    key: Key,
    groups: Option<Arc<[Group]>>,
}

impl PreparedCall {
    fn cache(&self) -> &Cache {
        self.cache.as_ref().unwrap_or_else(|| Cache::global())
    }

    pub(super) fn request<R: Returns<KIND>, const KIND: u8>(
        &self,
        share: Share<R>,
        caller: Caller,
    ) -> Option<(TypedCall<'_, R, KIND>, bool)> {
        let called = self.called.as_ref()?;
        if caller == Caller::Blocking && background::is_here() {
            self.state.counters.here().bypasses.count();
            return None;
        }
        let inner = &self.cache().inner;
        let request = TypedCall::new(inner, &self.state, &called.key, &self.policy, caller);
        let request = request.tagged(called.groups.as_ref()).sharing(share);
        Some((request, called.refresh))
    }

    /// Starts a refresh in the background, unless one of this call is running in this process.
    pub(super) fn refresh(&self, begin: impl FnOnce(Self, RefreshGuard)) {
        if let Some(called) = &self.called
            && let Some(refreshing) = self.cache().inner.refreshes.begin(&called.key)
        {
            begin(self.clone(), refreshing);
        }
    }
}

pub(super) async fn seek<R: Returns<KIND>, const KIND: u8>(
    request: &TypedCall<'_, R, KIND>,
    refresh: bool,
) -> CallOutcome<R> {
    if refresh {
        Box::pin(request.seek_anew()).await
    } else {
        request.seek().await
    }
}

/// Stores every value: the policy without `store_if` and `ttl_with`.
pub fn always<T>(_: &T) -> StoreDecision {
    StoreDecision::Store
}

/// Stores a value if `store_if` is true.
pub fn only_if<T>(store_if: impl Fn(&T) -> bool) -> impl Fn(&T) -> StoreDecision {
    move |value| match store_if(value) {
        true => StoreDecision::Store,
        false => StoreDecision::Skip,
    }
}

/// Stores a value for the duration that `ttl_with` returns.
pub fn for_as_long<T>(ttl_with: impl Fn(&T) -> Duration) -> impl Fn(&T) -> StoreDecision {
    move |value| StoreDecision::StoreFor(ttl_with(value))
}

/// Stores a value for the duration that `ttl_with` returns, if `store_if` is true.
pub fn only_if_for<T>(
    store_if: impl Fn(&T) -> bool,
    ttl_with: impl Fn(&T) -> Duration,
) -> impl Fn(&T) -> StoreDecision {
    move |value| match store_if(value) {
        true => StoreDecision::StoreFor(ttl_with(value)),
        false => StoreDecision::Skip,
    }
}

/// Runs an async function through the cache.
///
/// Boxed, to keep the function's own future small: a near hit needs nothing else.
pub fn run<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> StoreDecision,
    compute: F,
) -> Pin<Box<impl Future<Output = R>>>
where
    R: Returns<KIND>,
    F: Future<Output = R>,
{
    let begun = call.asked.begin(policy, R::Kind::FORM.shape);
    Box::pin(async move {
        let Some((request, refresh)) = begun.request(share, Caller::Async) else {
            return compute.await;
        };
        match seek(&request, refresh).await {
            // Functions that refresh ahead run through `run_owned`.
            CallOutcome::Found(value) | CallOutcome::DueRenewal(value, _) => value,
            CallOutcome::Compute(permit) => {
                let result = request.compute(&permit, pin!(compute)).await;
                Box::pin(request.settle(permit, result, judge)).await
            }
        }
    })
}

/// Runs a plain function through the cache.
pub fn run_blocking<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> StoreDecision,
    compute: F,
) -> R
where
    R: Returns<KIND>,
    F: FnOnce() -> R,
{
    let begun = call.asked.begin(policy, R::Kind::FORM.shape);
    let Some((request, refresh)) = begun.request(share, Caller::Blocking) else {
        return compute();
    };
    match blocking::wait(seek(&request, refresh)) {
        CallOutcome::Found(value) | CallOutcome::DueRenewal(value, _) => value,
        CallOutcome::Compute(permit) => {
            let result = request.compute_blocking(compute);
            blocking::wait(request.settle(permit, result, judge))
        }
    }
}

/// Returns the entry handle of a call of an async function. It has no bounds on the return type:
/// the function itself reports an unsuitable one.
pub fn entry<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    compute: F,
) -> entry_handle::Entry<R, KIND, F> {
    entry_handle::Entry {
        place: call.asked.place(policy),
        compute,
        returns: PhantomData,
    }
}

/// Returns the entry handle of a call of a plain function, as [`entry`] does for an async one.
pub fn blocking_entry<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    compute: F,
) -> blocking::Entry<R, KIND, F> {
    blocking::Entry {
        place: call.asked.place(policy),
        compute,
        returns: PhantomData,
    }
}
