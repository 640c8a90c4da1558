//! Sums of cubes in vectors; see `super::super::pooling` for what is summed.
//!
//! Products are 32 by 32 bits in 64-bit lanes, even and odd integers apart. An arithmetic shift of
//! 64 bits is a logical one of the value plus 2^63, less `2^63 >> shift`; what is to be taken away
//! is counted and taken away at the end, modulo 2^64. Lanes past the end of a row are cleared, and
//! a cleared lane adds nothing but that.

use super::super::pooling::{Shifts, half};
use crate::lanes::Lanes;

/// Lanes of integers that lie before `length`, seen from `at`: all, or the first few.
#[inline(always)]
fn inside<L: Lanes>(lanes: L, at: usize, length: usize) -> L::V {
    /// 16 integers with all bits, then 16 without.
    const EDGE: [i32; 32] = {
        let mut edge = [0; 32];
        let mut at = 0;
        while at < 16 {
            edge[at] = -1;
            at += 1;
        }
        edge
    };
    lanes.load_ints(&EDGE, 16 - (length - at).min(L::INTS))
}

/// The running sum of one band's row.
#[derive(Clone, Copy)]
pub(super) struct Cubes<L: Lanes> {
    half_square: L::V,
    square: L::V,
    half_cube: L::V,
    cube: L::V,
    sum: L::V,
    vectors: u64,
    shift: u32,
}

const BIAS: i64 = i64::MIN;

impl<L: Lanes> Cubes<L> {
    #[inline(always)]
    pub(super) fn new(lanes: L, shifts: Shifts) -> Self {
        Self {
            half_square: lanes.splat_long(half(shifts.square)),
            square: lanes.splat_long(shifts.square.into()),
            half_cube: lanes.splat_long(half(shifts.cube) + BIAS),
            cube: lanes.splat_long(shifts.cube.into()),
            sum: lanes.splat_long(0),
            vectors: 0,
            shift: shifts.cube,
        }
    }

    /// Adds the cubes of integers that are not negative.
    #[inline(always)]
    pub(super) fn add(&mut self, lanes: L, masked: L::V) {
        if !lanes.any(masked) {
            return;
        }
        self.add_longs(lanes, masked);
        self.add_longs(lanes, lanes.high_halves(masked));
        self.vectors += 1;
    }

    #[inline(always)]
    fn add_longs(&mut self, lanes: L, value: L::V) {
        let square = lanes.add_longs(lanes.mul_longs(value, value), self.half_square);
        let square = lanes.shift_longs(square, self.square);
        let cube = lanes.add_longs(lanes.mul_longs(square, value), self.half_cube);
        self.sum = lanes.add_longs(self.sum, lanes.shift_longs(cube, self.cube));
    }

    #[inline(always)]
    pub(super) fn sum(&self, lanes: L) -> i64 {
        let biases = self.vectors * L::INTS as u64;
        let bias = (1_u64 << 63) >> self.shift;
        lanes.sum_longs(self.sum).wrapping_sub(biases.wrapping_mul(bias) as i64)
    }
}

/// Sums of a row of the three bands of scale 0: products of magnitudes and weights, masked.
#[inline(always)]
pub(super) fn masked_first<L: Lanes>(
    lanes: L,
    threshold: &[i32],
    length: usize,
    rows: [&[i16]; 3],
    weights: [i32; 3],
    shifts: [Shifts; 3],
) -> [i64; 3] {
    let mut horizontal = Cubes::new(lanes, shifts[0]);
    let mut vertical = Cubes::new(lanes, shifts[1]);
    let mut diagonal = Cubes::new(lanes, shifts[2]);
    let [straight, _, oblique] = weights;
    let (straight, oblique) = (lanes.splat_int(straight), lanes.splat_int(oblique));
    let mut at = 0;
    while at < length {
        let inside = inside(lanes, at, length);
        let threshold = lanes.load_ints(threshold, at);
        let (near, far) =
            (lanes.shift_ints_left::<10>(threshold), lanes.shift_ints_left::<12>(threshold));
        horizontal.add(lanes, lanes.and(inside, masked(lanes, rows[0], at, straight, near)));
        vertical.add(lanes, lanes.and(inside, masked(lanes, rows[1], at, straight, near)));
        diagonal.add(lanes, lanes.and(inside, masked(lanes, rows[2], at, oblique, far)));
        at += L::INTS;
    }
    [horizontal.sum(lanes), vertical.sum(lanes), diagonal.sum(lanes)]
}

