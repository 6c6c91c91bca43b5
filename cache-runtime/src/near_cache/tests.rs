use super::*;

use std::sync::atomic::AtomicUsize;

use crate::invalidation::group::Group;
use crate::invalidation::tag_validity::TagRegistry;

const MINUTE: Duration = Duration::from_secs(60);

fn key(id: usize) -> Key {
    Key::of(&format!("ns:user:{id}"))
}

fn stamp() -> HalfStamp {
    GenerationStamp::of([]).half()
}

fn keep(near: &NearCache, id: usize, bytes: u32) -> Evicted {
    near.keep(&key(id), Arc::new(id), stamp(), MINUTE, bytes)
}

fn held(near: &NearCache, ids: std::ops::Range<usize>) -> usize {
    ids.filter(|id| near.find(&key(*id)).is_some()).count()
}

#[test]
fn a_copy_is_served_while_its_stamp_is_current_and_its_life_lasts() {
    let near = NearCache::new(10, 10_000, 1_000);
    drop(keep(&near, 1, 10));
    let current = KnownStamp::default();
    let served = || near.fresh(key(1).fingerprint(), &current).is_some();
    assert!(!served(), "nothing is current before it is known");
    current.set(GenerationStamp::of([]));
    assert!(served());
    current.set(GenerationStamp::of([
        crate::process::unique_id::UniqueId::fresh(),
    ]));
    assert!(!served(), "it is of other generations");
    current.set(GenerationStamp::of([]));
    assert!(current.forget());
    assert!(!current.forget(), "they are not known any more");
    assert!(!served());
    current.set(GenerationStamp::of([]));
    let gone = near.keep(&key(1), Arc::new(1), stamp(), Duration::ZERO, 10);
    drop(gone);
    assert!(!served(), "its life is over");
    assert!(near.find(&key(1)).is_none());
}

#[test]
fn what_no_stamp_is_taken_for_makes_nothing_current() {
    let near = NearCache::new(10, 10_000, 1_000);
    let unknown = HalfStamp(UNKNOWN);
    drop(near.keep(&key(1), Arc::new(1), unknown, MINUTE, 10));
    assert!(
        near.fresh(key(1).fingerprint(), &KnownStamp::default())
            .is_none()
    );
}

#[test]
fn a_copy_with_tags_is_served_while_its_seals_hold() {
    let near = NearCache::new(10, 10_000, 1_000);
    let tags = TagRegistry::default();
    let group = Group::tag("ns", "a", MINUTE);
    let value = TaggedValue {
        value: Arc::new(7u32),
        tags: tags.of(std::slice::from_ref(&group)),
    };
    drop(near.keep(&key(1), Arc::new(value), stamp(), MINUTE, 10));
    let served = || near.sealed(key(1).fingerprint());
    let value = served().and_then(|value| value.downcast_ref::<u32>().copied());
    assert_eq!(value, Some(7));
    near.trust(Duration::ZERO);
    assert!(served().is_none());
    near.trust(MINUTE);
    assert!(served().is_some());
    tags.break_of(group.key());
    assert!(served().is_none());
    // A copy without tags is not served to a call with tags.
    drop(keep(&near, 2, 10));
    assert!(near.sealed(key(2).fingerprint()).is_none());
}

#[test]
fn copies_are_bounded_by_their_number_and_by_what_they_take() {
    let near = NearCache::new(1_000, 1 << 30, 1_000);
    for id in 0..5_000 {
        drop(keep(&near, id, 0));
    }
    let kept = held(&near, 0..5_000);
    assert!((800..=1_000).contains(&kept), "{kept}");

    // Each entry weighs its value, its key and the overhead.
    let near = NearCache::new(10_000, 1_000_000, 1_000);
    for id in 0..5_000 {
        drop(keep(&near, id, 800));
    }
    let one = u64::from(800u32) + overhead(&key(1_000));
    assert!((992..=1_016).contains(&one), "{one}");
    let kept = held(&near, 0..5_000) as u64;
    assert!(
        (800..=1_000_000 / one).contains(&kept),
        "{kept} of {one} bytes"
    );
    assert!(near.stats().weight <= 1_000_000);
    assert!(near.stats().weight >= kept * one - one * 10);
}

#[test]
fn a_value_has_room_or_is_not_kept_and_ends_what_it_replaces() {
    let near = NearCache::new(1_000, 1_000_000, 100_000);
    let most = near.most(&key(1));
    assert!(most >= 100_000, "what it was built for has room: {most}");
    let most = u32::try_from(most).expect("it is small");
    drop(keep(&near, 1, most));
    assert!(near.find(&key(1)).is_some());
    drop(keep(&near, 1, most + 1));
    assert!(near.find(&key(1)).is_none(), "nor is the one before");
}

