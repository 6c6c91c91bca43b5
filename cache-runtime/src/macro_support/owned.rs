//! Functions whose computation may outlive their caller, and so must own its arguments.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::sync::oneshot;

use super::call::{Call, seek};
use super::detached::Detached;
use crate::api::blocking;
use crate::backend::contract::Caller;
use crate::entry::policy::Policy;
use crate::process::background;
use crate::protocol::refresh;
use crate::protocol::settle::StoreDecision;
use crate::protocol::typed::{CallOutcome, Tally};
use crate::values::returns::Returns;
use crate::values::share::Share;
use crate::values::value_kind::ValueKind;

/// Runs an async function through the cache. If a stale value is served, the new value is computed
/// in the background. If `detached`, a computation whose caller is cancelled continues and is
/// stored.
pub fn run_owned<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> StoreDecision + Send + 'static,
    compute: F,
    detached: bool,
) -> Pin<Box<impl Future<Output = R>>>
where
    R: Returns<KIND> + Send + 'static,
    R::Value: Send,
    F: Future<Output = R> + Send + 'static,
{
    let begun = call.asked.begin(policy, R::Kind::FORM.shape);
    Box::pin(async move {
        let Some((request, anew)) = begun.request::<R, KIND>(share, Caller::Async) else {
            return compute.await;
        };
        match seek(&request, anew).await {
            CallOutcome::Found(value) => value,
            CallOutcome::DueRenewal(value, min_remaining_ttl) => {
                begun.refresh(|begun, ahead| {
                    refresh::spawn(async move {
                        let _ahead = ahead;
                        if let Some((request, _)) = begun.request::<R, KIND>(share, Caller::Async)
                            && let Some(permit) = request.seek_ahead(min_remaining_ttl).await
                        {
                            let result = request.compute(&permit, pin!(compute)).await;
                            request.settle(permit, result, judge).await;
                        }
                    });
                });
                value
            }
            CallOutcome::Compute(permit) => {
                let (Some(limit), Some(spare)) = (policy.soft_timeout, request.spare(&permit))
                else {
                    if !detached {
                        let result = request.compute(&permit, pin!(compute)).await;
                        return request.settle(permit, result, judge).await;
                    }
                    let other = begun.clone();
                    let whole = async move {
                        let request = other.request::<R, KIND>(share, Caller::Async);
                        let Some((request, _)) = request else {
                            return (compute.await, Tally::Counted);
                        };
                        let result = request.compute(&permit, pin!(compute)).await;
                        request.settle_uncounted(permit, result, judge).await
                    };
                    let (result, tally) = Detached::new(Box::pin(whole), begun.clone()).await;
                    request.count(tally);
                    return result;
                };
                let (send, receive) = oneshot::channel();
                let other = begun.clone();
                refresh::spawn(async move {
                    if let Some((request, _)) = other.request::<R, KIND>(share, Caller::Async) {
                        let result = request.compute(&permit, pin!(compute)).await;
                        let _ = send.send(request.settle_uncounted(permit, result, judge).await);
                    }
                });
                match within(limit, receive).await {
                    Some((result, tally)) => {
                        request.count(tally);
                        result
                    }
                    None => request.stand_in(spare),
                }
            }
        }
    })
}

/// Runs a plain function through the cache. If a stale value is served, the new value is computed
/// on another thread.
pub fn run_blocking_owned<R, const KIND: u8, F>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
    judge: impl Fn(&R::Value) -> StoreDecision + Send + 'static,
    compute: F,
) -> R
where
    R: Returns<KIND> + Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let begun = call.asked.begin(policy, R::Kind::FORM.shape);
    let Some((request, anew)) = begun.request::<R, KIND>(share, Caller::Blocking) else {
        return compute();
    };
    match blocking::wait(seek(&request, anew)) {
        CallOutcome::Found(value) => value,
        CallOutcome::DueRenewal(value, min_remaining_ttl) => {
            begun.refresh(|begun, ahead| {
                refresh::spawn_blocking(move || {
                    let _ahead = ahead;
                    if let Some((request, _)) = begun.request::<R, KIND>(share, Caller::Blocking)
                        && let Some(permit) = blocking::wait(request.seek_ahead(min_remaining_ttl))
                    {
                        blocking::wait(request.settle(
                            permit,
                            request.compute_blocking(compute),
                            judge,
                        ));
                    }
                });
            });
            value
        }
        CallOutcome::Compute(permit) => {
            let (Some(limit), Some(spare)) = (policy.soft_timeout, request.spare(&permit)) else {
                let result = request.compute_blocking(compute);
                return blocking::wait(request.settle(permit, result, judge));
            };
            let (send, receive) = oneshot::channel();
            let other = begun.clone();
            refresh::spawn_blocking(move || {
                if let Some((request, _)) = other.request::<R, KIND>(share, Caller::Blocking) {
                    let result = request.compute_blocking(compute);
                    let settled = blocking::wait(request.settle_uncounted(permit, result, judge));
                    let _ = send.send(settled);
                }
            });
            match blocking::wait(within(limit, receive)) {
                Some((result, tally)) => {
                    request.count(tally);
                    result
                }
                None => request.stand_in(spare),
            }
        }
    }
}

/// Returns the received value; `None` if it does not arrive within `limit`.
async fn within<T>(limit: Duration, receive: oneshot::Receiver<T>) -> Option<T> {
    let received = background::timeout(limit, receive).ok()?;
    received.await.ok()?.ok()
}
