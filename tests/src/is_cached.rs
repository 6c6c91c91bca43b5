/// Asserts three properties of a plain function: the second call is a hit, other arguments have
/// another entry, and the entry handle invalidates only its own entry.
///
/// `$name` is the name that the body passes to [`ran`](crate::ran).
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

/// Asserts the same as [`assert_cached`], for an async function.
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
