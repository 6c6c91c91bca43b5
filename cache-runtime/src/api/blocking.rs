//! The cache's operations for plain functions and threads: each blocks the calling thread.
//!
//! They can be used from threads without a runtime and inside any runtime. In a runtime they block
//! the calling thread, as every plain function does.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use crate::api::cache::Cache;
use crate::api::entry_handle::{EntryLocation, refreshing};
use crate::backend::contract::Caller;
use crate::error::{Error, ErrorKind};
use crate::invalidation::report::InvalidationReport;
use crate::invalidation::request::Invalidation;
use crate::key::Key;
use crate::process::background;
use crate::values::returns::Returns;

/// Waits for `future` on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    // Unconstrained: inside a tokio task, the task's budget would run out and never be refilled.
    pollster::block_on(tokio::task::unconstrained(future))
}

/// Waits for `future` as [`wait`] does.
///
/// # Errors
///
/// Returns `ErrorKind::Unavailable` on the cache's own background thread, which would wait for
/// itself.
fn ask<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if background::is_here() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "the cache can't be waited for on its own thread: an observer passes such work to another thread",
        ));
    }
    wait(future)
}

/// Invalidates every function whose name matches, as [`Cache::invalidate`] does, on the global
/// cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::invalidate`], and `ErrorKind::Unavailable` if an observer calls
/// this on the cache's own thread.
pub fn invalidate(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |_| Invalidation::functions(pattern)))
}

/// Invalidates every call with a tag, as [`Cache::invalidate_tag`] does, on the global cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::invalidate_tag`], and `ErrorKind::Unavailable` if an observer
/// calls this on the cache's own thread.
pub fn invalidate_tag(tag: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Invalidation::tag(ns, tag)))
}

/// Invalidates every call whose key matches, as [`Cache::invalidate_keys`] does, on the global
/// cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::invalidate_keys`], and `ErrorKind::Unavailable` if an observer
/// calls this on the cache's own thread.
pub fn invalidate_keys(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Invalidation::keys(ns, pattern)))
}

/// Invalidates everything in the namespace, as [`Cache::invalidate_all`] does, on the global cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::invalidate_all`], and `ErrorKind::Unavailable` if an observer
/// calls this on the cache's own thread.
pub fn invalidate_all() -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Ok(Invalidation::everything(ns))))
}

/// Invalidates the functions that match and frees their memory, as [`Cache::purge`] does, on the
/// global cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::purge`], and `ErrorKind::Unavailable` if an observer calls this
/// on the cache's own thread.
pub fn purge(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply_and_free(
        Caller::Blocking,
        |_| Invalidation::functions(pattern),
        pattern,
    ))
}

/// Invalidates everything in the namespace and frees its memory, as [`Cache::purge_all`] does, on
/// the global cache.
///
/// # Errors
///
/// Returns the errors of [`Cache::purge_all`], and `ErrorKind::Unavailable` if an observer calls
/// this on the cache's own thread.
pub fn purge_all() -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply_and_free(
        Caller::Blocking,
        |ns| Ok(Invalidation::everything(ns)),
        "*",
    ))
}

/// Entry handle of one call of an annotated plain function.
///
/// `F` is the call itself, which has not started.
#[must_use = "an entry does nothing until it is asked"]
pub struct Entry<R, const KIND: u8, F> {
    pub(crate) place: EntryLocation,
    pub(crate) compute: F,
    pub(crate) returns: PhantomData<fn() -> R>,
}

impl<R: Returns<KIND>, const KIND: u8, F: FnOnce() -> R> Entry<R, KIND, F> {
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
    /// Returns the errors of [`key`](Self::key), and `ErrorKind::Unavailable` if an observer calls
    /// this on the cache's own thread.
    pub fn peek(&self) -> Result<Option<R::Value>, Error> {
        ask(self.place.peek::<R, KIND>(Caller::Blocking))
    }

    /// Stores a value for the function's ttl. A computation of the call that is running is no
    /// longer stored. If Redis can't be reached, nothing is stored, and the call is invalidated
    /// instead, as by [`invalidate`](Self::invalidate).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`key`](Self::key), `ErrorKind::Encode` if the value can't be encoded,
    /// `ErrorKind::Oversized` if it is larger than the cache's `max_value_size`,
    /// `ErrorKind::Unavailable` if an observer calls this on the cache's own thread, and the
    /// server's error if the server will never accept the value.
    pub fn put(&self, value: R::Value) -> Result<(), Error> {
        ask(self.place.put::<R, KIND>(Caller::Blocking, value))
    }

    /// Returns the remaining ttl of the stored value; `None` if nothing is stored.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`peek`](Self::peek).
    pub fn ttl(&self) -> Result<Option<Duration>, Error> {
        ask(self.place.ttl::<R, KIND>(Caller::Blocking))
    }

    /// Invalidates this call.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`key`](Self::key), `ErrorKind::Unavailable` if an observer calls this
    /// on the cache's own thread, and the server's error if the server will never accept the
    /// invalidation. An unreachable server is no error: see
    /// [`queued`](field@InvalidationReport::queued).
    pub fn invalidate(&self) -> Result<InvalidationReport, Error> {
        ask(self.place.invalidate::<R, KIND>(Caller::Blocking))
    }

    /// Calls the function even if its value is stored, and stores the new value. Until then, other
    /// callers receive the old value.
    pub fn refresh(self) -> R {
        let Self { place, compute, .. } = self;
        match place.key::<R, KIND>() {
            Ok(key) => refreshing(key, compute),
            Err(_) => compute(),
        }
    }
}

impl<R, const KIND: u8, F> fmt::Debug for Entry<R, KIND, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("function", &self.place.state.name)
            .finish_non_exhaustive()
    }
}
