//! A sum taken one value after the other, in `f64`, a block at a time.
//!
//! Every addition rounds, so that the order matters; and it is libvmaf's order, one place after the
//! other. But while the sum stays between two neighbouring powers of two, it is a multiple of one
//! unit `u` (its last place), and adding `v` adds `v` rounded to a multiple of `u`, whatever the sum
//! is, unless `v` lies midway between two multiples. Such rounded values add up exactly in any
//! order. So a block is rounded and summed at once, and where the sum might leave its range, or a
//! value lies midway, the block is added one value after the other.

use super::block::{BLOCK, Block};
use super::lanes::Lanes;

/// Blocks that are tried at once.
const AT_ONCE: usize = 8;

/// What is summed.
pub(super) trait Summand: Copy + Into<f64> {
    /// The first lanes of a run in doubles.
    fn load<V: Lanes>(v: V, run: &[Self]) -> V::Doubles;
}

impl Summand for f64 {
    #[inline(always)]
    fn load<V: Lanes>(v: V, run: &[Self]) -> V::Doubles {
        v.load_doubles(run)
    }
}

impl Summand for f32 {
    #[inline(always)]
    fn load<V: Lanes>(v: V, run: &[Self]) -> V::Doubles {
        v.load_wide(run)
    }
}

/// The sum so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct OrderedSum(f64);

impl OrderedSum {
    pub(super) fn value(self) -> f64 {
        self.0
    }

    /// Adds all values, as if one after the other.
    #[inline(always)]
    pub(super) fn add<V: Lanes>(&mut self, v: V, blocks: &[Block<impl Summand>]) {
        for blocks in blocks.chunks(AT_ONCE) {
            if !self.add_at_once(v, blocks) {
                for block in blocks {
                    if !self.add_at_once(v, std::slice::from_ref(block)) {
                        self.add_singly(block);
                    }
                }
            }
        }
    }

    /// Adds all values if their order does not matter, and says whether that was so.
    #[inline(always)]
    fn add_at_once<V: Lanes, T: Summand>(&mut self, v: V, blocks: &[Block<T>]) -> bool {
        // 1.5 * 2^52 units: adding it rounds to whole units, of either sign, and then one unit is
        // one more in its bits.
        let exponent = self.0.to_bits() & (0x7ff << 52);
        let unit = f64::from_bits(exponent) * f64::EPSILON;
        let round = f64::from_bits(exponent) * 1.5;
        let rounds = v.splat_double(round);
        let [more, less] = [1.0 + f64::EPSILON, 1.0 - f64::EPSILON].map(|one| v.splat_double(one));
        let zero = v.splat_double(0.0);
        let (mut sums, mut magnitudes, mut midway) = (zero, zero, zero);
        for Block(values) in blocks {
            for at in (0..BLOCK).step_by(V::LANES) {
                let values = T::load(v, &values[at..]);
                // A value midway rounds to another unit if it is the least bit more, or less.
                let above = v.mul_add_doubles(values, more, rounds);
                let below = v.mul_add_doubles(values, less, rounds);
                midway = v.gather_differences(midway, above, below);
                sums = v.add_bits(sums, above);
                magnitudes = v.add_doubles(magnitudes, v.abs_doubles(values));
            }
        }
        let (mut sum, mut magnitude, mut is_midway) = (0_u64, 0.0, 0_u64);
        let mut lanes = [[0.0; 16]; 3];
        v.store_doubles(sums, &mut lanes[0]);
        v.store_doubles(magnitudes, &mut lanes[1]);
        v.store_doubles(midway, &mut lanes[2]);
        for lane in 0..V::LANES {
            sum = sum.wrapping_add(lanes[0][lane].to_bits());
            magnitude += lanes[1][lane];
            is_midway |= lanes[2][lane].to_bits();
        }
        let count = blocks.len() * BLOCK;
        let units = sum.wrapping_sub(round.to_bits().wrapping_mul(count as u64)) as i64;
        // Each value may have grown by half a unit when rounded, and their sum have been rounded.
        let reach = magnitude * 1.001 + count as f64 * unit;
        let same = |value: f64| value.to_bits() & (0x7ff << 52) == exponent;
        let in_any_order = same(self.0 - reach) && same(self.0 + reach) && is_midway == 0;
        if in_any_order {
            self.0 += units as f64 * unit;
        }
        in_any_order
    }

