//! The vector operations of the window, once for each instruction set.
//!
//! What uses them is one body, generic over [`Lanes`]; here each operation has a twin for each
//! instruction set. As with VIF's kit, users must be `#[inline(always)]` all the way up to where
//! the instruction set is entered, and hold no vector in a closure.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(test)]
pub(super) use self::plain::Plain;

/// Fractional bits of the low sum that [`Lanes::nearest`] takes.
pub(super) const FRACTION_BITS: u32 = 5;

/// Operations on vectors. Sums and differences of words wrap.
pub(super) trait Lanes: Copy {
    /// 32-bit floats.
    type Floats: Copy;
    /// 32-bit words, as many.
    type Words: Copy;
    /// 64-bit floats, as many.
    type Doubles: Copy;

    /// Lanes of a vector; a power of two from 4 to 16.
    const LANES: usize;
    /// What 1 in the result of [`Lanes::nearest`] counts.
    const UNIT: f32;

    /// The first lanes of a run.
    fn load(self, run: &[f32]) -> Self::Floats;
    /// Writes the first lanes of a run.
    fn store(self, lanes: Self::Floats, run: &mut [f32]);
    /// The lanes of even places and those of odd places of two vectors one after the other.
    fn part(self, a: Self::Floats, b: Self::Floats) -> [Self::Floats; 2];
    /// One value in every lane.
    fn splat(self, value: f32) -> Self::Floats;
    /// `a * b`, rounded.
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a + b`, rounded.
    fn add_floats(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a - b`, rounded.
    fn sub_floats(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a / b`, rounded.
    fn div_floats(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The root, rounded.
    fn sqrt(self, a: Self::Floats) -> Self::Floats;
    /// The larger of `a` and 0, a zero of either sign.
    fn not_negative(self, a: Self::Floats) -> Self::Floats;
    /// 0 where `a < 0` and `b <= 0`, else `a`.
    fn zero_if_negative_beside(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// Writes the first lanes of a run.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for sums of vectors"))]
    fn store_words(self, lanes: Self::Words, run: &mut [u32]);
    /// One value in every lane.
    fn splat_word(self, value: u32) -> Self::Words;
    /// `a + b`.
    fn add(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - b`.
    fn sub(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a & b`.
    fn and(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a | b`.
    fn or(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The smaller of both as signed numbers.
    fn min(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The larger of both as signed numbers.
    fn max(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The least of all lanes as signed numbers.
    fn least(self, a: Self::Words) -> u32;
    /// The largest of all lanes as signed numbers.
    fn most(self, a: Self::Words) -> u32;
    /// Whether in every lane `a >= b` as signed numbers, or `c` is 0.
    fn all_reach(self, a: Self::Words, b: Self::Words, c: Self::Words) -> bool;

    /// Bits of these floats.
    fn bits(self, a: Self::Floats) -> Self::Words;
    /// Floats of these bits.
    fn floats(self, bits: Self::Words) -> Self::Floats;
    /// Floats that are whole and from 0 to below 2^31, as words.
    fn integers(self, a: Self::Floats) -> Self::Words;
    /// `high + low / 2^FRACTION_BITS` of unsigned numbers, whose sum is 0 or from 2^26 to below
    /// 2^32, rounded to the nearest float, ties to even, and divided by [`Lanes::UNIT`].
    fn nearest(self, high: Self::Words, low: Self::Words) -> Self::Floats;

    /// The same values in doubles.
    fn widen(self, a: Self::Floats) -> Self::Doubles;
    /// `a + b`, rounded.
    fn add_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a * b`, rounded.
    fn mul_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a / b`, rounded, where `b` is a float's value and all three are normal, far from the limits.
    fn div_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a * b + c`, rounded once or twice: only for what does not depend on that.
    fn mul_add_doubles(self, a: Self::Doubles, b: Self::Doubles, c: Self::Doubles)
    -> Self::Doubles;
    /// The magnitude.
    fn abs_doubles(self, a: Self::Doubles) -> Self::Doubles;
    /// One value in every lane.
    fn splat_double(self, value: f64) -> Self::Doubles;
    /// The first lanes of a run.
    fn load_doubles(self, run: &[f64]) -> Self::Doubles;
    /// The first lanes of a run in doubles.
    fn load_wide(self, run: &[f32]) -> Self::Doubles;
    /// Writes the first lanes of a run.
    fn store_doubles(self, lanes: Self::Doubles, run: &mut [f64]);
    /// The sum of the bits as numbers; it wraps.
    fn add_bits(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a | (b ^ c)` of the bits.
    fn gather_differences(
        self,
        a: Self::Doubles,
        b: Self::Doubles,
        c: Self::Doubles,
    ) -> Self::Doubles;
    /// Rounded to floats.
    fn narrow(self, a: Self::Doubles) -> Self::Floats;
}

/// Loads a run that is as long as the vector, whose type the context gives.
#[cfg(target_arch = "x86_64")]
macro_rules! load_run {
    ($load:path, $run:expr, $lanes:expr) => {{
        let run = &$run[..$lanes];
        // SAFETY: `run` is as long as the vector, and its instructions may run: the value of the
        // token's type proves it.
        unsafe { $load(run.as_ptr().cast()) }
    }};
}

/// Stores to a run that is as long as the vector.
#[cfg(target_arch = "x86_64")]
macro_rules! store_run {
    ($store:path, $value:expr, $run:expr, $lanes:expr) => {{
        let run = &mut $run[..$lanes];
        // SAFETY: `run` is as long as the vector, and its instructions may run: the value of the
        // token's type proves it.
        unsafe { $store(run.as_mut_ptr().cast(), $value) }
    }};
}

/// Runs instructions that the value of a token's type proves to be there.
#[cfg(target_arch = "x86_64")]
macro_rules! proven {
    ($instructions:expr) => {{
        // SAFETY: the value of the token's type, `self`, proves that these instructions may run.
        unsafe { $instructions }
    }};
}

#[cfg(target_arch = "x86_64")]
use {load_run, proven, store_run};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::per_isa;

    #[inline(always)]
    fn divide_body(v: impl Lanes, a: &[f64; 16], b: &[f32; 16]) -> [f64; 16] {
        divide_all(v, a, b)
    }

    #[inline(always)]
    fn divide_all<V: Lanes>(v: V, a: &[f64; 16], b: &[f32; 16]) -> [f64; 16] {
        let mut quotients = [0.0; 16];
        for at in (0..16).step_by(V::LANES) {
            let quotient = v.div_doubles(v.load_doubles(&a[at..]), v.load_wide(&b[at..]));
            v.store_doubles(quotient, &mut quotients[at..]);
        }
        quotients
    }

    per_isa! {
        fn divide(a: &[f64; 16], b: &[f32; 16]) -> [f64; 16] = divide_body, with vector;
    }

    /// The double next to the middle between two quotients, times `b`: what is hardest to round.
    fn hard_dividend(quotient: f64, b: f32) -> f64 {
        let middle_times = quotient * f64::from(b);
        middle_times + f64::from(b) * quotient * f64::EPSILON / 4.0
    }

    #[test]
    fn quotients_by_floats_are_rounded_as_the_processor_rounds_them() {
        let mut state = 9_u64;
        let mut bits = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            state >> 12
        };
        let mut double = || f64::from_bits(1023 << 52 | bits());
        for case in 0..200_000 {
            let mut b = [0.0; 16];
            b.fill_with(|| match case % 4 {
                0 => f32::from_bits((double() as f32).to_bits() | 0x7f_fff0),
                1 => f32::from_bits((double() as f32).to_bits() & !0x7f_fff0),
                _ => double() as f32 * 50.0,
            });
            let a: [f64; 16] = std::array::from_fn(|at| match case % 3 {
                0 => double() * 300.0,
                1 => hard_dividend(double(), b[at]),
                _ => f64::from(b[at]) * (1.0 - double() * f64::EPSILON),
            });
            let expected: [f64; 16] = std::array::from_fn(|at| a[at] / f64::from(b[at]));
            for isa in crate::isa::every_isa() {
                let actual = divide(isa, &a, &b);
                assert_eq!(
                    actual.map(f64::to_bits),
                    expected.map(f64::to_bits),
                    "{isa} {a:?} {b:?}"
                );
            }
        }
    }
}
