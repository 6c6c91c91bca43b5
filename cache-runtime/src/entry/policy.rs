use std::time::Duration;

use crate::entry::codec::{Codec, Compression, Encoding};
use crate::entry::header::LONGEST;

/// How the entries of a function live: what the attribute says, for use by hand.
///
/// Durations are exact to the millisecond, Redis's own unit. A `ttl` of zero stores nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Policy {
    pub(crate) ttl: Duration,
    pub(crate) jitter: f64,
    pub(crate) none_ttl: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) lease_wait: Option<Duration>,
    pub(crate) near: bool,
    pub(crate) near_ttl: Option<Duration>,
    pub(crate) err_ttl: Option<Duration>,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) refresh_ahead: f64,
    pub(crate) retry_after: Duration,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) codec: Encoding,
    /// Ttl of an override: no value lives longer, whatever ttl it was stored with.
    pub(crate) cap: Option<Duration>,
}

/// Class of a value, which decides its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueClass {
    /// A value like any other.
    Value,
    /// A `None`.
    Nothing,
    /// An error that is stored.
    Failure,
}

impl Policy {
    /// Entries live for `ttl`; everything else as its default says.
    pub const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            jitter: 0.05,
            none_ttl: None,
            lease: None,
            lease_wait: None,
            near: true,
            near_ttl: None,
            err_ttl: None,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            refresh_ahead: 0.0,
            retry_after: Duration::from_secs(1),
            soft_timeout: None,
            codec: Encoding::JSON,
            cap: None,
        }
    }

    /// Shortens each lifetime by a random share of up to `share` (default 0.05), so that a
    /// fleet's entries do not expire together. Held to 0.0..=1.0.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self
    }

    /// The lifetime of a `None` (default: like any value).
    pub const fn none_ttl(mut self, ttl: Duration) -> Self {
        self.none_ttl = Some(ttl);
        self
    }

    /// The life of a lease between renewals (default: the cache's, 5 s): how long others are
    /// held up at most when the process that computes dies. Not below 100 ms.
    pub const fn lease(mut self, life: Duration) -> Self {
        self.lease = Some(life);
        self
    }

    /// How long a call waits for another holder before it computes for itself (default: the
    /// cache's, 10 s).
    pub const fn lease_wait(mut self, longest: Duration) -> Self {
        self.lease_wait = Some(longest);
        self
    }

    /// Returns `true` if this process keeps copies of what Redis holds (default: yes).
    pub const fn near(mut self, keep: bool) -> Self {
        self.near = keep;
        self
    }

    /// The longest that this process keeps a copy of what Redis holds (default: as long as
    /// Redis). Where the server tells of no changes, this is how stale a copy may be; without
    /// it, none is kept there.
    pub const fn near_ttl(mut self, longest: Duration) -> Self {
        self.near_ttl = Some(longest);
        self
    }

    /// The lifetime of an error, where errors are stored.
    #[doc(hidden)]
    pub const fn err_ttl(mut self, ttl: Duration) -> Self {
        self.err_ttl = Some(ttl);
        self
    }

    /// For how long past its ttl a value is served while a new one is computed (default: not at
    /// all; RFC 5861). An annotated function computes it in the background; by hand, the caller
    /// computes it, as after a miss.
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For how long past its ttl a value stands in for a computation that fails (default: not at
    /// all; RFC 5861).
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// Pause after a failed refresh, during which the stale value is served and the function is
    /// not called: in the whole fleet, for this call (default: 1 s). A refresh fails if the
    /// function returns an error or panics, or if its value is not stored. Zero is no pause.
    pub const fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = pause;
        self
    }

    /// Computes anew before the ttl ends, the likelier the nearer the end is and the longer the
    /// computation took (default: never). 1.0 is XFetch as published; more is earlier. Vattani,
    /// Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015.
    #[doc(hidden)]
    pub const fn refresh_ahead(mut self, eagerness: f64) -> Self {
        self.refresh_ahead = if eagerness > 0.0 { eagerness } else { 0.0 };
        self
    }

    /// How long a computation may take where a stale value can stand in for it.
    #[doc(hidden)]
    pub const fn soft_timeout(mut self, limit: Duration) -> Self {
        self.soft_timeout = Some(limit);
        self
    }

    /// How values are written (default: [`Json`](crate::entry::codec::Json)). Of no effect in the
    /// process.
    pub const fn codec<C: Codec>(mut self) -> Self {
        self.codec.format = C::FORMAT;
        self
    }

    /// Compresses what is large (default: nothing).
    pub const fn compress<C: Compression>(mut self) -> Self {
        self.codec.packed = true;
        self
    }

    /// How long an entry is stored past its ttl.
    pub(crate) fn window(&self) -> Duration {
        self.stale_while_revalidate
            .max(self.stale_if_error)
            .min(LONGEST)
    }

    /// Returns `true` if there is more to the life of its entries than an end.
    pub(crate) fn ages(&self) -> bool {
        !self.window().is_zero() || self.refresh_ahead > 0.0 || self.cap.is_some()
    }

    /// How long before the end of its ttl a value that took `cost` is to be computed anew, drawn
    /// for one look at it.
    pub(crate) fn ahead(&self, cost: Duration) -> Duration {
        if self.refresh_ahead > 0.0 {
            // 1 - x, because the logarithm of zero has no end.
            let drawn = -(1.0 - fastrand::f64()).ln();
            let ahead = cost.as_secs_f64() * self.refresh_ahead * drawn;
            Duration::try_from_secs_f64(ahead).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        }
    }

    /// The lifetime of one entry, jitter drawn.
    pub(crate) fn life(&self, class: ValueClass) -> Duration {
        let special = match class {
            ValueClass::Value => None,
            ValueClass::Nothing => self.none_ttl,
            ValueClass::Failure => Some(self.err_ttl.unwrap_or_default()),
        };
        let life = special.unwrap_or(self.ttl);
        self.jittered(match class {
            ValueClass::Value => life,
            ValueClass::Nothing | ValueClass::Failure => life.min(self.cap.unwrap_or(life)),
        })
    }

    /// With the ttl that is set at run time, if one is.
    pub(crate) fn capped(mut self, ttl: Option<Duration>) -> Self {
        if let Some(ttl) = ttl {
            self.ttl = ttl;
            self.cap = Some(ttl);
        }
        self
    }

    /// This lifetime for one entry, jitter drawn.
    pub(crate) fn jittered(&self, ttl: Duration) -> Duration {
        if self.jitter > 0.0 {
            let share = 1.0 - self.jitter * fastrand::f64();
            // The longest there is can't be multiplied with something that rounds to one.
            Duration::try_from_secs_f64(ttl.as_secs_f64() * share).unwrap_or(ttl)
        } else {
            ttl
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_and_never_lengthens() {
        let policy = Policy::new(Duration::from_secs(100)).jitter(0.2);
        for _ in 0..1_000 {
            let life = policy.life(ValueClass::Value);
            assert!(life <= Duration::from_secs(100) && life >= Duration::from_secs(80));
        }
        assert_eq!(
            policy.jitter(0.0).life(ValueClass::Value),
            Duration::from_secs(100)
        );
    }

    #[test]
    fn the_longest_lifetime_can_be_jittered() {
        for share in [f64::MIN_POSITIVE, 0.05, 1.0, f64::NAN, f64::INFINITY] {
            let policy = Policy::new(Duration::MAX).jitter(share);
            assert!(policy.life(ValueClass::Value) <= Duration::MAX);
        }
    }

    #[test]
    fn none_has_a_lifetime_of_its_own() {
        let policy = Policy::new(Duration::from_secs(9))
            .jitter(0.0)
            .none_ttl(Duration::from_secs(1));
        assert_eq!(policy.life(ValueClass::Nothing), Duration::from_secs(1));
        assert_eq!(policy.life(ValueClass::Value), Duration::from_secs(9));
    }

    #[test]
    fn a_refresh_comes_the_earlier_the_longer_it_takes() {
        let policy = Policy::new(Duration::from_secs(60));
        let second = Duration::from_secs(1);
        assert_eq!(policy.ahead(second), Duration::ZERO);
        let mean = |policy: Policy, cost: Duration| {
            let sum: f64 = (0..20_000).map(|_| policy.ahead(cost).as_secs_f64()).sum();
            sum / 20_000.0
        };
        // Exponential: its mean is the computation's time, times the eagerness.
        assert!((0.9..1.1).contains(&mean(policy.refresh_ahead(1.0), second)));
        assert!((5.4..6.6).contains(&mean(policy.refresh_ahead(2.0), second * 3)));
    }
}
