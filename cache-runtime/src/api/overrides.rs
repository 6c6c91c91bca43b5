use std::fmt;
use std::time::Duration;

use crate::api::cache::Cache;
use crate::backend::contract::{Backend, Caller};
use crate::error::Error;
use crate::overrides::rule::{
    ActiveOverride, Override, OverrideKind, OverrideRule, OverrideSource,
};

/// Overrides at run time, over what the attributes say: for this process, or for the fleet.
///
/// Functions are named by patterns, as for [`Cache::invalidate`]. What the fleet has set goes
/// before what the environment says (`RECACHED_TTL="user*=30s, shop.*=5m"`,
/// `RECACHED_OFF="report*"`), and that before what this process has set; of two patterns that
/// match, the longer one holds.
#[must_use = "it does nothing until something is set or listed"]
pub struct Overrides<'a> {
    cache: &'a Cache,
}

/// Overrides for all processes of a namespace: kept in Redis, told to every process at once, and
/// in force after a restart. With no server they are this process's.
#[must_use = "it does nothing until something is set"]
pub struct FleetOverrides<'a> {
    cache: &'a Cache,
    by: String,
}

impl Cache {
    /// Overrides at run time.
    pub fn overrides(&self) -> Overrides<'_> {
        Overrides { cache: self }
    }
}

impl<'a> Overrides<'a> {
    /// How long values of these functions live, in place of what their attributes say. Gives the
    /// functions of this process that match; it holds for others once they are called.
    ///
    /// # Errors
    ///
    /// A pattern that can't be understood; a ttl of zero.
    pub fn ttl(&self, pattern: &str, ttl: Duration) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Ttl(ttl))
    }

    /// These functions are computed at each call, as if they had no attribute.
    ///
    /// # Errors
    ///
    /// A pattern that can't be understood.
    pub fn disable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(false))
    }

    /// These functions are cached, though a shorter pattern turns them off.
    ///
    /// # Errors
    ///
    /// A pattern that can't be understood.
    pub fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true))
    }

    /// Takes back what this process has set of this very pattern.
    pub fn reset(&self, pattern: &str) {
        let process = &self.cache.inner.process;
        process
            .registry
            .rules()
            .reset(pattern, OverrideSource::Code);
        process.overrides_changed();
    }

    /// All that is set, with who has set it; what goes before others last.
    #[must_use]
    pub fn list(&self) -> Vec<ActiveOverride> {
        let registry = &self.cache.inner.process.registry;
        registry.rules().list(&registry.names())
    }

    /// The same for the whole fleet.
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
    /// Who sets it, as it is listed (default: the program's name and its process).
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = who.into();
        self
    }

    /// As [`Overrides::ttl`]. Gives the functions of the fleet that match.
    ///
    /// # Errors
    ///
    /// As [`Overrides::ttl`]; a server that was not told.
    pub async fn ttl(&self, pattern: &str, ttl: Duration) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Ttl(ttl)).await
    }

    /// As [`Overrides::disable`]. Gives the functions of the fleet that match.
    ///
    /// # Errors
    ///
    /// As [`Overrides::disable`]; a server that was not told.
    pub async fn disable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(false)).await
    }

    /// As [`Overrides::enable`]. Gives the functions of the fleet that match.
    ///
    /// # Errors
    ///
    /// As [`Overrides::enable`]; a server that was not told.
    pub async fn enable(&self, pattern: &str) -> Result<Vec<String>, Error> {
        self.set(pattern, Override::Enabled(true)).await
    }

    /// All that is set for the fleet, read from the server now: right after a cache was built,
    /// [`Overrides::list`] may not know of it yet.
    ///
    /// # Errors
    ///
    /// Returns what kept the server from answering.
    pub async fn list(&self) -> Result<Vec<ActiveOverride>, Error> {
        let session = self.cache.inner.backend.session(Caller::Async);
        session.apply_overrides().await?;
        let mut all = self.cache.overrides().list();
        all.retain(|one| one.origin == OverrideSource::Fleet);
        Ok(all)
    }

    /// Takes back what was set for the fleet of this very pattern.
    ///
    /// # Errors
    ///
    /// A server that was not told.
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
