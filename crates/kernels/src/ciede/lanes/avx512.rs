//! Groups of four registers in AVX-512.
//!
//! Roots and quotients come from estimates of 14 bits and multiplications: the unit that divides takes
//! 16 to 24 cycles for a register, and there are a dozen for each.

use std::arch::x86_64::*;

use super::Lanes;
use crate::ciede::fast::CHUNK;
use crate::ciede::functions::{FAR, OFF};
use crate::isa::Avx512;

/// Registers of a group.
const REGISTERS: usize = 4;
/// Numbers in a register.
const IN_REGISTER: usize = 8;

/// Does the same with each register of groups.
macro_rules! each {
    (|$($group:ident),+| $instructions:expr) => {
        [
            each!(0, |$($group),+| $instructions),
            each!(1, |$($group),+| $instructions),
            each!(2, |$($group),+| $instructions),
            each!(3, |$($group),+| $instructions),
        ]
    };
    ($register:literal, |$($group:ident),+| $instructions:expr) => {{
        $(let $group = $group[$register];)+
        // SAFETY: the value of the token's type, `self`, proves that these instructions may run. Where
        // they read or write memory, it is within a run whose length was checked.
        unsafe { $instructions }
    }};
}

impl Lanes for Avx512 {
    type Group = [__m512d; REGISTERS];
    type Mask = [__mmask8; REGISTERS];
    const LANES: usize = REGISTERS * IN_REGISTER;

    #[inline(always)]
    fn load(self, run: &[f64; CHUNK], at: usize) -> Self::Group {
        let run = &run[at..at + Self::LANES];
        let place = [0, 1, 2, 3];
        each!(|place| _mm512_loadu_pd(run.as_ptr().add(place * IN_REGISTER)))
    }

    #[inline(always)]
    fn load_single(self, run: &[f32; CHUNK], at: usize) -> Self::Group {
        let run = &run[at..at + Self::LANES];
        let place = [0, 1, 2, 3];
        each!(|place| _mm512_cvtps_pd(_mm256_loadu_ps(run.as_ptr().add(place * IN_REGISTER))))
    }

    #[inline(always)]
    fn store(self, group: Self::Group, run: &mut [f64; CHUNK], at: usize) {
        let run = &mut run[at..at + Self::LANES];
        let place = [0, 1, 2, 3];
        each!(|place, group| {
            _mm512_storeu_pd(run.as_mut_ptr().add(place * IN_REGISTER), group);
        });
    }

    #[inline(always)]
    fn store_single(self, group: Self::Group, run: &mut [f32; CHUNK], at: usize) {
        let run = &mut run[at..at + Self::LANES];
        let place = [0, 1, 2, 3];
        each!(|place, group| {
            let to = run.as_mut_ptr().add(place * IN_REGISTER);
            _mm256_storeu_ps(to, _mm512_cvtpd_ps(group));
        });
    }

    #[inline(always)]
    fn mark_doubtful(self, group: Self::Group, doubts: &mut [u32; CHUNK], at: usize) {
        let doubts = &mut doubts[at..at + Self::LANES];
        let place = [0, 1, 2, 3];
        each!(|place, group| {
            let shift = _mm512_set1_epi64((OFF as i64).wrapping_sub(1 << 28));
            let beyond = _mm512_add_epi64(_mm512_castpd_si512(group), shift);
            let near = _mm512_testn_epi64_mask(beyond, _mm512_set1_epi64(FAR as i64));
            let to = doubts.as_mut_ptr().add(place * IN_REGISTER).cast();
            _mm256_mask_storeu_epi32(to, near, _mm256_set1_epi32(1));
        });
    }

    #[inline(always)]
    fn splat(self, value: f64) -> Self::Group {
        let value = [value; REGISTERS];
        each!(|value| _mm512_set1_pd(value))
    }

    #[inline(always)]
    fn add(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_add_pd(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_sub_pd(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_mul_pd(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Group, b: Self::Group, c: Self::Group) -> Self::Group {
        each!(|a, b, c| _mm512_fmadd_pd(a, b, c))
    }

    #[inline(always)]
    fn mul_sub_from(self, a: Self::Group, b: Self::Group, c: Self::Group) -> Self::Group {
        each!(|a, b, c| _mm512_fnmadd_pd(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_max_pd(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_min_pd(a, b))
    }

    #[inline(always)]
    fn abs(self, a: Self::Group) -> Self::Group {
        each!(|a| _mm512_abs_pd(a))
    }

    #[inline(always)]
    fn greater(self, a: Self::Group, b: Self::Group) -> Self::Mask {
        each!(|a, b| _mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, mask: Self::Mask, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|mask, a, b| _mm512_mask_mov_pd(b, mask, a))
    }

    #[inline(always)]
    fn signed_as(self, a: Self::Group, b: Self::Group) -> Self::Group {
        let sign = self.splat(-0.0);
        each!(|a, b, sign| _mm512_or_pd(a, _mm512_and_pd(b, sign)))
    }

    #[inline(always)]
    fn negated_if_odd(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| {
            let sign = _mm512_slli_epi64::<63>(_mm512_castpd_si512(b));
            _mm512_xor_pd(a, _mm512_castsi512_pd(sign))
        })
    }

    #[inline(always)]
    fn is_odd(self, a: Self::Group) -> Self::Mask {
        each!(|a| _mm512_test_epi64_mask(_mm512_castpd_si512(a), _mm512_set1_epi64(1)))
    }

    #[inline(always)]
    fn sub_bits(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| {
            let bits = _mm512_sub_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b));
            _mm512_castsi512_pd(bits)
        })
    }

    #[inline(always)]
    fn and_bits(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| _mm512_and_pd(a, b))
    }

