use super::*;

use crate::entry::codec::Encoding;
use crate::entry::header::EntryHeader;

const LIFE: Duration = Duration::from_secs(60);

struct Fixture {
    memory: MemoryBackend,
    groups: [Group; 2],
    key: Key,
}

impl Fixture {
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

    /// Returns the reply to a claim with this stamp.
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
    let fixture = Fixture::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(fixture.claim(ours), ClaimReply::Granted));
    let renewed = |token| pollster::block_on(fixture.memory.renew(&fixture.key, token, LIFE)).ok();
    assert_eq!((renewed(ours), renewed(theirs)), (Some(true), Some(false)));
    assert!(!fixture.fill(theirs, 2, ExistingEntry::Replace));
    let released = fixture.memory.release(&fixture.key, theirs);
    pollster::block_on(released).expect("it answers");
    let paused = fixture.memory.pause(&fixture.key, theirs, LIFE);
    pollster::block_on(paused).expect("it answers");
    assert!(
        matches!(fixture.claim(theirs), ClaimReply::Held(_)),
        "it is ours"
    );
    assert!(fixture.fill(ours, 1, ExistingEntry::Replace));
    assert_eq!(fixture.stored(), Some(1));
    assert!(
        !fixture.fill(ours, 3, ExistingEntry::Replace),
        "it was let go"
    );
    let ClaimReply::Found(..) = fixture.claim(theirs) else {
        panic!("it is stored");
    };
}

#[test]
fn a_claim_of_before_an_invalidation_takes_nothing_of_after_it() {
    let fixture = Fixture::new();
    let [early, late] = [(); 2].map(|()| UniqueId::fresh());
    let before = fixture.stamp();
    assert!(matches!(fixture.claim(early), ClaimReply::Granted));
    fixture.change();
    // A holder with an older generation loses the lease.
    assert!(matches!(fixture.claim(late), ClaimReply::Granted));
    assert!(matches!(
        fixture.claim_at(before, early, false),
        ClaimReply::Stale
    ));
    assert!(!fixture.fill(early, 1, ExistingEntry::Replace));
    assert!(fixture.fill(late, 2, ExistingEntry::Replace));
    assert_eq!(fixture.stored(), Some(2));
}

#[test]
fn a_pause_is_respected_by_those_who_have_something_to_serve_until_it_is_over() {
    let fixture = Fixture::new();
    let [first, next] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(fixture.claim(first), ClaimReply::Granted));
    let paused = fixture.memory.pause(&fixture.key, first, LIFE);
    pollster::block_on(paused).expect("it answers");
    let paused = fixture.claim_at(fixture.stamp(), next, true);
    assert!(matches!(paused, ClaimReply::Paused));
    assert!(
        !fixture.fill(first, 1, ExistingEntry::Replace),
        "nobody holds it"
    );
    // A pause of another generation does not count.
    fixture.change();
    let claimed = fixture.claim_at(fixture.stamp(), next, true);
    assert!(matches!(claimed, ClaimReply::Granted));
    let over = fixture.memory.pause(&fixture.key, next, Duration::ZERO);
    pollster::block_on(over).expect("it answers");
    let claimed = fixture.claim_at(fixture.stamp(), first, true);
    assert!(matches!(claimed, ClaimReply::Granted));
    // A claim without a stale value to serve does not wait for the end of a pause.
    let paused = fixture.memory.pause(&fixture.key, first, LIFE);
    pollster::block_on(paused).expect("it answers");
    assert!(matches!(fixture.claim(next), ClaimReply::Granted));
}

#[test]
fn a_failure_replaces_nothing_of_its_generation_and_leaves_a_pause() {
    let fixture = Fixture::new();
    let [first, next, last] = [(); 3].map(|()| UniqueId::fresh());
    assert!(matches!(fixture.claim(first), ClaimReply::Granted));
    assert!(fixture.fill(first, 1, ExistingEntry::Replace));
    let force = |token| {
        let header = EntryHeader::new(Encoding::JSON, 0, fixture.stamp(), &fixture.key);
        let claimed = ClaimRequest {
            key: &fixture.key,
            groups: &fixture.groups,
            header: &header,
            token,
            life: LIFE,
            reach: ClaimMode::IgnoreEntry,
            min_remaining_ttl: Duration::ZERO,
            respects_pause: true,
        };
        pollster::block_on(fixture.memory.claim(&claimed)).expect("it answers")
    };
    assert!(matches!(force(next), ClaimReply::Granted));
    assert!(!fixture.fill(next, 2, ExistingEntry::Keep { pause: LIFE }));
    assert_eq!(fixture.stored(), Some(1));
    assert!(matches!(force(last), ClaimReply::Paused));
    fixture.change();
    assert!(matches!(force(last), ClaimReply::Granted));
    assert!(
        fixture.fill(last, 3, ExistingEntry::Keep { pause: LIFE }),
        "that was of before"
    );
    assert_eq!(fixture.stored(), Some(3));
}

