use crate::error::{Error, ErrorKind};
use crate::invalidation::group::Group;
use crate::key::Key;
use crate::key::pattern::{KeyPattern, NamePattern};

use std::time::Duration;

/// An invalidation, from the program's request to the outbox and the connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invalidation {
    /// Every call of a group (a function, a tag or the namespace), by the key of the group's
    /// generation.
    Group(String),
    /// Every call of the functions whose names match.
    Functions(NamePattern),
    /// One call, by the call's key.
    Call(String),
    /// Every call whose key matches.
    Keys(KeyPattern),
}

impl Invalidation {
    /// Parses a pattern of function names.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern is not valid.
    pub(crate) fn functions(pattern: &str) -> Result<Self, Error> {
        NamePattern::parse(pattern).map(Self::Functions)
    }

    /// Returns the invalidation of every call with `tag`.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the tag is empty.
    pub(crate) fn tag(namespace: &str, tag: &str) -> Result<Self, Error> {
        if tag.is_empty() {
            return Err(Error::new(
                ErrorKind::Pattern,
                "the tag is empty: write it as the `tags` option has it, as in `user:42`",
            ));
        }
        Ok(Self::of_group(&Group::tag(namespace, tag, Duration::ZERO)))
    }

    /// Parses a pattern of keys.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern is not valid.
    pub(crate) fn keys(namespace: &str, pattern: &str) -> Result<Self, Error> {
        KeyPattern::parse(pattern, namespace).map(Self::Keys)
    }

    pub(crate) fn everything(namespace: &str) -> Self {
        Self::of_group(&Group::everything(namespace))
    }

    pub(crate) fn call(key: &Key) -> Self {
        Self::Call(key.to_string())
    }

    pub(crate) fn of_group(group: &Group) -> Self {
        Self::Group(group.key().to_owned())
    }
}
