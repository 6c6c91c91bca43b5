use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};
use crate::key::pattern::NamePattern;

/// A value that replaces a value of a function's attribute at run time.
///
/// ```
/// use std::time::Duration;
/// use recached_runtime::Override;
///
/// assert_eq!(Override::Ttl(Duration::from_secs(30)).to_string(), "ttl = 30s");
/// assert_eq!(Override::Enabled(false).to_string(), "off");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Override {
    /// Lifetime of values. A lifetime that is shorter than the lifetime of a stored entry also
    /// applies to the stored entry, counted from the time of storage.
    Ttl(Duration),
    /// Switch of the cache: if `true`, calls consult the cache; if `false`, every call is a bypass.
    Enabled(bool),
}

/// Source of an override. A later variant takes precedence over an earlier one.
///
/// ```
/// use recached_runtime::OverrideSource;
///
/// assert!(OverrideSource::Fleet > OverrideSource::Environment);
/// assert!(OverrideSource::Environment > OverrideSource::Code);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OverrideSource {
    /// Set in this process, by [`Overrides`](crate::Overrides).
    Code,
    /// Set by the environment variable `RECACHED_TTL` or `RECACHED_OFF`.
    Environment,
    /// Set by any process for the whole fleet.
    Fleet,
}

/// Maximum number of characters of an author's name that are displayed.
const LONGEST_AUTHOR: usize = 100;

/// An active override.
///
/// ```
/// use recached_runtime::{Cache, Override, OverrideSource};
///
/// let cache = Cache::builder().in_process().build()?;
/// cache.overrides().disable("report*")?;
/// let one = &cache.overrides().list()[0];
/// assert_eq!((one.pattern.as_str(), one.setting), ("report*", Override::Enabled(false)));
/// assert_eq!((one.origin, &one.by), (OverrideSource::Code, &None));
/// # Ok::<(), recached_runtime::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveOverride {
    /// Pattern of function names, as for [`Cache::invalidate`](crate::Cache::invalidate).
    pub pattern: String,
    /// The override.
    pub setting: Override,
    /// Source of the override.
    pub origin: OverrideSource,
    /// Author of an override of the fleet.
    pub by: Option<String>,
    /// Functions of this process that the pattern matches; an empty list may mean a misspelt
    /// pattern.
    pub functions: Vec<String>,
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ttl(ttl) => write!(f, "ttl = {ttl:?}"),
            Self::Enabled(true) => f.write_str("on"),
            Self::Enabled(false) => f.write_str("off"),
        }
    }
}

impl fmt::Display for ActiveOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pattern.escape_debug(), self.setting)?;
        match (self.origin, &self.by) {
            // Any client of the server can write any text here, so the text is not trusted.
            (OverrideSource::Fleet, Some(by)) => {
                let by: String = by.chars().take(LONGEST_AUTHOR).collect();
                write!(f, ", for the fleet, by {}", by.escape_debug())?;
            }
            (OverrideSource::Fleet, None) => f.write_str(", for the fleet")?,
            (OverrideSource::Environment, _) => f.write_str(", by the environment")?,
            (OverrideSource::Code, _) => f.write_str(", by the program")?,
        }
        match &self.functions[..] {
            [] => f.write_str(" (no function of that name has been called here)"),
            functions => write!(f, " ({})", functions.join(", ")),
        }
    }
}

/// Kind of an override. At most one override of each kind is active for a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OverrideKind {
    Ttl,
    Enabled,
}

impl Override {
    pub(crate) fn kind(&self) -> OverrideKind {
        match self {
            Self::Ttl(_) => OverrideKind::Ttl,
            Self::Enabled(_) => OverrideKind::Enabled,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Ttl(ttl) if ttl.as_millis() == 0 => Err(Error::new(
                ErrorKind::Config,
                "a ttl of 0 stores nothing: to turn a function's cache off, set it off",
            )),
            _ => Ok(()),
        }
    }

    /// Returns the field of the override in the fleet's hash. The value of the field is JSON.
    pub(crate) fn field(kind: OverrideKind, pattern: &str) -> String {
        match kind {
            OverrideKind::Ttl => format!("ttl:{pattern}"),
            OverrideKind::Enabled => format!("on:{pattern}"),
        }
    }

    pub(crate) fn write(&self, by: &str) -> String {
        match self {
            Self::Ttl(ttl) => {
                let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                json!({ "ms": ms, "by": by }).to_string()
            }
            Self::Enabled(on) => json!({ "on": on, "by": by }).to_string(),
        }
    }

    /// Parses a field. Returns `None` if the field is malformed or was written by a later version.
    pub(crate) fn read(field: &str, value: &str) -> Option<OverrideRule> {
        let (kind, pattern) = field.split_once(':')?;
        let value: Value = serde_json::from_str(value).ok()?;
        let setting = match kind {
            "ttl" => Self::Ttl(Duration::from_millis(value.get("ms")?.as_u64()?)),
            "on" => Self::Enabled(value.get("on")?.as_bool()?),
            _ => return None,
        };
        setting.check().ok()?;
        let by = value.get("by").and_then(Value::as_str).map(str::to_owned);
        OverrideRule::new(pattern, setting, OverrideSource::Fleet, by).ok()
    }
}

/// An override with its parsed pattern.
pub(crate) struct OverrideRule {
    pub(crate) pattern: String,
    names: NamePattern,
    pub(crate) setting: Override,
    pub(crate) origin: OverrideSource,
    pub(crate) by: Option<String>,
}

impl OverrideRule {
    pub(crate) fn new(
        pattern: &str,
        setting: Override,
        origin: OverrideSource,
        by: Option<String>,
    ) -> Result<Self, Error> {
        setting.check()?;
        Ok(Self {
            pattern: pattern.to_owned(),
            names: NamePattern::parse(pattern)?,
            setting,
            origin,
            by,
        })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.names.matches(name)
    }

    /// Returns the rank of the override. Of two matching overrides, the override with the greater
    /// rank is active. Overrides rank by source, then by the length of the pattern, then by the
    /// text of the pattern, which is the same order in all processes.
    pub(crate) fn rank(&self) -> (OverrideSource, usize, &str) {
        (self.origin, self.pattern.len(), &self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fleet_keeps_is_read_as_it_was_written() {
        for setting in [
            Override::Ttl(Duration::from_millis(1_500)),
            Override::Enabled(true),
            Override::Enabled(false),
        ] {
            let field = Override::field(setting.kind(), "shop.user*");
            let rule = Override::read(&field, &setting.write("ada")).expect("it is ours");
            assert_eq!(
                (rule.pattern.as_str(), rule.setting),
                ("shop.user*", setting)
            );
            assert_eq!(rule.by.as_deref(), Some("ada"));
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for (field, value) in [
            ("ttl:user", "5"),
            ("ttl:user", "{\"ms\":0}"),
            ("ttl:user", "{\"ms\":-1}"),
            ("ttl:", "{\"ms\":5}"),
            ("on:user", "{\"ms\":5}"),
            ("size:user", "{\"ms\":5}"),
            ("user", "{}"),
            ("ttl:user", "{half"),
        ] {
            assert!(Override::read(field, value).is_none(), "{field} {value}");
        }
    }
}
