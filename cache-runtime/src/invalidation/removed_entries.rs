use std::collections::BTreeSet;

/// Maximum number of listed function names.
const MOST: usize = 10_000;

/// Result of a removal by key pattern.
#[derive(Debug, Default)]
pub(crate) struct RemovedEntries {
    pub(crate) entries: u64,
    /// Names of the functions whose entries were removed.
    pub(crate) functions: BTreeSet<String>,
}

impl RemovedEntries {
    pub(crate) fn add_function(&mut self, name: &str) {
        if self.functions.len() < MOST && !self.functions.contains(name) {
            self.functions.insert(name.to_owned());
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.entries += other.entries;
        for name in other.functions {
            self.add_function(&name);
        }
    }
}
