use crate::scope::Scope;
use crate::trap::Trap;
use crate::world::{Id, Version};

/// A release of the program, one of two, with entries and leases of its own.
pub(crate) type Variant = u8;

/// Token of a pause, which belongs to no caller.
const NOBODY: Id = Id::MAX;

/// A random id: a generation, or the stamp, which equals the generation of the only group.
pub(crate) type Nonce = u8;

/// State of the one call in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) entries: [Option<Entry>; 2],
    pub(crate) leases: [Option<Lease>; 2],
    /// Announced variants.
    pub(crate) announced: [bool; 2],
    /// A lost registry was announced again by one process and may still lack other variants.
    pub(crate) restored: bool,
    pub(crate) generation: Option<Nonce>,
    /// The last nonce that was created. Nonces do not repeat.
    last: Nonce,
    /// Newest invalidation that has taken effect on the server.
    pub(crate) completed: Version,
}

/// A stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) stamp: Nonce,
    pub(crate) version: Version,
    /// The entry is past its ttl and is served only if a computation fails.
    pub(crate) aged: bool,
}

/// The right to compute, or a pause after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) token: Id,
    pub(crate) stamp: Nonce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Entry(Variant),
    Lease(Variant),
    Generation,
}

impl Key {
    fn bit(self) -> u8 {
        match self {
            Self::Entry(variant) => 1 << variant,
            Self::Lease(variant) => 4 << variant,
            Self::Generation => 16,
        }
    }
}

impl Lease {
    /// A pause after a failed refresh, during which no process with a value computes.
    pub(crate) fn pause(stamp: Nonce) -> Self {
        let token = NOBODY;
        Self { token, stamp }
    }

    pub(crate) fn is_pause(&self) -> bool {
        self.token == NOBODY
    }
}

/// A set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Keys(u8);

impl Keys {
    pub(crate) fn insert(&mut self, key: Key) {
        self.0 |= key.bit();
    }

    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let held = self.0 & key.bit() != 0;
        self.0 &= !key.bit();
        held
    }
}

impl Server {
    pub(crate) fn new(empty: bool) -> Self {
        let last = Nonce::from(!empty);
        Self {
            generation: (!empty).then_some(last),
            last,
            ..Self::default()
        }
    }

    /// Returns the entry if its stamp is the current generation.
    pub(crate) fn readable(&self, variant: Variant) -> Option<Entry> {
        self.entries[usize::from(variant)].filter(|entry| Some(entry.stamp) == self.generation)
    }

    /// Creates the next generation.
    pub(crate) fn next(&mut self, scope: &Scope) -> Nonce {
        if scope.falls_for(Trap::CountingGenerations) {
            return self.generation.unwrap_or_default() + 1;
        }
        if !scope.falls_for(Trap::IdsRepeated) {
            self.last += 1;
        }
        self.last
    }
}
