use crate::server::{Entry, Nonce};
use crate::world::{Id, Version};

/// One call of the function. Each call is made once, so its number is also its lease token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) process: Id,
    pub(crate) link: Id,
    pub(crate) phase: Phase,
    /// Oldest version that the call may return, fixed by the guarantees at the time of the call.
    pub(crate) least: Version,
    /// A push about the entry has arrived during the flight.
    pub(crate) touched: bool,
    /// Like `touched`, but since the read of the value past its ttl.
    pub(crate) changed: bool,
    /// A value past its ttl that is served if the computation fails.
    pub(crate) spare: Option<Version>,
    /// The watch has seen a change of the lease since the last check.
    pub(crate) woken: bool,
    /// The token of the request for the generation is still valid.
    pub(crate) fetching: bool,
    pub(crate) keeper: Keeper,
    pub(crate) right: Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// Waits for the flight of another call.
    Following(Id),
    /// The flight that the call waited for was abandoned.
    Abandoned,
    Looking(Looking),
    /// Has read an entry with the right stamp.
    Found(Entry),
    /// Announces the variant to the registry before the claim.
    Announcing {
        stamp: Nonce,
        replace: Option<Id>,
        answered: bool,
    },
    Claiming {
        stamp: Nonce,
        reply: Option<Reply>,
    },
    /// Waits while another call holds the lease.
    Waiting {
        stamp: Nonce,
    },
    /// Computes, under a lease of this stamp or without a lease.
    Computing {
        version: Version,
        stamp: Option<Nonce>,
    },
    /// The flight has returned the value, and the value is being stored.
    Filling {
        version: Version,
        answered: bool,
    },
    Done,
}

/// A read of the entry and the generation in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Looking {
    pub(crate) aim: Aim,
    /// The generation was unknown and has been requested.
    pub(crate) asked: bool,
    pub(crate) generation: Option<Nonce>,
    pub(crate) entry: Option<Entry>,
    /// Number of outstanding replies.
    pub(crate) missing: u8,
    /// Number of repetitions; counted only if the scope limits them.
    pub(crate) tries: u8,
    /// The connection of this read was replaced.
    pub(crate) cut: bool,
}

/// Purpose of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Aim {
    Read,
    /// Repeats a read after a change. The flight is closed to joiners.
    ReadAgain,
    /// Reads the generation to find out which is outdated: this claim, or the holder of a lease
    /// with another stamp.
    Compare {
        stamp: Nonce,
        holder: Id,
    },
    /// Reads the current generation to claim with its stamp.
    Refresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Generation(Option<Nonce>),
    Entry(Option<Entry>),
    Granted,
    Found(Entry),
    Held,
    /// Held by this caller for another stamp.
    OtherStamp(Id),
    /// The last refresh failed recently.
    Paused,
    Announced,
    Filled,
}

/// The task that watches for changes while a call computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keeper {
    None,
    Idle,
    /// Has asked whether the call still holds the lease.
    Asking,
    /// The call holds no lease; the task closes the flight at the first change.
    Vigil,
}

/// The right to compute from the server's point of view. The protocol does not use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    None,
    /// The lease was granted and not legitimately taken away since.
    Kept,
    /// The lease is gone: evicted, expired, invalidated, or replaced by a newer generation.
    Lost,
}

impl Caller {
    pub(crate) fn new(process: Id, link: Id) -> Self {
        Self {
            process,
            link,
            phase: Phase::Idle,
            least: 0,
            touched: false,
            changed: false,
            spare: None,
            woken: false,
            fetching: false,
            keeper: Keeper::None,
            right: Right::None,
        }
    }

    /// Ends the call and resets its state.
    pub(crate) fn end(&mut self) {
        *self = Self {
            phase: Phase::Done,
            ..Self::new(self.process, self.link)
        };
    }

    /// Returns `true` if the call waits for a reply.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self.phase {
            Phase::Looking(looking) => looking.missing > 0,
            Phase::Claiming { reply, .. } => reply.is_none(),
            Phase::Filling { answered, .. } | Phase::Announcing { answered, .. } => !answered,
            _ => false,
        }
    }

    /// Returns `true` if the call can continue.
    pub(crate) fn is_ready(&self) -> bool {
        match self.phase {
            Phase::Found(_) | Phase::Abandoned => true,
            Phase::Looking(_)
            | Phase::Announcing { .. }
            | Phase::Claiming { .. }
            | Phase::Filling { .. } => !self.is_unanswered(),
            _ => false,
        }
    }

    /// Records that the connection was replaced, so no more replies arrive from it.
    pub(crate) fn cut(&mut self) {
        if let Phase::Looking(looking) = &mut self.phase {
            looking.cut = true;
        }
    }

    pub(crate) fn take(&mut self, reply: Reply) {
        match (&mut self.phase, reply) {
            (Phase::Looking(looking), Reply::Generation(generation)) => {
                looking.generation = generation;
                looking.missing -= 1;
            }
            (Phase::Looking(looking), Reply::Entry(entry)) => {
                looking.entry = entry;
                looking.missing -= 1;
            }
            (Phase::Filling { answered, .. }, Reply::Filled)
            | (Phase::Announcing { answered, .. }, Reply::Announced) => *answered = true,
            (Phase::Claiming { reply: slot, .. }, reply) => *slot = Some(reply),
            // The call was cancelled in the meantime.
            _ => {}
        }
    }
}
