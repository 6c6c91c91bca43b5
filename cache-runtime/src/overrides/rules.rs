use crate::process::sync::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::overrides::rule::{
    ActiveOverride, Override, OverrideKind, OverrideRule, OverrideSource,
};

/// Maximum number of overrides of one program. Overrides of unknown functions count too, because
/// overrides also apply to functions that are called later.
pub(crate) const MOST: usize = 10_000;

/// Maximum number of malformed fields that are reported.
const MOST_MALFORMED: usize = 1_000;

/// All overrides.
#[derive(Default)]
pub(crate) struct OverrideRules {
    all: RwLock<Vec<OverrideRule>>,
    /// Number of times that the fleet's overrides were replaced.
    version: AtomicU64,
    /// Malformed fields of the fleet that were reported, so that each field is reported once.
    malformed: Mutex<BTreeSet<String>>,
}

impl OverrideRules {
    /// Reads the environment: `RECACHED_TTL="user*=30s, shop.*=5m"`, `RECACHED_OFF="report*"`.
    /// An item that cannot be used is logged and skipped.
    pub(crate) fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let (rules, refused) = Self::parse(&variable("RECACHED_TTL"), &variable("RECACHED_OFF"));
        for error in refused {
            tracing::error!("{error}; it is passed over");
        }
        rules
    }

    fn parse(ttls: &str, off: &str) -> (Self, Vec<Error>) {
        let items = |list: &str| -> Vec<String> {
            let items = list.split(',').map(|item| item.trim().to_owned());
            items.filter(|item| !item.is_empty()).collect()
        };
        let ttls = items(ttls).into_iter().map(|item| ttl_rule(&item));
        let off = items(off).into_iter().map(|item| {
            let rule = OverrideRule::new(
                &item,
                Override::Enabled(false),
                OverrideSource::Environment,
                None,
            );
            rule.map_err(|error| refusal("RECACHED_OFF", &item, &error.to_string()))
        });
        let (mut rules, mut refused) = (Vec::new(), Vec::new());
        for rule in ttls.chain(off) {
            match rule {
                Ok(rule) => rules.push(rule),
                Err(error) => refused.push(error),
            }
        }
        let rules = Self {
            all: RwLock::new(rules),
            ..Self::default()
        };
        (rules, refused)
    }

    /// Returns the active overrides of the function `name`: the ttl, and `true` if the cache is
    /// enabled.
    pub(crate) fn of(&self, name: &str) -> (Option<Duration>, bool) {
        let (mut ttl, mut on) = (None, true);
        let rules = self.all.read();
        let mut matching: Vec<&OverrideRule> =
            rules.iter().filter(|rule| rule.matches(name)).collect();
        matching.sort_by_key(|rule| rule.rank());
        for rule in matching {
            match rule.setting {
                Override::Ttl(life) => ttl = Some(life),
                Override::Enabled(is) => on = is,
            }
        }
        (ttl, on)
    }

    /// Sets an override. Replaces an earlier override of the same source, pattern and kind.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Config` if there are `MOST` other overrides.
    pub(crate) fn set(&self, rule: OverrideRule) -> Result<(), Error> {
        let mut rules = self.all.write();
        let same = |other: &OverrideRule| {
            other.origin == rule.origin
                && other.pattern == rule.pattern
                && other.setting.kind() == rule.setting.kind()
        };
        rules.retain(|other| !same(other));
        if rules.len() >= MOST {
            let text = format!("more than {MOST} settings: use patterns that reach further");
            return Err(Error::new(ErrorKind::Config, text));
        }
        rules.push(rule);
        Ok(())
    }

    /// Removes the overrides of `pattern` that come from `origin`.
    pub(crate) fn reset(&self, pattern: &str, origin: OverrideSource) {
        let mut rules = self.all.write();
        rules.retain(|rule| rule.pattern != pattern || rule.origin != origin);
    }

    /// Returns the version of the fleet's overrides. Callers take the version before they read the
    /// backend: if the version changes meanwhile, the reply is outdated.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the fleet's overrides. Returns `false` and changes nothing if the overrides were
    /// replaced since `version`, because the reply to an earlier read may arrive later.
    pub(crate) fn replace_fleet(&self, version: u64, fleet: Vec<OverrideRule>) -> bool {
        let mut rules = self.all.write();
        if self.version() != version {
            return false;
        }
        self.version.store(version + 1, Ordering::Release);
        rules.retain(|rule| rule.origin != OverrideSource::Fleet);
        rules.extend(fleet);
        true
    }

    /// Returns `true` if a malformed field must be reported: each field once, and at most
    /// `MOST_MALFORMED` fields.
    pub(crate) fn is_first_malformed(&self, field: &str) -> bool {
        let mut malformed = self.malformed.lock();
        malformed.len() < MOST_MALFORMED && malformed.insert(field.to_owned())
    }

    /// Returns all overrides, sorted by ascending precedence. Lists the functions of `names` that
    /// each override matches.
    pub(crate) fn list(&self, names: &[String]) -> Vec<ActiveOverride> {
        let rules = self.all.read();
        let mut all: Vec<&OverrideRule> = rules.iter().collect();
        all.sort_by_key(|rule| (rule.rank(), rule.setting.kind() == OverrideKind::Enabled));
        let show = |rule: &OverrideRule| ActiveOverride {
            pattern: rule.pattern.clone(),
            setting: rule.setting,
            origin: rule.origin,
            by: rule.by.clone(),
            functions: names
                .iter()
                .filter(|name| rule.matches(name))
                .cloned()
                .collect(),
        };
        all.into_iter().map(show).collect()
    }
}

