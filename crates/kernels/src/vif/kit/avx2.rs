//! Eight lanes in AVX2.

use std::arch::x86_64::*;

use super::{COUNTING, COUNTING_START, Kit, WHOLE, load_run, proven, store_run};
use crate::isa::Avx2;

const LANES: usize = 8;

/// The high word of every lane.
const HIGH_WORDS: i32 = 0xAA;

/// The high lane of every pair of lanes.
const HIGH_LANES: i32 = 0xAA;

#[inline]
#[target_feature(enable = "avx2")]
fn dot(sum: __m256i, pairs: __m256i, taps: __m256i) -> __m256i {
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, taps))
}

#[inline]
#[target_feature(enable = "avx2")]
fn mul_top(a: __m256i, b: __m256i) -> __m256i {
    let half = _mm256_set1_epi64x(1 << 31);
    let even = _mm256_mul_epu32(a, b);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
    let even = _mm256_srli_epi64::<32>(_mm256_add_epi64(even, half));
    _mm256_blend_epi32::<HIGH_LANES>(even, _mm256_add_epi64(odd, half))
}

/// High halves of all lanes; as signed numbers they stay what they are when packed.
#[inline]
#[target_feature(enable = "avx2")]
fn high_halves(a: __m256i) -> __m128i {
    let high = _mm256_srai_epi32::<16>(a);
    let packed = _mm256_packs_epi32(high, high);
    _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(packed))
}

#[inline]
#[target_feature(enable = "avx2")]
fn total(a: __m256i) -> u64 {
    let low = _mm256_and_si256(a, _mm256_set1_epi64x(0xFFFF_FFFF));
    let sums = _mm256_add_epi64(low, _mm256_srli_epi64::<32>(a));
    let sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let sums = _mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums));
    _mm_cvtsi128_si64(sums) as u64
}

#[inline]
#[target_feature(enable = "avx2")]
fn between(from: i32, to: i32) -> __m256i {
    let places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let below = _mm256_cmpgt_epi32(_mm256_set1_epi32(from), places);
    _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(to), places))
}

