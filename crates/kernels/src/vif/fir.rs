//! The filters of VIF: 16-bit samples in pairs, exact 32-bit sums.
//!
//! A sum of 16-bit values weighted by taps that sum to 65536 fits 32 unsigned bits. Unsigned
//! samples are stored with their top bit flipped, which subtracts 32768 and so makes them signed;
//! the sum then lacks 32768 * 65536 = 2^31, which [`UNBIAS`] restores modulo 2^32. Signed 16-bit
//! pairs times constants, added, is what instruction sets since SSE2 do in one step.

use super::kit::Kit;
use super::taps::{PAIRS_MAX, Taps};

/// What a sum over flipped samples lacks, modulo 2^32; sums start from it.
pub(super) const UNBIAS: u32 = 1 << 31;

/// Flips the top bits of both words of a lane.
pub(super) const FLIP: u32 = 0x8000_8000;

/// Two taps as one lane, the first in the low half.
const fn packed(taps: [i32; 2]) -> u32 {
    (taps[0] as u32 & 0xFFFF) | (taps[1] as u32) << 16
}

/// Adds what one pair of taps weighs; a tap beyond 16 signed bits is applied in two halves.
#[inline(always)]
fn weigh<K: Kit>(kit: K, sum: K::Words, pairs: K::Words, taps: [i32; 2]) -> K::Words {
    if taps == [0; 2] {
        return sum;
    }
    if taps[0].max(taps[1]) <= i32::from(i16::MAX) {
        return kit.dot(sum, pairs, kit.splat(packed(taps)));
    }
    let half = taps.map(|tap| tap / 2);
    let rest = [taps[0] - half[0], taps[1] - half[1]];
    let sum = kit.dot(sum, pairs, kit.splat(packed(half)));
    kit.dot(sum, pairs, kit.splat(packed(rest)))
}

/// Runs of pairs, one for each pair of a window; place by place they are filtered.
pub(super) type Windows<'a, const LEN: usize> = [&'a [u32; LEN]; PAIRS_MAX];

/// Filters the even and the odd place of each window from place `at` on.
#[inline(always)]
pub(super) fn fir_both<T: Taps, K: Kit, const LEN: usize>(
    kit: K,
    windows: &Windows<'_, LEN>,
    at: usize,
    start: u32,
) -> [K::Words; 2] {
    let mut sums = [kit.splat(start); 2];
    for p in 0..T::PAIRS {
        let pairs = kit.load(&windows[p][at..]);
        sums[0] = weigh(kit, sums[0], pairs, T::EVEN[p]);
        sums[1] = weigh(kit, sums[1], pairs, T::ODD[p]);
    }
    sums
}

/// Filters the even place of each window from place `at` on.
#[inline(always)]
pub(super) fn fir_even<T: Taps, K: Kit, const LEN: usize>(
    kit: K,
    windows: &Windows<'_, LEN>,
    at: usize,
    start: u32,
) -> K::Words {
    let mut sum = kit.splat(start);
    for p in 0..T::PAIRS {
        sum = weigh(kit, sum, kit.load(&windows[p][at..]), T::EVEN[p]);
    }
    sum
}

/// As [`fir_both`] along a line: the windows of neighbouring places overlap.
#[inline(always)]
pub(super) fn fir_both_along<T: Taps, K: Kit>(
    kit: K,
    line: &[u32],
    at: usize,
    start: u32,
) -> [K::Words; 2] {
    let run = &line[at..at + T::PAIRS - 1 + K::LANES];
    let mut sums = [kit.splat(start); 2];
    for p in 0..T::PAIRS {
        let pairs = kit.load(&run[p..]);
        sums[0] = weigh(kit, sums[0], pairs, T::EVEN[p]);
        sums[1] = weigh(kit, sums[1], pairs, T::ODD[p]);
    }
    sums
}

/// As [`fir_even`] along a line.
#[inline(always)]
pub(super) fn fir_even_along<T: Taps, K: Kit>(
    kit: K,
    line: &[u32],
    at: usize,
    start: u32,
) -> K::Words {
    let run = &line[at..at + T::PAIRS - 1 + K::LANES];
    let mut sum = kit.splat(start);
    for p in 0..T::PAIRS {
        sum = weigh(kit, sum, kit.load(&run[p..]), T::EVEN[p]);
    }
    sum
}
