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
    groups: RwLock<HashMap<u128, Slot, DefaultHashBuilder>>,
    tokens: AtomicU64,
}

#[derive(Clone, Copy)]
enum Slot {
    Known(Nonce),
    Asked(u64),
}

/// What has to be asked for: the place of each group, and its token.
pub(crate) type Wanted = Vec<(usize, u64)>;

impl Generations {
    /// Whether nothing has to be asked for.
    pub(crate) fn are_known(&self, groups: &[Group]) -> bool {
        let known = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = |group: &Group| matches!(known.get(&group.digest()), Some(Slot::Known(_)));
        groups.iter().all(is_known)
    }

    /// The stamp, if all groups are known.
    pub(crate) fn stamp(&self, groups: &[Group]) -> Option<Stamp> {
        let known = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        let mut generations = [Nonce([0; 16]); 8];
        let few = generations.get_mut(..groups.len());
        let nonce_of = |group: &Group| match known.get(&group.digest()) {
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

    /// Opens a fetch of the groups that are not known.
    pub(crate) fn ask(&self, groups: &[Group]) -> Wanted {
        let mut slots = self.groups.write().unwrap_or_else(PoisonError::into_inner);
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
        wanted
    }

    /// Keeps the answers whose tokens have survived.
    pub(crate) fn settle(&self, groups: &[Group], wanted: &Wanted, answers: &[Nonce]) {
        let mut slots = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        for ((place, token), nonce) in wanted.iter().zip(answers) {
            if let Some(slot) = slots.get_mut(&groups[*place].digest())
                && matches!(slot, Slot::Asked(asked) if asked == token)
            {
                *slot = Slot::Known(*nonce);
            }
        }
    }

    pub(crate) fn forget(&self, group: &str) {
        let mut slots = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        slots.remove(&digest(group.as_bytes()));
    }

    pub(crate) fn clear(&self) {
        let mut slots = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Group> {
        vec![Group::everything("ns"), Group::function("ns", "f")]
    }

    #[test]
    fn a_reply_overtaken_by_a_push_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = generations.ask(&groups);
        generations.forget(groups[1].key());
        generations.settle(&groups, &wanted, &[Nonce::fresh(), Nonce::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        assert!(generations.stamp(&groups[..1]).is_some());
    }

    #[test]
    fn a_reply_from_before_a_disconnection_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = generations.ask(&groups);
        generations.clear();
        let again = generations.ask(&groups);
        generations.settle(&groups, &wanted, &[Nonce::fresh(), Nonce::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        generations.settle(&groups, &again, &[Nonce::fresh(), Nonce::fresh()]);
        assert!(generations.stamp(&groups).is_some());
    }

    #[test]
    fn those_who_ask_together_all_succeed() {
        let (generations, groups) = (Generations::default(), groups());
        let first = generations.ask(&groups);
        let second = generations.ask(&groups);
        let nonces = [Nonce::fresh(), Nonce::fresh()];
        generations.settle(&groups, &second, &nonces);
        generations.settle(&groups, &first, &nonces);
        assert_eq!(generations.stamp(&groups), Some(Stamp::of(nonces)));
    }
}
