use crate::caller::{Aim, Keeper, Phase, Right};
use crate::event::Event;
use crate::link::{Request, Slot, Status};
use crate::scope::Scope;
use crate::server::{Entry, Key, Nonce, Variant};
use crate::trap::Trap;
use crate::world::{Id, Version, World, at};

/// State that one process shares among its connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) alive: bool,
    /// Release of the process.
    pub(crate) release: Variant,
    /// The process has announced its variant.
    pub(crate) announced: bool,
    /// Connections of the process, the background connection first.
    pub(crate) first: Id,
    pub(crate) links: Id,
    /// Leader of the flight that accepts joiners.
    pub(crate) flight: Option<Id>,
    /// Entry in the near cache.
    pub(crate) near: Option<Entry>,
    /// Stamp that an entry in the near cache must have to be served.
    pub(crate) current: Option<Nonce>,
    pub(crate) invalidation: Option<Invalidation>,
    /// Oldest version that the process's own invalidations allow.
    pub(crate) floor: Version,
}

/// An invalidation in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Invalidation {
    pub(crate) reach: Reach,
    /// Version of the source when the invalidation began.
    pub(crate) version: Version,
    pub(crate) answered: bool,
}

/// Target of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The call.
    Call,
    /// The function, and thereby the call.
    Function,
}

impl Process {
    pub(crate) fn new(first: Id, links: Id, release: Variant) -> Self {
        Self {
            alive: true,
            release,
            announced: false,
            first,
            links,
            flight: None,
            near: None,
            current: None,
            invalidation: None,
            floor: 0,
        }
    }

    /// Connection for requests of async callers.
    pub(crate) fn home(&self) -> Id {
        self.first + self.links - 1
    }
}

impl World {
    /// Changes the source and starts the invalidation.
    pub(crate) fn invalidate(&mut self, scope: &Scope, process: Id, reach: Reach) {
        self.source += 1;
        self.processes[at(process)].invalidation = Some(Invalidation {
            reach,
            version: self.source,
            answered: false,
        });
        let link = self.processes[at(process)].home();
        match reach {
            // First find out which releases have entries of the call.
            Reach::Call if scope.varies() => self.send(link, Request::Variants),
            Reach::Call => self.remove_all(scope, process, [false; 2], false),
            Reach::Function => self.send(link, Request::Change(true)),
        }
    }

    /// Removes the call in the process's own variant and in the announced variants.
    pub(crate) fn remove_all(
        &mut self,
        scope: &Scope,
        process: Id,
        announced: [bool; 2],
        restored: bool,
    ) {
        let Process {
            release,
            announced: has_announced,
            ..
        } = self.processes[at(process)];
        let link = self.processes[at(process)].home();
        let lost = !announced.contains(&true) || has_announced && !announced[at(release)];
        let in_doubt = restored && !scope.falls_for(Trap::RestorationTrusted);
        if scope.varies() && (lost || in_doubt) {
            // The registry was lost and may have listed other variants.
            self.send(link, Request::Change(false));
        }
        let others = scope.variants().filter(|variant| {
            *variant != release && announced[at(*variant)] && !scope.falls_for(Trap::OwnVariantOnly)
        });
        let all: Vec<Variant> = others.chain([release]).collect();
        for (place, variant) in all.iter().enumerate() {
            let keys = match scope.falls_for(Trap::EntryFirst) {
                false => [Key::Lease(*variant), Key::Entry(*variant)],
                true => [Key::Entry(*variant), Key::Lease(*variant)],
            };
            self.send(link, Request::Remove(keys[0], false));
            let last = place + 1 == all.len();
            self.send(link, Request::Remove(keys[1], last));
        }
    }

    /// Drops the process's own near entry after the server's reply, and returns from the
    /// invalidation.
    pub(crate) fn return_invalidation(&mut self, scope: &Scope, process: Id) {
        self.forget_own(scope, process);
        if let Some(invalidation) = self.processes[at(process)].invalidation.take() {
            let floor = &mut self.processes[at(process)].floor;
            *floor = (*floor).max(invalidation.version);
        }
    }

