use crate::caller::{Keeper, Phase, Right};
use crate::event::Event;
use crate::link::{Body, Request, Status};
use crate::scope::Scope;
use crate::server::{Key, Variant};
use crate::trap::Trap;
use crate::world::{Id, World, at};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed.
    Crash,
    /// The future of a call is dropped, or panics.
    Cancel,
    /// A connection breaks.
    Disconnect,
    /// The server evicts the entry, or the entry expires.
    EvictEntry,
    /// The server evicts the lease.
    EvictLease,
    /// The server evicts the generation.
    EvictGeneration,
    /// The server evicts the registry of variants.
    EvictRegistry,
    /// The lease expires although its holder lives, because the holder was stopped for too long.
    Lapse,
    /// `FLUSHALL`.
    Flush,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 9] = [
        Self::Crash,
        Self::Cancel,
        Self::Disconnect,
        Self::EvictEntry,
        Self::EvictLease,
        Self::EvictGeneration,
        Self::EvictRegistry,
        Self::Lapse,
        Self::Flush,
    ];
}

impl World {
    /// Ends a process, and the server closes its connections. Requests that were on their way are
    /// lost; a served request is the same as an earlier step.
    pub(crate) fn crash(&mut self, process: Id) {
        let gone = &mut self.processes[at(process)];
        gone.alive = false;
        gone.flight = None;
        gone.near = None;
        gone.current = None;
        gone.invalidation = None;
        for link in self.links.iter_mut().filter(|link| link.process == process) {
            link.cut();
            link.status = Status::Gone;
        }
        for caller in self.callers.iter_mut().filter(|c| c.process == process) {
            caller.end();
        }
    }

    /// Drops the future of a leading call; its guards release the flight and the lease.
    pub(crate) fn cancel(&mut self, c: Id) {
        let caller = &self.callers[at(c)];
        let leased = matches!(
            caller.phase,
            Phase::Computing { stamp: Some(_), .. } | Phase::Filling { .. }
        );
        let landed = matches!(caller.phase, Phase::Filling { .. });
        let process = caller.process;
        self.leave(c);
        self.callers[at(c)].end();
        if !landed {
            for follower in &mut self.callers {
                if follower.phase == Phase::Following(c) {
                    follower.phase = Phase::Abandoned;
                }
            }
        }
        if leased {
            let steady = self.steady(process);
            self.send(steady, Request::Release(c));
        }
    }

    /// Breaks the connection: both queues and the server's tracking table are lost.
    pub(crate) fn disconnect(&mut self, link: Id) {
        self.links[at(link)].cut();
        self.links[at(link)].status = Status::Broken;
    }

    /// Detects the broken connection and drops all state that was read through it.
    pub(crate) fn notice(&mut self, scope: &Scope, link: Id) {
        self.links[at(link)].status = Status::Down;
        if !scope.falls_for(Trap::ReconnectedUnchanged) {
            self.forget_everything(scope, link);
        }
        for c in self.callers_of(link) {
            let caller = &mut self.callers[at(c)];
            if caller.keeper == Keeper::Asking {
                // An error contains no information about the lease.
                caller.keeper = Keeper::Idle;
            }
            caller.cut();
            if caller.is_unanswered() {
                self.fail(scope, c);
            }
        }
        let process = self.links[at(link)].process;
        if self.processes[at(process)]
            .invalidation
            .is_some_and(|invalidation| !invalidation.answered)
        {
            // The invalidation returns an error; its guarantee covers only this process's own
            // state.
            self.forget_own(scope, process);
            self.processes[at(process)].invalidation = None;
        }
    }

    /// Opens a new connection. Flights that began without a connection may have missed a push.
    pub(crate) fn reconnect(&mut self, scope: &Scope, link: Id) {
        let completed = self.server.completed;
        let fresh = &mut self.links[at(link)];
        let process = fresh.process;
        fresh.status = Status::Up;
        if scope.tracking {
            fresh.floor = completed;
        }
        if !scope.falls_for(Trap::ReconnectedUnchanged) {
            self.forget_generation(link);
            self.processes[at(process)].flight = None;
        }
        self.happens(Event::Reconnected);
    }

    /// Evicts a key and pushes that to all connections except `deaf`.
    pub(crate) fn evict(&mut self, key: Key, deaf: Option<Id>) {
        match key {
            Key::Entry(variant) => self.server.entries[at(variant)] = None,
            Key::Generation => self.server.generation = None,
            Key::Lease(variant) => self.lose_lease(variant),
        }
        if let Some(deaf) = deaf {
            self.links[at(deaf)].tracked.remove(key);
        }
        self.tell(key);
    }

    /// Evicts the registry and notifies every process over its background connection.
    pub(crate) fn evict_registry(&mut self, scope: &Scope) {
        self.server.announced = Default::default();
        for process in 0..self.processes.len() {
            let steady = at(self.processes[process].first);
            if scope.tracking && self.links[steady].status == Status::Up {
                self.links[steady].give(Body::RegistryLost);
            }
        }
    }

    /// Removes a lease, so its holder has lost the right to compute.
    pub(crate) fn lose_lease(&mut self, variant: Variant) {
        if let Some(lease) = self.server.leases[at(variant)].take()
            && !lease.is_pause()
        {
            self.callers[at(lease.token)].lose();
        }
    }

    pub(crate) fn flush(&mut self, scope: &Scope) {
        for variant in scope.variants() {
            self.lose_lease(variant);
        }
        self.server.entries = Default::default();
        self.server.announced = Default::default();
        self.server.generation = None;
        for link in 0..self.links.len() {
            self.links[link].tracked = Default::default();
            if scope.tracking && self.links[link].status == Status::Up {
                self.links[link].give(Body::Flush);
            }
        }
    }

    /// Returns `true` if no process renews the lease, so that the lease will expire.
    pub(crate) fn lease_runs_out(&self, scope: &Scope, variant: Variant) -> bool {
        let Some(lease) = self.server.leases[at(variant)] else {
            return false;
        };
        if lease.is_pause() {
            return true;
        }
        let holder = &self.callers[at(lease.token)];
        let steady = &self.links[at(self.steady(holder.process))];
        match holder.phase {
            Phase::Computing { stamp: Some(_), .. } => {
                scope.falls_for(Trap::NeverRenewed) || steady.status != Status::Up
            }
            // A lease lives far longer than a round trip, unless the connection is gone.
            Phase::Claiming { .. } | Phase::Filling { .. } => steady.status != Status::Up,
            _ => !self.is_being_released(lease.token),
        }
    }

    /// Expires the lease. If no process renews it, the loss is the holder's own fault.
    pub(crate) fn expire(&mut self, scope: &Scope, variant: Variant) {
        if scope.falls_for(Trap::NeverRenewed) {
            self.server.leases[at(variant)] = None;
        } else {
            self.lose_lease(variant);
        }
        self.tell(Key::Lease(variant));
    }

    fn is_being_released(&self, token: Id) -> bool {
        let release = Request::Release(token);
        self.links.iter().any(|link| link.up.contains(&release))
    }
}

impl crate::caller::Caller {
    fn lose(&mut self) {
        if self.right == Right::Kept {
            self.right = Right::Lost;
        }
    }
}
