use crate::process::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind};
use crate::process::background;

/// Maximum duration of an announcement, including the time that the announcement waits.
const LONGEST: Duration = Duration::from_secs(10);

/// The running announcements of one function's variants. Concurrent calls of a new function share
/// one announcement. The number of announcements is bounded by the number of variants.
#[derive(Clone, Default)]
pub(crate) struct Announcements(Arc<Mutex<HashMap<Box<str>, Arc<Attempt>>>>);

#[derive(Default)]
struct Attempt {
    outcome: OnceLock<Result<(), Error>>,
    ended: Notify,
}

/// Guard of the task that announces a variant. If the guard is dropped before the announcement
/// ends, another call can announce the variant.
struct Leading {
    all: Announcements,
    variant: Box<str>,
    attempt: Arc<Attempt>,
}

impl Announcements {
    /// Announces a variant, or waits for the running announcement of the variant. A task on the
    /// background runtime announces the variant, because the first of many thousand callers may be
    /// polled again only after all other callers. Callers need no timeout of their own, because the
    /// task has a timeout.
    pub(crate) async fn once<F>(
        &self,
        variant: &str,
        announce: impl FnOnce() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (attempt, leading) = self.join(variant);
        let mut ended = pin!(attempt.ended.notified());
        ended.as_mut().enable();
        if let Some(leading) = leading {
            let announce = background::timeout(LONGEST, announce())?;
            background::spawn(async move {
                let outcome = announce.await.unwrap_or_else(|_| Err(given_up()));
                let _ = leading.attempt.outcome.set(outcome);
            });
        }
        if attempt.outcome.get().is_none() {
            ended.await;
        }
        match attempt.outcome.get() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error.again()),
            None => Err(given_up()),
        }
    }

    fn join(&self, variant: &str) -> (Arc<Attempt>, Option<Leading>) {
        let mut attempts = self.lock();
        if let Some(attempt) = attempts.get(variant) {
            return (Arc::clone(attempt), None);
        }
        let attempt = Arc::<Attempt>::default();
        attempts.insert(variant.into(), Arc::clone(&attempt));
        let leading = Leading {
            all: self.clone(),
            variant: variant.into(),
            attempt: Arc::clone(&attempt),
        };
        (attempt, Some(leading))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Attempt>>> {
        self.0.lock()
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.all.lock().remove(&self.variant);
        self.attempt.ended.notify_waiters();
    }
}

fn given_up() -> Error {
    let text = "a function could not be announced to the fleet";
    Error::new(ErrorKind::Unavailable, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    #[test]
    fn those_who_come_at_one_time_announce_once_and_share_what_comes_of_it() {
        let announcing = Announcements::default();
        let runs = Arc::<AtomicUsize>::default();
        let (go, gone) = oneshot::channel::<()>();
        let mut gone = Some(gone);
        let mut once = || {
            let (runs, gone) = (Arc::clone(&runs), gone.take());
            let announcing = announcing.clone();
            async move {
                let announce = || async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    if let Some(gone) = gone {
                        let _ = gone.await;
                    }
                    Err(Error::new(ErrorKind::Server, "no"))
                };
                announcing.once("v", announce).await
            }
        };
        let (mut one, mut two) = (Box::pin(once()), Box::pin(once()));
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(one.as_mut().poll(&mut context).is_pending());
        assert!(two.as_mut().poll(&mut context).is_pending());
        // The first caller may never be polled again, or may be dropped.
        drop(one);
        assert!(go.send(()).is_ok());
        assert!(pollster::block_on(two).is_err());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(pollster::block_on(once()).is_err());
        let runs = runs.load(Ordering::SeqCst);
        assert_eq!(runs, 2, "what is over is joined by nobody");
    }

    #[test]
    fn one_that_ends_with_nothing_said_holds_up_nobody() {
        let announcing = Announcements::default();
        let ends = announcing.once("v", || async { panic!("as it is broken") });
        assert!(pollster::block_on(ends).is_err());
        let again = announcing.once("v", || async { Ok(()) });
        assert!(pollster::block_on(again).is_ok());
    }
}
