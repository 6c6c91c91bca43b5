use crate::process::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::DefaultHashBuilder;

use crate::invalidation::group::Group;
use crate::key::fingerprint::digest;

/// Number of tags from which on the registry searches for unused tags.
const FEW: usize = 1_024;

/// Validity of a group since the validity was taken. A copy holds one validity for each of the
/// copy's groups, taken before the value was read. The copy is valid while all its validities are.
///
/// Only calls with tags use validities. Calls without tags compare the stamp of the function.
pub(crate) struct TagValidity(AtomicBool);

impl TagValidity {
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The valid groups of this process. The number of groups is bounded by the copies and calls that
/// hold the groups.
#[derive(Default)]
pub(crate) struct TagRegistry(Mutex<KnownTags>);

#[derive(Default)]
struct KnownTags {
    tags: HashMap<u128, Arc<TagValidity>, DefaultHashBuilder>,
    /// Number of groups after the last search for unused groups.
    held: usize,
}

impl TagRegistry {
    /// Returns the validity of each group in `groups`.
    pub(crate) fn of(&self, groups: &[Group]) -> Arc<[Arc<TagValidity>]> {
        let mut known = self.0.lock();
        if known.tags.len() >= FEW.max(known.held * 2) {
            known
                .tags
                .retain(|_, validity| Arc::strong_count(validity) > 1);
            known.held = known.tags.len();
        }
        let mut validity = |group: &Group| {
            let validity = known.tags.entry(group.digest());
            Arc::clone(validity.or_insert_with(|| Arc::new(TagValidity(AtomicBool::new(true)))))
        };
        groups.iter().map(&mut validity).collect()
    }

    /// Ends the validity of `group`.
    pub(crate) fn break_of(&self, group: &str) {
        let mut known = self.0.lock();
        if let Some(validity) = known.tags.remove(&digest(group.as_bytes())) {
            validity.0.store(false, Ordering::Release);
        }
    }

    /// Ends the validity of all groups.
    pub(crate) fn break_all(&self) {
        let mut known = self.0.lock();
        for (_, validity) in known.tags.drain() {
            validity.0.store(false, Ordering::Release);
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

    fn sealed(tags: &TagRegistry, tag: usize) -> TaggedValue {
        TaggedValue {
            value: Arc::new(()),
            tags: tags.of(&groups(tag)),
        }
    }

    #[test]
    fn a_value_is_good_until_one_of_its_groups_changes() {
        let tags = TagRegistry::default();
        let (one, two) = (sealed(&tags, 1), sealed(&tags, 2));
        tags.break_of(groups(1)[1].key());
        assert!(one.open().is_none() && two.open().is_some());
        // A value that is read after the change is valid.
        let again = sealed(&tags, 1);
        assert!(again.open().is_some());
        tags.break_of(groups(1)[0].key());
        assert!(again.open().is_none() && two.open().is_none());
        let last = sealed(&tags, 1);
        tags.break_all();
        assert!(last.open().is_none());
    }

    #[test]
    fn seals_that_nobody_holds_go() {
        let tags = TagRegistry::default();
        let held: Vec<_> = (0..100).map(|tag| sealed(&tags, tag)).collect();
        for tag in 100..100_000 {
            drop(sealed(&tags, tag));
        }
        assert!(tags.0.lock().tags.len() <= FEW);
        // The number of unused tags stays small compared with the number of held tags.
        let many: Vec<_> = (0..4 * FEW).map(|tag| sealed(&tags, tag)).collect();
        for tag in 100_000..100_000 + 40 * FEW {
            drop(sealed(&tags, tag));
        }
        assert!(tags.0.lock().tags.len() <= 2 * (many.len() + 1));
        drop(many);
        tags.break_of(groups(7)[1].key());
        assert!(held[7].open().is_none() && held[8].open().is_some());
    }
}
