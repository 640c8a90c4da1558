//! Sixteen lanes in AVX-512.

use std::arch::x86_64::*;

use super::{FRACTION_BITS, Lanes, load_run, proven, store_run};
use crate::isa::Avx512;

const LANES: usize = 16;

#[inline]
#[target_feature(enable = "avx512f")]
fn part(a: __m512, b: __m512) -> [__m512; 2] {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all_reach(a: __m512i, b: __m512i, c: __m512i) -> bool {
    // Lanes that fall short, of those where `c` is not 0.
    _mm512_mask_cmplt_epi32_mask(_mm512_test_epi32_mask(c, c), a, b) == 0
}

#[inline]
#[target_feature(enable = "avx512f")]
fn nearest(high: __m512i, low: __m512i) -> __m512 {
    // The sum's last bit also says whether anything was cut off below it.
    let sum = _mm512_add_epi32(high, _mm512_srli_epi32::<FRACTION_BITS>(low));
    let cut = _mm512_test_epi32_mask(low, _mm512_set1_epi32((1 << FRACTION_BITS) - 1));
    // In three terms, since the compiler makes four operations of a plain masked disjunction.
    let one = _mm512_set1_epi32(1);
    _mm512_cvtepu32_ps(_mm512_mask_ternarylogic_epi32::<0xfe>(sum, cut, one, one))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn widen(a: __m512) -> [__m512d; 2] {
    [_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(a))]
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn narrow([low, high]: [__m512d; 2]) -> __m512 {
    _mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high))
}

