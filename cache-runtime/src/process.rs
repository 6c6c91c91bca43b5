//! Detection of forks: a fork has the memory of its parent and none of its threads.

pub(crate) mod background;
pub(crate) mod sync;
pub(crate) mod unique_id;

use std::sync::OnceLock;

static ORIGINAL: OnceLock<u32> = OnceLock::new();

/// Records this process as the one that built caches.
pub(crate) fn note() {
    ORIGINAL.get_or_init(std::process::id);
}

/// Returns `true` if this process was forked off one that had built a cache: its connections,
/// timers and renewals are the parent's. A system call; not for the hit path.
pub(crate) fn is_forked() -> bool {
    ORIGINAL
        .get()
        .is_some_and(|original| *original != std::process::id())
}
