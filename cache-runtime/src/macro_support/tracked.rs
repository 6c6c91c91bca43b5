//! Plain functions that ask who calls them: their bodies run in no closure, which would be called
//! from here, but between two calls of ours.

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
    /// Nothing for one that bypasses the cache.
    permit: Option<(Box<ComputePermit>, ActiveCall)>,
}

/// The value, or what is to be [settled](settle_blocking) once it is computed.
///
/// # Errors
///
/// Returns the call that is to be computed.
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

/// Stores what was computed.
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
