use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Requests in one pipeline at most: all of them wait for the last reply.
pub(super) const MOST: usize = 64;

/// Bytes that one pipeline has at most, unless it is one request.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Requests that are sent and unanswered at most.
pub(super) const MOST_IN_FLIGHT: usize = 512;

/// Bytes of them at most, unless it is one pipeline.
pub(super) const MOST_BYTES_IN_FLIGHT: usize = 4 << 20;

/// Requests that wait to be sent at most.
pub(super) const MOST_WAITING: usize = 1 << 18;

/// Bytes of them at most.
pub(super) const MOST_BYTES_WAITING: usize = 64 << 20;

/// How long one waits to be sent at most.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The error of one that was not answered in time.
pub(in crate::backend::redis) fn late_by(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("redis did not answer within {limit:?}"),
    )
}

/// The error of one that has waited too long to be sent.
pub(super) fn unsent() -> Error {
    let text = format!("it has waited in this process for {LONGEST_WAIT:?} to be sent to redis");
    Error::new(ErrorKind::Overloaded, text)
}

/// The error of one that finds too many before it.
pub(in crate::backend::redis) fn refused() -> Error {
    Error::new(
        ErrorKind::Overloaded,
        format!(
            "{MOST_WAITING} commands, or {} MiB, wait in this process to be sent to redis",
            MOST_BYTES_WAITING >> 20
        ),
    )
}
