use crate::caller::Reply;
use crate::server::{Entry, Key, Keys, Nonce};
use crate::world::{Id, Version};

/// One connection of a process, and the state that the process knows through it.
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
    /// Generation of the group as known to the process.
    pub(crate) generation: Slot,
    /// Oldest version that the received pushes allow.
    pub(crate) floor: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Up,
    /// Broken, and not yet detected by the process.
    Broken,
    Down,
    /// The process of the connection is gone.
    Gone,
}

/// A slot in the table of generations. The caller that requests the generation stores whether its
/// token is still valid, since there is at most one request at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Unknown,
    Asked,
    Known(Nonce),
}

/// One command or one script. These are atomic; the pipelines that contain them are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Generation(Id),
    Make(Id),
    Entry(Id),
    Claim {
        caller: Id,
        stamp: Nonce,
        /// Holder whose lease may be replaced.
        replace: Option<Id>,
        /// `true` if the claim respects a pause, because the caller has a value to serve.
        pauses: bool,
    },
    /// Announces the variant of a process, for a caller, or for no caller after a lost registry.
    Announce(Id, Option<Id>),
    /// Requests the announced variants.
    Variants,
    /// Replaces the caller's lease by a pause.
    Pause(Id),
    Holds(Id),
    Renew(Id),
    Fill {
        caller: Id,
        entry: Entry,
    },
    Release(Id),
    /// Removes a key as part of an invalidation; `true` for the last part.
    Remove(Key, bool),
    /// Changes the generation as part of an invalidation; `true` for the last part.
    Change(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) body: Body,
    /// Newest invalidation that the receiver must respect from this message on.
    pub(crate) floor: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Reply(Id, Reply),
    /// `true` if the caller holds the lease. `Holds` goes to the watching task, `Renewed` to the
    /// renewing one.
    Holds(Id, bool),
    Renewed(Id, bool),
    /// The announced variants, for an invalidation; `true` if the registry was lost and announced
    /// again.
    Variants([bool; 2], bool),
    /// The invalidation of the process is complete.
    Invalidated,
    Push(Key),
    Flush,
    /// The registry is lost.
    RegistryLost,
}

impl Request {
    /// Returns `true` if the request affects anyone except its sender.
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

    /// Drops the messages on their way and the server's tracking table.
    pub(crate) fn cut(&mut self) {
        self.up.clear();
        self.down.clear();
        self.tracked = Keys::default();
    }

    /// Applies a new invalidation. It takes effect in this process with the last message on its
    /// way, or at once if there is none: if the process held an entry, a push would be on its way.
    pub(crate) fn promise(&mut self, version: Version) {
        match self.down.last_mut() {
            Some(last) => last.floor = last.floor.max(version),
            None => self.floor = self.floor.max(version),
        }
    }
}
