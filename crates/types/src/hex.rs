//! Lower-case hex, as ids are written: on the way of every lease and span, so by table.

/// The value of each lower-case hex digit; 16 for any other byte.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// Eight bytes of this value.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// What eight digits say, the first the most significant, and a number that is not zero if one of them is
/// no lower-case digit. All eight at a time: the headers of every call hold six times as many.
#[inline]
fn read_eight(text: [u8; 8]) -> (u32, u64) {
    let text = u64::from_le_bytes(text);
    // The top bit of a byte says whether it is at least so large. Of a byte that is not ASCII the sum
    // runs over into the next, but then all are refused.
    let is_from = |least: u8| text.wrapping_add(each(0x80 - least));
    let is_number = is_from(b'0') & !is_from(b'9' + 1);
    let is_letter = is_from(b'a') & !is_from(b'f' + 1);
    let wrong = (!(is_number | is_letter) | text) & each(0x80);
    // The low half of a number is its value, that of a letter nine less.
    let values = (text & each(0x0f)) + ((is_letter & each(0x80)) >> 7) * 9;
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (((fours | fours >> 16) as u32).swap_bytes(), wrong)
}

/// As [`read_eight`], of sixteen.
#[inline]
pub(crate) fn read_sixteen(text: &[u8; 16]) -> (u64, u64) {
    let ([first, last], []) = text.as_chunks::<8>() else { return (0, u64::MAX) };
    let ((high, wrong), (low, wrong_too)) = (read_eight(*first), read_eight(*last));
    (u64::from(high) << 32 | u64::from(low), wrong | wrong_too)
}

/// Reads exactly two lower-case digits a byte of `into`; `None` for anything else.
#[inline]
pub(crate) fn decode_lower_hex(text: &[u8], into: &mut [u8]) -> Option<()> {
    if text.len() != into.len() * 2 {
        return None;
    }
    let mut seen = 0;
    for (pair, byte) in text.chunks_exact(2).zip(into) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    // Only the mark of a byte that is no digit has this bit.
    (seen < 16).then_some(())
}

/// Writes two digits a byte into `text`, which is exactly that long.
pub(crate) fn encode_lower_hex<'t>(bytes: &[u8], text: &'t mut [u8]) -> &'t str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    debug_assert_eq!(text.len(), bytes.len() * 2);
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
    std::str::from_utf8(text).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_as_the_formatter_does_and_read_back() {
        for byte in 0..=u8::MAX {
            let (mut text, mut back) = ([0; 2], [0]);
            let text = encode_lower_hex(&[byte], &mut text);
            assert_eq!(text, format!("{byte:02x}"));
            assert_eq!(decode_lower_hex(text.as_bytes(), &mut back), Some(()));
            assert_eq!(back, [byte]);
        }
    }

    #[test]
    fn sixteen_digits_are_read_as_one_by_one_whatever_stands_among_them() {
        let digits = *b"0189abcdef765432";
        let (value, wrong) = read_sixteen(&digits);
        assert_eq!((value, wrong), (0x0189_abcd_ef76_5432, 0));
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                let mut text = digits;
                text[place] = byte;
                let mut bytes = [0; 8];
                let one_by_one = decode_lower_hex(&text, &mut bytes);
                let (value, wrong) = read_sixteen(&text);
                assert_eq!(wrong == 0, one_by_one.is_some(), "{byte:#x} at {place}");
                if wrong == 0 {
                    assert_eq!(value.to_be_bytes(), bytes, "{byte:#x} at {place}");
                }
            }
        }
    }
}
