use crate::error::{Error, ErrorKind};
use crate::invalidation::group::Group;
use crate::key::Key;
use crate::key::pattern::{KeyPattern, NamePattern};

use std::time::Duration;

/// An invalidation, from the program's request to the outbox and the connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invalidation {
    /// Every call of a group (a function, a tag, the namespace), by the key of its generation.
    Group(String),
    /// Every call of the functions whose names match.
    Functions(NamePattern),
    /// One call, by its key.
    Call(String),
    /// Every call whose key matches.
    Keys(KeyPattern),
}

impl Invalidation {
    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be understood.
    pub(crate) fn functions(pattern: &str) -> Result<Self, Error> {
        NamePattern::parse(pattern).map(Self::Functions)
    }

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

    /// # Errors
    ///
    /// Returns `ErrorKind::Pattern` if the pattern can't be understood.
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
