use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// 16 bytes that nobody else has: the token of a lease, the generation of a group.
///
/// Never a time and never a bare counter: a lost generation must come back as something new,
/// or it would bring old entries back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Nonce(pub(crate) [u8; 16]);

impl Nonce {
    /// Random per process, counted within it: unique without a system call each time.
    pub(crate) fn fresh() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process =
            *PROCESS.get_or_init(|| getrandom::u64().unwrap_or_else(|_| fastrand::u64(..)));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&process.to_be_bytes());
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        Self(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nonces_never_agree() {
        assert_ne!(Nonce::fresh(), Nonce::fresh());
    }
}
