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
use super::lanes::Lanes;
use super::range::Ranges;
use super::sum::OrderedSum;
use super::window::{
    Blurred, COLUMNS, LINES, LOSS, Products, ROWS, ROWS_UNDER, Strip, blur_across, blur_down,
};

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

/// Rows of both pictures that go in at once, and what is known of those before.
pub(super) struct Batch<'a> {
    /// Rows one after the other, each of `row_len` values.
    pub(super) rows: [&'a [f32]; 2],
    pub(super) row_len: usize,
    /// How many there are, at most [`ROWS`] after others and at most [`LOSS`] at first.
    pub(super) count: usize,
    /// How many came before that windows still cover: [`LOSS`], or none at first.
    pub(super) kept: usize,
    /// Places of the window in a row.
    pub(super) places: usize,
    /// Those of every block, left to right.
    pub(super) strips: &'a mut [Strip],
    /// Of the values that each row of each block was blurred from.
    pub(super) ranges: &'a mut [BlockRanges],
}

/// The ranges of each row under [`ROWS`] windows.
pub(super) type BlockRanges = [Ranges; ROWS_UNDER];

impl Batch<'_> {
    /// Blurs block `index` of all rows across.
    ///
    /// All ranges are taken first, since it is long from the values of a row to its range.
    #[inline(always)]
    fn blur_block(&mut self, v: impl Lanes, index: usize, products: &mut Products) {
        let (blocks, _) = self.strips.as_chunks_mut();
        let ranges = &mut self.ranges[index];
        let block_of = |row: usize| {
            let start = row * self.row_len + index * BLOCK;
            self.rows.map(|rows| rows[start..].first_chunk().expect("rows are padded"))
        };
        let ranges = &mut ranges[self.kept..][..self.count];
        for (row, ranges) in ranges.iter_mut().enumerate() {
            *ranges = Ranges::of(v, block_of(row));
        }
        blur_across(v, block_of, ranges, &mut blocks[index], self.kept, products);
    }

    /// The exponents for sums in integers down block `index` of each line.
    #[inline(always)]
    fn exponents(&self, index: usize) -> [Option<u32>; LINES] {
        Ranges::of_all(&self.ranges[index][..self.kept + self.count]).exponents_down()
    }

    /// Leaves the last rows of a vector of columns where the first ones were.
    #[inline(always)]
    fn keep<V: Lanes>(&mut self, v: V, vector: usize) {
        let (strip, at) = (vector * V::LANES / COLUMNS, vector * V::LANES % COLUMNS);
        for rows in &mut self.strips[strip].0 {
            for row in 0..LOSS {
                let values = v.load(&rows[row + ROWS][at..]);
                v.store(values, &mut rows[row][at..]);
            }
        }
    }
}

/// What is kept of [`ROWS`] rows of places until they are summed, and on the way.
#[derive(Debug, Default)]
pub(super) struct Work {
    products: Products,
    luminance: Vec<Block<f64>>,
    contrast: Vec<Block<f64>>,
    /// Floats, as they are divided.
    structure: Vec<Block<f32>>,
    whole: Vec<Block<f64>>,
}

impl Work {
    /// Makes room for rows of `blocks`.
    pub(super) fn reserve(&mut self, blocks: usize) {
        for buffer in [&mut self.luminance, &mut self.contrast, &mut self.whole] {
            grow(buffer, ROWS * blocks);
        }
        grow(&mut self.structure, ROWS * blocks);
    }
}

/// Takes a batch of rows, and adds as many rows of places to `sums` where others came before.
#[inline(always)]
pub(super) fn measure_rows<W: Wanted>(
    vector: impl Lanes,
    mut batch: Batch<'_>,
    work: &mut Work,
    sums: &mut Sums,
) {
    let blocks = batch.ranges.len();
    if batch.kept == 0 {
        for index in 0..blocks {
            batch.blur_block(vector, index, &mut work.products);
        }
        return;
    }
    measure_columns::<W, _>(vector, &mut batch, work);
    for row in 0..batch.count {
        let last = (row + 1) * blocks - 1;
        work.clear_after(batch.places - (blocks - 1) * BLOCK, last);
        let row = row * blocks..last + 1;
        if W::LUMINANCE {
            sums.luminance.add(vector, &work.luminance[row.clone()]);
        }
        if W::CONTRAST_AND_STRUCTURE {
            sums.contrast.add(vector, &work.contrast[row.clone()]);
            sums.structure.add(vector, &work.structure[row.clone()]);
        }
        if W::WHOLE {
            sums.whole.add(vector, &work.whole[row]);
        }
    }
}

