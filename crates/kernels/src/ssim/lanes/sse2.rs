//! Four lanes in SSE2, which every x86-64 processor has: the token proves nothing more.

use std::arch::x86_64::*;

use super::{FRACTION_BITS, Lanes, load_run, proven, store_run};
use crate::isa::Portable;

const LANES: usize = 4;

#[inline]
#[target_feature(enable = "sse2")]
fn min(a: __m128i, b: __m128i) -> __m128i {
    let less = _mm_cmplt_epi32(a, b);
    _mm_or_si128(_mm_and_si128(less, a), _mm_andnot_si128(less, b))
}

#[inline]
#[target_feature(enable = "sse2")]
fn max(a: __m128i, b: __m128i) -> __m128i {
    let less = _mm_cmplt_epi32(a, b);
    _mm_or_si128(_mm_and_si128(less, b), _mm_andnot_si128(less, a))
}

#[inline]
#[target_feature(enable = "sse2")]
fn all_reach(a: __m128i, b: __m128i, c: __m128i) -> bool {
    let short = _mm_cmpgt_epi32(b, a);
    _mm_movemask_epi8(_mm_andnot_si128(_mm_cmpeq_epi32(c, _mm_setzero_si128()), short)) == 0
}

#[inline]
#[target_feature(enable = "sse2")]
fn nearest(high: __m128i, low: __m128i) -> __m128 {
    // Half the sum, which fits a signed number; its last bit also says whether anything was cut off.
    const FRACTION: i32 = (1 << FRACTION_BITS) - 1;
    let sum = _mm_add_epi32(high, _mm_srli_epi32::<{ FRACTION_BITS as i32 }>(low));
    let cut = _mm_and_si128(low, _mm_set1_epi32(FRACTION));
    let cut =
        _mm_srli_epi32::<{ FRACTION_BITS as i32 }>(_mm_add_epi32(cut, _mm_set1_epi32(FRACTION)));
    let cut = _mm_or_si128(cut, _mm_and_si128(sum, _mm_set1_epi32(1)));
    _mm_cvtepi32_ps(_mm_or_si128(_mm_srli_epi32::<1>(sum), cut))
}

#[inline]
#[target_feature(enable = "sse2")]
fn widen(a: __m128) -> [__m128d; 2] {
    [_mm_cvtps_pd(a), _mm_cvtps_pd(_mm_movehl_ps(a, a))]
}

#[inline]
#[target_feature(enable = "sse2")]
fn narrow([low, high]: [__m128d; 2]) -> __m128 {
    _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high))
}

#[inline]
#[target_feature(enable = "sse2")]
fn zero_if_negative_beside(a: __m128, b: __m128) -> __m128 {
    let zero = _mm_setzero_ps();
    let both = _mm_and_ps(_mm_cmplt_ps(a, zero), _mm_cmple_ps(b, zero));
    _mm_andnot_ps(both, a)
}

#[inline]
#[target_feature(enable = "sse2")]
fn add_bits(a: __m128d, b: __m128d) -> __m128d {
    let sum = _mm_add_epi64(_mm_castpd_si128(a), _mm_castpd_si128(b));
    _mm_castsi128_pd(sum)
}

#[inline]
#[target_feature(enable = "sse2")]
fn gather_differences(a: __m128d, b: __m128d, c: __m128d) -> __m128d {
    _mm_or_pd(a, _mm_xor_pd(b, c))
}

impl Lanes for Portable {
    type Floats = __m128;
    type Words = __m128i;
    type Doubles = [__m128d; 2];

    const LANES: usize = LANES;
    const UNIT: f32 = 2.0;

    #[inline(always)]
    fn load(self, run: &[f32]) -> __m128 {
        load_run!(_mm_loadu_ps, run, LANES)
    }

    #[inline(always)]
    fn store(self, lanes: __m128, run: &mut [f32]) {
        store_run!(_mm_storeu_ps, lanes, run, LANES)
    }

