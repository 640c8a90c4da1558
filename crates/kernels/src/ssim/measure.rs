//! Luminance, contrast and structure at each place of the window, and their sums.
//!
//! With means `m`, variances `v` (not below 0) and covariance `k` from the window's blurred values
//! and products, all in `f32`, and `d = f32(sqrt(f32(v1 * v2)))`:
//!
//! - luminance `(2 m1 m2 + C1) / f32(m1^2 + m2^2 + C1)`, in `f64`
//! - contrast `(2 d + C2) / f32(v1 + v2 + C2)`, in `f64`
//! - structure `f32(k + C3) / f32(d + C3)`, divided in `f32`; where one picture is flat (`d` is 0) a
//!   negative `k`, which only rounding can make, counts as 0
//!
//! Sums are taken in `f64` one place after the other, row after row, since they are rounded at
//! every step. All denominators are positive.

use super::block::{BLOCK, Block, grow};
use super::sum::OrderedSum;
use super::window::{Products, ROWS, ROWS_UNDER, blur_columns};

/// The blurred lines of one row: reference, distorted, their squares, and their product.
pub(super) const LINES: usize = 5;

const PEAK: f32 = 255.0;
const C1: f32 = (0.01 * PEAK) * (0.01 * PEAK);
const C2: f32 = (0.03 * PEAK) * (0.03 * PEAK);
const C3: f32 = C2 / 2.0;

/// Sums over all places of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) luminance: OrderedSum,
    pub(super) contrast: OrderedSum,
    pub(super) structure: OrderedSum,
    /// Of the product of the three.
    pub(super) whole: OrderedSum,
}

/// Which of the [`Sums`] are taken; the others stay what they are.
pub(super) trait Wanted {
    const LUMINANCE: bool;
    const CONTRAST_AND_STRUCTURE: bool;
    const WHOLE: bool;
}

/// The product alone.
pub(super) struct Whole;

impl Wanted for Whole {
    const LUMINANCE: bool = false;
    const CONTRAST_AND_STRUCTURE: bool = false;
    const WHOLE: bool = true;
}

/// The three parts and the product.
pub(super) struct Everything;

impl Wanted for Everything {
    const LUMINANCE: bool = true;
    const CONTRAST_AND_STRUCTURE: bool = true;
    const WHOLE: bool = true;
}

/// The three parts.
pub(super) struct Parts;

impl Wanted for Parts {
    const LUMINANCE: bool = true;
    const CONTRAST_AND_STRUCTURE: bool = true;
    const WHOLE: bool = false;
}

/// Contrast and structure.
pub(super) struct Detail;

impl Wanted for Detail {
    const LUMINANCE: bool = false;
    const CONTRAST_AND_STRUCTURE: bool = true;
    const WHOLE: bool = false;
}

/// The rows under the windows of up to [`ROWS`] rows of places.
#[derive(Clone, Copy)]
pub(super) struct WindowRows<'a> {
    /// [`LINES`] lines of equal length each; those of rows that are not there are not used.
    pub(super) rows: [&'a [Block<f32>]; ROWS_UNDER],
    /// Places of the window in a row.
    pub(super) places: usize,
    /// Rows of places, 1 to [`ROWS`].
    pub(super) count: usize,
}

impl<'a> WindowRows<'a> {
    #[inline(always)]
    fn blocks(&self) -> usize {
        self.rows[0].len() / LINES
    }

    /// One block of one line, in all rows.
    #[inline(always)]
    fn block(&self, line: usize, index: usize) -> [&'a Block<f32>; ROWS_UNDER] {
        let at = line * self.blocks() + index;
        self.rows.map(|row| &row[at])
    }
}

/// What is kept of [`ROWS`] rows of places until they are summed, and on the way.
#[derive(Debug, Default)]
pub(super) struct Work {
    products: Products,
    luminance: Vec<Block<f64>>,
    contrast: Vec<Block<f64>>,
    structure: Vec<Block<f64>>,
    whole: Vec<Block<f64>>,
}

impl Work {
    /// Makes room for rows of `blocks`.
    pub(super) fn reserve(&mut self, blocks: usize) {
        for buffer in
            [&mut self.luminance, &mut self.contrast, &mut self.structure, &mut self.whole]
        {
            grow(buffer, ROWS * blocks);
        }
    }

    pub(super) fn products(&mut self) -> &mut Products {
        &mut self.products
    }
}

/// Adds up to [`ROWS`] rows of places to `sums`.
#[inline(always)]
pub(super) fn measure_rows<W: Wanted>(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums) {
    let blocks = window.blocks();
    let mut moments = [[Block::default(); ROWS]; LINES];
    for index in 0..blocks {
        for (line, moments) in moments.iter_mut().enumerate() {
            blur_columns(window.block(line, index), moments, &mut work.products);
        }
        let places = BLOCK.min(window.places - index * BLOCK);
        for row in 0..window.count {
            measure_block::<W>(
                moments.each_ref().map(|line| &line[row]),
                work,
                row * blocks + index,
            );
            if places < BLOCK {
                work.clear_after::<W>(places, row * blocks + index);
            }
        }
    }
    for index in 0..window.count * blocks {
        if W::LUMINANCE {
            sums.luminance.add(&work.luminance[index]);
        }
        if W::CONTRAST_AND_STRUCTURE {
            sums.contrast.add(&work.contrast[index]);
            sums.structure.add(&work.structure[index]);
        }
        if W::WHOLE {
            sums.whole.add(&work.whole[index]);
        }
    }
}

impl Work {
    /// Leaves the first `places` of block `index` and makes the others count nothing.
    fn clear_after<W: Wanted>(&mut self, places: usize, index: usize) {
        for buffer in
            [&mut self.luminance, &mut self.contrast, &mut self.structure, &mut self.whole]
        {
            buffer[index].0[places..].fill(0.0);
        }
    }
}

#[inline(always)]
fn measure_block<W: Wanted>(moments: [&Block<f32>; LINES], work: &mut Work, index: usize) {
    let [Block(mean1), Block(mean2), Block(square1), Block(square2), Block(product)] = moments;
    let Block(luminances) = &mut work.luminance[index];
    let Block(contrasts) = &mut work.contrast[index];
    let Block(structures) = &mut work.structure[index];
    let Block(wholes) = &mut work.whole[index];
    for x in 0..BLOCK {
        let (m1, m2) = (mean1[x], mean2[x]);
        let v1 = not_negative(square1[x] - m1 * m1);
        let v2 = not_negative(square2[x] - m2 * m2);
        let covariance = product[x] - m1 * m2;
        let deviations = (v1 * v2).sqrt();
        let contrast = (2.0 * f64::from(deviations) + f64::from(C2)) / f64::from(v1 + v2 + C2);
        let covariance = if covariance < 0.0 && deviations <= 0.0 { 0.0 } else { covariance };
        let structure = f64::from((covariance + C3) / (deviations + C3));
        if W::CONTRAST_AND_STRUCTURE {
            contrasts[x] = contrast;
            structures[x] = structure;
        }
        if W::LUMINANCE || W::WHOLE {
            let numerator = 2.0 * f64::from(m1) * f64::from(m2) + f64::from(C1);
            let luminance = numerator / f64::from(m1 * m1 + m2 * m2 + C1);
            if W::LUMINANCE {
                luminances[x] = luminance;
            }
            if W::WHOLE {
                wholes[x] = luminance * contrast * structure;
            }
        }
    }
}

#[inline(always)]
fn not_negative(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}
