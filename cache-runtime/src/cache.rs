use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::builder::Builder;
use crate::check::Check;
use crate::compute::{Answer, TypedRequest, Verdict};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::function::State;
use crate::group::Group;
use crate::key::Key;
use crate::local::Local;
use crate::pattern::{KeyPattern, NamePattern};
use crate::policy::Policy;
use crate::refresh::Refreshes;
use crate::returns::{OWNED, RESULT, Returns, Storable};
use crate::secret::Secret;
use crate::stats::Stats;
use crate::store::redis::Change;
use crate::store::{Caller, Listener, Look, Store, Tier, Undelivered};
use crate::trouble::Trouble;

/// A cache: a handle that is cheap to clone, all clones being one.
///
/// Annotated functions use the installed one unless they name another with `cache = …`.
#[derive(Clone)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) namespace: Arc<str>,
    pub(crate) store: Store,
    pub(crate) local: Arc<Local>,
    pub(crate) defaults: Defaults,
    /// What the payload of an entry takes at most, in bytes.
    pub(crate) max_value_size: u64,
    pub(crate) refreshes: Arc<Refreshes>,
    pub(crate) secret: Secret,
    /// How long a call waits for the server.
    pub(crate) patience: Duration,
    /// Keys by hand that can't be used.
    pub(crate) misuse: Trouble,
}

/// What holds where a policy says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) lease: Duration,
    pub(crate) wait: Duration,
}

/// What an invalidation by pattern has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// The names of the functions that matched, sorted.
    pub functions: Vec<String>,
    /// Entries whose memory was freed; 0 where a new generation has put them out of reach.
    pub freed: u64,
}

static INSTALLED: OnceLock<Cache> = OnceLock::new();

