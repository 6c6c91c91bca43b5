use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::api::check_report::CheckReport;
use crate::backend::contract::{Backend, Caller};
use crate::backend::lookup::ReadMode;
use crate::entry::policy::Policy;
use crate::error::{Error, ErrorKind};
use crate::invalidation::report::InvalidationReport;
use crate::invalidation::request::Invalidation;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::protocol::cache_inner::CacheInner;
use crate::protocol::settle::StoreDecision;
use crate::protocol::typed::{CallOutcome, TypedCall};
use crate::registry::FunctionState;
use crate::telemetry::stats::Stats;
use crate::values::returns::{OWNED, RESULT, Returns};
use crate::values::value_kind::Storable;

/// A cache: a handle that is cheap to clone. All clones are the same cache.
///
/// Annotated functions use the global cache unless they name another with `cache = …`.
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::{Cache, Policy};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = Cache::builder().in_process().build()?;
/// let clone = cache.clone();
/// cache.put("user:42", Policy::new(Duration::from_secs(60)), "Ada".to_owned()).await?;
/// assert_eq!(clone.get::<String>("user:42").await?.as_deref(), Some("Ada"));
/// # Ok::<(), recached_runtime::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<CacheInner>,
}

impl Cache {
    /// Returns `ErrorKind::Config` if the cache is off: its invalidations would not reach the
    /// fleet.
    pub(crate) fn is_on(&self) -> Result<(), Error> {
        if self.inner.is_forked() {
            return Err(Error::new(
                ErrorKind::Config,
                "this process was forked off after the cache was built: build caches after forking",
            ));
        }
        match self.inner.process.registry.off {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Config,
                "the cache is off, because the environment can't be used (see the log): mend REDIS_URL, or install a cache",
            )),
        }
    }

    /// Invalidates every function whose name matches. A pattern without a dot is matched against
    /// the last segment of the name, a pattern with a dot against the whole name. `*` matches any
    /// text, `?` any one character.
    ///
    /// The cost is the same for one entry and for a million.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be parsed, `ErrorKind::Config` if the
    /// cache is off, and the server's error if the server will never accept the invalidation (a
    /// missing right). An unreachable server is no error: see
    /// [`queued`](field@InvalidationReport::queued).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// let report = cache.invalidate("user*").await?;
    /// assert_eq!(report.functions, ["user"]);
    /// assert!(!cache.exists("user:42").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn invalidate(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        self.apply(Caller::Async, |_| Invalidation::functions(pattern))
            .await
    }

    /// Invalidates every call with this tag, of any function. The tag is given as `user:42`: the
    /// `tags` option with the arguments filled in. The cost is the same for one entry and for a
    /// million.
    ///
    /// Tags are not indexed: the report names no functions, and a tag can't be purged. Invalidated
    /// entries stay in memory until they expire.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the tag is empty, else the errors of
    /// [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let report = cache.invalidate_tag("user:42").await?;
    /// assert!(report.functions.is_empty() && !report.queued);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn invalidate_tag(&self, tag: &str) -> Result<InvalidationReport, Error> {
        self.apply(Caller::Async, |ns| Invalidation::tag(ns, tag))
            .await
    }

    /// Invalidates every call whose key, arguments included, matches: `user*:42:*`. Scans all keys
    /// of the server in batches.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("orders:42:open", minute, 1).await?;
    /// cache.put("orders:43:open", minute, 2).await?;
    /// let report = cache.invalidate_keys("orders:42:*").await?;
    /// assert_eq!(report.entries, 1);
    /// assert!(cache.exists("orders:43:open").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn invalidate_keys(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        self.apply(Caller::Async, |ns| Invalidation::keys(ns, pattern))
            .await
    }

    /// Invalidates everything in the namespace.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// cache.put("orders:42", minute, 2).await?;
    /// let report = cache.invalidate_all().await?;
    /// assert_eq!(report.functions, ["orders", "user"]);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn invalidate_all(&self) -> Result<InvalidationReport, Error> {
        self.apply(Caller::Async, |ns| Ok(Invalidation::everything(ns)))
            .await
    }

    /// Invalidates as [`invalidate`](Self::invalidate) does, then frees the memory by a scan.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// cache.put("user:43", minute, 2).await?;
    /// let report = cache.purge("user").await?;
    /// assert_eq!(report.entries, 2);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn purge(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        let functions = |_: &str| Invalidation::functions(pattern);
        self.apply_and_free(Caller::Async, functions, pattern).await
    }

    /// Invalidates as [`invalidate_all`](Self::invalidate_all) does, then frees the memory by a
    /// scan. Other namespaces are not touched.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// cache.put("orders:42", minute, 2).await?;
    /// assert_eq!(cache.purge_all().await?.entries, 2);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn purge_all(&self) -> Result<InvalidationReport, Error> {
        let everything = |ns: &str| Ok(Invalidation::everything(ns));
        self.apply_and_free(Caller::Async, everything, "*").await
    }

    /// Examines the server over the cache's own connection and reports what impairs the cache: the
    /// server's kind, tracking of changes, eviction policy, round-trip time and missing rights.
    /// Takes about thirty round trips and leaves no keys behind.
    ///
    /// # Errors
    ///
    /// Returns the reason if no server can be reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let report = cache.check().await?;
    /// assert!(report.is_healthy(), "{report}");
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn check(&self) -> Result<CheckReport, Error> {
        let session = self.inner.backend.session(Caller::Async).background();
        let patience = self.inner.patience;
        Ok(CheckReport::of(session.facts().await?, patience))
    }

    /// Returns a snapshot of the counters.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// cache.get::<i32>("user:42").await?;
    /// assert_eq!(cache.stats().function("user").puts, 1);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let process = &self.inner.process;
        process.registry.stats(process.near.stats())
    }

    /// Returns the value stored under `key`, or computes and stores it, with all the guarantees of
    /// an annotated function. The text before the first `:` of the key is the function's name.
    ///
    /// If the key or the store can't be used, the value is computed without the cache.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// let first = cache.get_or_compute("user:42", minute, || async { 1 }).await;
    /// let second = cache.get_or_compute("user:42", minute, || async { 2 }).await;
    /// assert_eq!((first, second), (1, 1));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn get_or_compute<T, F>(
        &self,
        key: &str,
        policy: Policy,
        compute: impl FnOnce() -> F,
    ) -> T
    where
        T: Storable + Clone,
        F: Future<Output = T>,
    {
        self.run_by_hand::<T, OWNED, F>(key, &policy, compute).await
    }

    /// Returns the stored or computed value as [`get_or_compute`](Self::get_or_compute) does, for a
    /// computation that can fail: only an `Ok` is stored.
    ///
    /// # Errors
    ///
    /// Returns the errors of `compute`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// let failed: Result<i32, _> =
    ///     cache.try_get_or_compute("user:42", minute, || async { Err("no such user") }).await;
    /// assert_eq!(failed, Err("no such user"));
    /// assert!(!cache.exists("user:42").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn try_get_or_compute<T, E, F>(
        &self,
        key: &str,
        policy: Policy,
        compute: impl FnOnce() -> F,
    ) -> Result<T, E>
    where
        T: Storable + Clone,
        F: Future<Output = Result<T, E>>,
    {
        self.run_by_hand::<Result<T, E>, RESULT, F>(key, &policy, compute)
            .await
    }

    async fn run_by_hand<R, const KIND: u8, F>(
        &self,
        key: &str,
        policy: &Policy,
        compute: impl FnOnce() -> F,
    ) -> R
    where
        R: Returns<KIND>,
        F: Future<Output = R>,
    {
        let (state, key) = match self.by_hand(key) {
            Ok(known) => known,
            Err(error) => {
                let observer = &self.inner.process.observer;
                self.inner.misuse.arises(observer, "get_or_compute", &error);
                return compute().await;
            }
        };
        if state.is_out() || self.inner.is_forked() {
            state.counters.here().bypasses.count();
            return compute().await;
        }
        let policy = state.policy(*policy);
        let request = TypedCall::<R, KIND>::new(&self.inner, &state, &key, &policy, Caller::Async);
        match request.seek().await {
            CallOutcome::Found(value) => value,
            CallOutcome::DueRenewal(value, min_remaining_ttl) => {
                match request.seek_ahead(min_remaining_ttl).await {
                    Some(permit) => match request.compute(&permit, pin!(compute())).await.split() {
                        Ok(new) => {
                            let new = R::join(new);
                            request.settle(permit, new, |_| StoreDecision::Store).await
                        }
                        Err(_) => {
                            request.fail(permit).await;
                            value
                        }
                    },
                    None => value,
                }
            }
            CallOutcome::Compute(permit) => {
                let result = request.compute(&permit, pin!(compute())).await;
                request
                    .settle(permit, result, |_| StoreDecision::Store)
                    .await
            }
        }
    }

    /// Returns the value stored under `key`; `None` if nothing is stored, if the stored value has
    /// another type, or if the server can't be reached, which is counted as an error.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// assert_eq!(cache.get::<i32>("user:42").await?, None);
    /// cache.put("user:42", minute, 1).await?;
    /// assert_eq!(cache.get::<i32>("user:42").await?, Some(1));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn get<T: Storable + Clone>(&self, key: &str) -> Result<Option<T>, Error> {
        let (state, key) = self.by_hand(key)?;
        if self.inner.is_forked() {
            return Ok(None);
        }
        let policy = state.policy(Policy::new(Duration::ZERO));
        let request = TypedCall::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async);
        Ok(request.peek().await)
    }

    /// Stores a value. A computation of the same key that is running is no longer stored. If the
    /// server can't be reached, nothing is stored, and the key is invalidated instead, as by
    /// [`remove`](Self::remove).
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used, `ErrorKind::Encode` if the value can't be
    /// encoded, `ErrorKind::Oversized` if it is larger than the cache's `max_value_size`, and the
    /// server's error if the server will never accept the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// cache.put("user:42", minute, 2).await?;
    /// assert_eq!(cache.get::<i32>("user:42").await?, Some(2));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn put<T: Storable + Clone>(
        &self,
        key: &str,
        policy: Policy,
        value: T,
    ) -> Result<(), Error> {
        let (state, key) = self.by_hand(key)?;
        if self.inner.process.registry.off || self.inner.is_forked() {
            return Ok(());
        }
        let policy = state.policy(policy);
        TypedCall::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async)
            .put(value)
            .await
    }

    /// Returns `true` if a valid entry of any type is stored under `key`.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// assert!(cache.exists("user:42").await?);
    /// assert!(!cache.exists("user:43").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        let (state, key) = self.by_hand(key)?;
        Ok(self.left(&state, &key).await.is_some())
    }

    /// Invalidates the entry under `key`; the report says if there was one.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used, and the server's error if the server will
    /// never accept the invalidation. An unreachable server is no error: see
    /// [`queued`](field@InvalidationReport::queued).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// let report = cache.remove("user:42").await?;
    /// assert_eq!(report.entries, 1);
    /// assert!(!cache.exists("user:42").await?);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn remove(&self, key: &str) -> Result<InvalidationReport, Error> {
        self.apply(Caller::Async, |_| {
            let (_, key) = self.by_hand(key)?;
            Ok(Invalidation::call(&key))
        })
        .await
    }

    /// Returns the remaining ttl of the entry under `key`; `None` if nothing is stored.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.put("user:42", minute, 1).await?;
    /// let left = cache.ttl("user:42").await?;
    /// assert!(left.is_some_and(|left| left <= Duration::from_secs(60)));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn ttl(&self, key: &str) -> Result<Option<Duration>, Error> {
        let (state, key) = self.by_hand(key)?;
        Ok(self.left(&state, &key).await)
    }

    /// Returns the remaining ttl of a valid entry of any type; `None` if there is none, or if the
    /// server can't be reached.
    async fn left(&self, state: &FunctionState, key: &Key) -> Option<Duration> {
        let session = self.inner.backend.session(Caller::Async);
        let read = match session.read(key, &state.groups, ReadMode::WithLife).await {
            Ok(read) => read,
            Err(error) => {
                state.counters.here().errors.count(error.kind());
                return None;
            }
        };
        let current = read.entry.as_ref();
        let current = current.is_some_and(|entry| entry.is_of(read.stamp));
        let cap = state.policy(Policy::new(Duration::ZERO)).cap;
        read.fresh(cap).filter(|_| current)
    }

    fn by_hand(&self, key: &str) -> Result<(Arc<FunctionState>, Key), Error> {
        let key = Key::by_hand(&self.inner.namespace, key)?;
        let state = self.inner.process.registry.by_hand(key.name())?;
        state.check()?;
        Ok((state, key))
    }

    /// Applies an invalidation in this process and in the fleet.
    pub(crate) async fn apply(
        &self,
        caller: Caller,
        invalidation: impl FnOnce(&str) -> Result<Invalidation, Error>,
    ) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        let invalidation = invalidation(&self.inner.namespace)?;
        self.inner.apply(caller, invalidation).await
    }

    /// Applies an invalidation as [`apply`](Self::apply) does, then frees the memory of the
    /// functions whose names match. Entries that are not freed now expire.
    pub(crate) async fn apply_and_free(
        &self,
        caller: Caller,
        invalidation: impl FnOnce(&str) -> Result<Invalidation, Error>,
        pattern: &str,
    ) -> Result<InvalidationReport, Error> {
        let mut report = self.apply(caller, invalidation).await?;
        let session = self.inner.backend.session(caller).ahead();
        let pattern = KeyPattern::of_functions(pattern)?;
        match session.remove_matching(&pattern).await {
            Ok(removed) => report.entries = removed.entries,
            // The entries are invalid, or will be when the outbox is delivered.
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error),
        }
        self.inner.backend.forget(&Invalidation::Keys(pattern));
        Ok(report)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.inner.namespace)
            .finish_non_exhaustive()
    }
}
