use crate::caller::{Keeper, Phase, Right};
use crate::event::Event;
use crate::link::{Body, Request, Status};
use crate::scope::Scope;
use crate::server::{Key, Variant};
use crate::trap::Trap;
use crate::world::{Id, World, at};

/// Faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed.
    Crash,
    /// The future of a call is dropped, or panics.
    Cancel,
    /// A connection breaks.
    Disconnect,
    /// The server evicts the entry, or it expires.
    EvictEntry,
    /// The server evicts the lease.
    EvictLease,
    /// The server evicts the generation.
    EvictGeneration,
    /// The server evicts the registry of variants.
    EvictRegistry,
    /// The lease runs out although its holder lives: it was stopped for too long.
    Lapse,
    /// `FLUSHALL`.
    Flush,
}

impl Fault {
    /// All of them.
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
    /// The process is gone, and the server notices. What it had sent is lost or was served before:
    /// nobody can tell which.
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

    /// The future of a call that leads is dropped: its guards release flight and lease.
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

    /// The connection breaks: both queues are lost, and the server forgets whom to tell.
    pub(crate) fn disconnect(&mut self, link: Id) {
        self.links[at(link)].cut();
        self.links[at(link)].status = Status::Broken;
    }

    /// The process notices: nothing read on this connection can be trusted any more.
    pub(crate) fn notice(&mut self, scope: &Scope, link: Id) {
        self.links[at(link)].status = Status::Down;
        if !scope.falls_for(Trap::ReconnectedUnchanged) {
            self.forget_everything(scope, link);
        }
        for c in self.callers_of(link) {
            let caller = &mut self.callers[at(c)];
            if caller.keeper == Keeper::Asking {
                // An error says nothing about the lease.
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
            // It returns an error, and promises nothing but what this process holds.
            self.forget_own(scope, process);
            self.processes[at(process)].invalidation = None;
        }
    }

    /// A new connection takes calls; what began while there was none may have missed something.
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

    /// The server drops a key of its own accord, and tells, except for `deaf`.
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

    /// The server drops the registry, and tells those whose variants were there.
    pub(crate) fn evict_registry(&mut self, scope: &Scope) {
        self.server.announced = Default::default();
        for process in 0..self.processes.len() {
            let steady = at(self.processes[process].first);
            if scope.tracking && self.links[steady].status == Status::Up {
                self.links[steady].give(Body::RegistryLost);
            }
        }
    }

    /// Whoever has the lease may not count on it any more.
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

    /// Returns `true` if nobody renews the lease, so that it will run out.
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
            // Its life is far longer than a round trip, unless the connection is gone.
            Phase::Claiming { .. } | Phase::Filling { .. } => steady.status != Status::Up,
            _ => !self.is_being_released(lease.token),
        }
    }

    /// The lease runs out. With nobody who renews it, it is the holder's own fault.
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
