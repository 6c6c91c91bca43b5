use std::sync::atomic::{AtomicU8, Ordering};

/// Results of a function's last lookups on the server, which predict the next result. If a miss is
/// expected, the call requests the lease at once. The lease request still returns a stored entry.
#[derive(Default)]
pub(crate) struct Outlook(AtomicU8);

impl Outlook {
    /// Records the result of a lookup. Concurrent lookups may count as one, because the prediction
    /// need not be exact.
    pub(crate) fn note(&self, hit: bool) {
        let looks = self.0.load(Ordering::Relaxed);
        self.0.store(looks << 1 | u8::from(!hit), Ordering::Relaxed);
    }

    /// Predicts misses, because the stored entries have an old generation.
    pub(crate) fn expect_misses(&self) {
        self.0.store(u8::MAX, Ordering::Relaxed);
    }

    /// Returns `true` if the last eight lookups were misses.
    pub(crate) fn expects_miss(&self) -> bool {
        self.0.load(Ordering::Relaxed) == u8::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_expected_after_eight_and_no_more_after_one_hit() {
        let outlook = Outlook::default();
        for _ in 0..8 {
            assert!(!outlook.expects_miss());
            outlook.note(false);
        }
        assert!(outlook.expects_miss());
        outlook.note(false);
        assert!(outlook.expects_miss());
        outlook.note(true);
        assert!(!outlook.expects_miss());
        outlook.expect_misses();
        assert!(outlook.expects_miss());
    }
}
