//! Fixed-point binary logarithms, 2048 steps an octave, without a table.
//!
//! The definition is a table in the reference implementation: `round(log2f(i) * 2048)` for the
//! 16-bit numbers 32768 to 65535, where `log2f` rounds to the nearest f32, that is to 1/512 after
//! the multiplication; larger numbers are cut to their 16 leading bits first. So the entry is
//! `floor(2048 log2(i) + 1/2 + 1/1024)`, and no number comes nearer than 1.5e-5 to where that
//! changes.
//!
//! With `i = 2^e (1 + m / 32768)`, the part `2048 e + m / 16` is exact in integers, but for four
//! bits. What is left is at most 88 in magnitude around its middle; a polynomial of degree 9 finds
//! it to 1e-5 in f32, rounded once or twice per step. The test compares all 32768 entries.

use crate::isa::Vector;

/// Steps per octave.
pub(super) const OCTAVE: u32 = 2048;

/// Middle of what the polynomial adds, kept out of it for precision.
const MIDDLE: u32 = 88;

/// `2048 (log2(1.5 + u) - 0.5 - u) - MIDDLE + 1/1024` for u in [-1/2, 1/2), u^0 first.
const POLYNOMIAL: [f32; 10] = [
    86.004_166,
    -39.120_163 * 2.0,
    -164.146_01 * 4.0,
    36.476_6 * 8.0,
    -9.124_226 * 16.0,
    2.434_171_7 * 32.0,
    -0.661_947_37 * 64.0,
    0.187_734_5 * 128.0,
    -0.070_997_57 * 256.0,
    0.021_655_569 * 512.0,
];

/// Adding this rounds an f32 of small magnitude to the nearest integer, found in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Exponent (biased by 1023) and 15 leading fraction bits of a whole number below 2^52.
#[inline(always)]
pub(super) fn key(value: f64) -> u32 {
    (value.to_bits() >> 37) as u32
}

/// The logarithm of the number that `key` came from, plus [`BIAS_STEPS`].
#[inline(always)]
pub(super) fn log2_steps(vector: impl Vector, key: u32) -> u32 {
    let u = f32::from_bits((key & 0x7FFF) << 8 | 0x3F80_0000) - 1.5;
    let mut rest = POLYNOMIAL[9];
    for degree in (0..9).rev() {
        rest = vector.mul_add(rest, u, POLYNOMIAL[degree]);
    }
    let sixteenths = (key & 15) as i32 as f32;
    let rounded = vector.mul_add(sixteenths, 1.0 / 16.0, rest) + ROUNDER;
    let rounded = rounded.to_bits().wrapping_sub(ROUNDER.to_bits());
    (key >> 4).wrapping_add(rounded).wrapping_add(MIDDLE)
}

/// What [`log2_steps`] is too large by, from the exponent's bias.
pub(super) const BIAS_STEPS: u32 = 1023 * OCTAVE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Portable, per_isa};

    #[inline(always)]
    fn all_steps(vector: impl Vector, first: u32, steps: &mut [u32]) {
        for (offset, steps) in steps.iter_mut().enumerate() {
            let number = f64::from(first + offset as u32);
            *steps = log2_steps(vector, key(number)).wrapping_sub(BIAS_STEPS);
        }
    }

    per_isa! {
        fn all_steps_on(first: u32, steps: &mut [u32]) = all_steps, with vector;
    }

    #[test]
    fn every_entry_of_the_defining_table_is_met_on_every_instruction_set() {
        let expected: Vec<u32> = (32_768..65_536_u32)
            .map(|i| (f64::from(i).log2() as f32 * 2048.0).round() as u32)
            .collect();
        for isa in Isa::available() {
            let mut steps = vec![0; expected.len()];
            all_steps_on(isa, 32_768, &mut steps);
            assert_eq!(steps, expected, "{isa}");
        }
        let mut separate = vec![0; expected.len()];
        all_steps(Portable, 32_768, &mut separate);
        assert_eq!(separate, expected);
    }

    #[test]
    fn larger_numbers_are_cut_to_sixteen_leading_bits() {
        let steps = |number: f64| log2_steps(Portable, key(number)) - BIAS_STEPS;
        assert_eq!(steps(131_072.0), 17 * OCTAVE);
        assert_eq!(steps(131_075.0), 17 * OCTAVE);
        assert_eq!(steps(4_294_967_295.0), steps(65_535.0) + 16 * OCTAVE);
    }
}
