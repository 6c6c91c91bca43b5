//! Which collections have an order that means something: serde says only how they are written.

/// The types of sets whose order is of no meaning.
const UNORDERED: [&str; 5] = [
    "alloc::collections::binary_heap::BinaryHeap<",
    "std::collections::hash::set::HashSet<",
    "hashbrown::set::HashSet<",
    "ahash::hash_set::AHashSet<",
    "dashmap::set::DashSet<",
];

/// The types of maps that keep the order of insertion. They are equal in any order, and yet what a
/// function makes of them may differ.
const ORDERED: [&str; 3] = [
    "indexmap::map::IndexMap<",
    "linked_hash_map::LinkedHashMap<",
    "hashlink::linked_hash_map::LinkedHashMap<",
];

/// Types that serde writes as what is in them.
const TRANSPARENT: [&str; 4] = [
    "alloc::boxed::Box<",
    "alloc::sync::Arc<",
    "alloc::rc::Rc<",
    "core::cmp::Reverse<",
];

/// Returns `true` if values of a type of this name ([`std::any::type_name`]) are sets, or refer to
/// one.
pub(super) fn is_unordered(type_name: &str) -> bool {
    let name = inside(type_name);
    UNORDERED.iter().any(|head| name.starts_with(head))
}

/// Returns `true` if they are maps whose order is a part of them, likewise.
pub(super) fn is_ordered(type_name: &str) -> bool {
    let name = inside(type_name);
    ORDERED.iter().any(|head| name.starts_with(head))
}

/// Returns `true` if values of a type of this name are of types that nobody knows: serde may write
/// two of them alike. Comparisons with what is known at compile time cost nothing at run time.
#[inline]
pub(super) fn is_dynamic(type_name: &str) -> bool {
    type_name.starts_with("dyn ")
        || type_name.starts_with("&dyn ")
        || type_name.starts_with("alloc::boxed::Box<dyn ")
        || type_name.starts_with("alloc::sync::Arc<dyn ")
        // As the elements of a list come.
        || type_name.starts_with("&alloc::boxed::Box<dyn ")
        || type_name.starts_with("&alloc::sync::Arc<dyn ")
}

/// The type behind a reference or wrapper.
fn inside(mut name: &str) -> &str {
    loop {
        let before = name.len();
        name = name.trim_start_matches('&');
        name = name.strip_prefix("mut ").unwrap_or(name);
        for head in TRANSPARENT {
            name = name.strip_prefix(head).unwrap_or(name);
        }
        if name.len() == before {
            return name;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::collections::{BTreeSet, HashMap, HashSet};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_set_is_one_through_references_and_boxes() {
        assert!(is_unordered(type_name::<HashSet<u8>>()));
        assert!(is_unordered(type_name::<&mut &HashSet<String>>()));
        assert!(is_unordered(type_name::<Box<Arc<HashSet<u8>>>>()));
        assert!(!is_unordered(type_name::<Vec<HashSet<u8>>>()));
        assert!(!is_unordered(type_name::<BTreeSet<u8>>()));
        assert!(!is_unordered(type_name::<&[u8]>()));
        assert!(!is_ordered(type_name::<HashMap<u8, u8>>()));
        assert!(is_ordered("&indexmap::map::IndexMap<u8, u8>"));
        for dynamic in [
            type_name::<dyn Fn()>(),
            type_name::<&dyn Fn()>(),
            type_name::<Box<dyn Fn()>>(),
            type_name::<Arc<dyn Fn()>>(),
        ] {
            assert!(is_dynamic(dynamic), "{dynamic}");
        }
        assert!(!is_dynamic(type_name::<Vec<fn()>>()));
    }
}
