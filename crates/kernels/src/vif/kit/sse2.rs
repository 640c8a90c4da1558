//! Four lanes in SSE2, which every x86-64 processor has: the token proves nothing more.

use std::arch::x86_64::*;

use super::{COUNTING, COUNTING_START, Kit, WHOLE, load_run, proven, store_run};
use crate::isa::Portable;

const LANES: usize = 4;

impl Kit for Portable {
    type Words = __m128i;
    type Doubles = __m128d;
    type Floats = __m128;
    type Mask = __m128i;

    const LANES: usize = LANES;
    const PICKS: usize = 0;

    #[inline(always)]
    fn load(self, run: &[u32]) -> __m128i {
        load_run!(_mm_loadu_si128, run, LANES)
    }

    #[inline(always)]
    fn load_pairs(self, run: &[u16]) -> __m128i {
        load_run!(_mm_loadu_si128, run, 2 * LANES)
    }

    #[inline(always)]
    fn store(self, lanes: __m128i, run: &mut [u32]) {
        store_run!(_mm_storeu_si128, lanes, run, LANES)
    }

    #[inline(always)]
    fn store_high(self, lanes: __m128i, run: &mut [u16]) {
        let words = proven!({
            let high = _mm_srai_epi32::<16>(lanes);
            _mm_packs_epi32(high, high)
        });
        store_run!(_mm_storel_epi64, words, run, LANES)
    }

    #[inline(always)]
    fn splat(self, value: u32) -> __m128i {
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
    fn xor(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_xor_si128(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m128i, b: __m128i) -> __m128i {
        proven!({
            let larger = _mm_cmpgt_epi32(a, b);
            _mm_or_si128(_mm_and_si128(larger, a), _mm_andnot_si128(larger, b))
        })
    }

    #[inline(always)]
    fn shr<const COUNT: u32>(self, a: __m128i) -> __m128i {
        self.shr_by(a, COUNT)
    }

    #[inline(always)]
    fn shl_by(self, a: __m128i, count: u32) -> __m128i {
        proven!(_mm_sll_epi32(a, _mm_cvtsi32_si128(count as i32)))
    }

    #[inline(always)]
    fn shr_by(self, a: __m128i, count: u32) -> __m128i {
        proven!(_mm_srl_epi32(a, _mm_cvtsi32_si128(count as i32)))
    }

    #[inline(always)]
    fn dot(self, sum: __m128i, pairs: __m128i, taps: __m128i) -> __m128i {
        proven!(_mm_add_epi32(sum, _mm_madd_epi16(pairs, taps)))
    }

    #[inline(always)]
    fn mul_low(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_mullo_epi16(a, b))
    }

    #[inline(always)]
    fn mul_high(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_mulhi_epu16(a, b))
    }

    #[inline(always)]
    fn mul_top(self, a: __m128i, b: __m128i) -> __m128i {
        proven!({
            let half = _mm_set1_epi64x(1 << 31);
            let even = _mm_mul_epu32(a, b);
            let odd = _mm_mul_epu32(_mm_srli_epi64::<32>(a), _mm_srli_epi64::<32>(b));
            let even = _mm_srli_epi64::<32>(_mm_add_epi64(even, half));
            let odd = _mm_and_si128(_mm_add_epi64(odd, half), _mm_set1_epi64x(!0 << 32));
            _mm_or_si128(even, odd)
        })
    }

    #[inline(always)]
    fn low_words(self, a: __m128i, b: __m128i) -> __m128i {
        proven!({
            let low = _mm_and_si128(a, _mm_set1_epi32(0xFFFF));
            _mm_or_si128(low, _mm_slli_epi32::<16>(b))
        })
    }

    #[inline(always)]
    fn high_words(self, a: __m128i, b: __m128i) -> __m128i {
        proven!({
            let high = _mm_and_si128(b, _mm_set1_epi32(!0xFFFF));
            _mm_or_si128(_mm_srli_epi32::<16>(a), high)
        })
    }

