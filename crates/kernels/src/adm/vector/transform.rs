//! The wavelet transform in vectors: 16-bit products, summed in pairs, at every scale.
//!
//! Scale 0 fits 16 bits between the passes. At the others a 32-bit value `x` is two words, `x =
//! 2^16 high + low + 2^15` with both signed, kept in two runs, and a sum of taps is
//! `2^16 H + L + 2^15 S` where `H` and `L` are the sums over the words and `S` is that of the taps.
//! `H` and `L` stay within +-54,822 * 2^15 < 2^31. A shift by 15 or 16 with rounding leaves
//! `2 H + S + ((L + 2^14) >> 15)` or `H + S / 2 + ((L + 2^15) >> 16)`: exact, and modulo 2^32 the
//! same as cutting the 64-bit sum (`S` is even for both filters).
//!
//! Between the passes a row lies in memory in the order of its columns, so that the pairs under the
//! taps of neighbouring outputs are neighbouring 32-bit lanes.

use super::super::dwt::{HIGH, LOW, LOW_SUM};
use super::super::geometry::Axis;
use crate::lanes::{Lanes, PictureSample};

/// Values that may be read and written past the end of every run: a vector and the taps' reach.
pub(in super::super) const SLACK: usize = 80;

/// A vector of samples, less `half` where they may have 16 bits. Bytes are taken as they are, and
/// the sum of taps less what half of their range adds to it.
#[inline(always)]
fn centred<L: Lanes, S: PictureSample>(lanes: L, from: &[S], at: usize, half: L::V) -> L::V {
    let samples = S::load(lanes, from, at);
    if size_of::<S>() == 1 { samples } else { lanes.sub_words(samples, half) }
}

/// One row between the passes: low words, and at the scales above 0 high words.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    low: Vec<i16>,
    high: Vec<i16>,
}

impl Line {
    fn fit(&mut self, outputs: usize) {
        self.low.resize(2 * outputs + 2 + 2 * SLACK, 0);
        self.high.resize(2 * outputs + 2 + 2 * SLACK, 0);
    }

    /// Sets what the taps of the outermost outputs read beyond the input; entry 0 is the column
    /// before `2 made.start`.
    fn extend(&mut self, axis: &Axis) {
        let entry = |column: usize| column + 1 - 2 * axis.made.start;
        let last = axis.made.end - 1;
        let mut copy = |to: usize, column: usize| {
            self.low[to] = self.low[entry(column)];
            self.high[to] = self.high[entry(column)];
        };
        if axis.made.start == 0 {
            copy(0, axis.tap(0, 0));
        }
        for tap in [2, 3] {
            let column = 2 * last + tap - 1;
            if column >= axis.input {
                copy(entry(column), axis.tap(last, tap));
            }
        }
    }
}

/// The low-passed and the high-passed row of one picture between the passes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    low: Line,
    high: Line,
}

impl Lines {
    pub(super) fn fit(&mut self, axis: &Axis) {
        self.low.fit(axis.made.len());
        self.high.fit(axis.made.len());
    }
}

/// The columns of the input that the outputs `made` read: a run, and the entry of its first.
pub(super) fn columns_read(axis: &Axis) -> (std::ops::Range<usize>, usize) {
    let start = (2 * axis.made.start).saturating_sub(1);
    let end = (2 * axis.made.end + 1).min(axis.input);
    (start..end, start + 1 - 2 * axis.made.start)
}

/// Pairs of taps for [`Lanes::dot_pairs`].
#[derive(Clone, Copy)]
struct Taps<V> {
    low: [V; 2],
    high: [V; 2],
}

#[inline(always)]
fn taps<L: Lanes>(lanes: L) -> Taps<L::V> {
    Taps {
        low: [tap_pair(lanes, LOW[0], LOW[1]), tap_pair(lanes, LOW[2], LOW[3])],
        high: [tap_pair(lanes, HIGH[0], HIGH[1]), tap_pair(lanes, HIGH[2], HIGH[3])],
    }
}

#[inline(always)]
fn tap_pair<L: Lanes>(lanes: L, first: i32, second: i32) -> L::V {
    lanes.splat_int((second << 16) | (first & 0xffff))
}

#[inline(always)]
fn dot<L: Lanes>(lanes: L, pairs: [L::V; 2], taps: [L::V; 2]) -> L::V {
    lanes.add_ints(lanes.dot_pairs(pairs[0], taps[0]), lanes.dot_pairs(pairs[1], taps[1]))
}

