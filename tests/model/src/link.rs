use crate::caller::Reply;
use crate::server::{Entry, Key, Keys, Nonce};
use crate::world::{Id, Version};

/// One connection of a process, and what the process knows through it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    pub(crate) process: Id,
    pub(crate) status: Status,
    /// Requests on their way to the server.
    pub(crate) up: Vec<Request>,
    /// Replies and pushes on their way to the process.
    pub(crate) down: Vec<Message>,
    /// Keys that the server tracks for this connection.
    pub(crate) tracked: Keys,
    /// The group's generation as the process knows it.
    pub(crate) generation: Slot,
    /// The oldest value that the arrived pushes allow.
    pub(crate) floor: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Up,
    /// Broken, and the process has not noticed.
    Broken,
    Down,
    /// Its process is gone.
    Gone,
}

/// A place in the table of generations. Whoever asks keeps whether the token still stands, since
/// there is at most one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Unknown,
    Asked,
    Known(Nonce),
}

/// One command, or one script. Only those are atomic, not the pipelines that they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Generation(Id),
    Make(Id),
    Entry(Id),
    Claim {
        caller: Id,
        stamp: Nonce,
        /// The holder whose lease may be replaced.
        replace: Option<Id>,
        /// `true` if it waits out a pause, because it has something to serve.
        pauses: bool,
    },
    /// Announces the variant of this caller's process; nobody's, if it is announced again.
    Announce(Id, Option<Id>),
    /// Asks which variants are announced.
    Variants,
    /// Leaves a pause in place of the caller's lease.
    Pause(Id),
    Holds(Id),
    Renew(Id),
    Fill {
        caller: Id,
        entry: Entry,
    },
    Release(Id),
    /// Part of an invalidation by this process; whether it is the last.
    Remove(Key, bool),
    /// Part of an invalidation likewise.
    Change(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) body: Body,
    /// The newest invalidation that had happened when this was sent, or before anything else was.
    pub(crate) floor: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Reply(Id, Reply),
    /// `true` if the lease is the caller's: to the one who listens, or to the one who renews.
    Holds(Id, bool),
    Renewed(Id, bool),
    /// The request of an invalidation.
    Variants([bool; 2], bool),
    /// The process's invalidation is done.
    Invalidated,
    Push(Key),
    Flush,
    /// The registry is gone.
    RegistryLost,
}

impl Request {
    /// Returns `true` if it matters to anybody but the one who asks.
    pub(crate) fn changes_something(&self) -> bool {
        !matches!(
            self,
            Self::Generation(_)
                | Self::Entry(_)
                | Self::Holds(_)
                | Self::Renew(_)
                | Self::Announce(..)
        )
    }
}

impl Link {
    pub(crate) fn new(process: Id) -> Self {
        Self {
            process,
            status: Status::Up,
            up: Vec::new(),
            down: Vec::new(),
            tracked: Keys::default(),
            generation: Slot::Unknown,
            floor: 0,
        }
    }

    pub(crate) fn give(&mut self, body: Body) {
        self.down.push(Message { body, floor: 0 });
    }

    /// Messages on their way are lost, and so is the server's tracking table.
    pub(crate) fn cut(&mut self) {
        self.up.clear();
        self.down.clear();
        self.tracked = Keys::default();
    }

    /// An invalidation has happened. It counts for this process with whatever arrives next, or,
    /// if nothing is on its way, now: had the process held anything, a push would be.
    pub(crate) fn promise(&mut self, version: Version) {
        match self.down.last_mut() {
            Some(last) => last.floor = last.floor.max(version),
            None => self.floor = self.floor.max(version),
        }
    }
}
