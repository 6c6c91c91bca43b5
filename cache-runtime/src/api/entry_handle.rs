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

/// Entry handle of one call of an annotated function.
///
/// `F` is the call itself, which has not started.
#[must_use = "an entry does nothing until it is asked"]
pub struct Entry<R, const KIND: u8, F> {
    pub(crate) place: EntryLocation,
    pub(crate) compute: F,
    pub(crate) returns: PhantomData<fn() -> R>,
}

/// Location of a call's entry.
pub(crate) struct EntryLocation {
    pub(crate) cache: Cache,
    pub(crate) state: FunctionRef,
    pub(crate) arguments: Arguments,
    /// Created on first use, when the return type is known.
    pub(crate) key: OnceLock<Result<Key, Error>>,
    /// All groups of the call if it has tags; `None` without tags.
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

// These methods return futures that borrow only the location: `compute` is `Send` at best, never
// `Sync`, and the futures must be `Send` all the same.
impl<R: Returns<KIND>, const KIND: u8, F: Future<Output = R>> Entry<R, KIND, F> {
    /// Returns the key in Redis.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if an argument or a tag can't enter a key, `ErrorKind::NameTaken`
    /// if another function has the name, and `ErrorKind::Config` if the cache is off.
    pub fn key(&self) -> Result<&Key, Error> {
        self.place.key::<R, KIND>()
    }

    /// Returns the stored value without computing it. If Redis can't be reached, this returns
    /// `None` and counts an error.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`key`](Self::key).
    pub fn peek(&self) -> impl Future<Output = Result<Option<R::Value>, Error>> {
        let place = &self.place;
        async move { place.peek::<R, KIND>(Caller::Async).await }
    }

    /// Stores a value for the function's ttl. A computation of the call that is running is no
    /// longer stored. If Redis can't be reached, nothing is stored, and the call is invalidated
    /// instead, as by [`invalidate`](Self::invalidate).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`key`](Self::key), `ErrorKind::Encode` if the value can't be encoded,
    /// `ErrorKind::Oversized` if it is larger than the cache's `max_value_size`, and the server's
    /// error if the server will never accept the value.
    pub fn put(&self, value: R::Value) -> impl Future<Output = Result<(), Error>> {
        let place = &self.place;
        async move { place.put::<R, KIND>(Caller::Async, value).await }
    }

    /// Returns the remaining ttl of the stored value; `None` if nothing is stored.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`peek`](Self::peek).
    pub fn ttl(&self) -> impl Future<Output = Result<Option<Duration>, Error>> {
        let place = &self.place;
        async move { place.ttl::<R, KIND>(Caller::Async).await }
    }

    /// Invalidates this call.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`key`](Self::key), and the server's error if the server will never
    /// accept the invalidation. An unreachable server is no error: see
    /// [`queued`](field@InvalidationReport::queued).
    pub fn invalidate(&self) -> impl Future<Output = Result<InvalidationReport, Error>> {
        let place = &self.place;
        async move { place.invalidate::<R, KIND>(Caller::Async).await }
    }

    /// Calls the function even if its value is stored, and stores the new value. Until then, other
    /// callers receive the old value.
    pub async fn refresh(self) -> R {
        let Self { place, compute, .. } = self;
        let Ok(key) = place.key::<R, KIND>().cloned() else {
            return compute.await;
        };
        let mut compute = pin!(compute);
        // The mark is set at every poll, because the call may start at any of them.
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
    /// `true` if `REFRESHING` holds a key: the hit path reads only this flag.
    static IS_REFRESHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `permit`. The first call of `key` that starts in it is a refresh.
pub(crate) fn refreshing<T>(key: &Key, permit: impl FnOnce() -> T) -> T {
    /// Restores the mark of the outer refresh, also if `permit` panics.
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
    // A thread that is about to end has no thread locals: its refreshes are plain calls.
    let _ = IS_REFRESHING.try_with(|is| is.set(key.is_some()));
    let replaced = REFRESHING.try_with(|asked| asked.replace(key));
    replaced.ok().flatten()
}

/// Returns `true` if this call of `key` was requested as a refresh, and clears the mark.
pub(crate) fn is_refresh(key: &Key) -> bool {
    let asked = REFRESHING.try_with(|asked| asked.borrow().as_ref() == Some(key));
    let asked = asked.unwrap_or(false);
    if asked {
        mark(None);
    }
    asked
}

/// Returns `true` if a refresh of any call was requested on this thread.
#[inline]
pub(crate) fn is_refreshing() -> bool {
    IS_REFRESHING.try_with(Cell::get).unwrap_or(false)
}