#[test]
fn a_holder_lets_go_and_a_removal_says_what_was_there() {
    let fixture = Fixture::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    assert!(matches!(fixture.claim(ours), ClaimReply::Granted));
    let released = fixture.memory.release(&fixture.key, ours);
    pollster::block_on(released).expect("it answers");
    assert!(
        matches!(fixture.claim(theirs), ClaimReply::Granted),
        "it was let go"
    );
    let removed = || pollster::block_on(fixture.memory.remove(&fixture.key)).expect("it answers");
    assert_eq!(removed(), 0, "a lease is no entry");
    assert!(
        !fixture.fill(theirs, 1, ExistingEntry::Replace),
        "its lease is gone"
    );
    assert!(matches!(fixture.claim(ours), ClaimReply::Granted));
    assert!(fixture.fill(ours, 1, ExistingEntry::Replace));
    assert_eq!((removed(), removed()), (1, 0));
    assert_eq!(fixture.stored(), None);
}

#[test]
fn a_pattern_removes_the_leases_and_the_entries_it_matches() {
    let fixture = Fixture::new();
    let [ours, theirs] = [(); 2].map(|()| UniqueId::fresh());
    let remove = |pattern: &str| {
        let pattern = KeyPattern::parse(pattern, "ns").expect("it is a pattern");
        let removed = fixture.memory.remove_matching(&pattern);
        pollster::block_on(removed).expect("it answers")
    };
    assert!(matches!(fixture.claim(ours), ClaimReply::Granted));
    assert_eq!(remove("item:*").entries, 0);
    assert!(matches!(fixture.claim(theirs), ClaimReply::Held(_)));
    assert_eq!(remove("user:*").entries, 0);
    assert!(
        matches!(fixture.claim(theirs), ClaimReply::Granted),
        "the lease is gone"
    );
    assert!(fixture.fill(theirs, 1, ExistingEntry::Replace));
    let removed = remove("user:*");
    assert_eq!(removed.entries, 1);
    assert_eq!(fixture.stored(), None);
}

#[test]
fn names_are_known_once_they_are_announced() {
    let fixture = Fixture::new();
    let names = || {
        let known = pollster::block_on(fixture.memory.functions()).expect("it answers");
        assert!(!known.incomplete);
        known.names
    };
    assert!(names().is_empty());
    pollster::block_on(fixture.memory.announce("user", "")).expect("it answers");
    assert_eq!(names(), ["user"]);
}

#[test]
fn pauses_that_are_over_go_and_those_that_are_not_stay() {
    let fixture = Fixture::new();
    let token = UniqueId::fresh();
    let mut most = 0;
    for id in 0..5 * FEW {
        let key = Key::of(&format!("ns:user:{id}"));
        let length = match id % 8 {
            0 if id < 800 => LIFE,
            _ => Duration::ZERO,
        };
        let header = EntryHeader::new(Encoding::JSON, 0, fixture.stamp(), &key);
        let claimed = ClaimRequest {
            key: &key,
            groups: &fixture.groups,
            header: &header,
            token,
            life: LIFE,
            reach: ClaimMode::Normal,
            min_remaining_ttl: Duration::ZERO,
            respects_pause: true,
        };
        let granted = pollster::block_on(fixture.memory.claim(&claimed)).expect("it answers");
        assert!(matches!(granted, ClaimReply::Granted));
        let paused = fixture.memory.pause(&key, token, length);
        pollster::block_on(paused).expect("it answers");
        most = most.max(fixture.memory.leases().len());
    }
    assert!(most <= FEW, "{most}");
    let live = fixture
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
