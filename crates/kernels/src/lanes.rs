//! The vector operations that ADM, motion and PSNR-HVS are written in, for AVX2 and AVX-512.
//!
//! A vector is a register of `WORDS` 16-bit or `INTS` 32-bit lanes, or half as many 64-bit ones;
//! each operation says by its name which. Operations on 128-bit blocks (`unpack`, `pack`) keep the
//! order of the instruction set: packing what was unpacked gives the natural order back.
//!
//! Loads and stores check their bounds. That the instructions may run is proven by the token that
//! every operation is called on: it is made only in functions compiled for them.

use crate::isa::{Avx2, Avx512};
use std::arch::x86_64::*;

/// See the module.
pub(crate) trait Lanes: Copy {
    /// A register.
    type V: Copy;
    /// 16-bit lanes.
    const WORDS: usize;
    /// 32-bit lanes.
    const INTS: usize = Self::WORDS / 2;

    /// `WORDS` words.
    fn load_words(self, from: &[i16], at: usize) -> Self::V;
    /// `WORDS` bytes as words.
    fn load_bytes(self, from: &[u8], at: usize) -> Self::V;
    /// Eight words for each 128-bit block, those of the next block `step` further on.
    fn load_spaced_words(self, from: &[i16], at: usize, step: usize) -> Self::V;
    /// `INTS` integers.
    fn load_ints(self, from: &[i32], at: usize) -> Self::V;
    /// `INTS` words as integers, with their sign.
    fn load_words_as_ints(self, from: &[i16], at: usize) -> Self::V;
    /// `INTS` words as integers, without sign.
    fn load_unsigned_as_ints(self, from: &[i16], at: usize) -> Self::V;
    /// Stores `WORDS` words.
    fn store_words(self, to: &mut [i16], at: usize, value: Self::V);
    /// Stores `INTS` integers.
    fn store_ints(self, to: &mut [i32], at: usize, value: Self::V);

    fn splat_word(self, value: i16) -> Self::V;
    fn splat_int(self, value: i32) -> Self::V;
    fn splat_long(self, value: i64) -> Self::V;
    fn splat_float(self, value: f32) -> Self::V;

