//! The window of SSIM: a Gaussian of eleven taps, across a row and then down the columns.
//!
//! Formula: `f32(sum of f64(f32(value * tap)))`, once across and once down. Each product is rounded
//! to `f32`; the sums are taken in `f64` from the first to the last position of the window, and
//! rounded to `f32` at the end. The window is applied only where it lies within the picture, so
//! that the result is ten samples narrower and lower.
//!
//! Rounding the products costs more than adding them. A value meets each of the six distinct taps
//! once, and whoever needs the product takes it from memory: both positions of the tap across, and
//! up to [`ROWS`] rows of results down.
//!
//! Range: values are below 2^17 in magnitude, and the taps sum to about 1. Nothing overflows.

use super::block::{Aligned, BLOCK, Block, blocks};

/// Rows and columns of the window.
pub(super) const WINDOW: usize = 11;

/// What the window takes away from each side's length.
pub(super) const LOSS: usize = WINDOW - 1;

/// Rows of results made at a time.
pub(super) const ROWS: usize = 4;

/// Rows of values under [`ROWS`] windows.
pub(super) const ROWS_UNDER: usize = ROWS + LOSS;

/// Outermost to middle; the window is symmetric.
const TAPS: [f32; 6] = [0.001028, 0.007599, 0.036001, 0.109361, 0.213006, 0.266012];

/// Values filtered across at a time: their products then stay in the first-level cache.
const CHUNK: usize = 2 * BLOCK;

/// Values that the windows of a chunk cover, in whole vectors.
const LINE: usize = CHUNK + 16;

/// The length that a row of `width` values is padded to, for windows read in whole vectors.
pub(super) const fn padded_len(width: usize) -> usize {
    (width - LOSS).next_multiple_of(BLOCK) + LINE - CHUNK
}

/// Which of [`TAPS`] stands at `position` of the window.
const fn tap_at(position: usize) -> usize {
    if position < TAPS.len() { position } else { LOSS - position }
}

/// Products of one chunk of a row with each tap.
pub(super) type AcrossProducts = Aligned<[[f64; LINE]; TAPS.len()]>;

/// Products of one block of the rows under the windows with each tap.
pub(super) type DownProducts = [[Block<f32>; TAPS.len()]; ROWS_UNDER];

/// What is kept from call to call only to save clearing it.
#[derive(Debug)]
pub(super) struct Products {
    across: AcrossProducts,
    down: DownProducts,
}

impl Default for Products {
    fn default() -> Self {
        Self {
            across: Aligned([[0.0; LINE]; TAPS.len()]),
            down: [[Block([0.0; BLOCK]); TAPS.len()]; ROWS_UNDER],
        }
    }
}

/// What the window sees across a row: `blurred[x]` covers `values[x..x + WINDOW]`.
///
/// `values` has the length that [`padded_len`] says; what lies beyond the picture only reaches
/// results beyond it.
#[inline(always)]
pub(super) fn blur_row(values: &[f32], blurred: &mut [Block<f32>], products: &mut Products) {
    let Aligned(products) = &mut products.across;
    for (chunk, blurred) in blurred.chunks_mut(CHUNK / BLOCK).enumerate() {
        let count = blurred.len() * BLOCK;
        let values = &values[chunk * CHUNK..][..count + LINE - CHUNK];
        for (line, tap) in products.iter_mut().zip(TAPS) {
            for (product, value) in line.iter_mut().zip(values) {
                *product = f64::from(value * tap);
            }
        }
        for (index, Block(blurred)) in blurred.iter_mut().enumerate() {
            let [p0, p1, p2, p3, p4, p5] =
                products.each_ref().map(|line| &line[index * BLOCK..][..BLOCK + LOSS]);
            for x in 0..BLOCK {
                let sum = p0[x]
                    + p1[x + 1]
                    + p2[x + 2]
                    + p3[x + 3]
                    + p4[x + 4]
                    + p5[x + 5]
                    + p4[x + 6]
                    + p3[x + 7]
                    + p2[x + 8]
                    + p1[x + 9]
                    + p0[x + 10];
                blurred[x] = sum as f32;
            }
        }
    }
}

/// The first and last of [`TAPS`] that row `row` of those under [`ROWS`] windows meets.
const fn taps_of(row: usize) -> [usize; 2] {
    let first = row.saturating_sub(ROWS - 1);
    let last = if row < LOSS { row } else { LOSS };
    let (a, b) = (tap_at(first), tap_at(last));
    let least = if a < b { a } else { b };
    let most = if first <= LOSS / 2 && LOSS / 2 <= last { LOSS / 2 } else { a + b - least };
    [least, most]
}

/// What the windows see down the columns of one block.
///
#[inline(always)]
pub(super) fn blur_columns(
    rows: [&Block<f32>; ROWS_UNDER],
    blurred: &mut [Block<f32>; ROWS],
    products: &mut Products,
) {
    let products = &mut products.down;
    for (row, Block(values)) in rows.iter().enumerate() {
        let [first, last] = const { all_taps_of() }[row];
        for tap in first..=last {
            let Block(line) = &mut products[row][tap];
            for x in 0..BLOCK {
                line[x] = values[x] * TAPS[tap];
            }
        }
    }
    for (row, Block(blurred)) in blurred.iter_mut().enumerate() {
        let products: &[_; WINDOW] = products[row..].first_chunk().expect("eleven rows");
        for x in 0..BLOCK {
            let mut sum = f64::from(products[0][0].0[x]);
            for position in 1..WINDOW {
                sum += f64::from(products[position][tap_at(position)].0[x]);
            }
            blurred[x] = sum as f32;
        }
    }
}

const fn all_taps_of() -> [[usize; 2]; ROWS_UNDER] {
    let mut all = [[0; 2]; ROWS_UNDER];
    let mut row = 0;
    while row < ROWS_UNDER {
        all[row] = taps_of(row);
        row += 1;
    }
    all
}

/// Blocks that one blurred row of pictures of `width` samples takes.
pub(super) const fn blurred_blocks(width: usize) -> usize {
    blocks(width - LOSS)
}
