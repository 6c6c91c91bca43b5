use crate::process::sync::{Mutex, MutexGuard};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::invalidation::group::Group;

/// Time after a restoration during which other processes may still store entries of variants that
/// they have not restored yet. A process that is disconnected for longer stores nothing until it
/// has restored its own variants.
const RESTORING: Duration = Duration::from_secs(60);

/// Functions and variants that this process has added to the registry, kept for restoring them, and
/// the restorations that it has seen there. Bounded by the program's functions and the instances of
/// generic ones.
#[derive(Default)]
pub(crate) struct AnnouncedNames {
    announced: Mutex<BTreeSet<(String, String)>>,
    /// Restorations by function name. Bounded by the names in the registry.
    restored: Mutex<HashMap<String, Restored>>,
}

/// Last restoration of a function: its mark, and the time at which this process first saw the mark.
struct Restored {
    header: String,
    seen: Instant,
    /// Set if the function got a new generation after [`RESTORING`] had passed. From then on, no
    /// entry of a variant that the registry lacks can be read.
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

    /// Returns `true` if the registry may lack variants of a function with this restoration mark.
    /// Clocks of different processes are never compared: the time counts from when this process
    /// first saw the mark.
    pub(crate) fn is_in_doubt(&self, name: &str, header: &str) -> bool {
        let mut restored = self.restored();
        match restored.get(name) {
            Some(known) if known.header == header => !known.settled,
            _ => {
                let seen = Restored {
                    header: header.to_owned(),
                    seen: Instant::now(),
                    settled: false,
                };
                restored.insert(name.to_owned(), seen);
                true
            }
        }
    }

    /// Records that these groups have new generations.
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
        self.restored.lock()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.announced.lock()
    }
}
