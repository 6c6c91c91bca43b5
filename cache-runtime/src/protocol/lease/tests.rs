use super::*;

use std::time::Instant;

use crate::backend::claim::{ClaimMode, ClaimReply, ClaimRequest};
use crate::backend::lookup::ReadMode;
use crate::backend::memory::MemoryBackend;
use crate::backend::stored_entry::TypedValue;
use crate::entry::codec::Encoding;
use crate::entry::header::EntryHeader;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::near_cache::NearCache;
use crate::protocol::single_flight::{FlightRole, Leader, SingleFlight};

const LIFE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    session: BackendSession,
    groups: Arc<[Group]>,
    key: Key,
    flights: Arc<SingleFlight>,
}

impl Fixture {
    fn new() -> Self {
        let near = Arc::new(NearCache::new(10, 10_000, 1_000));
        Self {
            session: BackendSession::Memory(Arc::new(MemoryBackend::new(near))),
            groups: [Group::function("ns", "user")].into(),
            key: Key::of("ns:user:1"),
            flights: Arc::new(SingleFlight::new()),
        }
    }

    fn stamp(&self) -> GenerationStamp {
        pollster::block_on(self.session.stamp(&self.groups)).expect("it answers")
    }

    fn claim(&self, token: UniqueId, respects_pause: bool) -> ClaimReply {
        let header = EntryHeader::new(Encoding::JSON, 0, self.stamp(), &self.key);
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
        pollster::block_on(self.session.claim(&claimed)).expect("it answers")
    }

    fn leader(&self) -> Leader {
        match self.flights.join(&self.key, &self.groups) {
            FlightRole::Leader(leader) => leader,
            FlightRole::Follow(_) => panic!("there is a flight already"),
        }
    }

    /// Returns a held lease that is renewed every `life / 3`.
    fn lease(&self, leader: &Leader, life: Duration) -> Lease {
        let token = UniqueId::fresh();
        assert!(matches!(self.claim(token, false), ClaimReply::Granted));
        Lease::keep(&self.session, &self.key, token, life, leader.attend())
    }

    fn is_held(&self) -> bool {
        match self.claim(UniqueId::fresh(), true) {
            ClaimReply::Held(_) => true,
            ClaimReply::Granted => panic!("it was to be looked at"),
            _ => false,
        }
    }

    /// Returns `true` if the lease can be taken within `PATIENCE`.
    fn is_free(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if matches!(self.claim(UniqueId::fresh(), false), ClaimReply::Granted) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn entry(&self) -> StoredEntry {
        StoredEntry::TypedValue(TypedValue {
            value: Arc::new(7u32),
            stamp: self.stamp().half(),
            bytes: 4,
        })
    }

    fn is_stored(&self) -> bool {
        let read = self.session.read(&self.key, &self.groups, ReadMode::Entry);
        let read = pollster::block_on(read).expect("it answers");
        read.entry.is_some()
    }
}

#[test]
fn a_lease_that_is_filled_stores_the_value_and_ends() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    let lease = fixture.lease(&leader, LIFE);
    assert!(fixture.is_held());
    let filled = lease.fill(fixture.entry(), LIFE, ExistingEntry::Replace);
    assert_eq!(pollster::block_on(filled).ok(), Some(true));
    assert!(fixture.is_stored());
}

#[test]
fn a_lease_that_was_lost_stores_nothing() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    let lease = fixture.lease(&leader, LIFE);
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let filled = lease.fill(fixture.entry(), LIFE, ExistingEntry::Replace);
    assert_eq!(pollster::block_on(filled).ok(), Some(false));
    assert!(!fixture.is_stored());
}

