//! Functions that invalidate once they have succeeded.

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

/// The invalidations of one call. If they are dropped before the call was judged, they are sent all
/// the same, beside whoever drops it: what was broken off may have changed something.
#[derive(Default)]
pub struct Invalidations {
    cache: Option<Cache>,
    functions: Vec<&'static str>,
    tags: Vec<Arguments>,
    entries: Vec<PendingTargets>,
}

/// A call to be invalidated, in its own cache.
pub struct PendingTargets {
    cache: Cache,
    key: Result<Key, Error>,
}

/// The entry of a call, of an async function or of a plain one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the entry of a call",
    label = "not the entry of a call",
    note = "give what a companion gives, as in `entry = user_entry(id)`"
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

    /// Another cache than the installed one.
    pub fn cache(&mut self, cache: &Cache) {
        self.cache = Some(cache.clone());
    }

    /// The functions whose names match.
    pub fn functions(&mut self, pattern: &'static str) {
        self.functions.push(pattern);
    }

    /// One more tag, on its way.
    pub fn tag(&mut self) -> &mut Arguments {
        let last = self.tags.len();
        self.tags.push(Arguments::of_tag());
        &mut self.tags[last]
    }

    /// One call.
    pub fn entry(&mut self, entry: PendingTargets) {
        self.entries.push(entry);
    }

    /// Returns `true` if the function has succeeded: if not, there is nothing to invalidate.
    pub fn judge(&mut self, success: bool) {
        if !success {
            self.clear();
        }
    }

    /// Invalidates all.
    pub async fn run(mut self) {
        self.invalidate(Caller::Async).await;
        self.clear();
    }

    /// As [`run`](Self::run), waiting on the spot.
    pub fn run_blocking(mut self) {
        if background::is_here() {
            // Dropped, it is done beside us.
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

/// Reports an invalidation that will never be delivered. One that is queued is reported as such.
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

/// `true` if a call has succeeded: an inherent method shadows a trait's.
pub struct Outcome<'a, R>(pub &'a R);

impl<T, E> Outcome<'_, Result<T, E>> {
    #[must_use]
    pub fn recached_is_success(&self) -> bool {
        self.0.is_ok()
    }
}

/// Of whatever is no `Result`.
pub trait AnyOutcome {
    fn recached_is_success(&self) -> bool {
        true
    }
}

impl<R> AnyOutcome for Outcome<'_, R> {}

/// Says what a future gives.
pub fn future_of<R, F: Future<Output = R>>(future: F) -> F {
    future
}
