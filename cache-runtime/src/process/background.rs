//! A tokio runtime of our own with one thread, for timers, renewals and connections that must go on
//! with any executor of the caller, and after it has ended.

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

/// Returns the handle of the runtime, which starts at first use and lives as long as the process.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle);
    }
    // At most one runtime; a start without file descriptors is retried.
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

/// Returns `true` if this is the runtime's thread: whoever waits here for the cache waits for
/// himself, and everybody with him. An observer may come to it.
pub(crate) fn is_here() -> bool {
    // A thread that is about to end is not ours.
    OURS.try_with(Cell::get).unwrap_or(false)
}

/// Runs `future` on our runtime, detached.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(handle) = handle() {
        spawn_on(handle, future);
    }
}

/// Runs `future` on `runtime`, detached. Boxed, because a task
/// is two thousand lines of machine code for each type of future.
pub(crate) fn spawn_on(
    runtime: &Handle,
    future: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    runtime.spawn(future).abort_handle()
}

/// Runs `future` with a deadline of our runtime's timer, from any executor. Refused on a thread
/// whose thread-locals are being destroyed.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Result<Timeout<F>, Error> {
    let handle = handle()?;
    // Entering a runtime would panic there, and a panic in a destructor aborts.
    if Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed()) {
        let text = "this thread is about to end, and can't wait for the cache";
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    let _context = handle.enter();
    Ok(tokio::time::timeout(limit, future))
}

/// Returns the output of `future` within `limit`; a longer one continues on our runtime.
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

/// Yields to other tasks through the queue that other threads take from: if a task blocks this
/// thread, another thread continues. `tokio::task::yield_now` waits in a place that no other thread
/// looks into, and for ever on a thread that blocks inside a runtime.
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