impl Cache {
    /// Starts to build a cache.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The process's default cache: the installed one, or else one made now from `REDIS_URL`,
    /// or else one in this process.
    #[must_use]
    #[inline]
    pub fn installed() -> &'static Self {
        INSTALLED.get_or_init(Self::of_environment)
    }

    #[cold]
    fn of_environment() -> Self {
        Self::builder().build().unwrap_or_else(|error| {
            tracing::error!(
                "the environment can't be used, so this process caches for itself: {error}"
            );
            Builder::default().in_process().of_defaults()
        })
    }

    pub(crate) fn install(self) -> Result<(), Error> {
        INSTALLED.set(self).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                "a cache is installed already, or a cached function was called before: install once, first thing in `main`",
            )
        })
    }

    /// Invalidates every function whose name matches: a pattern without a dot is held against
    /// the last segment, one with a dot against the whole name. `*` is any text, `?` any
    /// character.
    ///
    /// Costs the same for one entry and for a million.
    ///
    /// # Errors
    ///
    /// A pattern that can't be understood; a server that could not be told. Then this process has
    /// forgotten, and if the server is away, it is told when it comes back, before anything it
    /// says is believed.
    pub async fn invalidate(&self, pattern: &str) -> Result<Invalidated, Error> {
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
    pub async fn invalidate_tag(&self, tag: &str) -> Result<Invalidated, Error> {
        self.invalidate_tag_from(Caller::Async, tag).await
    }

    /// Invalidates every call whose key matches, arguments included: `user*:42:*`. Scans all
    /// keys of the server in batches.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn invalidate_keys(&self, pattern: &str) -> Result<Invalidated, Error> {
        self.invalidate_keys_from(Caller::Async, pattern).await
    }

    /// Invalidates everything in the namespace.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> Result<Invalidated, Error> {
        self.invalidate_all_from(Caller::Async).await
    }

    /// Invalidates as [`invalidate`](Self::invalidate) does, then frees the memory by a scan.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn purge(&self, pattern: &str) -> Result<Invalidated, Error> {
        self.purge_from(Caller::Async, pattern).await
    }

    /// Invalidates as [`invalidate_all`](Self::invalidate_all) does, then frees the memory by a
    /// scan. Of other namespaces nothing is touched.
    ///
    /// # Errors
    ///
    /// As for [`invalidate`](Self::invalidate).
    pub async fn purge_all(&self) -> Result<Invalidated, Error> {
        self.purge_all_from(Caller::Async).await
    }

    /// Looks at the server as the cache will use it, and reports in words what stands in its way:
    /// what it is, whether it tells of changes, what it does when its memory is full, how far away
    /// it is, which rights are missing. Takes some thirty round trips, and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// No server can be reached; the error says why.
    pub async fn check(&self) -> Result<Check, Error> {
        let session = self.inner.store.session(Caller::Async).steady();
        let patience = self.inner.patience;
        Ok(Check::of(session.facts().await?, patience))
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
        if state.is_out() {
            state.counters.here().bypasses.count();
            return compute().await;
        }
        let policy = state.policy(*policy);
        let request =
            TypedRequest::<R, KIND>::new(&self.inner, &state, &key, &policy, Caller::Async);
        match request.seek().await {
            Answer::Found(value) => value,
            Answer::Due(value, beyond) => match request.seek_ahead(beyond).await {
                Some(work) => match request.compute(&work, pin!(compute())).await.split() {
                    Ok(new) => {
                        let new = R::join(new);
                        request.settle(work, new, |_| Verdict::Keep).await
                    }
                    Err(_) => value,
                },
                None => value,
            },
            Answer::Compute(work) => {
                let result = request.compute(&work, pin!(compute())).await;
                request.settle(work, result, |_| Verdict::Keep).await
            }
        }
    }

    /// The value stored under `key`; `None` if there is none, or one of another type.
    ///
    /// # Errors
    ///
    /// A key that can't be used; a server that does not answer.
    pub async fn get<T: Storable + Clone>(&self, key: &str) -> Result<Option<T>, Error> {
        let (state, key) = self.by_hand(key)?;
        let policy = state.policy(Policy::new(Duration::ZERO));
        TypedRequest::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async)
            .peek()
            .await
    }

    /// Stores a value. A computation of the same key that is under way is not stored any more.
    ///
    /// # Errors
    ///
    /// A key or a value that can't be used; a server that does not answer.
    pub async fn put<T: Storable + Clone>(
        &self,
        key: &str,
        policy: Policy,
        value: T,
    ) -> Result<(), Error> {
        let (state, key) = self.by_hand(key)?;
        let policy = state.policy(policy);
        TypedRequest::<T, OWNED>::new(&self.inner, &state, &key, &policy, Caller::Async)
            .put(value)
            .await
    }

    /// Whether something is stored under `key`, of whatever type, and not invalidated.
    ///
    /// # Errors
    ///
    /// A key that can't be used; a server that does not answer.
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        let (state, key) = self.by_hand(key)?;
        Ok(self.left(&state, &key).await?.is_some())
    }

    /// Removes what is stored under `key`; whether there was something.
    ///
    /// # Errors
    ///
    /// A key that can't be used; a server that does not answer.
    pub async fn remove(&self, key: &str) -> Result<bool, Error> {
        let (_, key) = self.by_hand(key)?;
        self.inner.remove(Caller::Async, &key).await
    }

    /// The remaining life of what is stored under `key`.
    ///
    /// # Errors
    ///
    /// A key that can't be used; a server that does not answer.
    pub async fn ttl(&self, key: &str) -> Result<Option<Duration>, Error> {
        let (state, key) = self.by_hand(key)?;
        self.left(&state, &key).await
    }

    /// The life of what is stored, of whatever type, unless its generations are gone.
    async fn left(&self, state: &State, key: &Key) -> Result<Option<Duration>, Error> {
        let session = self.inner.store.session(Caller::Async);
        let read = session.read(key, &state.groups, Look::WithLife).await?;
        let current = read.entry.as_ref();
        let current = current.is_some_and(|entry| entry.is_of(read.stamp));
        let cap = state.policy(Policy::new(Duration::ZERO)).cap;
        Ok(read.fresh(cap).filter(|_| current))
    }

    fn by_hand(&self, key: &str) -> Result<(Arc<State>, Key), Error> {
        let key = Key::by_hand(&self.inner.namespace, key)?;
        let state = self.inner.local.registry.by_hand(key.name())?;
        state.check()?;
        Ok((state, key))
    }

    pub(crate) async fn invalidate_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<Invalidated, Error> {
        let wanted = NamePattern::parse(pattern)?;
        let inner = &self.inner;
        let session = inner.store.session(caller);
        let matching = |names: Vec<String>| names.into_iter().filter(|name| wanted.matches(name));
        let mut functions: Vec<String> = matching(inner.local.registry.names()).collect();
        let fleet = session.functions().await;
        let told = match fleet {
            Ok(names) => {
                functions.extend(matching(names));
                functions.sort();
                functions.dedup();
                Ok(())
            }
            Err(error) => Err(error),
        };
        let groups: Vec<Group> = functions
            .iter()
            .map(|name| Group::function(&inner.namespace, name))
            .collect();
        let changed = told.and(session.change(&groups).await);
        let told = changed.map_err(|error| {
            // Those that we know by name, too: the fleet's names may be gone by then.
            let known = groups.iter().map(|group| group.key().to_owned());
            let known = known.map(Undelivered::Group);
            let all = known.chain([Undelivered::Functions(pattern.to_owned())]);
            inner.store.queue(all, error)
        });
        inner.forget(&groups);
        told.map(|()| Invalidated {
            functions,
            freed: 0,
        })
    }

    pub(crate) async fn invalidate_tag_from(
        &self,
        caller: Caller,
        tag: &str,
    ) -> Result<Invalidated, Error> {
        if tag.is_empty() {
            return Err(Error::new(
                ErrorKind::Pattern,
                "the tag is empty: write it as the `tags` option has it, as in `user:42`",
            ));
        }
        let inner = &self.inner;
        let groups = [Group::tag(&inner.namespace, tag, Duration::ZERO)];
        let session = inner.store.session(caller);
        let told = session.change(&groups).await.map_err(|error| {
            let all = Undelivered::Group(groups[0].key().to_owned());
            inner.store.queue([all], error)
        });
        inner.forget(&groups);
        told.map(|()| Invalidated::default())
    }

    pub(crate) async fn invalidate_keys_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<Invalidated, Error> {
        let wanted = KeyPattern::parse(pattern)?;
        let inner = &self.inner;
        let session = inner.store.session(caller);
        let freed = session.remove_matching(&wanted).await.map_err(|error| {
            let all = Undelivered::Calls(pattern.to_owned());
            inner.store.queue([all], error)
        });
        inner
            .local
            .flights
            .retire_where(|key, _| wanted.matches(key));
        inner.store.forget(&Change::Calls(&wanted));
        let functions = inner
            .local
            .registry
            .names()
            .into_iter()
            .filter(|name| wanted.matches_name(name));
        Ok(Invalidated {
            functions: functions.collect(),
            freed: freed?,
        })
    }

    pub(crate) async fn invalidate_all_from(&self, caller: Caller) -> Result<Invalidated, Error> {
        let inner = &self.inner;
        let session = inner.store.session(caller);
        let everything = [Group::everything(&inner.namespace)];
        let changed = session.change(&everything).await.map_err(|error| {
            let all = Undelivered::Group(everything[0].key().to_owned());
            inner.store.queue([all], error)
        });
        inner.forget(&everything);
        let mut functions = inner.local.registry.names();
        functions.extend(session.functions().await.unwrap_or_default());
        functions.sort();
        functions.dedup();
        changed.map(|()| Invalidated {
            functions,
            freed: 0,
        })
    }

    pub(crate) async fn purge_from(
        &self,
        caller: Caller,
        pattern: &str,
    ) -> Result<Invalidated, Error> {
        let invalidated = self.invalidate_from(caller, pattern).await?;
        self.free(caller, pattern, invalidated).await
    }

    pub(crate) async fn purge_all_from(&self, caller: Caller) -> Result<Invalidated, Error> {
        let invalidated = self.invalidate_all_from(caller).await?;
        self.free(caller, "*", invalidated).await
    }

    /// Frees what is out of reach already: what is not freed now expires.
    async fn free(
        &self,
        caller: Caller,
        pattern: &str,
        mut invalidated: Invalidated,
    ) -> Result<Invalidated, Error> {
        let session = self.inner.store.session(caller);
        let pattern = KeyPattern::of_functions(pattern)?;
        invalidated.freed = session.remove_matching(&pattern).await?;
        self.inner.store.forget(&Change::Calls(&pattern));
        Ok(invalidated)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.inner.namespace)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// What secret arguments are hashed with.
    pub(crate) fn secret(&self) -> &Secret {
        if self.secret.is_untold() {
            self.local.observer.tell(&Event::Unshared);
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

    pub(crate) async fn remove(&self, caller: Caller, key: &Key) -> Result<bool, Error> {
        let session = self.store.session(caller);
        let removed = session.remove(key).await.map_err(|error| {
            let call = Undelivered::Call(key.to_string());
            self.store.queue([call], error)
        });
        self.forget_call(key);
        removed
    }

    /// Whoever reads or computes this call now does so with what was before.
    pub(crate) fn forget_call(&self, key: &Key) {
        self.local.flights.retire(key);
        self.store.forget(&Change::Call(key.as_str()));
    }
}
