/// Asserts of a plain function that the second call is served, that other arguments are another
/// entry, and that the companion ends the one and not the other.
///
/// `$name` is what its body says to [`ran`](crate::ran).
#[macro_export]
macro_rules! assert_cached {
    ($name:expr, $call:expr, $other:expr, $entry:expr) => {{
        let before = $crate::runs($name);
        let first = $call;
        assert_eq!(first, $call);
        assert_eq!($crate::runs($name) - before, 1, "the second call is served");
        let _ = $other;
        assert_eq!($crate::runs($name) - before, 2, "it is another entry");
        let invalidated = $entry.invalidate();
        let report = invalidated.expect("it works");
        assert_eq!(report.entries, 1, "there is an entry");
        assert_eq!(first, $call);
        assert_eq!($crate::runs($name) - before, 3, "this entry has ended");
        let _ = $other;
        assert_eq!($crate::runs($name) - before, 3, "and no other");
    }};
}

/// As [`assert_cached`], of an async function.
#[macro_export]
macro_rules! assert_cached_async {
    ($name:expr, $call:expr, $other:expr, $entry:expr) => {{
        let before = $crate::runs($name);
        let first = $call.await;
        assert_eq!(first, $call.await);
        assert_eq!($crate::runs($name) - before, 1, "the second call is served");
        let _ = $other.await;
        assert_eq!($crate::runs($name) - before, 2, "it is another entry");
        let invalidated = $entry.invalidate().await;
        let report = invalidated.expect("it works");
        assert_eq!(report.entries, 1, "there is an entry");
        assert_eq!(first, $call.await);
        assert_eq!($crate::runs($name) - before, 3, "this entry has ended");
        let _ = $other.await;
        assert_eq!($crate::runs($name) - before, 3, "and no other");
    }};
}
