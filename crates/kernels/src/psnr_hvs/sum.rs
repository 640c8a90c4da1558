//! A running `f32` sum over a whole plane, with the roundings of adding one term after the other.
//!
//! The metric is defined by a single sum of millions of terms, each addition rounded to `f32`. One
//! after the other they would take most of the time. While the sum stays between two powers of two
//! its unit in the last place `u` is constant, and adding a term adds the nearest multiple of `u` to
//! it, whatever the sum. Only where a term lies half way between two multiples does the sum itself
//! decide, by being odd or even. So a whole batch of terms is added as integers, in any order, when
//! all terms are below half of the power of two, none lies half way, and the sum stays below the
//! next power of two; otherwise one after the other. A term lies half way about as often as it is a
//! share of the sum, so that some ten batches of a plane are added the slow way.

use super::blocks::{BATCH, COEFFICIENTS, Grid};

/// The sum so far: never negative.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OrderedSum(f32);

/// How terms become whole multiples of the sum's unit in the last place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    /// Added to a term it rounds it to a multiple of the unit, and holds the multiple in its bits.
    pub(super) rounder: f32,
    /// Terms must be below: half of the power of two.
    pub(super) limit: f32,
    /// Half a unit: a term that rounding moves by as much is in doubt.
    pub(super) half: f32,
}

/// Below this the slow way serves: the products of the fast one could lose bits.
const FAST_MIN: f32 = 1e-20;

impl OrderedSum {
    pub(super) fn value(self) -> f32 {
        self.0
    }

    /// Adds the terms of `lanes` blocks: all of the first block, then all of the second. They are
    /// not negative.
    #[inline(always)]
    pub(super) fn add(&mut self, terms: &Grid<f32>, lanes: usize) {
        match self.added_as_integers(terms, lanes) {
            Some(sum) => *self = sum,
            None => self.add_in_turn(terms, lanes),
        }
    }

    /// What adding as integers needs to know; `None` where it does not serve.
    #[inline(always)]
    pub(super) fn units(self) -> Option<Units> {
        if !(FAST_MIN..f32::MAX / 4.0).contains(&self.0) {
            return None;
        }
        let exponent = self.0.to_bits() & 0xff80_0000;
        Some(Units {
            rounder: f32::from_bits(exponent | 0x0040_0000),
            limit: 0.5 * f32::from_bits(exponent),
            half: f32::from_bits(exponent - (24 << 23)),
        })
    }

    /// The sum and `count` of its units more; `None` where it reaches the next power of two.
    #[inline(always)]
    pub(super) fn plus(self, units: &Units, count: u64) -> Option<Self> {
        let exponent = units.rounder.to_bits() & 0xff80_0000;
        let sum = u64::from(self.0.to_bits()) + count;
        let stays = sum < u64::from(exponent) + (1 << 23);
        stays.then_some(Self(f32::from_bits(sum as u32)))
    }

    #[inline(always)]
    fn added_as_integers(self, terms: &Grid<f32>, lanes: usize) -> Option<Self> {
        if self.0 == 0.0 && terms.iter().all(|row| row[..lanes].iter().all(|term| *term == 0.0)) {
            return Some(self);
        }
        let of_sum = self.units()?;
        let Units { rounder, limit, half } = of_sum;
        let mut units = [0_u32; BATCH];
        let mut doubts = [0_u32; BATCH];
        let (units, doubts) = (&mut units[..lanes], &mut doubts[..lanes]);
        for row in 0..COEFFICIENTS {
            let row = &terms[row][..lanes];
            for lane in 0..lanes {
                let term = row[lane];
                let rounded = term + rounder;
                let left = (term - (rounded - rounder)).abs();
                let is_small = term < limit;
                let doubt = !is_small | (left == half);
                units[lane] = units[lane].wrapping_add(rounded.to_bits() - rounder.to_bits());
                doubts[lane] |= u32::from(doubt);
            }
        }
        let count: u64 = units.iter().map(|units| u64::from(*units)).sum();
        if doubts.iter().any(|doubt| *doubt != 0) { None } else { self.plus(&of_sum, count) }
    }

    /// As [`add`](Self::add), one term after the other.
    #[inline(never)]
    pub(super) fn add_in_turn(&mut self, terms: &Grid<f32>, lanes: usize) {
        for lane in 0..lanes {
            for row in terms {
                self.0 += row[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds `batches` made by `term` both ways and returns how many were added as integers.
    fn check(start: f32, batches: usize, mut term: impl FnMut() -> f32) -> usize {
        let mut fast = OrderedSum(start);
        let mut slow = fast;
        let mut as_integers = 0;
        for batch in 0..batches {
            let lanes = BATCH - batch % 3;
            let terms: Grid<f32> = std::array::from_fn(|_| std::array::from_fn(|_| term()));
            as_integers += usize::from(fast.added_as_integers(&terms, lanes).is_some());
            fast.add(&terms, lanes);
            slow.add_in_turn(&terms, lanes);
            assert_eq!(fast.0.to_bits(), slow.0.to_bits(), "batch {batch} from {start}");
        }
        as_integers
    }

    fn random() -> impl FnMut() -> u32 {
        let mut state = 0x1234_5678_u64;
        move || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 33) as u32
        }
    }

    #[test]
    fn sums_have_the_bits_of_adding_in_turn() {
        let mut next = random();
        let as_integers = check(0.0, 400, || (next() % 100_000) as f32 * 1.7e-3);
        assert!((200..400).contains(&as_integers), "{as_integers} batches as integers");
        let as_integers = check(0.0, 200, || f32::from_bits(0x3000_0000 + next() % 0x1000_0000));
        assert!((20..200).contains(&as_integers), "{as_integers} batches as integers");
    }

    #[test]
    fn terms_half_way_between_units_are_added_in_turn() {
        let mut next = random();
        assert_eq!(check(16_777_216.0, 3, || (next() % 2) as f32), 0);
        let as_integers = check(16_777_216.0, 3, || (next() % 2) as f32 * 2.0);
        assert_eq!(as_integers, 3);
    }

    #[test]
    fn terms_of_zero_change_nothing() {
        assert_eq!(check(0.0, 2, || 0.0), 2);
        assert_eq!(check(3.5, 2, || 0.0), 2);
    }

    #[test]
    fn sums_that_reach_the_next_power_of_two_are_added_in_turn() {
        assert_eq!(check(16_777_200.0, 1, || 1.0), 0);
        assert_eq!(check(f32::MAX / 2.0, 1, || 1.0), 0);
    }
}
