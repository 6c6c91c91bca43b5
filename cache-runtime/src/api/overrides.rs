use std::fmt;
use std::time::Duration;

use crate::api::cache::Cache;
use crate::backend::contract::{Backend, Caller};
use crate::error::Error;
use crate::overrides::rule::{
    ActiveOverride, Override, OverrideKind, OverrideRule, OverrideSource,
};

/// Overrides of ttl and on/off at run time, for this process or for the fleet. They take precedence
/// over the attributes.
///
/// Functions are named by patterns, as for [`Cache::invalidate`]. Overrides of the fleet take
/// precedence over those of the environment (`RECACHED_TTL="user*=30s, shop.*=5m"`,
/// `RECACHED_OFF="report*"`), and those over overrides of this process. If two patterns match, the
/// longer one applies.
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::{Cache, Policy};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = Cache::builder().in_process().build()?;
/// cache.overrides().disable("user*")?;
/// for id in [1, 2] {
///     let policy = Policy::new(Duration::from_secs(60));
///     assert_eq!(cache.get_or_compute("user:42", policy, || async move { id }).await, id);
/// }
/// assert_eq!(cache.stats().function("user").bypasses, 2);
/// # Ok::<(), recached_runtime::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "it does nothing until something is set or listed"]
pub struct Overrides<'a> {
    cache: &'a Cache,
}

/// Overrides for all processes of a namespace: they are stored in Redis, sent to every process at
/// once, and persist across restarts. Without a server they apply to this process only.
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::Cache;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = Cache::builder().in_process().build()?;
/// let fleet = cache.overrides().fleet();
/// fleet.ttl("user*", Duration::from_secs(30)).await?;
/// assert_eq!(fleet.list().await?[0].pattern, "user*");
/// # Ok::<(), recached_runtime::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "it does nothing until something is set"]
pub struct FleetOverrides<'a> {
    cache: &'a Cache,
    by: String,
}

impl Cache {
    /// Returns the overrides of this cache.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder().in_process().build()?;
    /// assert!(cache.overrides().list().is_empty());
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn overrides(&self) -> Overrides<'_> {
        Overrides { cache: self }
    }
}

impl<'a> Overrides<'a> {
    /// Sets the ttl of values of the functions that match, in place of their attributes' ttl.
    /// Returns the names of the functions of this process that match; functions that are called
    /// later are matched then.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be parsed, and `ErrorKind::Config` if the
    /// ttl is below 1 ms or too many overrides are set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.put("user:42", Policy::new(Duration::from_secs(60)), 1).await?;
    /// assert_eq!(cache.overrides().ttl("user*", Duration::from_secs(5))?, ["user"]);
    /// cache.put("user:42", Policy::new(Duration::from_secs(60)), 2).await?;
    /// let left = cache.ttl("user:42").await?.expect("the value is stored");
    /// assert!(left <= Duration::from_secs(5));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn ttl(&self, pattern: &str, ttl: Duration) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Ttl(ttl))
    }

    /// Disables the cache for the functions that match: they are computed at each call, as without
    /// the attribute. Returns the names of the functions of this process that match.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be parsed, and `ErrorKind::Config` if too
    /// many overrides are set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.put("user:42", Policy::new(Duration::from_secs(60)), 1).await?;
    /// assert_eq!(cache.overrides().disable("user")?, ["user"]);
    /// let policy = Policy::new(Duration::from_secs(60));
    /// assert_eq!(cache.get_or_compute("user:42", policy, || async { 2 }).await, 2);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn disable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(false))
    }

    /// Enables the cache for the functions that match, even if a shorter pattern disables it.
    /// Returns the names of the functions of this process that match.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be parsed, and `ErrorKind::Config` if too
    /// many overrides are set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.put("user:42", Policy::new(Duration::from_secs(60)), 1).await?;
    /// cache.overrides().disable("*")?;
    /// assert_eq!(cache.overrides().enable("user")?, ["user"]);
    /// let policy = Policy::new(Duration::from_secs(60));
    /// for id in [2, 3] {
    ///     assert_eq!(cache.get_or_compute("user:42", policy, || async move { id }).await, 2);
    /// }
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true))
    }

    /// Removes the overrides that this process has set for exactly this pattern.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.overrides().disable("user*")?;
    /// cache.overrides().reset("user*");
    /// assert!(cache.overrides().list().is_empty());
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    pub fn reset(&self, pattern: &str) {
        let process = &self.cache.inner.process;
        process
            .registry
            .rules()
            .reset(pattern, OverrideSource::Code);
        process.overrides_changed();
    }

    /// Returns all overrides with their source, in ascending order of precedence.
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::Cache;
    ///
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.overrides().ttl("user*", Duration::from_secs(30))?;
    /// let list = cache.overrides().list();
    /// assert_eq!(list.len(), 1);
    /// assert!(list[0].to_string().starts_with("user*: ttl = 30s"));
    /// # Ok::<(), recached_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn list(&self) -> Vec<ActiveOverride> {
        let registry = &self.cache.inner.process.registry;
        registry.rules().list(&registry.names())
    }

    /// Returns the same operations for the whole fleet.
    ///
    /// ```
    /// use recached_runtime::{Cache, OverrideSource};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.overrides().fleet().disable("report*").await?;
    /// assert_eq!(cache.overrides().list()[0].origin, OverrideSource::Fleet);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn fleet(&self) -> FleetOverrides<'a> {
        FleetOverrides {
            cache: self.cache,
            by: program(),
        }
    }

    fn set(&self, pattern: &str, setting: Override) -> Result<Vec<String>, Error> {
        let process = &self.cache.inner.process;
        let rule = OverrideRule::new(pattern, setting, OverrideSource::Code, None)?;
        let mut functions = process.registry.names();
        functions.retain(|name| rule.matches(name));
        process.registry.rules().set(rule)?;
        process.overrides_changed();
        Ok(functions)
    }
}

