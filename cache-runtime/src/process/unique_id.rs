use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A unique id of 16 random bytes: the token of a lease or the generation of a group.
///
/// The id is neither a time nor a counter, because a lost generation must be replaced by a new id;
/// a repeated id would make old entries valid again. Every id is read from the operating system,
/// because a forked or restored copy of a process would share any random state in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqueId(pub(crate) [u8; 16]);

impl UniqueId {
    pub(crate) fn fresh() -> Self {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            // The id of 16 zeros is reserved as the token of a pause.
            Ok(()) if bytes != [0; 16] => Self(bytes),
            _ => Self::without_system(),
        }
    }

    /// Returns an id that is as distinct as possible without the system's randomness.
    fn without_system() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let half = |salt: u64| {
            let mut hasher = RandomState::new().build_hasher();
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            hasher.write_u64(salt);
            hasher.write_u32(std::process::id());
            hasher.write_u128(now.unwrap_or_default().as_nanos());
            hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
            hasher.finish().to_be_bytes()
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half(1));
        bytes[8..].copy_from_slice(&half(2));
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    #[test]
    fn no_id_comes_twice_and_none_counts_up() {
        for make in [UniqueId::fresh, UniqueId::without_system] {
            let ids: Vec<UniqueId> = (0..1_000).map(|_| make()).collect();
            let halves = |half: std::ops::Range<usize>| -> HashSet<Vec<u8>> {
                ids.iter().map(|id| id.0[half.clone()].to_vec()).collect()
            };
            // Neither half of the ids may be constant in a process or come from a counter.
            assert_eq!(halves(0..8).len(), ids.len());
            assert_eq!(halves(8..16).len(), ids.len());
            let next = |pair: &[UniqueId]| {
                let [one, two] = [pair[0], pair[1]].map(|id| u128::from_be_bytes(id.0));
                two.wrapping_sub(one) < 1_000
            };
            assert!(!ids.windows(2).any(next));
        }
    }
}
