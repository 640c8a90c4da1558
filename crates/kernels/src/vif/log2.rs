//! Fixed-point binary logarithms, 2048 steps an octave, without a table.
//!
//! The definition is a table in the reference implementation: `round(log2f(i) * 2048)` for the
//! 16-bit numbers 32768 to 65535, where `log2f` rounds to the nearest f32, that is to 1/512 after
//! the multiplication; larger numbers are cut to their 16 leading bits first. So the entry is
//! `floor(2048 log2(i) + 1/2 + 1/1024)`, and no number comes nearer than 1.5e-5 to where that
//! changes.
//!
//! The bits of the float `2^e (1 + m / 32768)`, without those of lower value, are the number
//! `32768 e + m`, exactly 16 times the linear part of the logarithm, `2048 e + m / 16`. What is
//! left is at most 88 in magnitude around its middle; a polynomial of degree 9 finds sixteen times
//! it to 16 * 1e-5 in f32, rounded once or twice per step. A sixteenth of the sum of both, without
//! its fraction, is the logarithm: the rounding of the polynomial to a whole number moves the sum
//! past a multiple of 16 only where the exact one passes it. The test compares all 32768 entries.

use super::kit::Kit;

/// Steps per octave.
pub(super) const OCTAVE: u32 = 2048;

/// Middle of what the polynomial adds, kept out of it for precision.
const MIDDLE: u32 = 88;

/// `16 (2048 (log2(1.5 + u) - 0.5 - u) - MIDDLE + 1/1024 + 1/2) - 1/2` for u in [-1/2, 1/2), u^0
/// first; the last half is what rounding to the nearest has and cutting has not.
const POLYNOMIAL: [f32; 10] = [
    86.004_166 * 16.0 + 7.5,
    -39.120_163 * 32.0,
    -164.146_01 * 64.0,
    36.476_6 * 128.0,
    -9.124_226 * 256.0,
    2.434_171_7 * 512.0,
    -0.661_947_37 * 1024.0,
    0.187_734_5 * 2048.0,
    -0.070_997_57 * 4096.0,
    0.021_655_569 * 8192.0,
];

/// Adding this rounds an f32 of small magnitude to the nearest integer, found in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// The logarithms of positive signed numbers, plus [`BIAS_STEPS`].
#[inline(always)]
pub(super) fn log2_steps<K: Kit>(kit: K, numbers: K::Words) -> K::Words {
    let bits = kit.leading_bits(numbers);
    let fraction = kit.and(bits, kit.splat(0x7F_FF00));
    let u = kit.floats(kit.or(fraction, kit.splat(0x3F80_0000)));
    let u = kit.add_floats(u, kit.splat_float(-1.5));
    let mut rest = kit.splat_float(POLYNOMIAL[9]);
    for degree in (0..9).rev() {
        rest = kit.mul_add_floats(rest, u, kit.splat_float(POLYNOMIAL[degree]));
    }
    let rounded = kit.float_bits(kit.add_floats(rest, kit.splat_float(ROUNDER)));
    let middle = kit.splat((16 * MIDDLE).wrapping_sub(ROUNDER.to_bits()));
    kit.shr::<4>(kit.add(kit.shr::<8>(bits), kit.add(rounded, middle)))
}

/// What [`log2_steps`] is too large by, from the exponent's bias.
pub(super) const BIAS_STEPS: u32 = 127 * OCTAVE;

#[cfg(test)]
mod tests {
    use super::super::kit::Plain;
    use super::*;
    use crate::isa::{Isa, per_isa_and_vnni};

    #[inline(always)]
    fn all_steps<K: Kit>(kit: K, numbers: &[u32], steps: &mut [u32]) {
        let runs = numbers.chunks_exact(K::LANES).zip(steps.chunks_exact_mut(K::LANES));
        for (numbers, steps) in runs {
            let biased = log2_steps(kit, kit.load(numbers));
            kit.store(kit.sub(biased, kit.splat(BIAS_STEPS)), steps);
        }
    }

    per_isa_and_vnni! {
        fn all_steps_on(numbers: &[u32], steps: &mut [u32]) = all_steps, with vector;
    }

    /// The logarithms of `numbers`, which every kit of this machine agrees on.
    fn steps_of(numbers: &[u32]) -> Vec<u32> {
        let mut expected = vec![0; numbers.len()];
        all_steps(Plain, numbers, &mut expected);
        for isa in Isa::available() {
            let mut steps = vec![0; numbers.len()];
            all_steps_on(isa, numbers, &mut steps);
            assert_eq!(steps, expected, "{isa}");
        }
        expected
    }

    fn table(number: u32) -> u32 {
        (f64::from(number).log2() as f32 * 2048.0).round() as u32
    }

    #[test]
    fn every_entry_of_the_defining_table_is_met_on_every_instruction_set() {
        let numbers: Vec<u32> = (32_768..65_536).collect();
        let expected: Vec<u32> = numbers.iter().map(|number| table(*number)).collect();
        assert_eq!(steps_of(&numbers), expected);
    }

    #[test]
    fn larger_numbers_are_cut_to_sixteen_leading_bits() {
        for shift in 1..=15 {
            let (below, above) = ((1_u32 << shift) - 1, 1 << shift);
            let numbers: Vec<u32> = (32_768..65_536_u32)
                .step_by(61)
                .flat_map(|leading| {
                    let number = leading << shift;
                    [number, number | below, number | above >> 1, number | below & 0xAAAA]
                })
                .collect();
            let numbers = &numbers[..numbers.len() / 16 * 16];
            let expected: Vec<u32> =
                numbers.iter().map(|number| table(number >> shift) + OCTAVE * shift).collect();
            assert_eq!(steps_of(numbers), expected, "shifted by {shift}");
        }
    }
}
