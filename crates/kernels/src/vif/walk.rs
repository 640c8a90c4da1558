//! One scale, two rows at a time: vertical filter, horizontal filter, statistics, and on the way
//! the picture of the next scale.
//!
//! Rows enter in pairs (2k, 2k+1), counted from `REACH` rows above the picture, each product being
//! computed once. A ring holds the pairs that the windows of two output rows cover. The vertical
//! filter leaves 16-bit lines: means of both pictures, and the high and low halves of the three
//! products. The horizontal filter over halves is exact, since
//! `(65536 high + low + 32768) >> 16 = high + ((low + 32768) >> 16)`.
//!
//! The next scale needs every second row and column of a shorter filter over the same pairs, so
//! nothing else is computed for it.

use super::fir::{BothSums, CHUNK, Fir, Pair, Sums, UNBIAS, Windows, flip};
use super::source::Source;
use super::statistic::{self, Moments, Residuals, accumulate};
use super::taps::Taps;
use crate::border::{extend_line, reflect};

/// Means of two pictures, then high and low halves of three products.
const LINES: usize = 8;

/// Samples of one picture at one scale.
#[derive(Clone, Copy)]
pub(super) struct View<'a, S> {
    pub(super) samples: &'a [S],
    pub(super) stride: usize,
}

/// What one scale works on.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, S> {
    pub(super) pictures: [View<'a, S>; 2],
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bits by which the vertical filter scales sums of samples down; 8 to 16.
    pub(super) sample_shift: u32,
    /// Bits by which it scales sums of products down; 2 to 16, unused for bytes.
    pub(super) product_shift: u32,
}

impl<S: Copy> Input<'_, S> {
    #[inline(always)]
    fn row(&self, picture: usize, virtual_row: isize) -> &[S] {
        let view = self.pictures[picture];
        let start = reflect(virtual_row, self.height) * view.stride;
        &view.samples[start..start + self.width]
    }
}

/// Lines kept while walking a scale; they grow to the widest picture seen and are then reused.
#[derive(Debug, Default)]
pub(super) struct WalkBuffers {
    /// `PAIRS_MAX` slots of pair lines.
    ring: Vec<Pair>,
    /// Vertical results of two rows.
    lines: Vec<Pair>,
    /// Vertical results of both pictures for the next scale.
    next_lines: Vec<Pair>,
}

impl WalkBuffers {
    /// Makes room for pictures of up to `width` samples a row.
    pub(super) fn reserve(&mut self, width: usize) {
        let grow = |buffer: &mut Vec<Pair>, len: usize| {
            if buffer.len() < len {
                buffer.resize(len, [0; 2]);
            }
        };
        grow(&mut self.ring, super::taps::PAIRS_MAX * LINES * ring_stride(width));
        grow(&mut self.lines, 2 * LINES * line_stride(width));
        grow(&mut self.next_lines, 2 * line_stride(width));
    }
}

/// What a chunk needs on the way, kept from chunk to chunk only to save clearing it.
struct Work {
    sums: [BothSums; 2],
    moments: Moments,
    statistic: statistic::Work,
}

impl Work {
    #[inline(always)]
    fn new() -> Self {
        Self { sums: [[0; 2 * CHUNK]; 2], moments: Moments::ZERO, statistic: statistic::Work::ZERO }
    }
}

fn ring_stride(width: usize) -> usize {
    width.next_multiple_of(CHUNK)
}

/// In pairs: the samples in whole chunks, and what their windows reach beyond.
fn line_stride(width: usize) -> usize {
    width.div_ceil(2).next_multiple_of(CHUNK) + super::taps::PAIRS_MAX
}

