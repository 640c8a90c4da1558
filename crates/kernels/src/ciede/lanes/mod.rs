//! The `f64` operations that [`super::fast`] is written in.
//!
//! Where the compiler makes vectors of plain loops as well as can be, a group is one number, and its
//! operations are those of `f64`. With AVX-512 a group is four registers that go through every step
//! side by side: a polynomial is a chain in which each operation waits for the one before, and the
//! processor looks ahead no further than three or four such chains.
//!
//! What is called near may be off by 2^-48 of itself, and differs between instruction sets. As with
//! VIF's kit, users must be `#[inline(always)]` all the way up to where the instruction set is
//! entered, and hold no group in a closure.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::fast::CHUNK;
use super::functions::doubtful;
use super::fused::{AlwaysFused, Fused};
#[cfg(target_arch = "x86_64")]
use crate::isa::Avx2;
use crate::isa::Portable;

/// Operations on groups.
pub(super) trait Lanes: Fused {
    /// Numbers that are computed together.
    type Group: Copy;
    /// A truth for each.
    type Mask: Copy;
    /// Numbers of a group, a divisor of [`CHUNK`].
    const LANES: usize;

    /// The numbers from place `at`.
    fn load(self, run: &[f64; CHUNK], at: usize) -> Self::Group;
    /// The numbers from place `at`.
    fn load_single(self, run: &[f32; CHUNK], at: usize) -> Self::Group;
    /// Writes them from place `at`.
    fn store(self, group: Self::Group, run: &mut [f64; CHUNK], at: usize);
    /// Writes them from place `at`, rounded to `f32`.
    fn store_single(self, group: Self::Group, run: &mut [f32; CHUNK], at: usize);
    /// Marks those places where the number, off by 2^-44, might be rounded to either of two `f32`.
    fn mark_doubtful(self, group: Self::Group, doubts: &mut [u32; CHUNK], at: usize);

