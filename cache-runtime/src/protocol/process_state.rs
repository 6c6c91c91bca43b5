use std::sync::Arc;

use std::time::Duration;

use crate::backend::invalidation_sink::InvalidationSink;
use crate::backend::local_values::LocalValues;
use crate::backend::memory::MemoryBackend;
use crate::error::Error;
use crate::invalidation::removed_entries::RemovedEntries;
use crate::invalidation::tag_validity::TagRegistry;
use crate::key::keyspace::is_tag;
use crate::key::pattern::KeyPattern;
use crate::near_cache::NearCache;
use crate::overrides::rule::Override;
use crate::overrides::rules::MOST;
use crate::protocol::just_invalidated::JustInvalidated;
use crate::protocol::single_flight::SingleFlight;
use crate::registry::Registry;
use crate::telemetry::event::{Event, Observer};

/// State of one cache in this process. An invalidation by any process applies to all of this state.
///
/// An invalidation closes flights before it drops copies: a leader inserts a copy only while its
/// flight takes joiners, so no stale value is inserted after the sweep.
pub(crate) struct ProcessState {
    pub(crate) flights: Arc<SingleFlight>,
    pub(crate) near: Arc<NearCache>,
    /// Values of `local` functions if the backend is a server; otherwise these values are in
    /// `near`.
    pub(crate) own: Option<LocalValues>,
    pub(crate) registry: Registry,
    /// Validity of the copies of calls with tags.
    pub(crate) tags: TagRegistry,
    pub(crate) just_invalidated: JustInvalidated,
    pub(crate) observer: Observer,
    /// Time for which copies are served after their connection was lost.
    pub(crate) near_outage_grace: Duration,
}

impl ProcessState {
    /// Returns the near cache that holds a function's values; `own` is `true` for `local`
    /// functions.
    #[inline]
    pub(crate) fn held(&self, own: bool) -> &NearCache {
        match &self.own {
            Some(values) if own => values.memory().entries(),
            _ => &self.near,
        }
    }

    /// Returns the values of `local` functions, if any were ever stored.
    fn own(&self) -> Option<&Arc<MemoryBackend>> {
        self.own.as_ref().and_then(LocalValues::made)
    }

    /// Removes a value of a `local` function. Returns the number of removed values.
    pub(crate) fn remove_own(&self, key: &str) -> u64 {
        self.own().map_or(0, |own| own.remove_call(key))
    }

    /// Removes values of `local` functions.
    pub(crate) fn remove_own_matching(&self, pattern: &KeyPattern) -> RemovedEntries {
        self.own()
            .map(|own| own.remove_calls(pattern))
            .unwrap_or_default()
    }

    /// Stops serving copies, without taking a lock.
    pub(crate) fn distrust(&self) {
        self.trust(Duration::ZERO);
    }

    /// Activates the overrides. Drops flights, known stamps and copies of each function whose
    /// overrides changed.
    pub(crate) fn overrides_changed(&self) {
        for state in self.registry.apply_rules() {
            let group = state.own_group();
            self.flights
                .close_where(|_, groups| groups.iter().any(|of| of.key() == group.key()));
            state.current.forget();
            self.near.remove_of(&state.name);
            if let Some(own) = self.own() {
                own.entries().remove_of(&state.name);
            }
        }
    }
}

impl InvalidationSink for ProcessState {
    fn call_changed(&self, key: &str) {
        self.flights.mark_stale(key);
        drop(self.near.remove(key));
        self.remove_own(key);
    }

    fn lease_changed(&self, key: &str) {
        // An invalidation may have taken this process's lease, so later callers must not get a
        // value whose computation began before. If the lease was only renewed, later callers read
        // the backend once.
        self.flights.close_by_text(key);
    }

    fn calls_changed(&self, pattern: &KeyPattern) {
        self.flights.close_where(|key, _| pattern.matches(key));
        drop(self.near.remove_matching(pattern));
        self.remove_own_matching(pattern);
    }

    fn group_changed(&self, group: &str) {
        self.flights
            .close_where(|_, groups| groups.iter().any(|of| of.key() == group));
        self.tags.break_of(group);
        if !is_tag(group) {
            self.registry.forget(group);
        }
    }

    fn everything_changed(&self) {
        self.flights.close_where(|_, _| true);
        self.tags.break_all();
        self.registry.forget_all();
        self.near.clear();
    }

    fn lost(&self) {
        if self.near_outage_grace.is_zero() {
            return self.everything_changed();
        }
        self.flights.close_where(|_, _| true);
        self.near.drift(self.near_outage_grace);
        if let Some(own) = self.own() {
            own.entries().drift(self.near_outage_grace);
        }
    }