#[test]
fn a_failure_frees_the_lease_or_leaves_the_pause_that_was_asked_for() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    pollster::block_on(fixture.lease(&leader, LIFE).fail()).expect("it answers");
    let lease = fixture.lease(&leader, LIFE).pausing(LIFE);
    assert!(fixture.is_held());
    pollster::block_on(lease.fail()).expect("it answers");
    assert!(matches!(
        fixture.claim(UniqueId::fresh(), true),
        ClaimReply::Paused
    ));
    // A release leaves no pause.
    let lease = fixture.lease(&leader, LIFE).pausing(LIFE);
    pollster::block_on(lease.release()).expect("it answers");
    assert!(matches!(
        fixture.claim(UniqueId::fresh(), true),
        ClaimReply::Granted
    ));
}

#[test]
fn a_lease_that_is_dropped_is_free_and_one_of_a_panic_pauses_the_call() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    drop(fixture.lease(&leader, LIFE).pausing(LIFE));
    let begun = Instant::now();
    // The call is not paused either: a pause would delay a refresh.
    while !matches!(fixture.claim(UniqueId::fresh(), true), ClaimReply::Granted) {
        assert!(begun.elapsed() < PATIENCE, "it was cancelled");
        std::thread::sleep(Duration::from_millis(1));
    }
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let panics = |pause| {
        let lease = fixture.lease(&leader, LIFE).pausing(pause);
        let panics = std::panic::AssertUnwindSafe(move || {
            let _lease = lease;
            panic!("on purpose");
        });
        assert!(std::panic::catch_unwind(panics).is_err());
    };
    panics(LIFE);
    let begun = Instant::now();
    while !matches!(fixture.claim(UniqueId::fresh(), true), ClaimReply::Paused) {
        assert!(begun.elapsed() < PATIENCE, "there is no pause");
        std::thread::sleep(Duration::from_millis(1));
    }
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    panics(Duration::ZERO);
    assert!(fixture.is_free());
}

#[test]
fn a_claim_that_nobody_waits_for_any_more_leaves_no_lease() {
    let fixture = Fixture::new();
    let token = UniqueId::fresh();
    let asking = PendingClaim::new(&fixture.session, &fixture.key, token);
    assert!(matches!(fixture.claim(token, false), ClaimReply::Granted));
    drop(asking);
    assert!(fixture.is_free());
    // The reply is late, so the lease may be granted to no caller.
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let late = Err(Error::new(ErrorKind::Timeout, "on purpose"));
    let asking = PendingClaim::new(&fixture.session, &fixture.key, token);
    assert!(matches!(fixture.claim(token, false), ClaimReply::Granted));
    asking.ended(&late);
    assert!(fixture.is_free());
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let asking = PendingClaim::new(&fixture.session, &fixture.key, token);
    assert!(matches!(fixture.claim(token, false), ClaimReply::Granted));
    asking.ended(&Ok(ClaimReply::Granted));
    // A release of the claim would have run by the end of the sleep.
    let other = Key::of("ns:user:2");
    release(fixture.session.clone(), other, token);
    std::thread::sleep(Duration::from_millis(100));
    assert!(fixture.is_held());
}

#[test]
fn a_lease_is_renewed_well_before_it_ends() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    let joined = || {
        matches!(
            fixture.flights.join(&fixture.key, &fixture.groups),
            FlightRole::Follow(_)
        )
    };
    let life = Duration::from_secs(3);
    let _lease = fixture.lease(&leader, life);
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let begun = Instant::now();
    while joined() {
        assert!(
            begun.elapsed() < life * 2,
            "it was not tried within its life"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_renewal_that_finds_the_lease_gone_ends_the_flight() {
    let fixture = Fixture::new();
    let leader = fixture.leader();
    let joined = || {
        matches!(
            fixture.flights.join(&fixture.key, &fixture.groups),
            FlightRole::Follow(_)
        )
    };
    let _lease = fixture.lease(&leader, Duration::from_millis(90));
    std::thread::sleep(Duration::from_millis(200));
    assert!(joined(), "it is renewed");
    pollster::block_on(fixture.session.remove(&fixture.key)).expect("it answers");
    let begun = Instant::now();
    while joined() {
        assert!(begun.elapsed() < PATIENCE, "it takes joiners");
        std::thread::sleep(Duration::from_millis(1));
    }
}