impl FleetOverrides<'_> {
    /// Sets the author that lists show. Default: the program's name and its process id.
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let fleet = cache.overrides().fleet().by("ada");
    /// fleet.disable("report*").await?;
    /// assert_eq!(fleet.list().await?[0].by.as_deref(), Some("ada"));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = who.into();
        self
    }

    /// Sets the ttl as [`Overrides::ttl`] does. Returns the names of the fleet's functions that
    /// match.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Overrides::ttl`], and the server's error if the override was not
    /// stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use recached_runtime::{Cache, Policy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// cache.put("user:42", Policy::new(Duration::from_secs(60)), 1).await?;
    /// let functions = cache.overrides().fleet().ttl("user*", Duration::from_secs(5)).await?;
    /// assert_eq!(functions, ["user"]);
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn ttl(&self, pattern: &str, ttl: Duration) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Ttl(ttl)).await
    }

    /// Disables functions as [`Overrides::disable`] does. Returns the names of the fleet's
    /// functions that match.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Overrides::disable`], and the server's error if the override was not
    /// stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::{Cache, Override};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let fleet = cache.overrides().fleet();
    /// fleet.disable("report*").await?;
    /// assert_eq!(fleet.list().await?[0].setting, Override::Enabled(false));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn disable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(false)).await
    }

    /// Enables functions as [`Overrides::enable`] does. Returns the names of the fleet's functions
    /// that match.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Overrides::enable`], and the server's error if the override was not
    /// stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::{Cache, Override};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let fleet = cache.overrides().fleet();
    /// fleet.enable("report.daily").await?;
    /// assert_eq!(fleet.list().await?[0].setting, Override::Enabled(true));
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true)).await
    }

    /// Returns all overrides of the fleet, read from the server now: immediately after a cache was
    /// built, [`Overrides::list`] may not contain them yet.
    ///
    /// # Errors
    ///
    /// Returns the error of the read if the server does not reply.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// // An override of this process only.
    /// cache.overrides().disable("user*")?;
    /// assert!(cache.overrides().fleet().list().await?.is_empty());
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn list(&self) -> Result<Vec<ActiveOverride>, Error> {
        let session = self.cache.inner.backend.session(Caller::Async);
        session.apply_overrides().await?;
        let mut all = self.cache.overrides().list();
        all.retain(|one| one.origin == OverrideSource::Fleet);
        Ok(all)
    }

    /// Removes the fleet's overrides for exactly this pattern.
    ///
    /// # Errors
    ///
    /// Returns the server's error if the overrides were not removed.
    ///
    /// # Examples
    ///
    /// ```
    /// use recached_runtime::Cache;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cache = Cache::builder().in_process().build()?;
    /// let fleet = cache.overrides().fleet();
    /// fleet.disable("report*").await?;
    /// fleet.reset("report*").await?;
    /// assert!(fleet.list().await?.is_empty());
    /// # Ok::<(), recached_runtime::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn reset(&self, pattern: &str) -> Result<(), Error> {
        let inner = &self.cache.inner;
        let fields = [OverrideKind::Ttl, OverrideKind::Enabled]
            .map(|kind| (Override::field(kind, pattern), None));
        let session = inner.backend.session(Caller::Async);
        if !session.change_overrides(&fields).await? {
            inner
                .process
                .registry
                .rules()
                .reset(pattern, OverrideSource::Fleet);
            inner.process.overrides_changed();
        }
        Ok(())
    }

    async fn set(&self, pattern: &str, setting: Override) -> Result<Vec<String>, Error> {
        let inner = &self.cache.inner;
        let rule = OverrideRule::new(
            pattern,
            setting,
            OverrideSource::Fleet,
            Some(self.by.clone()),
        )?;
        let session = inner.backend.session(Caller::Async);
        let mut functions = inner.process.registry.names();
        functions.extend(session.functions().await?.names);
        functions.retain(|name| rule.matches(name));
        functions.sort();
        functions.dedup();
        let field = (
            Override::field(setting.kind(), pattern),
            Some(setting.write(&self.by)),
        );
        if !session.change_overrides(&[field]).await? {
            inner.process.registry.rules().set(rule)?;
            inner.process.overrides_changed();
        }
        Ok(functions)
    }
}

fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_stem());
    let name = name.map_or("?".into(), |name| name.to_string_lossy());
    format!("{name}, process {}", std::process::id())
}

impl fmt::Debug for Overrides<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl fmt::Debug for FleetOverrides<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fleet = self.cache.overrides().list();
        let fleet = fleet
            .iter()
            .filter(|one| one.origin == OverrideSource::Fleet);
        f.debug_list().entries(fleet).finish()
    }
}
