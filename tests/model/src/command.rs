//! The commands and scripts, as implemented in `cache-runtime/src/backend/redis`.

use crate::caller::{Phase, Reply, Right};
use crate::event::Event;
use crate::link::{Body, Message, Request, Status};
use crate::scope::Scope;
use crate::server::{Entry, Key, Lease, Nonce};
use crate::trap::Trap;
use crate::world::{Id, Version, World, at};

/// One command that the server runs. Its own connection receives the push after the reply.
struct Service<'a> {
    world: &'a mut World,
    scope: &'a Scope,
    link: Id,
    owed: Vec<Key>,
}

impl World {
    /// Runs the next command of a connection, or both commands of a read.
    pub(crate) fn serve(&mut self, scope: &Scope, link: Id) {
        let commands = &self.links[at(link)].up;
        let (first, next) = (commands.first().copied(), commands.get(1).copied());
        self.serve_one(scope, link);
        if let (Some(Request::Generation(c)), Some(Request::Entry(same))) = (first, next)
            && c == same
            && !scope.fine
        {
            self.serve_one(scope, link);
        }
    }

    fn serve_one(&mut self, scope: &Scope, link: Id) {
        let request = self.links[at(link)].up.remove(0);
        let mut service = Service {
            world: self,
            scope,
            link,
            owed: Vec::new(),
        };
        let (reply, completed) = service.run(request);
        let owed = service.owed;
        if let Some(body) = reply {
            // Without pushes, only a reply carries the effect of an invalidation.
            let floor = match scope.tracking {
                true => 0,
                false => self.server.completed,
            };
            self.links[at(link)].down.push(Message { body, floor });
        }
        for key in owed {
            self.links[at(link)].give(Body::Push(key));
        }
        self.hand_over(scope, link);
        if let Some(version) = completed {
            self.server.completed = self.server.completed.max(version);
            for link in self.links.iter_mut().filter(|l| l.status == Status::Up) {
                if scope.tracking {
                    link.promise(version);
                }
            }
        }
    }

    /// Sends a push to all connections that have read `key`.
    pub(crate) fn tell(&mut self, key: Key) {
        for link in &mut self.links {
            if link.tracked.remove(key) {
                link.give(Body::Push(key));
            }
        }
    }
}