    #[inline(always)]
    fn shift_bits_right<const BITS: u32>(self, a: Self::Group) -> Self::Group {
        each!(|a| _mm512_castsi512_pd(_mm512_srli_epi64::<BITS>(_mm512_castpd_si512(a))))
    }

    #[inline(always)]
    fn add_bits_shifted_left<const BITS: u32>(self, a: Self::Group, b: Self::Group) -> Self::Group {
        each!(|a, b| {
            let shifted = _mm512_slli_epi64::<BITS>(_mm512_castpd_si512(b));
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), shifted))
        })
    }

    #[inline(always)]
    fn top_bits_as_number(self, a: Self::Group) -> Self::Group {
        each!(|a| _mm512_cvtepi64_pd(_mm512_srai_epi64::<52>(_mm512_castpd_si512(a))))
    }

    #[inline(always)]
    fn look_up(self, table: &[f64; 16], place: Self::Group) -> Self::Group {
        each!(|place| {
            let low = _mm512_loadu_pd(table.as_ptr());
            let high = _mm512_loadu_pd(table.as_ptr().add(IN_REGISTER));
            _mm512_permutex2var_pd(low, _mm512_castpd_si512(place), high)
        })
    }

    #[inline(always)]
    fn guess(self, x: Self::Group, share: f64, offset: f64) -> Self::Group {
        /// Units of the exponent in bits.
        const EXPONENT: f64 = (1_u64 << 52) as f64;
        let (share, offset) = (self.splat(share), self.splat(offset * EXPONENT));
        each!(|x, share, offset| {
            let logarithm = _mm512_cvtepi64_pd(_mm512_castpd_si512(x));
            let result = _mm512_fnmadd_pd(logarithm, share, offset);
            _mm512_castsi512_pd(_mm512_cvtpd_epi64(result))
        })
    }

    /// An estimate of `1 / b` is right to 2^-14, after one step of Newton's to 2^-27.9. The first
    /// quotient errs by no more, and what remains, divided by the same, leaves 2^-53.
    #[inline(always)]
    fn quotient(self, a: Self::Group, b: Self::Group) -> Self::Group {
        let estimate = each!(|b| _mm512_rcp14_pd(b));
        let error = self.mul_sub_from(b, estimate, self.splat(1.0));
        let reciprocal = self.mul_add(estimate, error, estimate);
        let quotient = self.mul(a, reciprocal);
        let remainder = self.mul_sub_from(quotient, b, a);
        self.mul_add(remainder, reciprocal, quotient)
    }

    #[inline(always)]
    fn inverse_root(self, x: Self::Group) -> Self::Group {
        let (root, half_inverse) = roots(self, x);
        // Half of what is missing of 1, twice the half of the inverse.
        let missing = self.mul_sub_from(root, half_inverse, self.splat(0.5));
        let inverse = self.add(half_inverse, half_inverse);
        self.mul_add(inverse, missing, inverse)
    }

    #[inline(always)]
    fn root(self, x: Self::Group) -> Self::Group {
        let (root, half_inverse) = roots(self, x);
        let remainder = self.mul_sub_from(root, root, x);
        self.mul_add(remainder, half_inverse, root)
    }

    /// One step more than [`Lanes::root`]. That is off by a unit of the last place of `f64`, `u`, at
    /// most, and its remainder is exact but for 2^-53, so this is off by `2^-27 u` before it is rounded.
    ///
    /// Only where `f64` rounds to the middle `m` between two `f32`, or to a neighbour of `m`, can that
    /// matter. `m` has 25 bits and its square 50, so `x` is either `m^2`, whose root `m` is then given,
    /// or off by a unit of its own last place at least: then `sqrt(x)` is off from `m` by some
    /// multiple of `u / (2 m)`, with `m` from 1 to the root of 2, or of `u / m`, up to 2. `m` is odd in
    /// its 25th bit, hence at least 2^-24 away from 1, the root of 2 and 2; so those multiples are at
    /// least `2^-26 u` away from half of `u`, where the rounding to `f64` changes.
    #[inline(always)]
    fn root_for_single(self, x: Self::Group) -> Self::Group {
        let (root, half_inverse) = roots(self, x);
        let remainder = self.mul_sub_from(root, root, x);
        let root = self.mul_add(remainder, half_inverse, root);
        let remainder = self.mul_sub_from(root, root, x);
        self.mul_add(remainder, half_inverse, root)
    }
}

/// `sqrt(x)` and half of its inverse, right to 2^-27; 0 for 0.
#[inline(always)]
fn roots(v: Avx512, x: [__m512d; REGISTERS]) -> ([__m512d; REGISTERS], [__m512d; REGISTERS]) {
    let mask = v.greater(x, v.splat(0.0));
    let estimate = each!(|mask, x| _mm512_maskz_rsqrt14_pd(mask, x));
    let half = v.mul(estimate, v.splat(0.5));
    let root = v.mul(x, estimate);
    let missing = v.mul_sub_from(root, half, v.splat(0.5));
    (v.mul_add(root, missing, root), v.mul_add(half, missing, half))
}
