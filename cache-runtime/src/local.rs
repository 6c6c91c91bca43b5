use std::sync::Arc;

use std::time::Duration;

use crate::event::{Event, Observer};
use crate::flight::Flights;
use crate::function::Registry;
use crate::group::is_tag;
use crate::near::Near;
use crate::pattern::KeyPattern;
use crate::seal::Seals;
use crate::store::Listener;

/// What this process holds of the cache. An invalidation, ours or another's, reaches all of it.
///
/// Flights first, always: a leader keeps what it has read only while its flight still takes
/// joiners, so that once the flights are retired nothing older comes in behind the broom.
pub(crate) struct Local {
    pub(crate) flights: Arc<Flights>,
    pub(crate) near: Arc<Near>,
    pub(crate) registry: Registry,
    /// What vouches for the copies of calls with tags.
    pub(crate) seals: Seals,
    pub(crate) observer: Observer,
    /// How long copies are served after the connection that vouched for them was lost.
    pub(crate) near_in_outage: Duration,
}

impl Local {
    /// Brings what is set at run time into force.
    pub(crate) fn settings_changed(&self) {
        for state in self.registry.apply_rules() {
            let group = state.own_group();
            self.flights
                .retire_where(|_, groups| groups.iter().any(|of| of.key() == group.key()));
            state.current.forget();
            self.near.remove_of(&state.name);
        }
    }
}

impl Listener for Local {
    fn call_changed(&self, key: &str) {
        self.flights.touch(key);
        self.near.remove(key);
    }

    fn lease_changed(&self, key: &str) {
        // Ours may have been taken from us: who comes now must not be given what was begun
        // before. One that was only renewed costs them a look at the store.
        self.flights.retire_text(key);
    }

    fn calls_changed(&self, pattern: &KeyPattern) {
        self.flights.retire_where(|key, _| pattern.matches(key));
        self.near.remove_matching(pattern);
    }

    fn group_changed(&self, group: &str) {
        self.flights
            .retire_where(|_, groups| groups.iter().any(|of| of.key() == group));
        self.seals.break_of(group);
        if !is_tag(group) {
            self.registry.forget(group);
        }
    }

    fn everything_changed(&self) {
        self.flights.retire_where(|_, _| true);
        self.seals.break_all();
        self.registry.forget_all();
        self.near.clear();
    }

    fn lost(&self) {
        if self.near_in_outage.is_zero() {
            return self.everything_changed();
        }
        self.flights.retire_where(|_, _| true);
        self.near.drift(self.near_in_outage);
    }

    fn found(&self) {
        if self.near.land() {
            self.everything_changed();
        }
    }

    fn gap(&self) {
        self.flights.retire_where(|_, _| true);
    }

    fn settings_told(&self) -> u64 {
        self.registry.rules().told()
    }

    fn settings(&self, told: u64, fields: Vec<(String, String)>) -> bool {
        let believed = self.registry.rules().replace_fleet(told, fields);
        if believed {
            self.settings_changed();
        }
        believed
    }

    fn pushes(&self, pushes: bool) {
        if self.near.switch(!pushes) {
            self.observer.tell(&match pushes {
                true => Event::NearOn,
                false => Event::NearOff,
            });
        }
    }
}