    fn reconnected(&self) {
        let own = self.own().is_some_and(|own| own.entries().land());
        if self.near.land() || own {
            self.everything_changed();
        }
    }

    fn gap(&self) {
        self.flights.close_where(|_, _| true);
    }

    fn overrides_version(&self) -> u64 {
        self.registry.rules().version()
    }

    fn overrides(&self, told: u64, fields: Vec<(String, String)>) -> bool {
        let rules = self.registry.rules();
        let mut fleet = Vec::new();
        let ignored = |what: &str| {
            if rules.is_first_malformed(what) {
                let what = what.escape_debug().to_string();
                self.observer.notify(&Event::OverrideIgnored(what));
            }
        };
        for (field, value) in fields.iter().take(MOST) {
            match Override::read(field, value) {
                Some(rule) => fleet.push(rule),
                None => ignored(field),
            }
        }
        if fields.len() > MOST {
            ignored(&format!("all beyond the first {MOST}"));
        }
        let believed = rules.replace_fleet(told, fleet);
        if believed {
            self.overrides_changed();
        }
        believed
    }

    fn trust(&self, life: Duration) {
        self.near.trust(life);
        if let Some(own) = self.own() {
            own.entries().trust(life);
        }
    }

    fn damaged(&self, function: &str, error: Error) {
        self.registry.damaged(function, &error);
    }

