use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::api::cache::Cache;
use crate::backend::contract::Caller;
use crate::entry::policy::Policy;
use crate::error::Error;
use crate::invalidation::group::Group;
use crate::invalidation::report::InvalidationReport;
use crate::invalidation::request::Invalidation;
use crate::key::{Arguments, Key};
use crate::protocol::typed::TypedCall;
use crate::registry::FunctionRef;
use crate::values::returns::Returns;
use crate::values::value_kind::ValueKind;

/// The cache entry of one call of an annotated function, as its companion gives it.
///
/// `F` is the call itself, not yet begun.
#[must_use = "an entry does nothing until it is asked"]
pub struct Entry<R, const KIND: u8, F> {
    pub(crate) place: EntryLocation,
    pub(crate) compute: F,
    pub(crate) returns: PhantomData<fn() -> R>,
}

/// Where a call's entry is.
pub(crate) struct EntryLocation {
    pub(crate) cache: Cache,
    pub(crate) state: FunctionRef,
    pub(crate) arguments: Arguments,
    /// Made when it is asked for, by somebody who knows the return type.
    pub(crate) key: OnceLock<Result<Key, Error>>,
    /// All of them, if there are tags.
    pub(crate) groups: Result<Option<Arc<[Group]>>, Error>,
    pub(crate) policy: Policy,
}

impl EntryLocation {
    pub(crate) fn key<R: Returns<KIND>, const KIND: u8>(&self) -> Result<&Key, Error> {
        self.key_with(R::Kind::FORM.shape)
    }

    fn key_with(&self, schema: fn() -> u64) -> Result<&Key, Error> {
        self.state.check()?;
        self.cache.is_on()?;
        if let Err(error) = &self.groups {
            return Err(error.again());
        }
        let key = || self.state.key(&self.arguments, schema);
        self.key.get_or_init(key).as_ref().map_err(Error::again)
    }

    fn request<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
    ) -> Result<TypedCall<'_, R, KIND>, Error> {
        let key = self.key::<R, KIND>()?;
        let inner = &self.cache.inner;
        let request = TypedCall::new(inner, &self.state, key, &self.policy, caller);
        Ok(request.tagged(self.groups.as_ref().ok().and_then(Option::as_ref)))
    }

    pub(crate) async fn peek<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
    ) -> Result<Option<R::Value>, Error> {
        Ok(self.request::<R, KIND>(caller)?.peek().await)
    }

    pub(crate) async fn put<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
        value: R::Value,
    ) -> Result<(), Error> {
        self.request::<R, KIND>(caller)?.put(value).await
    }

    pub(crate) async fn ttl<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
    ) -> Result<Option<Duration>, Error> {
        Ok(self.request::<R, KIND>(caller)?.ttl().await)
    }

    pub(crate) async fn invalidate<R: Returns<KIND>, const KIND: u8>(
        &self,
        caller: Caller,
    ) -> Result<InvalidationReport, Error> {
        let key = self.key::<R, KIND>()?;
        self.cache
            .inner
            .apply(caller, Invalidation::call(key))
            .await
    }
}

// Futures of the place alone: the call in here is `Send` at best, never `Sync`, and they must be
// `Send` all the same.
impl<R: Returns<KIND>, const KIND: u8, F: Future<Output = R>> Entry<R, KIND, F> {
    /// The key in Redis.
    ///
    /// # Errors
    ///
    /// An argument that can't enter a key; a function name that is taken.
    pub fn key(&self) -> Result<&Key, Error> {
        self.place.key::<R, KIND>()
    }

    /// The stored value; nothing is computed. A server that is away has none, which is counted as
    /// an error.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key).
    pub fn peek(&self) -> impl Future<Output = Result<Option<R::Value>, Error>> {
        let place = &self.place;
        async move { place.peek::<R, KIND>(Caller::Async).await }
    }

    /// Stores a value, with the function's lifetime. A computation of the call that is under
    /// way is not stored any more. While the server is away nothing is stored, and the call is
    /// invalidated in its place, as [`invalidate`](Self::invalidate) does.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); a value that can't be written.
    pub fn put(&self, value: R::Value) -> impl Future<Output = Result<(), Error>> {
        let place = &self.place;
        async move { place.put::<R, KIND>(Caller::Async, value).await }
    }

    /// The remaining life of what is stored.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    pub fn ttl(&self) -> impl Future<Output = Result<Option<Duration>, Error>> {
        let place = &self.place;
        async move { place.ttl::<R, KIND>(Caller::Async).await }
    }

    /// Invalidates this call.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); what the server says if it will never take the invalidation. A
    /// server that is away is none: see [`queued`](field@InvalidationReport::queued).
    pub fn invalidate(&self) -> impl Future<Output = Result<InvalidationReport, Error>> {
        let place = &self.place;
        async move { place.invalidate::<R, KIND>(Caller::Async).await }
    }

    /// Calls the function whether or not its value is stored, and stores the new one. Until
    /// then others are served the old one.
    pub async fn refresh(self) -> R {
        let Self { place, compute, .. } = self;
        let Ok(key) = place.key::<R, KIND>().cloned() else {
            return compute.await;
        };
        let mut compute = pin!(compute);
        // At every poll, because the call may begin at any of them.
        std::future::poll_fn(|context| refreshing(&key, || compute.as_mut().poll(context))).await
    }
}

impl<R, const KIND: u8, F> fmt::Debug for Entry<R, KIND, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("function", &self.place.state.name)
            .finish_non_exhaustive()
    }
}

thread_local! {
    static REFRESHING: RefCell<Option<Key>> = const { RefCell::new(None) };
    /// Whether there is one: asked on the hit path.
    static IS_REFRESHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `permit`, in which the first call of `key` to begin is a refresh.
pub(crate) fn refreshing<T>(key: &Key, permit: impl FnOnce() -> T) -> T {
    /// Gives the outer refresh its mark back, also when `permit` panics.
    struct Outer(Option<Key>);
    impl Drop for Outer {
        fn drop(&mut self) {
            mark(self.0.take());
        }
    }
    let _outer = Outer(mark(Some(key.clone())));
    permit()
}

fn mark(key: Option<Key>) -> Option<Key> {
    // A thread that is about to end has no refreshes: they are plain calls.
    let _ = IS_REFRESHING.try_with(|is| is.set(key.is_some()));
    let replaced = REFRESHING.try_with(|asked| asked.replace(key));
    replaced.ok().flatten()
}

/// Whether this call of `key` was asked for as a refresh.
pub(crate) fn is_refresh(key: &Key) -> bool {
    let asked = REFRESHING.try_with(|asked| asked.borrow().as_ref() == Some(key));
    let asked = asked.unwrap_or(false);
    if asked {
        mark(None);
    }
    asked
}

/// Whether some call on this thread was asked for as a refresh.
#[inline]
pub(crate) fn is_refreshing() -> bool {
    IS_REFRESHING.try_with(Cell::get).unwrap_or(false)
}
