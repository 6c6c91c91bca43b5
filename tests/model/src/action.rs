use crate::caller::Phase;
use crate::fault::Fault;
use crate::link::Status;
use crate::process::Process;
use crate::process::Reach;
use crate::scope::Scope;
use crate::server::{Key, Variant};
use crate::trap::Trap;
use crate::world::{Id, World, at};

/// The next step. The numbers identify processes, connections and callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call is made.
    Call(Id),
    /// A caller continues with the replies that have arrived.
    Step(Id),
    /// A computation ends.
    Computed(Id),
    /// A waiter tries again because the server sends no pushes.
    Poll(Id),
    /// A waiter stops waiting for the lease.
    GiveUp(Id),
    /// A holder renews its lease.
    Renew(Id),
    /// The source changes, and a process starts an invalidation.
    Invalidate(Id, Reach),
    /// The invalidation of a process returns.
    Return(Id),
    /// The server runs the next command of a connection.
    Serve(Id),
    /// The reader of a connection takes the next message.
    Deliver(Id),
    /// A pause expires, or a lease that its holder does not renew.
    Expire(Variant),
    /// The stored entry and all near entries of it pass their ttl.
    Age(Variant),
    /// A computation fails.
    Fail(Id),
    /// A process detects that a connection is broken.
    Notice(Id),
    /// A connection is established again.
    Reconnect(Id),
    /// A process dies.
    Crash(Id),
    /// A leading call is dropped.
    Cancel(Id),
    /// A connection breaks.
    Disconnect(Id),
    /// The server evicts a stored entry.
    EvictEntry(Variant),
    /// The server evicts a lease.
    EvictLease(Variant),
    /// The server evicts the generation.
    EvictGeneration,
    /// The server evicts an entry while it runs a command of this connection.
    EvictDuring(Id),
    /// The lease of a stopped holder expires.
    Lapse(Variant),
    /// The server removes all keys.
    Flush,
    /// The server evicts the registry of variants.
    EvictRegistry,
}

