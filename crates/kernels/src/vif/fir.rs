//! The one filter loop of VIF: 16-bit samples in pairs, exact 32-bit sums.
//!
//! A sum of 16-bit values weighted by taps that sum to 65536 fits 32 unsigned bits. Unsigned
//! samples are stored with their top bit flipped, which subtracts 32768 and so makes them signed;
//! the sum then lacks 32768 * 65536 = 2^31, which [`UNBIAS`] restores modulo 2^32. Signed 16-bit
//! pairs times constants, added, is what instruction sets since SSE2 do in one step.

use super::taps::{PAIRS_MAX, Taps};

/// Two neighbouring samples.
pub(super) type Pair = [i16; 2];

/// Places that are filtered at a time; lines have at least this many readable pairs behind them.
pub(super) const CHUNK: usize = 128;

/// Places are filtered in multiples of this many, so that vectors stay full.
pub(super) const LANES: usize = 16;

/// What a sum over flipped samples lacks, modulo 2^32.
pub(super) const UNBIAS: u32 = 1 << 31;

/// Sums of one chunk.
pub(super) type Sums = [u32; CHUNK];

/// An unsigned 16-bit value as the signed value that the filters take.
#[inline(always)]
pub(super) fn flip(value: u32) -> i16 {
    (value as u16 ^ 0x8000) as i16
}

/// The windows' pairs: `rows[p][j]` is the p-th pair of place j.
pub(super) struct Windows<'a>([&'a [Pair]; PAIRS_MAX]);

impl<'a> Windows<'a> {
    /// Windows over `T::PAIRS` runs of `count` pairs.
    #[inline(always)]
    pub(super) fn new<T: Taps>(count: usize, run: impl Fn(usize) -> &'a [Pair]) -> Self {
        Self(std::array::from_fn(|p| if p < T::PAIRS { &run(p)[..count] } else { &[] }))
    }
}

/// Filters `count` places: the even place of each window into `even`, the odd one into `odd`.
#[inline(always)]
pub(super) fn fir_both<T: Taps>(
    windows: &Windows<'_>,
    count: usize,
    even: &mut Sums,
    odd: &mut Sums,
) {
    let rows = windows.0.map(|row| &row[..if row.is_empty() { 0 } else { count }]);
    for j in 0..count.min(CHUNK) {
        let mut even_sum = 0_i32;
        let mut odd_sum = 0_i32;
        for p in 0..T::PAIRS {
            let pair = rows[p][j];
            even_sum = even_sum.wrapping_add(weigh(pair, T::EVEN[p]));
            odd_sum = odd_sum.wrapping_add(weigh(pair, T::ODD[p]));
        }
        even[j] = even_sum as u32;
        odd[j] = odd_sum as u32;
    }
}

/// As [`fir_both`], for the even places only.
#[inline(always)]
pub(super) fn fir_even<T: Taps>(windows: &Windows<'_>, count: usize, even: &mut Sums) {
    let rows = windows.0.map(|row| &row[..if row.is_empty() { 0 } else { count }]);
    for j in 0..count.min(CHUNK) {
        let mut sum = 0_i32;
        for p in 0..T::PAIRS {
            sum = sum.wrapping_add(weigh(rows[p][j], T::EVEN[p]));
        }
        even[j] = sum as u32;
    }
}

#[inline(always)]
fn weigh(pair: Pair, taps: [i32; 2]) -> i32 {
    i32::from(pair[0]).wrapping_mul(taps[0]).wrapping_add(i32::from(pair[1]).wrapping_mul(taps[1]))
}
