//! Sends concurrent commands as one pipeline, so that most of the cost of a command to this process
//! is shared.
//!
//! The number of requests in flight is limited to what the server can reply to well within a call's
//! time limit. Further requests wait in this process, and the time limit does not run while they
//! wait.

mod batch;
pub(super) mod command_batcher;
pub(super) mod limits;
mod pending;
mod queue;
pub(super) mod request;
pub(super) mod send;
#[cfg(test)]
mod tests;
pub(super) mod watch;
