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
#[must_use = "it does nothing until something is set or listed"]
pub struct Overrides<'a> {
    cache: &'a Cache,
}

/// Overrides for all processes of a namespace: they are stored in Redis, sent to every process at
/// once, and persist across restarts. Without a server they apply to this process only.
#[must_use = "it does nothing until something is set"]
pub struct FleetOverrides<'a> {
    cache: &'a Cache,
    by: String,
}

impl Cache {
    /// Returns the overrides of this cache.
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
    pub fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true))
    }

    /// Removes the overrides that this process has set for exactly this pattern.
    pub fn reset(&self, pattern: &str) {
        let process = &self.cache.inner.process;
        process
            .registry
            .rules()
            .reset(pattern, OverrideSource::Code);
        process.overrides_changed();
    }

    /// Returns all overrides with their source, in ascending order of precedence.
    #[must_use]
    pub fn list(&self) -> Vec<ActiveOverride> {
        let registry = &self.cache.inner.process.registry;
        registry.rules().list(&registry.names())
    }

    /// Returns the same operations for the whole fleet.
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
    pub async fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true)).await
    }

    /// Returns all overrides of the fleet, read from the server now: immediately after a cache was
    /// built, [`Overrides::list`] may not contain them yet.
    ///
    /// # Errors
    ///
    /// Returns the error of the read if the server does not reply.
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
