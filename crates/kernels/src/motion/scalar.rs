//! The motion sum, one row at a time.
//!
//! Range: a column sum is at most 65535 * 65536 in magnitude. Its exact floor after the shift is
//! found in 32 bits by filtering the halved differences and their low bits apart:
//! `sum = 2 * halves + bits` with `|halves| <= 2^31` and `0 <= bits <= 65536`, so that
//! `(sum + half) >> shift = (halves + ((bits + half) >> 1)) >> (shift - 1)`.

use crate::border::{extend_line, reflect};

/// Samples on each side of the middle one.
pub(super) const REACH: usize = 2;

/// Outer, inner and middle tap; both outer and both inner ones and the middle sum to 65536.
const TAPS: [i32; 3] = [3571, 16_004, 26_386];

/// Two pictures of one shape.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, S> {
    pub(super) pictures: [&'a [S]; 2],
    pub(super) strides: [usize; 2],
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bit_depth: u32,
}

#[inline(always)]
pub(super) fn sad<S: Copy + Into<i32>>(input: &Input<'_, S>, line: &mut [i32]) -> u64 {
    let mut sum = 0;
    for y in 0..input.height {
        blur_columns(input, y, &mut line[REACH..REACH + input.width]);
        extend_line(line, REACH, input.width);
        sum += u64::from(blur_row_and_sum(line, input.width));
    }
    sum
}

/// Differences of rows `y - 2` to `y + 2`, blurred downwards.
#[inline(always)]
fn blur_columns<S: Copy + Into<i32>>(input: &Input<'_, S>, y: usize, line: &mut [i32]) {
    let width = line.len();
    let rows: [[&[S]; 5]; 2] = [0, 1].map(|picture| {
        std::array::from_fn(|tap| {
            let row = reflect(y as isize + tap as isize - REACH as isize, input.height);
            &input.pictures[picture][row * input.strides[picture]..][..width]
        })
    });
    let [previous, current] = &rows;
    for x in 0..width {
        let difference = |tap: usize| previous[tap][x].into() - current[tap][x].into();
        line[x] = blur(std::array::from_fn(difference), input.bit_depth);
    }
}

/// Blurs the line between its borders and sums absolute values; at most 16384 * 65535.
#[inline(always)]
fn blur_row_and_sum(line: &[i32], width: usize) -> u32 {
    let taps: [&[i32]; 5] = std::array::from_fn(|tap| &line[tap..tap + width]);
    (0..width)
        .map(|x| blur(std::array::from_fn(|tap| taps[tap][x]), 16).unsigned_abs())
        .fold(0, u32::wrapping_add)
}

/// The weighted sum of five values of at most 65535 in magnitude, rounded after `shift` bits.
#[inline(always)]
fn blur(values: [i32; 5], shift: u32) -> i32 {
    let weigh = |values: [i32; 5]| {
        let [a, b, c, d, e] = values;
        TAPS[0]
            .wrapping_mul(a + e)
            .wrapping_add(TAPS[1].wrapping_mul(b + d))
            .wrapping_add(TAPS[2].wrapping_mul(c))
    };
    let halves = weigh(values.map(|value| value >> 1));
    let bits = weigh(values.map(|value| value & 1));
    let half = 1 << (shift - 1);
    halves.wrapping_add((bits + half) >> 1) >> (shift - 1)
}
