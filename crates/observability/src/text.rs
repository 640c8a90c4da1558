//! Short texts that are looked at for every call: numbers for them, whether they are the same; and the
//! beginning of long ones.

/// An odd factor, that of the golden ratio, which spreads what it multiplies over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number for a short text: equal texts have equal numbers, and most different ones different,
/// in their low bits too. Eight bytes at a time: names are looked at for every call.
#[inline]
pub(crate) fn quick_hash(text: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    let (words, rest) = text.as_chunks::<8>();
    let mixed =
        words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = match text.last_chunk::<8>() {
        // Some of it is mixed in twice, which takes less than to look how much.
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let mixed = mix(mixed, last);
    mixed ^ (mixed >> 32) ^ (mixed >> 58)
}

/// A number for a short text by its length and its last eight bytes alone, in one multiplication: for
/// names that share their beginnings and are compared in full when found.
#[inline]
pub(crate) fn quick_hash_of_end(text: &[u8]) -> u64 {
    let end = match text.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    // The high bits of a product depend on all of its factors'.
    (end ^ text.len() as u64).wrapping_mul(SPREAD) >> 32
}

/// Whether two short texts are the same, sixteen or eight bytes at a time: with names that are looked at
/// for every call, to call the system's comparison takes as long as to compare.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(last_a), Some(last_b)) = (a.last_chunk::<16>(), b.last_chunk::<16>()) {
        let (pieces_a, pieces_b) = (a.as_chunks::<16>().0, b.as_chunks::<16>().0);
        return last_a == last_b && pieces_a.iter().zip(pieces_b).all(|(a, b)| a == b);
    }
    // First and last overlap, and so no byte is left out.
    match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(first_a), Some(first_b)) => {
            first_a == first_b && a.last_chunk::<8>() == b.last_chunk::<8>()
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// The beginning of `text`, of at most `bytes_max` bytes, cut between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_only_if_every_byte_is() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..text.len() {
            let text = &text[..length];
            let elsewhere = text.to_vec();
            assert!(is_same(text, &elsewhere), "{length}");
            assert!(!is_same(text, &[text, b"x"].concat()), "{length}");
            for at in 0..length {
                let mut other = text.to_vec();
                other[at] ^= 0x80;
                assert!(!is_same(text, &other), "{length}, {at}");
            }
        }
    }

    #[test]
    fn the_names_of_our_routes_and_methods_hardly_share_low_bits() {
        let names = [
            "POST /v1/jobs",
            "GET /v1/jobs",
            "GET /v1/nodes",
            "GET /v1/jobs/{id}",
            "DELETE /v1/jobs/{id}",
            "POST /v1/jobs/retry",
            "vmafx.controller.v1.VmafxController/SubmitJob",
            "vmafx.controller.v1.VmafxController/SubmitJobs",
            "vmafx.controller.v1.VmafxController/GetJob",
            "vmafx.controller.v1.VmafxController/ListJobs",
            "vmafx.controller.v1.VmafxController/CancelJob",
        ];
        let low = |name: &str| quick_hash(name.as_bytes()) % 64;
        for submits in [names[0], names[6], names[7]] {
            let alike = names.iter().filter(|other| low(other) == low(submits));
            assert_eq!(alike.collect::<Vec<_>>(), [&submits], "{submits} shares its token");
        }
    }
}
