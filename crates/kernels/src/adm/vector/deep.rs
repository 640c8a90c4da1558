//! Scales 1 to 3 in vectors of integers: decoupling, weights and masks of one row.
//!
//! The reciprocal of a reference coefficient, `R = 2^30 / M` for its 15 leading bits `M = |o| / 2^n`,
//! is worked out once for all distorted pictures ([`Divisors`]):
//! - `M` comes out of a conversion to `f32`. That rounds at 24 bits, and must not move the rounding at
//!   15: one bit of any run of ones between the two is cleared first. Where `M` becomes `2^15` the
//!   float says `2^14` and one exponent more, which gives the same `k`;
//! - an approximate inverse, one step of Newton and an offset give a quotient that is never too large
//!   and at most one too small; what it leaves over is exact in `f32` and tells.
//!
//! `k = (R t + 2^(14 + n)) >> (15 + n)` is the rounded upper half of `R (t << (17 - n))`: with
//! `n <= 17` that is one product of 32 bits and one rounding term for all lanes. A target so large
//! that it would be shifted out gives `k >= 2^15` and is cut where it still does. `(k o + 2^14) >> 15`
//! is taken with its sign, which rounds as the definition does.
//!
//! Below 2^14 the restored part is the target brought between 0 and the reference, as at scale 0
//! (`super::split`); a quotient of such a coefficient is not looked at. No coefficient is `-2^31`
//! (`super::super::dwt` bounds them), so that all have a magnitude.
//!
//! The angle is compared as at scale 0. Here the coefficients and their products are rounded to
//! `f32` too: the cross product then errs by less than `2^-21` of both lengths, and so by less than
//! 3 parts in 100,000 of the bound.

use super::super::decouple::{Depth, WeightedRow, Wide};
use super::split::TANGENTS;
use crate::lanes::Lanes;

/// Reference coefficients below this are not divided by.
const UNDIVIDED: i32 = 1 << 14;
/// What a magnitude is multiplied by for its thirtieth and its fifteenth, in units of `2^-32`.
const SHARES: [i64; 2] = [143_165_577, 286_331_153];
/// From this weight on (of `2^32`) products with it are not taken as signed ones.
pub(super) const WEIGHT_END: u32 = 1 << 31;

/// What a row of reference coefficients asks of each target, by band.
#[derive(Clone, Debug, Default)]
pub(super) struct Divisors {
    /// `R`, at most `2^16`.
    reciprocals: [Vec<i32>; 3],
    /// `17 - n`, by which targets are shifted to the left.
    shifts: [Vec<i32>; 3],
}

impl Divisors {
    /// Makes room for `length` values.
    pub(super) fn fit(&mut self, length: usize) {
        self.reciprocals.iter_mut().chain(&mut self.shifts).for_each(|run| run.resize(length, 0));
    }

    /// Fills the first `length` places, and the rest of a vector.
    #[inline(always)]
    pub(super) fn set<L: Lanes>(&mut self, lanes: L, length: usize, row: [&[i32]; 3]) {
        for band in 0..3 {
            let mut at = 0;
            while at < length {
                let magnitude = lanes.abs_ints(lanes.load_ints(row[band], at));
                let (reciprocal, shift) = divisor(lanes, magnitude);
                lanes.store_ints(&mut self.reciprocals[band], at, reciprocal);
                lanes.store_ints(&mut self.shifts[band], at, shift);
                at += L::INTS;
            }
        }
    }
}

/// `R` and `17 - n` of magnitudes from [`UNDIVIDED`] on.
#[inline(always)]
fn divisor<L: Lanes>(lanes: L, magnitude: L::V) -> (L::V, L::V) {
    const FRACTION: i32 = (1 << 23) - 1;
    const EXPONENT_BIAS: i32 = 127;
    // Bits 17 places below a set one: none of the 17 leading ones, and the one after the first of
    // them.
    let far = lanes.shift_ints_right_unsigned::<17>(magnitude);
    let float = lanes.floats(lanes.and_not(far, magnitude));
    // 14 bits of the fraction are left, the leading one makes 15.
    let rounded = lanes.add_ints(float, lanes.splat_int(1 << 8));
    let exponent = lanes.shift_ints_right_unsigned::<23>(rounded);
    let shift = lanes.sub_ints(lanes.splat_int(EXPONENT_BIAS + 31), exponent);
    let fraction = lanes.and(rounded, lanes.splat_int(FRACTION - 511));
    let mantissa = lanes.or(fraction, lanes.splat_int((EXPONENT_BIAS + 14) << 23));

    let whole = lanes.splat_float(1_073_741_824.0);
    let guess = lanes.inverse_floats(mantissa);
    let error = lanes.less_product(lanes.splat_float(1.0), mantissa, guess);
    let inverse = lanes.plus_product(guess, guess, error);
    // The inverse errs by less than 2^-22 of itself, so the quotient by less than 1/64.
    let quotient = lanes.plus_product(lanes.splat_float(-0.0625), inverse, whole);
    let quotient = lanes.truncated(quotient);
    let rest = lanes.less_product(whole, lanes.floats(quotient), mantissa);
    (lanes.sub_ints(quotient, lanes.floats_at_most(mantissa, rest)), shift)
}