impl World {
    pub(crate) fn actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if self.is_over() || self.stale || self.again {
            return;
        }
        self.progress(scope, actions);
        let mut before = Phase::Done;
        for (c, caller) in (0..).zip(&self.callers) {
            let first = c == 0 || self.callers[at(c) - 1].process != caller.process;
            // Calls of one process are equivalent, so only their order by number is explored.
            if caller.phase == Phase::Idle
                && (first || before != Phase::Idle)
                && self.processes[at(caller.process)].alive
            {
                actions.push(Action::Call(c));
            }
            before = caller.phase;
            match caller.phase {
                Phase::Waiting { .. } if self.left.impatience > 0 => {
                    actions.push(Action::GiveUp(c));
                }
                Phase::Computing { stamp: Some(_), .. } if self.left.renewals > 0 => {
                    actions.push(Action::Renew(c));
                }
                _ => {}
            }
            if matches!(caller.phase, Phase::Computing { .. }) && self.left.failures > 0 {
                actions.push(Action::Fail(c));
            }
        }
        for variant in scope.variants() {
            let entry = self.server.entries[at(variant)];
            if self.left.ages > 0 && entry.is_some_and(|entry| !entry.aged) {
                actions.push(Action::Age(variant));
            }
        }
        for (p, process) in (0..).zip(&self.processes) {
            let up = self.links[at(process.home())].status == Status::Up;
            if !up || process.invalidation.is_some() {
                continue;
            }
            if self.left.removals > 0 {
                actions.push(Action::Invalidate(p, Reach::Call));
            }
            if self.left.changes > 0 {
                actions.push(Action::Invalidate(p, Reach::Function));
            }
        }
        if self.left.faults > 0 {
            for fault in &scope.kinds {
                self.faults(scope, *fault, actions);
            }
        }
    }

    /// Adds the steps that always happen sooner or later.
    pub(crate) fn progress(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (c, caller) in (0..).zip(&self.callers) {
            match caller.phase {
                _ if caller.is_ready() => actions.push(Action::Step(c)),
                Phase::Computing { .. } => actions.push(Action::Computed(c)),
                Phase::Waiting { .. } if !scope.tracking => actions.push(Action::Poll(c)),
                _ => {}
            }
        }
        for (l, link) in (0..).zip(&self.links) {
            if !link.up.is_empty() {
                actions.push(Action::Serve(l));
            }
            if !link.down.is_empty() {
                actions.push(Action::Deliver(l));
            }
            match link.status {
                Status::Broken => actions.push(Action::Notice(l)),
                Status::Down => actions.push(Action::Reconnect(l)),
                Status::Up | Status::Gone => {}
            }
        }
        for (p, process) in (0..).zip(&self.processes) {
            if process.invalidation.is_some_and(|i| i.answered) {
                actions.push(Action::Return(p));
            }
        }
        for variant in scope.variants() {
            if self.lease_runs_out(scope, variant) {
                actions.push(Action::Expire(variant));
            }
        }
    }

    fn faults(&self, scope: &Scope, fault: Fault, actions: &mut Vec<Action>) {
        let leads = |phase| {
            !matches!(
                phase,
                Phase::Idle | Phase::Done | Phase::Following(_) | Phase::Abandoned
            )
        };
        let server = &self.server;
        match fault {
            Fault::Crash => actions.extend(
                (0..)
                    .zip(&self.processes)
                    .filter(|(p, process)| process.alive && !self.is_done(*p))
                    .map(|(p, _)| Action::Crash(p)),
            ),
            Fault::Cancel => actions.extend(
                (0..)
                    .zip(&self.callers)
                    .filter(|(_, caller)| leads(caller.phase))
                    .map(|(c, _)| Action::Cancel(c)),
            ),
            Fault::Disconnect => actions.extend(
                (0..)
                    .zip(&self.links)
                    .filter(|(_, link)| link.status == Status::Up && !self.is_done(link.process))
                    .map(|(l, _)| Action::Disconnect(l)),
            ),
            Fault::EvictEntry => {
                let there = |v: &Variant| server.entries[at(*v)].is_some();
                let there: Vec<Variant> = scope.variants().filter(there).collect();
                if there.is_empty() {
                    return;
                }
                actions.extend(there.into_iter().map(Action::EvictEntry));
                if scope.falls_for(Trap::NoLoop) {
                    // The command may belong to another call.
                    actions.extend((0..).zip(&self.links).map(|(l, _)| Action::EvictDuring(l)));
                }
            }
            Fault::EvictLease => actions.extend(self.leased(scope).map(Action::EvictLease)),
            Fault::EvictGeneration if server.generation.is_some() => {
                actions.push(Action::EvictGeneration);
            }
            Fault::Lapse => actions.extend(self.leased(scope).map(Action::Lapse)),
            Fault::Flush => actions.push(Action::Flush),
            // All variants must be announced: a process that announces its variant for the first
            // time cannot distinguish a lost registry from a new one.
            Fault::EvictRegistry if scope.varies() && self.all_are_announced() => {
                actions.push(Action::EvictRegistry);
            }
            _ => {}
        }
    }

    fn all_are_announced(&self) -> bool {
        let known = |process: &Process| self.server.announced[at(process.release)];
        self.processes.iter().all(known)
    }

    fn leased(&self, scope: &Scope) -> impl Iterator<Item = Variant> {
        let leases = self.server.leases;
        let there = move |v: &Variant| leases[at(*v)].is_some();
        scope.variants().filter(there)
    }

    pub(crate) fn act(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Call(c) => self.call(scope, c),
            Action::Step(c) => self.step(scope, c),
            Action::Computed(c) => self.computed(scope, c),
            Action::Poll(c) => {
                if let Phase::Waiting { stamp } = self.callers[at(c)].phase {
                    self.claim(scope, c, stamp);
                }
            }
            Action::GiveUp(c) => {
                self.left.impatience -= 1;
                self.give_up(c);
            }
            Action::Renew(c) => {
                self.left.renewals -= 1;
                let steady = self.steady(self.callers[at(c)].process);
                self.send(steady, crate::link::Request::Renew(c));
            }
            Action::Invalidate(p, reach) => {
                match reach {
                    Reach::Call => self.left.removals -= 1,
                    Reach::Function => self.left.changes -= 1,
                }
                self.invalidate(scope, p, reach);
            }
            Action::Return(p) => self.return_invalidation(scope, p),
            Action::Serve(l) => self.serve(scope, l),
            Action::Deliver(l) => self.deliver(scope, l),
            Action::Expire(variant) => self.expire(scope, variant),
            Action::Age(variant) => {
                self.left.ages -= 1;
                self.age(variant);
            }
            Action::Fail(c) => {
                self.left.failures -= 1;
                self.failed(scope, c);
            }
            Action::Notice(l) => self.notice(scope, l),
            Action::Reconnect(l) => self.reconnect(scope, l),
            fault => {
                self.left.faults -= 1;
                self.go_wrong(scope, fault);
            }
        }
        self.tidy();
    }

    fn go_wrong(&mut self, scope: &Scope, fault: Action) {
        match fault {
            Action::Crash(p) => self.crash(p),
            Action::Cancel(c) => self.cancel(c),
            Action::Disconnect(l) => self.disconnect(l),
            Action::EvictEntry(variant) => self.evict(Key::Entry(variant), None),
            Action::EvictLease(variant) | Action::Lapse(variant) => {
                self.evict(Key::Lease(variant), None);
            }
            Action::EvictGeneration => self.evict(Key::Generation, None),
            Action::EvictDuring(l) => self.evict(Key::Entry(0), Some(l)),
            Action::Flush => self.flush(scope),
            Action::EvictRegistry => self.evict_registry(scope),
            _ => {}
        }
    }
}