/// Down the columns of a picture; each of `rows` has at least a vector of samples.
#[inline(always)]
pub(super) fn down_picture<L: Lanes, S: PictureSample>(
    lanes: L,
    bit_depth: u32,
    rows: [&[S]; 4],
    entry: usize,
    lines: &mut Lines,
) {
    let taps = taps(lanes);
    let half = lanes.splat_word((1_i32 << (bit_depth - 1)) as i16);
    let round = 1 << (bit_depth - 1);
    let uncentred = if size_of::<S>() == 1 { LOW_SUM << (bit_depth - 1) } else { 0 };
    let low_round = lanes.splat_int(round - uncentred);
    // The high-pass taps add up to nothing.
    let high_round = lanes.splat_int(round);
    let count = lanes.splat_int(bit_depth as i32);
    let length = rows[0].len();
    let [a, b, c, d] = rows;
    let mut start = 0;
    while start < length {
        // The last vector overlaps the one before.
        let at = start.min(length - L::WORDS);
        let (a, b) = (centred(lanes, a, at, half), centred(lanes, b, at, half));
        let (c, d) = (centred(lanes, c, at, half), centred(lanes, d, at, half));
        let lower = [lanes.unpack_low(a, b), lanes.unpack_low(c, d)];
        let upper = [lanes.unpack_high(a, b), lanes.unpack_high(c, d)];
        let low0 = lanes.shift_ints(lanes.add_ints(dot(lanes, lower, taps.low), low_round), count);
        let low1 = lanes.shift_ints(lanes.add_ints(dot(lanes, upper, taps.low), low_round), count);
        lanes.store_words(&mut lines.low.low, entry + at, lanes.pack(low0, low1));
        let high0 =
            lanes.shift_ints(lanes.add_ints(dot(lanes, lower, taps.high), high_round), count);
        let high1 =
            lanes.shift_ints(lanes.add_ints(dot(lanes, upper, taps.high), high_round), count);
        lanes.store_words(&mut lines.high.low, entry + at, lanes.pack(high0, high1));
        start += L::WORDS;
    }
}

/// Along a row of scale 0: low-pass, horizontal, vertical and diagonal coefficients.
#[inline(always)]
pub(super) fn along_first<L: Lanes>(
    lanes: L,
    axis: &Axis,
    lines: &mut Lines,
    low_band: &mut [i16],
    bands: &mut [Vec<i16>; 3],
) {
    lines.low.extend(axis);
    lines.high.extend(axis);
    let taps = taps(lanes);
    let [horizontal, vertical, diagonal] = bands;
    let mut at = 0;
    while at < axis.made.len() {
        along_words(lanes, &taps, &lines.low.low, at, low_band, vertical);
        along_words(lanes, &taps, &lines.high.low, at, horizontal, diagonal);
        at += L::WORDS;
    }
}

/// A vector of outputs of either filter from one line.
#[inline(always)]
fn along_words<L: Lanes>(
    lanes: L,
    taps: &Taps<L::V>,
    line: &[i16],
    at: usize,
    to_low: &mut [i16],
    to_high: &mut [i16],
) {
    let first = [lanes.load_words(line, 2 * at), lanes.load_words(line, 2 * at + 2)];
    let from = 2 * at + L::WORDS;
    let second = [lanes.load_words(line, from), lanes.load_words(line, from + 2)];
    let round = lanes.splat_int(1 << 15);
    let low0 = lanes.add_ints(dot(lanes, first, taps.low), round);
    let low1 = lanes.add_ints(dot(lanes, second, taps.low), round);
    lanes.store_words(to_low, at, high_words(lanes, low0, low1));
    let high0 = lanes.add_ints(dot(lanes, first, taps.high), round);
    let high1 = lanes.add_ints(dot(lanes, second, taps.high), round);
    lanes.store_words(to_high, at, high_words(lanes, high0, high1));
}

/// The upper words of integers in natural order.
#[inline(always)]
fn high_words<L: Lanes>(lanes: L, first: L::V, second: L::V) -> L::V {
    let first = lanes.shift_ints_right::<16>(first);
    lanes.in_order(lanes.pack(first, lanes.shift_ints_right::<16>(second)))
}

/// Down the columns of the low-pass band of scale 0: no shift, 32-bit results.
#[inline(always)]
pub(super) fn down_second<L: Lanes>(
    lanes: L,
    rows: [&[i16]; 4],
    length: usize,
    entry: usize,
    lines: &mut Lines,
) {
    let taps = taps(lanes);
    let mut at = 0;
    while at < length {
        let (a, b) = (lanes.load_words(rows[0], at), lanes.load_words(rows[1], at));
        let (c, d) = (lanes.load_words(rows[2], at), lanes.load_words(rows[3], at));
        let lower = [lanes.unpack_low(a, b), lanes.unpack_low(c, d)];
        let upper = [lanes.unpack_high(a, b), lanes.unpack_high(c, d)];
        let to = entry + at;
        let (low0, low1) = (dot(lanes, lower, taps.low), dot(lanes, upper, taps.low));
        store_split::<L, false>(lanes, &mut lines.low, to, low0, low1);
        let (high0, high1) = (dot(lanes, lower, taps.high), dot(lanes, upper, taps.high));
        store_split::<L, false>(lanes, &mut lines.high, to, high0, high1);
        at += L::WORDS;
    }
}

