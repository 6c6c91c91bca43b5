/// Result of an invalidation. The invalidation has already taken effect in this process.
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
    /// Names of the invalidated functions, sorted. For a key pattern, the functions whose entries
    /// were removed. Empty for a tag, because tags are not indexed.
    pub functions: Vec<String>,
    /// Number of entries that were removed. Entries that a new generation has made unreachable are
    /// not counted, because these entries were not read.
    pub entries: u64,
    /// `true` if Redis was unreachable. This process has dropped its copies, and the invalidation
    /// waits in the outbox. The invalidation is sent before any value that is read from Redis is
    /// served again. The invalidation is lost if the process ends before that.
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
