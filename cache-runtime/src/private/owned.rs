//! Functions whose computation may go on beside their caller, and so has to own what it uses.

use std::future::Future;
use std::pin::{Pin, pin};

use tokio::sync::oneshot;

use super::{Begun, Call, Returns, Share, Verdict, seek};
use crate::background;
use crate::blocking;
use crate::compute::{Answer, Work};
use crate::policy::Policy;
use crate::refresh;
use crate::store::Caller;

/// Runs an async function through the cache; new values are computed in the background where an
/// old one is served.
pub fn run_owned<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> Verdict + Send + 'static,
    compute: F,
) -> Pin<Box<impl Future<Output = R>>>
where
    R: Returns<KIND> + Send + 'static,
    R::Value: Send,
    F: Future<Output = R> + Send + 'static,
{
    let begun = call.asked.begin(policy);
    Box::pin(async move {
        let Some((request, anew)) = begun.request::<R, KIND>(share, Caller::Async) else {
            return compute.await;
        };
        match seek(&request, anew).await {
            Answer::Found(value) => value,
            Answer::Due(value, beyond) => {
                begun.refresh(|begun, ahead| {
                    refresh::spawn(async move {
                        let _ahead = ahead;
                        if let Some((request, _)) = begun.request::<R, KIND>(share, Caller::Async)
                            && let Some(work) = request.seek_ahead(beyond).await
                        {
                            let result = request.compute(&work, pin!(compute)).await;
                            request.settle(work, result, judge).await;
                        }
                    });
                });
                value
            }
            Answer::Compute(work) => {
                let (Some(limit), Some(spare)) = (policy.timeout, request.spare(&work)) else {
                    let result = request.compute(&work, pin!(compute)).await;
                    return request.settle(work, result, judge).await;
                };
                let (send, receive) = oneshot::channel();
                let other = begun.clone();
                refresh::spawn(async move {
                    let mut work = work;
                    if let Some((request, _)) = other.request::<R, KIND>(share, Caller::Async) {
                        let result = request.compute(&work, pin!(compute)).await;
                        if send.is_closed() {
                            work.served();
                        }
                        let result = request.settle(work, result, judge).await;
                        // Whoever has been served the old value does not listen any more.
                        let _ = send.send(result);
                    }
                });
                match background::timeout(limit, receive) {
                    Ok(outcome) => match outcome.await {
                        Ok(Ok(result)) => result,
                        _ => request.stand_in(spare),
                    },
                    Err(_) => request.stand_in(spare),
                }
            }
        }
    })
}

/// Runs a plain function through the cache; new values are computed on another thread where an
/// old one is served.
pub fn run_blocking_owned<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> Verdict + Send + 'static,
    compute: F,
) -> R
where
    R: Returns<KIND> + Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let begun = call.asked.begin(policy);
    let Some((request, anew)) = begun.request::<R, KIND>(share, Caller::Blocking) else {
        return compute();
    };
    match blocking::wait(seek(&request, anew)) {
        Answer::Found(value) => value,
        Answer::Due(value, beyond) => {
            begun.refresh(|begun, ahead| {
                refresh::spawn_blocking(move || {
                    let _ahead = ahead;
                    if let Some((request, _)) = begun.request::<R, KIND>(share, Caller::Blocking)
                        && let Some(work) = blocking::wait(request.seek_ahead(beyond))
                    {
                        blocking::wait(request.settle(
                            work,
                            request.compute_blocking(compute),
                            judge,
                        ));
                    }
                });
            });
            value
        }
        Answer::Compute(work) => {
            let (Some(limit), Some(spare)) = (policy.timeout, request.spare(&work)) else {
                return settle(&begun, share, work, compute, judge, || false);
            };
            let (send, receive) = oneshot::channel();
            let other = begun.clone();
            refresh::spawn_blocking(move || {
                let served = || send.is_closed();
                let result = settle(&other, share, work, compute, judge, served);
                let _ = send.send(result);
            });
            match background::timeout(limit, receive).map(blocking::wait) {
                Ok(Ok(Ok(result))) => result,
                _ => request.stand_in(spare),
            }
        }
    }
}

fn settle<R: Returns<KIND>, const KIND: u8>(
    begun: &Begun,
    share: Share<R>,
    mut work: Box<Work>,
    compute: impl FnOnce() -> R,
    judge: impl Fn(&R::Value) -> Verdict,
    served: impl FnOnce() -> bool,
) -> R {
    match begun.request::<R, KIND>(share, Caller::Blocking) {
        Some((request, _)) => {
            let result = request.compute_blocking(compute);
            if served() {
                work.served();
            }
            blocking::wait(request.settle(work, result, judge))
        }
        None => compute(),
    }
}
