//! One scale, strip by strip from top to bottom, two rows at a time: vertical filter, horizontal
//! filter, statistics, and on the way the pictures of the next scale.
//!
//! Rows enter in pairs (2k, 2k+1), counted from `REACH` rows above the picture, each product being
//! computed once. A ring holds the pairs that the windows of two output rows cover. The vertical
//! filter leaves 16-bit lines: the mean of a picture, and the high and low halves of products. The
//! horizontal filter over halves is exact, since
//! `(65536 high + low + 32768) >> 16 = high + ((low + 32768) >> 16)`.
//!
//! Vectors of the ring hold even and odd columns by turns, so that two of them make one vector of
//! a line, in the columns' order, without moving anything between lanes.
//!
//! The next scale needs every second row and column of a shorter filter over the same pairs, so
//! nothing else is computed for it.
//!
//! A reference is walked along with any number of distorted pictures: what depends on it alone is
//! computed once for all.

use std::ops::Range;

use super::fill::fill_slots;
use super::fir::{FLIP, UNBIAS, Windows, fir_both, fir_both_along, fir_even, fir_even_along};
use super::kit::Kit;
use super::lines::{LINES, Lines, end_of, leave, put_left, take_left};
use super::source::Source;
use super::statistic::{
    DistortedLanes, DistortedMoments, DistortedSums, Inverse, ReferenceLanes, ReferenceMoments,
    ReferenceSums, measure_distorted, measure_reference,
};
use super::stream::{Buffers, NextLine, Slot, Stream};
use super::strip::{LINE, OWN, STRIP, Strip};
use super::taps::{PAIRS_MAX, Taps};
use crate::plane::PlaneRef;

/// Two rows of a strip.
pub(super) type Rows = [[u16; STRIP]; 2];

/// Moments of the reference in one row of a strip: means, then variances.
type RowMoments = [[u32; STRIP]; 2];

/// Bounds of their inverses in one row of a strip, low ones first.
type RowInverses = [[f64; STRIP]; 2];

/// What a scale works on.
pub(super) struct Task<'a> {
    /// The picture that all others are measured against, at full size.
    pub(super) reference: &'a PlaneRef<'a>,
    /// The others, at full size.
    pub(super) distorted: &'a [PlaneRef<'a>],
    /// Which scale, 0 being full size.
    pub(super) scale: usize,
    /// Whether it is measured, or only the next scale made of it.
    pub(super) measured: bool,
    /// The largest gain that counts.
    pub(super) gain_limit: f64,
    /// The pairs of rows that are walked.
    pub(super) pairs: Range<usize>,
}

impl Task<'_> {
    pub(super) fn width(&self) -> usize {
        self.reference.width() >> self.scale
    }

    pub(super) fn height(&self) -> usize {
        self.reference.height() >> self.scale
    }

    /// Bits by which the vertical filter scales sums of samples down; 8 to 16.
    fn sample_shift(&self) -> u32 {
        if self.scale == 0 { self.reference.bit_depth() } else { 16 }
    }

    /// Bits by which it scales sums of products down; 2 to 16, and 0 for bytes.
    fn product_shift(&self) -> u32 {
        if self.scale == 0 { 2 * (self.reference.bit_depth() - 8) } else { 16 }
    }
}

/// Local arrays of a walk, kept from row to row only to save clearing them. All have the length of
/// whole cache lines and lie on them.
#[repr(C, align(64))]
struct Work {
    rows: Rows,
    lines: Lines,
    moments: [RowMoments; 2],
    inverses: [RowInverses; 2],
}

