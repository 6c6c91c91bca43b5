//! The protocol of one call: look, claim, compute, settle.

pub(crate) mod cache_inner;
mod call;
mod claim;
pub(crate) mod computation;
mod invalidate;
pub(crate) mod just_invalidated;
pub(crate) mod lease;
mod look;
pub(crate) mod process_state;
mod put;
pub(crate) mod refresh;
pub(crate) mod renewer;
mod seek;
pub(crate) mod settle;
pub(crate) mod single_flight;
pub(crate) mod typed;
pub(crate) mod wait_graph;
