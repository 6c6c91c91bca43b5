//! For plain functions and threads: the same operations, waiting on the spot.
//!
//! They may be used from threads with no runtime and from inside any. In a runtime they block
//! the thread they are called on, as every plain function does.

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
    // Inside a tokio task its budget would run out and never be filled up again.
    pollster::block_on(tokio::task::unconstrained(future))
}

/// As [`wait`], where that can be refused.
fn ask<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    if background::is_here() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "the cache can't be waited for on its own thread: an observer tells somebody else what to do",
        ));
    }
    wait(future)
}

/// As [`Cache::invalidate`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate`].
pub fn invalidate(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |_| Invalidation::functions(pattern)))
}

/// As [`Cache::invalidate_tag`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_tag`].
pub fn invalidate_tag(tag: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Invalidation::tag(ns, tag)))
}

/// As [`Cache::invalidate_keys`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_keys`].
pub fn invalidate_keys(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Invalidation::keys(ns, pattern)))
}

/// As [`Cache::invalidate_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_all`].
pub fn invalidate_all() -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply(Caller::Blocking, |ns| Ok(Invalidation::everything(ns))))
}

/// As [`Cache::purge`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge`].
pub fn purge(pattern: &str) -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply_and_free(
        Caller::Blocking,
        |_| Invalidation::functions(pattern),
        pattern,
    ))
}

/// As [`Cache::purge_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge_all`].
pub fn purge_all() -> Result<InvalidationReport, Error> {
    ask(Cache::global().apply_and_free(
        Caller::Blocking,
        |ns| Ok(Invalidation::everything(ns)),
        "*",
    ))
}

/// The cache entry of one call of an annotated plain function, as its companion gives it.
///
/// `F` is the call itself, not yet begun.
#[must_use = "an entry does nothing until it is asked"]
pub struct Entry<R, const KIND: u8, F> {
    pub(crate) place: EntryLocation,
    pub(crate) compute: F,
    pub(crate) returns: PhantomData<fn() -> R>,
}

impl<R: Returns<KIND>, const KIND: u8, F: FnOnce() -> R> Entry<R, KIND, F> {
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
    pub fn peek(&self) -> Result<Option<R::Value>, Error> {
        ask(self.place.peek::<R, KIND>(Caller::Blocking))
    }

    /// Stores a value, with the function's lifetime. A computation of the call that is under
    /// way is not stored any more. While the server is away nothing is stored, and the call is
    /// invalidated in its place, as [`invalidate`](Self::invalidate) does.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); a value that can't be written.
    pub fn put(&self, value: R::Value) -> Result<(), Error> {
        ask(self.place.put::<R, KIND>(Caller::Blocking, value))
    }

    /// The remaining life of what is stored.
    ///
    /// # Errors
    ///
    /// As [`peek`](Self::peek).
    pub fn ttl(&self) -> Result<Option<Duration>, Error> {
        ask(self.place.ttl::<R, KIND>(Caller::Blocking))
    }

    /// Invalidates this call.
    ///
    /// # Errors
    ///
    /// As [`key`](Self::key); what the server says if it will never take the invalidation. A
    /// server that is away is none: see [`queued`](field@InvalidationReport::queued).
    pub fn invalidate(&self) -> Result<InvalidationReport, Error> {
        ask(self.place.invalidate::<R, KIND>(Caller::Blocking))
    }

    /// Calls the function whether or not its value is stored, and stores the new one. Until
    /// then others are served the old one.
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
