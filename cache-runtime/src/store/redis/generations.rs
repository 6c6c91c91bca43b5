use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use quick_cache::DefaultHashBuilder;

use crate::fingerprint::digest;
use crate::group::{Group, Stamp};
use crate::nonce::Nonce;

/// Groups remembered at most; past it all are forgotten and read again.
const MOST: usize = 100_000;

/// The generations that one connection has read and that its server tracks for it.
///
/// A push removes what it names. A reply counts only if the token under which it was asked for
/// is still there: one that a push has overtaken is never kept.
#[derive(Default)]
pub(crate) struct Generations {
    known: RwLock<Known>,
    tokens: AtomicU64,
}

#[derive(Default)]
struct Known {
    groups: HashMap<u128, Slot, DefaultHashBuilder>,
    epoch: Epoch,
}

/// Which of a link's connections, one after the other, it is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

#[derive(Clone, Copy)]
enum Slot {
    Known(Nonce),
    Asked(u64),
}

/// What has to be asked for: the place of each group, and its token.
pub(crate) type Wanted = Vec<(usize, u64)>;

impl Generations {
    /// What follows is read on a new connection: the ones before have nothing to tell any more.
    pub(crate) fn begin(&self) -> Epoch {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.groups.clear();
        known.epoch.0 += 1;
        known.epoch
    }

    /// Whether nothing has to be asked for.
    pub(crate) fn are_known(&self, groups: &[Group]) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_known =
            |group: &Group| matches!(known.groups.get(&group.digest()), Some(Slot::Known(_)));
        groups.iter().all(is_known)
    }

    /// The stamp, if all groups are known.
    pub(crate) fn stamp(&self, groups: &[Group]) -> Option<Stamp> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut generations = [Nonce([0; 16]); 8];
        let few = generations.get_mut(..groups.len());
        let nonce_of = |group: &Group| match known.groups.get(&group.digest()) {
            Some(Slot::Known(nonce)) => Some(*nonce),
            _ => None,
        };
        match few {
            Some(few) => {
                for (nonce, group) in few.iter_mut().zip(groups) {
                    *nonce = nonce_of(group)?;
                }
                Some(Stamp::of(few.iter().copied()))
            }
            None => {
                let all: Option<Vec<Nonce>> = groups.iter().map(nonce_of).collect();
                all.map(Stamp::of)
            }
        }
    }

    /// Opens a fetch, on the connection of `epoch`, of the groups that are not known; `None` if
    /// that connection was given up.
    pub(crate) fn ask(&self, groups: &[Group], epoch: Epoch) -> Option<Wanted> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            return None;
        }
        let slots = &mut known.groups;
        if slots.len() >= MOST {
            slots.clear();
        }
        let mut wanted = Wanted::new();
        for (place, group) in groups.iter().enumerate() {
            match slots.get(&group.digest()) {
                Some(Slot::Known(_)) => {}
                // An earlier asker's token serves as well: its fetch began even before ours.
                Some(Slot::Asked(token)) => wanted.push((place, *token)),
                None => {
                    let token = self.tokens.fetch_add(1, Ordering::Relaxed);
                    slots.insert(group.digest(), Slot::Asked(token));
                    wanted.push((place, token));
                }
            }
        }
        Some(wanted)
    }

    /// Keeps the answers whose tokens have survived.
    pub(crate) fn settle(&self, groups: &[Group], wanted: &Wanted, answers: &[Nonce]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for ((place, token), nonce) in wanted.iter().zip(answers) {
            if let Some(slot) = known.groups.get_mut(&groups[*place].digest())
                && matches!(slot, Slot::Asked(asked) if asked == token)
            {
                *slot = Slot::Known(*nonce);
            }
        }
    }

    pub(crate) fn forget(&self, group: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.groups.remove(&digest(group.as_bytes()));
    }

    pub(crate) fn clear(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.groups.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Group> {
        vec![Group::everything("ns"), Group::function("ns", "f")]
    }

    fn ask(generations: &Generations, groups: &[Group]) -> Wanted {
        let first = Epoch::default();
        generations
            .ask(groups, first)
            .expect("nothing was given up")
    }

    #[test]
    fn a_connection_that_was_given_up_is_not_believed() {
        let (generations, groups) = (Generations::default(), groups());
        let first = generations.begin();
        let wanted = generations.ask(&groups, first).expect("it is the one");
        let second = generations.begin();
        generations.settle(&groups, &wanted, &[Nonce::fresh(), Nonce::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        assert!(generations.ask(&groups, first).is_none());
        assert!(generations.ask(&groups, second).is_some());
    }

    #[test]
    fn a_reply_overtaken_by_a_push_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = ask(&generations, &groups);
        generations.forget(groups[1].key());
        generations.settle(&groups, &wanted, &[Nonce::fresh(), Nonce::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        assert!(generations.stamp(&groups[..1]).is_some());
    }

    #[test]
    fn a_reply_from_before_a_disconnection_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = ask(&generations, &groups);
        generations.clear();
        let again = ask(&generations, &groups);
        generations.settle(&groups, &wanted, &[Nonce::fresh(), Nonce::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        generations.settle(&groups, &again, &[Nonce::fresh(), Nonce::fresh()]);
        assert!(generations.stamp(&groups).is_some());
    }

    #[test]
    fn those_who_ask_together_all_succeed() {
        let (generations, groups) = (Generations::default(), groups());
        let first = ask(&generations, &groups);
        let second = ask(&generations, &groups);
        let nonces = [Nonce::fresh(), Nonce::fresh()];
        generations.settle(&groups, &second, &nonces);
        generations.settle(&groups, &first, &nonces);
        assert_eq!(generations.stamp(&groups), Some(Stamp::of(nonces)));
    }
}
