use crate::caller::Phase;
use crate::fault::Fault;
use crate::link::Status;
use crate::process::Process;
use crate::process::Reach;
use crate::scope::Scope;
use crate::server::{Key, Variant};
use crate::trap::Trap;
use crate::world::{Id, World, at};

/// The next step. Numbers are those of processes, connections and callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call is made.
    Call(Id),
    /// A caller goes on with what has arrived for it.
    Step(Id),
    /// A computation ends.
    Computed(Id),
    /// A waiter looks again, because nothing would wake it.
    Poll(Id),
    /// A waiter loses its patience.
    GiveUp(Id),
    /// A holder renews its lease.
    Renew(Id),
    /// The source changes, and a process invalidates.
    Invalidate(Id, Reach),
    /// The invalidation of a process returns.
    Return(Id),
    /// The server runs the next command of a link.
    Serve(Id),
    /// A link's reader takes the next message.
    Deliver(Id),
    /// The lease of someone who does not renew it runs out, or a pause.
    Expire(Variant),
    /// The stored entry is past its ttl, and so is every copy.
    Age(Variant),
    /// A computation fails.
    Fail(Id),
    /// A process notices that a link is broken.
    Notice(Id),
    /// A link is connected again.
    Reconnect(Id),
    /// A process dies.
    Crash(Id),
    /// A call that leads is dropped.
    Cancel(Id),
    /// A link breaks.
    Disconnect(Id),
    /// A stored entry goes.
    EvictEntry(Variant),
    /// A lease goes.
    EvictLease(Variant),
    /// A generation goes.
    EvictGeneration,
    /// An entry goes while a command of this link runs.
    EvictDuring(Id),
    /// The lease of a holder that was stopped runs out.
    Lapse(Variant),
    /// Everything goes.
    Flush,
    /// The server drops the registry of variants.
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
            // Calls of one process are alike: they come in order.
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

    /// Steps that happen by themselves, sooner or later.
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
                    // Be it a command of another call.
                    actions.extend((0..).zip(&self.links).map(|(l, _)| Action::EvictDuring(l)));
                }
            }
            Fault::EvictLease => actions.extend(self.leased(scope).map(Action::EvictLease)),
            Fault::EvictGeneration if server.generation.is_some() => {
                actions.push(Action::EvictGeneration);
            }
            Fault::Lapse => actions.extend(self.leased(scope).map(Action::Lapse)),
            Fault::Flush => actions.push(Action::Flush),
            // Who announces its variant for the first time just then has no way to tell a registry
            // that was lost from one that is new.
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
