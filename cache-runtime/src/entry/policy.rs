use std::time::Duration;

use crate::entry::codec::{Codec, Compression, Encoding};
use crate::entry::header::LONGEST;

/// Lifetimes and options of a function's entries: the options of the attribute, for use by hand.
///
/// Durations have a resolution of one millisecond, as in Redis. A `ttl` of zero stores nothing.
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::{Cache, Policy};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = Cache::builder().in_process().build()?;
/// const USER: Policy = Policy::new(Duration::from_secs(300)).jitter(0.1);
/// let user = cache.get_or_compute("user:42", USER, || async { "Ada".to_owned() }).await;
/// assert_eq!(user, "Ada");
/// assert!(cache.ttl("user:42").await? > Some(Duration::from_secs(200)));
/// # Ok::<(), recached_runtime::Error>(())
/// # }).unwrap();
/// ```
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
    /// Any other value.
    Value,
    /// A `None`.
    Nothing,
    /// A stored error.
    Failure,
}

impl Policy {
    /// Returns a policy of entries that live for `ttl`, with the default of every other option.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let policy = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", policy, 1).await?;
    /// assert!(cache.exists("user:42").await?);
    /// cache.put("user:43", Policy::new(Duration::ZERO), 1).await?;
    /// assert!(!cache.exists("user:43").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
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

