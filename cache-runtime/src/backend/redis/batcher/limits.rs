use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Maximum number of requests in one pipeline. All of them wait for the last reply.
pub(super) const MOST: usize = 64;

/// Maximum size of a pipeline of several requests, in bytes.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Maximum number of requests in flight.
pub(super) const MOST_IN_FLIGHT: usize = 512;

/// Size of the pipelines in flight at which no further pipeline is sent, in bytes.
pub(super) const MOST_BYTES_IN_FLIGHT: usize = 4 << 20;

/// Maximum number of requests that wait to be sent.
pub(super) const MOST_WAITING: usize = 1 << 18;

/// Maximum size of the requests that wait to be sent, in bytes. A single request may be larger.
pub(super) const MOST_BYTES_WAITING: usize = 64 << 20;

/// Maximum time that a request waits to be sent, if `command_timeout` is not longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Returns the error of a request without a reply in time.
pub(in crate::backend::redis) fn late_by(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("redis did not answer within {limit:?}"),
    )
}

/// Returns the error of a request that has waited too long to be sent.
pub(super) fn unsent() -> Error {
    let text = format!("it has waited in this process for {LONGEST_WAIT:?} to be sent to redis");
    Error::new(ErrorKind::Overloaded, text)
}

/// Returns the error of a request that is rejected because the queue is full.
pub(in crate::backend::redis) fn refused() -> Error {
    Error::new(
        ErrorKind::Overloaded,
        format!(
            "{MOST_WAITING} commands, or {} MiB, wait in this process to be sent to redis",
            MOST_BYTES_WAITING >> 20
        ),
    )
}
