use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::api::builder::Builder;
use crate::api::check_report::CheckReport;
use crate::api::invalidation_report::InvalidationReport;
use crate::backend::redis::Change;
use crate::backend::{
    AnyBackend, Backend, Caller, InvalidationSink, PendingInvalidation, ReadMode,
};
use crate::entry::policy::Policy;
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::Group;
use crate::key::Key;
use crate::key::nearest::nearest;
use crate::key::pattern::{KeyPattern, NamePattern};
use crate::key::secret::Secret;
use crate::process;
use crate::process::background::yielded;
use crate::protocol::process_state::ProcessState;
use crate::protocol::refresh::BackgroundRefreshes;
use crate::protocol::{CallOutcome, StoreDecision, TypedCall};
use crate::registry::FunctionState;
use crate::registry::failure_reporter::FailureReporter;
use crate::telemetry::event::Event;
use crate::telemetry::stats::Stats;
use crate::values::return_kind::{OWNED, RESULT, Returns, Storable};

/// Groups that are invalidated at one go: of ten thousand, others have their turns in between.
const PART: usize = 500;

/// A cache: a handle that is cheap to clone, all clones being one.
///
/// Annotated functions use the installed one unless they name another with `cache = …`.
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<CacheInner>,
}

pub(crate) struct CacheInner {
    pub(crate) namespace: Arc<str>,
    pub(crate) store: AnyBackend,
    pub(crate) local: Arc<ProcessState>,
    pub(crate) defaults: Defaults,
    /// What the payload of an entry takes at most, in bytes.
    pub(crate) max_value_size: u64,
    pub(crate) refreshes: Arc<BackgroundRefreshes>,
    pub(crate) secret: Secret,
    /// How long a call waits for the server.
    pub(crate) patience: Duration,
    /// Keys by hand that can't be used.
    pub(crate) misuse: FailureReporter,
    /// This process is a fork, and that was told.
    pub(crate) forked: AtomicBool,
    /// Patterns that match no function and have been told of.
    pub(crate) warned: Mutex<HashSet<String>>,
}

/// Patterns that are told of at most.
const MOST_WARNINGS: usize = 1_000;

/// What holds where a policy says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) lease: Duration,
    pub(crate) lease_wait: Duration,
}

static INSTALLED: OnceLock<Cache> = OnceLock::new();

/// Whether nobody has installed it.
static OF_ENVIRONMENT: AtomicBool = AtomicBool::new(false);