impl Work {
    /// Leaves the first `places` of block `index` and makes the others count nothing.
    fn clear_after(&mut self, places: usize, index: usize) {
        for buffer in [&mut self.luminance, &mut self.contrast, &mut self.whole] {
            buffer[index].0[places..].fill(0.0);
        }
        self.structure[index].0[places..].fill(0.0);
    }
}

/// Measures all places, a vector of columns at a time.
///
/// While the lines of one vector are blurred, the places of the one before are measured, a few rows
/// after each line: dividing keeps one unit of the processor busy and little else.
#[inline(always)]
fn measure_columns<W: Wanted, V: Lanes>(v: V, batch: &mut Batch<'_>, work: &mut Work) {
    const ROWS_A_LINE: usize = ROWS.div_ceil(LINES - 1);
    let blocks = batch.ranges.len();
    let mut moments = [[Blurred::default(); LINES]; 2];
    let vectors = blocks * (BLOCK / V::LANES);
    let mut exponents = [None; LINES];
    for vector in 0..=vectors {
        let (this, before) = moments.split_at_mut(1);
        let [this, before] = if vector % 2 == 0 { [this, before] } else { [before, this] };
        let (this, before) = (&mut this[0], &before[0]);
        if vector < vectors && vector * V::LANES % BLOCK == 0 {
            let index = vector * V::LANES / BLOCK;
            batch.blur_block(v, index, &mut work.products);
            exponents = batch.exponents(index);
            batch.ranges[index].copy_within(ROWS.., 0);
        }
        for line in 0..LINES {
            if vector < vectors {
                let (strip, at) = (vector * V::LANES / COLUMNS, vector * V::LANES % COLUMNS);
                let rows = &batch.strips[strip].0[line];
                blur_down(v, rows, at, exponents[line], &mut this[line]);
            }
            if vector > 0 {
                let (index, at) = place::<V>(vector - 1);
                let first = (line * ROWS_A_LINE).min(batch.count);
                for row in first..(first + ROWS_A_LINE).min(batch.count) {
                    let [m1, m2, square1, square2, product] = before;
                    let moments = [
                        v.load(&m1.0[row]),
                        v.load(&m2.0[row]),
                        v.load(&square1.0[row]),
                        v.load(&square2.0[row]),
                        v.load(&product.0[row]),
                    ];
                    measure_places::<W, _>(v, moments, work, row * blocks + index, at);
                }
            }
        }
        if vector < vectors {
            batch.keep(v, vector);
        }
    }
}

/// The block and the place in it where a vector lies.
#[inline(always)]
const fn place<V: Lanes>(vector: usize) -> (usize, usize) {
    (vector * V::LANES / BLOCK, vector * V::LANES % BLOCK)
}

/// Measures a vector of places.
#[inline(always)]
fn measure_places<W: Wanted, V: Lanes>(
    v: V,
    [m1, m2, square1, square2, product]: [V::Floats; LINES],
    work: &mut Work,
    index: usize,
    at: usize,
) {
    let (square_of_m1, square_of_m2) = (v.mul(m1, m1), v.mul(m2, m2));
    let v1 = v.not_negative(v.sub_floats(square1, square_of_m1));
    let v2 = v.not_negative(v.sub_floats(square2, square_of_m2));
    let covariance = v.sub_floats(product, v.mul(m1, m2));
    let deviations = v.sqrt(v.mul(v1, v2));
    let twice = v.widen(v.add_floats(deviations, deviations));
    let contrast = v.div_doubles(
        v.add_doubles(twice, v.splat_double(f64::from(C2))),
        v.widen(v.add_floats(v.add_floats(v1, v2), v.splat(C2))),
    );
    let covariance = v.zero_if_negative_beside(covariance, deviations);
    let c3 = v.splat(C3);
    let structure = v.div_floats(v.add_floats(covariance, c3), v.add_floats(deviations, c3));
    if W::CONTRAST_AND_STRUCTURE {
        v.store_doubles(contrast, &mut work.contrast[index].0[at..]);
        v.store(structure, &mut work.structure[index].0[at..]);
    }
    if W::LUMINANCE || W::WHOLE {
        let [m1, m2] = [v.widen(m1), v.widen(m2)];
        let numerator =
            v.add_doubles(v.mul_doubles(v.add_doubles(m1, m1), m2), v.splat_double(f64::from(C1)));
        let denominator = v.add_floats(v.add_floats(square_of_m1, square_of_m2), v.splat(C1));
        let luminance = v.div_doubles(numerator, v.widen(denominator));
        if W::LUMINANCE {
            v.store_doubles(luminance, &mut work.luminance[index].0[at..]);
        }
        if W::WHOLE {
            let whole = v.mul_doubles(v.mul_doubles(luminance, contrast), v.widen(structure));
            v.store_doubles(whole, &mut work.whole[index].0[at..]);
        }
    }
}
