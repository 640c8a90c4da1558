//! Numbers as C writes and reads them, where libvmaf's names and options depend on it.

/// The number that C's `%g` would print: six significant digits, no trailing zeros, an exponent of
/// two digits or more outside `1e-4 <= |value| < 1e6`.
pub(crate) fn format_g(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string().to_lowercase() };
    }
    let scientific = format!("{:.*e}", DIGITS as usize - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').expect("`e` formatting has an exponent");
    let exponent: i32 = exponent.parse().expect("`e` formatting has a decimal exponent");
    let trim = |digits: &str| {
        if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            digits.to_owned()
        }
    };
    if (-4..DIGITS).contains(&exponent) {
        trim(&format!("{:.*}", (DIGITS - 1 - exponent) as usize, value))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}

/// Splits off the longest decimal number that `text` begins with, after white space: what C's
/// `strtod` reads, except for hexadecimal, `inf` and `nan`, which give `None`.
pub(crate) fn c_double_prefix(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let bytes = text.as_bytes();
    let digits_from = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let integer_digits = digits_from(end);
    end += integer_digits;
    let mut fraction_digits = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction_digits = digits_from(end + 1);
        if integer_digits + fraction_digits > 0 {
            end += 1 + fraction_digits;
        }
    }
    if integer_digits + fraction_digits == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_digits = digits_from((end + 1 + signed).min(bytes.len()));
        if exponent_digits > 0 {
            end += 1 + signed + exponent_digits;
        }
    }
    let value = text[..end].parse().ok()?;
    Some((value, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_c_prints_them_with_percent_g() {
        for (value, text) in [
            (1.0, "1"),
            (0.7, "0.7"),
            (0.02_f32.into(), "0.02"),
            (1080.0, "1080"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_1, "0.0001"),
            (0.000_012_345_678, "1.23457e-05"),
            (0.03125, "0.03125"),
            (999_999.5, "1e+06"),
            (-2.5, "-2.5"),
            (0.0, "0"),
        ] {
            assert_eq!(format_g(value), text);
        }
    }

    #[test]
    fn the_longest_number_is_read_and_the_rest_left() {
        for (text, value, rest) in [
            ("1.5", 1.5, ""),
            ("  -4 1:0.5", -4.0, " 1:0.5"),
            ("-1.110223e-16 6", -1.110_223e-16, " 6"),
            (".5x", 0.5, "x"),
            ("2.", 2.0, ""),
            ("3e", 3.0, "e"),
            ("3e+", 3.0, "e+"),
            ("7:", 7.0, ":"),
        ] {
            assert_eq!(c_double_prefix(text), Some((value, rest)), "{text:?}");
        }
        for text in ["", ".", "-", "x1", "nan", "inf"] {
            assert_eq!(c_double_prefix(text), None, "{text:?}");
        }
    }
}