/// Walks one scale, of filter `T`; with `next`, makes the pictures of the next, of filter `N`.
///
/// `next` holds both pictures of `width / 2` by `height / 2` samples without gaps.
#[inline(always)]
pub(super) fn walk<S: Source, T: Taps, N: Taps, V: Fir>(
    vector: V,
    input: &Input<'_, S>,
    gain_limit: f64,
    buffers: &mut WalkBuffers,
    mut next: Option<[&mut [u16]; 2]>,
) -> Residuals {
    let mut residuals = Residuals::default();
    let mut work = Work::new();
    let WalkBuffers { ring, lines, next_lines } = buffers;
    let slot_len = S::LINES * ring_stride(input.width);
    let row_len = LINES * line_stride(input.width);
    for pair_index in 0..T::REACH {
        fill_slot::<S, T>(input, pair_index, &mut ring[pair_index * slot_len..][..slot_len]);
    }
    for row_pair in 0..input.height.div_ceil(2) {
        let newest = row_pair + T::REACH;
        fill_slot::<S, T>(input, newest, &mut ring[newest % T::PAIRS * slot_len..][..slot_len]);

        filter_columns::<S, T>(vector, input, ring, row_pair, lines, &mut work);
        for row in lines.chunks_exact_mut(row_len).take((input.height - 2 * row_pair).min(2)) {
            filter_row_and_measure::<T>(
                vector,
                row,
                input.width,
                gain_limit,
                &mut work,
                &mut residuals,
            );
        }
        if let Some(next) = &mut next
            && row_pair < input.height / 2
        {
            let next_width = input.width / 2;
            for (picture, plane) in next.iter_mut().enumerate() {
                shrink_row::<S, T, N>(
                    vector,
                    input,
                    ring,
                    row_pair,
                    picture,
                    next_lines,
                    &mut plane[row_pair * next_width..][..next_width],
                );
            }
        }
    }
    residuals
}

/// Reads two rows of both pictures into a slot: pairs of samples, then of products.
#[inline(always)]
fn fill_slot<S: Source, T: Taps>(input: &Input<'_, S>, pair_index: usize, slot: &mut [Pair]) {
    let stride = ring_stride(input.width);
    let top = 2 * pair_index as isize - T::REACH as isize;
    let rows = [0, 1].map(|picture| [input.row(picture, top), input.row(picture, top + 1)]);
    for (picture, line) in slot[..2 * stride].chunks_exact_mut(stride).enumerate() {
        pair_samples(rows[picture], &mut line[..input.width]);
    }
    let products = slot[2 * stride..].chunks_exact_mut(stride * S::PARTS);
    for ((a, b), lines) in [(0, 0), (1, 1), (0, 1)].into_iter().zip(products) {
        for (part, line) in lines.chunks_exact_mut(stride).enumerate() {
            pair_products(rows[a], rows[b], part, &mut line[..input.width]);
        }
    }
}

#[inline(always)]
fn pair_samples<S: Source>(rows: [&[S]; 2], line: &mut [Pair]) {
    let (top, bottom) = (&rows[0][..line.len()], &rows[1][..line.len()]);
    for j in 0..line.len() {
        line[j] = [top[j].sample(), bottom[j].sample()];
    }
}

#[inline(always)]
fn pair_products<S: Source>(a: [&[S]; 2], b: [&[S]; 2], part: usize, line: &mut [Pair]) {
    let (a, b) = (a.map(|row| &row[..line.len()]), b.map(|row| &row[..line.len()]));
    for j in 0..line.len() {
        line[j] = [a[0][j].product(b[0][j])[part], a[1][j].product(b[1][j])[part]];
    }
}

/// Pairs of one ring line in the window of `row_pair`, from column `start`.
#[inline(always)]
fn ring_windows<'a, S: Source, T: Taps, W: Taps>(
    input: &Input<'_, S>,
    ring: &'a [Pair],
    row_pair: usize,
    line: usize,
    start: usize,
) -> Windows<'a> {
    let stride = ring_stride(input.width);
    Windows::new::<W>(|p| {
        let slot = (row_pair + (T::REACH - W::REACH) / 2 + p) % T::PAIRS;
        &ring[(slot * S::LINES + line) * stride + start..]
    })
}

/// Pairs of one line in the windows of its pairs from `start`.
#[inline(always)]
fn line_windows<T: Taps>(lines: &[Pair], stride: usize, line: usize, start: usize) -> Windows<'_> {
    let line = &lines[line * stride..][..stride];
    Windows::new::<T>(|p| &line[start + p..])
}

/// Writes one chunk, by way of an array that shares memory with nothing `value` reads.
#[inline(always)]
fn put(line: &mut [i16], value: impl Fn(usize) -> i16) {
    let mut values = [0; CHUNK];
    for j in 0..CHUNK {
        values[j] = value(j);
    }
    line[..CHUNK].copy_from_slice(&values);
}

