use crate::process::sync::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::api::cache::Cache;
use crate::api::environment;
use crate::backend::any_backend::AnyBackend;
use crate::backend::invalidation_sink::InvalidationSink;
use crate::backend::local_values::LocalValues;
use crate::backend::memory::MemoryBackend;
use crate::backend::redis::config::RedisConfig;
use crate::backend::redis::credentials::{Credentials, CredentialsProvider};
use crate::backend::redis::external_pool::ExternalPool;
use crate::backend::redis::health::Health;
use crate::backend::redis::redis_backend::RedisBackend;
#[cfg(feature = "tls")]
use crate::backend::redis::tls_config::TlsConfig;
use crate::backend::redis::topology::Topology;
use crate::error::{Error, ErrorKind};
use crate::invalidation::tag_validity::TagRegistry;
use crate::key::secret::Secret;
use crate::near_cache::NearCache;
use crate::overrides::rules::OverrideRules;
use crate::protocol::cache_inner::{CacheInner, Defaults};
use crate::protocol::just_invalidated::JustInvalidated;
use crate::protocol::process_state::ProcessState;
use crate::protocol::single_flight::SingleFlight;
use crate::registry::Registry;
use crate::registry::failure_reporter::FailureReporter;
use crate::telemetry::event::{Event, Observer};

/// Maximum size, in bytes, of a value that is certain to fit into the near cache beside a server. A
/// larger size would mean fewer shards, and more contention on large machines.
const LARGEST_COPY: u64 = 256 << 10;

/// Builds a [`Cache`].
///
/// | setting | default |
/// |---|---|
/// | [`redis`](Self::redis) | the environment's `REDIS_URL`, else none: in-process |
/// | [`namespace`](Self::namespace) | `recached` |
/// | [`max_entries`](Self::max_entries) | 100,000 entries in the process |
/// | [`max_bytes`](Self::max_bytes) | 64 MiB in the process |
/// | [`max_value_size`](Self::max_value_size) | 4 MiB |
/// | [`connect_timeout`](Self::connect_timeout) | 1 s |
/// | [`command_timeout`](Self::command_timeout) | 80 ms |
/// | [`lease`](Self::lease) | 5 s |
/// | [`lease_wait`](Self::lease_wait) | 10 s |
/// | [`near_outage_grace`](Self::near_outage_grace) | 0: no near cache in an outage |
/// | [`secret`](Self::secret) | the environment's `RECACHED_SECRET`, else a random one |
/// | [`observer`](Self::observer) | none; `tracing` receives every event in any case |
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::Cache;
///
/// let cache = Cache::builder()
///     .in_process()
///     .max_entries(10_000)
///     .lease_wait(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(cache.stats().near.entries, 0);
/// # Ok::<(), recached_runtime::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` or `install`"]
pub struct Builder {
    place: BackendChoice,
    namespace: String,
    max_entries: usize,
    max_bytes: u64,
    max_value_size: u64,
    connect_timeout: Duration,
    command_timeout: Duration,
    near_outage_grace: Duration,
    observer: Observer,
    secret: Option<Arc<[u8]>>,
    credentials: Option<CredentialsProvider>,
    #[cfg(feature = "sentinel")]
    sentinel_credentials: Option<CredentialsProvider>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
    defaults: Defaults,
}