/// The constants of one scale in vectors.
#[derive(Clone, Copy)]
pub(super) struct Constants<L: Lanes> {
    weights: [L::V; 3],
    gain: L::V,
    boosted_max: L::V,
    tangents: [L::V; 2],
}

impl<L: Lanes> Constants<L> {
    /// For weights below [`WEIGHT_END`] and a whole gain limit.
    #[inline(always)]
    pub(super) fn new(lanes: L, weights: [u32; 3], gain_limit: f64) -> Self {
        let gain = gain_limit as u32;
        let [a, b, c] = weights;
        Self {
            weights: [
                lanes.splat_int(a as i32),
                lanes.splat_int(b as i32),
                lanes.splat_int(c as i32),
            ],
            gain: lanes.splat_int(gain as i32),
            // What is cut to this is, with the gain, still above every target: those have 31 bits.
            boosted_max: lanes.splat_int((u32::MAX / gain) as i32),
            tangents: [lanes.splat_float(TANGENTS[0]), lanes.splat_float(TANGENTS[1])],
        }
    }

    /// Splits, weighs and stores one row of `length` coefficients, whose reference `divisors` is of.
    #[inline(always)]
    pub(super) fn split_row<const IMPAIRMENTS: bool>(
        &self,
        lanes: L,
        length: usize,
        [o, t]: [[&[i32]; 3]; 2],
        divisors: &Divisors,
        restored_row: &mut WeightedRow,
        impaired_row: &mut WeightedRow,
    ) {
        let mut at = 0;
        while at < length {
            let near = self.near(lanes, at, o, t);
            let zero = lanes.splat_int(0);
            let mut restored_masks = [zero; 2];
            let mut impaired_masks = [zero; 2];
            for band in 0..3 {
                let target = lanes.load_ints(t[band], at);
                let reciprocal = lanes.load_ints(&divisors.reciprocals[band], at);
                let shift = lanes.load_ints(&divisors.shifts[band], at);
                let reference = lanes.load_ints(o[band], at);
                let part = self.part(lanes, reference, target, [reciprocal, shift], near);
                let restored = weigh(lanes, part, self.weights[band]);
                let impaired = weigh(lanes, lanes.sub_ints(target, part), self.weights[band]);
                lanes.store_ints(&mut restored_row.bands[band], at, restored);
                add_shares(lanes, &mut impaired_masks, impaired);
                if IMPAIRMENTS {
                    lanes.store_ints(&mut impaired_row.bands[band], at, impaired);
                    add_shares(lanes, &mut restored_masks, restored);
                }
            }
            store_masks(lanes, impaired_row, at, impaired_masks);
            if IMPAIRMENTS {
                store_masks(lanes, restored_row, at, restored_masks);
            }
            at += L::INTS;
        }
    }

    /// The restored part.
    #[inline(always)]
    fn part(&self, lanes: L, o: L::V, t: L::V, [reciprocal, shift]: [L::V; 2], near: L::V) -> L::V {
        let zero = lanes.splat_int(0);
        let magnitude = lanes.abs_ints(o);
        let sign = lanes.shift_ints_right::<31>(o);
        let target = lanes.max_ints(signed(lanes, t, sign), zero);
        let largest = lanes.shift_ints_unsigned(lanes.splat_int(-1), shift);
        let bounded = lanes.min_ints_unsigned(target, largest);
        let bounded = lanes.shift_ints_left_by(bounded, shift);
        let even = share(lanes, reciprocal, bounded, o);
        let odd = share(
            lanes,
            lanes.high_halves(reciprocal),
            lanes.high_halves(bounded),
            lanes.high_halves(o),
        );
        let divided =
            lanes.halves(lanes.shift_longs_right::<15>(even), lanes.shift_longs_left::<17>(odd));
        let is_divided = lanes.greater_ints(magnitude, lanes.splat_int(UNDIVIDED - 1));
        let plain = lanes.min_ints_unsigned(target, magnitude);
        let part = lanes.choose(is_divided, signed(lanes, divided, sign), plain);
        let boosted = lanes.mul_ints(lanes.min_ints_unsigned(part, self.boosted_max), self.gain);
        let boosted = lanes.min_ints_unsigned(boosted, target);
        signed(lanes, lanes.choose(near, boosted, part), sign)
    }