    fn add_words(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub_words(self, a: Self::V, b: Self::V) -> Self::V;
    fn min_words(self, a: Self::V, b: Self::V) -> Self::V;
    fn max_words(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs_words(self, a: Self::V) -> Self::V;
    /// Low halves of the products.
    fn mul_words(self, a: Self::V, b: Self::V) -> Self::V;
    /// High halves of the signed products.
    fn mul_high_words(self, a: Self::V, b: Self::V) -> Self::V;
    /// `(a b + 2^14) >> 15`, cut to 16 bits.
    fn mul_rounded_words(self, a: Self::V, b: Self::V) -> Self::V;
    /// All bits where the words are equal.
    fn equal_words(self, a: Self::V, b: Self::V) -> Self::V;
    /// 1 where a word is negative, else 0.
    fn signs_of_words(self, a: Self::V) -> Self::V;
    /// Halves, rounded down.
    fn halve_words(self, a: Self::V) -> Self::V;
    /// Whether any word of `a` is greater than that of `b`.
    fn any_greater_words(self, a: Self::V, b: Self::V) -> bool;

    fn and(self, a: Self::V, b: Self::V) -> Self::V;
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// The bits of `b` that `a` has not.
    fn and_not(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` where the mask has bits, else `b`.
    fn choose(self, mask: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Whether any bit is set.
    fn any(self, a: Self::V) -> bool;

    /// Words of the lower halves of both, alternately, by 128-bit blocks.
    fn unpack_low(self, a: Self::V, b: Self::V) -> Self::V;
    /// Words of the upper halves of both, alternately, by 128-bit blocks.
    fn unpack_high(self, a: Self::V, b: Self::V) -> Self::V;
    /// Integers as words with saturation, by 128-bit blocks.
    fn pack(self, a: Self::V, b: Self::V) -> Self::V;
    /// Integers as unsigned words with saturation, by 128-bit blocks.
    fn pack_unsigned(self, a: Self::V, b: Self::V) -> Self::V;
    /// What [`pack`](Self::pack) or `pack_unsigned` of integers in natural order has in blocks, in
    /// natural order.
    fn in_order(self, a: Self::V) -> Self::V;

    /// Sums of the products of neighbouring words, as integers.
    fn dot_pairs(self, a: Self::V, b: Self::V) -> Self::V;
    fn add_ints(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub_ints(self, a: Self::V, b: Self::V) -> Self::V;
    fn max_ints(self, a: Self::V, b: Self::V) -> Self::V;
    fn min_ints_unsigned(self, a: Self::V, b: Self::V) -> Self::V;
    /// All bits where `a > b`.
    fn greater_ints(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul_ints(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs_ints(self, a: Self::V) -> Self::V;
    /// Arithmetic shift to the right by the counts in the lanes of `count`.
    fn shift_ints(self, a: Self::V, count: Self::V) -> Self::V;
    /// Logical shift to the right by the counts in the lanes of `count`; 0 where that is above 31.
    fn shift_ints_unsigned(self, a: Self::V, count: Self::V) -> Self::V;
    /// Shift to the left by the counts in the lanes of `count`; 0 where that is above 31.
    fn shift_ints_left_by(self, a: Self::V, count: Self::V) -> Self::V;
    fn shift_ints_left<const BY: u32>(self, a: Self::V) -> Self::V;
    fn shift_ints_right<const BY: u32>(self, a: Self::V) -> Self::V;
    fn shift_ints_right_unsigned<const BY: u32>(self, a: Self::V) -> Self::V;

    fn floats(self, ints: Self::V) -> Self::V;
    /// The integer parts.
    fn truncated(self, floats: Self::V) -> Self::V;
    fn add_floats(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub_floats(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul_floats(self, a: Self::V, b: Self::V) -> Self::V;
    fn div_floats(self, a: Self::V, b: Self::V) -> Self::V;
    fn root_floats(self, a: Self::V) -> Self::V;
    /// The larger, where both are numbers.
    fn max_floats(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of the magnitude of `a` and of `b`, which is not negative.
    fn max_magnitude(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a + b c`, rounded once.
    fn plus_product(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a - b c`, rounded once.
    fn less_product(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `1 / a`, off by at most `1.5 * 2^-12` of it, and not the same on every processor.
    fn inverse_floats(self, a: Self::V) -> Self::V;
    /// All bits where `a <= b`.
    fn floats_at_most(self, a: Self::V, b: Self::V) -> Self::V;

    fn add_longs(self, a: Self::V, b: Self::V) -> Self::V;
    /// Signed products of the integers in the low halves of the 64-bit lanes.
    fn mul_longs(self, a: Self::V, b: Self::V) -> Self::V;
    /// Unsigned products of the integers in the low halves of the 64-bit lanes.
    fn mul_longs_unsigned(self, a: Self::V, b: Self::V) -> Self::V;
    /// The high halves of the 64-bit lanes.
    fn high_halves(self, a: Self::V) -> Self::V;
    /// The low halves of the 64-bit lanes of `low` and the high halves of those of `high`.
    fn halves(self, low: Self::V, high: Self::V) -> Self::V;
    fn shift_longs_left<const BY: u32>(self, a: Self::V) -> Self::V;
    /// Logical.
    fn shift_longs_right<const BY: u32>(self, a: Self::V) -> Self::V;
    /// Logical shift to the right by the counts in the lanes of `count`.
    fn shift_longs(self, a: Self::V, count: Self::V) -> Self::V;
    /// The sum of all 64-bit lanes.
    fn sum_longs(self, a: Self::V) -> i64;
}

/// A sample of a picture.
pub(crate) trait PictureSample: Copy {
    /// A vector of samples as words.
    fn load<L: Lanes>(lanes: L, from: &[Self], at: usize) -> L::V;
    /// One sample as a word.
    fn word(self) -> u16;
}

impl PictureSample for u8 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[Self], at: usize) -> L::V {
        lanes.load_bytes(from, at)
    }

    #[inline(always)]
    fn word(self) -> u16 {
        self.into()
    }
}

impl PictureSample for u16 {
    #[inline(always)]
    fn load<L: Lanes>(lanes: L, from: &[Self], at: usize) -> L::V {
        lanes.load_words(as_signed(from), at)
    }

    #[inline(always)]
    fn word(self) -> u16 {
        self
    }
}

/// The same words, as signed ones.
fn as_signed(words: &[u16]) -> &[i16] {
    // SAFETY: both types have one size and alignment, and every word is a value of either.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

/// Methods that are one expression of intrinsics each.
macro_rules! operations {
    ($(fn $name:ident $(<const $by:ident: u32>)? ($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)+) => {$(
        #[inline(always)]
        fn $name $(<const $by: u32>)? (self, $($arg: $ty),*) -> $ret {
            // SAFETY: the token exists only where these instructions may run, and the expression
            // touches registers alone, or an array of the length of a register.
            unsafe { $body }
        }
    )+};
}

/// The `N` values from `at` on.
#[inline(always)]
fn window<T, const N: usize>(from: &[T], at: usize) -> *const T {
    from[at..at + N].as_ptr()
}

/// Room for the `N` values from `at` on.
#[inline(always)]
fn window_mut<T, const N: usize>(to: &mut [T], at: usize) -> *mut T {
    to[at..at + N].as_mut_ptr()
}

impl Lanes for Avx2 {
    type V = __m256i;
    const WORDS: usize = 16;

    operations! {
        fn load_words(from: &[i16], at: usize) -> __m256i = _mm256_loadu_si256(window::<_, 16>(from, at).cast());
        fn load_bytes(from: &[u8], at: usize) -> __m256i = _mm256_cvtepu8_epi16(_mm_loadu_si128(window::<_, 16>(from, at).cast()));
        fn load_spaced_words(from: &[i16], at: usize, step: usize) -> __m256i = _mm256_loadu2_m128i(window::<_, 8>(from, at + step).cast(), window::<_, 8>(from, at).cast());
        fn load_ints(from: &[i32], at: usize) -> __m256i = _mm256_loadu_si256(window::<_, 8>(from, at).cast());
        fn load_words_as_ints(from: &[i16], at: usize) -> __m256i = _mm256_cvtepi16_epi32(_mm_loadu_si128(window::<_, 8>(from, at).cast()));
        fn load_unsigned_as_ints(from: &[i16], at: usize) -> __m256i = _mm256_cvtepu16_epi32(_mm_loadu_si128(window::<_, 8>(from, at).cast()));
        fn store_words(to: &mut [i16], at: usize, value: __m256i) -> () = _mm256_storeu_si256(window_mut::<_, 16>(to, at).cast(), value);
        fn store_ints(to: &mut [i32], at: usize, value: __m256i) -> () = _mm256_storeu_si256(window_mut::<_, 8>(to, at).cast(), value);
        fn splat_word(value: i16) -> __m256i = _mm256_set1_epi16(value);
        fn splat_int(value: i32) -> __m256i = _mm256_set1_epi32(value);
        fn splat_long(value: i64) -> __m256i = _mm256_set1_epi64x(value);
        fn splat_float(value: f32) -> __m256i = _mm256_castps_si256(_mm256_set1_ps(value));
        fn add_words(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16(a, b);
        fn sub_words(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi16(a, b);
        fn min_words(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epi16(a, b);
        fn max_words(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi16(a, b);
        fn abs_words(a: __m256i) -> __m256i = _mm256_abs_epi16(a);
        fn mul_words(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi16(a, b);
        fn mul_high_words(a: __m256i, b: __m256i) -> __m256i = _mm256_mulhi_epi16(a, b);
        fn mul_rounded_words(a: __m256i, b: __m256i) -> __m256i = _mm256_mulhrs_epi16(a, b);
        fn equal_words(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpeq_epi16(a, b);
        fn signs_of_words(a: __m256i) -> __m256i = _mm256_srli_epi16::<15>(a);
        fn halve_words(a: __m256i) -> __m256i = _mm256_srai_epi16::<1>(a);
        fn any_greater_words(a: __m256i, b: __m256i) -> bool = _mm256_movemask_epi8(_mm256_cmpgt_epi16(a, b)) != 0;
        fn and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        fn or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
        fn xor(a: __m256i, b: __m256i) -> __m256i = _mm256_xor_si256(a, b);
        fn and_not(a: __m256i, b: __m256i) -> __m256i = _mm256_andnot_si256(a, b);
        fn choose(mask: __m256i, a: __m256i, b: __m256i) -> __m256i = _mm256_blendv_epi8(b, a, mask);
        fn any(a: __m256i) -> bool = _mm256_testz_si256(a, a) == 0;
        fn unpack_low(a: __m256i, b: __m256i) -> __m256i = _mm256_unpacklo_epi16(a, b);
        fn unpack_high(a: __m256i, b: __m256i) -> __m256i = _mm256_unpackhi_epi16(a, b);
        fn pack(a: __m256i, b: __m256i) -> __m256i = _mm256_packs_epi32(a, b);
        fn pack_unsigned(a: __m256i, b: __m256i) -> __m256i = _mm256_packus_epi32(a, b);
        fn in_order(a: __m256i) -> __m256i = _mm256_permute4x64_epi64::<0b1101_1000>(a);
        fn dot_pairs(a: __m256i, b: __m256i) -> __m256i = _mm256_madd_epi16(a, b);
        fn add_ints(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        fn sub_ints(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32(a, b);
        fn max_ints(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi32(a, b);
        fn min_ints_unsigned(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epu32(a, b);
        fn greater_ints(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpgt_epi32(a, b);
        fn mul_ints(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32(a, b);
        fn abs_ints(a: __m256i) -> __m256i = _mm256_abs_epi32(a);
        fn shift_ints(a: __m256i, count: __m256i) -> __m256i = _mm256_srav_epi32(a, count);
        fn shift_ints_unsigned(a: __m256i, count: __m256i) -> __m256i = _mm256_srlv_epi32(a, count);
        fn shift_ints_left_by(a: __m256i, count: __m256i) -> __m256i = _mm256_sllv_epi32(a, count);
        fn shift_ints_left<const BY: u32>(a: __m256i) -> __m256i = _mm256_sll_epi32(a, _mm_cvtsi32_si128(BY as i32));
        fn shift_ints_right<const BY: u32>(a: __m256i) -> __m256i = _mm256_sra_epi32(a, _mm_cvtsi32_si128(BY as i32));
        fn shift_ints_right_unsigned<const BY: u32>(a: __m256i) -> __m256i = _mm256_srl_epi32(a, _mm_cvtsi32_si128(BY as i32));
        fn floats(ints: __m256i) -> __m256i = _mm256_castps_si256(_mm256_cvtepi32_ps(ints));
        fn truncated(floats: __m256i) -> __m256i = _mm256_cvttps_epi32(_mm256_castsi256_ps(floats));
        fn add_floats(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn sub_floats(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_sub_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn mul_floats(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn div_floats(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_div_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn root_floats(a: __m256i) -> __m256i = _mm256_castps_si256(_mm256_sqrt_ps(_mm256_castsi256_ps(a)));
        fn max_floats(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_max_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn max_magnitude(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_max_ps(_mm256_castsi256_ps(_mm256_and_si256(a, _mm256_set1_epi32(i32::MAX))), _mm256_castsi256_ps(b)));
        fn plus_product(a: __m256i, b: __m256i, c: __m256i) -> __m256i = _mm256_castps_si256(_mm256_fmadd_ps(_mm256_castsi256_ps(b), _mm256_castsi256_ps(c), _mm256_castsi256_ps(a)));
        fn less_product(a: __m256i, b: __m256i, c: __m256i) -> __m256i = _mm256_castps_si256(_mm256_fnmadd_ps(_mm256_castsi256_ps(b), _mm256_castsi256_ps(c), _mm256_castsi256_ps(a)));
        fn inverse_floats(a: __m256i) -> __m256i = _mm256_castps_si256(_mm256_rcp_ps(_mm256_castsi256_ps(a)));
        fn floats_at_most(a: __m256i, b: __m256i) -> __m256i = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LE_OQ>(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        fn add_longs(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi64(a, b);
        fn mul_longs(a: __m256i, b: __m256i) -> __m256i = _mm256_mul_epi32(a, b);
        fn mul_longs_unsigned(a: __m256i, b: __m256i) -> __m256i = _mm256_mul_epu32(a, b);
        fn high_halves(a: __m256i) -> __m256i = _mm256_srli_epi64::<32>(a);
        fn halves(low: __m256i, high: __m256i) -> __m256i = _mm256_blend_epi32::<0b1010_1010>(low, high);
        fn shift_longs_left<const BY: u32>(a: __m256i) -> __m256i = _mm256_sll_epi64(a, _mm_cvtsi32_si128(BY as i32));
        fn shift_longs_right<const BY: u32>(a: __m256i) -> __m256i = _mm256_srl_epi64(a, _mm_cvtsi32_si128(BY as i32));
        fn shift_longs(a: __m256i, count: __m256i) -> __m256i = _mm256_srlv_epi64(a, count);
        fn sum_longs(a: __m256i) -> i64 = {
            let halves = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            _mm_cvtsi128_si64(halves).wrapping_add(_mm_extract_epi64::<1>(halves))
        };
    }
}

impl Lanes for Avx512 {
    type V = __m512i;
    const WORDS: usize = 32;

    operations! {
        fn load_words(from: &[i16], at: usize) -> __m512i = _mm512_loadu_si512(window::<_, 32>(from, at).cast());
        fn load_bytes(from: &[u8], at: usize) -> __m512i = _mm512_cvtepu8_epi16(_mm256_loadu_si256(window::<_, 32>(from, at).cast()));
        fn load_spaced_words(from: &[i16], at: usize, step: usize) -> __m512i = {
            let first = _mm_loadu_si128(window::<_, 8>(from, at).cast());
            let second = _mm_loadu_si128(window::<_, 8>(from, at + step).cast());
            let third = _mm_loadu_si128(window::<_, 8>(from, at + 2 * step).cast());
            let fourth = _mm_loadu_si128(window::<_, 8>(from, at + 3 * step).cast());
            let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(first), second);
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, third), fourth)
        };
        fn load_ints(from: &[i32], at: usize) -> __m512i = _mm512_loadu_si512(window::<_, 16>(from, at).cast());
        fn load_words_as_ints(from: &[i16], at: usize) -> __m512i = _mm512_cvtepi16_epi32(_mm256_loadu_si256(window::<_, 16>(from, at).cast()));
        fn load_unsigned_as_ints(from: &[i16], at: usize) -> __m512i = _mm512_cvtepu16_epi32(_mm256_loadu_si256(window::<_, 16>(from, at).cast()));
        fn store_words(to: &mut [i16], at: usize, value: __m512i) -> () = _mm512_storeu_si512(window_mut::<_, 32>(to, at).cast(), value);
        fn store_ints(to: &mut [i32], at: usize, value: __m512i) -> () = _mm512_storeu_si512(window_mut::<_, 16>(to, at).cast(), value);
        fn splat_word(value: i16) -> __m512i = _mm512_set1_epi16(value);
        fn splat_int(value: i32) -> __m512i = _mm512_set1_epi32(value);
        fn splat_long(value: i64) -> __m512i = _mm512_set1_epi64(value);
        fn splat_float(value: f32) -> __m512i = _mm512_castps_si512(_mm512_set1_ps(value));
        fn add_words(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi16(a, b);
        fn sub_words(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi16(a, b);
        fn min_words(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epi16(a, b);
        fn max_words(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi16(a, b);
        fn abs_words(a: __m512i) -> __m512i = _mm512_abs_epi16(a);
        fn mul_words(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi16(a, b);
        fn mul_high_words(a: __m512i, b: __m512i) -> __m512i = _mm512_mulhi_epi16(a, b);
        fn mul_rounded_words(a: __m512i, b: __m512i) -> __m512i = _mm512_mulhrs_epi16(a, b);
        fn equal_words(a: __m512i, b: __m512i) -> __m512i = _mm512_movm_epi16(_mm512_cmpeq_epi16_mask(a, b));
        fn signs_of_words(a: __m512i) -> __m512i = _mm512_srli_epi16::<15>(a);
        fn halve_words(a: __m512i) -> __m512i = _mm512_srai_epi16::<1>(a);
        fn any_greater_words(a: __m512i, b: __m512i) -> bool = _mm512_cmpgt_epi16_mask(a, b) != 0;
        fn and(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        fn or(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        fn xor(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        fn and_not(a: __m512i, b: __m512i) -> __m512i = _mm512_andnot_si512(a, b);
        fn choose(mask: __m512i, a: __m512i, b: __m512i) -> __m512i = _mm512_ternarylogic_epi64::<0b1100_1010>(mask, a, b);
        fn any(a: __m512i) -> bool = _mm512_test_epi32_mask(a, a) != 0;
        fn unpack_low(a: __m512i, b: __m512i) -> __m512i = _mm512_unpacklo_epi16(a, b);
        fn unpack_high(a: __m512i, b: __m512i) -> __m512i = _mm512_unpackhi_epi16(a, b);
        fn pack(a: __m512i, b: __m512i) -> __m512i = _mm512_packs_epi32(a, b);
        fn pack_unsigned(a: __m512i, b: __m512i) -> __m512i = _mm512_packus_epi32(a, b);
        fn in_order(a: __m512i) -> __m512i = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), a);
        fn dot_pairs(a: __m512i, b: __m512i) -> __m512i = _mm512_madd_epi16(a, b);
        fn add_ints(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        fn sub_ints(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        fn max_ints(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi32(a, b);
        fn min_ints_unsigned(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epu32(a, b);
        fn greater_ints(a: __m512i, b: __m512i) -> __m512i = _mm512_movm_epi32(_mm512_cmpgt_epi32_mask(a, b));
        fn mul_ints(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        fn abs_ints(a: __m512i) -> __m512i = _mm512_abs_epi32(a);
        fn shift_ints(a: __m512i, count: __m512i) -> __m512i = _mm512_srav_epi32(a, count);
        fn shift_ints_unsigned(a: __m512i, count: __m512i) -> __m512i = _mm512_srlv_epi32(a, count);
        fn shift_ints_left_by(a: __m512i, count: __m512i) -> __m512i = _mm512_sllv_epi32(a, count);
        fn shift_ints_left<const BY: u32>(a: __m512i) -> __m512i = _mm512_slli_epi32::<BY>(a);
        fn shift_ints_right<const BY: u32>(a: __m512i) -> __m512i = _mm512_srai_epi32::<BY>(a);
        fn shift_ints_right_unsigned<const BY: u32>(a: __m512i) -> __m512i = _mm512_srli_epi32::<BY>(a);
        fn floats(ints: __m512i) -> __m512i = _mm512_castps_si512(_mm512_cvtepi32_ps(ints));
        fn truncated(floats: __m512i) -> __m512i = _mm512_cvttps_epi32(_mm512_castsi512_ps(floats));
        fn add_floats(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn sub_floats(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn mul_floats(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn div_floats(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_div_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn root_floats(a: __m512i) -> __m512i = _mm512_castps_si512(_mm512_sqrt_ps(_mm512_castsi512_ps(a)));
        fn max_floats(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn max_magnitude(a: __m512i, b: __m512i) -> __m512i = _mm512_castps_si512(_mm512_range_ps::<0b1011>(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn plus_product(a: __m512i, b: __m512i, c: __m512i) -> __m512i = _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(b), _mm512_castsi512_ps(c), _mm512_castsi512_ps(a)));
        fn less_product(a: __m512i, b: __m512i, c: __m512i) -> __m512i = _mm512_castps_si512(_mm512_fnmadd_ps(_mm512_castsi512_ps(b), _mm512_castsi512_ps(c), _mm512_castsi512_ps(a)));
        fn inverse_floats(a: __m512i) -> __m512i = _mm512_castps_si512(_mm512_rcp14_ps(_mm512_castsi512_ps(a)));
        fn floats_at_most(a: __m512i, b: __m512i) -> __m512i = _mm512_movm_epi32(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        fn add_longs(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi64(a, b);
        fn mul_longs(a: __m512i, b: __m512i) -> __m512i = _mm512_mul_epi32(a, b);
        fn mul_longs_unsigned(a: __m512i, b: __m512i) -> __m512i = _mm512_mul_epu32(a, b);
        fn high_halves(a: __m512i) -> __m512i = _mm512_srli_epi64::<32>(a);
        fn halves(low: __m512i, high: __m512i) -> __m512i = _mm512_mask_blend_epi32(0b1010_1010_1010_1010, low, high);
        fn shift_longs_left<const BY: u32>(a: __m512i) -> __m512i = _mm512_slli_epi64::<BY>(a);
        fn shift_longs_right<const BY: u32>(a: __m512i) -> __m512i = _mm512_srli_epi64::<BY>(a);
        fn shift_longs(a: __m512i, count: __m512i) -> __m512i = _mm512_srlv_epi64(a, count);
        fn sum_longs(a: __m512i) -> i64 = _mm512_reduce_add_epi64(a);
    }
}