/// The vertical filter for rows `2 * row_pair` and the one below, all columns.
#[inline(always)]
fn filter_columns<S: Source, T: Taps>(
    vector: impl Fir,
    input: &Input<'_, S>,
    ring: &[Pair],
    row_pair: usize,
    lines: &mut [Pair],
    work: &mut Work,
) {
    let [high, low] = &mut work.sums;
    let line_len = 2 * line_stride(input.width);
    let lines = lines.as_flattened_mut();
    let place = |line: usize, start: usize| line * line_len + T::REACH + start;
    let half = |shift: u32| 1_u32.checked_shl(shift.wrapping_sub(1)).unwrap_or(0);
    for start in (0..ring_stride(input.width)).step_by(CHUNK) {
        for picture in 0..2 {
            let windows = ring_windows::<S, T, T>(input, ring, row_pair, picture, start);
            let first = S::SAMPLE_START.wrapping_add(half(input.sample_shift));
            vector.fir_both::<T>(&windows, first, high);
            for (parity, sums) in high.chunks_exact(CHUNK).enumerate() {
                let line = &mut lines[place(parity * LINES + picture, start)..];
                put(line, |j| flip(sums[j] >> input.sample_shift));
            }
        }
        for product in 0..3 {
            let part = 2 + product * S::PARTS;
            let windows = ring_windows::<S, T, T>(input, ring, row_pair, part, start);
            vector.fir_both::<T>(&windows, UNBIAS, high);
            if S::PARTS == 2 {
                let windows = ring_windows::<S, T, T>(input, ring, row_pair, part + 1, start);
                let first = UNBIAS.wrapping_add(half(input.product_shift));
                vector.fir_both::<T>(&windows, first, low);
            }
            let sums = high.chunks_exact(CHUNK).zip(low.chunks_exact(CHUNK));
            for (parity, (high, low)) in sums.enumerate() {
                let line = parity * LINES + 2 + 2 * product;
                let value = |j: usize| S::product_sum(high[j], low[j], input.product_shift);
                put(&mut lines[place(line, start)..], |j| flip(value(j) >> 16));
                put(&mut lines[place(line + 1, start)..], |j| flip(value(j)));
            }
        }
    }
}

/// Extends one row's lines, filters along them and adds what it measures to `residuals`.
#[inline(always)]
fn filter_row_and_measure<T: Taps>(
    vector: impl Fir,
    lines: &mut [Pair],
    width: usize,
    gain_limit: f64,
    work: &mut Work,
    residuals: &mut Residuals,
) {
    let stride = line_stride(width);
    for line in lines.chunks_exact_mut(stride) {
        extend_line(line.as_flattened_mut(), T::REACH, width);
    }
    let [low, _] = &mut work.sums;
    let moments = &mut work.moments;
    for start in (0..width.div_ceil(2)).step_by(CHUNK) {
        for picture in 0..2 {
            let means = &mut moments.means[picture];
            vector.fir_both::<T>(&line_windows::<T>(lines, stride, picture, start), UNBIAS, means);
        }
        for product in 0..3 {
            let sums = &mut moments.products[product];
            vector.fir_both::<T>(
                &line_windows::<T>(lines, stride, 2 + 2 * product, start),
                UNBIAS,
                sums,
            );
            vector.fir_both::<T>(
                &line_windows::<T>(lines, stride, 3 + 2 * product, start),
                UNBIAS + 32_768,
                low,
            );
            for j in 0..2 * CHUNK {
                sums[j] = sums[j].wrapping_add(low[j] >> 16);
            }
        }
        let counts = [width.div_ceil(2), width / 2].map(|places| places.saturating_sub(start));
        accumulate(vector, moments, counts, gain_limit, &mut work.statistic, residuals);
    }
}

/// One row of the next scale: row `row_pair` of `picture`, every second column.
#[inline(always)]
fn shrink_row<S: Source, T: Taps, N: Taps>(
    vector: impl Fir,
    input: &Input<'_, S>,
    ring: &[Pair],
    row_pair: usize,
    picture: usize,
    line: &mut [Pair],
    output: &mut [u16],
) {
    let rounded_width = ring_stride(input.width);
    let first = S::SAMPLE_START.wrapping_add(1 << (input.sample_shift - 1));
    let mut sums: Sums = [0; CHUNK];
    for start in (0..rounded_width).step_by(CHUNK) {
        let windows = ring_windows::<S, T, N>(input, ring, row_pair, picture, start);
        vector.fir_even::<N>(&windows, first, &mut sums);
        let line = &mut line.as_flattened_mut()[N::REACH + start..];
        put(line, |j| flip(sums[j] >> input.sample_shift));
    }
    extend_line(line.as_flattened_mut(), N::REACH, input.width);
    for start in (0..output.len()).step_by(CHUNK) {
        let output = &mut output[start..];
        let windows = Windows::new::<N>(|p| &line[start + p..]);
        vector.fir_even::<N>(&windows, UNBIAS + 32_768, &mut sums);
        for (value, sum) in output.iter_mut().zip(&sums) {
            *value = (sum >> 16) as u16;
        }
    }
}
