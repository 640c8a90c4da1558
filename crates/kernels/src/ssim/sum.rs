//! A sum taken one value after the other, in `f64`, a block at a time.
//!
//! Every addition rounds, so that the order matters; and it is libvmaf's order, one place after the
//! other. But while the sum stays between two neighbouring powers of two, it is a multiple of one
//! unit `u` (its last place), and adding `v` adds `v` rounded to a multiple of `u`, whatever the sum
//! is, unless `v` lies midway between two multiples. Such rounded values add up exactly in any
//! order. So a block is rounded and summed at once, and where the sum might leave its range, or a
//! value lies midway, the block is added one value after the other.

use super::block::{BLOCK, Block};

/// Sums kept apart while a block is added.
const LANES: usize = 16;

/// The sum so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct OrderedSum(f64);

impl OrderedSum {
    pub(super) fn value(self) -> f64 {
        self.0
    }

    /// Adds all values, as if one after the other.
    #[inline(always)]
    pub(super) fn add(&mut self, Block(values): &Block<f64>) {
        // 1.5 * 2^52 units: adding it rounds to whole units, of either sign.
        let exponent = self.0.to_bits() & (0x7ff << 52);
        let round = f64::from_bits(exponent) * 1.5;
        let half_unit = f64::from_bits(exponent) * f64::EPSILON / 2.0;
        let (mut sums, mut magnitudes) = ([0.0_f64; LANES], [0.0_f64; LANES]);
        let mut midway = [false; LANES];
        for values in values.chunks_exact(LANES) {
            for lane in 0..LANES {
                let rounded = (values[lane] + round) - round;
                sums[lane] += rounded;
                magnitudes[lane] += rounded.abs();
                midway[lane] |= (values[lane] - rounded).abs() == half_unit;
            }
        }
        let (sum, magnitude) = (total(sums), total(magnitudes));
        let same = |value: f64| value.to_bits() & (0x7ff << 52) == exponent;
        if same(self.0 - magnitude) && same(self.0 + magnitude) && !midway.contains(&true) {
            self.0 += sum;
        } else {
            self.add_singly(values);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_singly(&mut self, values: &[f64; BLOCK]) {
        for value in values {
            self.0 += value;
        }
    }
}

/// The sum of all lanes, pair by pair.
#[inline(always)]
fn total(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 0 to 1 with `bits` random bits, from a linear congruence.
    fn values(seed: u64, bits: u32) -> impl Iterator<Item = f64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 11) >> (53 - bits)) as f64 / (1_u64 << bits) as f64
        })
    }

    fn check(values: &[f64]) {
        let (mut ordered, mut expected) = (OrderedSum::default(), 0.0_f64);
        for block in values.chunks(BLOCK) {
            let mut padded = Block([0.0; BLOCK]);
            padded.0[..block.len()].copy_from_slice(block);
            ordered.add(&padded);
            block.iter().for_each(|value| expected += value);
            assert_eq!(ordered.value().to_bits(), expected.to_bits());
        }
    }

    #[test]
    fn blocks_give_the_bits_of_one_addition_after_the_other() {
        for (seed, bits) in (1..=60).zip([53, 24, 30, 33, 34, 36, 41, 52, 12, 1].iter().cycle()) {
            check(&values(seed, *bits).take(40_000 + seed as usize).collect::<Vec<_>>());
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
        ordered.add(&block);
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
