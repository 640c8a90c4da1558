//! From samples to luma levels of ten bits, and which of them lie in flat surroundings.
//!
//! One walk down the picture, a row at a time:
//! 1. Level of a sample: `v << 2` of 8 bits, `v << 1` of 9, else `(v + half) >> (bits - 10)`, which
//!    can reach 1024. When the picture is scored at another size, of the nearest sample (positions
//!    are sums of `f32` steps, as in libvmaf).
//! 2. Encodes of fewer than ten bits: the mean of the 2x2 levels to the right and below, rounded
//!    down; the border repeats. Sums stay below 4 * 1024.
//! 3. A level is *flat* when it equals its right and its lower neighbour; neighbours outside do not
//!    count. The mask is set where more than a certain number of the 7x7 levels around are flat
//!    (outside there is none): column sums of at most 7 and window sums of at most 49 fit a byte.
//!
//! What comes out is a plane of levels with [`MASKED`] set where the mask is, each second row and
//! column of it when the picture is halved right away.

use super::params::Geometry;

/// The bit above all levels: this sample is in flat surroundings.
pub(super) const MASKED: u16 = 1 << 15;

/// Side of the window that flat levels are counted in.
const WINDOW: usize = 7;
const REACH: usize = WINDOW / 2;

/// Levels beyond a row's end that the loops may read.
const BEYOND: usize = 1;

/// A sample as it lies in memory.
pub(super) trait Sample: Copy {
    /// The level of ten bits.
    fn level(self, bit_depth: u32) -> u16;
    fn value(self) -> u16;
}

impl Sample for u8 {
    #[inline(always)]
    fn level(self, _bit_depth: u32) -> u16 {
        u16::from(self) << 2
    }

    #[inline(always)]
    fn value(self) -> u16 {
        u16::from(self)
    }
}

impl Sample for u16 {
    #[inline(always)]
    fn level(self, bit_depth: u32) -> u16 {
        match bit_depth {
            ..=9 => self << 1,
            10 => self,
            _ => {
                let shift = bit_depth - 10;
                (self >> shift) + ((self >> (shift - 1)) & 1)
            }
        }
    }

    #[inline(always)]
    fn value(self) -> u16 {
        self
    }
}

/// A picture and what is to be made of it.
pub(super) struct Input<'a, S> {
    pub(super) samples: &'a [S],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bit_depth: u32,
    /// Average the dither away.
    pub(super) averaged: bool,
    /// Keep each second row and column only.
    pub(super) halved: bool,
    /// The mask is set where more than this many levels are flat.
    pub(super) flat_min: u8,
}

/// Rows in work; they grow to the widest picture seen.
#[derive(Debug, Default)]
pub(super) struct SpatialRows {
    /// Levels of two rows.
    raw: [Vec<u16>; 2],
    /// Levels of two rows, dither averaged.
    levels: [Vec<u16>; 2],
    /// Which levels are flat, [`WINDOW`] rows.
    flat: [Vec<u8>; WINDOW],
    /// Flat levels in each column of the last [`WINDOW`] rows, [`REACH`] zeros at both sides.
    sums: Vec<u8>,
    /// The mask of one row.
    mask: Vec<u8>,
    /// For each column and row scored, which of the picture it is taken from; empty when all are.
    columns: Vec<u32>,
    rows: Vec<u32>,
}

impl SpatialRows {
    /// Makes room for one picture of `size`, taken from one of `picture`.
    pub(super) fn prepare(&mut self, picture: [usize; 2], size: &Geometry) {
        let width = size.width;
        for row in self.raw.iter_mut().chain(&mut self.levels) {
            row.resize(width + BEYOND, 0);
        }
        for row in &mut self.flat {
            row.clear();
            row.resize(width, 0);
        }
        self.sums.clear();
        self.sums.resize(width + 2 * REACH, 0);
        self.mask.resize(width.next_multiple_of(2), 0);
        let scaled = picture != [size.width, size.height];
        let places =
            [(&mut self.columns, picture[0], width), (&mut self.rows, picture[1], size.height)];
        for (places, from, to) in places {
            places.clear();
            if scaled {
                places.extend(nearest(from, to));
            }
        }
    }
}

