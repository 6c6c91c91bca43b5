use std::error::Error as StdError;
use std::fmt;

/// An error of the cache itself.
///
/// A cached function never returns this: its callers get the function's own result. It is returned
/// by operations on the cache itself: building it, invalidating, reading or writing by hand.
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
    /// A setting can't be used; the message names it and the fix.
    Config,
    /// No connection to the server at the moment.
    Unavailable,
    /// The server did not reply within the deadline.
    Timeout,
    /// Too many commands wait in this process to be sent to the server.
    Overloaded,
    /// The server replied with an error.
    Server,
    /// An argument or a key text can't be made into a key.
    Key,
    /// A value can't be written in its codec.
    Encode,
    /// A value takes more than the cache's `max_value_size` when it is written.
    Oversized,
    /// A stored value can't be read as the requested type.
    Decode,
    /// Two places use one function name.
    NameTaken,
    /// A pattern can't be understood.
    Pattern,
    /// Another computation of the same call took longer than a caller waits for one.
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

    /// Marks the error as transient, because the server may reply otherwise in a while.
    pub(crate) fn for_now(mut self) -> Self {
        self.passing = true;
        self
    }

    /// Marks the error as one of this connection only: the server is well.
    pub(crate) fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Returns `true` if the same would succeed on another connection.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Returns `true` if the same operation may succeed in a while: Redis is away, slow, starting, full
    /// or busy.
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

    /// The kind of the error.
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