    #[inline(always)]
    fn part(self, a: __m128, b: __m128) -> [__m128; 2] {
        proven!([_mm_shuffle_ps::<0b10_00_10_00>(a, b), _mm_shuffle_ps::<0b11_01_11_01>(a, b)])
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m128 {
        proven!(_mm_set1_ps(value))
    }

    #[inline(always)]
    fn mul(self, a: __m128, b: __m128) -> __m128 {
        proven!(_mm_mul_ps(a, b))
    }

    #[inline(always)]
    fn add_floats(self, a: __m128, b: __m128) -> __m128 {
        proven!(_mm_add_ps(a, b))
    }

    #[inline(always)]
    fn sub_floats(self, a: __m128, b: __m128) -> __m128 {
        proven!(_mm_sub_ps(a, b))
    }

    #[inline(always)]
    fn div_floats(self, a: __m128, b: __m128) -> __m128 {
        proven!(_mm_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: __m128) -> __m128 {
        proven!(_mm_sqrt_ps(a))
    }

    #[inline(always)]
    fn not_negative(self, a: __m128) -> __m128 {
        proven!(_mm_max_ps(a, _mm_setzero_ps()))
    }

    #[inline(always)]
    fn zero_if_negative_beside(self, a: __m128, b: __m128) -> __m128 {
        proven!(zero_if_negative_beside(a, b))
    }

    #[inline(always)]
    fn store_words(self, lanes: __m128i, run: &mut [u32]) {
        store_run!(_mm_storeu_si128, lanes, run, LANES)
    }

    #[inline(always)]
    fn splat_word(self, value: u32) -> __m128i {
        proven!(_mm_set1_epi32(value as i32))
    }

    #[inline(always)]
    fn add(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_sub_epi32(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_and_si128(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_or_si128(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(min(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(max(a, b))
    }

    #[inline(always)]
    fn least(self, a: __m128i) -> u32 {
        {
            let mut lanes = [0_u32; LANES];
            self.store_words(a, &mut lanes);
            lanes.into_iter().fold(i32::MAX as u32, |x, y| (x as i32).min(y as i32) as u32)
        }
    }

    #[inline(always)]
    fn most(self, a: __m128i) -> u32 {
        {
            let mut lanes = [0_u32; LANES];
            self.store_words(a, &mut lanes);
            lanes.into_iter().fold(i32::MIN as u32, |x, y| (x as i32).max(y as i32) as u32)
        }
    }

    #[inline(always)]
    fn all_reach(self, a: __m128i, b: __m128i, c: __m128i) -> bool {
        proven!(all_reach(a, b, c))
    }

    #[inline(always)]
    fn bits(self, a: __m128) -> __m128i {
        proven!(_mm_castps_si128(a))
    }

    #[inline(always)]
    fn floats(self, bits: __m128i) -> __m128 {
        proven!(_mm_castsi128_ps(bits))
    }

    #[inline(always)]
    fn integers(self, a: __m128) -> __m128i {
        proven!(_mm_cvtps_epi32(a))
    }

    #[inline(always)]
    fn nearest(self, high: __m128i, low: __m128i) -> __m128 {
        proven!(nearest(high, low))
    }

    #[inline(always)]
    fn widen(self, a: __m128) -> [__m128d; 2] {
        proven!(widen(a))
    }

    #[inline(always)]
    fn add_doubles(self, a: [__m128d; 2], b: [__m128d; 2]) -> [__m128d; 2] {
        proven!([_mm_add_pd(a[0], b[0]), _mm_add_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_doubles(self, a: [__m128d; 2], b: [__m128d; 2]) -> [__m128d; 2] {
        proven!([_mm_mul_pd(a[0], b[0]), _mm_mul_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn div_doubles(self, a: [__m128d; 2], b: [__m128d; 2]) -> [__m128d; 2] {
        proven!([_mm_div_pd(a[0], b[0]), _mm_div_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_add_doubles(self, a: [__m128d; 2], b: [__m128d; 2], c: [__m128d; 2]) -> [__m128d; 2] {
        proven!([
            _mm_add_pd(_mm_mul_pd(a[0], b[0]), c[0]),
            _mm_add_pd(_mm_mul_pd(a[1], b[1]), c[1])
        ])
    }

    #[inline(always)]
    fn abs_doubles(self, a: [__m128d; 2]) -> [__m128d; 2] {
        proven!([_mm_andnot_pd(_mm_set1_pd(-0.0), a[0]), _mm_andnot_pd(_mm_set1_pd(-0.0), a[1])])
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> [__m128d; 2] {
        proven!([_mm_set1_pd(value); 2])
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> [__m128d; 2] {
        [
            load_run!(_mm_loadu_pd, run, LANES / 2),
            load_run!(_mm_loadu_pd, run[LANES / 2..], LANES / 2),
        ]
    }

    #[inline(always)]
    fn load_wide(self, run: &[f32]) -> [__m128d; 2] {
        self.widen(self.load(run))
    }

    #[inline(always)]
    fn store_doubles(self, lanes: [__m128d; 2], run: &mut [f64]) {
        store_run!(_mm_storeu_pd, lanes[0], run, LANES / 2);
        store_run!(_mm_storeu_pd, lanes[1], run[LANES / 2..], LANES / 2);
    }

    #[inline(always)]
    fn add_bits(self, a: [__m128d; 2], b: [__m128d; 2]) -> [__m128d; 2] {
        proven!([add_bits(a[0], b[0]), add_bits(a[1], b[1])])
    }

    #[inline(always)]
    fn gather_differences(self, a: [__m128d; 2], b: [__m128d; 2], c: [__m128d; 2]) -> [__m128d; 2] {
        proven!([gather_differences(a[0], b[0], c[0]), gather_differences(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn narrow(self, a: [__m128d; 2]) -> __m128 {
        proven!(narrow(a))
    }
}