/// Parses an item of `RECACHED_TTL`.
fn ttl_rule(item: &str) -> Result<OverrideRule, Error> {
    let fault = |why: &str| refusal("RECACHED_TTL", item, why);
    let (pattern, ttl) = item
        .split_once('=')
        .ok_or_else(|| fault("it is not of the form `user*=30s`"))?;
    let ttl = duration(ttl.trim())
        .ok_or_else(|| fault("the ttl is a number with `ms`, `s`, `m`, `h` or `d`, as in `30s`"))?;
    let rule = OverrideRule::new(
        pattern.trim(),
        Override::Ttl(ttl),
        OverrideSource::Environment,
        None,
    );
    rule.map_err(|error| fault(&error.to_string()))
}

fn refusal(variable: &str, item: &str, why: &str) -> Error {
    let item = item.escape_debug();
    let text = format!("{variable}: `{item}` can't be used: {why}");
    Error::new(ErrorKind::Config, text)
}

/// Parses a whole number with a unit: `ms`, `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(ms)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_environment_is_read_and_what_is_wrong_in_it_is_named() {
        let (rules, refused) = OverrideRules::parse("user*=30s, shop.*= 5m,", " report* ");
        assert!(refused.is_empty());
        assert_eq!(rules.of("app.user"), (Some(SECOND * 30), true));
        assert_eq!(rules.of("shop.item"), (Some(SECOND * 300), true));
        assert_eq!(rules.of("app.report_all"), (None, false));
        assert_eq!(rules.of("app.other"), (None, true));
        for (ttl, off, culprit) in [
            ("user", "", "`user`"),
            ("user=5", "", "`user=5`"),
            ("user=s", "", "`user=s`"),
            ("user=0s", "", "`user=0s`"),
            ("=5s", "", "`=5s`"),
            ("a:b=5s", "", "`a:b=5s`"),
            ("user=99999999999999999999d", "", "`user=9"),
            ("", "a:b", "`a:b`"),
        ] {
            // The other items apply.
            let (rules, refused) =
                OverrideRules::parse(&format!("good=1s,{ttl}"), &format!("bad,{off}"));
            assert_eq!(rules.of("app.good"), (Some(SECOND), true));
            assert_eq!(rules.of("app.bad"), (None, false));
            let error = refused.first().expect("it is wrong").to_string();
            assert!(
                error.contains(culprit) && error.contains("RECACHED_"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_fleet_goes_before_the_environment_and_that_before_code_and_more_before_less() {
        let (rules, _) = OverrideRules::parse("user=3s", "");
        let set = |pattern: &str, seconds: u32, origin| {
            let rule = OverrideRule::new(pattern, Override::Ttl(SECOND * seconds), origin, None);
            rules.set(rule.expect("it is good")).expect("there is room");
        };
        set("user", 1, OverrideSource::Code);
        assert_eq!(rules.of("app.user").0, Some(SECOND * 3));
        set("*", 4, OverrideSource::Fleet);
        assert_eq!(rules.of("app.user").0, Some(SECOND * 4));
        set("us*", 5, OverrideSource::Fleet);
        set("*", 6, OverrideSource::Fleet);
        assert_eq!(rules.of("app.user").0, Some(SECOND * 5));
        assert_eq!(rules.of("app.other").0, Some(SECOND * 6));
        assert!(rules.replace_fleet(rules.version(), vec![]));
        assert_eq!(rules.of("app.user").0, Some(SECOND * 3));
        rules.reset("user", OverrideSource::Environment);
        assert_eq!(rules.of("app.user").0, Some(SECOND));
        let names = ["app.user".to_owned()];
        let list = rules.list(&names);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].functions, names);
    }

    #[test]
    fn an_earlier_reading_of_the_fleet_does_not_replace_a_later_one() {
        let rules = OverrideRules::default();
        let off = |pattern: &str| {
            let rule = OverrideRule::new(
                pattern,
                Override::Enabled(false),
                OverrideSource::Fleet,
                None,
            );
            rule.expect("it is good")
        };
        let (early, late) = (rules.version(), rules.version());
        assert!(rules.replace_fleet(late, vec![off("user")]));
        assert!(!rules.replace_fleet(early, vec![]));
        assert_eq!(rules.of("app.user"), (None, false));
        assert!(rules.replace_fleet(rules.version(), vec![]));
        assert_eq!(rules.of("app.user"), (None, true));
    }
}
