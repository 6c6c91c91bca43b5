use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::fingerprint::Fingerprint;

/// Calls that this process has invalidated and has not looked up since, so the entries of these
/// calls are probably missing. The set is not exact: calls that share a slot overwrite each other.
pub(crate) struct JustInvalidated([AtomicU64; PLACES]);

const PLACES: usize = 64;

impl Default for JustInvalidated {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }
}

impl JustInvalidated {
    pub(crate) fn add(&self, call: &Fingerprint) {
        self.place(call).store(call.word(), Ordering::Relaxed);
    }

    /// Removes `call` from the set. Returns `true` if the set contained `call`.
    pub(crate) fn take(&self, call: &Fingerprint) -> bool {
        let (place, word) = (self.place(call), call.word());
        // The first comparison usually fails, so most calls read the slot without a write.
        place.load(Ordering::Relaxed) == word
            && place
                .compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn place(&self, call: &Fingerprint) -> &AtomicU64 {
        &self.0[call.word() as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_invalidated_is_known_once() {
        let (calls, one) = (JustInvalidated::default(), Fingerprint::of("ns:f:1"));
        assert!(!calls.take(&one));
        calls.add(&one);
        assert!(!calls.take(&Fingerprint::of("ns:f:2")));
        assert!(calls.take(&one));
        assert!(!calls.take(&one));
    }
}
