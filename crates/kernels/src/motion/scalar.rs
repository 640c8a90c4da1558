//! The motion sum, one row at a time: each difference is taken once and kept for five rows.
//!
//! Range: a weighed sum of five values of at most 65535 in magnitude reaches 65535 * 65536, beyond
//! 32 bits. Where values may be that large, their halves and their low bits are weighed apart,
//! which is exact: `sum = 2 * halves + bits` with `|halves| <= 2^31` and `0 <= bits <= 65536`, so
//! `(sum + half) >> shift = (halves + ((bits + half) >> 1)) >> (shift - 1)`. Values that fit 16
//! signed bits need no such care, and natural pictures have no others.

use crate::border::{extend_line, reflect};

/// Samples on each side of the middle one.
pub(super) const REACH: usize = 2;

/// Rows and columns of the filter.
pub(super) const WINDOW: usize = 2 * REACH + 1;

/// Outer, inner and middle tap; both outer and both inner ones and the middle sum to 65536.
pub(super) const TAPS: [i32; 3] = [3571, 16_004, 26_386];

/// Two pictures of one shape.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, S> {
    pub(super) pictures: [&'a [S]; 2],
    pub(super) strides: [usize; 2],
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bit_depth: u32,
}

/// Lines kept while walking down; they grow to the widest picture seen and are then reused.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Differences of the last [`WINDOW`] rows.
    differences: Vec<i32>,
    /// One blurred row and its borders.
    pub(super) line: Vec<i32>,
}

impl Buffers {
    /// Makes room for rows of up to `width` samples.
    pub(super) fn reserve(&mut self, width: usize) {
        let grow = |buffer: &mut Vec<i32>, len: usize| {
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
        };
        grow(&mut self.differences, WINDOW * width);
        grow(&mut self.line, width + 2 * REACH);
    }
}

#[inline(always)]
pub(super) fn sad<S: Copy + Into<i32>>(input: &Input<'_, S>, buffers: &mut Buffers) -> u64 {
    let Input { width, height, bit_depth, .. } = *input;
    let differences = &mut buffers.differences[..WINDOW * width];
    let line = &mut buffers.line[..width + 2 * REACH];
    for y in 0..REACH.min(height) {
        subtract_row(input, y, &mut differences[y * width..][..width]);
    }
    let mut sum = 0;
    for y in 0..height {
        let newest = y + REACH;
        if newest < height {
            subtract_row(input, newest, &mut differences[newest % WINDOW * width..][..width]);
        }
        let rows: [&[i32]; WINDOW] = std::array::from_fn(|tap| {
            let row = reflect(y as isize + tap as isize - REACH as isize, height);
            &differences[row % WINDOW * width..][..width]
        });
        let blurred = &mut line[REACH..REACH + width];
        if bit_depth < 16 {
            blur_columns::<_, false>(rows, bit_depth, blurred);
        } else {
            blur_columns::<_, true>(rows, bit_depth, blurred);
        }
        let fit_i16 = all_fit_i16(blurred);
        extend_line(line, REACH, width);
        let row_sum = if fit_i16 {
            blur_row_and_sum::<false>(line, width)
        } else {
            blur_row_and_sum::<true>(line, width)
        };
        sum += u64::from(row_sum);
    }
    sum
}

#[inline(always)]
fn subtract_row<S: Copy + Into<i32>>(input: &Input<'_, S>, y: usize, difference: &mut [i32]) {
    let width = difference.len();
    let [previous, current] =
        [0, 1].map(|picture| &input.pictures[picture][y * input.strides[picture]..][..width]);
    for x in 0..width {
        difference[x] = previous[x].into() - current[x].into();
    }
}

#[inline(always)]
pub(super) fn blur_columns<T: Copy + Into<i32>, const LARGE: bool>(
    rows: [&[T]; WINDOW],
    bit_depth: u32,
    blurred: &mut [i32],
) {
    let rows = rows.map(|row| &row[..blurred.len()]);
    for x in 0..blurred.len() {
        let values = [rows[0][x], rows[1][x], rows[2][x], rows[3][x], rows[4][x]];
        blurred[x] = blur::<LARGE>(values.map(Into::into), bit_depth);
    }
}

#[inline(always)]
fn all_fit_i16(values: &[i32]) -> bool {
    values.iter().fold(0, |bits, value| bits | (value ^ (value >> 31))) <= i32::from(i16::MAX)
}

/// Blurs the line between its borders and sums absolute values; at most 16384 * 65535.
#[inline(always)]
pub(super) fn blur_row_and_sum<const LARGE: bool>(line: &[i32], width: usize) -> u32 {
    let line = &line[..width + 2 * REACH];
    let mut sum = 0_u32;
    for x in 0..width {
        let values = [line[x], line[x + 1], line[x + 2], line[x + 3], line[x + 4]];
        sum = sum.wrapping_add(blur::<LARGE>(values, 16).unsigned_abs());
    }
    sum
}

/// The weighed sum of five values, rounded after `shift` bits. They are at most 65535 in magnitude
/// if `LARGE`, else they fit 16 signed bits.
#[inline(always)]
fn blur<const LARGE: bool>(values: [i32; WINDOW], shift: u32) -> i32 {
    let half = 1 << (shift - 1);
    if LARGE {
        let halves = weigh(values.map(|value| value >> 1));
        let bits = weigh(values.map(|value| value & 1));
        halves.wrapping_add((bits + half) >> 1) >> (shift - 1)
    } else {
        weigh(values).wrapping_add(half) >> shift
    }
}

#[inline(always)]
fn weigh(values: [i32; WINDOW]) -> i32 {
    let [a, b, c, d, e] = values;
    TAPS[0]
        .wrapping_mul(a + e)
        .wrapping_add(TAPS[1].wrapping_mul(b + d))
        .wrapping_add(TAPS[2].wrapping_mul(c))
}
