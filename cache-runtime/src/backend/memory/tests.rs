use super::*;

use crate::entry::codec::Encoding;
use crate::entry::header::EntryHeader;

const LIFE: Duration = Duration::from_secs(60);

struct Bed {
    memory: MemoryBackend,
    groups: [Group; 2],
    key: Key,
}

impl Bed {
    fn new() -> Self {
        Self {
            memory: MemoryBackend::new(Arc::new(NearCache::new(10, 10_000, 1_000))),
            groups: [Group::everything("ns"), Group::function("ns", "user")],
            key: Key::of("ns:user:1"),
        }
    }

    fn stamp(&self) -> GenerationStamp {
        self.memory.current(&self.groups)
    }

    /// Returns the reply to a claim of this stamp.
    fn claim_at(
        &self,
        stamp: GenerationStamp,
        token: UniqueId,
        respects_pause: bool,
    ) -> ClaimReply {
        let header = EntryHeader::new(Encoding::JSON, 0, stamp, &self.key);
        let claimed = ClaimRequest {
            key: &self.key,
            groups: &self.groups,
            header: &header,
            token,
            life: LIFE,
            reach: ClaimMode::Normal,
            min_remaining_ttl: Duration::ZERO,
            respects_pause,
        };
        pollster::block_on(self.memory.claim(&claimed)).expect("it answers")
    }

    fn claim(&self, token: UniqueId) -> ClaimReply {
        self.claim_at(self.stamp(), token, false)
    }

    fn fill(&self, token: UniqueId, value: u32, existing: ExistingEntry) -> bool {
        let entry = StoredEntry::TypedValue(TypedValue {
            value: Arc::new(value),
            stamp: self.stamp().half(),
            bytes: 10,
        });
        let filled = self.memory.fill(&self.key, token, entry, LIFE, existing);
        pollster::block_on(filled).expect("it answers")
    }

    fn stored(&self) -> Option<u32> {
        let kept = self.memory.entries.find(&self.key)?;
        kept.value.downcast_ref().copied()
    }

    fn change(&self) {
        let changed = self.memory.change(&self.groups[1..]);
        pollster::block_on(changed).expect("it answers");
    }
}

#[test]
fn only_the_holder_renews_fills_pauses_and_releases() {
    let bed = Bed::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(bed.claim(ours), ClaimReply::Granted));
    let renewed = |token| pollster::block_on(bed.memory.renew(&bed.key, token, LIFE)).ok();
    assert_eq!((renewed(ours), renewed(theirs)), (Some(true), Some(false)));
    assert!(!bed.fill(theirs, 2, ExistingEntry::Replace));
    let released = bed.memory.release(&bed.key, theirs);
    pollster::block_on(released).expect("it answers");
    let paused = bed.memory.pause(&bed.key, theirs, LIFE);
    pollster::block_on(paused).expect("it answers");
    assert!(
        matches!(bed.claim(theirs), ClaimReply::Held(_)),
        "it is ours"
    );
    assert!(bed.fill(ours, 1, ExistingEntry::Replace));
    assert_eq!(bed.stored(), Some(1));
    assert!(!bed.fill(ours, 3, ExistingEntry::Replace), "it was let go");
    let ClaimReply::Found(..) = bed.claim(theirs) else {
        panic!("it is stored");
    };
}

#[test]
fn a_claim_of_before_an_invalidation_takes_nothing_of_after_it() {
    let bed = Bed::new();
    let [early, late] = [(); 2].map(|()| UniqueId::fresh());
    let before = bed.stamp();
    assert!(matches!(bed.claim(early), ClaimReply::Granted));
    bed.change();
    // Who computes for an older generation computes for nobody.
    assert!(matches!(bed.claim(late), ClaimReply::Granted));
    assert!(matches!(
        bed.claim_at(before, early, false),
        ClaimReply::Stale
    ));
    assert!(!bed.fill(early, 1, ExistingEntry::Replace));
    assert!(bed.fill(late, 2, ExistingEntry::Replace));
    assert_eq!(bed.stored(), Some(2));
}

#[test]
fn a_pause_is_respected_by_those_who_have_something_to_serve_until_it_is_over() {
    let bed = Bed::new();
    let [first, next] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(bed.claim(first), ClaimReply::Granted));
    let paused = bed.memory.pause(&bed.key, first, LIFE);
    pollster::block_on(paused).expect("it answers");
    let paused = bed.claim_at(bed.stamp(), next, true);
    assert!(matches!(paused, ClaimReply::Paused));
    assert!(
        !bed.fill(first, 1, ExistingEntry::Replace),
        "nobody holds it"
    );
    // Of another generation it is none.
    bed.change();
    let claimed = bed.claim_at(bed.stamp(), next, true);
    assert!(matches!(claimed, ClaimReply::Granted));
    let over = bed.memory.pause(&bed.key, next, Duration::ZERO);
    pollster::block_on(over).expect("it answers");
    let claimed = bed.claim_at(bed.stamp(), first, true);
    assert!(matches!(claimed, ClaimReply::Granted));
    // With nothing to serve, nobody waits for the end of one.
    let paused = bed.memory.pause(&bed.key, first, LIFE);
    pollster::block_on(paused).expect("it answers");
    assert!(matches!(bed.claim(next), ClaimReply::Granted));
}

