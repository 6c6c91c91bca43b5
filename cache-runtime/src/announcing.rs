use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::background;
use crate::error::Error;

/// The announcements of one function's variants that are under way: many calls of a new function
/// at one time announce it once. Bounded by the variants.
#[derive(Default)]
pub(crate) struct Announcing(Mutex<HashMap<Box<str>, Arc<Attempt>>>);

#[derive(Default)]
struct Attempt {
    outcome: OnceLock<Result<(), Error>>,
    ended: Notify,
}

/// The one that announces; dropped half-way, it gives way to another.
struct Leading<'a> {
    all: &'a Announcing,
    variant: &'a str,
    attempt: Arc<Attempt>,
}

impl Announcing {
    /// Announces a variant, or waits for who is at it, but no longer than that.
    pub(crate) async fn once<F>(
        &self,
        variant: &str,
        patience: Duration,
        announce: impl Fn() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let attempt = match self.join(variant) {
            Ok(leading) => {
                let outcome = announce().await;
                let _ = leading.attempt.outcome.set(match &outcome {
                    Ok(()) => Ok(()),
                    Err(error) => Err(error.again()),
                });
                return outcome;
            }
            Err(attempt) => attempt,
        };
        let mut ended = pin!(attempt.ended.notified());
        ended.as_mut().enable();
        if attempt.outcome.get().is_none() {
            let _ = background::timeout(patience, ended)?.await;
        }
        match attempt.outcome.get() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error.again()),
            // It was dropped, or nobody polls it.
            None => announce().await,
        }
    }

    fn join<'a>(&'a self, variant: &'a str) -> Result<Leading<'a>, Arc<Attempt>> {
        let mut attempts = self.lock();
        if let Some(attempt) = attempts.get(variant) {
            return Err(Arc::clone(attempt));
        }
        let attempt = Arc::<Attempt>::default();
        attempts.insert(variant.into(), Arc::clone(&attempt));
        Ok(Leading {
            all: self,
            variant,
            attempt,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Attempt>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(self.variant);
        self.attempt.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use crate::error::ErrorKind;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn those_who_come_at_one_time_announce_once_and_share_what_comes_of_it() {
        let (announcing, runs) = (Announcing::default(), Cell::new(0));
        let once = || {
            announcing.once("v", PATIENCE, || async {
                runs.set(runs.get() + 1);
                background::yielded().await;
                Err(Error::new(ErrorKind::Server, "no"))
            })
        };
        pollster::block_on(async {
            let (mut one, mut two) = (pin!(once()), pin!(once()));
            let first = poll_fn(|context| {
                let first = one.as_mut().poll(context);
                assert!(two.as_mut().poll(context).is_pending());
                Poll::Ready(first)
            });
            assert!(first.await.is_pending());
            assert!(one.await.is_err() && two.await.is_err());
            assert_eq!(runs.get(), 1);
            assert!(once().await.is_err());
            assert_eq!(runs.get(), 2, "what is over is joined by nobody");
        });
    }

    #[test]
    fn one_that_is_dropped_or_not_polled_holds_up_nobody_for_long() {
        let announcing = Announcing::default();
        for is_dropped in [false, true] {
            let mut lead = Box::pin(announcing.once("v", PATIENCE, pending));
            let begun = poll_fn(|context| Poll::Ready(lead.as_mut().poll(context)));
            assert!(pollster::block_on(begun).is_pending());
            let patience = Duration::from_millis(10);
            let follow = announcing.once("v", patience, || async { Ok(()) });
            if is_dropped {
                drop(lead);
            }
            assert!(pollster::block_on(follow).is_ok());
        }
    }
}