/// Divides by multiplication: the dividing unit takes 16 cycles, and has enough to do.
///
/// Let `u` be the last place of the quotient, of 53 bits, and `b` have no more than 24. A remainder
/// `a - q b` is a multiple of `u` times `b`'s last place, so it is exact while `q` is off by less than
/// `2^28 u`. The estimate of `1 / b` is right to 2^-14, and to 2^-27.9 after one step of Newton's. With
/// it, the first quotient is off by less than `2^26 u`, the second by 1/4 before it is rounded, and
/// the third by `2^-27 u`. It cannot round wrongly: where two floats meet in the middle, `a / b` lies
/// not, since such a middle has 54 bits, and so `b` times it has more than `a`; and for the same
/// reason `a / b` is at least `2^-25 u` away from it, the least that the remainder can be.
#[inline]
#[target_feature(enable = "avx512f")]
fn divide(a: __m512d, b: __m512d) -> __m512d {
    let estimate = _mm512_rcp14_pd(b);
    let error = _mm512_fnmadd_pd(b, estimate, _mm512_set1_pd(1.0));
    let reciprocal = _mm512_fmadd_pd(estimate, error, estimate);
    let mut quotient = _mm512_mul_pd(a, reciprocal);
    for _ in 0..2 {
        let remainder = _mm512_fnmadd_pd(quotient, b, a);
        quotient = _mm512_fmadd_pd(remainder, reciprocal, quotient);
    }
    quotient
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn zero_if_negative_beside(a: __m512, b: __m512) -> __m512 {
    let zero = _mm512_setzero_ps();
    let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, zero);
    let both = _mm512_mask_cmp_ps_mask::<_CMP_LE_OQ>(negative, b, zero);
    _mm512_mask_mov_ps(a, both, zero)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn add_bits(a: __m512d, b: __m512d) -> __m512d {
    let sum = _mm512_add_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b));
    _mm512_castsi512_pd(sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn gather_differences(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
    _mm512_or_pd(a, _mm512_xor_pd(b, c))
}

impl Lanes for Avx512 {
    type Floats = __m512;
    type Words = __m512i;
    type Doubles = [__m512d; 2];

    const LANES: usize = LANES;
    const UNIT: f32 = 1.0;

    #[inline(always)]
    fn load(self, run: &[f32]) -> __m512 {
        load_run!(_mm512_loadu_ps, run, LANES)
    }

    #[inline(always)]
    fn store(self, lanes: __m512, run: &mut [f32]) {
        store_run!(_mm512_storeu_ps, lanes, run, LANES)
    }

    #[inline(always)]
    fn part(self, a: __m512, b: __m512) -> [__m512; 2] {
        proven!(part(a, b))
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        proven!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn add_floats(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub_floats(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn div_floats(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        proven!(_mm512_sqrt_ps(a))
    }

    #[inline(always)]
    fn not_negative(self, a: __m512) -> __m512 {
        proven!(_mm512_max_ps(a, _mm512_setzero_ps()))
    }

    #[inline(always)]
    fn zero_if_negative_beside(self, a: __m512, b: __m512) -> __m512 {
        proven!(zero_if_negative_beside(a, b))
    }

    #[inline(always)]
    fn store_words(self, lanes: __m512i, run: &mut [u32]) {
        store_run!(_mm512_storeu_si512, lanes, run, LANES)
    }

    #[inline(always)]
    fn splat_word(self, value: u32) -> __m512i {
        proven!(_mm512_set1_epi32(value as i32))
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_sub_epi32(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_and_si512(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_min_epi32(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_max_epi32(a, b))
    }

    #[inline(always)]
    fn least(self, a: __m512i) -> u32 {
        proven!(_mm512_reduce_min_epi32(a) as u32)
    }

    #[inline(always)]
    fn most(self, a: __m512i) -> u32 {
        proven!(_mm512_reduce_max_epi32(a) as u32)
    }

    #[inline(always)]
    fn all_reach(self, a: __m512i, b: __m512i, c: __m512i) -> bool {
        proven!(all_reach(a, b, c))
    }

    #[inline(always)]
    fn bits(self, a: __m512) -> __m512i {
        proven!(_mm512_castps_si512(a))
    }

    #[inline(always)]
    fn floats(self, bits: __m512i) -> __m512 {
        proven!(_mm512_castsi512_ps(bits))
    }

    #[inline(always)]
    fn integers(self, a: __m512) -> __m512i {
        proven!(_mm512_cvtps_epi32(a))
    }

    #[inline(always)]
    fn nearest(self, high: __m512i, low: __m512i) -> __m512 {
        proven!(nearest(high, low))
    }

    #[inline(always)]
    fn widen(self, a: __m512) -> [__m512d; 2] {
        proven!(widen(a))
    }

    #[inline(always)]
    fn add_doubles(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        proven!([_mm512_add_pd(a[0], b[0]), _mm512_add_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_doubles(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        proven!([_mm512_mul_pd(a[0], b[0]), _mm512_mul_pd(a[1], b[1])])
    }

    #[inline(always)]
    fn div_doubles(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        proven!([divide(a[0], b[0]), divide(a[1], b[1])])
    }

    #[inline(always)]
    fn mul_add_doubles(self, a: [__m512d; 2], b: [__m512d; 2], c: [__m512d; 2]) -> [__m512d; 2] {
        proven!([_mm512_fmadd_pd(a[0], b[0], c[0]), _mm512_fmadd_pd(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn abs_doubles(self, a: [__m512d; 2]) -> [__m512d; 2] {
        proven!([_mm512_abs_pd(a[0]), _mm512_abs_pd(a[1])])
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> [__m512d; 2] {
        proven!([_mm512_set1_pd(value); 2])
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> [__m512d; 2] {
        [
            load_run!(_mm512_loadu_pd, run, LANES / 2),
            load_run!(_mm512_loadu_pd, run[LANES / 2..], LANES / 2),
        ]
    }

    #[inline(always)]
    fn load_wide(self, run: &[f32]) -> [__m512d; 2] {
        // Widening from memory takes half the operations of widening a whole vector.
        let low = load_run!(_mm256_loadu_ps, run, LANES / 2);
        let high = load_run!(_mm256_loadu_ps, run[LANES / 2..], LANES / 2);
        proven!([_mm512_cvtps_pd(low), _mm512_cvtps_pd(high)])
    }

    #[inline(always)]
    fn store_doubles(self, lanes: [__m512d; 2], run: &mut [f64]) {
        store_run!(_mm512_storeu_pd, lanes[0], run, LANES / 2);
        store_run!(_mm512_storeu_pd, lanes[1], run[LANES / 2..], LANES / 2);
    }

    #[inline(always)]
    fn add_bits(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        proven!([add_bits(a[0], b[0]), add_bits(a[1], b[1])])
    }

    #[inline(always)]
    fn gather_differences(self, a: [__m512d; 2], b: [__m512d; 2], c: [__m512d; 2]) -> [__m512d; 2] {
        proven!([gather_differences(a[0], b[0], c[0]), gather_differences(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn narrow(self, a: [__m512d; 2]) -> __m512 {
        proven!(narrow(a))
    }
}
