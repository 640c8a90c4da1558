//! The motion sum in vectors of 16-bit words, for AVX2 and AVX-512; equal to [`super::scalar`].
//!
//! Differences of samples of up to [`DEPTH_MAX`] bits fit 15 bits with their sign, and so do the sums
//! of two: down the columns, the rows above and below are added, and products are summed in pairs,
//! the rounding term among them. The result fits 16 bits but where the blurred pictures are half of
//! the range apart; a row with such a place, on a cut for example, is done again in 32 bits.
//!
//! Along the row, three runs of pairs serve even and odd outputs with different taps. A sum of five
//! products of 16-bit values, less than 2^15 in magnitude, with taps that add up to 2^16, stays below
//! 2^31 with its rounding term.

use super::scalar::{self, Buffers, Input, REACH, TAPS, WINDOW};
use crate::border::{extend_line, reflect};
use crate::lanes::{Lanes, PictureSample};

/// Deeper samples are left to the portable code.
const DEPTH_MAX: u32 = 14;

/// Values that may be read and written past the end of every run.
const SLACK: usize = 80;

/// Lines kept while walking down.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Differences of the last [`WINDOW`] rows.
    differences: [Vec<i16>; WINDOW],
    /// One blurred row and its borders.
    blurred: Vec<i16>,
}

impl Lines {
    fn fit(&mut self, width: usize) {
        for run in self.differences.iter_mut().chain([&mut self.blurred]) {
            if run.len() < width + SLACK {
                run.resize(width + SLACK, 0);
            }
        }
    }
}

/// The constants in vectors.
#[derive(Clone, Copy)]
struct Constants<L: Lanes> {
    /// For the outer and the inner rows' sums.
    around: L::V,
    /// For the middle row and 1: its tap and the rounding term.
    middle: L::V,
    depth: L::V,
    /// For the pairs from the second before an even output on.
    even: [L::V; 3],
    /// For the same pairs and the output after it.
    odd: [L::V; 3],
    /// Bits that no sample has.
    foreign: L::V,
}

impl<L: Lanes> Constants<L> {
    #[inline(always)]
    fn new(lanes: L, bit_depth: u32) -> Self {
        let [outer, inner, middle] = TAPS;
        Self {
            around: pair(lanes, outer, inner),
            middle: pair(lanes, middle, 1 << (bit_depth - 1)),
            depth: lanes.splat_int(bit_depth as i32),
            even: [pair(lanes, outer, inner), pair(lanes, middle, inner), pair(lanes, outer, 0)],
            odd: [pair(lanes, 0, outer), pair(lanes, inner, middle), pair(lanes, inner, outer)],
            foreign: lanes.splat_word(-1 << bit_depth),
        }
    }
}

#[inline(always)]
fn pair<L: Lanes>(lanes: L, first: i32, second: i32) -> L::V {
    lanes.splat_int((second << 16) | (first & 0xffff))
}

/// The sum; `None` where this code does not serve: deep samples, some above their depth, or rows
/// narrower than a vector.
#[inline(always)]
pub(super) fn sad<L: Lanes, S: PictureSample>(
    lanes: L,
    input: &Input<'_, S>,
    buffers: &mut Buffers,
    lines: &mut Lines,
) -> Option<u64> {
    let Input { width, height, bit_depth, .. } = *input;
    if bit_depth > DEPTH_MAX || width < L::WORDS {
        return None;
    }
    lines.fit(width);
    let Lines { differences, blurred } = lines;
    let constants = Constants::new(lanes, bit_depth);
    for y in 0..REACH.min(height) {
        subtract_row(lanes, input, y, constants.foreign, &mut differences[y % WINDOW])?;
    }
    let mut sum = 0;
    for y in 0..height {
        let newest = y + REACH;
        if newest < height {
            let row = &mut differences[newest % WINDOW];
            subtract_row(lanes, input, newest, constants.foreign, row)?;
        }
        let row = |tap: usize| {
            let row = reflect(y as isize + tap as isize - REACH as isize, height);
            &differences[row % WINDOW][..width + SLACK]
        };
        let rows = [row(0), row(1), row(2), row(3), row(4)];
        let fits = blur_columns(lanes, &constants, rows, width, blurred);
        sum += if fits {
            extend_line(blurred, REACH, width);
            blur_row_and_sum(lanes, &constants, blurred, width)
        } else {
            sum_in_ints(rows, bit_depth, &mut buffers.line[..width + 2 * REACH])
        };
    }
    Some(sum)
}

/// Subtracts a row; `None` where a sample is above its bit depth.
#[inline(always)]
fn subtract_row<L: Lanes, S: PictureSample>(
    lanes: L,
    input: &Input<'_, S>,
    y: usize,
    foreign: L::V,
    difference: &mut [i16],
) -> Option<()> {
    let Input { pictures, strides, width, .. } = *input;
    let previous = &pictures[0][y * strides[0]..][..width];
    let current = &pictures[1][y * strides[1]..][..width];
    let mut seen = lanes.splat_word(0);
    let mut start = 0;
    while start < width {
        // The last vector overlaps the one before.
        let at = start.min(width - L::WORDS);
        let (a, b) = (S::load(lanes, previous, at), S::load(lanes, current, at));
        lanes.store_words(difference, at, lanes.sub_words(a, b));
        if size_of::<S>() > 1 {
            seen = lanes.or(seen, lanes.or(a, b));
        }
        start += L::WORDS;
    }
    if lanes.any(lanes.and(seen, foreign)) { None } else { Some(()) }
}

