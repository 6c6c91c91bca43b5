//! Functions that invalidate after a successful call.

use std::future::Future;

use crate::api::blocking;
use crate::api::cache::Cache;
use crate::api::entry_handle;
use crate::backend::contract::Caller;
use crate::error::Error;
use crate::invalidation::request::Invalidation;
use crate::key::{Arguments, Key};
use crate::process::background;
use crate::telemetry::event::Event;
use crate::values::returns::Returns;

/// The invalidations of one call. If they are dropped before [`judge`](Self::judge) and
/// [`run`](Self::run), they are sent in the background all the same, because a cancelled call may
/// have changed something.
#[derive(Default)]
pub struct Invalidations {
    cache: Option<Cache>,
    functions: Vec<&'static str>,
    tags: Vec<Arguments>,
    entries: Vec<PendingTargets>,
}

/// A call to invalidate, with its own cache.
pub struct PendingTargets {
    cache: Cache,
    key: Result<Key, Error>,
}

/// Entry handle of a call, of an async or a plain function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the entry of a call",
    label = "not the entry of a call",
    note = "give an entry handle, as in `entry = user_entry(id)`"
)]
pub trait AnyEntry {
    #[doc(hidden)]
    fn recached_doomed(self) -> PendingTargets;
}

impl<R: Returns<KIND>, const KIND: u8, F> AnyEntry for entry_handle::Entry<R, KIND, F> {
    fn recached_doomed(self) -> PendingTargets {
        PendingTargets {
            key: self.place.key::<R, KIND>().cloned(),
            cache: self.place.cache,
        }
    }
}

impl<R: Returns<KIND>, const KIND: u8, F> AnyEntry for blocking::Entry<R, KIND, F> {
    fn recached_doomed(self) -> PendingTargets {
        PendingTargets {
            key: self.place.key::<R, KIND>().cloned(),
            cache: self.place.cache,
        }
    }
}

impl Invalidations {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a cache other than the global one.
    pub fn cache(&mut self, cache: &Cache) {
        self.cache = Some(cache.clone());
    }

    /// Adds the functions whose names match `pattern`.
    pub fn functions(&mut self, pattern: &'static str) {
        self.functions.push(pattern);
    }

    /// Adds a tag and returns its text, to be written.
    pub fn tag(&mut self) -> &mut Arguments {
        let last = self.tags.len();
        self.tags.push(Arguments::of_tag());
        &mut self.tags[last]
    }

    /// Adds one call.
    pub fn entry(&mut self, entry: PendingTargets) {
        self.entries.push(entry);
    }

    /// Records the outcome of the function: if it failed, nothing is invalidated.
    pub fn judge(&mut self, success: bool) {
        if !success {
            self.clear();
        }
    }

    /// Sends all invalidations.
    pub async fn run(mut self) {
        self.invalidate(Caller::Async).await;
        self.clear();
    }

    /// Sends all invalidations as [`run`](Self::run) does, and blocks the thread.
    pub fn run_blocking(mut self) {
        if background::is_here() {
            // This thread must not block: `drop` sends the invalidations in the background.
            return;
        }
        blocking::wait(self.invalidate(Caller::Blocking));
        self.clear();
    }

    fn clear(&mut self) {
        self.functions.clear();
        self.tags.clear();
        self.entries.clear();
    }

    async fn invalidate(&self, caller: Caller) {
        let cache = self.cache.as_ref().unwrap_or_else(|| Cache::global());
        for pattern in &self.functions {
            let outcome = cache.apply(caller, |_| Invalidation::functions(pattern));
            report(cache, outcome.await);
        }
        for tag in &self.tags {
            let outcome = cache.apply(caller, |ns| Invalidation::tag(ns, &tag.tag()?));
            report(cache, outcome.await);
        }
        for PendingTargets { cache, key } in &self.entries {
            let outcome = match key {
                Ok(key) => cache.inner.apply(caller, Invalidation::call(key)).await,
                Err(error) => Err(error.again()),
            };
            report(cache, outcome);
        }
    }
}

/// Reports an invalidation that will never be delivered. A queued invalidation is not reported
/// here: it has an event of its own.
fn report<T>(cache: &Cache, outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        let event = Event::InvalidationDropped(error);
        cache.inner.process.observer.notify(&event);
    }
}

impl Drop for Invalidations {
    fn drop(&mut self) {
        if self.functions.is_empty() && self.tags.is_empty() && self.entries.is_empty() {
            return;
        }
        let left = std::mem::take(self);
        background::spawn(left.run());
    }
}

/// The outcome of a call. An inherent method for `Result`s shadows the trait's.
pub struct Outcome<'a, R>(pub &'a R);

impl<T, E> Outcome<'_, Result<T, E>> {
    #[must_use]
    pub fn recached_is_success(&self) -> bool {
        self.0.is_ok()
    }
}

/// Outcome of any other type: a success.
pub trait AnyOutcome {
    fn recached_is_success(&self) -> bool {
        true
    }
}

impl<R> AnyOutcome for Outcome<'_, R> {}

/// Fixes the output type of a future.
pub fn future_of<R, F: Future<Output = R>>(future: F) -> F {
    future
}
