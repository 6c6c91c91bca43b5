use crate::process::sync::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, ErrorKind};
use crate::invalidation::group::Group;
use crate::invalidation::request::Invalidation;
use crate::telemetry::event::{Event, Observer};

/// Maximum number of waiting invalidations. If there are more, one invalidation of everything
/// replaces them.
const MOST: usize = 10_000;

/// Maximum number of invalidations in flight. One at a time, ten thousand of them would take as
/// many round trips, during which Redis is not used.
const BATCH: usize = 64;

/// Invalidations that wait for Redis. While any wait, no value is read from Redis or stored there.
pub(crate) struct InvalidationOutbox {
    pub(super) namespace: Arc<str>,
    waiting: AtomicBool,
    items: Mutex<Items>,
    /// Number of pushes to this outbox since its creation.
    made: AtomicU64,
    pub(super) observer: Observer,
}

/// Invalidations, each with the number of its last request. An invalidation that is requested again
/// during its delivery must be delivered again.
type Items = BTreeMap<Invalidation, u64>;

impl InvalidationOutbox {
    pub(super) fn new(namespace: &Arc<str>, observer: &Observer) -> Self {
        Self {
            namespace: Arc::clone(namespace),
            waiting: AtomicBool::new(false),
            items: Mutex::default(),
            made: AtomicU64::new(0),
            observer: observer.clone(),
        }
    }

    /// Checks that no invalidation waits.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Unavailable` if one waits.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.waiting.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Unavailable,
                "invalidations that were made while redis was away have not been sent yet",
            )),
        }
    }

    pub(super) fn push(&self, new: impl IntoIterator<Item = Invalidation>) {
        let mut items = self.items.lock();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        items.extend(new.into_iter().map(|item| (item, number)));
        if items.len() > MOST {
            let everything = Group::everything(&self.namespace).key().to_owned();
            *items = Items::from([(Invalidation::Group(everything), number)]);
        }
        let new = !self.wait(&items) && !items.is_empty();
        // The lock is released first, because an observer may use the cache.
        drop(items);
        if new {
            self.observer.notify(&Event::InvalidationsQueued);
        }
    }

    /// Returns the next invalidations to deliver: at most [`BATCH`] that take one exchange each, or
    /// a single one that takes more.
    pub(super) fn next(&self) -> Items {
        let items = self.items.lock();
        let first = items.iter().take(1);
        let small = items.iter().take_while(|(item, _)| is_small(item));
        let batch = first.chain(small.skip(1).take(BATCH - 1));
        batch
            .map(|(item, number)| (item.clone(), *number))
            .collect()
    }

    pub(super) fn done(&self, delivered: &Items) {
        let mut items = self.items.lock();
        items.retain(|item, number| delivered.get(item) != Some(number));
        let waited = self.wait(&items);
        let none = items.is_empty();
        drop(items);
        if waited && none {
            self.observer.notify(&Event::InvalidationsDelivered);
        }
    }

    /// Records if invalidations wait now. Returns `true` if any waited before.
    fn wait(&self, items: &Items) -> bool {
        self.waiting.swap(!items.is_empty(), Ordering::AcqRel)
    }
}

/// Returns `true` if the invalidation takes a single exchange.
fn is_small(item: &Invalidation) -> bool {
    matches!(item, Invalidation::Group(_) | Invalidation::Call(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_become_one_of_everything() {
        let queue = InvalidationOutbox::new(&"ns".into(), &Observer::default());
        assert!(queue.check().is_ok());
        let calls = (0..=MOST).map(|id| Invalidation::Call(format!("ns:user:{id}")));
        queue.push(calls);
        let everything = Invalidation::Group("ns:gen:all".into());
        assert!(queue.next().keys().eq([&everything]));
        assert!(queue.check().is_err());
    }

    #[test]
    fn what_comes_while_others_are_delivered_still_waits() {
        let queue = InvalidationOutbox::new(&"ns".into(), &Observer::default());
        let call = |id: u32| Invalidation::Call(format!("ns:user:{id}"));
        queue.push([call(1), call(1)]);
        let all = queue.next();
        assert_eq!(all.len(), 1);
        queue.push([call(2)]);
        queue.done(&all);
        assert!(queue.check().is_err());
        queue.done(&queue.next());
        assert!(queue.check().is_ok());
    }

    #[test]
    fn a_batch_is_of_many_small_ones_or_one_that_is_not() {
        let queue = InvalidationOutbox::new(&"ns".into(), &Observer::default());
        let functions =
            |id: u8| Invalidation::functions(&format!("f{id}")).expect("it is a pattern");
        queue.push((0..3).map(functions));
        queue.push((0..200).map(|id| Invalidation::Call(format!("ns:user:{id}"))));
        let keys = |pattern| Invalidation::keys("ns", pattern).expect("it is a pattern");
        queue.push(["a:*", "b:*"].map(keys));
        let mut sizes = Vec::new();
        while queue.check().is_err() {
            let batch = queue.next();
            sizes.push(batch.len());
            queue.done(&batch);
        }
        assert_eq!(sizes, [1, 1, 1, 64, 64, 64, 8, 1, 1]);
    }

    #[test]
    fn what_is_invalidated_again_while_it_is_delivered_still_waits() {
        let queue = InvalidationOutbox::new(&"ns".into(), &Observer::default());
        let call = || Invalidation::Call("ns:user:1".to_owned());
        queue.push([call()]);
        let all = queue.next();
        queue.push([call()]);
        queue.done(&all);
        assert!(queue.check().is_err());
    }
}