impl Service<'_> {
    /// Runs a request. Returns the reply, if any, and the version of an invalidation that is now
    /// complete.
    fn run(&mut self, request: Request) -> (Option<Body>, Option<Version>) {
        let reply = match request {
            Request::Generation(c) => {
                self.reads(Key::Generation);
                Body::Reply(c, Reply::Generation(self.world.server.generation))
            }
            Request::Make(c) => {
                if self.world.server.generation.is_none() {
                    self.change();
                }
                self.reads(Key::Generation);
                Body::Reply(c, Reply::Generation(self.world.server.generation))
            }
            Request::Entry(c) => {
                let variant = self.world.variant(c);
                self.reads(Key::Entry(variant));
                Body::Reply(c, Reply::Entry(self.world.server.entries[at(variant)]))
            }
            Request::Announce(process, caller) => {
                let release = self.world.processes[at(process)].release;
                let was_there = self.world.server.announced[at(release)];
                self.world.server.announced[at(release)] = true;
                self.world.server.restored |= caller.is_none() && !was_there;
                match caller {
                    Some(c) => Body::Reply(c, Reply::Announced),
                    None => return (None, None),
                }
            }
            Request::Variants => {
                Body::Variants(self.world.server.announced, self.world.server.restored)
            }
            Request::Claim {
                caller,
                stamp,
                replace,
                pauses,
            } => Body::Reply(caller, self.claim(caller, stamp, replace, pauses)),
            Request::Holds(c) => {
                self.reads(Key::Lease(self.world.variant(c)));
                Body::Holds(c, self.is_held_by(c))
            }
            Request::Renew(c) => {
                let lease = Key::Lease(self.world.variant(c));
                self.reads(lease);
                let held = self.is_held_by(c);
                if held {
                    self.writes(lease);
                }
                Body::Renewed(c, held)
            }
            Request::Pause(c) => {
                self.pause(c);
                Body::Reply(c, Reply::Filled)
            }
            Request::Fill { caller, entry } => {
                self.fill(caller, entry);
                Body::Reply(caller, Reply::Filled)
            }
            Request::Release(c) => {
                self.release(c);
                return (None, None);
            }
            Request::Remove(key, last) => {
                self.remove(key);
                return match last {
                    true => (Some(Body::Invalidated), self.invalidated()),
                    false => (None, None),
                };
            }
            Request::Change(last) => {
                self.change();
                return match last {
                    true => (Some(Body::Invalidated), self.invalidated()),
                    false => {
                        self.world.happens(Event::Lost);
                        (None, None)
                    }
                };
            }
        };
        (Some(reply), None)
    }

    fn claim(&mut self, caller: Id, stamp: Nonce, replace: Option<Id>, pauses: bool) -> Reply {
        let variant = self.world.variant(caller);
        let lease = Key::Lease(variant);
        self.reads(Key::Entry(variant));
        let stored = self.world.server.entries[at(variant)];
        let stored = stored.filter(|e| e.stamp == stamp && !e.aged);
        if let Some(entry) = stored {
            if !self.scope.falls_for(Trap::LookedOnce) {
                return Reply::Found(entry);
            }
            self.world.again = true;
        }
        if let Some(held) = self.world.server.leases[at(variant)] {
            self.reads(lease);
            if held.is_pause() && pauses && held.stamp == stamp {
                return Reply::Paused;
            }
            if held.is_pause() {
                self.world.happens(Event::PauseTaken);
            } else if held.stamp == stamp {
                return Reply::Held;
            } else if replace != Some(held.token) {
                return Reply::OtherStamp(held.token);
            } else {
                self.world.happens(Event::TakenOver);
            }
            self.world.lose_lease(variant);
        }
        self.world.server.leases[at(variant)] = Some(Lease {
            token: caller,
            stamp,
        });
        self.writes(lease);
        if !self.scope.falls_for(Trap::LeaseUnread) {
            self.reads(lease);
        }
        if matches!(self.world.callers[at(caller)].phase, Phase::Claiming { .. }) {
            self.world.callers[at(caller)].right = Right::Kept;
        }
        if self.world.processes.iter().any(|process| !process.alive) {
            self.world.happens(Event::Succeeded);
        }
        Reply::Granted
    }

    fn fill(&mut self, caller: Id, entry: Entry) {
        let variant = self.world.variant(caller);
        self.reads(Key::Lease(variant));
        let held = self.is_held_by(caller);
        if !held && !self.scope.falls_for(Trap::FillUnchecked) {
            self.world.happens(Event::FillRefused);
            return;
        }
        self.world.server.entries[at(variant)] = Some(entry);
        self.writes(Key::Entry(variant));
        if self.scope.falls_for(Trap::AnnouncedLate) {
            self.world.server.announced[at(variant)] = true;
        }
        if held {
            self.world.server.leases[at(variant)] = None;
            self.writes(Key::Lease(variant));
        }
    }

    fn pause(&mut self, caller: Id) {
        let variant = self.world.variant(caller);
        self.reads(Key::Lease(variant));
        if let Some(held) = self.world.server.leases[at(variant)]
            && held.token == caller
        {
            self.world.server.leases[at(variant)] = Some(Lease::pause(held.stamp));
            self.writes(Key::Lease(variant));
        }
    }

    fn release(&mut self, caller: Id) {
        let variant = self.world.variant(caller);
        self.reads(Key::Lease(variant));
        let anyones = self.scope.falls_for(Trap::ReleaseUnchecked);
        if self.is_held_by(caller) || anyones && self.world.server.leases[at(variant)].is_some() {
            self.world.server.leases[at(variant)] = None;
            self.writes(Key::Lease(variant));
        }
    }

    fn remove(&mut self, key: Key) {
        let there = match key {
            Key::Entry(variant) => self.world.server.entries[at(variant)].take().is_some(),
            Key::Lease(variant) => {
                let there = self.world.server.leases[at(variant)].is_some();
                self.world.lose_lease(variant);
                there
            }
            Key::Generation => false,
        };
        if let Key::Entry(variant) | Key::Lease(variant) = key
            && there
            && variant != self.world.processes[at(self.world.links[at(self.link)].process)].release
        {
            self.world.happens(Event::OtherRemoved);
        }
        // Deleting a key that does not exist causes no push.
        if there {
            self.writes(key);
        }
    }

    fn change(&mut self) {
        let next = self.world.server.next(self.scope);
        self.world.server.generation = Some(next);
        self.writes(Key::Generation);
    }

    fn invalidated(&self) -> Option<Version> {
        let process = self.world.links[at(self.link)].process;
        let invalidation = self.world.processes[at(process)].invalidation;
        invalidation.map(|invalidation| invalidation.version)
    }

    fn is_held_by(&self, caller: Id) -> bool {
        let lease = self.world.server.leases[at(self.world.variant(caller))];
        lease.is_some_and(|lease| lease.token == caller)
    }

    fn reads(&mut self, key: Key) {
        if self.scope.tracking {
            self.world.links[at(self.link)].tracked.insert(key);
        }
    }

    fn writes(&mut self, key: Key) {
        if self.world.links[at(self.link)].tracked.remove(key)
            && !self.scope.falls_for(Trap::NoLoop)
        {
            self.owed.push(key);
        }
        self.world.tell(key);
    }
}
