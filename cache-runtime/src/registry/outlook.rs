use std::sync::atomic::{AtomicU8, Ordering};

/// Results of a function's last looks at the server, which predict the next one: if
/// nothing is expected, the lease is asked for at once, and finds what is there all the same.
#[derive(Default)]
pub(crate) struct Outlook(AtomicU8);

impl Outlook {
    /// One look more. Looks that come at one time may count as one: it is a guess.
    pub(crate) fn note(&self, hit: bool) {
        let looks = self.0.load(Ordering::Relaxed);
        self.0.store(looks << 1 | u8::from(!hit), Ordering::Relaxed);
    }

    /// The stored entries are of another generation.
    pub(crate) fn expect_misses(&self) {
        self.0.store(u8::MAX, Ordering::Relaxed);
    }

    /// Returns `true` if the last eight have found nothing.
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
