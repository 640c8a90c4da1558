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

/// Reads exactly two lower-case digits a byte of `into`; `None` for anything else.
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
}
