//! The background runtime: a tokio runtime with one thread. The runtime drives timers, lease
//! renewals and connections, which must work with any executor and must outlive the caller's
//! executor.

use crate::process::sync::Mutex;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem::replace;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;
use tokio::time::Timeout;

use crate::error::{Error, ErrorKind};

/// Returns the handle of the background runtime. The runtime starts at first use and lives as long
/// as the process.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle);
    }
    // The lock ensures at most one runtime. A start that fails for lack of file descriptors is
    // retried by the next call.
    let _starting = STARTING.lock();
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle);
    }
    match start() {
        Some(handle) => Ok(RUNTIME.get_or_init(|| handle)),
        None => Err(Error::new(
            ErrorKind::Unavailable,
            "the cache's background thread could not be started: no threads or file descriptors left",
        )),
    }
}

fn start() -> Option<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("recached".into())
        .spawn(move || {
            let _ = OURS.try_with(|ours| ours.set(true));
            runtime.block_on(std::future::pending::<()>());
        })
        .ok()?;
    Some(handle)
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Returns `true` on the thread of the background runtime. A blocking wait for the cache on this
/// thread would deadlock and would stop all connections. An observer may run on this thread.
pub(crate) fn is_here() -> bool {
    // A thread that is about to end is not the thread of the background runtime.
    OURS.try_with(Cell::get).unwrap_or(false)
}

/// Runs `future` on the background runtime, detached.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(handle) = handle() {
        spawn_on(handle, future);
    }
}

/// Runs `future` on `runtime`, detached. The future is boxed, because tokio generates about two
/// thousand lines of machine code for a task of each type of future.
pub(crate) fn spawn_on(
    runtime: &Handle,
    future: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    runtime.spawn(future).abort_handle()
}

/// Runs `future` with a deadline from the background runtime's timer, on any executor. Returns an
/// error on a thread whose thread-locals are being destroyed.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Result<Timeout<F>, Error> {
    let handle = handle()?;
    // Entering a runtime would panic on such a thread, and a panic in a destructor aborts.
    if Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed()) {
        let text = "this thread is about to end, and can't wait for the cache";
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    let _context = handle.enter();
    Ok(tokio::time::timeout(limit, future))
}

/// Returns the output of `future` if `future` ends within `limit`. Otherwise `future` continues on
/// the background runtime.
pub(crate) async fn beside<T: Send + 'static>(
    limit: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let mut future: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(future);
    match timeout(limit, future.as_mut()) {
        Ok(within) => {
            if let Ok(outcome) = within.await {
                return Some(outcome);
            }
        }
        Err(_) => return Some(future.await),
    }
    spawn(async move {
        let _ = future.await;
    });
    None
}

/// Yields to other tasks through the queue that other threads steal from, so that another thread
/// continues if a task blocks this thread. `tokio::task::yield_now` defers the task to a list that
/// no other thread reads, and never returns on a thread that blocks inside a runtime.
pub(crate) async fn yielded() {
    let mut before = false;
    poll_fn(|context| {
        if replace(&mut before, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::sync::oneshot;

    #[test]
    fn what_takes_longer_goes_on_by_itself_and_ends() {
        let (go, gone) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let future = async move {
            let _ = gone.await;
            let _ = end.send(7);
            7
        };
        let within = beside(Duration::from_millis(5), future);
        assert_eq!(pollster::block_on(within), None);
        assert!(go.send(()).is_ok());
        assert_eq!(ended.blocking_recv(), Ok(7));
        let at_once = beside(Duration::from_secs(20), async { 8 });
        assert_eq!(pollster::block_on(at_once), Some(8));
    }
}