    #[inline(always)]
    fn total(self, a: __m128i) -> u64 {
        proven!({
            let low = _mm_and_si128(a, _mm_set1_epi64x(0xFFFF_FFFF));
            let sums = _mm_add_epi64(low, _mm_srli_epi64::<32>(a));
            _mm_cvtsi128_si64(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums))) as u64
        })
    }

    #[inline(always)]
    fn between(self, from: usize, to: usize) -> __m128i {
        proven!({
            let places = _mm_setr_epi32(0, 1, 2, 3);
            let below = _mm_cmpgt_epi32(_mm_set1_epi32(from as i32), places);
            _mm_andnot_si128(below, _mm_cmpgt_epi32(_mm_set1_epi32(to as i32), places))
        })
    }

    #[inline(always)]
    fn greater(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_cmpgt_epi32(a, b))
    }

    #[inline(always)]
    fn both(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_and_si128(a, b))
    }

    #[inline(always)]
    fn without(self, a: __m128i, b: __m128i) -> __m128i {
        proven!(_mm_andnot_si128(b, a))
    }

    #[inline(always)]
    fn any(self, mask: __m128i) -> bool {
        proven!(_mm_movemask_epi8(mask) != 0)
    }

    #[inline(always)]
    fn count(self, mask: __m128i) -> u32 {
        proven!(_mm_movemask_ps(_mm_castsi128_ps(mask)).count_ones())
    }

    #[inline(always)]
    fn keep(self, mask: __m128i, a: __m128i) -> __m128i {
        proven!(_mm_and_si128(mask, a))
    }

    #[inline(always)]
    fn to_doubles(self, a: __m128i) -> [__m128d; 2] {
        proven!([_mm_cvtepi32_pd(a), _mm_cvtepi32_pd(_mm_unpackhi_epi64(a, a))])
    }

    #[inline(always)]
    fn truncate(self, [low, high]: [__m128d; 2]) -> __m128i {
        proven!(_mm_unpacklo_epi64(_mm_cvttpd_epi32(low), _mm_cvttpd_epi32(high)))
    }

    #[inline(always)]
    fn to_doubles_by_turns(self, a: __m128i) -> [__m128d; 2] {
        proven!({
            let counting = _mm_set1_epi64x(i64::from(COUNTING) << 32);
            let even = _mm_and_si128(a, _mm_set1_epi64x(0xFFFF_FFFF));
            let odd = _mm_srli_epi64::<32>(a);
            let start = _mm_set1_pd(COUNTING_START);
            let even = _mm_castsi128_pd(_mm_or_si128(even, counting));
            let odd = _mm_castsi128_pd(_mm_or_si128(odd, counting));
            [_mm_sub_pd(even, start), _mm_sub_pd(odd, start)]
        })
    }

    #[inline(always)]
    fn whole_product(self, a: __m128d, b: __m128d) -> __m128d {
        proven!({
            let product = _mm_sub_pd(_mm_mul_pd(a, b), _mm_set1_pd(0.5));
            _mm_add_pd(product, _mm_set1_pd(WHOLE))
        })
    }

    #[inline(always)]
    fn whole_by_turns(self, [even, odd]: [__m128d; 2]) -> __m128i {
        proven!({
            let even = _mm_shuffle_epi32::<0b10_00>(_mm_castpd_si128(even));
            _mm_unpacklo_epi32(even, _mm_shuffle_epi32::<0b10_00>(_mm_castpd_si128(odd)))
        })
    }

    #[inline(always)]
    fn any_differs(self, a: [__m128d; 2], b: [__m128d; 2]) -> bool {
        proven!({
            let even = _mm_cmpneq_pd(a[0], b[0]);
            _mm_movemask_pd(_mm_or_pd(even, _mm_cmpneq_pd(a[1], b[1]))) != 0
        })
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> __m128d {
        load_run!(_mm_loadu_pd, run, LANES / 2)
    }

    #[inline(always)]
    fn store_doubles(self, lanes: __m128d, run: &mut [f64]) {
        store_run!(_mm_storeu_pd, lanes, run, LANES / 2)
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> __m128d {
        proven!(_mm_set1_pd(value))
    }

    #[inline(always)]
    fn add_doubles(self, a: __m128d, b: __m128d) -> __m128d {
        proven!(_mm_add_pd(a, b))
    }

    #[inline(always)]
    fn sub_doubles(self, a: __m128d, b: __m128d) -> __m128d {
        proven!(_mm_sub_pd(a, b))
    }

    #[inline(always)]
    fn mul_doubles(self, a: __m128d, b: __m128d) -> __m128d {
        proven!(_mm_mul_pd(a, b))
    }

    #[inline(always)]
    fn div_doubles(self, a: __m128d, b: __m128d) -> __m128d {
        proven!(_mm_div_pd(a, b))
    }

    #[inline(always)]
    fn min_doubles(self, a: __m128d, b: __m128d) -> __m128d {
        proven!(_mm_min_pd(a, b))
    }

    #[inline(always)]
    fn leading_bits(self, a: __m128i) -> __m128i {
        proven!({
            let cut = _mm_andnot_si128(_mm_srli_epi32::<17>(a), a);
            _mm_castps_si128(_mm_cvtepi32_ps(cut))
        })
    }

    #[inline(always)]
    fn splat_float(self, value: f32) -> __m128 {
        proven!(_mm_set1_ps(value))
    }

    #[inline(always)]
    fn floats(self, bits: __m128i) -> __m128 {
        proven!(_mm_castsi128_ps(bits))
    }

    #[inline(always)]
    fn float_bits(self, a: __m128) -> __m128i {
        proven!(_mm_castps_si128(a))
    }

    #[inline(always)]
    fn add_floats(self, a: __m128, b: __m128) -> __m128 {
        proven!(_mm_add_ps(a, b))
    }

    #[inline(always)]
    fn pick<const COUNT: usize>(self, from: &[f32; COUNT], which: __m128i) -> __m128 {
        let mut indices = [0; LANES];
        self.store(which, &mut indices);
        let picked = indices.map(|which| from[which as usize % COUNT]);
        load_run!(_mm_loadu_ps, picked, LANES)
    }

    #[inline(always)]
    fn mul_add_floats(self, a: __m128, b: __m128, c: __m128) -> __m128 {
        proven!(_mm_add_ps(_mm_mul_ps(a, b), c))
    }
}
