//! Sixteen lanes in AVX-512, with or without its neural-network instructions.

use std::arch::x86_64::*;

use super::{COUNTING, COUNTING_START, Kit, WHOLE, load_run, proven, store_run};
use crate::isa::{Avx512, Avx512Vnni};

const LANES: usize = 16;

/// The high word of every lane.
const HIGH_WORDS: __mmask32 = 0xAAAA_AAAA;

/// The high lane of every pair of lanes.
const HIGH_LANES: __mmask16 = 0xAAAA;

/// The low lane of every pair of lanes.
const LOW_LANES: __mmask16 = 0x5555;

/// Both lanes of a pair from the low one.
const FROM_LOW: _MM_PERM_ENUM = _MM_PERM_CCAA;

/// Both lanes of a pair from the high one.
const FROM_HIGH: _MM_PERM_ENUM = _MM_PERM_DDBB;

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn dot(sum: __m512i, pairs: __m512i, taps: __m512i) -> __m512i {
    _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, taps))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_vnni(sum: __m512i, pairs: __m512i, taps: __m512i) -> __m512i {
    _mm512_dpwssd_epi32(sum, pairs, taps)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn mul_top(a: __m512i, b: __m512i) -> __m512i {
    let half = _mm512_set1_epi64(1 << 31);
    let even = _mm512_mul_epu32(a, b);
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
    let (even, odd) = (_mm512_add_epi64(even, half), _mm512_add_epi64(odd, half));
    _mm512_mask_shuffle_epi32::<FROM_HIGH>(odd, LOW_LANES, even)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn total(a: __m512i) -> u64 {
    let low = _mm512_and_si512(a, _mm512_set1_epi64(0xFFFF_FFFF));
    _mm512_reduce_add_epi64(_mm512_add_epi64(low, _mm512_srli_epi64::<32>(a))) as u64
}

#[inline]
#[target_feature(enable = "avx512f")]
fn to_doubles(a: __m512i) -> [__m512d; 2] {
    let high = _mm512_extracti64x4_epi64::<1>(a);
    [_mm512_cvtepi32_pd(_mm512_castsi512_si256(a)), _mm512_cvtepi32_pd(high)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn truncate([low, high]: [__m512d; 2]) -> __m512i {
    let low = _mm512_castsi256_si512(_mm512_cvttpd_epi32(low));
    _mm512_inserti64x4::<1>(low, _mm512_cvttpd_epi32(high))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn to_doubles_by_turns(a: __m512i) -> [__m512d; 2] {
    let counting = _mm512_set1_epi32(COUNTING as i32);
    let start = _mm512_set1_pd(COUNTING_START);
    let even = _mm512_mask_blend_epi32(HIGH_LANES, a, counting);
    let odd = _mm512_mask_shuffle_epi32::<FROM_HIGH>(counting, LOW_LANES, a);
    [
        _mm512_sub_pd(_mm512_castsi512_pd(even), start),
        _mm512_sub_pd(_mm512_castsi512_pd(odd), start),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn whole_product(a: __m512d, b: __m512d) -> __m512d {
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    _mm512_fmadd_round_pd::<DOWN>(a, b, _mm512_set1_pd(WHOLE))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn whole_by_turns([even, odd]: [__m512d; 2]) -> __m512i {
    let (even, odd) = (_mm512_castpd_si512(even), _mm512_castpd_si512(odd));
    _mm512_mask_shuffle_epi32::<FROM_LOW>(even, HIGH_LANES, odd)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn any_differs(a: [__m512d; 2], b: [__m512d; 2]) -> bool {
    let even = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(a[0], b[0]);
    (even | _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(a[1], b[1])) != 0
}

#[inline]
#[target_feature(enable = "avx512f")]
fn leading_bits(a: __m512i) -> __m512i {
    const CUT: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    _mm512_castps_si512(_mm512_cvt_roundepi32_ps::<CUT>(a))
}

macro_rules! kit {
    ($token:ident, $dot:ident) => {
        impl Kit for $token {
            type Words = __m512i;
            type Doubles = __m512d;
            type Floats = __m512;
            type Mask = __mmask16;

            const LANES: usize = LANES;
            const PICKS: usize = 32;

            #[inline(always)]
            fn load(self, run: &[u32]) -> __m512i {
                load_run!(_mm512_loadu_si512, run, LANES)
            }

            #[inline(always)]
            fn load_pairs(self, run: &[u16]) -> __m512i {
                load_run!(_mm512_loadu_si512, run, 2 * LANES)
            }

            #[inline(always)]
            fn store(self, lanes: __m512i, run: &mut [u32]) {
                store_run!(_mm512_storeu_si512, lanes, run, LANES)
            }

            #[inline(always)]
            fn store_high(self, lanes: __m512i, run: &mut [u16]) {
                let words = proven!(_mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(lanes)));
                store_run!(_mm256_storeu_si256, words, run, LANES)
            }

            #[inline(always)]
            fn splat(self, value: u32) -> __m512i {
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
            fn xor(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_xor_si512(a, b))
            }

            #[inline(always)]
            fn max(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_max_epi32(a, b))
            }

            #[inline(always)]
            fn shr<const COUNT: u32>(self, a: __m512i) -> __m512i {
                proven!(_mm512_srli_epi32::<COUNT>(a))
            }

            #[inline(always)]
            fn shl_by(self, a: __m512i, count: u32) -> __m512i {
                proven!(_mm512_sll_epi32(a, _mm_cvtsi32_si128(count as i32)))
            }

            #[inline(always)]
            fn shr_by(self, a: __m512i, count: u32) -> __m512i {
                proven!(_mm512_srl_epi32(a, _mm_cvtsi32_si128(count as i32)))
            }

            #[inline(always)]
            fn dot(self, sum: __m512i, pairs: __m512i, taps: __m512i) -> __m512i {
                proven!($dot(sum, pairs, taps))
            }

            #[inline(always)]
            fn mul_low(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_mullo_epi16(a, b))
            }

            #[inline(always)]
            fn mul_high(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_mulhi_epu16(a, b))
            }

            #[inline(always)]
            fn mul_top(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(mul_top(a, b))
            }

            #[inline(always)]
            fn low_words(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_mask_blend_epi16(HIGH_WORDS, a, _mm512_slli_epi32::<16>(b)))
            }

            #[inline(always)]
            fn high_words(self, a: __m512i, b: __m512i) -> __m512i {
                proven!(_mm512_mask_blend_epi16(HIGH_WORDS, _mm512_srli_epi32::<16>(a), b))
            }

            #[inline(always)]
            fn total(self, a: __m512i) -> u64 {
                proven!(total(a))
            }

            #[inline(always)]
            fn between(self, from: usize, to: usize) -> __mmask16 {
                (((1_u32 << to) - 1) & !((1_u32 << from) - 1)) as __mmask16
            }

            #[inline(always)]
            fn greater(self, a: __m512i, b: __m512i) -> __mmask16 {
                proven!(_mm512_cmpgt_epi32_mask(a, b))
            }

            #[inline(always)]
            fn both(self, a: __mmask16, b: __mmask16) -> __mmask16 {
                a & b
            }

            #[inline(always)]
            fn without(self, a: __mmask16, b: __mmask16) -> __mmask16 {
                a & !b
            }

            #[inline(always)]
            fn any(self, mask: __mmask16) -> bool {
                mask != 0
            }

            #[inline(always)]
            fn count(self, mask: __mmask16) -> u32 {
                mask.count_ones()
            }

            #[inline(always)]
            fn keep(self, mask: __mmask16, a: __m512i) -> __m512i {
                proven!(_mm512_maskz_mov_epi32(mask, a))
            }

            #[inline(always)]
            fn to_doubles(self, a: __m512i) -> [__m512d; 2] {
                proven!(to_doubles(a))
            }

            #[inline(always)]
            fn truncate(self, a: [__m512d; 2]) -> __m512i {
                proven!(truncate(a))
            }

            #[inline(always)]
            fn to_doubles_by_turns(self, a: __m512i) -> [__m512d; 2] {
                proven!(to_doubles_by_turns(a))
            }

            #[inline(always)]
            fn whole_product(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(whole_product(a, b))
            }

            #[inline(always)]
            fn whole_by_turns(self, a: [__m512d; 2]) -> __m512i {
                proven!(whole_by_turns(a))
            }

            #[inline(always)]
            fn any_differs(self, a: [__m512d; 2], b: [__m512d; 2]) -> bool {
                proven!(any_differs(a, b))
            }

            #[inline(always)]
            fn load_doubles(self, run: &[f64]) -> __m512d {
                load_run!(_mm512_loadu_pd, run, LANES / 2)
            }

            #[inline(always)]
            fn store_doubles(self, lanes: __m512d, run: &mut [f64]) {
                store_run!(_mm512_storeu_pd, lanes, run, LANES / 2)
            }

            #[inline(always)]
            fn splat_double(self, value: f64) -> __m512d {
                proven!(_mm512_set1_pd(value))
            }

            #[inline(always)]
            fn add_doubles(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(_mm512_add_pd(a, b))
            }

            #[inline(always)]
            fn sub_doubles(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(_mm512_sub_pd(a, b))
            }

            #[inline(always)]
            fn mul_doubles(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(_mm512_mul_pd(a, b))
            }

            #[inline(always)]
            fn div_doubles(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(_mm512_div_pd(a, b))
            }

            #[inline(always)]
            fn min_doubles(self, a: __m512d, b: __m512d) -> __m512d {
                proven!(_mm512_min_pd(a, b))
            }

            #[inline(always)]
            fn leading_bits(self, a: __m512i) -> __m512i {
                proven!(leading_bits(a))
            }

            #[inline(always)]
            fn splat_float(self, value: f32) -> __m512 {
                proven!(_mm512_set1_ps(value))
            }

            #[inline(always)]
            fn floats(self, bits: __m512i) -> __m512 {
                proven!(_mm512_castsi512_ps(bits))
            }

            #[inline(always)]
            fn float_bits(self, a: __m512) -> __m512i {
                proven!(_mm512_castps_si512(a))
            }

            #[inline(always)]
            fn add_floats(self, a: __m512, b: __m512) -> __m512 {
                proven!(_mm512_add_ps(a, b))
            }

            #[inline(always)]
            fn pick<const COUNT: usize>(self, from: &[f32; COUNT], which: __m512i) -> __m512 {
                debug_assert_eq!(COUNT, Self::PICKS);
                let low = load_run!(_mm512_loadu_ps, from, LANES);
                let high = load_run!(_mm512_loadu_ps, from[LANES..], LANES);
                proven!(_mm512_permutex2var_ps(low, which, high))
            }

            #[inline(always)]
            fn mul_add_floats(self, a: __m512, b: __m512, c: __m512) -> __m512 {
                proven!(_mm512_fmadd_ps(a, b, c))
            }
        }
    };
}

kit!(Avx512, dot);
kit!(Avx512Vnni, dot_vnni);