#[test]
fn what_is_evicted_or_replaced_is_carried_out() {
    let near = NearCache::new(1, 10_000, 1_000);
    assert!(keep(&near, 1, 10).0.is_empty());
    let gone = keep(&near, 2, 10);
    assert_eq!(gone.0.len(), 1, "there is room for one");
    assert_eq!(keep(&near, 2, 10).0.len(), 1, "one is replaced");
    assert_eq!(near.remove("ns:user:2").alive(), 1);
    assert_eq!(near.remove("ns:user:2").alive(), 0);
}

#[test]
fn only_those_that_are_alive_are_reported_as_removed() {
    let near = NearCache::new(10, 10_000, 1_000);
    drop(keep(&near, 1, 10));
    drop(near.keep(&key(2), Arc::new(2), stamp(), Duration::ZERO, 10));
    let pattern = KeyPattern::parse("user:*", "ns").expect("it is a pattern");
    let (removed, evicted) = near.remove_matching(&pattern);
    assert_eq!((removed.entries, evicted.0.len()), (1, 2));
    assert_eq!(removed.functions.len(), 1);
}

#[test]
fn different_calls_are_different_slots_in_one_shard() {
    let near = NearCache::new(100, 100_000, 1_000);
    for id in 0..50 {
        drop(keep(&near, id, 10));
    }
    for id in 0..50 {
        let value = near.find(&key(id)).map(|kept| kept.value);
        let value = value.and_then(|value| value.downcast_ref::<usize>().copied());
        assert_eq!(value, Some(id));
    }
    let slot = |id: usize| CopySlot {
        fingerprint: *key(id).fingerprint(),
        apart: Box::new(Apart {
            key: key(id),
            bytes: 0,
        }),
    };
    assert!(slot(1) == slot(1) && slot(1) != slot(2));
    assert!(key(1).fingerprint().equivalent(&slot(1)));
    assert!(!key(1).fingerprint().equivalent(&slot(2)));
}

#[test]
fn shards_are_as_many_as_processors_use_and_each_has_room_for_the_largest() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = (processors * 4).next_power_of_two();
    assert_eq!(shards(u64::MAX, 1), most);
    assert_eq!(shards(1 << 40, 1_000), most);
    assert_eq!(shards(1_000, 1_000_000), 1);
    // A shard needs room for the largest value, a sixteenth of that value, and 4,096 bytes. Two
    // shards fit `2 * one` bytes, but not one byte less.
    let one = 1_600_000 + 100_000 + 4_096;
    assert_eq!(shards(2 * one, 1_600_000), 2.min(most));
    assert_eq!(shards(2 * one - 1, 1_600_000), 1);
    assert_eq!(shards(3 * one, 1_600_000), 2.min(most), "a power of two");
}

#[test]
fn the_tier_tells_what_it_holds_and_why_it_is_off() {
    let near = NearCache::new(10, 10_000, 1_000);
    drop((keep(&near, 1, 10), keep(&near, 2, 10)));
    drop(near.remove("ns:user:1"));
    near.refuse();
    let stats = near.stats();
    assert_eq!(
        (
            stats.entries,
            stats.inserted,
            stats.invalidated,
            stats.rejected
        ),
        (1, 2, 1, 1)
    );
    assert!(
        stats.weight >= 900,
        "one of ten thousand bytes has a tenth of them"
    );
    assert!(stats.disabled_reason.is_none());
    assert!(!near.switch(false), "it is on already");
    assert!(near.switch(true));
    assert!(!near.switch(true));
    assert!(near.stats().disabled_reason.is_some());
    assert!(near.switch(false));
}

#[test]
fn the_longest_life_is_a_century() {
    let near = NearCache::new(10, 10_000, 1_000);
    drop(near.keep(&key(1), Arc::new(1), stamp(), Duration::MAX, 10));
    let left = near.find(&key(1)).map(|kept| kept.left());
    let left = left.expect("it is kept");
    let year = Duration::from_secs(365 * 24 * 3_600);
    assert!(left > year * 99 && left < year * 101, "{left:?}");
}

#[test]
fn a_copy_is_dropped_under_no_lock() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Reenters(Arc<NearCache>);
    impl Drop for Reenters {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
            drop(self.0.find(&key(1)));
            drop(self.0.remove("ns:user:2"));
        }
    }
    let near = Arc::new(NearCache::new(1, 10_000, 1_000));
    for _ in 0..3 {
        let value = Reenters(Arc::clone(&near));
        drop(near.keep(&key(1), Arc::new(value), stamp(), MINUTE, 10));
    }
    assert_eq!(DROPPED.load(Ordering::SeqCst), 2);
    near.clear();
    assert_eq!(DROPPED.load(Ordering::SeqCst), 3);
}
