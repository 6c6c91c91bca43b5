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

/// What a value takes that there is always room for among the copies beside a server: with room
/// for more, there would be fewer shards, and more waiting for them on large machines.
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
/// | [`near_outage_grace`](Self::near_outage_grace) | 0: not at all |
/// | [`secret`](Self::secret) | the environment's `RECACHED_SECRET`, else one that only this process has |
/// | [`observer`](Self::observer) | none; `tracing` is told in any case |
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
        // Not the url: it may hold a password. And not the secret.
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
    /// Starts to build a cache.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// The server: `redis://[user:password@]host[:port][/database]` or
    /// `unix:///path/to/socket`. With the feature `cluster`, some nodes of a cluster:
    /// `redis+cluster://[user:password@]host1[:port],host2[:port]`. With the feature `sentinel`, a
    /// server by the name that its sentinels call it:
    /// `redis+sentinel://[user:password@]host1[:port],host2[:port]/name[/database]`; user and
    /// password are the server's, and the sentinels' where they want a login and have none of
    /// their own: `?sentinel_user=…&sentinel_password=…` at the end, the user where there is one.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.place = BackendChoice::Url(url.into());
        self
    }

    /// A pool of the program's own, of `deadpool_redis`: for one server, or with the features, for
    /// a cluster or a server that sentinels watch over. The cache checks out a connection for each
    /// runtime that calls, and one more, and keeps them; what keeps copies in the process coherent
    /// can't be asked of them, so that none are kept but under a `near_ttl`.
    pub fn pool(mut self, pool: impl Into<ExternalPool>) -> Self {
        self.place = BackendChoice::ExternalPool(pool.into());
        self
    }

    /// Is asked for the login at each new connection, in place of the url's: for passwords that
    /// change and tokens that expire. It runs on a thread that may block. Once the server does not
    /// take the old login any more, the cache connects anew with the one that it is given then. One
    /// that takes longer than 10 s counts as an outage of its own, and is not asked again before it
    /// has returned.
    pub fn credentials(mut self, ask: impl Fn() -> Credentials + Send + Sync + 'static) -> Self {
        self.credentials = Some(CredentialsProvider::new(ask));
        self
    }

    /// As [`credentials`](Self::credentials), for the sentinels, where their login differs from the
    /// server's; in place of the url's `sentinel_user` and `sentinel_password`.
    #[cfg(feature = "sentinel")]
    pub fn sentinel_credentials(
        mut self,
        ask: impl Fn() -> Credentials + Send + Sync + 'static,
    ) -> Self {
        self.sentinel_credentials = Some(CredentialsProvider::new(ask));
        self
    }

    /// Whom to trust and what to show where the url says TLS (`rediss://`); without it, the
    /// system's authorities and nothing.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }

    /// No server, whatever the environment says.
    pub fn in_process(mut self) -> Self {
        self.place = BackendChoice::Process;
        self
    }

    /// What all keys begin with; caches of different namespaces share nothing. Letters,
    /// digits, `_`, `-` and `.`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How many entries this process holds at most.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// How many bytes this process's entries take at most, counted as they are written to
    /// Redis, with their keys. No entry counts for less than `bytes / entries`.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What a value takes at most, in bytes as it is written, to be stored. A larger one is
    /// returned and counted as [`oversized`](crate::FunctionStats::oversized); an entry that is
    /// larger, whoever has stored it, is a miss.
    ///
    /// All calls share one connection, and a value on its way delays those behind it: 4 MiB cross
    /// a gigabit link in 34 ms, less than half of the [`command_timeout`](Self::command_timeout).
    /// Raise both together. In the process there is room for values of this size if
    /// [`max_bytes`](Self::max_bytes) is larger.
    pub fn max_value_size(mut self, bytes: u64) -> Self {
        self.max_value_size = bytes;
        self
    }

    /// The deadline of an attempt to connect. No call waits for it: a call's own deadline is
    /// the command's.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long a call waits for a silent server, all exchanges before its computation together, and
    /// once more when it stores; what waits in this process to be sent costs nothing of it. A call that has waited so long computes without the cache, and
    /// so do all others until the server answers a ping within half of it. Give four round
    /// trips at least.
    pub fn command_timeout(mut self, limit: Duration) -> Self {
        self.command_timeout = limit;
        self
    }

    /// The life of a lease between renewals where a function does not say: how long a holder
    /// that was killed delays others.
    pub fn lease(mut self, life: Duration) -> Self {
        self.defaults.lease = life;
        self
    }

    /// How long a call waits for another holder where its function does not say; then it
    /// computes for itself.
    pub fn lease_wait(mut self, longest: Duration) -> Self {
        self.defaults.lease_wait = longest;
        self
    }

    /// How long the copies in this process are served when the connection to the server is
    /// lost: until it is back, and for this long at most. What others invalidate meanwhile is
    /// not heard of; what this process invalidates is never served.
    pub fn near_outage_grace(mut self, longest: Duration) -> Self {
        self.near_outage_grace = longest;
        self
    }

    /// What the `secret` arguments of functions are hashed with before they enter a key: 16 bytes
    /// at least, the same ones in all processes that shall share their entries.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().into());
        self
    }

    /// Is told what no caller is: that the server is away, or back, that invalidations wait for
    /// it, that a function's values can't be stored. Called on whichever thread finds it out, a
    /// connection's reader among them: it must not block.
    pub fn observer(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Builds the cache. Connects in the background: an absent server is no error.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if a setting, or `REDIS_URL`, can't be used. An item of
    /// `RECACHED_TTL` or `RECACHED_OFF` that can't be used is logged and passed over.
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
                // A larger one is read again each time, which costs little beside its size.
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

    /// Builds the cache and makes it the process's default.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); or there is a default already, which a cached function that
    /// was called before has made.
    pub fn install(self) -> Result<(), Error> {
        self.build()?.install()
    }

    /// A cache that is off; needs nothing that could fail.
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

    /// Whether it says how connections shall show who they are.
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
