//! Detection of forks. A forked process has the memory of its parent, but not the parent's threads.

pub(crate) mod background;
pub(crate) mod sync;
pub(crate) mod unique_id;

use std::sync::OnceLock;

static ORIGINAL: OnceLock<u32> = OnceLock::new();

/// Records this process as the process that built a cache.
pub(crate) fn note() {
    ORIGINAL.get_or_init(std::process::id);
}

/// Returns `true` if this process was forked from a process that had built a cache. The
/// connections, timers and lease renewals then belong to the parent. Makes a system call, so the
/// hit path must not call this function.
pub(crate) fn is_forked() -> bool {
    ORIGINAL
        .get()
        .is_some_and(|original| *original != std::process::id())
}
