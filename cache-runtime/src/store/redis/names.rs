use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::group::Group;

/// For how long after a restoration others may store what they have not restored yet. Whoever is
/// cut off for longer stores nothing, and restores its own before it does.
const RESTORING: Duration = Duration::from_secs(60);

/// The functions of this process that were in the registry once, with their variants, to restore
/// them; and what is known of others' restorations. Bounded by the program's functions and the
/// instances of generic ones.
#[derive(Default)]
pub(crate) struct Names {
    announced: Mutex<BTreeSet<(String, String)>>,
    restored: Mutex<Option<Restored>>,
}

/// The last restoration of the registry: its mark, and when this process has first seen it.
struct Restored {
    mark: Vec<u8>,
    seen: Instant,
    /// The groups that have a new generation since all could have restored theirs: what the
    /// registry lacks of them can't be read any more. Bounded by the functions.
    settled: HashSet<String>,
}

impl Names {
    pub(crate) fn add(&self, name: &str, variant: &str) {
        self.lock().insert((name.to_owned(), variant.to_owned()));
    }

    pub(crate) fn contains(&self, name: &str, variant: &str) -> bool {
        self.lock().contains(&(name.to_owned(), variant.to_owned()))
    }

    pub(crate) fn announced(&self) -> Vec<(String, String)> {
        self.lock().iter().cloned().collect()
    }

    /// Whether a registry with this mark of a restoration may lack what somebody has stored that
    /// is in all of these groups. No clock is compared with another's: it counts from when this
    /// process has seen the mark.
    pub(crate) fn is_in_doubt(&self, mark: &[u8], groups: &[Group]) -> bool {
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        match &*restored {
            Some(known) if known.mark == mark => {
                let mut groups = groups.iter();
                !groups.any(|group| known.settled.contains(group.key()))
            }
            _ => {
                *restored = Some(Restored {
                    mark: mark.to_owned(),
                    seen: Instant::now(),
                    settled: HashSet::new(),
                });
                true
            }
        }
    }

    /// These groups have new generations.
    pub(crate) fn changed(&self, groups: &[Group]) {
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &mut *restored
            && known.seen.elapsed() > RESTORING
        {
            let functions = groups.iter().filter(|group| !group.is_tag());
            known
                .settled
                .extend(functions.map(|group| group.key().to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
