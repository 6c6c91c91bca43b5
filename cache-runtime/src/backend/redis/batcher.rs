//! Sends concurrent commands as one pipeline: most of what a command
//! costs a process is paid once for all of them. No more is sent than the server answers well
//! within a call's patience; the rest waits here, where its patience does not run.

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