    /// All bits where (horizontal, vertical) of both pictures point alike.
    #[inline(always)]
    fn near(&self, lanes: L, at: usize, o: [&[i32]; 3], t: [&[i32]; 3]) -> L::V {
        let oh = lanes.floats(lanes.load_ints(o[0], at));
        let ov = lanes.floats(lanes.load_ints(o[1], at));
        let th = lanes.floats(lanes.load_ints(t[0], at));
        let tv = lanes.floats(lanes.load_ints(t[1], at));
        let dot = lanes.plus_product(lanes.mul_floats(oh, th), ov, tv);
        let cross = lanes.less_product(lanes.mul_floats(oh, tv), ov, th);
        let cross = lanes.and(cross, lanes.splat_int(i32::MAX));
        let [less, more] = self.tangents;
        let sure = lanes.floats_at_most(cross, lanes.mul_floats(dot, less));
        let maybe = lanes.floats_at_most(cross, lanes.mul_floats(dot, more));
        if lanes.any(lanes.xor(sure, maybe)) {
            let mut flags = [0_i32; 16];
            near_plainly(&mut flags[..L::INTS], at, o, t);
            return lanes.load_ints(&flags, 0);
        }
        sure
    }
}

/// `k o + 2^14` in 64-bit lanes, of the integers in their low halves.
#[inline(always)]
fn share<L: Lanes>(lanes: L, reciprocal: L::V, target: L::V, o: L::V) -> L::V {
    let product = lanes.mul_longs_unsigned(reciprocal, target);
    let product = lanes.add_longs(product, lanes.splat_long(1 << 31));
    let k = lanes.min_ints_unsigned(lanes.high_halves(product), lanes.splat_int(1 << 15));
    lanes.add_longs(lanes.mul_longs(k, o), lanes.splat_long(1 << 14))
}

/// `value`, or its negative where `sign` has all bits.
#[inline(always)]
fn signed<L: Lanes>(lanes: L, value: L::V, sign: L::V) -> L::V {
    lanes.sub_ints(lanes.xor(value, sign), sign)
}

/// `(value weight + 2^27) >> 28`, cut to 32 bits.
#[inline(always)]
fn weigh<L: Lanes>(lanes: L, value: L::V, weight: L::V) -> L::V {
    let half = lanes.splat_long(1 << 27);
    let even = lanes.add_longs(lanes.mul_longs(value, weight), half);
    let odd = lanes.add_longs(lanes.mul_longs(lanes.high_halves(value), weight), half);
    lanes.halves(lanes.shift_longs_right::<28>(even), lanes.shift_longs_left::<4>(odd))
}

/// Adds a thirtieth of the magnitudes to the first sum, and how much more a fifteenth is to the
/// second.
#[inline(always)]
fn add_shares<L: Lanes>(lanes: L, sums: &mut [L::V; 2], weighted: L::V) {
    let even = lanes.abs_ints(weighted);
    let odd = lanes.high_halves(even);
    let thirtieth = upper_product(lanes, even, odd, SHARES[0]);
    let fifteenth = upper_product(lanes, even, odd, SHARES[1]);
    sums[0] = lanes.add_ints(sums[0], thirtieth);
    sums[1] = lanes.add_ints(sums[1], lanes.sub_ints(fifteenth, thirtieth));
}

/// `(magnitude factor - 2^31) >> 32`.
#[inline(always)]
fn upper_product<L: Lanes>(lanes: L, even: L::V, odd: L::V, factor: i64) -> L::V {
    let (factor, half_off) = (lanes.splat_long(factor), lanes.splat_long(-(1 << 31)));
    let even = lanes.add_longs(lanes.mul_longs(even, factor), half_off);
    let odd = lanes.add_longs(lanes.mul_longs(odd, factor), half_off);
    lanes.halves(lanes.high_halves(even), odd)
}

#[inline(always)]
fn store_masks<L: Lanes>(lanes: L, row: &mut WeightedRow, at: usize, [around, centre]: [L::V; 2]) {
    lanes.store_ints(&mut row.around, at, around);
    lanes.store_ints(&mut row.centre, at, centre);
}

