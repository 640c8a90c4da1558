//! Eight lanes in AVX2.

use std::arch::x86_64::*;

use super::{FRACTION_BITS, Lanes, load_run, proven, store_run};
use crate::isa::Avx2;

const LANES: usize = 8;

#[inline]
#[target_feature(enable = "avx2")]
fn part(a: __m256, b: __m256) -> [__m256; 2] {
    let low = _mm256_permute2f128_ps::<0x20>(a, b);
    let high = _mm256_permute2f128_ps::<0x31>(a, b);
    [_mm256_shuffle_ps::<0b10_00_10_00>(low, high), _mm256_shuffle_ps::<0b11_01_11_01>(low, high)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn all_reach(a: __m256i, b: __m256i, c: __m256i) -> bool {
    let short = _mm256_cmpgt_epi32(b, a);
    _mm256_testc_si256(_mm256_cmpeq_epi32(c, _mm256_setzero_si256()), short) == 1
}

#[inline]
#[target_feature(enable = "avx2")]
fn nearest(high: __m256i, low: __m256i) -> __m256 {
    // Half the sum, which fits a signed number; its last bit also says whether anything was cut off.
    const FRACTION: i32 = (1 << FRACTION_BITS) - 1;
    let sum = _mm256_add_epi32(high, _mm256_srli_epi32::<{ FRACTION_BITS as i32 }>(low));
    let cut = _mm256_and_si256(low, _mm256_set1_epi32(FRACTION));
    let cut = _mm256_srli_epi32::<{ FRACTION_BITS as i32 }>(_mm256_add_epi32(
        cut,
        _mm256_set1_epi32(FRACTION),
    ));
    let cut = _mm256_or_si256(cut, _mm256_and_si256(sum, _mm256_set1_epi32(1)));
    _mm256_cvtepi32_ps(_mm256_or_si256(_mm256_srli_epi32::<1>(sum), cut))
}

#[inline]
#[target_feature(enable = "avx2")]
fn widen(a: __m256) -> [__m256d; 2] {
    [_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(a))]
}

#[inline]
#[target_feature(enable = "avx2")]
fn narrow([low, high]: [__m256d; 2]) -> __m256 {
    _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low))
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero_if_negative_beside(a: __m256, b: __m256) -> __m256 {
    let zero = _mm256_setzero_ps();
    let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(a, zero);
    let both = _mm256_and_ps(negative, _mm256_cmp_ps::<_CMP_LE_OQ>(b, zero));
    _mm256_andnot_ps(both, a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_bits(a: __m256d, b: __m256d) -> __m256d {
    let sum = _mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b));
    _mm256_castsi256_pd(sum)
}

#[inline]
#[target_feature(enable = "avx2")]
fn gather_differences(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
    _mm256_or_pd(a, _mm256_xor_pd(b, c))
}

impl Lanes for Avx2 {
    type Floats = __m256;
    type Words = __m256i;
    type Doubles = [__m256d; 2];

    const LANES: usize = LANES;
    const UNIT: f32 = 2.0;

    #[inline(always)]
    fn load(self, run: &[f32]) -> __m256 {
        load_run!(_mm256_loadu_ps, run, LANES)
    }

    #[inline(always)]
    fn store(self, lanes: __m256, run: &mut [f32]) {
        store_run!(_mm256_storeu_ps, lanes, run, LANES)
    }