/// Walks a band of one scale, of filter `T`; makes the pictures of the next, of filter `N`.
///
/// Every distorted picture of the task has its stream and its sums.
#[inline(always)]
pub(super) fn walk<S: Source, T: Taps, N: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    reference: &mut Stream,
    distorted: &mut [Stream],
    reference_sums: &mut ReferenceSums,
    distorted_sums: &mut [DistortedSums],
) {
    let (width, height) = (task.width(), task.height());
    let mut work = Work {
        rows: [[0; STRIP]; 2],
        lines: [[[0; LINE]; LINES]; 2],
        moments: [[[0; STRIP]; 2]; 2],
        inverses: [[[0.0; STRIP]; 2]; 2],
    };
    for index in 0..Strip::count::<T>(width) {
        let strip = Strip::new::<T>(index, width);
        for pair_index in task.pairs.start..task.pairs.start + T::REACH {
            fill_slots::<S, T, K>(
                kit,
                task,
                strip,
                pair_index,
                reference,
                distorted,
                &mut work.rows,
            );
        }
        for row_pair in task.pairs.clone() {
            let newest = row_pair + T::REACH;
            fill_slots::<S, T, K>(kit, task, strip, newest, reference, distorted, &mut work.rows);
            // What is stored is not read right after, while it is on its way to the cache.
            let shrinks = task.scale + 1 < super::SCALES && row_pair < height / 2;
            if shrinks {
                let streams = [&mut *reference].into_iter().chain(&mut *distorted);
                for stream in streams {
                    filter_next::<S, T, N, K>(kit, task, strip, row_pair, &mut stream.buffers);
                }
            }
            if task.measured {
                let row = Row::new(task, strip, row_pair);
                walk_reference::<S, T, K>(
                    kit,
                    task,
                    row,
                    &mut reference.buffers,
                    &mut work,
                    reference_sums,
                );
                for (stream, sums) in distorted.iter_mut().zip(&mut *distorted_sums) {
                    walk_distorted::<S, T, K>(kit, task, row, &mut stream.buffers, &mut work, sums);
                }
            }
            if shrinks {
                let streams = [&mut *reference].into_iter().chain(&mut *distorted);
                for stream in streams {
                    shrink_row::<T, N, K>(kit, task, strip, row_pair, stream);
                }
            }
        }
    }
}

/// Two rows of a strip.
#[derive(Clone, Copy)]
struct Row {
    strip: Strip,
    pair: usize,
    /// Which pair of the band.
    place: usize,
    /// How many of the two are in the picture.
    count: usize,
}

impl Row {
    fn new(task: &Task<'_>, strip: Strip, pair: usize) -> Self {
        let count = (task.height() - 2 * pair).min(2);
        Self { strip, pair, place: pair - task.pairs.start, count }
    }
}

/// The runs of a ring that a filter `W` covers around a pair of rows.
#[inline(always)]
fn ring_windows<T: Taps, W: Taps>(
    ring: &[Slot],
    row_pair: usize,
    run: usize,
) -> Windows<'_, STRIP> {
    let mut windows = [&[0; STRIP]; PAIRS_MAX];
    for p in 0..W::PAIRS {
        windows[p] = &ring[(row_pair + (T::REACH - W::REACH) / 2 + p) % T::PAIRS].0[run];
    }
    windows
}

/// Scales sums of samples down to words and joins those of even and of odd columns.
#[inline(always)]
fn mean_words<S: Source, K: Kit>(kit: K, [even, odd]: [K::Words; 2], shift: u32) -> K::Words {
    match S::SAMPLE_SHIFT {
        Some(16) => kit.high_words(even, odd),
        Some(8) => kit.low_words(kit.shr::<8>(even), kit.shr::<8>(odd)),
        _ => kit.low_words(kit.shr_by(even, shift), kit.shr_by(odd, shift)),
    }
}

/// What sums of samples start from: half of what they are divided by, what the flipped ones lack,
/// and the top bit of the words that are made of them, which so come flipped.
#[inline(always)]
fn mean_start<S: Source>(shift: u32) -> u32 {
    let lacking = if S::WIDE { UNBIAS } else { 0 };
    lacking.wrapping_add(1 << (shift - 1)).wrapping_add(1 << (shift + 15))
}

/// The vertical filter for both rows of a strip: a line of means.
#[inline(always)]
fn filter_means<S: Source, T: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    ring: &[Slot],
    row: Row,
    lines: &mut Lines,
) {
    let shift = task.sample_shift();
    let windows = ring_windows::<T, T>(ring, row.pair, 0);
    for at in (0..row.strip.columns.min(STRIP)).step_by(2 * K::LANES) {
        let even = fir_both::<T, K, STRIP>(kit, &windows, at, mean_start::<S>(shift));
        let odd = fir_both::<T, K, STRIP>(kit, &windows, at + K::LANES, mean_start::<S>(shift));
        for parity in 0..2 {
            let words = mean_words::<S, K>(kit, [even[parity], odd[parity]], shift);
            kit.store(words, &mut lines[parity][0][OWN + at / 2..]);
        }
    }
}