    /// Shortens each lifetime by a random share of up to `share`, so that a fleet's entries do not
    /// expire together. Limited to 0.0..=1.0. Default: 0.05.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let policy = Policy::new(Duration::from_secs(100)).jitter(0.2);
    /// cache.put("user:42", policy, 1).await?;
    /// let left = cache.ttl("user:42").await?.expect("the value is stored");
    /// assert!(left > Duration::from_secs(79) && left <= Duration::from_secs(100));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self
    }

    /// Sets the ttl of a `None`. Default: the ttl of any value.
    ///
    /// ```text
    /// #[cached(ttl = 300, none_ttl = 30)]
    /// async fn user(id: u64) -> Option<User> { … }
    /// ```
    pub const fn none_ttl(mut self, ttl: Duration) -> Self {
        self.none_ttl = Some(ttl);
        self
    }

    /// Sets the life of a lease between renewals: the longest delay of other processes if the
    /// computing process dies. At least 100 ms; default: the cache's `lease`, 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// const REPORT: Policy = Policy::new(Duration::from_secs(300)).lease(Duration::from_secs(2));
    /// let report = cache.get_or_compute("report:7", REPORT, || async { 1 }).await;
    /// assert_eq!((report, cache.get::<i32>("report:7").await?), (1, Some(1)));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn lease(mut self, life: Duration) -> Self {
        self.lease = Some(life);
        self
    }

    /// Sets the longest time that a call waits for another holder before it computes for itself.
    /// Default: the cache's `lease_wait`, 10 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// const REPORT: Policy = Policy::new(Duration::from_secs(300)).lease_wait(Duration::from_secs(2));
    /// let report = cache.get_or_compute("report:7", REPORT, || async { 1 }).await;
    /// assert_eq!((report, cache.get::<i32>("report:7").await?), (1, Some(1)));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn lease_wait(mut self, longest: Duration) -> Self {
        self.lease_wait = Some(longest);
        self
    }

    /// Enables the near cache: this process keeps copies of values in Redis. Default: `true`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// const REPORT: Policy = Policy::new(Duration::from_secs(300)).near(false);
    /// let report = cache.get_or_compute("report:7", REPORT, || async { 1 }).await;
    /// assert_eq!((report, cache.get::<i32>("report:7").await?), (1, Some(1)));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn near(mut self, keep: bool) -> Self {
        self.near = keep;
        self
    }

    /// Sets the longest time that the near cache keeps a copy of a value in Redis. Default: as long
    /// as Redis. If the server does not report changes, this is the longest time that a copy may be
    /// out of date, and without it no copies are kept.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// const REPORT: Policy = Policy::new(Duration::from_secs(300)).near_ttl(Duration::from_secs(5));
    /// let report = cache.get_or_compute("report:7", REPORT, || async { 1 }).await;
    /// assert_eq!((report, cache.get::<i32>("report:7").await?), (1, Some(1)));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn near_ttl(mut self, longest: Duration) -> Self {
        self.near_ttl = Some(longest);
        self
    }

    /// Sets the ttl of an error, for functions whose errors are stored.
    #[doc(hidden)]
    pub const fn err_ttl(mut self, ttl: Duration) -> Self {
        self.err_ttl = Some(ttl);
        self
    }

    /// Sets the time after the ttl during which a stale value is served while a new one is computed
    /// (RFC 5861). An annotated function computes it in the background; by hand, the caller
    /// computes it, as after a miss. Default: zero, no stale values.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let policy = Policy::new(Duration::from_millis(10)).stale_while_revalidate(Duration::from_secs(60));
    /// cache.put("user:42", policy, 1).await?;
    /// std::thread::sleep(Duration::from_millis(50));
    /// // By hand, the caller computes the new value.
    /// assert_eq!(cache.get_or_compute("user:42", policy, || async { 2 }).await, 2);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// Sets the time after the ttl during which a stale value replaces a computation that fails
    /// (RFC 5861). Default: zero, no stale values.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let policy = Policy::new(Duration::from_millis(10)).stale_if_error(Duration::from_secs(60));
    /// cache.put("user:42", policy, 1).await?;
    /// std::thread::sleep(Duration::from_millis(50));
    /// let user = cache.try_get_or_compute("user:42", policy, || async { Err("database is down") }).await;
    /// assert_eq!(user, Ok(1));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// Sets the pause after a failed refresh, during which the whole fleet serves this call's stale
    /// value and does not call the function. A refresh fails if the function returns an error or
    /// panics, or if its value is not stored. Zero means no pause; default: 1 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let policy = Policy::new(Duration::from_millis(10))
    ///     .stale_if_error(Duration::from_secs(60))
    ///     .retry_after(Duration::from_secs(30));
    /// cache.put("user:42", policy, 1).await?;
    /// std::thread::sleep(Duration::from_millis(50));
    /// for _ in 0..2 {
    ///     let user = cache.try_get_or_compute("user:42", policy, || async { Err("down") }).await;
    ///     assert_eq!(user, Ok(1));
    /// }
    /// assert_eq!(cache.stats().function("user").computations, 1);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = pause;
        self
    }

    /// Computes a new value before the ttl ends, with a probability that grows towards the end and
    /// with the duration of the computation. Default: 0.0, never. 1.0 is XFetch as published;
    /// larger values refresh earlier. Vattani, Chierichetti, Lowenstein: Optimal Probabilistic
    /// Cache Stampede Prevention, VLDB 2015.
    #[doc(hidden)]
    pub const fn refresh_ahead(mut self, eagerness: f64) -> Self {
        self.refresh_ahead = if eagerness > 0.0 { eagerness } else { 0.0 };
        self
    }

    /// Sets the longest time that a computation may take if a stale value can replace its result.
    #[doc(hidden)]
    pub const fn soft_timeout(mut self, limit: Duration) -> Self {
        self.soft_timeout = Some(limit);
        self
    }

    /// Sets the codec of stored values; without a server it has no effect. Default:
    /// [`Json`](crate::entry::codec::Json).
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::Policy;
    /// use recached_runtime::codec::Json;
    ///
    /// let minute = Policy::new(Duration::from_secs(60));
    /// assert_eq!(minute.codec::<Json>(), minute);
    /// ```
    pub const fn codec<C: Codec>(mut self) -> Self {
        self.codec.format = C::FORMAT;
        self
    }

    /// Compresses large values. Default: no compression.
    ///
    /// ```
    /// # #[cfg(feature = "compress")] {
    /// use std::time::Duration;
    /// use recached_runtime::Policy;
    /// use recached_runtime::codec::Lz4;
    ///
    /// let minute = Policy::new(Duration::from_secs(60));
    /// assert_ne!(minute.compress::<Lz4>(), minute);
    /// # }
    /// ```
    pub const fn compress<C: Compression>(mut self) -> Self {
        self.codec.packed = true;
        self
    }

    /// Returns the time for which an entry is stored after its ttl.
    pub(crate) fn window(&self) -> Duration {
        self.stale_while_revalidate
            .max(self.stale_if_error)
            .min(LONGEST)
    }

    /// Returns `true` if an entry's age matters before its end: it can be stale, be refreshed
    /// ahead, or be limited by an override.
    pub(crate) fn ages(&self) -> bool {
        !self.window().is_zero() || self.refresh_ahead > 0.0 || self.cap.is_some()
    }

    /// Returns the time before the end of its ttl at which a value that took `cost` is computed
    /// anew. Drawn at random for each lookup.
    pub(crate) fn ahead(&self, cost: Duration) -> Duration {
        if self.refresh_ahead > 0.0 {
            // `1 - x`, because the logarithm of zero is infinite.
            let drawn = -(1.0 - fastrand::f64()).ln();
            let ahead = cost.as_secs_f64() * self.refresh_ahead * drawn;
            Duration::try_from_secs_f64(ahead).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        }
    }

    /// Returns the lifetime of one entry, with jitter.
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

    /// Applies the ttl of an override, if there is one.
    pub(crate) fn capped(mut self, ttl: Option<Duration>) -> Self {
        if let Some(ttl) = ttl {
            self.ttl = ttl;
            self.cap = Some(ttl);
        }
        self
    }

    /// Returns this lifetime for one entry, with jitter.
    pub(crate) fn jittered(&self, ttl: Duration) -> Duration {
        if self.jitter > 0.0 {
            let share = 1.0 - self.jitter * fastrand::f64();
            // `Duration::MAX` times a share that rounds to one would overflow.
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
        // An exponential distribution, whose mean is the computation's time times the eagerness.
        assert!((0.9..1.1).contains(&mean(policy.refresh_ahead(1.0), second)));
        assert!((5.4..6.6).contains(&mean(policy.refresh_ahead(2.0), second * 3)));
    }
}
