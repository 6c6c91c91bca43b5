use crate::process::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::telemetry::event::{Event, Observer};

/// How long nothing must be wrong before all is said to be well: what fails for some arguments
/// and not for others is reported once.
const CALM: Duration = Duration::from_secs(10);

/// `true` if a function itself has failed; reported when that changes.
#[derive(Default)]
pub(crate) struct FailureReporter(Mutex<Option<Instant>>);

impl FailureReporter {
    /// A call was computed and not stored.
    pub(crate) fn arises(&self, observer: &Observer, function: &str, error: &Error) {
        // An outage or an overload is reported once for all functions.
        if matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Overloaded
        ) {
            return;
        }
        let mut last = self.0.lock();
        let known = last.replace(Instant::now()).is_some();
        drop(last);
        if !known {
            observer.notify(&Event::FunctionDegraded {
                function: function.to_owned(),
                error: error.again(),
            });
        }
    }

    /// A call was stored.
    pub(crate) fn ends(&self, observer: &Observer, function: &str) {
        let mut last = self.0.lock();
        let ended = last.take_if(|last| last.elapsed() >= CALM).is_some();
        drop(last);
        if ended {
            observer.notify(&Event::FunctionRecovered {
                function: function.to_owned(),
            });
        }
    }
}
