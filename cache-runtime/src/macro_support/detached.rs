//! Computations that outlive their callers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::call::PreparedCall;
use crate::protocol::refresh;

/// A future that is finished in the background if its caller is cancelled.
pub(super) struct Detached<T: Send + 'static> {
    /// Taken while the future is polled: a future that has panicked is not polled again.
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    begun: PreparedCall,
}

impl<T: Send + 'static> Detached<T> {
    pub(super) fn new(
        future: Pin<Box<dyn Future<Output = T> + Send>>,
        begun: PreparedCall,
    ) -> Self {
        let future = Some(future);
        Self { future, begun }
    }
}

impl<T: Send + 'static> Unpin for Detached<T> {}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(mut future) = self.future.take() else {
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.future = Some(future);
        }
        Poll::Ready(ready!(polled))
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else {
            return;
        };
        // Detached futures count towards the limit of refreshes; a future beyond that limit is
        // dropped.
        self.begun.refresh(|_, refreshing| {
            refresh::spawn(async move {
                let _refreshing = refreshing;
                let _ = future.await;
            });
        });
    }
}
