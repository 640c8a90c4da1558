//! The filters in plain code.

use super::{BothSums, CHUNK, Pair, Sums, Windows};
use crate::vif::taps::Taps;

#[inline(always)]
pub(super) fn fir_both<T: Taps>(windows: &Windows<'_>, start: u32, sums: &mut BothSums) {
    let (even, odd) = sums.split_at_mut(CHUNK);
    for j in 0..CHUNK {
        let (mut even_sum, mut odd_sum) = (start as i32, start as i32);
        for p in 0..T::PAIRS {
            let pair = windows.0[p][j];
            even_sum = weigh(even_sum, pair, T::EVEN[p]);
            odd_sum = weigh(odd_sum, pair, T::ODD[p]);
        }
        even[j] = even_sum as u32;
        odd[j] = odd_sum as u32;
    }
}

#[inline(always)]
pub(super) fn fir_even<T: Taps>(windows: &Windows<'_>, start: u32, sums: &mut Sums) {
    for j in 0..CHUNK {
        let sum =
            (0..T::PAIRS).fold(start as i32, |sum, p| weigh(sum, windows.0[p][j], T::EVEN[p]));
        sums[j] = sum as u32;
    }
}

#[inline(always)]
fn weigh(sum: i32, pair: Pair, taps: [i32; 2]) -> i32 {
    sum.wrapping_add(i32::from(pair[0]).wrapping_mul(taps[0]))
        .wrapping_add(i32::from(pair[1]).wrapping_mul(taps[1]))
}