#[cold]
#[inline(never)]
fn near_plainly(flags: &mut [i32], at: usize, o: [&[i32]; 3], t: [&[i32]; 3]) {
    for (lane, flag) in flags.iter_mut().enumerate() {
        let at = at + lane;
        *flag = -i32::from(Wide::is_near(o[0][at], o[1][at], t[0][at], t[1][at]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::decouple::{PartsRow, decouple_row};
    use super::super::super::params::{AdmOptions, AdmParams};
    use super::super::transform::SLACK;
    use super::*;
    use crate::isa::{Avx2, Avx512, IsaLevel, every_isa};

    const LENGTH: usize = 4_096;

    struct Rows {
        reference: [Vec<i32>; 3],
        distorted: [Vec<i32>; 3],
    }

    /// Pairs of every length of bits, unrelated, equal, beside each other and in proportion.
    fn rows(seed: u64) -> Rows {
        let mut state = seed;
        let mut random = move |bits: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (((state as i64) >> 20) as i32 >> (32 - bits)).max(-i32::MAX)
        };
        let mut made = Rows { reference: Default::default(), distorted: Default::default() };
        for place in 0..LENGTH + SLACK {
            for band in 0..3 {
                let o = random(1 + (place / 7 % 32) as u32);
                let near = random(1 + (place % 9) as u32);
                let t = match place % 5 {
                    0 => random(1 + (place / 11 % 32) as u32),
                    1 => o,
                    2 => o.saturating_add(near).max(-i32::MAX),
                    3 => o / 16 * (place as i32 / 13 % 16),
                    _ => -(o / 2),
                };
                made.reference[band].push(o);
                made.distorted[band].push(t);
            }
        }
        made
    }

    fn row() -> WeightedRow {
        let mut row = WeightedRow::default();
        row.fit(LENGTH + SLACK);
        row
    }

    #[inline(always)]
    fn split<L: Lanes>(lanes: L, rows: &Rows, weights: [u32; 3], gain: f64) -> [WeightedRow; 2] {
        let mut divisors = Divisors::default();
        divisors.fit(LENGTH + SLACK);
        let o = rows.reference.each_ref().map(Vec::as_slice);
        let t = rows.distorted.each_ref().map(Vec::as_slice);
        divisors.set(lanes, LENGTH, o);
        let (mut restored, mut impaired) = (row(), row());
        let constants = Constants::new(lanes, weights, gain);
        constants.split_row::<true>(lanes, LENGTH, [o, t], &divisors, &mut restored, &mut impaired);
        [restored, impaired]
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn split_avx2(rows: &Rows, weights: [u32; 3], gain: f64) -> [WeightedRow; 2] {
        split(Avx2::here(), rows, weights, gain)
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
    fn split_avx512(rows: &Rows, weights: [u32; 3], gain: f64) -> [WeightedRow; 2] {
        split(Avx512::here(), rows, weights, gain)
    }

    fn plainly(rows: &Rows, depth: Wide, gain: f64) -> [WeightedRow; 2] {
        let (mut restored, mut impaired) = (row(), row());
        let mut parts = PartsRow::default();
        parts.fit(LENGTH);
        let o = rows.reference.each_ref().map(Vec::as_slice);
        let t = rows.distorted.each_ref().map(Vec::as_slice);
        decouple_row::<_, true>(depth, gain, o, t, &mut parts, &mut restored, &mut impaired);
        [restored, impaired]
    }

    #[test]
    fn rows_in_vectors_equal_the_portable_ones() {
        let params = AdmParams::new(AdmOptions::default()).expect("the defaults are in range");
        for seed in 0..48 {
            let rows = rows(seed);
            let scale = 1 + seed as usize % 3;
            let gain = [1.0, 100.0, 7.0][seed as usize / 3 % 3];
            let (depth, weights) = (Wide::new(&params, scale), params.deep_weights(scale));
            let expected = plainly(&rows, depth, gain);
            for isa in every_isa() {
                let made = match isa.level() {
                    IsaLevel::Baseline => continue,
                    // SAFETY: an `Isa` of this level exists only after detection of its features.
                    IsaLevel::Avx2 => unsafe { split_avx2(&rows, weights, gain) },
                    // SAFETY: an `Isa` of this level exists only after detection of its features.
                    IsaLevel::Avx512 => unsafe { split_avx512(&rows, weights, gain) },
                };
                for (expected, made) in expected.iter().zip(&made) {
                    for at in 0..LENGTH {
                        let values = |row: &WeightedRow| {
                            [0, 1, 2]
                                .map(|band| row.bands[band][at])
                                .into_iter()
                                .chain([row.around[at], row.centre[at]])
                                .collect::<Vec<_>>()
                        };
                        let pair = [0, 1, 2]
                            .map(|band| (rows.reference[band][at], rows.distorted[band][at]));
                        assert_eq!(
                            values(expected),
                            values(made),
                            "{isa}: place {at} of seed {seed}, gain {gain}: {pair:?}"
                        );
                    }
                }
            }
        }
    }
}
