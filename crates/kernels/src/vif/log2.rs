//! Fixed-point binary logarithms, 2048 steps an octave, without a table.
//!
//! The definition is a table in the reference implementation: `round(log2f(i) * 2048)` for the
//! 16-bit numbers 32768 to 65535, where `log2f` rounds to the nearest f32, that is to 1/512 after
//! the multiplication; larger numbers are cut to their 16 leading bits first. So the entry is
//! `floor(2048 log2(i) + 1/2 + 1/1024)`, and no number comes nearer than 1.5e-5 to where that
//! changes.
//!
//! The bits of the float `2^e (1 + m / 32768)`, without those of lower value, are the number
//! `32768 e + m`, exactly 16 times the linear part of the logarithm, `2048 e + m / 16`. Sixteen
//! times what is left comes from a polynomial in f32; a sixteenth of the sum of both, without its
//! fraction, is the logarithm. The rounding of the polynomial to a whole number, or to 1/256, moves
//! the sum past a multiple of 16 only where the exact one passes it.
//!
//! Where an instruction picks coefficients for each lane, the octave is in 32 pieces with a parabola
//! each, or in 8 with a cubic. As approximations they are no better than 1e-3 of a step; but a
//! piece has only 1024 or 4096 entries, and its coefficients were searched for such that each of
//! them is met: the constant term could move by 3e-3 of a sixteenth at least, mostly by 1e-2.
//! Elsewhere a polynomial of degree 9 serves, good to 1e-5, rounded once or twice per step. The
//! test compares all 32768 entries.

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

/// The float 1, whose fraction is 0.
const ONE: u32 = 0x3F80_0000;

/// In the constants of the pieces: a sum near it is rounded to 1/256, found in the low bits.
const FINE_ROUNDER: f32 = 49_152.0;

/// Coefficients of degree 0, 1 and 2 of each piece, in 1 + (the distance from its start).
const PARABOLAS: [[f32; 32]; 3] = [
    [
        11646.622, 14897.998, 18049.977, 20560.566, 22374.928, 25454.77, 28038.17, 29752.928,
        31733.54, 34549.324, 34548.14, 36799.21, 38465.64, 39591.734, 40315.867, 41753.29,
        42874.34, 44136.38, 44787.016, 45913.73, 46515.547, 47158.58, 48200.285, 48643.402,
        49491.97, 49623.85, 50067.984, 51167.957, 51079.254, 51007.727, 51871.125, 52170.07,
    ],
    [
        60527.977, 56316.473, 52141.402, 49076.145, 47244.14, 42779.914, 39181.344, 37166.51,
        34519.563, 30123.9, 31189.36, 27724.965, 25325.559, 23907.807, 23201.227, 21019.986,
        19392.377, 17419.97, 16590.633, 14762.001, 13911.437, 12921.873, 11099.867, 10404.824,
        8859.856, 8682.153, 7840.2603, 5678.511, 5804.6914, 5865.9316, 4039.9521, 3296.545,
    ],
    [
        -23014.547, -21623.768, -20213.36, -19312.371, -18987.076, -17331.326, -16079.243,
        -15575.34, -14736.163, -13012.829, -13962.138, -12660.279, -11864.409, -11534.411,
        -11537.08, -10800.501, -10322.656, -9661.482, -9551.755, -8937.663, -8794.948, -8571.971,
        -7931.911, -7836.562, -7312.331, -7453.8706, -7258.0244, -6411.8735, -6678.9663, -6911.298,
        -6203.9634, -6027.0684,
    ],
];

/// Coefficients of degree 0 to 3 of each piece, in the distance from its middle.
const CUBICS: [[f32; 8]; 4] = [
    [49978.008, 51140.11, 51775.47, 51980.082, 51825.9, 51368.17, 50650.336, 49707.12],
    [11725.76, 7041.568, 3250.6694, 118.108864, -2512.8762, -4753.708, -6685.632, -8368.222],
    [-20966.469, -16782.604, -13736.911, -11431.548, -9688.771, -8303.8955, -7197.177, -6296.07],
    [12959.526, 9500.905, 6987.671, 5533.298, 4260.2964, 3254.9116, 2635.5977, 2072.065],
];

