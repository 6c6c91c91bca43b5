//! Support for generated code, exempt from semantic versioning.

mod call;
mod detached;
mod invalidations;
mod kinds;
mod owned;
mod tracked;

pub use crate::key::{AnyPart, Arguments, KeyPart, KeyRef};
pub use crate::protocol::settle::StoreDecision;
pub use crate::registry::{Function, Site};
pub use crate::values::probe::{AnyHead, Peel, Probe, err_ttl, kind_of, none_ttl, own, whole};
pub use crate::values::returns::Returns;
pub use crate::values::share::{AnyShare, Share};
pub use crate::values::value_kind::{Erased, ValueKind};
pub use call::{
    Call, always, blocking_entry, entry, for_as_long, nothing, only_if, only_if_for, path_of, run,
    run_blocking,
};
pub use invalidations::{AnyEntry, AnyOutcome, Invalidations, Outcome, future_of};
pub use kinds::{kind, no_result, share};
pub use owned::{run_blocking_owned, run_owned};
pub use tracked::{Computing, seek_blocking, settle_blocking};
