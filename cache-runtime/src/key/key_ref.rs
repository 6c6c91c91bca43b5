//! The part of an argument that enters the key: of an `Arc`, the shared value. Serde serializes an
//! `Arc` only with its feature `rc`, which a key should not require.
//!
//! As with the kind of a return type, the choice is made through types: an inherent method shadows
//! the method of a trait. The method's name is reserved, because a user's trait may have any other
//! name.

use std::sync::Arc;

/// An argument.
pub struct KeyRef<'a, T: ?Sized>(pub &'a T);

/// Method of every type; shadowed for `Arc`s.
pub trait AnyPart {
    type KeyRef;
    fn recached_part(self) -> Self::KeyRef;
}

impl<'a, T: ?Sized> AnyPart for KeyRef<'a, T> {
    type KeyRef = &'a T;

    fn recached_part(self) -> &'a T {
        self.0
    }
}

impl<'a, T: ?Sized> KeyRef<'a, Arc<T>> {
    pub fn recached_part(self) -> &'a T {
        self.0
    }
}

impl<'a, T: ?Sized> KeyRef<'a, &Arc<T>> {
    pub fn recached_part(self) -> &'a T {
        self.0
    }
}

impl<'a, T: ?Sized> KeyRef<'a, Option<Arc<T>>> {
    pub fn recached_part(self) -> Option<&'a T> {
        self.0.as_deref()
    }
}

impl<'a, T: ?Sized> KeyRef<'a, Option<&Arc<T>>> {
    pub fn recached_part(self) -> Option<&'a T> {
        self.0.map(|shared| &**shared)
    }
}