#[test]
fn a_failure_replaces_nothing_of_its_generation_and_leaves_a_pause() {
    let bed = Bed::new();
    let [first, next, last] = [(); 3].map(|()| UniqueId::fresh());
    assert!(matches!(bed.claim(first), ClaimReply::Granted));
    assert!(bed.fill(first, 1, ExistingEntry::Replace));
    let force = |token| {
        let header = EntryHeader::new(Encoding::JSON, 0, bed.stamp(), &bed.key);
        let claimed = ClaimRequest {
            key: &bed.key,
            groups: &bed.groups,
            header: &header,
            token,
            life: LIFE,
            reach: ClaimMode::IgnoreEntry,
            min_remaining_ttl: Duration::ZERO,
            respects_pause: true,
        };
        pollster::block_on(bed.memory.claim(&claimed)).expect("it answers")
    };
    assert!(matches!(force(next), ClaimReply::Granted));
    assert!(!bed.fill(next, 2, ExistingEntry::Keep { pause: LIFE }));
    assert_eq!(bed.stored(), Some(1));
    assert!(matches!(force(last), ClaimReply::Paused));
    bed.change();
    assert!(matches!(force(last), ClaimReply::Granted));
    assert!(
        bed.fill(last, 3, ExistingEntry::Keep { pause: LIFE }),
        "that was of before"
    );
    assert_eq!(bed.stored(), Some(3));
}

#[test]
fn a_holder_lets_go_and_a_removal_says_what_was_there() {
    let bed = Bed::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(bed.claim(ours), ClaimReply::Granted));
    let released = bed.memory.release(&bed.key, ours);
    pollster::block_on(released).expect("it answers");
    assert!(
        matches!(bed.claim(theirs), ClaimReply::Granted),
        "it was let go"
    );
    let removed = || pollster::block_on(bed.memory.remove(&bed.key)).expect("it answers");
    assert_eq!(removed(), 0, "a lease is no entry");
    assert!(
        !bed.fill(theirs, 1, ExistingEntry::Replace),
        "its lease is gone"
    );
    assert!(matches!(bed.claim(ours), ClaimReply::Granted));
    assert!(bed.fill(ours, 1, ExistingEntry::Replace));
    assert_eq!((removed(), removed()), (1, 0));
    assert_eq!(bed.stored(), None);
}

#[test]
fn a_pattern_removes_the_leases_and_the_entries_it_matches() {
    let bed = Bed::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    let remove = |pattern: &str| {
        let pattern = KeyPattern::parse(pattern, "ns").expect("it is a pattern");
        let removed = bed.memory.remove_matching(&pattern);
        pollster::block_on(removed).expect("it answers")
    };
    assert!(matches!(bed.claim(ours), ClaimReply::Granted));
    assert_eq!(remove("item:*").entries, 0);
    assert!(matches!(bed.claim(theirs), ClaimReply::Held(_)));
    assert_eq!(remove("user:*").entries, 0);
    assert!(
        matches!(bed.claim(theirs), ClaimReply::Granted),
        "the lease is gone"
    );
    assert!(bed.fill(theirs, 1, ExistingEntry::Replace));
    let removed = remove("user:*");
    assert_eq!(removed.entries, 1);
    assert_eq!(bed.stored(), None);
}

#[test]
fn names_are_known_once_they_are_announced() {
    let bed = Bed::new();
    let names = || {
        let known = pollster::block_on(bed.memory.functions()).expect("it answers");
        assert!(!known.incomplete);
        known.names
    };
    assert!(names().is_empty());
    pollster::block_on(bed.memory.announce("user", "")).expect("it answers");
    assert_eq!(names(), ["user"]);
}

#[test]
fn pauses_that_are_over_go_and_those_that_are_not_stay() {
    let bed = Bed::new();
    let token = UniqueId::fresh();
    let mut most = 0;
    for id in 0..5 * FEW {
        let key = Key::of(&format!("ns:user:{id}"));
        let length = match id % 8 {
            0 if id < 800 => LIFE,
            _ => Duration::ZERO,
        };
        let header = EntryHeader::new(Encoding::JSON, 0, bed.stamp(), &key);
        let claimed = ClaimRequest {
            key: &key,
            groups: &bed.groups,
            header: &header,
            token,
            life: LIFE,
            reach: ClaimMode::Normal,
            min_remaining_ttl: Duration::ZERO,
            respects_pause: true,
        };
        let granted = pollster::block_on(bed.memory.claim(&claimed)).expect("it answers");
        assert!(matches!(granted, ClaimReply::Granted));
        let paused = bed.memory.pause(&key, token, length);
        pollster::block_on(paused).expect("it answers");
        most = most.max(bed.memory.leases().len());
    }
    assert!(most <= FEW, "{most}");
    let live = bed
        .memory
        .leases()
        .values()
        .filter(|lease| !lease.is_over())
        .count();
    assert_eq!(live, 100);
}

#[test]
fn many_tags_cost_the_functions_nothing() {
    let memory = MemoryBackend::new(Arc::new(NearCache::new(10, 10_000, 100)));
    let function = [Group::everything("ns"), Group::function("ns", "f")];
    let before = memory.current(&function);
    for id in 0..2 * MOST_TAGS {
        memory.generation(&Group::tag("ns", &format!("user:{id}"), Duration::ZERO));
    }
    assert!(memory.tags.len() <= MOST_TAGS);
    assert_eq!(memory.current(&function), before);
}
