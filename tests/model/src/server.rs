use crate::scope::Scope;
use crate::trap::Trap;
use crate::world::{Id, Version};

/// A generation, and with one group the stamp too.
pub(crate) type Nonce = u8;

/// What Redis holds of the one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) entry: Option<Entry>,
    pub(crate) lease: Option<Lease>,
    pub(crate) generation: Option<Nonce>,
    /// The last nonce that was made: none comes twice.
    last: Nonce,
    /// The newest invalidation that has taken effect here.
    pub(crate) completed: Version,
}

/// A stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) stamp: Nonce,
    pub(crate) version: Version,
}

/// The right to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) token: Id,
    pub(crate) stamp: Nonce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Entry,
    Lease,
    Generation,
}

/// A set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Keys(u8);

impl Keys {
    pub(crate) fn insert(&mut self, key: Key) {
        self.0 |= 1 << key as u8;
    }

    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let held = self.0 & 1 << key as u8 != 0;
        self.0 &= !(1 << key as u8);
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

    /// The entry, if those who know the present generation would read it.
    pub(crate) fn readable(&self) -> Option<Entry> {
        self.entry
            .filter(|entry| Some(entry.stamp) == self.generation)
    }

    /// The generation after the present one.
    pub(crate) fn next(&mut self, scope: &Scope) -> Nonce {
        if scope.falls_for(Trap::CountingGenerations) {
            return self.generation.unwrap_or_default() + 1;
        }
        self.last += 1;
        self.last
    }
}