/// Down the columns of the low-pass bands of scales 1 and 2.
#[inline(always)]
pub(super) fn down_deep<L: Lanes>(
    lanes: L,
    rows: [&[i32]; 4],
    length: usize,
    entry: usize,
    lines: &mut Lines,
) {
    let taps = taps(lanes);
    let mut at = 0;
    while at < length {
        let first = interleaved(lanes, rows, at);
        let second = interleaved(lanes, rows, at + L::INTS);
        let to = entry + at;
        let low0 = shifted::<L, 16>(lanes, first, taps.low, LOW_SUM);
        let low1 = shifted::<L, 16>(lanes, second, taps.low, LOW_SUM);
        store_split::<L, true>(lanes, &mut lines.low, to, low0, low1);
        let high0 = shifted::<L, 16>(lanes, first, taps.high, 0);
        let high1 = shifted::<L, 16>(lanes, second, taps.high, 0);
        store_split::<L, true>(lanes, &mut lines.high, to, high0, high1);
        at += L::WORDS;
    }
}

/// Pairs of rows, of their high words and of their low words less 2^15.
#[inline(always)]
fn interleaved<L: Lanes>(lanes: L, rows: [&[i32]; 4], at: usize) -> [[L::V; 2]; 2] {
    let [high0, low0] = interleave(lanes, rows[0], rows[1], at);
    let [high1, low1] = interleave(lanes, rows[2], rows[3], at);
    [[high0, high1], [low0, low1]]
}

#[inline(always)]
fn interleave<L: Lanes>(lanes: L, a: &[i32], b: &[i32], at: usize) -> [L::V; 2] {
    let sign = lanes.splat_int(0x8000_8000_u32 as i32);
    let upper_words = lanes.splat_int(0xffff_0000_u32 as i32);
    let (a, b) = (lanes.load_ints(a, at), lanes.load_ints(b, at));
    let high = lanes.choose(upper_words, b, lanes.shift_ints_right_unsigned::<16>(a));
    let low = lanes.choose(upper_words, lanes.shift_ints_left::<16>(b), a);
    [high, lanes.xor(low, sign)]
}

/// Stores integers as low words less 2^15 and high words. They come in the order of unpacked words,
/// or `NATURAL`.
#[inline(always)]
fn store_split<L: Lanes, const NATURAL: bool>(
    lanes: L,
    line: &mut Line,
    at: usize,
    first: L::V,
    second: L::V,
) {
    let lower_words = lanes.splat_int(0xffff);
    let low = lanes.pack_unsigned(lanes.and(first, lower_words), lanes.and(second, lower_words));
    let low = lanes.xor(low, lanes.splat_word(i16::MIN));
    let first = lanes.shift_ints_right::<16>(first);
    let high = lanes.pack(first, lanes.shift_ints_right::<16>(second));
    let (low, high) =
        if NATURAL { (lanes.in_order(low), lanes.in_order(high)) } else { (low, high) };
    lanes.store_words(&mut line.low, at, low);
    lanes.store_words(&mut line.high, at, high);
}

/// A sum of taps over split values, shifted right by `BY` (15 or 16) with rounding.
#[inline(always)]
fn shifted<L: Lanes, const BY: u32>(
    lanes: L,
    [high, low]: [[L::V; 2]; 2],
    taps: [L::V; 2],
    sum_of_taps: i32,
) -> L::V {
    let high = dot(lanes, high, taps);
    let low = dot(lanes, low, taps);
    let low = lanes.add_ints(low, lanes.splat_int(1 << (BY - 1)));
    let low = lanes.shift_ints_right::<BY>(low);
    let high = if BY == 15 { lanes.add_ints(high, high) } else { high };
    let constant = if BY == 15 { sum_of_taps } else { sum_of_taps / 2 };
    let sum = lanes.add_ints(high, low);
    if constant == 0 { sum } else { lanes.add_ints(sum, lanes.splat_int(constant)) }
}

/// Along a row of a scale above 0, with a shift of `BY`.
#[inline(always)]
pub(super) fn along_deep<L: Lanes, const BY: u32>(
    lanes: L,
    axis: &Axis,
    lines: &mut Lines,
    low_band: &mut [i32],
    bands: &mut [Vec<i32>; 3],
) {
    lines.low.extend(axis);
    lines.high.extend(axis);
    let taps = taps(lanes);
    let [horizontal, vertical, diagonal] = bands;
    let mut at = 0;
    while at < axis.made.len() {
        along_split::<L, BY>(lanes, &taps, &lines.low, at, low_band, vertical);
        along_split::<L, BY>(lanes, &taps, &lines.high, at, horizontal, diagonal);
        at += L::INTS;
    }
}

/// A vector of outputs of either filter from one line.
#[inline(always)]
fn along_split<L: Lanes, const BY: u32>(
    lanes: L,
    taps: &Taps<L::V>,
    line: &Line,
    at: usize,
    to_low: &mut [i32],
    to_high: &mut [i32],
) {
    let from = 2 * at;
    let high = [lanes.load_words(&line.high, from), lanes.load_words(&line.high, from + 2)];
    let low = [lanes.load_words(&line.low, from), lanes.load_words(&line.low, from + 2)];
    lanes.store_ints(to_low, at, shifted::<L, BY>(lanes, [high, low], taps.low, LOW_SUM));
    lanes.store_ints(to_high, at, shifted::<L, BY>(lanes, [high, low], taps.high, 0));
}
