use std::time::Duration;

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
    pub(crate) wait: Option<Duration>,
    pub(crate) near: bool,
    pub(crate) near_ttl: Option<Duration>,
}

impl Policy {
    /// Entries live for `ttl`; everything else as its default says.
    pub const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            jitter: 0.05,
            none_ttl: None,
            lease: None,
            wait: None,
            near: true,
            near_ttl: None,
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
    pub const fn wait(mut self, longest: Duration) -> Self {
        self.wait = Some(longest);
        self
    }

    /// Whether this process keeps copies of what Redis holds (default: yes).
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

    /// The lifetime of one entry, jitter drawn.
    pub(crate) fn life(&self, none: bool) -> Duration {
        let ttl = match self.none_ttl {
            Some(ttl) if none => ttl,
            _ => self.ttl,
        };
        if self.jitter > 0.0 {
            ttl.mul_f64(1.0 - self.jitter * fastrand::f64())
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
            let life = policy.life(false);
            assert!(life <= Duration::from_secs(100) && life >= Duration::from_secs(80));
        }
        assert_eq!(policy.jitter(0.0).life(false), Duration::from_secs(100));
    }

    #[test]
    fn none_has_a_lifetime_of_its_own() {
        let policy = Policy::new(Duration::from_secs(9))
            .jitter(0.0)
            .none_ttl(Duration::from_secs(1));
        assert_eq!(policy.life(true), Duration::from_secs(1));
        assert_eq!(policy.life(false), Duration::from_secs(9));
    }
}
