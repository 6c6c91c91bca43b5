/// Returns `#` and the SHA-256 (FIPS 180-4) in hex digits; no other text begins with `#`.
pub(super) fn hashed(text: &[u8]) -> String {
    let mut written = String::with_capacity(65);
    written.push('#');
    for byte in hmac_sha256::Hash::hash(text) {
        for digit in [byte >> 4, byte & 15] {
            written.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    written
}
