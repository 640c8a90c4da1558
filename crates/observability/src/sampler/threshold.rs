//! Consistent probability: which trace ids a ratio keeps, and how `tracestate` says so.
//!
//! A ratio *p* becomes a rejection threshold `T = (1 - p) * 2^56`; a trace is kept when its
//! randomness `R`, 56 bits, is not below it. `R` is the low seven bytes of the trace id, unless the
//! `rv` of OpenTelemetry's `tracestate` member names another. The member's `th` carries `T`, so that
//! a backend knows for how many traces a kept one stands.

use types::{TraceContext, TraceId};

/// One more than the largest randomness.
pub(super) const RANGE: u64 = 1 << 56;

/// OpenTelemetry's member of `tracestate`.
pub(super) const MEMBER: &str = "ot";
/// Hex digits of a full threshold or randomness.
const DIGITS: usize = 14;
/// Members that W3C allows.
const MEMBERS_MAX: usize = 32;
/// The length of a member's value that W3C allows.
const VALUE_BYTES_MAX: usize = 256;
/// Members longer than this go first when all do not fit, as W3C recommends.
const LONG_MEMBER_BYTES: usize = 128;

/// The rejection threshold of a ratio: 0 keeps all, [`RANGE`] none. Not a number keeps none.
pub(super) fn of_ratio(ratio: f64) -> u64 {
    if ratio.is_nan() || ratio <= 0.0 {
        return RANGE;
    }
    let threshold = ((1.0 - ratio.min(1.0)) * RANGE as f64).round() as u64;
    // A ratio above zero keeps something.
    threshold.min(RANGE - 1)
}

/// The randomness of a trace id.
pub(super) fn randomness(trace_id: TraceId) -> u64 {
    u128::from_be_bytes(trace_id.to_bytes()) as u64 & (RANGE - 1)
}

/// The randomness that `tracestate` names in place of the trace id's, if it does.
#[inline]
pub(crate) fn named_randomness(tracestate: &str) -> Option<u64> {
    if tracestate.is_empty() { None } else { read_randomness(tracestate) }
}

