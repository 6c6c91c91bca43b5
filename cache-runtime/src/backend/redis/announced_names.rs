use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::invalidation::group::Group;

/// For how long after a restoration others may store what they have not restored yet. Whoever is
/// cut off for longer stores nothing, and restores its own before it does.
const RESTORING: Duration = Duration::from_secs(60);

/// The functions of this process that were in the registry once, with their variants, to restore
/// them; and what is known of others' restorations. Bounded by the program's functions and the
/// instances of generic ones.
#[derive(Default)]
pub(crate) struct AnnouncedNames {
    announced: Mutex<BTreeSet<(String, String)>>,
    /// By name. Bounded by the names in the registry.
    restored: Mutex<HashMap<String, Restored>>,
}

/// The last restoration of a function: its mark, and when this process has first seen it.
struct Restored {
    mark: String,
    seen: Instant,
    /// It has a new generation since all could have restored theirs: what the registry lacks of it
    /// can't be read any more.
    settled: bool,
}

impl AnnouncedNames {
    pub(crate) fn add(&self, name: &str, variant: &str) {
        self.lock().insert((name.to_owned(), variant.to_owned()));
    }

    pub(crate) fn contains(&self, name: &str, variant: &str) -> bool {
        self.lock().contains(&(name.to_owned(), variant.to_owned()))
    }

    pub(crate) fn announced(&self) -> Vec<(String, String)> {
        self.lock().iter().cloned().collect()
    }

    /// Whether the registry may lack variants of a function that has this mark of a restoration.
    /// No clock is compared with another's: it counts from when this process has seen the mark.
    pub(crate) fn is_in_doubt(&self, name: &str, mark: &str) -> bool {
        let mut restored = self.restored();
        match restored.get(name) {
            Some(known) if known.mark == mark => !known.settled,
            _ => {
                let seen = Restored {
                    mark: mark.to_owned(),
                    seen: Instant::now(),
                    settled: false,
                };
                restored.insert(name.to_owned(), seen);
                true
            }
        }
    }

    /// These groups have new generations.
    pub(crate) fn changed(&self, groups: &[Group]) {
        let mut restored = self.restored();
        if restored.is_empty() {
            return;
        }
        let settle = |known: &mut Restored| known.settled |= known.seen.elapsed() > RESTORING;
        for group in groups {
            match group.function_name() {
                Some(name) => {
                    restored.get_mut(name).into_iter().for_each(settle);
                }
                None if group.is_everything() => restored.values_mut().for_each(settle),
                None => {}
            }
        }
    }

    fn restored(&self) -> MutexGuard<'_, HashMap<String, Restored>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
