//! The part of an argument that enters the key: of an `Arc`, the shared value. Serde writes an
//! `Arc` only if it is asked to, by a feature that nobody should need for a key.
//!
//! As with the kind of a return type, the choice is made through types: an inherent method shadows
//! a trait's. Its name is reserved, since a trait of the user's may have one of any other.

use std::sync::Arc;

/// An argument.
pub struct KeyRef<'a, T: ?Sized>(pub &'a T);

/// Of every type; shadowed for those that share.
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
