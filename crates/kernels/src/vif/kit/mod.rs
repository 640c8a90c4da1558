//! The vector operations that VIF is written in, once for each instruction set.
//!
//! Everything above this module is one body, generic over [`Kit`]; here each operation has a twin
//! for each instruction set, an instruction or a few, and [`Plain`] says in plain code what it
//! does. A vector is a row of 32-bit lanes, also seen as twice as many 16-bit words, the even ones
//! in the low halves.
//!
//! What uses a kit must be `#[inline(always)]` all the way up to where the instruction set is
//! entered, and hold none of its values in closures: those are compiled for the baseline, with a
//! call for every operation.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(test)]
pub(super) use self::plain::Plain;

/// Operations on vectors, exact unless said otherwise.
///
/// Sums, differences and products wrap. Runs that are loaded or stored may be longer than a vector.
pub(super) trait Kit: Copy {
    /// 32-bit lanes.
    type Words: Copy;
    /// 64-bit floats, half as many.
    type Doubles: Copy;
    /// 32-bit floats, as many.
    type Floats: Copy;
    /// One truth value a lane.
    type Mask: Copy;

    /// Lanes of a vector; a power of two from 4 to 16.
    const LANES: usize;

    /// How many floats `pick` can choose from at the price of an instruction; 0 where it should not
    /// be used.
    const PICKS: usize;

    /// The first lanes of a run.
    fn load(self, run: &[u32]) -> Self::Words;
    /// The first words of a run, two a lane.
    fn load_pairs(self, run: &[u16]) -> Self::Words;
    /// Writes the first lanes of a run.
    fn store(self, lanes: Self::Words, run: &mut [u32]);
    /// Writes the high half of every lane to the start of a run.
    fn store_high(self, lanes: Self::Words, run: &mut [u16]);
    /// One value in every lane.
    fn splat(self, value: u32) -> Self::Words;

    /// `a + b`.
    fn add(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - b`.
    fn sub(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a & b`.
    fn and(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a | b`.
    fn or(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a ^ b`.
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The larger of both as signed numbers.
    fn max(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a >> COUNT` of unsigned numbers.
    fn shr<const COUNT: u32>(self, a: Self::Words) -> Self::Words;
    /// `a << count`, with `count` below 32.
    fn shl_by(self, a: Self::Words, count: u32) -> Self::Words;
    /// `a >> count` of unsigned numbers, with `count` below 32.
    fn shr_by(self, a: Self::Words, count: u32) -> Self::Words;

    /// `sum` and, in each lane, the two products of its signed words with those of `taps`.
    fn dot(self, sum: Self::Words, pairs: Self::Words, taps: Self::Words) -> Self::Words;
    /// Low halves of the products of words.
    fn mul_low(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// High halves of the products of unsigned words.
    fn mul_high(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `(a * b + 2^31) >> 32` of unsigned numbers, without overflow.
    fn mul_top(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// Low words of two vectors by turns, `a`'s first.
    fn low_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// High words of two vectors by turns, `a`'s first.
    fn high_words(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The sum of all lanes as unsigned numbers.
    fn total(self, a: Self::Words) -> u64;

    /// Lanes `from..to`, which are at most `LANES`.
    fn between(self, from: usize, to: usize) -> Self::Mask;
    /// Where `a > b` as signed numbers.
    fn greater(self, a: Self::Words, b: Self::Words) -> Self::Mask;
    /// Where both hold.
    fn both(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Where `a` holds and `b` does not.
    fn without(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Whether any lane holds.
    fn any(self, mask: Self::Mask) -> bool;
    /// How many lanes hold.
    fn count(self, mask: Self::Mask) -> u32;
    /// `a` where the mask holds, else 0.
    fn keep(self, mask: Self::Mask, a: Self::Words) -> Self::Words;

    /// Signed numbers as doubles, in two vectors.
    fn to_doubles(self, a: Self::Words) -> [Self::Doubles; 2];
    /// Doubles without their fractions, in the lanes they came from. Any number where one does not
    /// fit 32 signed bits.
    fn truncate(self, a: [Self::Doubles; 2]) -> Self::Words;
    /// Numbers from 0 on as doubles: those of the even lanes, and those of the odd ones.
    fn to_doubles_by_turns(self, a: Self::Words) -> [Self::Doubles; 2];
    /// [`WHOLE`] and the largest whole number that `a * b`, which is not negative, reaches. The
    /// product may be rounded before, and where it is within its rounding of a whole number,
    /// that may count as reached or not.
    fn whole_product(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// The numbers below 2^32 that [`WHOLE`] was added to, the first vector's in even lanes.
    fn whole_by_turns(self, a: [Self::Doubles; 2]) -> Self::Words;
    /// Whether any bit differs.
    fn any_differs(self, a: [Self::Doubles; 2], b: [Self::Doubles; 2]) -> bool;
    /// The first doubles of a run.
    fn load_doubles(self, run: &[f64]) -> Self::Doubles;
    /// Writes the first doubles of a run.
    fn store_doubles(self, lanes: Self::Doubles, run: &mut [f64]);
    /// One value in every lane.
    fn splat_double(self, value: f64) -> Self::Doubles;
    /// `a + b`, rounded.
    fn add_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a - b`, rounded.
    fn sub_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a * b`, rounded.
    fn mul_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// `a / b`, rounded.
    fn div_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// The smaller of both; `b` where they do not compare.
    fn min_doubles(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;

    /// The bits of a float that equals `a`, a positive signed number, cut to its 17 leading bits;
    /// what follows those in the float may be anything.
    fn leading_bits(self, a: Self::Words) -> Self::Words;
    /// One value in every lane.
    fn splat_float(self, value: f32) -> Self::Floats;
    /// Floats of these bits.
    fn floats(self, bits: Self::Words) -> Self::Floats;
    /// Bits of these floats.
    fn float_bits(self, a: Self::Floats) -> Self::Words;
    /// `a + b`, rounded.
    fn add_floats(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// In each lane the element of `from` that `which`, modulo their number, says.
    fn pick<const COUNT: usize>(self, from: &[f32; COUNT], which: Self::Words) -> Self::Floats;
    /// `a * b + c`, rounded once or twice: only for what does not depend on that.
    fn mul_add_floats(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
}

/// Added to a double from 0 to 2^51 it leaves no room for a fraction, and the low bits of the sum's
/// representation are those of a whole number.
pub(super) const WHOLE: f64 = 6_755_399_441_055_744.0;

/// The high half of the double 2^52, whose low half counts.
#[cfg(target_arch = "x86_64")]
const COUNTING: u32 = 0x4330_0000;

/// 2^52.
#[cfg(target_arch = "x86_64")]
const COUNTING_START: f64 = 4_503_599_627_370_496.0;

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
