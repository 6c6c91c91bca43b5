//! The protocol of one call, as implemented in `cache-runtime/src/protocol`.

use crate::caller::{Aim, Keeper, Looking, Phase, Reply, Right};
use crate::event::Event;
use crate::link::{Link, Request, Slot, Status};
use crate::scope::Scope;
use crate::server::{Entry, Nonce, Variant};
use crate::trap::Trap;
use crate::world::{Id, Version, World, at};

impl World {
    /// Makes a call.
    pub(crate) fn call(&mut self, scope: &Scope, c: Id) {
        let process = self.callers[at(c)].process;
        let link = self.callers[at(c)].link;
        if self.links[at(link)].status == Status::Down {
            self.callers[at(c)].link = self.steady(process);
        }
        self.callers[at(c)].least = self.floor(process);
        let Some(copy) = self.processes[at(process)].near else {
            return self.join(scope, c);
        };
        if self.processes[at(process)].current == Some(copy.stamp) {
            self.happens(Event::NearHit);
            self.answer(c, copy.version);
        } else {
            self.join(scope, c);
        }
    }

    /// Continues with the replies that have arrived.
    pub(crate) fn step(&mut self, scope: &Scope, c: Id) {
        match self.callers[at(c)].phase {
            Phase::Abandoned => self.join(scope, c),
            Phase::Looking(looking) => self.looked(scope, c, looking),
            Phase::Found(entry) => {
                if self.close(scope, c, entry) {
                    self.happens(Event::ReadAgain);
                    self.look(scope, c, Aim::ReadAgain, 0);
                } else {
                    self.happens(Event::RedisHit);
                    self.finish(c, entry.version);
                }
            }
            Phase::Announcing { stamp, replace, .. } => {
                self.send_claim(scope, c, stamp, replace);
            }
            Phase::Claiming {
                stamp,
                reply: Some(reply),
            } => self.claimed(scope, c, stamp, reply),
            Phase::Filling { version, .. } => {
                let process = self.callers[at(c)].process;
                self.touch(process);
                self.leave(c);
                self.answer(c, version);
            }
            _ => {}
        }
    }

    /// Requests the entry, if the purpose is to read it, and the generation, unless it is known.
    pub(crate) fn look(&mut self, scope: &Scope, c: Id, aim: Aim, tries: u8) {
        let link = self.callers[at(c)].link;
        if scope.looks > 0 && tries == scope.looks || self.links[at(link)].status == Status::Down {
            return self.fail(scope, c);
        }
        let known = matches!(self.links[at(link)].generation, Slot::Known(_));
        let reads = matches!(aim, Aim::Read | Aim::ReadAgain);
        self.callers[at(c)].phase = Phase::Looking(Looking {
            aim,
            asked: !known,
            generation: None,
            entry: None,
            missing: u8::from(!known) + u8::from(reads),
            tries,
            cut: false,
        });
        if !known {
            if scope.tracking {
                // The token of an earlier request is valid for this one too.
                self.links[at(link)].generation = Slot::Asked;
                self.callers[at(c)].fetching = true;
            }
            self.send(link, Request::Generation(c));
        }
        if reads {
            self.send(link, Request::Entry(c));
        }
    }

    fn looked(&mut self, scope: &Scope, c: Id, looking: Looking) {
        let link = self.callers[at(c)].link;
        if looking.asked && looking.generation.is_none() {
            if looking.cut {
                return self.fail(scope, c);
            }
            let making = Looking {
                missing: 1,
                ..looking
            };
            self.callers[at(c)].phase = Phase::Looking(making);
            return self.send(link, Request::Make(c));
        }
        let Some(stamp) = self.settle(scope, c, looking) else {
            self.happens(Event::Overtaken);
            let tries = looking.tries + u8::from(scope.looks > 0);
            return self.look(scope, c, looking.aim, tries);
        };
        let of_stamp = |entry: &Entry| entry.stamp == stamp || scope.falls_for(Trap::StampIgnored);
        let entry = looking.entry.filter(of_stamp);
        if let Some(old) = entry.filter(|entry| entry.aged) {
            self.callers[at(c)].spare = Some(old.version);
            self.callers[at(c)].changed = self.callers[at(c)].touched;
        }
        match (looking.aim, entry.filter(|entry| !entry.aged)) {
            (Aim::Read, Some(entry)) => {
                self.callers[at(c)].phase = Phase::Found(entry);
                if !scope.fine {
                    self.step(scope, c);
                }
            }
            (Aim::ReadAgain, Some(entry)) => self.finish(c, entry.version),
            (Aim::Compare { stamp: ours, .. }, _) if ours != stamp => {
                self.happens(Event::ClaimBehind);
                self.look(scope, c, Aim::Refresh, 0);
            }
            (Aim::Compare { holder, .. }, _) => self.send_claim(scope, c, stamp, Some(holder)),
            _ => self.claim(scope, c, stamp),
        }
    }

