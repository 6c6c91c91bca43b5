use crate::process::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::telemetry::event::{Event, Observer};

/// Time without a failure after which a function is reported as recovered. The delay ensures that a
/// function that fails only for some arguments is reported once.
const CALM: Duration = Duration::from_secs(10);

/// Reports the failures of one function to the observer, once per change of state.
#[derive(Default)]
pub(crate) struct FailureReporter(Mutex<Option<Instant>>);

impl FailureReporter {
    /// Records that a call was computed and not stored.
    pub(crate) fn arises(&self, observer: &Observer, function: &str, error: &Error) {
        // An outage or an overload is reported once for all functions, not here.
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

    /// Records that a call was stored.
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
