//! Significance of order in collections, by type name: serde shows only the written order.

/// Set types without a significant order.
const UNORDERED: [&str; 5] = [
    "alloc::collections::binary_heap::BinaryHeap<",
    "std::collections::hash::set::HashSet<",
    "hashbrown::set::HashSet<",
    "ahash::hash_set::AHashSet<",
    "dashmap::set::DashSet<",
];

/// Map types that keep the order of insertion. Two such maps are equal in any order, but a function
/// may compute different results from them.
const ORDERED: [&str; 3] = [
    "indexmap::map::IndexMap<",
    "linked_hash_map::LinkedHashMap<",
    "hashlink::linked_hash_map::LinkedHashMap<",
];

/// Types that serde writes as their content.
const TRANSPARENT: [&str; 4] = [
    "alloc::boxed::Box<",
    "alloc::sync::Arc<",
    "alloc::rc::Rc<",
    "core::cmp::Reverse<",
];

/// Returns `true` if values of a type of this name ([`std::any::type_name`]) are sets, or refer to
/// a set.
pub(super) fn is_unordered(type_name: &str) -> bool {
    let name = inside(type_name);
    UNORDERED.iter().any(|head| name.starts_with(head))
}

/// Returns `true` if values of a type of this name are maps with a significant order, or refer to
/// one.
pub(super) fn is_ordered(type_name: &str) -> bool {
    let name = inside(type_name);
    ORDERED.iter().any(|head| name.starts_with(head))
}

/// Returns `true` if the concrete type behind this type name is unknown (`dyn`): serde may write
/// values of two such types alike. The name is known at compile time, so the comparisons cost
/// nothing at run time.
#[inline]
pub(super) fn is_dynamic(type_name: &str) -> bool {
    type_name.starts_with("dyn ")
        || type_name.starts_with("&dyn ")
        || type_name.starts_with("alloc::boxed::Box<dyn ")
        || type_name.starts_with("alloc::sync::Arc<dyn ")
        // The type names of list elements.
        || type_name.starts_with("&alloc::boxed::Box<dyn ")
        || type_name.starts_with("&alloc::sync::Arc<dyn ")
}

/// Returns the name of the type that a type refers to or wraps.
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
