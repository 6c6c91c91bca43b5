use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::DefaultHashBuilder;

use crate::invalidation::group::Group;
use crate::key::fingerprint::digest;

/// How many seals there are before those that nobody holds any more are looked for.
const FEW: usize = 1_024;

/// Whether a group has changed since the seal was given out. A value in this process that has one
/// of each of its groups, given out before it was read, is good as long as none is broken.
///
/// For calls with tags: what all calls of a function have in common is cheaper to compare.
pub(crate) struct TagValidity(AtomicBool);

impl TagValidity {
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The unbroken seals of this process, by group. Bounded by what holds them: values and calls.
#[derive(Default)]
pub(crate) struct TagRegistry(Mutex<KnownTags>);

#[derive(Default)]
struct KnownTags {
    seals: HashMap<u128, Arc<TagValidity>, DefaultHashBuilder>,
    /// How many there were when none was left that nobody holds.
    held: usize,
}

impl TagRegistry {
    /// One for each of the groups.
    pub(crate) fn of(&self, groups: &[Group]) -> Arc<[Arc<TagValidity>]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.seals.len() >= FEW.max(known.held * 2) {
            known.seals.retain(|_, seal| Arc::strong_count(seal) > 1);
            known.held = known.seals.len();
        }
        let mut seal = |group: &Group| {
            let seal = known.seals.entry(group.digest());
            Arc::clone(seal.or_insert_with(|| Arc::new(TagValidity(AtomicBool::new(true)))))
        };
        groups.iter().map(&mut seal).collect()
    }

    /// The group has changed.
    pub(crate) fn break_of(&self, group: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seal) = known.seals.remove(&digest(group.as_bytes())) {
            seal.0.store(false, Ordering::Release);
        }
    }

    /// Any group may have changed.
    pub(crate) fn break_all(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, seal) in known.seals.drain() {
            seal.0.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::values::tagged_value::TaggedValue;

    fn groups(tag: usize) -> [Group; 2] {
        let tag = Group::tag("ns", &format!("user:{tag}"), Duration::ZERO);
        [Group::everything("ns"), tag]
    }

    fn sealed(seals: &TagRegistry, tag: usize) -> TaggedValue {
        TaggedValue {
            value: Arc::new(()),
            seals: seals.of(&groups(tag)),
        }
    }

    #[test]
    fn a_value_is_good_until_one_of_its_groups_changes() {
        let seals = TagRegistry::default();
        let (one, two) = (sealed(&seals, 1), sealed(&seals, 2));
        seals.break_of(groups(1)[1].key());
        assert!(one.open().is_none() && two.open().is_some());
        // What is read after the change is good.
        let again = sealed(&seals, 1);
        assert!(again.open().is_some());
        seals.break_of(groups(1)[0].key());
        assert!(again.open().is_none() && two.open().is_none());
        let last = sealed(&seals, 1);
        seals.break_all();
        assert!(last.open().is_none());
    }

    #[test]
    fn seals_that_nobody_holds_go() {
        let seals = TagRegistry::default();
        let held: Vec<_> = (0..100).map(|tag| sealed(&seals, tag)).collect();
        for tag in 100..100_000 {
            drop(sealed(&seals, tag));
        }
        assert!(seals.0.lock().expect("no panic").seals.len() <= FEW);
        // However many are held, those that are not stay few beside them.
        let many: Vec<_> = (0..4 * FEW).map(|tag| sealed(&seals, tag)).collect();
        for tag in 100_000..100_000 + 40 * FEW {
            drop(sealed(&seals, tag));
        }
        assert!(seals.0.lock().expect("no panic").seals.len() <= 2 * (many.len() + 1));
        drop(many);
        seals.break_of(groups(7)[1].key());
        assert!(held[7].open().is_none() && held[8].open().is_some());
    }
}