    /// Drops the near entry that the process has invalidated itself, before the push arrives.
    pub(crate) fn forget_own(&mut self, scope: &Scope, process: Id) {
        let Some(invalidation) = self.processes[at(process)].invalidation else {
            return;
        };
        if scope.falls_for(Trap::OwnCopiesForgotten) {
            return;
        }
        if !scope.falls_for(Trap::OwnFlightsForgotten) {
            self.processes[at(process)].flight = None;
        }
        let first = self.processes[at(process)].first;
        for link in first..first + self.processes[at(process)].links {
            match invalidation.reach {
                Reach::Call => self.notify(scope, link),
                Reach::Function => self.forget_generation(link),
            }
        }
        match invalidation.reach {
            Reach::Call => self.processes[at(process)].near = None,
            Reach::Function => self.processes[at(process)].current = None,
        }
    }

    /// Drops the known generation and ignores replies about it that are on their way.
    pub(crate) fn forget_generation(&mut self, link: Id) {
        self.links[at(link)].generation = Slot::Unknown;
        for c in self.callers_of(link) {
            self.callers[at(c)].fetching = false;
        }
    }

    /// Marks the entry as changed, so that callers read it again.
    pub(crate) fn touch(&mut self, process: Id) {
        if let Some(leader) = self.processes[at(process)].flight {
            self.callers[at(leader)].touched = true;
            self.callers[at(leader)].changed = true;
        }
        self.processes[at(process)].near = None;
    }

    /// Drops the state of the group after a change.
    pub(crate) fn change_group(&mut self, scope: &Scope, link: Id) {
        self.forget_generation(link);
        let process = &mut self.processes[at(self.links[at(link)].process)];
        if !scope.falls_for(Trap::InvalidatedJoined) {
            process.flight = None;
        }
        process.current = None;
    }

    pub(crate) fn forget_everything(&mut self, scope: &Scope, link: Id) {
        self.forget_generation(link);
        let process = &mut self.processes[at(self.links[at(link)].process)];
        process.flight = None;
        process.current = None;
        process.near = None;
        self.notify(scope, link);
    }

    /// Wakes the callers that watch the lease on this connection.
    pub(crate) fn notify(&mut self, scope: &Scope, link: Id) {
        for c in self.callers_of(link) {
            let caller = &mut self.callers[at(c)];
            match caller.phase {
                Phase::Waiting { .. } if scope.falls_for(Trap::AllSucceed) => {
                    caller.right = Right::Kept;
                    self.compute(c, None);
                }
                Phase::Waiting { stamp } => self.claim(scope, c, stamp),
                Phase::Claiming { .. } => caller.woken = !scope.falls_for(Trap::DeafUntilAsleep),
                Phase::Looking(looking) => {
                    caller.woken |= matches!(looking.aim, Aim::Compare { .. } | Aim::Refresh);
                }
                _ if caller.keeper != Keeper::None && !scope.falls_for(Trap::LeaseAskedFirst) => {
                    self.leave(c);
                    match self.callers[at(c)].keeper {
                        Keeper::Idle => self.look_after_lease(c),
                        _ => self.callers[at(c)].woken = true,
                    }
                }
                _ => match caller.keeper {
                    Keeper::None => {}
                    Keeper::Idle => self.look_after_lease(c),
                    Keeper::Asking => caller.woken = true,
                    Keeper::Vigil => self.lose_flight(c),
                },
            }
        }
    }

    /// Asks whether the lease is still held: the change was either its renewal or its loss.
    pub(crate) fn look_after_lease(&mut self, c: Id) {
        let caller = &mut self.callers[at(c)];
        caller.woken = false;
        let link = caller.link;
        if matches!(self.links[at(link)].status, Status::Up | Status::Broken) {
            caller.keeper = Keeper::Asking;
            self.send(link, Request::Holds(c));
        }
    }

    /// Closes the flight of `c` because its computation is outdated.
    pub(crate) fn lose_flight(&mut self, c: Id) {
        self.callers[at(c)].keeper = Keeper::None;
        self.callers[at(c)].woken = false;
        let process = self.callers[at(c)].process;
        self.processes[at(process)].flight = None;
        self.happens(Event::LeaseLost);
    }
}
