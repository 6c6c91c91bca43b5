/// Result of an invalidation that is in force in this process.
///
/// ```
/// # fn main() -> Result<(), recached_runtime::Error> {
/// let report = recached_runtime::blocking::invalidate("user*")?;
/// if report.functions.is_empty() {
///     eprintln!("no function is named like this");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a misspelt pattern invalidates nothing, and only the report says so"]
pub struct InvalidationReport {
    /// Names of the functions that were invalidated, sorted: by key pattern, those whose entries
    /// were removed. Empty for a tag, because tags are not indexed.
    pub functions: Vec<String>,
    /// Number of entries that were removed. Entries that a new generation has put out of reach are
    /// not counted, because they were not read.
    pub entries: u64,
    /// `true` if Redis could not be reached: this process has dropped its copies, the invalidation
    /// waits in the outbox, and it is sent before anything read from Redis is trusted again. It is
    /// lost if the process ends before that.
    pub queued: bool,
}

impl InvalidationReport {
    /// Returns the report of an invalidation that waits in the outbox.
    pub(crate) fn queued() -> Self {
        Self {
            queued: true,
            ..Self::default()
        }
    }
}
