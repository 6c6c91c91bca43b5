use crate::caller::Keeper;
use crate::caller::Reply;
use crate::fault::Fault;
use crate::link::{Body, Request};
use crate::scope::Scope;
use crate::server::Key;
use crate::trap::Trap;
use crate::world::{Id, World, at};

impl World {
    /// Delivers the replies at the head of the queue without a separate action, unless a
    /// disconnection could lose them. A caller with a reply continues at any later time, so a later
    /// delivery would make no difference.
    pub(crate) fn hand_over(&mut self, scope: &Scope, link: Id) {
        if self.left.faults > 0 && scope.kinds.contains(&Fault::Disconnect) {
            return;
        }
        let is_reply = |body| {
            matches!(
                body,
                Body::Reply(..) | Body::Variants(..) | Body::Invalidated
            )
        };
        while self.links[at(link)]
            .down
            .first()
            .is_some_and(|m| is_reply(m.body))
        {
            self.deliver_one(scope, link);
        }
    }

    pub(crate) fn deliver(&mut self, scope: &Scope, link: Id) {
        self.deliver_one(scope, link);
        self.hand_over(scope, link);
    }

    /// Takes the next message of a connection. A push takes effect at once; a reply goes to its
    /// caller, which continues later.
    fn deliver_one(&mut self, scope: &Scope, link: Id) {
        let message = self.links[at(link)].down.remove(0);
        let process = self.links[at(link)].process;
        match message.body {
            Body::Reply(c, reply) => {
                // From now on, a lost registry makes the process announce its variant again.
                self.processes[at(process)].announced |= reply == Reply::Announced;
                self.callers[at(c)].take(reply);
            }
            Body::Holds(c, held) => self.looked_after(scope, c, held),
            Body::Renewed(c, held) => {
                if !held && self.callers[at(c)].keeper != Keeper::None {
                    self.lose_flight(c);
                }
            }
            Body::Invalidated => {
                if let Some(invalidation) = &mut self.processes[at(process)].invalidation {
                    invalidation.answered = true;
                }
            }
            Body::Variants(announced, restored) => {
                if self.processes[at(process)].invalidation.is_some() {
                    self.remove_all(scope, process, announced, restored);
                }
            }
            Body::Push(Key::Entry(_)) => self.touch(process),
            Body::Push(Key::Lease(_)) => self.notify(scope, link),
            Body::Push(Key::Generation) => self.change_group(scope, link),
            Body::RegistryLost => self.announce_again(scope, process),
            Body::Flush => {
                self.forget_everything(scope, link);
                self.announce_again(scope, process);
            }
        }
        let floor = &mut self.links[at(link)].floor;
        *floor = (*floor).max(message.floor);
    }

    fn announce_again(&mut self, scope: &Scope, process: Id) {
        if scope.varies() && self.processes[at(process)].announced {
            let steady = self.steady(process);
            self.send(steady, Request::Announce(process, None));
        }
    }

    fn looked_after(&mut self, scope: &Scope, c: Id, held: bool) {
        let caller = &mut self.callers[at(c)];
        if caller.keeper != Keeper::Asking {
            return;
        }
        caller.keeper = Keeper::Idle;
        if !held && !scope.falls_for(Trap::InvalidatedJoined) {
            self.lose_flight(c);
        } else if caller.woken {
            self.look_after_lease(c);
        }
    }
}