/// Which of `from` places each of `to` places is nearest to.
///
/// Positions are added up in `f32`, whose error may carry the last ones of a very large picture
/// beyond its end; these stay at the last place. (libvmaf reads what lies behind.)
fn nearest(from: usize, to: usize) -> impl Iterator<Item = u32> {
    let ratio = from as f32 / to as f32;
    let mut position = (f64::from(ratio / 2.0) - 0.5) as f32;
    (0..to).map(move |_| {
        let place = (f64::from(position) + 0.5) as u32;
        position += ratio;
        place.min(from as u32 - 1)
    })
}

/// How many flat levels the mask takes at least, less one: more in a larger picture.
pub(super) fn flat_min(size: &Geometry) -> u8 {
    let blocks = ((size.width >> 6) * (size.height >> 6)) as u32;
    // The logarithm rounded up; 0 for no block too.
    let octaves =
        if blocks == 0 { 0 } else { (blocks - 1).checked_ilog2().map_or(0, |log| log + 1) };
    (((WINDOW * WINDOW) as i32 + 3 * (octaves as i32 - 11) - 1) >> 1) as u8
}

/// Walks down one picture; `plane` gets rows of `plane_stride` values.
///
/// Returns false, with the plane undefined, when a sample is above the bit depth.
#[inline(always)]
pub(super) fn walk<S: Sample>(
    input: &Input<'_, S>,
    size: &Geometry,
    rows: &mut SpatialRows,
    plane: &mut [u16],
    plane_stride: usize,
) -> bool {
    if !in_range(input) {
        return false;
    }
    let (width, height) = (size.width, size.height);
    let step = if input.halved { 2 } else { 1 };
    load_row(input, size, rows, 0);
    for row in 0..height + REACH {
        if row < height {
            if row + 1 < height {
                load_row(input, size, rows, row + 1);
            }
            let levels = &rows.levels[row % 2];
            let below = &rows.levels[if row + 1 < height { (row + 1) % 2 } else { row % 2 }];
            count_flat(levels, below, &mut rows.flat[row % WINDOW], &mut rows.sums[REACH..], width);
            if row % step == 0 {
                let out = &mut plane[row / step * plane_stride..][..plane_stride];
                store_levels(levels, out, width, step);
            }
        } else {
            forget_flat(&mut rows.flat[row % WINDOW], &mut rows.sums[REACH..]);
        }
        if row >= REACH && (row - REACH).is_multiple_of(step) {
            let out = &mut plane[(row - REACH) / step * plane_stride..][..plane_stride];
            mark(&rows.sums, &mut rows.mask, input.flat_min, out, width, step);
        }
    }
    true
}

#[inline(always)]
fn in_range<S: Sample>(input: &Input<'_, S>) -> bool {
    if matches!(input.bit_depth, 8 | 16) {
        return true;
    }
    let max = (1_u16 << input.bit_depth) - 1;
    (0..input.height).all(|row| {
        let samples = &input.samples[row * input.stride..][..input.width];
        samples.iter().fold(0, |most, sample| sample.value().max(most)) <= max
    })
}

/// Makes the levels of `row` in `rows.levels[row % 2]`. Rows are made in their order.
#[inline(always)]
fn load_row<S: Sample>(input: &Input<'_, S>, size: &Geometry, rows: &mut SpatialRows, row: usize) {
    let SpatialRows { raw, levels, columns, rows: places, .. } = rows;
    let from = |row: usize| places.get(row).map_or(row, |place| *place as usize);
    if !input.averaged {
        take_row(input, from(row), columns, &mut levels[row % 2], size.width);
        return;
    }
    if row == 0 {
        take_row(input, from(0), columns, &mut raw[0], size.width);
    }
    let below = if row + 1 < size.height {
        take_row(input, from(row + 1), columns, &mut raw[(row + 1) % 2], size.width);
        (row + 1) % 2
    } else {
        row % 2
    };
    average(&raw[row % 2], &raw[below], &mut levels[row % 2], size.width);
}