/// Sums over a product for both rows, scaled down, with the top bit flipped.
///
/// Sums over bytes' products are the values themselves. Those over words' products come in two
/// parts and are scaled down by `shift`, 2 to 16: the high part is a multiple of 2^16, so
/// `(sum + half) >> shift` is the sum of both parts scaled, exactly. The low one cannot overflow:
/// without half it is at most 65535 * 65536. Sums start so that the top bit comes flipped.
#[inline(always)]
fn product_sums<S: Source, T: Taps, K: Kit>(
    kit: K,
    [high, low]: [&Windows<'_, STRIP>; 2],
    at: usize,
    shift: u32,
) -> [K::Words; 2] {
    if S::PARTS == 1 {
        return fir_both::<T, K, STRIP>(kit, high, at, 0);
    }
    let start = UNBIAS.wrapping_add(1 << (15 + shift));
    let mut sums = fir_both::<T, K, STRIP>(kit, high, at, start);
    let start = UNBIAS.wrapping_add(1 << (shift - 1));
    let low = fir_both::<T, K, STRIP>(kit, low, at, start);
    for parity in 0..2 {
        sums[parity] = if S::SAMPLE_SHIFT.is_some() {
            kit.add(sums[parity], kit.shr::<16>(low[parity]))
        } else {
            let high = kit.shl_by(sums[parity], 16 - shift);
            kit.add(high, kit.shr_by(low[parity], shift))
        };
    }
    sums
}

/// The vertical filter for both rows of a strip: lines of the halves of a product.
#[inline(always)]
fn filter_product<S: Source, T: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    ring: &[Slot],
    product: usize,
    row: Row,
    lines: &mut Lines,
) {
    let shift = task.product_shift();
    let first = 1 + product * S::PARTS;
    let high = ring_windows::<T, T>(ring, row.pair, first);
    let low = ring_windows::<T, T>(ring, row.pair, first + S::PARTS - 1);
    for at in (0..row.strip.columns.min(STRIP)).step_by(2 * K::LANES) {
        let even = product_sums::<S, T, K>(kit, [&high, &low], at, shift);
        let odd = product_sums::<S, T, K>(kit, [&high, &low], at + K::LANES, shift);
        for (parity, lines) in lines.iter_mut().enumerate() {
            let place = OWN + at / 2;
            let high = kit.high_words(even[parity], odd[parity]);
            let low = kit.low_words(even[parity], odd[parity]);
            kit.store(high, &mut lines[1 + 2 * product][place..]);
            kit.store(kit.xor(low, kit.splat(FLIP)), &mut lines[2 + 2 * product][place..]);
        }
    }
}

/// The horizontal filter over the halves of a product, rounded: both places of each pair.
#[inline(always)]
fn moments_along<T: Taps, K: Kit>(kit: K, lines: &[[u32; LINE]], at: usize) -> [K::Words; 2] {
    let start = OWN - T::REACH;
    let [even, odd] = fir_both_along::<T, K>(kit, &lines[0], start + at, UNBIAS);
    let low = fir_both_along::<T, K>(kit, &lines[1], start + at, UNBIAS + 32_768);
    [kit.add(even, kit.shr::<16>(low[0])), kit.add(odd, kit.shr::<16>(low[1]))]
}

/// Filters and measures two rows of the reference, and leaves its moments in `work`.
#[inline(always)]
fn walk_reference<S: Source, T: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    row: Row,
    buffers: &mut Buffers,
    work: &mut Work,
    sums: &mut ReferenceSums,
) {
    let Work { lines, moments, inverses, .. } = work;
    take_left(row.place, 3, lines, &buffers.left);
    filter_means::<S, T, K>(kit, task, &buffers.ring, row, lines);
    filter_product::<S, T, K>(kit, task, &buffers.ring, 0, row, lines);
    let mut lanes = ReferenceLanes::new(kit);
    let references = moments.iter_mut().zip(inverses);
    for (lines, ([means, vars], [low, high])) in lines.iter().zip(references).take(row.count) {
        for at in (0..row.strip.pairs().min(STRIP / 2)).step_by(K::LANES) {
            let start = OWN - T::REACH;
            let mean = fir_both_along::<T, K>(kit, &lines[0], start + at, UNBIAS);
            let squares = moments_along::<T, K>(kit, &lines[1..3], at);
            for parity in 0..2 {
                let (from, to) = row.strip.counted(parity, at, K::LANES);
                let (mean, squares) = (mean[parity], squares[parity]);
                let counted = kit.between(from, to);
                let found = measure_reference(kit, mean, squares, counted, &mut lanes);
                let place = 2 * at + parity * K::LANES;
                kit.store(found.mean, &mut means[place..]);
                kit.store(found.var, &mut vars[place..]);
                for half in 0..2 {
                    let place = place + half * K::LANES / 2;
                    kit.store_doubles(found.inverse.low[half], &mut low[place..]);
                    kit.store_doubles(found.inverse.high[half], &mut high[place..]);
                }
            }
        }
    }
    leave(row.place, 3, lines, &mut buffers.left);
    lanes.add_to(kit, sums);
}