    #[cold]
    #[inline(never)]
    fn add_singly(&mut self, Block(values): &Block<impl Summand>) {
        for value in values {
            self.0 += (*value).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::*;
    use crate::isa::per_isa;

    #[inline(always)]
    fn add_body(v: impl Lanes, sum: &mut OrderedSum, blocks: &[Block<f64>]) {
        sum.add(v, blocks);
    }

    #[inline(always)]
    fn add_floats_body(v: impl Lanes, sum: &mut OrderedSum, blocks: &[Block<f32>]) {
        sum.add(v, blocks);
    }

    per_isa! {
        fn add(sum: &mut OrderedSum, blocks: &[Block<f64>]) = add_body, with vector;
        fn add_floats(sum: &mut OrderedSum, blocks: &[Block<f32>]) = add_floats_body, with vector;
    }

    /// Numbers of 0 to 1 with `bits` random bits, from a linear congruence.
    fn values(seed: u64, bits: u32) -> impl Iterator<Item = f64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 11) >> (53 - bits)) as f64 / (1_u64 << bits) as f64
        })
    }

    fn check(values: &[f64]) {
        let mut blocks = Vec::new();
        for values in values.chunks(BLOCK) {
            let mut padded = Block([0.0; BLOCK]);
            padded.0[..values.len()].copy_from_slice(values);
            blocks.push(padded);
        }
        let expected: f64 = values.iter().fold(0.0, |sum, value| sum + value);
        let check = |sum: OrderedSum| assert_eq!(sum.value().to_bits(), expected.to_bits());
        for at_once in [1, AT_ONCE, 30] {
            let mut sum = OrderedSum::default();
            blocks.chunks(at_once).for_each(|blocks| sum.add(Plain, blocks));
            check(sum);
            for isa in crate::isa::every_isa() {
                let mut sum = OrderedSum::default();
                blocks.chunks(at_once).for_each(|blocks| add(isa, &mut sum, blocks));
                check(sum);
            }
        }
    }

    #[test]
    fn blocks_give_the_bits_of_one_addition_after_the_other() {
        for (seed, bits) in (1..=60).zip([53, 24, 30, 33, 34, 36, 41, 52, 12, 1].iter().cycle()) {
            check(&values(seed, *bits).take(40_000 + seed as usize).collect::<Vec<_>>());
        }
    }

    #[test]
    fn floats_are_summed_as_doubles() {
        for (seed, bits) in [(61, 24), (62, 20), (63, 24)] {
            let values = values(seed, bits).map(|value| value as f32 - 0.2);
            let values: Vec<f32> = values.take(40_000 / BLOCK * BLOCK).collect();
            let expected = values.iter().fold(0.0, |sum, value| sum + f64::from(*value));
            let blocks: Vec<_> = values.as_chunks().0.iter().map(|values| Block(*values)).collect();
            for isa in crate::isa::every_isa() {
                let mut sum = OrderedSum::default();
                blocks.chunks(30).for_each(|blocks| add_floats(isa, &mut sum, blocks));
                assert_eq!(sum.value().to_bits(), expected.to_bits(), "{isa}");
            }
        }
    }

    #[test]
    fn negative_tiny_and_unusual_values_are_added_in_order_too() {
        let mixed = values(7, 53).zip(values(8, 20)).map(|(value, sign)| {
            let scale = [1.0, 1e-9, 1e3, 1e-300][(sign * 4.0) as usize];
            (value - 0.3) * scale
        });
        check(&mixed.take(50_000).collect::<Vec<_>>());
        check(&[0.0; 200]);
        check(&[-0.0; 64]);
        check(&[f64::INFINITY, 1.0, 2.0]);
        let not_a_number = [1.0, f64::NAN, 2.0];
        let mut ordered = OrderedSum::default();
        let mut block = Block([0.0; BLOCK]);
        block.0[..3].copy_from_slice(&not_a_number);
        ordered.add(Plain, &[block]);
        assert!(ordered.value().is_nan());
    }

    #[test]
    fn values_midway_between_two_units_round_to_even_sums() {
        // From 2^20 on the unit is 2^-32.
        let mut values = vec![1_048_576.0];
        values.extend((0..1000).map(|at| 0.5_f64.powi(33) * f64::from(at % 5)));
        check(&values);
    }
}