/// Adding this rounds an f32 of small magnitude to the nearest integer, found in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// The logarithms of positive signed numbers, plus [`bias_steps`].
#[inline(always)]
pub(super) fn log2_steps<K: Kit>(kit: K, numbers: K::Words) -> K::Words {
    let bits = kit.leading_bits(numbers);
    match K::PICKS {
        32 => by_parabolas(kit, bits),
        8 => by_cubics(kit, bits),
        _ => by_one_polynomial(kit, bits),
    }
}

/// What [`log2_steps`] is too large by, from the exponent's bias and that of what is added to it.
pub(super) const fn bias_steps<K: Kit>() -> u32 {
    match K::PICKS {
        32 | 8 => 127 * OCTAVE + (FINE_ROUNDER.to_bits() >> 12),
        _ => 127 * OCTAVE,
    }
}

#[inline(always)]
fn by_one_polynomial<K: Kit>(kit: K, bits: K::Words) -> K::Words {
    let fraction = kit.and(bits, kit.splat(0x7F_FF00));
    let u = kit.floats(kit.or(fraction, kit.splat(ONE)));
    let u = kit.add_floats(u, kit.splat_float(-1.5));
    let mut rest = kit.splat_float(POLYNOMIAL[9]);
    for degree in (0..9).rev() {
        rest = kit.mul_add_floats(rest, u, kit.splat_float(POLYNOMIAL[degree]));
    }
    let rounded = kit.float_bits(kit.add_floats(rest, kit.splat_float(ROUNDER)));
    let middle = kit.splat((16 * MIDDLE).wrapping_sub(ROUNDER.to_bits()));
    kit.shr::<4>(kit.add(kit.shr::<8>(bits), kit.add(rounded, middle)))
}

/// One of 32 parabolas, in the place within its piece.
#[inline(always)]
fn by_parabolas<K: Kit>(kit: K, bits: K::Words) -> K::Words {
    let piece = kit.shr::<18>(bits);
    let place = kit.or(kit.and(bits, kit.splat(0x3_FF00)), kit.splat(ONE));
    let place = kit.floats(place);
    let rest = kit.pick(&PARABOLAS[2], piece);
    let rest = kit.mul_add_floats(rest, place, kit.pick(&PARABOLAS[1], piece));
    let rest = kit.mul_add_floats(rest, place, kit.pick(&PARABOLAS[0], piece));
    with_linear_part(kit, bits, rest)
}

/// One of 8 cubics, in the distance from the middle of its piece.
#[inline(always)]
fn by_cubics<K: Kit>(kit: K, bits: K::Words) -> K::Words {
    let piece = kit.shr::<20>(bits);
    let place = kit.or(kit.and(bits, kit.splat(0xF_FF00)), kit.splat(ONE));
    let place = kit.add_floats(kit.floats(place), kit.splat_float(-1.0625));
    let rest = kit.pick(&CUBICS[3], piece);
    let rest = kit.mul_add_floats(rest, place, kit.pick(&CUBICS[2], piece));
    let rest = kit.mul_add_floats(rest, place, kit.pick(&CUBICS[1], piece));
    let rest = kit.mul_add_floats(rest, place, kit.pick(&CUBICS[0], piece));
    with_linear_part(kit, bits, rest)
}

/// Adds what is missing, held by a float's low bits, to the linear part.
#[inline(always)]
fn with_linear_part<K: Kit>(kit: K, bits: K::Words, rest: K::Floats) -> K::Words {
    let linear = kit.and(bits, kit.splat(0xFFFF_FF00));
    kit.shr::<12>(kit.add(linear, kit.float_bits(rest)))
}

#[cfg(test)]
mod tests {
    use super::super::kit::Plain;
    use super::*;
    use crate::isa::{every_isa, per_isa_and_vnni};

    #[inline(always)]
    fn all_steps<K: Kit>(kit: K, numbers: &[u32], steps: &mut [u32]) {
        let runs = numbers.chunks_exact(K::LANES).zip(steps.chunks_exact_mut(K::LANES));
        for (numbers, steps) in runs {
            let biased = log2_steps(kit, kit.load(numbers));
            kit.store(kit.sub(biased, kit.splat(bias_steps::<K>())), steps);
        }
    }

    per_isa_and_vnni! {
        fn all_steps_on(numbers: &[u32], steps: &mut [u32]) = all_steps, with vector;
    }

    /// The logarithms of `numbers`, which every kit of this machine agrees on.
    fn steps_of(numbers: &[u32]) -> Vec<u32> {
        let mut expected = vec![0; numbers.len()];
        all_steps(Plain, numbers, &mut expected);
        for isa in every_isa() {
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