#[inline]
#[target_feature(enable = "avx2")]
fn to_doubles(a: __m256i) -> [__m256d; 2] {
    let high = _mm256_extracti128_si256::<1>(a);
    [_mm256_cvtepi32_pd(_mm256_castsi256_si128(a)), _mm256_cvtepi32_pd(high)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn truncate([low, high]: [__m256d; 2]) -> __m256i {
    _mm256_set_m128i(_mm256_cvttpd_epi32(high), _mm256_cvttpd_epi32(low))
}

#[inline]
#[target_feature(enable = "avx2")]
fn to_doubles_by_turns(a: __m256i) -> [__m256d; 2] {
    let counting = _mm256_set1_epi64x(i64::from(COUNTING) << 32);
    let start = _mm256_set1_pd(COUNTING_START);
    let even = _mm256_blend_epi32::<HIGH_LANES>(a, counting);
    let odd = _mm256_or_si256(_mm256_srli_epi64::<32>(a), counting);
    [even, odd].map(|bits| _mm256_sub_pd(_mm256_castsi256_pd(bits), start))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn whole_product(a: __m256d, b: __m256d) -> __m256d {
    _mm256_add_pd(_mm256_fmsub_pd(a, b, _mm256_set1_pd(0.5)), _mm256_set1_pd(WHOLE))
}

#[inline]
#[target_feature(enable = "avx2")]
fn whole_by_turns([even, odd]: [__m256d; 2]) -> __m256i {
    let odd = _mm256_shuffle_epi32::<0b10_10_00_00>(_mm256_castpd_si256(odd));
    _mm256_blend_epi32::<HIGH_LANES>(_mm256_castpd_si256(even), odd)
}

#[inline]
#[target_feature(enable = "avx2")]
fn any_differs(a: [__m256d; 2], b: [__m256d; 2]) -> bool {
    let even = _mm256_cmp_pd::<_CMP_NEQ_UQ>(a[0], b[0]);
    let odd = _mm256_cmp_pd::<_CMP_NEQ_UQ>(a[1], b[1]);
    _mm256_movemask_pd(_mm256_or_pd(even, odd)) != 0
}

/// The eighteenth bit is cleared, and with it every carry into those before.
#[inline]
#[target_feature(enable = "avx2")]
fn leading_bits(a: __m256i) -> __m256i {
    let cut = _mm256_andnot_si256(_mm256_srli_epi32::<17>(a), a);
    _mm256_castps_si256(_mm256_cvtepi32_ps(cut))
}

impl Kit for Avx2 {
    type Words = __m256i;
    type Doubles = __m256d;
    type Floats = __m256;
    type Mask = __m256i;

    const LANES: usize = LANES;
    const PICKS: usize = 8;

    #[inline(always)]
    fn load(self, run: &[u32]) -> __m256i {
        load_run!(_mm256_loadu_si256, run, LANES)
    }

    #[inline(always)]
    fn load_pairs(self, run: &[u16]) -> __m256i {
        load_run!(_mm256_loadu_si256, run, 2 * LANES)
    }

    #[inline(always)]
    fn store(self, lanes: __m256i, run: &mut [u32]) {
        store_run!(_mm256_storeu_si256, lanes, run, LANES)
    }

    #[inline(always)]
    fn store_high(self, lanes: __m256i, run: &mut [u16]) {
        let words = proven!(high_halves(lanes));
        store_run!(_mm_storeu_si128, words, run, LANES)
    }

    #[inline(always)]
    fn splat(self, value: u32) -> __m256i {
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
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_max_epi32(a, b))
    }

    #[inline(always)]
    fn shr<const COUNT: u32>(self, a: __m256i) -> __m256i {
        self.shr_by(a, COUNT)
    }

    #[inline(always)]
    fn shl_by(self, a: __m256i, count: u32) -> __m256i {
        proven!(_mm256_sll_epi32(a, _mm_cvtsi32_si128(count as i32)))
    }

    #[inline(always)]
    fn shr_by(self, a: __m256i, count: u32) -> __m256i {
        proven!(_mm256_srl_epi32(a, _mm_cvtsi32_si128(count as i32)))
    }

    #[inline(always)]
    fn dot(self, sum: __m256i, pairs: __m256i, taps: __m256i) -> __m256i {
        proven!(dot(sum, pairs, taps))
    }

    #[inline(always)]
    fn mul_low(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_mullo_epi16(a, b))
    }

    #[inline(always)]
    fn mul_high(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_mulhi_epu16(a, b))
    }

    #[inline(always)]
    fn mul_top(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(mul_top(a, b))
    }

    #[inline(always)]
    fn low_words(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_blend_epi16::<HIGH_WORDS>(a, _mm256_slli_epi32::<16>(b)))
    }

    #[inline(always)]
    fn high_words(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_blend_epi16::<HIGH_WORDS>(_mm256_srli_epi32::<16>(a), b))
    }

    #[inline(always)]
    fn total(self, a: __m256i) -> u64 {
        proven!(total(a))
    }

    #[inline(always)]
    fn between(self, from: usize, to: usize) -> __m256i {
        proven!(between(from as i32, to as i32))
    }

    #[inline(always)]
    fn greater(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_cmpgt_epi32(a, b))
    }

    #[inline(always)]
    fn both(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_and_si256(a, b))
    }

    #[inline(always)]
    fn without(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_andnot_si256(b, a))
    }

    #[inline(always)]
    fn any(self, mask: __m256i) -> bool {
        proven!(_mm256_testz_si256(mask, mask) == 0)
    }

    #[inline(always)]
    fn count(self, mask: __m256i) -> u32 {
        proven!(_mm256_movemask_ps(_mm256_castsi256_ps(mask)).count_ones())
    }

    #[inline(always)]
    fn keep(self, mask: __m256i, a: __m256i) -> __m256i {
        proven!(_mm256_and_si256(mask, a))
    }

    #[inline(always)]
    fn to_doubles(self, a: __m256i) -> [__m256d; 2] {
        proven!(to_doubles(a))
    }

    #[inline(always)]
    fn truncate(self, a: [__m256d; 2]) -> __m256i {
        proven!(truncate(a))
    }

    #[inline(always)]
    fn to_doubles_by_turns(self, a: __m256i) -> [__m256d; 2] {
        proven!(to_doubles_by_turns(a))
    }

    #[inline(always)]
    fn whole_product(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(whole_product(a, b))
    }

    #[inline(always)]
    fn whole_by_turns(self, a: [__m256d; 2]) -> __m256i {
        proven!(whole_by_turns(a))
    }

    #[inline(always)]
    fn any_differs(self, a: [__m256d; 2], b: [__m256d; 2]) -> bool {
        proven!(any_differs(a, b))
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> __m256d {
        load_run!(_mm256_loadu_pd, run, LANES / 2)
    }

    #[inline(always)]
    fn store_doubles(self, lanes: __m256d, run: &mut [f64]) {
        store_run!(_mm256_storeu_pd, lanes, run, LANES / 2)
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> __m256d {
        proven!(_mm256_set1_pd(value))
    }

    #[inline(always)]
    fn add_doubles(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(_mm256_add_pd(a, b))
    }

    #[inline(always)]
    fn sub_doubles(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(_mm256_sub_pd(a, b))
    }

    #[inline(always)]
    fn mul_doubles(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(_mm256_mul_pd(a, b))
    }

    #[inline(always)]
    fn div_doubles(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(_mm256_div_pd(a, b))
    }

    #[inline(always)]
    fn min_doubles(self, a: __m256d, b: __m256d) -> __m256d {
        proven!(_mm256_min_pd(a, b))
    }

    #[inline(always)]
    fn leading_bits(self, a: __m256i) -> __m256i {
        proven!(leading_bits(a))
    }

    #[inline(always)]
    fn splat_float(self, value: f32) -> __m256 {
        proven!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn floats(self, bits: __m256i) -> __m256 {
        proven!(_mm256_castsi256_ps(bits))
    }

    #[inline(always)]
    fn float_bits(self, a: __m256) -> __m256i {
        proven!(_mm256_castps_si256(a))
    }

    #[inline(always)]
    fn add_floats(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn pick<const COUNT: usize>(self, from: &[f32; COUNT], which: __m256i) -> __m256 {
        debug_assert_eq!(COUNT, Self::PICKS);
        let from = load_run!(_mm256_loadu_ps, from, LANES);
        proven!(_mm256_permutevar8x32_ps(from, which))
    }

    #[inline(always)]
    fn mul_add_floats(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        proven!(_mm256_fmadd_ps(a, b, c))
    }
}
