use std::collections::BTreeSet;

use crate::backend::contract::{Backend, KnownNames};
use crate::error::Error;
use crate::invalidation::group::Group;
use crate::invalidation::request::Invalidation;
use crate::key::Key;
use crate::process::background::yielded;

/// Number of groups whose generations are replaced at a time. Other tasks run in between.
const PART: usize = 500;

/// Result of an invalidation on a backend.
pub(crate) struct Applied {
    /// Groups whose generations were replaced, or should have been if `outcome` is an error.
    pub(crate) groups: Vec<Group>,
    /// Names of the functions that the invalidation is about, sorted.
    pub(crate) functions: BTreeSet<String>,
    /// Number of removed entries.
    pub(crate) outcome: Result<u64, Error>,
}

impl Applied {
    fn of_groups(groups: Vec<Group>, outcome: Result<(), Error>) -> Self {
        Self {
            groups,
            functions: BTreeSet::new(),
            outcome: outcome.map(|()| 0),
        }
    }
}

/// Applies an invalidation to a backend. `names` are the functions that this process knows.
pub(crate) async fn apply(
    backend: &impl Backend,
    namespace: &str,
    invalidation: &Invalidation,
    names: Vec<String>,
) -> Applied {
    match invalidation {
        Invalidation::Group(key) => {
            let groups = vec![Group::of_key(key)];
            let outcome = change(backend, &groups).await;
            Applied::of_groups(groups, outcome)
        }
        Invalidation::Functions(pattern) => {
            let (known, fleet) = match backend.functions().await {
                Ok(known) => (known, Ok(())),
                Err(error) => (KnownNames::default(), Err(error)),
            };
            let names = names.into_iter().chain(known.names);
            let functions: BTreeSet<_> = names.filter(|name| pattern.matches(name)).collect();
            let groups: Vec<Group> = match known.incomplete {
                // A function whose name could not be read may match the pattern.
                true => vec![Group::everything(namespace)],
                false => functions
                    .iter()
                    .map(|name| Group::function(namespace, name))
                    .collect(),
            };
            let outcome = match fleet {
                Ok(()) => change(backend, &groups).await,
                Err(error) => Err(error),
            };
            Applied {
                functions,
                ..Applied::of_groups(groups, outcome)
            }
        }
        Invalidation::Call(key) => {
            let key = Key::of(key);
            let outcome = backend.remove(&key).await;
            let is_removed = matches!(outcome, Ok(1..));
            let function = is_removed.then(|| key.name().to_owned());
            Applied {
                groups: Vec::new(),
                functions: function.into_iter().collect(),
                outcome,
            }
        }
        Invalidation::Keys(pattern) => {
            let removed = backend.remove_matching(pattern).await;
            let (functions, outcome) = match removed {
                Ok(removed) => (removed.functions, Ok(removed.entries)),
                Err(error) => (BTreeSet::new(), Err(error)),
            };
            Applied {
                groups: Vec::new(),
                functions,
                outcome,
            }
        }
    }
}

/// Replaces the generation of each group, [`PART`] groups at a time.
async fn change(backend: &impl Backend, groups: &[Group]) -> Result<(), Error> {
    for part in groups.chunks(PART) {
        backend.refill();
        backend.change(part).await?;
        yielded().await;
    }
    Ok(())
}
