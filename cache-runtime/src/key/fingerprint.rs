use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Digest by which this process looks a key up: 128 bits, without an allocation.
///
/// The sum of the prefix's digest and the arguments: verbatim up to 16 bytes, as a digest if
/// longer. The digest is SipHash-1-3-128 under a random key of this process, so that nobody who
/// chooses arguments can construct a collision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    // Two halves, because a `u128` aligns and pads its containers to 16 bytes; two fields, because
    // an array is passed in memory.
    low: u64,
    high: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of a whole key: `{namespace}:{name…}:{arguments}`.
    pub(crate) fn of(key: &str) -> Self {
        let colons = key.match_indices(':').nth(1);
        let (head, arguments) = colons.map_or((key, ""), |(at, _)| (&key[..at], &key[at + 1..]));
        Self::new(digest(head.as_bytes()), arguments.as_bytes())
    }

    /// Returns the fingerprint of a key whose prefix is already digested.
    pub(crate) fn new(head: u128, arguments: &[u8]) -> Self {
        let mut filled = [0; 16];
        if let Some(room) = filled.get_mut(..arguments.len()) {
            room.copy_from_slice(arguments);
            return Self::short(head, filled);
        }
        Self::sum(head, digest(arguments))
    }

    /// Returns the fingerprint for arguments of up to 16 bytes, padded with zeros; no text contains
    /// a zero byte.
    #[inline]
    pub(crate) fn short(head: u128, arguments: [u8; 16]) -> Self {
        Self::sum(head, u128::from_le_bytes(arguments))
    }

    /// Returns one 64-bit word of the digest, for a non-exact index.
    pub(crate) fn word(&self) -> u64 {
        self.low ^ self.high
    }

    // The halves are not swapped: the compiler would do that in a vector register, which stalls on
    // the two words in which the arguments were written.
    #[inline]
    fn sum(head: u128, arguments: u128) -> Self {
        let whole = head.wrapping_add(arguments);
        Self {
            low: whole as u64,
            high: (whole >> 64) as u64,
        }
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
        state.write_u64(self.high);
    }
}

/// Returns a digest that only this process can compute.
pub(crate) fn digest(bytes: &[u8]) -> u128 {
    static SEEDED: LazyLock<SipHasher13> = LazyLock::new(|| {
        let random = || getrandom::u64().unwrap_or_else(|_| fastrand::u64(..));
        SipHasher13::new_with_keys(random(), random())
    });
    let mut hasher = *SEEDED;
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_fingerprint_whole_or_in_parts() {
        for arguments in ["", "42", "'sixteen bytes--'", "'more than sixteen bytes'"] {
            let key = format!("ns:app.user@2<<u8>>:{arguments}");
            let parts = Fingerprint::new(digest(b"ns:app.user@2<<u8>>"), arguments.as_bytes());
            assert_eq!(Fingerprint::of(&key), parts);
        }
    }

    #[test]
    fn other_keys_have_other_fingerprints() {
        let keys = [
            "ns:a:",
            "ns:a:1",
            "ns:b:1",
            "nt:a:1",
            "ns:a:1:2",
            "ns:a:12",
            "ns:a:'aaaaaaaaaaaaaaaaa'",
            "ns:a:'aaaaaaaaaaaaaaaab'",
            "ns:b:'aaaaaaaaaaaaaaaaa'",
        ];
        for (place, one) in keys.iter().enumerate() {
            for other in &keys[..place] {
                assert_ne!(
                    Fingerprint::of(one),
                    Fingerprint::of(other),
                    "{one} {other}"
                );
            }
        }
    }
}