/// How often the environment is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Cache {
    /// Starts to build a cache.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The process's default cache: the installed one, or else one made now from `REDIS_URL`, or
    /// else one in this process.
    ///
    /// If the environment can't be used, it is *off*: every call computes, and invalidations are
    /// errors. A private cache in its place would be out of reach of the fleet's invalidations.
    /// What may pass (no file descriptors left) is tried again, once a second.
    #[must_use]
    #[inline]
    pub fn global() -> &'static Self {
        INSTALLED.get().unwrap_or_else(Self::of_environment)
    }

    #[cold]
    fn of_environment() -> &'static Self {
        static OFF: OnceLock<Cache> = OnceLock::new();
        static TRIED: Mutex<Option<(Instant, bool)>> = Mutex::new(None);
        // Those who come meanwhile wait: with two caches, one's invalidations would miss the other.
        let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(installed) = INSTALLED.get() {
            return installed;
        }
        let off = || OFF.get_or_init(|| Builder::default().off());
        match *tried {
            Some((_, false)) => return off(),
            Some((at, true)) if at.elapsed() < RETRY => return off(),
            _ => {}
        }
        match Self::builder().build() {
            Ok(cache) => INSTALLED.get_or_init(|| {
                OF_ENVIRONMENT.store(true, Ordering::Relaxed);
                cache
            }),
            Err(error) => {
                let is_first = tried
                    .replace((Instant::now(), error.is_passing()))
                    .is_none();
                let off = off();
                // Whoever hears of it may use the cache.
                drop(tried);
                if is_first {
                    tracing::error!("the cache of this process is off: {error}");
                }
                off
            }
        }
    }

    pub(crate) fn install(self) -> Result<(), Error> {
        INSTALLED.set(self).map_err(|_| {
            let text = match OF_ENVIRONMENT.load(Ordering::Relaxed) {
                false => "a cache is installed already: install once, first thing in `main`".into(),
                true => match Self::global().inner.local.registry.first_called() {
                    Some(name) => format!(
                        "the cached function `{name}` was called before this, and the cache was made of the environment: install first thing in `main`"
                    ),
                    None => "a cache was made of the environment before this: install first thing in `main`".into(),
                },
            };
            Error::new(ErrorKind::Config, text)
        })
    }

    /// An error if the cache is off: nothing that is asked of it would reach the fleet.
    pub(crate) fn is_on(&self) -> Result<(), Error> {
        if self.inner.is_forked() {
            return Err(Error::new(
                ErrorKind::Config,
                "this process was forked off after the cache was built: build caches after forking",
            ));
        }
        match self.inner.local.registry.off {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Config,
                "the cache is off, because the environment can't be used (see the log): mend REDIS_URL, or install a cache",
            )),
        }
    }

    /// Invalidates every function whose name matches: a pattern without a dot is held against
    /// the last segment, one with a dot against the whole name. `*` is any text, `?` any
    /// character.
    ///
    /// Costs the same for one entry and for a million.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be understood, and what the server says if
    /// it will never take the invalidation (a missing right). A server that is away is none: see
    /// [`queued`](field@InvalidationReport::queued).
    pub async fn invalidate(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        self.invalidate_from(Caller::Async, pattern).await
    }

    /// Invalidates every call with this tag, of whichever function: `user:42`, as the `tags`
    /// option has it with the arguments filled in. Costs the same for one entry and for a million.
    ///
    /// Which functions have calls with it, nobody keeps: none are named in what this gives, and
    /// there is no purge of a tag. What is out of reach expires.
    ///
    /// # Errors
    ///
    /// An empty tag; else as for [`invalidate`](Self::invalidate).
    pub async fn invalidate_tag(&self, tag: &str) -> Result<InvalidationReport, Error> {
        self.invalidate_tag_from(Caller::Async, tag).await
    }

    /// Invalidates every call whose key matches, arguments included: `user*:42:*`. Scans all
    /// keys of the server in batches.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn invalidate_keys(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        self.invalidate_keys_from(Caller::Async, pattern).await
    }

    /// Invalidates everything in the namespace.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<InvalidationReport, Error> {
        self.invalidate_all_from(Caller::Async).await
    }

    /// Invalidates as [`invalidate`](Self::invalidate) does, then frees the memory by a scan.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn purge(&self, pattern: &str) -> Result<InvalidationReport, Error> {
        self.purge_from(Caller::Async, pattern).await
    }

    /// Invalidates as [`invalidate_all`](Self::invalidate_all) does, then frees the memory by a
    /// scan. Of other namespaces nothing is touched.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn purge_all(&self) -> Result<InvalidationReport, Error> {
        self.purge_all_from(Caller::Async).await
    }

    /// Looks at the server as the cache will use it, and reports in words what stands in its way:
    /// what it is, whether it tells of changes, what it does when its memory is full, how far away
    /// it is, which rights are missing. Takes some thirty round trips, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// No server can be reached; the error says why.
    pub async fn check(&self) -> Result<CheckReport, Error> {
        let session = self.inner.store.session(Caller::Async).steady();
        let patience = self.inner.patience;
        Ok(CheckReport::of(session.facts().await?, patience))
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let local = &self.inner.local;
        local.registry.stats(local.near.stats())
    }

    /// The value stored under `key`, or the computed one, with all the guarantees of an
    /// annotated function. The text before the first `:` of the key is its function's name.
    ///
    /// The value is computed even if the key or the store can't be used.
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

    /// As [`get_or_compute`](Self::get_or_compute) for what can fail: only an `Ok` is stored.
    ///
    /// # Errors
    ///
    /// Those of `compute`.
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
                let observer = &self.inner.local.observer;
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
                    Some(work) => match request.compute(&work, pin!(compute())).await.split() {
                        Ok(new) => {
                            let new = R::join(new);
                            request.settle(work, new, |_| StoreDecision::Store).await
                        }
                        Err(_) => {
                            request.fail(work).await;
                            value
                        }
                    },
                    None => value,
                }
            }
            CallOutcome::Compute(work) => {
                let result = request.compute(&work, pin!(compute())).await;
                request.settle(work, result, |_| StoreDecision::Store).await
            }
        }
    }

    /// The value stored under `key`; `None` if there is none, or one of another type, or if the
    /// server is away, which is counted as an error.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    pub async fn get<T: Storable + Clone>(&self, key: &str) -> Result<Option<T>, Error> {
        let (state, key) = self.by_hand(key)?;
        if self.inner.is_forked() {
            return Ok(None);
        }
        let policy = state.policy(Policy::new(Duration::ZERO));
        let request = TypedCall::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async);
        Ok(request.peek().await)
    }

    /// Stores a value. A computation of the same key that is under way is not stored any more.
    /// While the server is away nothing is stored, and the key is invalidated in its place, as
    /// [`remove`](Self::remove) does.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` or `ErrorKind::Encode` if the key or the value can't be used, and
    /// what the server says if it will never take it.
    pub async fn put<T: Storable + Clone>(
        &self,
        key: &str,
        policy: Policy,
        value: T,
    ) -> Result<(), Error> {
        let (state, key) = self.by_hand(key)?;
        if self.inner.local.registry.off || self.inner.is_forked() {
            return Ok(());
        }
        let policy = state.policy(policy);
        TypedCall::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async)
            .put(value)
            .await
    }

    /// Whether something is stored under `key`, of whatever type, and not invalidated.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        let (state, key) = self.by_hand(key)?;
        Ok(self.left(&state, &key).await.is_some())
    }

    /// Invalidates what is stored under `key`, and reports whether there was something.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used, and what the server says if it will
    /// never take the invalidation. A server that is away is none: see
    /// [`queued`](field@InvalidationReport::queued).
    pub async fn remove(&self, key: &str) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        let (_, key) = self.by_hand(key)?;
        self.inner.remove(Caller::Async, &key).await
    }

    /// The remaining life of what is stored under `key`.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Key` if the key can't be used.
    pub async fn ttl(&self, key: &str) -> Result<Option<Duration>, Error> {
        let (state, key) = self.by_hand(key)?;
        Ok(self.left(&state, &key).await)
    }

    /// The life of what is stored, of whatever type, unless its generations are gone. A server that
    /// is away has none.
    async fn left(&self, state: &FunctionState, key: &Key) -> Option<Duration> {
        let session = self.inner.store.session(Caller::Async);
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
        let state = self.inner.local.registry.by_hand(key.name())?;
        state.check()?;
        Ok((state, key))
    }

    pub(crate) async fn invalidate_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        let wanted = NamePattern::parse(pattern)?;
        let inner = &self.inner;
        let session = inner.store.session(caller).ahead();
        let matching = |names: Vec<String>| names.into_iter().filter(|name| wanted.matches(name));
        let mut functions: Vec<String> = matching(inner.local.registry.names()).collect();
        let fleet = session.functions().await;
        let (told, incomplete) = match fleet {
            Ok(known) => {
                functions.extend(matching(known.names));
                functions.sort();
                functions.dedup();
                (Ok(()), known.incomplete)
            }
            Err(error) => (Err(error), false),
        };
        let groups: Vec<Group> = match incomplete {
            // One of the others may match.
            true => vec![Group::everything(&inner.namespace)],
            false => functions
                .iter()
                .map(|name| Group::function(&inner.namespace, name))
                .collect(),
        };
        let mut changed = told;
        for part in groups.chunks(PART) {
            if changed.is_ok() {
                session.refill();
                changed = session.change(part).await;
                yielded().await;
            }
        }
        let delivered = inner.delivered(changed, || {
            // Those that we know by name, too: the fleet's names may be gone by then.
            let known = groups.iter().map(|group| group.key().to_owned());
            let known = known.map(PendingInvalidation::Group);
            known
                .chain([PendingInvalidation::Functions(pattern.to_owned())])
                .collect()
        });
        for part in groups.chunks(PART) {
            inner.forget(part);
            yielded().await;
        }
        if functions.is_empty() && !incomplete {
            inner.warn_of_unknown(pattern);
        }
        Ok(InvalidationReport {
            functions,
            entries: 0,
            queued: delivered?.is_none(),
        })
    }

    pub(crate) async fn invalidate_tag_from(
        &self,
        caller: Caller,
        tag: &str,
    ) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        if tag.is_empty() {
            return Err(Error::new(
                ErrorKind::Pattern,
                "the tag is empty: write it as the `tags` option has it, as in `user:42`",
            ));
        }
        let inner = &self.inner;
        let groups = [Group::tag(&inner.namespace, tag, Duration::ZERO)];
        let session = inner.store.session(caller).ahead();
        let changed = session.change(&groups).await;
        let delivered = inner.delivered(changed, || {
            vec![PendingInvalidation::Group(groups[0].key().to_owned())]
        });
        inner.forget(&groups);
        Ok(InvalidationReport {
            queued: delivered?.is_none(),
            ..InvalidationReport::default()
        })
    }

    pub(crate) async fn invalidate_keys_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        let inner = &self.inner;
        let wanted = KeyPattern::parse(pattern, &inner.namespace)?;
        let session = inner.store.session(caller).ahead();
        let removed = session.remove_matching(&wanted).await;
        let removed = inner.delivered(removed, || {
            vec![PendingInvalidation::Calls(pattern.to_owned())]
        });
        let own = inner.local.remove_own_matching(&wanted);
        inner
            .local
            .flights
            .close_where(|key, _| wanted.matches(key));
        inner.store.forget(&Change::Calls(&wanted));
        Ok(match removed? {
            Some(mut removed) => {
                removed.functions.extend(own.functions);
                InvalidationReport {
                    functions: removed.functions.into_iter().collect(),
                    entries: removed.entries + own.entries,
                    queued: false,
                }
            }
            None => InvalidationReport::queued(),
        })
    }

    pub(crate) async fn invalidate_all_from(
        &self,
        caller: Caller,
    ) -> Result<InvalidationReport, Error> {
        self.is_on()?;
        let inner = &self.inner;
        let session = inner.store.session(caller).ahead();
        let everything = [Group::everything(&inner.namespace)];
        let changed = session.change(&everything).await;
        let delivered = inner.delivered(changed, || {
            vec![PendingInvalidation::Group(everything[0].key().to_owned())]
        });
        inner.forget(&everything);
        let mut functions = inner.local.registry.names();
        functions.extend(session.functions().await.unwrap_or_default().names);
        functions.sort();
        functions.dedup();
        Ok(InvalidationReport {
            functions,
            entries: 0,
            queued: delivered?.is_none(),
        })
    }

    pub(crate) async fn purge_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<InvalidationReport, Error> {
        let invalidated = self.invalidate_from(caller, pattern).await?;
        self.free(caller, pattern, invalidated).await
    }

    pub(crate) async fn purge_all_from(&self, caller: Caller) -> Result<InvalidationReport, Error> {
        let invalidated = self.invalidate_all_from(caller).await?;
        self.free(caller, "*", invalidated).await
    }

    /// Frees what is out of reach already: what is not freed now expires.
    async fn free(
        &self,
        caller: Caller,
        pattern: &str,
        mut report: InvalidationReport,
    ) -> Result<InvalidationReport, Error> {
        let session = self.inner.store.session(caller).ahead();
        let pattern = KeyPattern::of_functions(pattern)?;
        match session.remove_matching(&pattern).await {
            Ok(removed) => report.entries = removed.entries,
            // They are out of reach, or will be when the outbox is delivered.
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error),
        }
        self.inner.store.forget(&Change::Calls(&pattern));
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

