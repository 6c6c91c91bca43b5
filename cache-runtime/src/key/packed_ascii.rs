/// Up to eight ASCII characters, the first in the lowest byte.
///
/// A lookup needs a key's whole text. If it were written byte by byte, the load would have to
/// combine many stores, and the processor would stall for longer than the writing takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedAscii {
    pub(super) bytes: u64,
    pub(super) len: usize,
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

impl PackedAscii {
    /// The smallest number with more than eight digits.
    pub(super) const END: u64 = 100_000_000;

    /// Packs the first eight bytes of a text.
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let len = text.len().min(8);
        let four = |at: usize| {
            let four = text.get(at..).and_then(<[u8]>::first_chunk);
            u64::from(four.copied().map_or(0, u32::from_le_bytes))
        };
        let bytes = match len {
            // The two halves overlap, and agree where they do.
            4.. => four(0) | (four(len - 4) << (8 * (len - 4))),
            _ => {
                let bytes = text.iter().rev();
                bytes.fold(0, |bytes, byte| (bytes << 8) | u64::from(*byte))
            }
        };
        Self { bytes, len }
    }

    /// Packs the digits of a number below [`END`](Self::END), without leading zeros.
    #[inline]
    pub(super) fn number(number: u64) -> Self {
        let digits = digits(number);
        // The last digit is kept, even if it is a zero.
        let leading = (digits | (1 << 56)).trailing_zeros() / 8;
        Self {
            bytes: (digits | ZEROS) >> (8 * leading),
            len: 8 - leading as usize,
        }
    }

    /// Packs all eight digits of a number below [`END`](Self::END), with leading zeros.
    #[inline]
    pub(super) fn filled(number: u64) -> Self {
        Self {
            bytes: digits(number) | ZEROS,
            len: 8,
        }
    }
}

/// Returns the values of eight digits, one byte each.
#[inline]
fn digits(number: u64) -> u64 {
    // Splits into two numbers of four digits, four of two, eight of one, each step for all at once.
    // Division by 100 and by 10 uses a reciprocal that is exact for numbers this small.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PackedAscii;

    fn text(word: PackedAscii) -> String {
        let bytes = word.bytes.to_le_bytes();
        assert!(
            bytes[word.len..].iter().all(|byte| *byte == 0),
            "nothing behind the end: {bytes:?}"
        );
        String::from_utf8_lossy(&bytes[..word.len]).into_owned()
    }

    #[test]
    fn a_number_has_its_digits() {
        let small = 0..20_000;
        let edges = (1..=8).flat_map(|digits| {
            let edge = 10u64.pow(digits);
            [edge - 1, edge, edge + 1, edge / 2, edge / 9]
        });
        for number in small
            .chain(edges)
            .filter(|number| *number < PackedAscii::END)
        {
            assert_eq!(text(PackedAscii::number(number)), number.to_string());
            assert_eq!(text(PackedAscii::filled(number)), format!("{number:08}"));
        }
    }

    proptest! {
        #[test]
        fn any_number_has_its_digits(number in 0..PackedAscii::END) {
            prop_assert_eq!(text(PackedAscii::number(number)), number.to_string());
        }

        #[test]
        fn a_text_has_its_first_eight_bytes(whole in "[ -~]{0,20}") {
            prop_assert_eq!(text(PackedAscii::of(whole.as_bytes())), &whole[..whole.len().min(8)]);
        }
    }
}