    /// One value in every lane.
    fn splat(self, value: f64) -> Self::Group;
    /// `a + b`.
    fn add(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// `a - b`.
    fn sub(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// `a * b`.
    fn mul(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// `a * b + c`, rounded once or twice.
    fn mul_add(self, a: Self::Group, b: Self::Group, c: Self::Group) -> Self::Group;
    /// `c - a * b`, rounded once or twice.
    fn mul_sub_from(self, a: Self::Group, b: Self::Group, c: Self::Group) -> Self::Group;
    /// The larger.
    fn max(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// The smaller.
    fn min(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// The magnitude.
    fn abs(self, a: Self::Group) -> Self::Group;
    /// Whether `a > b`.
    fn greater(self, a: Self::Group, b: Self::Group) -> Self::Mask;
    /// `a` where the mask is true, else `b`.
    fn select(self, mask: Self::Mask, a: Self::Group, b: Self::Group) -> Self::Group;
    /// `a`, which is not negative, with the sign of `b`.
    fn signed_as(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// `a`, its sign changed where the lowest bit of `b` is set.
    fn negated_if_odd(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// Whether the lowest bit is set.
    fn is_odd(self, a: Self::Group) -> Self::Mask;
    /// The difference of the bits as numbers; it wraps.
    fn sub_bits(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// The bits of both.
    fn and_bits(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// The bits, so many places lower.
    fn shift_bits_right<const BITS: u32>(self, a: Self::Group) -> Self::Group;
    /// `a` and the bits of `b`, so many places higher, added as numbers; it wraps.
    fn add_bits_shifted_left<const BITS: u32>(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// The sign and the exponent's bits as a whole number with sign.
    fn top_bits_as_number(self, a: Self::Group) -> Self::Group;
    /// What stands in a table where the lowest four bits say.
    fn look_up(self, table: &[f64; 16], place: Self::Group) -> Self::Group;
    /// About `x^-share` for a positive `x`: bits are nearly logarithms. `offset` is in units of the
    /// exponent.
    fn guess(self, x: Self::Group, share: f64, offset: f64) -> Self::Group;

    /// Near `a / b`; `b` is not zero.
    fn quotient(self, a: Self::Group, b: Self::Group) -> Self::Group;
    /// Near `1 / sqrt(x)` for a positive `x`; for 0 it is finite.
    fn inverse_root(self, x: Self::Group) -> Self::Group;
    /// Near `sqrt(x)`, and 0 for 0.
    fn root(self, x: Self::Group) -> Self::Group;
    /// `sqrt(x)` such that it rounds to the same `f32` as one that is right to the last place.
    fn root_for_single(self, x: Self::Group) -> Self::Group;
}

macro_rules! one_by_one {
    ($isa:ty) => {
        impl Lanes for $isa {
            type Group = f64;
            type Mask = bool;
            const LANES: usize = 1;

            #[inline(always)]
            fn load(self, run: &[f64; CHUNK], at: usize) -> f64 {
                run[at]
            }

            #[inline(always)]
            fn load_single(self, run: &[f32; CHUNK], at: usize) -> f64 {
                f64::from(run[at])
            }

            #[inline(always)]
            fn store(self, group: f64, run: &mut [f64; CHUNK], at: usize) {
                run[at] = group;
            }

            #[inline(always)]
            fn store_single(self, group: f64, run: &mut [f32; CHUNK], at: usize) {
                run[at] = group as f32;
            }

            #[inline(always)]
            fn mark_doubtful(self, group: f64, doubts: &mut [u32; CHUNK], at: usize) {
                doubts[at] |= doubtful(group);
            }

            #[inline(always)]
            fn splat(self, value: f64) -> f64 {
                value
            }

            #[inline(always)]
            fn add(self, a: f64, b: f64) -> f64 {
                a + b
            }

            #[inline(always)]
            fn sub(self, a: f64, b: f64) -> f64 {
                a - b
            }

            #[inline(always)]
            fn mul(self, a: f64, b: f64) -> f64 {
                a * b
            }

            #[inline(always)]
            fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
                self.fma(a, b, c)
            }

            #[inline(always)]
            fn mul_sub_from(self, a: f64, b: f64, c: f64) -> f64 {
                self.fma(-a, b, c)
            }

            #[inline(always)]
            fn max(self, a: f64, b: f64) -> f64 {
                if a > b { a } else { b }
            }

            #[inline(always)]
            fn min(self, a: f64, b: f64) -> f64 {
                if a < b { a } else { b }
            }

            #[inline(always)]
            fn abs(self, a: f64) -> f64 {
                a.abs()
            }

            #[inline(always)]
            fn greater(self, a: f64, b: f64) -> bool {
                a > b
            }

            #[inline(always)]
            fn select(self, mask: bool, a: f64, b: f64) -> f64 {
                if mask { a } else { b }
            }

            #[inline(always)]
            fn signed_as(self, a: f64, b: f64) -> f64 {
                a.copysign(b)
            }

            #[inline(always)]
            fn negated_if_odd(self, a: f64, b: f64) -> f64 {
                f64::from_bits(a.to_bits() ^ (b.to_bits() << 63))
            }

            #[inline(always)]
            fn is_odd(self, a: f64) -> bool {
                a.to_bits() & 1 != 0
            }

            #[inline(always)]
            fn sub_bits(self, a: f64, b: f64) -> f64 {
                f64::from_bits(a.to_bits().wrapping_sub(b.to_bits()))
            }

            #[inline(always)]
            fn and_bits(self, a: f64, b: f64) -> f64 {
                f64::from_bits(a.to_bits() & b.to_bits())
            }

            #[inline(always)]
            fn shift_bits_right<const BITS: u32>(self, a: f64) -> f64 {
                f64::from_bits(a.to_bits() >> BITS)
            }

            #[inline(always)]
            fn add_bits_shifted_left<const BITS: u32>(self, a: f64, b: f64) -> f64 {
                f64::from_bits(a.to_bits().wrapping_add(b.to_bits() << BITS))
            }

            #[inline(always)]
            fn top_bits_as_number(self, a: f64) -> f64 {
                f64::from((a.to_bits() >> 32) as i32 >> 20)
            }

            #[inline(always)]
            fn look_up(self, table: &[f64; 16], place: f64) -> f64 {
                table[(place.to_bits() & 15) as usize]
            }

            #[inline(always)]
            fn guess(self, x: f64, share: f64, offset: f64) -> f64 {
                /// 2^52: a number below it in the low bits of this one is that number added to it.
                const WHOLE: u64 = 0x4330_0000_0000_0000;
                /// Units of the exponent in bits without the twelve lowest.
                const EXPONENT: f64 = (1_u64 << 40) as f64;
                let logarithm = f64::from_bits(x.to_bits() >> 12 | WHOLE) - f64::from_bits(WHOLE);
                let result = (offset * EXPONENT - logarithm * share) + f64::from_bits(WHOLE);
                f64::from_bits(result.to_bits() << 12)
            }

            #[inline(always)]
            fn quotient(self, a: f64, b: f64) -> f64 {
                a / b
            }

            #[inline(always)]
            fn inverse_root(self, x: f64) -> f64 {
                1.0 / if x > 0.0 { x } else { 1.0 }.sqrt()
            }

            #[inline(always)]
            fn root(self, x: f64) -> f64 {
                x.sqrt()
            }

            #[inline(always)]
            fn root_for_single(self, x: f64) -> f64 {
                x.sqrt()
            }
        }
    };
}

one_by_one!(AlwaysFused);
one_by_one!(Portable);
#[cfg(target_arch = "x86_64")]
one_by_one!(Avx2);
