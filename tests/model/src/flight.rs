//! The flights of a process, as implemented in `cache-runtime/src/protocol/single_flight`.

use crate::caller::{Aim, Phase};
use crate::event::Event;
use crate::scope::Scope;
use crate::server::Entry;
use crate::trap::Trap;
use crate::world::{Id, Version, World, at};

impl World {
    /// Joins the open flight, or leads a new one.
    pub(crate) fn join(&mut self, scope: &Scope, c: Id) {
        let process = self.callers[at(c)].process;
        let Some(leader) = self.processes[at(process)].flight else {
            self.processes[at(process)].flight = Some(c);
            let aim = match scope.claims_first {
                false => Aim::Read,
                true => Aim::Refresh,
            };
            return self.look(scope, c, aim, 0);
        };
        if let Phase::Filling { version, .. } = self.callers[at(leader)].phase {
            self.happens(Event::JoinedLate);
            self.answer(c, version);
        } else {
            self.callers[at(c)].phase = Phase::Following(leader);
        }
    }

    /// Closes the flight to joiners, and inserts the read entry into the near cache if the flight
    /// was still open and the entry has not changed. Returns `true` if the entry has changed since
    /// the request.
    pub(crate) fn close(&mut self, scope: &Scope, c: Id, entry: Entry) -> bool {
        let process = self.callers[at(c)].process;
        let flying = self.processes[at(process)].flight == Some(c);
        self.leave(c);
        let touched = std::mem::take(&mut self.callers[at(c)].touched);
        let unguarded = scope.falls_for(Trap::KeptUnguarded);
        if scope.tracking && (flying && !touched || unguarded) {
            self.processes[at(process)].near = Some(entry);
            self.processes[at(process)].current = Some(entry.stamp);
        } else {
            self.happens(Event::NotKept);
        }
        touched && !scope.falls_for(Trap::TouchIgnored)
    }

    pub(crate) fn leave(&mut self, c: Id) {
        let flight = &mut self.processes[at(self.callers[at(c)].process)].flight;
        if *flight == Some(c) {
            *flight = None;
        }
    }

    pub(crate) fn land(&mut self, c: Id, version: Version) {
        for follower in 0..self.callers.len() as Id {
            if self.callers[at(follower)].phase == Phase::Following(c) {
                self.happens(Event::Joined);
                self.answer(follower, version);
            }
        }
    }

    pub(crate) fn finish(&mut self, c: Id, version: Version) {
        self.leave(c);
        self.land(c, version);
        self.answer(c, version);
    }
}
