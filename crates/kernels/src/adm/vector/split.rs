//! Scale 0 in vectors of words: decoupling, weights and masks of one row.
//!
//! Below 2^14 the division by a reference coefficient need not be done. With `|o| < 2^14` the
//! factor `k` misses `2^15 t / o` by less than 1, so that `k o` misses `2^15 t` by less than 2^14
//! and rounds to `t`; where `t` is not between 0 and `o`, `k` is 0 or 2^15. The restored part is
//! `t` brought between 0 and `o`. A vector with a larger `o` in it takes the scalar way.
//!
//! The angle: with `dot^2 + cross^2 = |u|^2 |v|^2`, the test of `super::super::decouple` says
//! `|cross| <= tan(1 degree) dot`, but for rounding: its sums are rounded to `f32`, which moves the
//! bound on `|cross|` by less than 5 parts in 10,000. What lies within 10 parts takes the scalar way.
//!
//! Weights: `(v w + 2^14) >> 15` is `v + ((v (w - 2^15) + 2^14) >> 15)`, a rounding product of 16-bit
//! words. `(v w + 65,535) >> 17` follows from both halves of the product. A thirtieth of a magnitude
//! `m`, `(4369 m + 2048) >> 12`, is `m + ((2184 m + 2^14) >> 15)`, and a fifteenth likewise. Sums of
//! three of them fit 16 bits without sign where all `m` are below 15,360; else the places are noted
//! down with what is missing.

use super::super::decouple::{Depth, Shallow, restored};
use super::transform::SLACK;
use crate::lanes::Lanes;

/// Reference coefficients below this are not divided by.
const UNDIVIDED: i16 = 1 << 14;
/// Below this magnitude neither a fifteenth nor the sums of three bands leave their words.
const UNWRAPPED: i16 = 15_360;
/// The largest weight of a straight band for which weighted coefficients fit 16 bits: they are at
/// most `(27,411 w + 2^14) >> 15`.
pub(super) const WEIGHT_MAX: i32 = 39_168;
/// The tangent of the angle of `COS_ONE_DEGREE_SQUARED`, less and more a thousandth.
pub(super) const TANGENTS: [f32; 2] = [0.017_455 * 0.999, 0.017_455 * 1.001];

/// What masking misses at one place of a [`PartRow`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Excess {
    pub(super) at: usize,
    pub(super) around: i32,
    pub(super) centre: i32,
}

/// One row of one part (restored or impairment) of scale 0.
#[derive(Clone, Debug, Default)]
pub(super) struct PartRow {
    /// Coefficients before they are weighted: horizontal, vertical, diagonal.
    pub(super) values: [Vec<i16>; 3],
    /// One thirtieth of the weighted magnitudes, summed over the bands, without sign.
    pub(super) around: Vec<i16>,
    /// One fifteenth of them less [`Self::around`], without sign.
    pub(super) centre: Vec<i16>,
    /// Where the two are not the whole truth.
    pub(super) excess: Vec<Excess>,
}

impl PartRow {
    pub(super) fn fit(&mut self, length: usize) {
        for run in self.values.iter_mut().chain([&mut self.around, &mut self.centre]) {
            run.resize(length + SLACK, 0);
        }
    }
}

/// The constants of scale 0 in vectors.
#[derive(Clone, Copy)]
pub(super) struct Constants<L: Lanes> {
    depth: Shallow,
    gain_limit: f64,
    straight: L::V,
    diagonal: L::V,
    diagonal_whole: L::V,
    gain: L::V,
    boosted_max: L::V,
    tangents: [L::V; 2],
}

impl<L: Lanes> Constants<L> {
    /// For weights up to [`WEIGHT_MAX`] and a whole gain limit.
    #[inline(always)]
    pub(super) fn new(lanes: L, depth: Shallow, gain_limit: f64) -> Self {
        let [straight, _, diagonal] = depth.weights();
        let gain = gain_limit as i16;
        Self {
            depth,
            gain_limit,
            straight: lanes.splat_word((straight - 32_768) as i16),
            diagonal: lanes.splat_word(diagonal as i16),
            diagonal_whole: lanes.splat_word(-i16::from(diagonal >= 32_768)),
            gain: lanes.splat_word(gain),
            boosted_max: lanes.splat_word(i16::MAX / gain),
            tangents: [lanes.splat_float(TANGENTS[0]), lanes.splat_float(TANGENTS[1])],
        }
    }

