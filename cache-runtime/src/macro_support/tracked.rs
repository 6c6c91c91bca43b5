//! Plain functions with `#[track_caller]`. Their bodies run between two calls of this module and
//! not in a closure, whose caller would be this module.

use super::call::{Call, PreparedCall, seek};
use crate::api::blocking;
use crate::backend::contract::Caller;
use crate::entry::policy::Policy;
use crate::protocol::computation::ActiveCall;
use crate::protocol::settle::ComputePermit;
use crate::protocol::settle::StoreDecision;
use crate::protocol::typed::CallOutcome;
use crate::values::returns::Returns;
use crate::values::share::Share;
use crate::values::value_kind::ValueKind;

/// A call that its caller computes.
pub struct Computing<R> {
    begun: PreparedCall,
    share: Share<R>,
    /// `None` for a call that bypasses the cache.
    permit: Option<(Box<ComputePermit>, ActiveCall)>,
}

/// Returns the value from the cache.
///
/// # Errors
///
/// Returns the call if it must be computed and then [settled](settle_blocking).
pub fn seek_blocking<R, const KIND: u8>(
    call: Call<R, KIND>,
    policy: Policy,
    share: Share<R>,
) -> Result<R, Box<Computing<R>>>
where
    R: Returns<KIND>,
{
    let begun = call.asked.begin(policy, R::Kind::FORM.shape);
    let permit = match begun.request::<R, KIND>(share, Caller::Blocking) {
        None => None,
        Some((request, refresh)) => match blocking::wait(seek(&request, refresh)) {
            CallOutcome::Found(value) | CallOutcome::DueRenewal(value, _) => return Ok(value),
            CallOutcome::Compute(permit) => Some((permit, request.computing())),
        },
    };
    Err(Box::new(Computing {
        begun,
        share,
        permit,
    }))
}

/// Stores a computed value and returns it.
pub fn settle_blocking<R, const KIND: u8>(
    computing: Box<Computing<R>>,
    result: R,
    judge: impl Fn(&R::Value) -> StoreDecision,
) -> R
where
    R: Returns<KIND>,
{
    let Computing {
        begun,
        share,
        permit,
    } = *computing;
    let Some((permit, within)) = permit else {
        return result;
    };
    drop(within);
    match begun.request::<R, KIND>(share, Caller::Blocking) {
        Some((request, _)) => blocking::wait(request.settle(permit, result, judge)),
        None => result,
    }
}
