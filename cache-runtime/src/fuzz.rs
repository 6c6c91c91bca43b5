//! Properties that hold for any bytes: the targets of `fuzz/`, also run as bounded tests.
//!
//! Compiled only for tests and under `--cfg fuzzing`.

mod entry;
mod key;
mod pattern;

pub use entry::entry;
pub use key::key;
pub use pattern::pattern;

/// Reader of an input's bytes; returns zeros at the end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn bytes(&mut self, most: u8) -> &'a [u8] {
        let length = usize::from(self.byte() % (most + 1)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn text(&mut self, most: u8) -> String {
        String::from_utf8_lossy(self.bytes(most)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes among which special characters are frequent.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let signs =
            prop::sample::select(b"*?\\[]:@<>{}.,'\"%#=0 ab\0\x01\x02\x03\x04\x05".to_vec());
        prop::collection::vec(prop_oneof![signs, any::<u8>()], 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn any_bytes_are_an_entry_or_a_miss(data in bytes()) {
            entry(&data);
        }

        #[test]
        fn a_glob_finds_what_its_definition_says(data in bytes()) {
            pattern(&data);
        }

        #[test]
        fn a_key_is_of_one_list_of_arguments(data in bytes()) {
            key(&data);
        }
    }
}
