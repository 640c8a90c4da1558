//! The filters in AVX2: sixteen-bit pairs multiplied and added in one instruction.

use std::arch::x86_64::{
    _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32, _mm256_storeu_si256,
};

use super::{BothSums, CHUNK, Fir, Pair, Sums, Windows, lanes, lanes_mut, packed, scalar};
use crate::isa::Avx2;
use crate::vif::taps::Taps;

/// 32-bit lanes of a vector.
const LANES: usize = 8;

impl Fir for Avx2 {
    #[inline(always)]
    fn fir_both<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut BothSums) {
        if T::FIT_I16 {
            // SAFETY: the value of type `Avx2` proves that these instructions may run.
            unsafe { fir_both::<T>(windows, start, sums) }
        } else {
            scalar::fir_both::<T>(windows, start, sums);
        }
    }

    #[inline(always)]
    fn fir_even<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut Sums) {
        if T::FIT_I16 {
            // SAFETY: the value of type `Avx2` proves that these instructions may run.
            unsafe { fir_even::<T>(windows, start, sums) }
        } else {
            scalar::fir_even::<T>(windows, start, sums);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn fir_both<T: Taps>(windows: &Windows<'_>, start: u32, sums: &mut BothSums) {
    let (even, odd) = sums.split_at_mut(CHUNK);
    for at in (0..CHUNK).step_by(LANES) {
        let (mut even_sum, mut odd_sum) =
            (_mm256_set1_epi32(start as i32), _mm256_set1_epi32(start as i32));
        for p in 0..T::PAIRS {
            let pairs: &[Pair; LANES] = lanes(&windows.0[p][at..]);
            // SAFETY: `pairs` is as long as the vector.
            let pairs = unsafe { _mm256_loadu_si256(pairs.as_ptr().cast()) };
            let even_taps = _mm256_set1_epi32(packed(T::EVEN[p]));
            let odd_taps = _mm256_set1_epi32(packed(T::ODD[p]));
            even_sum = _mm256_add_epi32(even_sum, _mm256_madd_epi16(pairs, even_taps));
            odd_sum = _mm256_add_epi32(odd_sum, _mm256_madd_epi16(pairs, odd_taps));
        }
        let even: &mut [u32; LANES] = lanes_mut(&mut even[at..]);
        let odd: &mut [u32; LANES] = lanes_mut(&mut odd[at..]);
        // SAFETY: `even` is as long as the vector.
        unsafe { _mm256_storeu_si256(even.as_mut_ptr().cast(), even_sum) };
        // SAFETY: `odd` is as long as the vector.
        unsafe { _mm256_storeu_si256(odd.as_mut_ptr().cast(), odd_sum) };
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn fir_even<T: Taps>(windows: &Windows<'_>, start: u32, sums: &mut Sums) {
    for at in (0..CHUNK).step_by(LANES) {
        let mut sum = _mm256_set1_epi32(start as i32);
        for p in 0..T::PAIRS {
            let pairs: &[Pair; LANES] = lanes(&windows.0[p][at..]);
            // SAFETY: `pairs` is as long as the vector.
            let pairs = unsafe { _mm256_loadu_si256(pairs.as_ptr().cast()) };
            let taps = _mm256_set1_epi32(packed(T::EVEN[p]));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, taps));
        }
        let sums: &mut [u32; LANES] = lanes_mut(&mut sums[at..]);
        // SAFETY: `sums` is as long as the vector.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum) };
    }
}
