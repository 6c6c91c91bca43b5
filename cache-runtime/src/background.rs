//! A small tokio runtime of our own, on a thread of its own: timers, renewals and connections
//! that must go on whatever the caller's executor is, and after it has ended.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;
use tokio::time::Timeout;

use crate::error::{Error, ErrorKind};

/// The runtime's handle; it is started at first use and lives as long as the process.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Option<Handle>> = OnceLock::new();
    RUNTIME.get_or_init(start).as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Unavailable,
            "the cache's background thread could not be started",
        )
    })
}

fn start() -> Option<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("recached".into())
        .spawn(move || {
            OURS.set(true);
            runtime.block_on(std::future::pending::<()>());
        })
        .ok()?;
    Some(handle)
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the runtime's thread: whoever waits here for the cache waits for himself, and
/// everybody with him. An observer may come to it.
pub(crate) fn is_here() -> bool {
    OURS.get()
}

/// Runs `future` there, detached.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(handle) = handle() {
        spawn_on(handle, future);
    }
}

/// Runs `future` on `runtime`, detached. In a box: a task is two thousand lines of machine code
/// for each type of future, and these are not so many that the box would show.
pub(crate) fn spawn_on(
    runtime: &Handle,
    future: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    runtime.spawn(future).abort_handle()
}

/// `future` with a deadline, timed by our runtime: usable from any executor and from none.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Result<Timeout<F>, Error> {
    let _context = handle()?.enter();
    Ok(tokio::time::timeout(limit, future))
}