/// Blurs down the columns, to `blurred` from [`REACH`] on; false where a value may not fit.
#[inline(always)]
fn blur_columns<L: Lanes>(
    lanes: L,
    constants: &Constants<L>,
    rows: [&[i16]; WINDOW],
    width: usize,
    blurred: &mut [i16],
) -> bool {
    let one = lanes.splat_word(1);
    let (mut most, mut least) = (lanes.splat_word(0), lanes.splat_word(0));
    let mut start = 0;
    while start < width {
        let at = start.min(width - L::WORDS);
        let outer = lanes.add_words(lanes.load_words(rows[0], at), lanes.load_words(rows[4], at));
        let inner = lanes.add_words(lanes.load_words(rows[1], at), lanes.load_words(rows[3], at));
        let middle = lanes.load_words(rows[2], at);
        let lower = lanes.add_ints(
            lanes.dot_pairs(lanes.unpack_low(outer, inner), constants.around),
            lanes.dot_pairs(lanes.unpack_low(middle, one), constants.middle),
        );
        let upper = lanes.add_ints(
            lanes.dot_pairs(lanes.unpack_high(outer, inner), constants.around),
            lanes.dot_pairs(lanes.unpack_high(middle, one), constants.middle),
        );
        let lower = lanes.shift_ints(lower, constants.depth);
        let value = lanes.pack(lower, lanes.shift_ints(upper, constants.depth));
        most = lanes.max_words(most, value);
        least = lanes.min_words(least, value);
        lanes.store_words(blurred, REACH + at, value);
        start += L::WORDS;
    }
    // What did not fit has become one of the ends.
    !lanes.any_greater_words(most, lanes.splat_word(i16::MAX - 1))
        && !lanes.any_greater_words(lanes.splat_word(-i16::MAX), least)
}

/// Blurs the line between its borders and sums absolute values.
#[inline(always)]
fn blur_row_and_sum<L: Lanes>(
    lanes: L,
    constants: &Constants<L>,
    line: &[i16],
    width: usize,
) -> u64 {
    let half = lanes.splat_int(1 << 15);
    let upper_words = lanes.splat_int(0xffff_0000_u32 as i32);
    let one = lanes.splat_word(1);
    // At most 1024 vectors of two 16-bit values in each lane.
    let mut sum = lanes.splat_int(0);
    let mut at = 0;
    while at < width {
        let a = lanes.load_words(line, at);
        let b = lanes.load_words(line, at + 2);
        let c = lanes.load_words(line, at + 4);
        let [outer, middle, last] = constants.even;
        let even = lanes.add_ints(lanes.dot_pairs(a, outer), lanes.dot_pairs(b, middle));
        let even = lanes.add_ints(even, lanes.add_ints(lanes.dot_pairs(c, last), half));
        let [first, inner, outer] = constants.odd;
        let odd = lanes.add_ints(lanes.dot_pairs(a, first), lanes.dot_pairs(b, inner));
        let odd = lanes.add_ints(odd, lanes.add_ints(lanes.dot_pairs(c, outer), half));
        let even = lanes.shift_ints_right_unsigned::<16>(even);
        let value = lanes.abs_words(lanes.choose(upper_words, odd, even));
        let value =
            if at + L::WORDS > width { first_words(lanes, value, width - at) } else { value };
        sum = lanes.add_ints(sum, lanes.dot_pairs(value, one));
        at += L::WORDS;
    }
    let mut sums = [0_i32; 16];
    lanes.store_ints(&mut sums, 0, sum);
    sums.iter().map(|sum| u64::from(sum.unsigned_abs())).sum()
}

/// The first `count` words of a vector, and zeros.
#[inline(always)]
fn first_words<L: Lanes>(lanes: L, value: L::V, count: usize) -> L::V {
    /// 32 words with all bits, then 32 without.
    const EDGE: [i16; 64] = {
        let mut edge = [0; 64];
        let mut at = 0;
        while at < 32 {
            edge[at] = -1;
            at += 1;
        }
        edge
    };
    lanes.and(value, lanes.load_words(&EDGE, 32 - count))
}

/// The sum of a row whose values between the passes leave 16 bits.
#[inline(always)]
fn sum_in_ints(rows: [&[i16]; WINDOW], bit_depth: u32, line: &mut [i32]) -> u64 {
    let width = line.len() - 2 * REACH;
    scalar::blur_columns::<_, false>(rows, bit_depth, &mut line[REACH..REACH + width]);
    extend_line(line, REACH, width);
    scalar::blur_row_and_sum::<true>(line, width).into()
}