fn read_randomness(tracestate: &str) -> Option<u64> {
    let value = members(tracestate).find_map(|(key, value)| (key == MEMBER).then_some(value))?;
    let digits = value.split(';').find_map(|field| field.strip_prefix("rv:"))?;
    let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let valid = digits.len() == DIGITS && digits.bytes().all(is_lower_hex);
    valid.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// `tracestate` with this threshold, or with none. Everything else stays: other vendors' members and
/// the other fields of ours. Where it would grow beyond the limits of W3C, members go from the end,
/// long ones first.
pub(super) fn with_threshold(tracestate: &str, threshold: Option<u64>) -> String {
    let ours = members(tracestate).find(|(key, _)| *key == MEMBER).map_or("", |(_, value)| value);
    let had = ours.split(';').any(|field| field.starts_with("th:"));
    if threshold.is_none() && !had {
        return tracestate.to_owned();
    }
    let mut value = threshold.map_or_else(String::new, written);
    for field in ours.split(';').filter(|field| !field.is_empty() && !field.starts_with("th:")) {
        if value.len() + 1 + field.len() > VALUE_BYTES_MAX {
            break;
        }
        if !value.is_empty() {
            value.push(';');
        }
        value.push_str(field);
    }
    if tracestate.is_empty() {
        return format!("{MEMBER}={value}");
    }
    let mut all: Vec<(&str, &str)> =
        members(tracestate).filter(|(key, _)| *key != MEMBER).collect();
    if !value.is_empty() {
        // What was changed last stands first.
        all.insert(0, (MEMBER, &value));
    }
    fit(&mut all);
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The field of a threshold: its hex digits without zeros at the end, but one.
pub(super) fn written(threshold: u64) -> String {
    let zeros = (threshold.trailing_zeros() as usize / 4).min(DIGITS - 1);
    let width = DIGITS - zeros;
    format!("th:{:0width$x}", threshold >> (4 * zeros))
}

fn members(tracestate: &str) -> impl Iterator<Item = (&str, &str)> {
    tracestate.split(',').filter_map(|member| member.trim_matches([' ', '\t']).split_once('='))
}

fn fit(all: &mut Vec<(&str, &str)>) {
    all.truncate(MEMBERS_MAX);
    let bytes = |member: &(&str, &str)| member.0.len() + 1 + member.1.len();
    let total = |all: &[(&str, &str)]| all.iter().map(|one| bytes(one) + 1).sum::<usize>() - 1;
    while all.len() > 1 && total(all) > TraceContext::TRACESTATE_BYTES_MAX {
        let long = all.iter().skip(1).rposition(|one| bytes(one) > LONG_MEMBER_BYTES);
        let leaves = long.map_or(all.len() - 1, |index| index + 1);
        all.remove(leaves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_written_as_the_specification_writes_them() {
        for (ratio, text) in [
            (1.0, "th:0"),
            (0.5, "th:8"),
            (0.25, "th:c"),
            (0.75, "th:4"),
            (1.0 / 16.0, "th:f"),
            (1.0 / 256.0, "th:ff"),
            (0.01, "th:fd70a3d70a3d7"),
            (2.0_f64.powi(-56), "th:ffffffffffffff"),
            (f64::MIN_POSITIVE, "th:ffffffffffffff"),
        ] {
            assert_eq!(with_threshold("", Some(of_ratio(ratio))), format!("ot={text}"), "{ratio}");
        }
        for none in [0.0, -0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(of_ratio(none), RANGE, "{none}");
        }
        assert_eq!(of_ratio(f64::INFINITY), 0);
    }

    #[test]
    fn what_belongs_to_others_stays() {
        const T: Option<u64> = Some(RANGE / 4 * 3);
        for (before, threshold, after) in [
            ("", T, "ot=th:c"),
            ("", None, ""),
            ("a=1, b=2", T, "ot=th:c,a=1,b=2"),
            ("a=1,ot=th:8;rv:00000000000001,b=2", T, "ot=th:c;rv:00000000000001,a=1,b=2"),
            ("a=1,ot=p:8;th:8,b=2", T, "ot=th:c;p:8,a=1,b=2"),
            ("a=1,ot=th:8;rv:00000000000001,b=2", None, "ot=rv:00000000000001,a=1,b=2"),
            ("a=1,ot=th:8,b=2", None, "a=1,b=2"),
            ("ot=th:8", None, ""),
            ("a=1,ot=rv:00000000000001", None, "a=1,ot=rv:00000000000001"),
            ("nonsense,a=1", T, "ot=th:c,a=1"),
        ] {
            assert_eq!(with_threshold(before, threshold), after, "{before}");
        }
    }

    #[test]
    fn the_limits_of_w3c_are_kept() {
        let many = (0..40).map(|index| format!("v{index}=1")).collect::<Vec<_>>().join(",");
        let kept = with_threshold(&many, Some(0));
        assert_eq!(kept.split(',').count(), 32);
        assert!(kept.starts_with("ot=th:0,v0=1,") && kept.ends_with("v30=1"), "{kept}");

        let long = format!("a={},b={},c={}", "1".repeat(200), "2".repeat(200), "3".repeat(100));
        let kept = with_threshold(&long, Some(0));
        assert_eq!(kept, format!("ot=th:0,a={},c={}", "1".repeat(200), "3".repeat(100)));

        let fields = format!("ot=x:{};y:{}", "1".repeat(100), "2".repeat(200));
        let kept = with_threshold(&fields, Some(0));
        assert_eq!(kept, format!("ot=th:0;x:{}", "1".repeat(100)));
        assert!(kept.len() <= TraceContext::TRACESTATE_BYTES_MAX);
    }

    #[test]
    fn a_named_randomness_is_read_only_where_it_is_whole() {
        for (state, found) in [
            ("ot=rv:fd70a3d70a3d71", Some(0xfd_70a3_d70a_3d71)),
            ("a=rv:11111111111111,ot=th:8;rv:00000000000007", Some(7)),
            ("ot=rv:7", None),
            ("ot=rv:FD70A3D70A3D71", None),
            ("ot=rv:+d70a3d70a3d71", None),
            ("a=1", None),
            ("", None),
        ] {
            assert_eq!(named_randomness(state), found, "{state}");
        }
    }
}