    /// The stamp after all replies have arrived, if it is known.
    fn settle(&mut self, scope: &Scope, c: Id, looking: Looking) -> Option<Nonce> {
        if !scope.tracking {
            return looking.generation;
        }
        let caller = &mut self.callers[at(c)];
        let slot = &mut self.links[at(caller.link)].generation;
        if let Some(generation) = looking.generation {
            let stands = caller.fetching && *slot == Slot::Asked;
            if stands || scope.falls_for(Trap::FetchUnguarded) {
                *slot = Slot::Known(generation);
            }
            caller.fetching = false;
        }
        match *slot {
            Slot::Known(generation) => Some(generation),
            _ => None,
        }
    }

    /// Claims the lease.
    pub(crate) fn claim(&mut self, scope: &Scope, c: Id, stamp: Nonce) {
        self.callers[at(c)].touched = false;
        if !scope.tracking && !scope.falls_for(Trap::WaitingOpen) {
            self.leave(c);
        }
        self.send_claim(scope, c, stamp, None);
    }

    fn send_claim(&mut self, scope: &Scope, c: Id, stamp: Nonce, replace: Option<Id>) {
        let link = self.callers[at(c)].link;
        if self.links[at(link)].status == Status::Down {
            return self.fail(scope, c);
        }
        let process = self.callers[at(c)].process;
        if scope.varies()
            && !self.processes[at(process)].announced
            && !scope.falls_for(Trap::AnnouncedLate)
        {
            self.callers[at(c)].phase = Phase::Announcing {
                stamp,
                replace,
                answered: false,
            };
            return self.send(link, Request::Announce(process, Some(c)));
        }
        self.callers[at(c)].phase = Phase::Claiming { stamp, reply: None };
        let claim = Request::Claim {
            caller: c,
            stamp,
            replace,
            pauses: self.spare(scope, c).is_some(),
        };
        self.send(link, claim);
    }

    /// Value past its ttl that may be served if the caller's computation fails.
    fn spare(&self, scope: &Scope, c: Id) -> Option<Version> {
        let caller = &self.callers[at(c)];
        let stands = !caller.changed && !caller.touched || scope.falls_for(Trap::StandInUnchecked);
        caller.spare.filter(|_| stands)
    }

    fn claimed(&mut self, scope: &Scope, c: Id, stamp: Nonce, reply: Reply) {
        match reply {
            Reply::Granted => {
                if !scope.tracking {
                    self.leave(c);
                }
                self.callers[at(c)].spare = self.spare(scope, c);
                self.compute(c, Some(stamp));
                self.callers[at(c)].keeper = Keeper::Idle;
                if self.callers[at(c)].woken {
                    if !scope.falls_for(Trap::LeaseAskedFirst) {
                        self.leave(c);
                    }
                    self.look_after_lease(c);
                }
            }
            Reply::Found(entry) => {
                if self.close(scope, c, entry) {
                    self.happens(Event::ReadAgain);
                    self.claim(scope, c, stamp);
                } else {
                    self.happens(Event::WaitedAndFound);
                    self.finish(c, entry.version);
                }
            }
            Reply::Paused => match self.spare(scope, c) {
                Some(old) => {
                    self.happens(Event::Paused);
                    self.finish(c, old);
                }
                // The value that was read is no longer stored.
                None => self.claim(scope, c, stamp),
            },
            Reply::OtherStamp(holder) => {
                let link = self.callers[at(c)].link;
                self.forget_generation(link);
                self.look(scope, c, Aim::Compare { stamp, holder }, 0);
            }
            _ if self.callers[at(c)].woken => {
                self.callers[at(c)].woken = false;
                self.claim(scope, c, stamp);
            }
            _ => self.callers[at(c)].phase = Phase::Waiting { stamp },
        }
    }