    #[inline(always)]
    fn part(self, a: __m256, b: __m256) -> [__m256; 2] {
        proven!(part(a, b))
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        proven!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn add_floats(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub_floats(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn div_floats(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        proven!(_mm256_sqrt_ps(a))
    }

    #[inline(always)]
    fn not_negative(self, a: __m256) -> __m256 {
        proven!(_mm256_max_ps(a, _mm256_setzero_ps()))
    }

    #[inline(always)]
    fn zero_if_negative_beside(self, a: __m256, b: __m256) -> __m256 {
        proven!(zero_if_negative_beside(a, b))
    }

    #[inline(always)]
    fn store_words(self, lanes: __m256i, run: &mut [u32]) {
        store_run!(_mm256_storeu_si256, lanes, run, LANES)
    }

    #[inline(always)]
    fn splat_word(self, value: u32) -> __m256i {
        proven!(_mm256_set1_epi32(value as i32))
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_sub_epi32(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_and_si256(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_or_si256(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_min_epi32(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_max_epi32(a, b))
    }

    #[inline(always)]
    fn least(self, a: __m256i) -> u32 {
        {
            let mut lanes = [0_u32; LANES];
            self.store_words(a, &mut lanes);
            lanes.into_iter().fold(i32::MAX as u32, |x, y| (x as i32).min(y as i32) as u32)
        }
    }

    #[inline(always)]
    fn most(self, a: __m256i) -> u32 {
        {
            let mut lanes = [0_u32; LANES];
            self.store_words(a, &mut lanes);
            lanes.into_iter().fold(i32::MIN as u32, |x, y| (x as i32).max(y as i32) as u32)
        }
    }

    #[inline(always)]
    fn all_reach(self, a: __m256i, b: __m256i, c: __m256i) -> bool {
        proven!(all_reach(a, b, c))
    }

    #[inline(always)]
    fn bits(self, a: __m256) -> __m256i {
        proven!(_mm256_castps_si256(a))
    }

    #[inline(always)]
    fn floats(self, bits: __m256i) -> __m256 {
        proven!(_mm256_castsi256_ps(bits))
    }

    #[inline(always)]
    fn integers(self, a: __m256) -> __m256i {
        proven!(_mm256_cvtps_epi32(a))
    }

    #[inline(always)]
    fn nearest(self, high: __m256i, low: __m256i) -> __m256 {
        proven!(nearest(high, low))
    }

    #[inline(always)]
    fn widen(self, a: __m256) -> [__m256d; 2] {
        proven!(widen(a))
    }

    #[inline(always)]
    fn add_doubles(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        proven!([_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_doubles(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        proven!([_mm256_mul_pd(a[0], b[0]), _mm256_mul_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn div_doubles(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        proven!([_mm256_div_pd(a[0], b[0]), _mm256_div_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_add_doubles(self, a: [__m256d; 2], b: [__m256d; 2], c: [__m256d; 2]) -> [__m256d; 2] {
        proven!([_mm256_fmadd_pd(a[0], b[0], c[0]), _mm256_fmadd_pd(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn abs_doubles(self, a: [__m256d; 2]) -> [__m256d; 2] {
        proven!([
            _mm256_andnot_pd(_mm256_set1_pd(-0.0), a[0]),
            _mm256_andnot_pd(_mm256_set1_pd(-0.0), a[1])
        ])
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> [__m256d; 2] {
        proven!([_mm256_set1_pd(value); 2])
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> [__m256d; 2] {
        [
            load_run!(_mm256_loadu_pd, run, LANES / 2),
            load_run!(_mm256_loadu_pd, run[LANES / 2..], LANES / 2),
        ]
    }

    #[inline(always)]
    fn load_wide(self, run: &[f32]) -> [__m256d; 2] {
        // Widening from memory takes half the operations of widening a whole vector.
        let low = load_run!(_mm_loadu_ps, run, LANES / 2);
        let high = load_run!(_mm_loadu_ps, run[LANES / 2..], LANES / 2);
        proven!([_mm256_cvtps_pd(low), _mm256_cvtps_pd(high)])
    }

    #[inline(always)]
    fn store_doubles(self, lanes: [__m256d; 2], run: &mut [f64]) {
        store_run!(_mm256_storeu_pd, lanes[0], run, LANES / 2);
        store_run!(_mm256_storeu_pd, lanes[1], run[LANES / 2..], LANES / 2);
    }

    #[inline(always)]
    fn add_bits(self, a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
        proven!([add_bits(a[0], b[0]), add_bits(a[1], b[1])])
    }

    #[inline(always)]
    fn gather_differences(self, a: [__m256d; 2], b: [__m256d; 2], c: [__m256d; 2]) -> [__m256d; 2] {
        proven!([gather_differences(a[0], b[0], c[0]), gather_differences(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn narrow(self, a: [__m256d; 2]) -> __m256 {
        proven!(narrow(a))
    }
}
