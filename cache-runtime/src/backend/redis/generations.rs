use crate::process::sync::{RwLock, RwLockWriteGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::DefaultHashBuilder;

use crate::invalidation::group::{GenerationStamp, Group};
use crate::key::fingerprint::digest;
use crate::key::keyspace::is_tag;
use crate::process::unique_id::UniqueId;

/// Maximum number of groups kept. Beyond it, all are dropped and read again.
const MOST: usize = 100_000;

/// The generations that were read on one connection and that its server tracks.
///
/// A push removes the generations it names. A reply is kept only if the token of its fetch is still
/// present: a reply that a push has overtaken is never kept.
#[derive(Default)]
pub(crate) struct Generations {
    known: RwLock<KnownGeneration>,
    tokens: AtomicU64,
    changes: AtomicU64,
}

#[derive(Default)]
struct KnownGeneration {
    groups: HashMap<u128, GenerationSlot, DefaultHashBuilder>,
    /// Stamps of calls without tags, by function. To digest the generations at each lookup would
    /// cost more than the rest of the lookup.
    stamps: HashMap<u128, GenerationStamp, DefaultHashBuilder>,
    epoch: ConnectionEpoch,
}

/// Number of one of the successive connections behind a `Connection`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionEpoch(u64);

/// Number of changes at the time of a lookup.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u64);

#[derive(Clone, Copy)]
enum GenerationSlot {
    KnownGeneration(UniqueId),
    CallArgs(u64),
}

/// Groups to fetch: the index of each group and the token of its fetch.
pub(crate) type Wanted = Vec<(usize, u64)>;

/// Returns the digest of the function of a call without tags.
fn function(groups: &[Group]) -> Option<u128> {
    match groups {
        [_, function] if !function.is_tag() => Some(function.digest()),
        _ => None,
    }
}

impl KnownGeneration {
    fn stamp(&self, groups: &[Group]) -> Option<GenerationStamp> {
        let nonce_of = |group: &Group| match self.groups.get(&group.digest()) {
            Some(GenerationSlot::KnownGeneration(nonce)) => Some(*nonce),
            _ => None,
        };
        let all: Option<Vec<UniqueId>> = groups.iter().map(nonce_of).collect();
        all.map(GenerationStamp::of)
    }

    fn forget_all(&mut self) {
        self.groups.clear();
        self.stamps.clear();
    }
}

impl Generations {
    /// Begins the epoch of a new connection: drops all generations, so that late replies of earlier
    /// connections are not kept.
    pub(crate) fn begin(&self) -> ConnectionEpoch {
        let mut known = self.change();
        known.forget_all();
        known.epoch.0 += 1;
        known.epoch
    }

    /// Returns `true` if the generations belong to the connection of `epoch`.
    pub(crate) fn is_of(&self, epoch: ConnectionEpoch) -> bool {
        let known = self.known.read();
        known.epoch == epoch
    }

    /// Returns the generation of a group if it is known.
    pub(crate) fn nonce(&self, group: &Group) -> Option<UniqueId> {
        let known = self.known.read();
        match known.groups.get(&group.digest()) {
            Some(GenerationSlot::KnownGeneration(nonce)) => Some(*nonce),
            _ => None,
        }
    }

    /// Returns the stamp if all groups are known.
    pub(crate) fn stamp(&self, groups: &[Group]) -> Option<GenerationStamp> {
        Some(self.now(groups)?.0)
    }

    /// Returns the stamp if all groups are known, with the version that it is valid for.
    pub(crate) fn now(&self, groups: &[Group]) -> Option<(GenerationStamp, Version)> {
        let known = self.known.read();
        let version = Version(self.changes.load(Ordering::Relaxed));
        let Some(function) = function(groups) else {
            return Some((known.stamp(groups)?, version));
        };
        if let Some(stamp) = known.stamps.get(&function) {
            return Some((*stamp, version));
        }
        drop(known);
        let mut known = self.known.write();
        let version = Version(self.changes.load(Ordering::Relaxed));
        let stamp = known.stamp(groups)?;
        known.stamps.insert(function, stamp);
        Some((stamp, version))
    }

    /// Returns `true` if nothing has changed since `version`.
    pub(crate) fn is_still(&self, version: Version) -> bool {
        self.changes.load(Ordering::Acquire) == version.0
    }

    /// Opens a fetch, on the connection of `epoch`, of the groups that are not known. Returns
    /// `None` if that connection was given up.
    pub(crate) fn ask(&self, groups: &[Group], epoch: ConnectionEpoch) -> Option<Wanted> {
        let mut known = self.change();
        if known.epoch != epoch {
            return None;
        }
        if known.groups.len() >= MOST {
            known.forget_all();
        }
        let slots = &mut known.groups;
        let mut wanted = Wanted::new();
        for (place, group) in groups.iter().enumerate() {
            match slots.get(&group.digest()) {
                Some(GenerationSlot::KnownGeneration(_)) => {}
                // The token of an earlier fetch serves as well: that fetch began before this one.
                Some(GenerationSlot::CallArgs(token)) => wanted.push((place, *token)),
                None => {
                    let token = self.tokens.fetch_add(1, Ordering::Relaxed);
                    slots.insert(group.digest(), GenerationSlot::CallArgs(token));
                    wanted.push((place, token));
                }
            }
        }
        Some(wanted)
    }

    /// Keeps the replies whose tokens are still present.
    pub(crate) fn settle(&self, groups: &[Group], wanted: &Wanted, answers: &[UniqueId]) {
        let mut known = self.change();
        for ((place, token), nonce) in wanted.iter().zip(answers) {
            if let Some(slot) = known.groups.get_mut(&groups[*place].digest())
                && matches!(slot, GenerationSlot::CallArgs(asked) if asked == token)
            {
                *slot = GenerationSlot::KnownGeneration(*nonce);
            }
        }
    }

    pub(crate) fn forget(&self, group: &str) {
        let digest = digest(group.as_bytes());
        let mut known = self.change();
        known.groups.remove(&digest);
        if known.stamps.remove(&digest).is_none() && !is_tag(group) {
            // Not the group of a function with a stamp, so it may be part of all stamps.
            known.stamps.clear();
        }
    }

    pub(crate) fn clear(&self) {
        self.change().forget_all();
    }

    fn change(&self) -> RwLockWriteGuard<'_, KnownGeneration> {
        let known = self.known.write();
        self.changes.fetch_add(1, Ordering::Release);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Group> {
        vec![Group::everything("ns"), Group::function("ns", "f")]
    }

    fn ask(generations: &Generations, groups: &[Group]) -> Wanted {
        let first = ConnectionEpoch::default();
        generations
            .ask(groups, first)
            .expect("nothing was given up")
    }

    #[test]
    fn a_connection_that_was_given_up_is_not_trusted() {
        let (generations, groups) = (Generations::default(), groups());
        let first = generations.begin();
        let wanted = generations.ask(&groups, first).expect("it is the one");
        let second = generations.begin();
        generations.settle(&groups, &wanted, &[UniqueId::fresh(), UniqueId::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        assert!(generations.ask(&groups, first).is_none());
        assert!(generations.ask(&groups, second).is_some());
    }

    #[test]
    fn a_reply_overtaken_by_a_push_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = ask(&generations, &groups);
        generations.forget(groups[1].key());
        generations.settle(&groups, &wanted, &[UniqueId::fresh(), UniqueId::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        assert!(generations.stamp(&groups[..1]).is_some());
    }

    #[test]
    fn a_reply_from_before_a_disconnection_is_not_kept() {
        let (generations, groups) = (Generations::default(), groups());
        let wanted = ask(&generations, &groups);
        generations.clear();
        let again = ask(&generations, &groups);
        generations.settle(&groups, &wanted, &[UniqueId::fresh(), UniqueId::fresh()]);
        assert_eq!(generations.stamp(&groups), None);
        generations.settle(&groups, &again, &[UniqueId::fresh(), UniqueId::fresh()]);
        assert!(generations.stamp(&groups).is_some());
    }

    #[test]
    fn those_who_ask_together_all_succeed() {
        let (generations, groups) = (Generations::default(), groups());
        let first = ask(&generations, &groups);
        let second = ask(&generations, &groups);
        let nonces = [UniqueId::fresh(), UniqueId::fresh()];
        generations.settle(&groups, &second, &nonces);
        generations.settle(&groups, &first, &nonces);
        assert_eq!(
            generations.stamp(&groups),
            Some(GenerationStamp::of(nonces))
        );
    }

    #[test]
    fn a_stamp_holds_until_one_of_its_groups_changes_and_no_longer() {
        let (generations, groups) = (Generations::default(), groups());
        let other = vec![groups[0].clone(), Group::function("ns", "g")];
        let learn = |of: &[Group]| {
            let wanted = ask(&generations, of);
            let fresh: Vec<UniqueId> = wanted.iter().map(|_| UniqueId::fresh()).collect();
            generations.settle(of, &wanted, &fresh);
            generations.now(of).expect("all are known")
        };
        learn(&other);
        let (first, version) = learn(&groups);
        assert!(generations.stamp(&other).is_some(), "it is known as before");
        assert!(generations.is_still(version));
        generations.forget(other[1].key());
        assert!(!generations.is_still(version));
        assert_eq!(generations.stamp(&groups), Some(first));
        generations.forget(groups[1].key());
        assert_eq!(generations.stamp(&groups), None);
        let (second, _) = learn(&groups);
        assert_ne!(first, second);
        generations.forget(groups[0].key());
        assert_eq!(generations.stamp(&groups), None);
    }
}
