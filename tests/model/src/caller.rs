use crate::server::{Entry, Nonce};
use crate::world::{Id, Version};

/// One call of the function. It is made once, so that its number serves as its token too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) process: Id,
    pub(crate) link: Id,
    pub(crate) phase: Phase,
    /// The oldest version that it may be answered with: what was promised when it was made.
    pub(crate) least: Version,
    /// Its flight was touched by a push.
    pub(crate) touched: bool,
    /// As `touched`, since it read what may stand in.
    pub(crate) changed: bool,
    /// A value past its ttl, which stands in for a failure.
    pub(crate) spare: Option<Version>,
    /// Its watch has seen a change of the lease since the last look.
    pub(crate) woken: bool,
    /// The token under which it asked for the generation still stands.
    pub(crate) fetching: bool,
    pub(crate) keeper: Keeper,
    pub(crate) right: Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// It waits for the flight of another.
    Following(Id),
    /// The flight that it waited for was abandoned.
    Abandoned,
    Looking(Looking),
    /// It has read an entry of the right stamp.
    Found(Entry),
    /// It tells the registry of its variant, to claim then.
    Announcing {
        stamp: Nonce,
        replace: Option<Id>,
        answered: bool,
    },
    Claiming {
        stamp: Nonce,
        reply: Option<Reply>,
    },
    /// Another holds the lease.
    Waiting {
        stamp: Nonce,
    },
    /// Under a lease of this stamp, or without one.
    Computing {
        version: Version,
        stamp: Option<Nonce>,
    },
    /// Its flight has landed, and the value is being stored.
    Filling {
        version: Version,
        answered: bool,
    },
    Done,
}

/// A read of entry and generations under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Looking {
    pub(crate) aim: Aim,
    /// The generation was not known and has been asked for.
    pub(crate) asked: bool,
    pub(crate) generation: Option<Nonce>,
    pub(crate) entry: Option<Entry>,
    /// Replies that have not come yet.
    pub(crate) missing: u8,
    /// How often it was repeated, where that is counted.
    pub(crate) tries: u8,
    /// Its connection is not the link's any more.
    pub(crate) cut: bool,
}

/// Purpose of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Aim {
    Read,
    /// As what was read has changed, and nobody joins any more.
    ReadAgain,
    /// To see who is behind: this claim, or the holder of a lease of another stamp.
    Compare {
        stamp: Nonce,
        holder: Id,
    },
    /// To claim with the stamp of today.
    Refresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Generation(Option<Nonce>),
    Entry(Option<Entry>),
    Granted,
    Found(Entry),
    Held,
    /// Held by this caller, for another stamp.
    OtherStamp(Id),
    /// The last refresh has failed just now.
    Paused,
    Announced,
    Filled,
}

/// The task that listens for changes while a call computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keeper {
    None,
    Idle,
    /// It has asked whether the lease is still ours.
    Asking,
    /// There is no lease of ours: it ends the flight at the first change.
    Vigil,
}

/// The server's view of a computation. Nothing in the protocol knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    None,
    /// It has been granted the lease, and nothing has taken it away that may.
    Kept,
    /// The lease is gone: evicted, lapsed, invalidated, or replaced by a newer generation.
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

    /// Nothing of it matters any more.
    pub(crate) fn end(&mut self) {
        *self = Self {
            phase: Phase::Done,
            ..Self::new(self.process, self.link)
        };
    }

    /// Returns `true` if it waits for a reply.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self.phase {
            Phase::Looking(looking) => looking.missing > 0,
            Phase::Claiming { reply, .. } => reply.is_none(),
            Phase::Filling { answered, .. } | Phase::Announcing { answered, .. } => !answered,
            _ => false,
        }
    }

    /// Returns `true` if it has something to go on with.
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

    /// Its connection was replaced: what it holds already is all it gets from there.
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
            // It was cancelled meanwhile.
            _ => {}
        }
    }
}