    #[inline(always)]
    fn magnitude(&self, lanes: L, value: L::V, band: usize) -> L::V {
        let weighted = if band < 2 {
            lanes.add_words(value, lanes.mul_rounded_words(value, self.straight))
        } else {
            let low = lanes.mul_words(value, self.diagonal);
            let high = lanes.mul_high_words(value, self.diagonal);
            let high = lanes.add_words(high, lanes.and(value, self.diagonal_whole));
            let is_zero = lanes.equal_words(low, lanes.splat_word(0));
            lanes.halve_words(lanes.add_words(high, lanes.add_words(is_zero, lanes.splat_word(1))))
        };
        lanes.abs_words(weighted)
    }

    /// Weighs what is stored in `row` from `at` on, for masking.
    #[inline(always)]
    fn weigh(&self, lanes: L, row: &mut PartRow, at: usize, values: [L::V; 3]) {
        let a = self.magnitude(lanes, values[0], 0);
        let b = self.magnitude(lanes, values[1], 1);
        let c = self.magnitude(lanes, values[2], 2);
        let (around_a, centre_a) = shares(lanes, a);
        let (around_b, centre_b) = shares(lanes, b);
        let (around_c, centre_c) = shares(lanes, c);
        let around = lanes.add_words(lanes.add_words(around_a, around_b), around_c);
        let centre = lanes.add_words(lanes.add_words(centre_a, centre_b), centre_c);
        lanes.store_words(&mut row.around, at, around);
        lanes.store_words(&mut row.centre, at, centre);
        let largest = lanes.max_words(lanes.max_words(a, b), c);
        if lanes.any_greater_words(largest, lanes.splat_word(UNWRAPPED - 1)) {
            self.note_excess(row, at, L::WORDS);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_excess(&self, row: &mut PartRow, at: usize, count: usize) {
        for at in at..at + count {
            let (mut around, mut centre) = (0, 0);
            for band in 0..3 {
                let (_, weighted) = self.depth.weigh(row.values[band][at].into(), band);
                let (thirtieth, fifteenth) = Shallow::thirtieth_and_fifteenth(weighted);
                around += thirtieth;
                centre += fifteenth - thirtieth;
            }
            let around = around - i32::from(row.around[at] as u16);
            let centre = centre - i32::from(row.centre[at] as u16);
            if (around, centre) != (0, 0) {
                row.excess.push(Excess { at, around, centre });
            }
        }
    }

    /// All bits where the pair points alike.
    #[inline(always)]
    fn near(&self, lanes: L, at: usize, o: [&[i16]; 3], t: [&[i16]; 3]) -> L::V {
        let (oh, ov) = (lanes.load_words(o[0], at), lanes.load_words(o[1], at));
        let (th, tv) = (lanes.load_words(t[0], at), lanes.load_words(t[1], at));
        let turned = lanes.sub_words(lanes.splat_word(0), th);
        let lower_o = lanes.unpack_low(oh, ov);
        let lower_dot = lanes.dot_pairs(lower_o, lanes.unpack_low(th, tv));
        let lower_cross = lanes.dot_pairs(lower_o, lanes.unpack_low(tv, turned));
        let (sure0, maybe0) = self.narrow(lanes, lower_dot, lower_cross);
        let upper_o = lanes.unpack_high(oh, ov);
        let upper_dot = lanes.dot_pairs(upper_o, lanes.unpack_high(th, tv));
        let upper_cross = lanes.dot_pairs(upper_o, lanes.unpack_high(tv, turned));
        let (sure1, maybe1) = self.narrow(lanes, upper_dot, upper_cross);
        let unsure = lanes.or(lanes.xor(sure0, maybe0), lanes.xor(sure1, maybe1));
        if lanes.any(unsure) {
            let mut flags = [0_i16; 32];
            near_plainly(&mut flags[..L::WORDS], at, o, t);
            return lanes.load_words(&flags, 0);
        }
        lanes.pack(sure0, sure1)
    }

    /// Whether the angle is surely, and whether it may be, within one degree.
    #[inline(always)]
    fn narrow(&self, lanes: L, dot: L::V, cross: L::V) -> (L::V, L::V) {
        let (dot, cross) = (lanes.floats(dot), lanes.floats(lanes.abs_ints(cross)));
        let [less, more] = self.tangents;
        (
            lanes.floats_at_most(cross, lanes.mul_floats(dot, less)),
            lanes.floats_at_most(cross, lanes.mul_floats(dot, more)),
        )
    }

    /// The part of a vector below [`UNDIVIDED`].
    #[inline(always)]
    fn part<const ENHANCED: bool>(&self, lanes: L, o: L::V, t: L::V, near: L::V) -> L::V {
        let part = between(lanes, t, o);
        if !ENHANCED {
            return part;
        }
        let least = lanes.sub_words(lanes.splat_word(0), self.boosted_max);
        let bounded = lanes.min_words(lanes.max_words(part, least), self.boosted_max);
        let boosted = between(lanes, t, lanes.mul_words(bounded, self.gain));
        lanes.choose(near, boosted, part)
    }

    /// Splits, weighs and stores one row of `length` coefficients.
    #[inline(always)]
    pub(super) fn split_row<const ENHANCED: bool, const IMPAIRMENTS: bool>(
        &self,
        lanes: L,
        length: usize,
        o: [&[i16]; 3],
        t: [&[i16]; 3],
        restored_row: &mut PartRow,
        impaired_row: &mut PartRow,
    ) {
        restored_row.excess.clear();
        impaired_row.excess.clear();
        let mut at = 0;
        while at < length {
            let near = if ENHANCED { self.near(lanes, at, o, t) } else { lanes.splat_word(0) };
            let (th, oh) = (lanes.load_words(t[0], at), lanes.load_words(o[0], at));
            let (tv, ov) = (lanes.load_words(t[1], at), lanes.load_words(o[1], at));
            let (td, od) = (lanes.load_words(t[2], at), lanes.load_words(o[2], at));
            let largest = lanes.max_words(lanes.abs_words(oh), lanes.abs_words(ov));
            let largest = lanes.max_words(largest, lanes.abs_words(od));
            let parts = if lanes.any_greater_words(largest, lanes.splat_word(UNDIVIDED - 1)) {
                let mut flags = [0_i16; 32];
                lanes.store_words(&mut flags, 0, near);
                self.divide(&flags[..L::WORDS], at, o, t, restored_row);
                [
                    lanes.load_words(&restored_row.values[0], at),
                    lanes.load_words(&restored_row.values[1], at),
                    lanes.load_words(&restored_row.values[2], at),
                ]
            } else {
                [
                    self.part::<ENHANCED>(lanes, oh, th, near),
                    self.part::<ENHANCED>(lanes, ov, tv, near),
                    self.part::<ENHANCED>(lanes, od, td, near),
                ]
            };
            let impairments = [
                lanes.sub_words(th, parts[0]),
                lanes.sub_words(tv, parts[1]),
                lanes.sub_words(td, parts[2]),
            ];
            for band in 0..3 {
                lanes.store_words(&mut restored_row.values[band], at, parts[band]);
                lanes.store_words(&mut impaired_row.values[band], at, impairments[band]);
            }
            if IMPAIRMENTS {
                self.weigh(lanes, restored_row, at, parts);
            }
            self.weigh(lanes, impaired_row, at, impairments);
            at += L::WORDS;
        }
    }

    /// The scalar way for one vector, with the flags of its pairs.
    #[cold]
    #[inline(never)]
    fn divide(&self, near: &[i16], at: usize, o: [&[i16]; 3], t: [&[i16]; 3], row: &mut PartRow) {
        for band in 0..3 {
            for (lane, near) in near.iter().enumerate() {
                let (o, t) = (o[band][at + lane].into(), t[band][at + lane].into());
                let part = restored::<Shallow, true>(o, t, *near != 0, self.gain_limit);
                row.values[band][at + lane] = part as i16;
            }
        }
    }
}

/// One thirtieth, and how much more one fifteenth is.
#[inline(always)]
fn shares<L: Lanes>(lanes: L, magnitude: L::V) -> (L::V, L::V) {
    let small = lanes.mul_rounded_words(magnitude, lanes.splat_word(2184));
    let large = lanes.mul_rounded_words(magnitude, lanes.splat_word(4368));
    (lanes.add_words(magnitude, small), lanes.add_words(magnitude, lanes.sub_words(large, small)))
}

/// `value` brought between 0 and `bound`.
#[inline(always)]
fn between<L: Lanes>(lanes: L, value: L::V, bound: L::V) -> L::V {
    let zero = lanes.splat_word(0);
    let (least, most) = (lanes.min_words(bound, zero), lanes.max_words(bound, zero));
    lanes.min_words(lanes.max_words(value, least), most)
}

#[cold]
#[inline(never)]
fn near_plainly(flags: &mut [i16], at: usize, o: [&[i16]; 3], t: [&[i16]; 3]) {
    for (lane, flag) in flags.iter_mut().enumerate() {
        let [oh, ov, th, tv] = [o[0], o[1], t[0], t[1]].map(|run| i32::from(run[at + lane]));
        *flag = -i16::from(Shallow::is_near(oh, ov, th, tv));
    }
}
