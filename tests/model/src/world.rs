use crate::caller::{Caller, Phase};
use crate::event::Event;
use crate::link::{Body, Link, Request, Slot, Status};
use crate::process::Process;
use crate::scope::Scope;
use crate::server::{Keys, Server, Variant};

/// Number of a process, a connection or a caller.
pub type Id = u8;

/// Return value of the function, which grows with each change of its source.
pub(crate) type Version = u8;

pub(crate) fn at(id: Id) -> usize {
    usize::from(id)
}

/// The complete state at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Version that a computation started now would return.
    pub(crate) source: Version,
    pub(crate) server: Server,
    pub(crate) links: Vec<Link>,
    pub(crate) processes: Vec<Process>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) left: Left,
    /// G1 is violated: a call returned a value older than an invalidation before the call.
    pub(crate) stale: bool,
    /// G3 is violated: a lease was granted although a valid entry is stored.
    pub(crate) again: bool,
    /// Events of the current action as bits, which the model takes out again.
    pub(crate) events: u32,
}

/// Remaining number of occurrences of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) removals: u8,
    pub(crate) changes: u8,
    pub(crate) renewals: u8,
    pub(crate) impatience: u8,
    pub(crate) faults: u8,
    pub(crate) ages: u8,
    pub(crate) failures: u8,
}

impl World {
    pub(crate) fn new(scope: &Scope) -> Self {
        let mut world = Self {
            source: 0,
            server: Server::new(scope.empty),
            links: Vec::new(),
            processes: Vec::new(),
            callers: Vec::new(),
            left: Left {
                removals: scope.removals,
                changes: scope.changes,
                renewals: scope.renewals,
                impatience: scope.impatience,
                faults: scope.faults,
                ages: scope.ages,
                failures: scope.failures,
            },
            stale: false,
            again: false,
            events: 0,
        };
        for (process, calls) in (0..).zip(&scope.calls) {
            let first = world.links.len() as Id;
            for _ in 0..scope.links {
                world.links.push(Link::new(process));
            }
            let release = scope.releases.get(at(process)).copied().unwrap_or_default();
            world
                .processes
                .push(Process::new(first, scope.links, release));
            for call in 0..*calls {
                // Calls alternate between the background connection, which blocking calls use, and
                // the runtime connection.
                let link = first + call % scope.links;
                world.callers.push(Caller::new(process, link));
            }
        }
        world
    }

    pub(crate) fn happens(&mut self, event: Event) {
        self.events |= event.bit();
    }

    /// Oldest version that a call made now in `process` may return. It follows from the process's
    /// own invalidations and from the pushes on all of its connections.
    pub(crate) fn floor(&self, process: Id) -> Version {
        let links = || self.links.iter().filter(|link| link.process == process);
        let least = |link: &Link| link.floor;
        // A connection that is known to be down is not used for reads and is left out.
        let told = links().filter(|link| link.status != Status::Down);
        let told = told.map(least).min().or_else(|| links().map(least).min());
        let told = told.unwrap_or_default();
        told.max(self.processes[at(process)].floor)
    }

    pub(crate) fn answer(&mut self, c: Id, version: Version) {
        let caller = &mut self.callers[at(c)];
        self.stale |= version < caller.least;
        caller.end();
    }

    /// Variant of the release that makes this call.
    pub(crate) fn variant(&self, c: Id) -> Variant {
        self.processes[at(self.callers[at(c)].process)].release
    }

    /// Background connection, which renews and releases leases.
    pub(crate) fn steady(&self, process: Id) -> Id {
        self.processes[at(process)].first
    }

    pub(crate) fn callers_of(&self, link: Id) -> Vec<Id> {
        let all = (0..).zip(&self.callers);
        all.filter(|(_, caller)| caller.link == link)
            .map(|(c, _)| c)
            .collect()
    }

    /// Returns `true` if all calls of a process are done or died with it.
    pub(crate) fn is_done(&self, process: Id) -> bool {
        let mut calls = self.callers.iter().filter(|c| c.process == process);
        calls.all(|caller| caller.phase == Phase::Done)
    }

    /// Clears state that can no longer make a difference, so that equivalent worlds are equal.
    pub(crate) fn tidy(&mut self) {
        for process in 0..self.processes.len() as Id {
            if !self.is_done(process) {
                continue;
            }
            let done = &mut self.processes[at(process)];
            if done.invalidation.is_some_and(|i| i.answered) {
                done.invalidation = None;
            }
            done.flight = None;
            done.near = None;
            done.current = None;
            done.floor = 0;
            for link in self.links.iter_mut().filter(|l| l.process == process) {
                link.up.retain(Request::changes_something);
                link.down
                    .retain(|message| message.body == Body::Invalidated);
                link.tracked = Keys::default();
                link.generation = Slot::Unknown;
                link.floor = 0;
            }
        }
        for link in &mut self.links {
            // The process's own invalidation already gives the same guarantee as this push.
            if link.floor <= self.processes[at(link.process)].floor {
                link.floor = 0;
            }
        }
    }

    /// Returns `true` if no further step can violate a guarantee: all calls are done, and no fill
    /// is on its way.
    pub(crate) fn is_over(&self) -> bool {
        let is_fill = |request: &Request| matches!(request, Request::Fill { .. });
        self.callers.iter().all(|c| c.phase == Phase::Done)
            && !self.links.iter().any(|link| link.up.iter().any(is_fill))
    }
}