    fn pushes(&self, pushes: bool) {
        if self.near.switch(!pushes) {
            self.observer.notify(&match pushes {
                true => Event::NearCacheEnabled,
                false => Event::NearCacheDisabled,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::invalidation::group::{GenerationStamp, Group};
    use crate::key::Key;
    use crate::overrides::rules::OverrideRules;
    use crate::protocol::single_flight::{FlightRole, Leader};

    struct Fixture {
        process: ProcessState,
        key: Key,
        groups: Arc<[Group]>,
    }

    impl Fixture {
        fn new(near_outage_grace: Duration) -> Self {
            let observer = Observer::default();
            let process = ProcessState {
                flights: Arc::new(SingleFlight::new()),
                near: Arc::new(NearCache::new(10, 10_000, 1_000)),
                own: None,
                registry: Registry::new("ns", &observer, OverrideRules::default(), false),
                tags: TagRegistry::default(),
                just_invalidated: JustInvalidated::default(),
                observer,
                near_outage_grace,
            };
            let key = Key::of("ns:user:1");
            let groups = [Group::everything("ns"), Group::function("ns", "user")].into();
            Self {
                process,
                key,
                groups,
            }
        }

        /// Begins a flight and inserts a copy.
        fn begin(&self) -> Leader {
            let stamp = GenerationStamp::of([]).half();
            let life = Duration::from_secs(60);
            let kept = self
                .process
                .near
                .keep(&self.key, Arc::new(1u32), stamp, life, 10);
            drop(kept);
            match self.process.flights.join(&self.key, &self.groups) {
                FlightRole::Leader(leader) => leader,
                FlightRole::Follow(_) => panic!("there is a flight already"),
            }
        }

        /// Returns two flags: `true` if the flight takes joiners, and `true` if the copy is
        /// present.
        fn stands(&self) -> (bool, bool) {
            let role = self.process.flights.join(&self.key, &self.groups);
            let joined = matches!(role, FlightRole::Follow(_));
            (joined, self.process.near.find(&self.key).is_some())
        }
    }

    #[test]
    fn each_change_reaches_flights_and_copies_as_far_as_it_must() {
        let everything = KeyPattern::parse("user:*", "ns").expect("it is a pattern");
        let other = KeyPattern::parse("item:*", "ns").expect("it is a pattern");
        type Change<'a> = (&'a str, &'a dyn Fn(&ProcessState), (bool, bool));
        let changes: [Change<'_>; 9] = [
            ("gap", &|process| process.gap(), (false, true)),
            (
                "lease",
                &|process| process.lease_changed("ns:user:1"),
                (false, true),
            ),
            (
                "call",
                &|process| process.call_changed("ns:user:1"),
                (true, false),
            ),
            (
                "another call",
                &|process| process.call_changed("ns:user:2"),
                (true, true),
            ),
            (
                "keys",
                &|process| process.calls_changed(&everything),
                (false, false),
            ),
            (
                "other keys",
                &|process| process.calls_changed(&other),
                (true, true),
            ),
            (
                "everything",
                &|process| process.everything_changed(),
                (false, false),
            ),
            ("lost", &|process| process.lost(), (false, false)),
            ("found", &|process| process.reconnected(), (true, true)),
        ];
        for (what, change, wanted) in changes {
            let fixture = Fixture::new(Duration::ZERO);
            let leader = fixture.begin();
            change(&fixture.process);
            assert_eq!(fixture.stands(), wanted, "{what}");
            assert_eq!(leader.has_changed(), what == "call", "{what}");
        }
    }

    #[test]
    fn a_group_that_changes_ends_the_flights_of_its_calls_and_no_others() {
        let fixture = Fixture::new(Duration::ZERO);
        let leader = fixture.begin();
        fixture
            .process
            .group_changed(Group::function("ns", "item").key());
        assert_eq!(fixture.stands(), (true, true));
        fixture.process.group_changed(fixture.groups[1].key());
        // The copy's stamp is outdated, so the copy itself may stay.
        assert_eq!(fixture.stands(), (false, true));
        drop(leader);
    }

    #[test]
    fn a_function_that_changes_makes_its_copies_none_that_are_current() {
        let fixture = Fixture::new(Duration::ZERO);
        let state = fixture
            .process
            .registry
            .by_hand("user")
            .expect("there is room");
        let leader = fixture.begin();
        let served = || {
            let copy = fixture
                .process
                .near
                .fresh(fixture.key.fingerprint(), &state.current);
            copy.is_some()
        };
        state.current.set(GenerationStamp::of([]));
        assert!(served());
        fixture
            .process
            .group_changed(Group::tag("ns", "user", Duration::ZERO).key());
        fixture
            .process
            .group_changed(Group::function("ns", "item").key());
        assert!(served());
        fixture
            .process
            .group_changed(Group::function("ns", "user").key());
        assert!(!served());
        drop(leader);
    }

    /// Returns a fixture, and the list of events that its observer receives.
    fn observed() -> (Fixture, Arc<crate::process::sync::Mutex<Vec<String>>>) {
        let mut fixture = Fixture::new(Duration::ZERO);
        let told = Arc::<crate::process::sync::Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&told);
        let observer = Observer::new(move |event| {
            heard.lock().push(format!("{event:?}"));
        });
        fixture.process.registry = Registry::new("ns", &observer, OverrideRules::default(), false);
        fixture.process.observer = observer;
        (fixture, told)
    }

    #[test]
    fn check_reports_whether_changes_are_pushed() {
        let (fixture, told) = observed();
        for pushes in [true, false, false, true, true] {
            fixture.process.pushes(pushes);
            assert_eq!(
                fixture.process.near.stats().disabled_reason.is_none(),
                pushes
            );
        }
        let told = told.lock();
        assert_eq!(*told, ["NearCacheDisabled", "NearCacheEnabled"]);
    }

    #[test]
    fn damage_is_reported_once_with_the_function_it_concerns() {
        let (fixture, told) = observed();
        let error = || Error::new(crate::error::ErrorKind::Server, "mended");
        let _state = fixture.process.registry.by_hand("user");
        for _ in 0..3 {
            fixture.process.damaged("user", error());
        }
        let told = told.lock();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("user") && told[0].contains("mended"),
            "{told:?}"
        );
    }

    #[test]
    fn of_too_many_settings_those_beyond_are_ignored_and_reported() {
        for (count, ignored) in [(MOST, 0), (MOST + 1, 1)] {
            let (fixture, told) = observed();
            let field = |n: usize| {
                let off = Override::Enabled(false);
                (
                    Override::field(off.kind(), &format!("f{n}")),
                    off.write("ada"),
                )
            };
            let fields = (0..count).map(field).collect();
            assert!(
                fixture
                    .process
                    .overrides(fixture.process.overrides_version(), fields)
            );
            let told = told.lock();
            assert_eq!(told.len(), ignored, "{told:?}");
        }
    }

    #[test]
    fn copies_outlive_a_lost_connection_only_where_that_was_asked_for() {
        let fixture = Fixture::new(Duration::from_secs(60));
        let leader = fixture.begin();
        fixture.process.lost();
        assert_eq!(fixture.stands(), (false, true));
        drop(leader);
        // Changes during the outage were not received.
        fixture.process.reconnected();
        assert!(!fixture.stands().1);
    }

    #[test]
    fn what_the_fleet_has_set_ends_what_it_concerns_and_no_more() {
        let fixture = Fixture::new(Duration::ZERO);
        // An override applies only to known functions.
        let _state = fixture.process.registry.by_hand("user");
        let set = |pattern: &str| {
            let field = Override::field(Override::Enabled(false).kind(), pattern);
            vec![(field, Override::Enabled(false).write("ada"))]
        };
        let leader = fixture.begin();
        // The overrides are accepted even if no function of that name was called.
        let unknown = fixture
            .process
            .overrides(fixture.process.overrides_version(), set("item"));
        let _other = fixture.process.registry.by_hand("order");
        let known = fixture
            .process
            .overrides(fixture.process.overrides_version(), set("order"));
        assert!(unknown && known);
        assert_eq!(fixture.stands(), (true, true), "of another function");
        let told = fixture.process.overrides_version();
        assert!(fixture.process.overrides(told, set("user")));
        assert_eq!(fixture.stands(), (false, false));
        assert!(
            !fixture.process.overrides(told, set("item")),
            "an earlier reading"
        );
        drop(leader);
    }

    #[test]
    fn what_reaches_copies_reaches_values_that_are_kept_here_only() {
        let fixture = || {
            let mut fixture = Fixture::new(Duration::ZERO);
            fixture.process.own = Some(LocalValues::new(|| NearCache::new(10, 10_000, 1_000)));
            let life = Duration::from_secs(60);
            let stamp = GenerationStamp::of([]).half();
            let held = fixture.process.held(true);
            drop(held.keep(&fixture.key, Arc::new(7u32), stamp, life, 10));
            fixture
        };
        let is_held = |fixture: &Fixture| fixture.process.held(true).find(&fixture.key).is_some();
        assert!(is_held(&fixture()));
        assert!(fixture().process.held(false).find(&fixture().key).is_none());
        type Change = fn(&ProcessState);
        let changes: [(&str, Change, bool); 6] = [
            ("call", |process| process.call_changed("ns:user:1"), false),
            ("another", |process| process.call_changed("ns:user:2"), true),
            (
                "keys",
                |process| {
                    let keys = KeyPattern::parse("user:*", "ns").expect("it is a pattern");
                    process.calls_changed(&keys);
                },
                false,
            ),
            ("everything", ProcessState::everything_changed, true),
            ("lost", ProcessState::lost, true),
            (
                "setting",
                |process| {
                    let _state = process.registry.by_hand("user");
                    let off = Override::Enabled(false);
                    let field = (Override::field(off.kind(), "user"), off.write("ada"));
                    assert!(process.overrides(process.overrides_version(), vec![field]));
                },
                false,
            ),
        ];
        for (what, change, stays) in changes {
            let fixture = fixture();
            change(&fixture.process);
            assert_eq!(is_held(&fixture), stays, "{what}");
        }
        let one = fixture();
        assert_eq!(one.process.remove_own("ns:user:1"), 1);
        assert_eq!(one.process.remove_own("ns:user:1"), 0);
        let keys = KeyPattern::parse("user:*", "ns").expect("it is a pattern");
        assert_eq!(fixture().process.remove_own_matching(&keys).entries, 1);

        let one = fixture();
        let current = crate::near_cache::KnownStamp::default();
        current.set(GenerationStamp::of([]));
        let served = || {
            one.process
                .held(true)
                .fresh(one.key.fingerprint(), &current)
        };
        assert!(served().is_some());
        one.process.distrust();
        assert!(served().is_none());
    }

    #[test]
    fn values_that_are_kept_here_only_are_served_in_an_outage_for_as_long_as_copies() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        fixture.process.own = Some(LocalValues::new(|| NearCache::new(10, 10_000, 1_000)));
        let stamp = GenerationStamp::of([]).half();
        let life = Duration::from_secs(60);
        let held = fixture.process.held(true);
        drop(held.keep(&fixture.key, Arc::new(7u32), stamp, life, 10));
        let state = fixture
            .process
            .registry
            .by_hand("user")
            .expect("there is room");
        state.current.set(GenerationStamp::of([]));
        let served = || {
            let held = fixture.process.held(true);
            held.fresh(fixture.key.fingerprint(), &state.current)
                .is_some()
        };
        fixture.process.lost();
        assert!(served());
        fixture.process.reconnected();
        assert!(!served(), "what was changed meanwhile nobody has heard of");
    }

    #[test]
    fn copies_are_served_while_they_are_trusted() {
        let fixture = Fixture::new(Duration::ZERO);
        let leader = fixture.begin();
        let current = crate::near_cache::KnownStamp::default();
        current.set(GenerationStamp::of([]));
        let served = || {
            let copy = fixture
                .process
                .near
                .fresh(fixture.key.fingerprint(), &current);
            copy.is_some()
        };
        assert!(served());
        fixture.process.trust(Duration::ZERO);
        assert!(!served());
        fixture.process.trust(Duration::from_secs(60));
        assert!(served());
        drop(leader);
    }
}
