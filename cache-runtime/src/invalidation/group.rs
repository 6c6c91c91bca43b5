use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::key::fingerprint::digest;
use crate::key::{keyspace, tag_text};
use crate::process::unique_id::UniqueId;

/// A set of calls that can be invalidated together, named by the key of its generation.
#[derive(Clone)]
pub(crate) struct Group {
    key: Arc<str>,
    digest: u128,
    /// Lifetime of the group's generation, or `None` if the generation does not expire.
    life: Option<Duration>,
}

/// Minimum lifetime of a tag's generation. Generations of tags expire, because a program may have
/// one tag per user and no event marks a tag as unused. An expired generation costs each call with
/// the tag a miss.
const TAG_LIFE: Duration = Duration::from_secs(24 * 3_600);

impl Group {
    /// Returns the group of every call of the namespace.
    pub(crate) fn everything(namespace: &str) -> Self {
        Self::new(keyspace::everything(namespace))
    }

    /// Returns the group of every call of one function.
    pub(crate) fn function(namespace: &str, name: &str) -> Self {
        Self::new(keyspace::function(namespace, name))
    }

    /// Returns `true` if the group contains every call of the namespace.
    pub(crate) fn is_everything(&self) -> bool {
        keyspace::is_everything(&self.key)
    }

    /// Returns a group without calls, whose generation is the id of the database.
    pub(crate) fn database(namespace: &str) -> Self {
        Self::new(keyspace::database(namespace))
    }

    /// Returns the function's name if the group is the group of a function.
    pub(crate) fn function_name(&self) -> Option<&str> {
        Self::function_of_key(&self.key)
    }

    /// Returns the function's name if `key` holds the generation of a function.
    pub(crate) fn function_of_key(key: &str) -> Option<&str> {
        keyspace::function_of(key)
    }

    /// Returns the group of every call with this tag, of functions whose entries live for at most
    /// `ttl`.
    pub(crate) fn tag(namespace: &str, tag: &str, ttl: Duration) -> Self {
        Self {
            life: Some(ttl.saturating_mul(2).max(TAG_LIFE)),
            ..Self::new(keyspace::tag(namespace, &tag_text(tag)))
        }
    }

    /// Returns the group whose generation is stored at `key`.
    pub(crate) fn of_key(key: &str) -> Self {
        Self {
            life: keyspace::is_tag(key).then_some(TAG_LIFE),
            ..Self::new(key.to_owned())
        }
    }

    fn new(key: String) -> Self {
        Self {
            digest: digest(key.as_bytes()),
            key: key.into(),
            life: None,
        }
    }

    /// Returns `true` if the group is the group of a tag.
    pub(crate) fn is_tag(&self) -> bool {
        self.life.is_some()
    }

    /// Returns the lifetime of a new generation, or `None` if the generation does not expire.
    pub(crate) fn life(&self) -> Option<Duration> {
        self.life
    }

    /// Returns the digest of the group's key, by which this process looks up the group.
    pub(crate) fn digest(&self) -> u128 {
        self.digest
    }

    /// Returns the key that holds the group's generation.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// The digest of the generations of all groups of a call, in the order of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GenerationStamp(pub(crate) [u8; 16]);

impl GenerationStamp {
    pub(crate) fn of(generations: impl IntoIterator<Item = UniqueId>) -> Self {
        // The hash needs no secret key, because generations are random. Every process must compute
        // the same digest.
        let mut hasher = SipHasher13::new();
        for generation in generations {
            hasher.write(&generation.0);
        }
        Self(hasher.finish128().as_u128().to_le_bytes())
    }

    pub(crate) fn half(self) -> HalfStamp {
        HalfStamp(u128::from_le_bytes(self.0) as u64)
    }
}

/// Half of a stamp: 64 bits, used to compare stamps within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfStamp(pub(crate) u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_distinguished_from_a_function_by_the_key_of_its_generation() {
        let tag = Group::tag("ns", "user:42", Duration::ZERO);
        assert_eq!(tag.key(), "ns:gen:tag:user:42");
        assert!(Group::of_key(tag.key()).life().is_some());
        let function = Group::function("ns", "gen.tag");
        assert!(Group::of_key(function.key()).life().is_none());
        // A key text that only an argument can produce is not a tag.
        assert!(!keyspace::is_tag("ns:f::gen:tag:1"));
    }

    #[test]
    fn a_function_is_known_by_the_key_of_its_generation() {
        let function = Group::function("ns", "app.user");
        assert_eq!(function.function_name(), Some("app.user"));
        assert_eq!(
            Group::function_of_key("ns:gen:fn:app.user"),
            Some("app.user")
        );
        let others = [Group::everything("ns"), Group::database("ns")];
        assert!(others.iter().all(|group| group.function_name().is_none()));
        assert!(!function.is_tag() && !others[0].is_tag());
    }

    #[test]
    fn the_generation_of_a_tag_outlives_its_calls_and_a_day() {
        let life = |ttl| Group::tag("ns", "a", Duration::from_secs(ttl)).life();
        let day = 24 * 3_600;
        assert_eq!(life(60), Some(Duration::from_secs(day)));
        assert_eq!(life(day), Some(Duration::from_secs(2 * day)));
        assert!(Group::tag("ns", "a", Duration::MAX).life().is_some());
        assert_eq!(Group::function("ns", "a").life(), None);
    }

    #[test]
    fn a_stamp_changes_with_any_of_its_generations() {
        let (a, b, c) = (UniqueId::fresh(), UniqueId::fresh(), UniqueId::fresh());
        assert_eq!(GenerationStamp::of([a, b]), GenerationStamp::of([a, b]));
        assert_ne!(GenerationStamp::of([a, b]), GenerationStamp::of([a, c]));
        assert_ne!(GenerationStamp::of([a, b]), GenerationStamp::of([b, a]));
    }
}