/// Filters and measures two rows of a distorted picture by the reference's moments in `work`.
#[inline(always)]
fn walk_distorted<S: Source, T: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    row: Row,
    buffers: &mut Buffers,
    work: &mut Work,
    sums: &mut DistortedSums,
) {
    let Work { lines, moments, inverses, .. } = work;
    take_left(row.place, 5, lines, &buffers.left);
    filter_means::<S, T, K>(kit, task, &buffers.ring, row, lines);
    filter_product::<S, T, K>(kit, task, &buffers.ring, 0, row, lines);
    filter_product::<S, T, K>(kit, task, &buffers.ring, 1, row, lines);
    let mut lanes = DistortedLanes::new(kit);
    let references = moments.iter_mut().zip(inverses);
    for (lines, ([means, vars], [low, high])) in lines.iter().zip(references).take(row.count) {
        for at in (0..row.strip.pairs().min(STRIP / 2)).step_by(K::LANES) {
            let start = OWN - T::REACH;
            let mean = fir_both_along::<T, K>(kit, &lines[0], start + at, UNBIAS);
            let squares = moments_along::<T, K>(kit, &lines[1..3], at);
            let products = moments_along::<T, K>(kit, &lines[3..5], at);
            for parity in 0..2 {
                let (from, to) = row.strip.counted(parity, at, K::LANES);
                let place = 2 * at + parity * K::LANES;
                let second = place + K::LANES / 2;
                let reference = ReferenceMoments {
                    mean: kit.load(&means[place..]),
                    var: kit.load(&vars[place..]),
                    inverse: Inverse {
                        low: [kit.load_doubles(&low[place..]), kit.load_doubles(&low[second..])],
                        high: [kit.load_doubles(&high[place..]), kit.load_doubles(&high[second..])],
                    },
                };
                let distorted = DistortedMoments {
                    mean: mean[parity],
                    squares: squares[parity],
                    products: products[parity],
                };
                let counted = kit.between(from, to);
                let limit = task.gain_limit;
                measure_distorted(kit, reference, distorted, counted, limit, &mut lanes);
            }
        }
    }
    leave(row.place, 5, lines, &mut buffers.left);
    lanes.add_to(kit, sums);
}

/// The vertical filter of the next scale, for its row `row_pair` of a picture.
#[inline(always)]
fn filter_next<S: Source, T: Taps, N: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    strip: Strip,
    row_pair: usize,
    buffers: &mut Buffers,
) {
    let Buffers { ring, left_next, next_line: NextLine(line), .. } = buffers;
    let left = &mut left_next[row_pair - task.pairs.start];
    put_left(line, left);
    let shift = task.sample_shift();
    let windows = ring_windows::<T, N>(ring, row_pair, 0);
    for at in (0..strip.columns.min(STRIP)).step_by(2 * K::LANES) {
        let even = fir_even::<N, K, STRIP>(kit, &windows, at, mean_start::<S>(shift));
        let odd = fir_even::<N, K, STRIP>(kit, &windows, at + K::LANES, mean_start::<S>(shift));
        let words = mean_words::<S, K>(kit, [even, odd], shift);
        kit.store(words, &mut line[OWN + at / 2..]);
    }
    *left = end_of(line);
}

/// The horizontal filter of the next scale, every second column, as far as the strip reaches.
#[inline(always)]
fn shrink_row<T: Taps, N: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    strip: Strip,
    row_pair: usize,
    stream: &mut Stream,
) {
    let Stream { shrunk, buffers: Buffers { next_line: NextLine(line), .. } } = stream;
    let Some(next) = shrunk.get_mut(task.scale) else { return };
    let mut places = [0; STRIP / 2];
    for at in (0..strip.pairs().min(STRIP / 2)).step_by(K::LANES) {
        let start = OWN - T::REACH + at + (T::REACH - N::REACH) / 2;
        let sums = fir_even_along::<N, K>(kit, line, start, UNBIAS + 32_768);
        kit.store_high(sums, &mut places[at..]);
    }
    let width = task.width() / 2;
    let (from, columns) = strip.next_places(width);
    let row = next.row_mut(row_pair, width);
    let len = columns.len();
    row[columns].copy_from_slice(&places[from..from + len]);
}