/// What is left of weighted magnitudes above their thresholds.
#[inline(always)]
fn masked<L: Lanes>(lanes: L, row: &[i16], at: usize, weight: L::V, threshold: L::V) -> L::V {
    let value = lanes.abs_ints(lanes.load_words_as_ints(row, at));
    let masked = lanes.sub_ints(lanes.mul_ints(value, weight), threshold);
    lanes.max_ints(masked, lanes.splat_int(0))
}

/// Sums of a row of the three bands of another scale.
#[inline(always)]
pub(super) fn masked_deep<L: Lanes>(
    lanes: L,
    threshold: &[i32],
    length: usize,
    rows: [&[i32]; 3],
    shifts: Shifts,
) -> [i64; 3] {
    let mut cubes = [Cubes::new(lanes, shifts); 3];
    let zero = lanes.splat_int(0);
    let mut at = 0;
    while at < length {
        let inside = inside(lanes, at, length);
        let threshold = lanes.load_ints(threshold, at);
        for band in 0..3 {
            let value = lanes.abs_ints(lanes.load_ints(rows[band], at));
            let masked = lanes.max_ints(lanes.sub_ints(value, threshold), zero);
            cubes[band].add(lanes, lanes.and(masked, inside));
        }
        at += L::INTS;
    }
    [cubes[0].sum(lanes), cubes[1].sum(lanes), cubes[2].sum(lanes)]
}

/// The sum of the cubes of a row of scale 0, as they are.
#[inline(always)]
pub(super) fn plain_first<L: Lanes>(lanes: L, row: &[i16], length: usize) -> u64 {
    let mut sum = lanes.splat_long(0);
    let mut at = 0;
    while at < length {
        let value = lanes.abs_ints(lanes.load_words_as_ints(row, at));
        let value = lanes.and(value, inside(lanes, at, length));
        // The upper word is zero, so the sum of the pair's squares is the square.
        let square = lanes.dot_pairs(value, value);
        let even = lanes.mul_longs_unsigned(square, value);
        let odd = lanes.mul_longs_unsigned(lanes.high_halves(square), lanes.high_halves(value));
        sum = lanes.add_longs(sum, lanes.add_longs(even, odd));
        at += L::INTS;
    }
    lanes.sum_longs(sum) as u64
}

/// The sum of the rounded cubes of a row of another scale.
#[inline(always)]
pub(super) fn rounded_deep<L: Lanes>(
    lanes: L,
    row: &[i32],
    length: usize,
    square_shift: u32,
    cube_shift: u32,
) -> u64 {
    let rounding = Rounding {
        one_square: lanes.splat_long(1 << square_shift),
        square: lanes.splat_long(square_shift.into()),
        half_cube: lanes.splat_long(half(cube_shift)),
        cube: lanes.splat_long(cube_shift.into()),
    };
    let mut sum = lanes.splat_long(0);
    let mut at = 0;
    while at < length {
        let value = lanes.abs_ints(lanes.load_ints(row, at));
        let value = lanes.and(value, inside(lanes, at, length));
        let even = rounded_cubes(lanes, value, &rounding);
        let odd = rounded_cubes(lanes, lanes.high_halves(value), &rounding);
        sum = lanes.add_longs(sum, lanes.add_longs(even, odd));
        at += L::INTS;
    }
    lanes.sum_longs(sum) as u64
}

/// Rounding terms and shifts of the reference's squares and cubes.
#[derive(Clone, Copy)]
struct Rounding<V> {
    one_square: V,
    square: V,
    half_cube: V,
    cube: V,
}

#[inline(always)]
fn rounded_cubes<L: Lanes>(lanes: L, value: L::V, rounding: &Rounding<L::V>) -> L::V {
    let square = lanes.add_longs(lanes.mul_longs_unsigned(value, value), rounding.one_square);
    let square = lanes.shift_longs(square, rounding.square);
    let cube = lanes.add_longs(lanes.mul_longs_unsigned(square, value), rounding.half_cube);
    lanes.shift_longs(cube, rounding.cube)
}