#[derive(Clone)]
enum BackendChoice {
    Environment,
    Process,
    Url(String),
    ExternalPool(ExternalPool),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            place: BackendChoice::Environment,
            namespace: "recached".to_owned(),
            max_entries: 100_000,
            max_bytes: 64 << 20,
            max_value_size: 4 << 20,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_millis(80),
            near_outage_grace: Duration::ZERO,
            observer: Observer::default(),
            secret: None,
            credentials: None,
            #[cfg(feature = "sentinel")]
            sentinel_credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
            defaults: Defaults {
                lease: Duration::from_secs(5),
                lease_wait: Duration::from_secs(10),
            },
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The url may hold a password, and the secret is one: neither is printed.
        f.debug_struct("Builder")
            .field("namespace", &self.namespace)
            .field("max_entries", &self.max_entries)
            .field("max_bytes", &self.max_bytes)
            .field("max_value_size", &self.max_value_size)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("near_outage_grace", &self.near_outage_grace)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// Returns a builder with the default settings.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder().in_process().build()?;
    /// assert_eq!(cache.stats().total.misses, 0);
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Sets the server: `redis://[user:password@]host[:port][/database]` or
    /// `unix:///path/to/socket`.
    ///
    /// With the feature `cluster`, the url lists some nodes of a cluster:
    /// `redis+cluster://[user:password@]host1[:port],host2[:port]`.
    ///
    /// With the feature `sentinel`, the url lists sentinels and the name under which they know the
    /// server: `redis+sentinel://[user:password@]host1[:port],host2[:port]/name[/database]`. User
    /// and password are the server's. They are used for the sentinels too, if the sentinels require
    /// a login and the url gives none for them; `?sentinel_user=…&sentinel_password=…` at the end
    /// gives one, and the user may be left out.
    ///
    /// ```no_run
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().redis("redis://app:secret@cache.example.com:6379/0").build()?;
    /// let report = cache.check().await?;
    /// assert!(report.is_healthy(), "{report}");
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.place = BackendChoice::Url(url.into());
        self
    }

    /// Uses the program's own pool of `deadpool_redis`: for one server or, with the features, for a
    /// cluster or a server under sentinels. The cache checks out one connection for each runtime
    /// that calls it and one more, and keeps them. Pooled connections can't report changes, so the
    /// near cache holds only values of functions with a `near_ttl`.
    ///
    /// ```no_run
    /// use deadpool_redis::{Config, Runtime};
    /// use recached_runtime::Cache;
    ///
    /// let config = Config::from_url("redis://cache.example.com");
    /// let pool = config.create_pool(Some(Runtime::Tokio1)).expect("the url can be parsed");
    /// let cache = Cache::builder().pool(pool).build()?;
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn pool(mut self, pool: impl Into<ExternalPool>) -> Self {
        self.place = BackendChoice::ExternalPool(pool.into());
        self
    }

    /// Sets a function that returns the login for each new connection, in place of the url's login:
    /// for passwords that change and tokens that expire. The function runs on a thread that may
    /// block. When the server rejects the old login, the cache reconnects with the login that the
    /// function returns then. A function that takes longer than 10 s counts as an outage, and is
    /// not called again until it has returned.
    ///
    /// ```no_run
    /// use recached_runtime::{Cache, Credentials};
    ///
    /// let cache = Cache::builder()
    ///     .redis("redis://cache.example.com")
    ///     .credentials(|| {
    ///         let password = std::fs::read_to_string("/run/secrets/redis").unwrap_or_default();
    ///         Credentials::new("app", password.trim_end())
    ///     })
    ///     .build()?;
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn credentials(mut self, ask: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        self.credentials = Some(CredentialsProvider::new(ask));
        self
    }

    /// Sets the sentinels' login, as [`credentials`](Self::credentials) does for the server, if the
    /// two logins differ. It replaces the url's `sentinel_user` and `sentinel_password`.
    ///
    /// ```no_run
    /// use recached_runtime::{Cache, Credentials};
    ///
    /// let cache = Cache::builder()
    ///     .redis("redis+sentinel://sentinel1.example.com,sentinel2.example.com/primary")
    ///     .sentinel_credentials(|| Credentials::password("the sentinels' password"))
    ///     .build()?;
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    #[cfg(feature = "sentinel")]
    pub fn sentinel_credentials(
        mut self,
        ask: impl Fn() -> Credentials + Send + Sync + 'static,
    ) -> Self {
        self.sentinel_credentials = Some(CredentialsProvider::new(ask));
        self
    }

    /// Sets the certificate authorities to trust and the client certificate to present if the url
    /// requires TLS (`rediss://`). Default: the system's authorities, and no client certificate.
    ///
    /// ```no_run
    /// use recached_runtime::{Cache, TlsConfig};
    ///
    /// let authority = std::fs::read("/etc/redis/ca.pem").expect("the file can be read");
    /// let cache = Cache::builder()
    ///     .redis("rediss://cache.example.com")
    ///     .tls(TlsConfig::new().authority(authority))
    ///     .build()?;
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// Uses no server, even if the environment names one.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let report = cache.check().await?;
    /// assert!(report.server().starts_with("none"));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn in_process(mut self) -> Self {
        self.place = BackendChoice::Process;
        self
    }

    /// Sets the prefix of all keys. Caches of different namespaces share nothing. A namespace takes
    /// ASCII letters, digits, `_`, `-` and `.`. Default: `recached`.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// let builder = Cache::builder().in_process();
    /// assert!(builder.clone().namespace("shop-eu").build().is_ok());
    /// assert!(builder.namespace("shop:eu").build().is_err());
    /// ```
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the maximum number of entries that this process holds. Default: 100,000.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().max_entries(100).build()?;
    /// for id in 0..1_000 {
    ///     let minute = Policy::new(Duration::from_secs(60));
    ///     cache.put(&format!("user:{id}"), minute, id).await?;
    /// }
    /// assert!(cache.stats().near.entries <= 100);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Sets the maximum size, in bytes, of the entries that this process holds, counted with their
    /// keys as they are written to Redis. Every entry counts for at least `bytes / entries`.
    /// Default: 64 MiB.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// let builder = Cache::builder().in_process().max_entries(1_000);
    /// assert!(builder.clone().max_bytes(1 << 20).build().is_ok());
    /// // Less than one byte for each entry.
    /// assert!(builder.max_bytes(999).build().is_err());
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the maximum encoded size, in bytes, of a value that is stored. A larger value is
    /// returned and counted as [`oversized`](crate::FunctionStats::oversized); a stored entry that
    /// is larger, from any process, is a miss. Default: 4 MiB.
    ///
    /// All calls share one connection, and a value in transit delays those behind it: 4 MiB cross a
    /// gigabit network in 34 ms, less than half of the [`command_timeout`](Self::command_timeout).
    /// Raise both together. Without a server, values of this size fit if
    /// [`max_bytes`](Self::max_bytes) is larger.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, ErrorKind, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().max_value_size(1_000).build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// let error = cache.put("page:1", minute, "x".repeat(2_000)).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Oversized);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn max_value_size(mut self, bytes: u64) -> Self {
        self.max_value_size = bytes;
        self
    }

    /// Sets the deadline of one attempt to connect. Calls do not wait for it: their deadline is the
    /// [`command_timeout`](Self::command_timeout). At least 1 ms; default: 1 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, ErrorKind};
    ///
    /// let error = Cache::builder().in_process().connect_timeout(Duration::ZERO).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the longest time that a call waits for a server that does not reply: once for all
    /// exchanges before its computation together, and once more to store. Time that a command waits
    /// in this process to be sent does not count. After that time the call computes without the
    /// cache, and so do all other calls until the server answers a ping within half of it. Give at
    /// least four round trips. At least 1 ms; default: 80 ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, ErrorKind};
    ///
    /// let error = Cache::builder().in_process().command_timeout(Duration::ZERO).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn command_timeout(mut self, limit: Duration) -> Self {
        self.command_timeout = limit;
        self
    }

    /// Sets the life of a lease between renewals, for functions without a `lease` of their own: the
    /// delay that a killed holder causes for others. At least 100 ms; default: 5 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, ErrorKind};
    ///
    /// let error = Cache::builder().in_process().lease(Duration::from_millis(99)).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn lease(mut self, life: Duration) -> Self {
        self.defaults.lease = life;
        self
    }

    /// Sets the longest time that a call waits for another holder, for functions without a
    /// `lease_wait` of their own; then the call computes for itself. Default: 10 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder().in_process().lease_wait(Duration::from_secs(2)).build()?;
    /// assert_eq!(cache.stats().total.lease_waits, 0);
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn lease_wait(mut self, longest: Duration) -> Self {
        self.defaults.lease_wait = longest;
        self
    }

    /// Sets the longest time that the near cache is served while the connection to the server is
    /// lost. Invalidations of other processes do not arrive in that time; values that this process
    /// has invalidated are never served. Default: 0, not at all.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder()
    ///     .redis("redis://cache.example.com")
    ///     .near_outage_grace(Duration::from_secs(30))
    ///     .build()?;
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn near_outage_grace(mut self, longest: Duration) -> Self {
        self.near_outage_grace = longest;
        self
    }

    /// Sets the secret with which `secret` arguments of functions are hashed before they enter a
    /// key: at least 16 bytes, the same in all processes that share entries. Default: the
    /// environment's `RECACHED_SECRET`, else a random one of this process.
    ///
    /// ```
    /// use recached_runtime::{Cache, ErrorKind};
    ///
    /// let error = Cache::builder().in_process().secret("too short").build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().into());
        self
    }

    /// Sets a callback for events that no caller can see: the server is away or back, invalidations
    /// wait for the server, a function's values can't be stored. It runs on the thread that detects
    /// the event, which may be a connection's reader: it must not block.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, events) = std::sync::mpsc::channel();
    /// let cache = Cache::builder()
    ///     .in_process()
    ///     .observer(move |event| sender.send(event.to_string()).unwrap_or_default())
    ///     .build()?;
    /// let minute = Policy::new(Duration::from_secs(60));
    /// cache.get_or_compute("not a name:42", minute, || async { 1 }).await;
    /// assert!(events.try_recv().is_ok_and(|event| event.contains("not stored")));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn observer(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Builds the cache. It connects in the background: an absent server is no error.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if a setting, or `REDIS_URL`, can't be used. An item of
    /// `RECACHED_TTL` or `RECACHED_OFF` that can't be used is logged and ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::{Cache, ErrorKind};
    ///
    /// assert!(Cache::builder().in_process().build().is_ok());
    /// let error = Cache::builder().redis("nonsense").build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// ```
    pub fn build(self) -> Result<Cache, Error> {
        environment::warn_of_unknown();
        self.check()?;
        let topology = match &self.place {
            BackendChoice::Process => None,
            BackendChoice::ExternalPool(pool) => Some(Topology::ExternalPool(pool.clone())),
            BackendChoice::Url(url) => Some(Topology::parse(url)?),
            BackendChoice::Environment => match std::env::var("REDIS_URL") {
                Ok(url) if !url.is_empty() => {
                    let topology = Topology::parse(&url);
                    Some(topology.map_err(|error| invalid(format!("REDIS_URL: {error}")))?)
                }
                Ok(_) | Err(std::env::VarError::NotPresent) => None,
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(invalid("REDIS_URL is not valid unicode"));
                }
            },
        };
        match topology {
            None => {
                let secret = Secret::new(self.secret.as_deref(), false)?;
                Ok(self.in_memory(OverrideRules::of_environment(), secret, false))
            }
            Some(topology) => {
                #[cfg(feature = "tls")]
                let topology = {
                    crate::backend::redis::tls_config::provide();
                    match &self.tls {
                        Some(certificates) => topology.certified(&certificates.of_driver())?,
                        None => topology,
                    }
                };
                #[cfg(feature = "sentinel")]
                if self.sentinel_credentials.is_some() && !matches!(topology, Topology::Sentinel(_))
                {
                    return Err(invalid(
                        "there are credentials for sentinels, and the redis url names none: write redis+sentinel://",
                    ));
                }
                let settings = RedisConfig {
                    namespace: self.namespace.as_str().into(),
                    topology,
                    credentials: self.credentials.clone(),
                    #[cfg(feature = "sentinel")]
                    sentinel_credentials: self.sentinel_credentials.clone(),
                    #[cfg(all(feature = "cluster", feature = "tls"))]
                    certificates: self.tls.clone(),
                    connect_timeout: self.connect_timeout,
                    command_timeout: self.command_timeout,
                    max_value_size: self.max_value_size,
                    health: Health::new(self.observer.clone()),
                };
                // A larger value is read from the server each time, which costs little relative to
                // its size.
                let largest = self.max_value_size.min(LARGEST_COPY);
                let (entries, bytes) = (self.max_entries, self.max_bytes);
                let own = LocalValues::new(move || NearCache::new(entries, bytes, largest));
                let process =
                    self.process(OverrideRules::of_environment(), largest, false, Some(own));
                let secret = Secret::new(self.secret.as_deref(), true)?;
                let store = RedisBackend::start(
                    settings,
                    Arc::clone(&process) as Arc<dyn InvalidationSink>,
                )?;
                Ok(self.assemble(AnyBackend::Redis(store), process, secret))
            }
        }
    }

    /// Builds the cache and makes it the global cache.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`build`](Self::build), and `ErrorKind::Config` if there is a global
    /// cache already: an installed one, or one that an earlier call of a cached function has
    /// created.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// Cache::builder().in_process().install()?;
    /// assert!(Cache::builder().in_process().install().is_err());
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn install(self) -> Result<(), Error> {
        self.build()?.install()
    }

    /// Returns a cache that is off; this can't fail.
    pub(crate) fn off(&self) -> Cache {
        self.in_memory(OverrideRules::default(), Secret::own(false), true)
    }

    fn in_memory(&self, rules: OverrideRules, secret: Secret, off: bool) -> Cache {
        let process = self.process(rules, self.max_value_size, off, None);
        let store = MemoryBackend::new(Arc::clone(&process.near));
        self.assemble(AnyBackend::Memory(Arc::new(store)), process, secret)
    }

    fn process(
        &self,
        rules: OverrideRules,
        largest: u64,
        off: bool,
        own: Option<LocalValues>,
    ) -> Arc<ProcessState> {
        Arc::new(ProcessState {
            flights: Arc::new(SingleFlight::new()),
            near: Arc::new(NearCache::new(self.max_entries, self.max_bytes, largest)),
            own,
            registry: Registry::new(&self.namespace, &self.observer, rules, off),
            tags: TagRegistry::default(),
            just_invalidated: JustInvalidated::default(),
            observer: self.observer.clone(),
            near_outage_grace: self.near_outage_grace,
        })
    }

    fn assemble(&self, backend: AnyBackend, process: Arc<ProcessState>, secret: Secret) -> Cache {
        Cache {
            inner: Arc::new(CacheInner {
                namespace: self.namespace.as_str().into(),
                backend,
                process,
                defaults: self.defaults,
                max_value_size: self.max_value_size,
                refreshes: Arc::default(),
                secret,
                patience: self.command_timeout,
                misuse: FailureReporter::default(),
                forked: AtomicBool::new(false),
                warned: Mutex::default(),
            }),
        }
    }

    /// Returns `true` if the builder sets credentials or certificates.
    fn is_dressed(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        #[cfg(feature = "sentinel")]
        if self.sentinel_credentials.is_some() {
            return true;
        }
        self.credentials.is_some()
    }

    fn check(&self) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.namespace.is_empty() || !self.namespace.chars().all(plain) {
            return Err(invalid(format!(
                "the namespace `{}` can't be used: it takes letters, digits, `_`, `-` and `.`",
                self.namespace.escape_debug()
            )));
        }
        if self.max_entries == 0 {
            return Err(invalid("`max_entries(0)` holds nothing: give at least 1"));
        }
        if self.max_bytes < self.max_entries as u64 {
            return Err(invalid(
                "max_bytes is below one byte for each of the `max_entries`: give more bytes or fewer entries",
            ));
        }
        if matches!(self.place, BackendChoice::ExternalPool(_)) && self.is_dressed() {
            return Err(invalid(
                "a pool of the program's own logs in by itself: give credentials and certificates to the pool",
            ));
        }
        if self.max_value_size == 0 {
            return Err(invalid(
                "a max_value_size of 0 stores nothing: give at least 1",
            ));
        }
        for (name, limit) in [
            ("connect_timeout", self.connect_timeout),
            ("command_timeout", self.command_timeout),
        ] {
            if limit < Duration::from_millis(1) {
                return Err(invalid(format!("a {name} below 1 ms lets nothing succeed")));
            }
        }
        if self.defaults.lease < Duration::from_millis(100) {
            return Err(invalid(
                "a lease below 100 ms ends before it can be renewed: give at least 100 ms",
            ));
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: Builder) -> String {
        let error = builder.build().expect_err("this can't be used");
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn an_unusable_setting_is_an_error_that_names_it() {
        let builder = || Cache::builder().in_process();
        assert!(refusal(builder().namespace("a:b")).contains("namespace `a:b`"));
        assert!(refusal(builder().namespace("")).contains("namespace"));
        assert!(refusal(builder().max_entries(0)).contains("max_entries"));
        assert!(refusal(builder().max_bytes(9)).contains("max_bytes"));
        assert!(refusal(builder().max_value_size(0)).contains("max_value_size"));
        assert!(refusal(builder().command_timeout(Duration::ZERO)).contains("command_timeout"));
        assert!(refusal(builder().connect_timeout(Duration::ZERO)).contains("connect_timeout"));
        assert!(refusal(builder().lease(Duration::from_millis(1))).contains("lease"));
    }

    #[test]
    fn an_unusable_url_is_an_error_without_its_credentials() {
        for url in [
            "",
            "nonsense",
            "http://ada:hunter2@localhost/",
            "redis://ada:hunter2@/",
            "redis://ada:hunter2@localhost:port/",
            "redis://ada:hunter2@localhost/database",
            #[cfg(not(feature = "tls"))]
            "rediss://ada:hunter2@localhost/",
        ] {
            let text = refusal(Cache::builder().redis(url));
            assert!(text.contains("redis url"), "{url}: {text}");
            assert!(!text.contains("hunter2"), "{url}: {text}");
        }
    }
}