    /// Begins the computation, which will return the current version of the source.
    pub(crate) fn compute(&mut self, c: Id, stamp: Option<Nonce>) {
        let version = self.source;
        let caller = &mut self.callers[at(c)];
        caller.phase = Phase::Computing { version, stamp };
        if caller.spare.is_none() {
            // The computed value respects all invalidations before the call.
            caller.least = 0;
            caller.touched = false;
        }
    }

    /// Lets the stored entry and the near entries pass their ttl.
    pub(crate) fn age(&mut self, variant: Variant) {
        if let Some(entry) = &mut self.server.entries[at(variant)] {
            entry.aged = true;
        }
        for process in self.processes.iter_mut().filter(|p| p.release == variant) {
            process.near = None;
        }
    }

    /// Fails the computation. A value past its ttl is served if there is one, and a pause replaces
    /// the lease. Otherwise, the joined calls fail too.
    pub(crate) fn failed(&mut self, scope: &Scope, c: Id) {
        let Phase::Computing { stamp, .. } = self.callers[at(c)].phase else {
            return;
        };
        // Calls that joined after a push must not receive a value read before it; nor may new
        // joiners.
        let shares = self.spare(scope, c).is_some();
        if !scope.falls_for(Trap::StandInOpen) {
            self.leave(c);
        }
        self.callers[at(c)].right = Right::None;
        let link = self.callers[at(c)].link;
        let leased = stamp.is_some() && self.links[at(link)].status != Status::Down;
        match self.callers[at(c)].spare {
            Some(version) => {
                self.happens(Event::StoodIn);
                match shares {
                    true => self.land(c, version),
                    false => self.fail_followers(c),
                }
                if leased {
                    self.callers[at(c)].phase = Phase::Filling {
                        version,
                        answered: false,
                    };
                    return self.send(link, Request::Pause(c));
                }
                self.leave(c);
                self.answer(c, version);
            }
            None => {
                self.leave(c);
                self.fail_followers(c);
                self.callers[at(c)].end();
                if leased {
                    self.send(link, Request::Release(c));
                }
            }
        }
    }

    /// Fails the joined calls.
    fn fail_followers(&mut self, c: Id) {
        for follower in &mut self.callers {
            if follower.phase == Phase::Following(c) {
                follower.end();
            }
        }
    }

    /// Ends the computation: the joined calls receive the value, then the value is stored.
    pub(crate) fn computed(&mut self, scope: &Scope, c: Id) {
        let Phase::Computing { version, stamp } = self.callers[at(c)].phase else {
            return;
        };
        self.land(c, version);
        self.callers[at(c)].right = Right::None;
        let link = self.callers[at(c)].link;
        let Some(stamp) = stamp.filter(|_| self.links[at(link)].status != Status::Down) else {
            self.leave(c);
            return self.answer(c, version);
        };
        let stamp = match self.server.generation {
            Some(now) if scope.falls_for(Trap::StampedAfterwards) => now,
            _ => stamp,
        };
        self.callers[at(c)].phase = Phase::Filling {
            version,
            answered: false,
        };
        let fill = Request::Fill {
            caller: c,
            entry: Entry {
                stamp,
                version,
                aged: false,
            },
        };
        self.send(link, fill);
    }

    /// Handles an unreachable server. A call that was storing its value returns it, any other call
    /// computes without a lease. A flight stays open only if no connection is up, since a
    /// reconnection closes it.
    pub(crate) fn fail(&mut self, scope: &Scope, c: Id) {
        if let Phase::Filling { version, .. } = self.callers[at(c)].phase {
            self.leave(c);
            self.answer(c, version);
        } else {
            self.callers[at(c)].right = Right::None;
            self.callers[at(c)].woken = false;
            let process = self.callers[at(c)].process;
            let is_up = |link: &Link| link.process == process && link.status != Status::Down;
            if !scope.falls_for(Trap::CutOffOpen) && self.links.iter().any(is_up) {
                self.leave(c);
            }
            self.compute(c, None);
        }
    }

    /// Lets a waiter compute without the lease; its flight is closed when the lease changes.
    pub(crate) fn give_up(&mut self, c: Id) {
        self.compute(c, None);
        self.callers[at(c)].keeper = Keeper::Vigil;
    }

    pub(crate) fn send(&mut self, link: Id, request: Request) {
        // A broken connection loses the request, and nothing is sent on one that is down.
        if self.links[at(link)].status == Status::Up {
            self.links[at(link)].up.push(request);
        }
    }
}
