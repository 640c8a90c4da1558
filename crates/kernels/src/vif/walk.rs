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

use super::fir::{CHUNK, LANES, Pair, Sums, UNBIAS, Windows, fir_both, fir_even, flip};
use super::source::Source;
use super::statistic::{Moments, Residuals, accumulate};
use super::taps::Taps;
use crate::border::{extend_line, reflect};
use crate::isa::MulAdd;

/// Means of two pictures, then high and low halves of three products.
const LINES: usize = 8;

const ZERO_SUMS: Sums = [0; CHUNK];

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

fn ring_stride(width: usize) -> usize {
    width.next_multiple_of(LANES)
}

/// In pairs: the samples, the borders, and what the last chunk reads and writes beyond them.
fn line_stride(width: usize) -> usize {
    width.next_multiple_of(LANES) / 2 + super::taps::PAIRS_MAX + LANES
}

/// Walks one scale, of filter `T`; with `next`, makes the pictures of the next, of filter `N`.
///
/// `next` holds both pictures of `width / 2` by `height / 2` samples without gaps.
#[inline(always)]
pub(super) fn walk<S: Source, T: Taps, N: Taps, A: MulAdd>(
    arithmetic: A,
    input: &Input<'_, S>,
    gain_limit: f64,
    buffers: &mut WalkBuffers,
    mut next: Option<[&mut [u16]; 2]>,
) -> Residuals {
    let mut residuals = Residuals::default();
    let WalkBuffers { ring, lines, next_lines } = buffers;
    let slot_len = S::LINES * ring_stride(input.width);
    let row_len = LINES * line_stride(input.width);
    for pair_index in 0..T::REACH {
        fill_slot::<S, T>(input, pair_index, &mut ring[pair_index * slot_len..][..slot_len]);
    }
    for row_pair in 0..input.height.div_ceil(2) {
        let newest = row_pair + T::REACH;
        fill_slot::<S, T>(input, newest, &mut ring[newest % T::PAIRS * slot_len..][..slot_len]);

        let (even, odd) = lines.split_at_mut(row_len);
        filter_columns::<S, T>(
            input,
            ring,
            row_pair,
            even.as_flattened_mut(),
            odd.as_flattened_mut(),
        );
        filter_row_and_measure::<T>(arithmetic, even, input.width, gain_limit, &mut residuals);
        if 2 * row_pair + 1 < input.height {
            filter_row_and_measure::<T>(arithmetic, odd, input.width, gain_limit, &mut residuals);
        }
        if let Some(next) = &mut next
            && row_pair < input.height / 2
        {
            let next_width = input.width / 2;
            for (picture, plane) in next.iter_mut().enumerate() {
                shrink_row::<S, T, N>(
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
    let products = slot[2 * stride..].chunks_exact_mut(stride * (S::LINES - 2) / 3);
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
    count: usize,
) -> Windows<'a> {
    let stride = ring_stride(input.width);
    Windows::new::<W>(count, |p| {
        let slot = (row_pair + (T::REACH - W::REACH) / 2 + p) % T::PAIRS;
        &ring[(slot * S::LINES + line) * stride + start..]
    })
}

/// The vertical filter for rows `2 * row_pair` and the one below, all columns.
#[inline(always)]
fn filter_columns<S: Source, T: Taps>(
    input: &Input<'_, S>,
    ring: &[Pair],
    row_pair: usize,
    even: &mut [i16],
    odd: &mut [i16],
) {
    let line_len = 2 * line_stride(input.width);
    let rounded_width = ring_stride(input.width);
    let half = 1_u32 << (input.sample_shift - 1);
    for start in (0..rounded_width).step_by(CHUNK) {
        let count = CHUNK.min(rounded_width - start);
        let sums = |line: usize| {
            let windows = ring_windows::<S, T, T>(input, ring, row_pair, line, start, count);
            let mut sums = [ZERO_SUMS; 2];
            let [even, odd] = &mut sums;
            fir_both::<T>(&windows, count, even, odd);
            sums
        };
        let place = |line: usize| line * line_len + T::REACH + start;
        for picture in 0..2 {
            let sums = sums(picture);
            for (sums, row) in sums.iter().zip([&mut *even, &mut *odd]) {
                let line = &mut row[place(picture)..][..count];
                for j in 0..count {
                    let sum = sums[j] ^ S::SAMPLE_UNBIAS;
                    line[j] = flip(sum.wrapping_add(half) >> input.sample_shift);
                }
            }
        }
        for product in 0..3 {
            let parts = (S::LINES - 2) / 3;
            let high = sums(2 + product * parts);
            let low = if parts == 2 { sums(3 + product * parts) } else { [ZERO_SUMS; 2] };
            for (parity, row) in [&mut *even, &mut *odd].into_iter().enumerate() {
                let (high, low) = (&high[parity], &low[parity]);
                let (front, back) = row.split_at_mut(place(3 + 2 * product));
                let high_line = &mut front[place(2 + 2 * product)..][..count];
                let low_line = &mut back[..count];
                for j in 0..count {
                    let value = S::product_sum(high[j], low[j], input.product_shift);
                    high_line[j] = flip(value >> 16);
                    low_line[j] = flip(value);
                }
            }
        }
    }
}

/// Extends one row's lines, filters along them and adds what it measures to `residuals`.
#[inline(always)]
fn filter_row_and_measure<T: Taps>(
    arithmetic: impl MulAdd,
    lines: &mut [Pair],
    width: usize,
    gain_limit: f64,
    residuals: &mut Residuals,
) {
    let stride = line_stride(width);
    for line in lines[..LINES * stride].chunks_exact_mut(stride) {
        extend_line(line.as_flattened_mut(), T::REACH, width);
    }
    let places = width.div_ceil(2);
    for start in (0..places).step_by(CHUNK) {
        let count = CHUNK.min((places - start).next_multiple_of(LANES));
        let sums = |line: usize| {
            let line = &lines[line * stride..][..stride];
            let windows = Windows::new::<T>(count, |p| &line[start + p..]);
            let mut sums = [ZERO_SUMS; 2];
            let [even, odd] = &mut sums;
            fir_both::<T>(&windows, count, even, odd);
            sums
        };
        let mut moments = [Moments::ZERO; 2];
        for picture in 0..2 {
            let sums = sums(picture);
            for (moments, sums) in moments.iter_mut().zip(&sums) {
                for j in 0..count {
                    moments.means[picture][j] = sums[j] ^ UNBIAS;
                }
            }
        }
        for product in 0..3 {
            let (high, low) = (sums(2 + 2 * product), sums(3 + 2 * product));
            for (moments, (high, low)) in moments.iter_mut().zip(high.iter().zip(&low)) {
                for j in 0..count {
                    let low = (low[j] ^ UNBIAS).wrapping_add(32_768) >> 16;
                    moments.products[product][j] = (high[j] ^ UNBIAS).wrapping_add(low);
                }
            }
        }
        let [even, odd] = &mut moments;
        accumulate(arithmetic, even, CHUNK.min(places - start), gain_limit, residuals);
        accumulate(
            arithmetic,
            odd,
            CHUNK.min((width / 2).saturating_sub(start)),
            gain_limit,
            residuals,
        );
    }
}

/// One row of the next scale: row `row_pair` of `picture`, every second column.
#[inline(always)]
fn shrink_row<S: Source, T: Taps, N: Taps>(
    input: &Input<'_, S>,
    ring: &[Pair],
    row_pair: usize,
    picture: usize,
    line: &mut [Pair],
    output: &mut [u16],
) {
    let rounded_width = ring_stride(input.width);
    let half = 1_u32 << (input.sample_shift - 1);
    for start in (0..rounded_width).step_by(CHUNK) {
        let count = CHUNK.min(rounded_width - start);
        let windows = ring_windows::<S, T, N>(input, ring, row_pair, picture, start, count);
        let mut sums = ZERO_SUMS;
        fir_even::<N>(&windows, count, &mut sums);
        let line = &mut line.as_flattened_mut()[N::REACH + start..][..count];
        for j in 0..count {
            let sum = sums[j] ^ S::SAMPLE_UNBIAS;
            line[j] = flip(sum.wrapping_add(half) >> input.sample_shift);
        }
    }
    extend_line(line.as_flattened_mut(), N::REACH, input.width);
    for start in (0..output.len()).step_by(CHUNK) {
        let output = &mut output[start..];
        let count = CHUNK.min(output.len().next_multiple_of(LANES));
        let windows = Windows::new::<N>(count, |p| &line[start + p..]);
        let mut sums = ZERO_SUMS;
        fir_even::<N>(&windows, count, &mut sums);
        for (value, sum) in output.iter_mut().zip(&sums[..count]) {
            *value = ((sum ^ UNBIAS).wrapping_add(32_768) >> 16) as u16;
        }
    }
}
