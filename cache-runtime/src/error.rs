use std::error::Error as StdError;
use std::fmt;

/// An error of the cache itself.
///
/// A cached function never returns this error: callers get the function's own result. Operations on
/// the cache itself return this error: building a cache, invalidating, and reading or writing by
/// hand.
pub struct Error {
    kind: ErrorKind,
    message: String,
    passing: bool,
    /// `true` if the server replies on another connection.
    elsewhere: bool,
}

/// The kinds of [`Error`], for programs that act on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is not usable. The message names the setting and the fix.
    Config,
    /// The cache has no connection to the server at the moment.
    Unavailable,
    /// The server did not reply within the deadline.
    Timeout,
    /// Too many commands wait in this process to be sent to the server.
    Overloaded,
    /// The server replied with an error.
    Server,
    /// An argument or a key text cannot be converted to a key.
    Key,
    /// A value cannot be encoded by its codec.
    Encode,
    /// An encoded value is larger than the cache's `max_value_size`.
    Oversized,
    /// A stored value cannot be decoded as the requested type.
    Decode,
    /// Two functions have the same name.
    NameTaken,
    /// A pattern is not valid.
    Pattern,
    /// Another computation of the same call took longer than the maximum wait of a caller.
    WaitExceeded,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            passing: matches!(
                kind,
                ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Overloaded
            ),
            elsewhere: false,
        }
    }

    /// Marks the error as transient, because the server may reply differently later.
    pub(crate) fn for_now(mut self) -> Self {
        self.passing = true;
        self
    }

    /// Marks the error as an error of one connection: the server itself replies.
    pub(crate) fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Returns `true` if the same operation would succeed on another connection.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Returns `true` if the same operation may succeed later: Redis is unreachable, slow,
    /// starting, full or busy.
    ///
    /// ```
    /// let error = recached_runtime::Cache::builder().redis("nonsense").build().unwrap_err();
    /// assert!(!error.is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.passing
    }

    /// Returns a copy of the error.
    pub(crate) fn again(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            passing: self.passing,
            elsewhere: self.elsewhere,
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .finish()
    }
}

impl StdError for Error {}