/// The levels of row `from` of the picture, the last one twice.
#[inline(always)]
fn take_row<S: Sample>(
    input: &Input<'_, S>,
    from: usize,
    columns: &[u32],
    out: &mut [u16],
    width: usize,
) {
    let samples = &input.samples[from * input.stride..][..input.width];
    if columns.is_empty() {
        for (out, sample) in out.iter_mut().zip(samples) {
            *out = sample.level(input.bit_depth);
        }
    } else {
        for (out, column) in out.iter_mut().zip(columns) {
            *out = samples[*column as usize].level(input.bit_depth);
        }
    }
    out[width] = out[width - 1];
}

#[inline(always)]
fn average(upper: &[u16], lower: &[u16], out: &mut [u16], width: usize) {
    let (upper, lower) = (&upper[..width + 1], &lower[..width + 1]);
    let averaged = &mut out[..width];
    for column in 0..width {
        let sum = upper[column] + upper[column + 1] + lower[column] + lower[column + 1];
        averaged[column] = sum >> 2;
    }
    out[width] = out[width - 1];
}

/// Adds the flat levels of one row to the sums, in place of those of [`WINDOW`] rows before.
#[inline(always)]
fn count_flat(levels: &[u16], below: &[u16], flat: &mut [u8], sums: &mut [u8], width: usize) {
    let (levels, below) = (&levels[..width + 1], &below[..width]);
    let (flat, sums) = (&mut flat[..width], &mut sums[..width]);
    for column in 0..width {
        let level = levels[column];
        let now = u8::from((level == levels[column + 1]) & (level == below[column]));
        sums[column] = sums[column].wrapping_sub(flat[column]).wrapping_add(now);
        flat[column] = now;
    }
}

/// Takes the flat levels of [`WINDOW`] rows before out of the sums.
#[inline(always)]
fn forget_flat(flat: &mut [u8], sums: &mut [u8]) {
    for (sum, flat) in sums.iter_mut().zip(flat) {
        *sum = sum.wrapping_sub(*flat);
        *flat = 0;
    }
}

#[inline(always)]
fn store_levels(levels: &[u16], out: &mut [u16], width: usize, step: usize) {
    let (out, rest) = out.split_at_mut(width.div_ceil(step));
    if step == 1 {
        out.copy_from_slice(&levels[..width]);
    } else {
        // A row has one level more than its width, so that an odd last one makes a pair.
        let pairs = levels.chunks_exact(2);
        for (out, pair) in out.iter_mut().zip(pairs) {
            *out = pair[0];
        }
        if width % 2 == 1 {
            out[width / 2] = levels[width - 1];
        }
    }
    rest.fill(0);
}

/// Sets [`MASKED`] in one row of the plane.
#[inline(always)]
fn mark(sums: &[u8], mask: &mut [u8], flat_min: u8, out: &mut [u16], width: usize, step: usize) {
    let sums = &sums[..width + 2 * REACH];
    let row = &mut mask[..width];
    for column in 0..width {
        let window = &sums[column..column + WINDOW];
        let sum = window[0] + window[1] + window[2] + window[3] + window[4] + window[5] + window[6];
        row[column] = u8::from(sum > flat_min);
    }
    if step == 1 {
        for (out, mask) in out.iter_mut().zip(&mask[..width]) {
            *out |= u16::from(*mask) << 15;
        }
    } else {
        for (out, pair) in out.iter_mut().zip(mask.chunks_exact(2)) {
            *out |= u16::from(pair[0]) << 15;
        }
    }
}