impl CacheInner {
    /// Logs that no function matches, once for each pattern, with the name that may have been meant.
    fn warn_of_unknown(&self, pattern: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MOST_WARNINGS || !warned.insert(pattern.to_owned()) {
            return;
        }
        drop(warned);
        let names = self.local.registry.names();
        let last = |name: &'_ String| name.rsplit('.').next().unwrap_or(name).to_owned();
        let known: Vec<String> = match pattern.contains('.') {
            true => names,
            false => names.iter().map(last).collect(),
        };
        let word = pattern.trim_matches('*');
        let pattern = pattern.escape_debug();
        match nearest(word, known.iter().map(String::as_str)) {
            Some(meant) => {
                tracing::warn!(%pattern, "no function is named like this: did you mean `{meant}`?")
            }
            None => tracing::warn!(%pattern, "no function is named like this"),
        }
    }

    /// Whether calls must do without the cache, because this process is a fork.
    pub(crate) fn is_forked(&self) -> bool {
        if !process::is_forked() {
            return false;
        }
        // Its copies are served no more. No lock is taken: a thread that is not here may hold it.
        self.local.distrust();
        if !self.forked.swap(true, Ordering::Relaxed) {
            self.local.observer.tell(&Event::Forked);
        }
        true
    }

    /// What secret arguments are hashed with.
    pub(crate) fn secret(&self) -> &Secret {
        if self.secret.is_untold() {
            self.local.observer.tell(&Event::SecretNotShared);
        }
        &self.secret
    }

    /// Whoever reads or computes calls of these groups now does so with what was before.
    fn forget(&self, groups: &[Group]) {
        for group in groups {
            self.store.forget(&Change::Group(group.key()));
            self.local.group_changed(group.key());
        }
    }

    pub(crate) async fn remove(
        &self,
        caller: Caller,
        key: &Key,
    ) -> Result<InvalidationReport, Error> {
        let session = self.store.session(caller).ahead();
        let removed = session.remove(key).await;
        let removed = self.delivered(removed, || vec![PendingInvalidation::Call(key.to_string())]);
        let own = self.local.remove_own(key.as_str());
        self.forget_call(key);
        self.local.just_invalidated.add(key.fingerprint());
        Ok(match removed? {
            Some(entries) => InvalidationReport::of_call(key.name(), entries + own),
            None => InvalidationReport::queued(),
        })
    }

    /// The outcome of an invalidation: `None` if Redis is away and `pending` waits in the outbox.
    fn delivered<T>(
        &self,
        outcome: Result<T, Error>,
        pending: impl FnOnce() -> Vec<PendingInvalidation>,
    ) -> Result<Option<T>, Error> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.store.queue(pending(), error).map(|()| None),
        }
    }

    /// Whoever reads or computes this call now does so with what was before.
    pub(crate) fn forget_call(&self, key: &Key) {
        self.local.flights.close_to_joiners(key);
        self.store.forget(&Change::Call(key.as_str()));
    }
}
