//! PSNR-HVS in vectors of 16-bit words, for AVX2 and AVX-512: as many blocks together as a vector has
//! words, one a lane.
//!
//! Range: samples of up to [`BIT_DEPTH_MAX`] bits and none above the planes' own depth, which is looked
//! at while they are staged: a plane that has one is left to 32-bit integers. Every value in the
//! transform of a block is below 8.001 times the peak, and the difference of two coefficients below
//! 2^15, so that words hold them; a test finds the bound. A factor's product with rounding is one
//! instruction then. The 16 samples of a quarter sum to less than 2^15.
//!
//! What needs `f32` is done twice, for even lanes and for odd ones: that is how integers are had from
//! words by one operation. Every operation on a block comes in the order of the definition. The
//! quotients by constants are made of products: see [`quotient`].

use super::blocks::{COEFFICIENTS, SIDE};
use super::csf::Sensitivity;
use super::dct::{Step, transform};
use super::sum::OrderedSum;
use super::{Input, STEP, block_count};
use crate::lanes::{Lanes, PictureSample};

/// Deeper samples are left to 32-bit integers.
pub(super) const BIT_DEPTH_MAX: u32 = 11;
/// Blocks computed together at most.
const BATCH: usize = 32;
/// Samples of a row that a batch reaches, and some more.
const LINE: usize = 256;

/// A word for each sample or coefficient of each block of a batch, a cache line each.
#[derive(Debug)]
#[repr(align(64))]
struct Grid([[i16; BATCH]; COEFFICIENTS]);

/// 16 KB of words, which the first-level cache holds, and 8 KB that are seldom touched.
#[derive(Debug)]
pub(super) struct Buffers {
    /// The rows that the blocks of a batch lie in.
    lines: [[i16; LINE]; SIDE],
    /// Samples of each picture, then coefficients: row by row.
    values: [Grid; 2],
    /// Coefficients of columns, column by column.
    columns: Grid,
    /// Terms of a batch that is added one after the other.
    terms: [[f32; BATCH]; COEFFICIENTS],
}

impl Default for Buffers {
    fn default() -> Self {
        let grid = || Grid([[0; BATCH]; COEFFICIENTS]);
        Self {
            lines: [[0; LINE]; SIDE],
            values: [grid(), grid()],
            columns: grid(),
            terms: [[0.0; BATCH]; COEFFICIENTS],
        }
    }
}

/// `f32` values of even blocks and of odd ones.
type Floats<L> = [<L as Lanes>::V; 2];

/// An operation on the even and on the odd of two [`Floats`].
macro_rules! both {
    ($lanes:ident.$operation:ident, $a:expr, $b:expr) => {{
        let (a, b) = ($a, $b);
        [$lanes.$operation(a[0], b[0]), $lanes.$operation(a[1], b[1])]
    }};
}

/// A vector of words that the transform takes.
#[derive(Clone, Copy)]
struct Words<L: Lanes>(L, L::V);

impl<L: Lanes> Step for Words<L> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(self.0, self.0.add_words(self.1, other.1))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(self.0, self.0.sub_words(self.1, other.1))
    }

    #[inline(always)]
    fn half(self) -> Self {
        let lanes = self.0;
        let from_zero = lanes.add_words(self.1, lanes.signs_of_words(self.1));
        Self(lanes, lanes.halve_words(from_zero))
    }

    #[inline(always)]
    fn times(self, factor: i16) -> Self {
        let lanes = self.0;
        Self(lanes, lanes.mul_rounded_words(self.1, lanes.splat_word(factor)))
    }
}

/// Of each block, or of a quarter of it: the sum of squared distances from the mean.
struct Spread<L: Lanes> {
    mean: Floats<L>,
    sum: Floats<L>,
}

impl<L: Lanes> Spread<L> {
    #[inline(always)]
    fn about(lanes: L, mean: Floats<L>) -> Self {
        Self { mean, sum: [lanes.splat_int(0); 2] }
    }

    #[inline(always)]
    fn add(&mut self, lanes: L, samples: Floats<L>) {
        for part in 0..2 {
            let distance = lanes.sub_floats(samples[part], self.mean[part]);
            let square = lanes.mul_floats(distance, distance);
            self.sum[part] = lanes.add_floats(self.sum[part], square);
        }
    }
}

/// The sum of the terms of a plane, batches in the order of rows of blocks; `None` where a sample is
/// above its bit depth, which words need not hold.
#[inline(always)]
pub(super) fn sum_of_terms<L: Lanes, S: PictureSample>(
    lanes: L,
    input: &Input<'_, S>,
    sensitivity: &Sensitivity,
    buffers: &mut Buffers,
) -> Option<f32> {
    let mut sum = OrderedSum::default();
    let columns = block_count(input.width);
    let blocks = columns * block_count(input.height);
    let Buffers { lines, values, columns: of_columns, terms } = buffers;
    for start in (0..blocks).step_by(L::WORDS) {
        let count = L::WORDS.min(blocks - start);
        let mut masking = [lanes.splat_int(0); 2];
        for picture in 0..2 {
            let values = &mut values[picture];
            let mut lane = 0;
            while lane < count {
                let (block_y, first) = ((start + lane) / columns, (start + lane) % columns);
                let at = block_y * STEP * input.strides[picture] + first * STEP;
                let samples = &input.pictures[picture][at..];
                let of_row = (columns - first).min(count - lane);
                let range = lane..lane + of_row;
                stage(lanes, samples, input.strides[picture], range, input.peak, lines)?;
                gather(lanes, lines, lane, values);
                lane += of_row;
            }
            if count < L::WORDS {
                values.0.iter_mut().for_each(|words| words[count..].fill(0));
            }
            let of_picture = analyse(lanes, values, of_columns, &sensitivity.mask);
            masking = both!(lanes.max_floats, masking, of_picture);
        }
        match added(lanes, values, masking, sensitivity, sum) {
            Some(added) => sum = added,
            None => {
                each_term(lanes, values, masking, sensitivity, terms);
                sum.add_in_turn(terms, count);
            }
        }
    }
    Some(sum.value())
}

/// Puts the rows of neighbouring blocks into lines, as words, where those of the `range` of lanes are
/// looked for; `None` where one is above the peak.
#[inline(always)]
fn stage<L: Lanes, S: PictureSample>(
    lanes: L,
    samples: &[S],
    stride: usize,
    range: std::ops::Range<usize>,
    peak: u16,
    lines: &mut [[i16; LINE]; SIDE],
) -> Option<()> {
    let length = (range.len() - 1) * STEP + SIDE;
    // Bits that no sample up to the peak has, and those that were seen, one by one and in vectors.
    let foreign = !peak;
    let (mut seen, mut seen_in_vectors) = (0_u16, lanes.splat_word(0));
    for (y, line) in lines.iter_mut().enumerate() {
        let row = &samples[y * stride..][..length];
        let line = &mut line[range.start * STEP..][..length];
        if length < L::WORDS {
            for (word, sample) in line.iter_mut().zip(row) {
                seen |= sample.word();
                *word = sample.word() as i16;
            }
            continue;
        }
        let mut at = 0;
        loop {
            let words = S::load(lanes, row, at);
            seen_in_vectors = lanes.or(seen_in_vectors, words);
            lanes.store_words(line, at, words);
            if at == length - L::WORDS {
                break;
            }
            at = (at + L::WORDS).min(length - L::WORDS);
        }
    }
    let is_foreign = seen & foreign != 0
        || lanes.any(lanes.and(seen_in_vectors, lanes.splat_word(foreign as i16)));
    if is_foreign { None } else { Some(()) }
}

/// Puts the samples of blocks into lanes, from lane `first` on.
#[inline(always)]
fn gather<L: Lanes>(lanes: L, lines: &[[i16; LINE]; SIDE], first: usize, grid: &mut Grid) {
    /// All bits from the middle on.
    const FROM_MIDDLE: [i16; 2 * BATCH] = {
        let mut words = [0; 2 * BATCH];
        let mut at = BATCH;
        while at < 2 * BATCH {
            words[at] = -1;
            at += 1;
        }
        words
    };
    let replaced = lanes.load_words(&FROM_MIDDLE, BATCH - first);
    for (y, line) in lines.iter().enumerate() {
        // Block `8 part + i` is part `part` of vector `i`: a square of eight by eight a part.
        let mut square = [lanes.splat_int(0); SIDE];
        for i in 0..SIDE {
            square[i] = lanes.load_spaced_words(line, i * STEP, SIDE * STEP);
        }
        // To interleave the halves of what is eight vectors long three times exchanges the three bits
        // of a word's place with those of the vector's.
        for _ in 0..3 {
            let before = square;
            for i in 0..SIDE / 2 {
                let [one, other] = [before[i], before[i + SIDE / 2]];
                square[2 * i] = lanes.unpack_low(one, other);
                square[2 * i + 1] = lanes.unpack_high(one, other);
            }
        }
        for x in 0..SIDE {
            let words = &mut grid.0[y * SIDE + x];
            if first > 0 {
                square[x] = lanes.choose(replaced, square[x], lanes.load_words(words, 0));
            }
            lanes.store_words(words, 0, square[x]);
        }
    }
}

/// Turns samples into coefficients; returns how strongly what is in a block masks errors.
#[inline(always)]
fn analyse<L: Lanes>(
    lanes: L,
    values: &mut Grid,
    columns: &mut Grid,
    mask: &[f32; COEFFICIENTS],
) -> Floats<L> {
    let share = share_of_quarters(lanes, values);
    for x in 0..SIDE {
        transform_line(lanes, values, x, columns, x * SIDE);
    }
    let mut energy = [lanes.splat_int(0); 2];
    for y in 0..SIDE {
        let line = transform_line(lanes, columns, y, values, y * SIDE);
        // The mean masks nothing.
        for x in usize::from(y == 0)..SIDE {
            let (weight, coefficients) = (mask[y * SIDE + x], floats(lanes, line[x].1));
            let square = both!(lanes.mul_floats, coefficients, coefficients);
            energy = both!(lanes.add_floats, energy, scaled(lanes, square, weight));
        }
    }
    let square = both!(lanes.mul_floats, energy, share);
    scaled(lanes, [lanes.root_floats(square[0]), lanes.root_floats(square[1])], 1.0 / 32.0)
}

/// Transforms what lies from `first` on, a line of eight apart, into a line.
#[inline(always)]
fn transform_line<L: Lanes>(
    lanes: L,
    source: &Grid,
    first: usize,
    to: &mut Grid,
    line: usize,
) -> [Words<L>; SIDE] {
    let mut samples = [Words(lanes, lanes.splat_int(0)); SIDE];
    for at in 0..SIDE {
        samples[at].1 = load(lanes, source, first + at * SIDE);
    }
    let coefficients = transform(samples);
    for at in 0..SIDE {
        lanes.store_words(&mut to.0[line + at], 0, coefficients[at].1);
    }
    coefficients
}

/// The variance of the quarters by that of the whole.
#[inline(always)]
fn share_of_quarters<L: Lanes>(lanes: L, values: &Grid) -> Floats<L> {
    const OF_64: f32 = 1.0 / 63.0 * 64.0;
    let [top_left, bottom_left] =
        [sum_of_quarter(lanes, values, 0, 0), sum_of_quarter(lanes, values, 4, 0)];
    let [top_right, bottom_right] =
        [sum_of_quarter(lanes, values, 0, 4), sum_of_quarter(lanes, values, 4, 4)];
    let left = both!(lanes.add_floats, top_left, bottom_left);
    let right = both!(lanes.add_floats, top_right, bottom_right);
    let sum = both!(lanes.add_floats, left, right);
    let mut whole = Spread::about(lanes, scaled(lanes, sum, 1.0 / 64.0));
    let [top_left, top_right] =
        half_of_spreads(lanes, values, 0, &mut whole, [top_left, top_right]);
    let [bottom_left, bottom_right] =
        half_of_spreads(lanes, values, SIDE / 2, &mut whole, [bottom_left, bottom_right]);
    // In the order of the definition.
    let mut parts = both!(lanes.add_floats, top_left, bottom_left);
    parts = both!(lanes.add_floats, parts, top_right);
    parts = both!(lanes.add_floats, parts, bottom_right);
    let whole = scaled(lanes, whole.sum, OF_64);
    let quotient = both!(lanes.div_floats, parts, whole);
    // A block of one value has no variance at all: its quotient is not looked at.
    let is_flat = both!(lanes.floats_at_most, whole, [lanes.splat_int(0); 2]);
    both!(lanes.and_not, is_flat, quotient)
}

/// The sum of the quarter that begins in this row and column.
#[inline(always)]
fn sum_of_quarter<L: Lanes>(lanes: L, values: &Grid, top: usize, left: usize) -> Floats<L> {
    let mut sum = lanes.splat_int(0);
    for y in top..top + SIDE / 2 {
        for x in left..left + SIDE / 2 {
            sum = lanes.add_words(sum, load(lanes, values, y * SIDE + x));
        }
    }
    floats(lanes, sum)
}

/// The variances of two quarters side by side, from row `top` on, whose sums are given; adds to that
/// of the whole.
#[inline(always)]
fn half_of_spreads<L: Lanes>(
    lanes: L,
    values: &Grid,
    top: usize,
    whole: &mut Spread<L>,
    [left, right]: [Floats<L>; 2],
) -> [Floats<L>; 2] {
    const OF_16: f32 = 1.0 / 15.0 * 16.0;
    let mut left = Spread::about(lanes, scaled(lanes, left, 1.0 / 16.0));
    let mut right = Spread::about(lanes, scaled(lanes, right, 1.0 / 16.0));
    for y in top..top + SIDE / 2 {
        for x in 0..SIDE / 2 {
            let samples = floats(lanes, load(lanes, values, y * SIDE + x));
            whole.add(lanes, samples);
            left.add(lanes, samples);
        }
        for x in SIDE / 2..SIDE {
            let samples = floats(lanes, load(lanes, values, y * SIDE + x));
            whole.add(lanes, samples);
            right.add(lanes, samples);
        }
    }
    [scaled(lanes, left.sum, OF_16), scaled(lanes, right.sum, OF_16)]
}

/// What becomes of terms.
trait Take<L: Lanes> {
    /// Takes those of coefficient `at`.
    fn take(&mut self, lanes: L, at: usize, terms: Floats<L>);
}

/// Gives out the weighted squared error of every coefficient, beyond what the masking hides; the
/// error of the mean is not hidden.
#[inline(always)]
fn each_term<L: Lanes>(
    lanes: L,
    values: &[Grid; 2],
    masking: Floats<L>,
    sensitivity: &Sensitivity,
    to: &mut impl Take<L>,
) {
    for at in 0..COEFFICIENTS {
        let [reference, distorted] = [load(lanes, &values[0], at), load(lanes, &values[1], at)];
        let mut seen = floats(lanes, lanes.abs_words(lanes.sub_words(reference, distorted)));
        if at > 0 {
            let divisor = [sensitivity.mask[at], sensitivity.mask_inverse[at]];
            for part in 0..2 {
                let hidden = quotient(lanes, masking[part], divisor);
                let left = lanes.sub_floats(seen[part], hidden);
                seen[part] = lanes.max_floats(left, lanes.splat_int(0));
            }
        }
        let weighted = scaled(lanes, seen, sensitivity.error[at]);
        to.take(lanes, at, both!(lanes.mul_floats, weighted, weighted));
    }
}

/// `dividend` by a constant, which comes with its rounded inverse: the product with the inverse, then
/// what is left of it.
///
/// That is the quotient rounded to nearest where the first product is off by less than a unit in the
/// last place; for these constants a test divides every mantissa.
#[inline(always)]
pub(super) fn quotient<L: Lanes>(lanes: L, dividend: L::V, [divisor, inverse]: [f32; 2]) -> L::V {
    let (divisor, inverse) = (lanes.splat_float(divisor), lanes.splat_float(inverse));
    let near = lanes.mul_floats(dividend, inverse);
    lanes.plus_product(near, lanes.less_product(dividend, near, divisor), inverse)
}

/// Terms as multiples of a sum's unit.
struct Multiples<L: Lanes> {
    rounder: L::V,
    /// Sums of what [`rounder`](super::sum::Units::rounder) and a term have for bits.
    bits: Floats<L>,
    /// The most that rounding moved a term by.
    moved: Floats<L>,
    largest: Floats<L>,
}

impl<L: Lanes> Take<L> for Multiples<L> {
    #[inline(always)]
    fn take(&mut self, lanes: L, _at: usize, terms: Floats<L>) {
        for part in 0..2 {
            let rounded = lanes.add_floats(terms[part], self.rounder);
            self.bits[part] = lanes.add_ints(self.bits[part], rounded);
            let moved = lanes.sub_floats(terms[part], lanes.sub_floats(rounded, self.rounder));
            self.moved[part] = lanes.max_magnitude(moved, self.moved[part]);
            self.largest[part] = lanes.max_floats(terms[part], self.largest[part]);
        }
    }
}

/// The largest of each block's terms.
struct Largest<L: Lanes>(Floats<L>);

impl<L: Lanes> Take<L> for Largest<L> {
    #[inline(always)]
    fn take(&mut self, lanes: L, _at: usize, terms: Floats<L>) {
        self.0 = both!(lanes.max_floats, terms, self.0);
    }
}

impl<L: Lanes> Take<L> for [[f32; BATCH]; COEFFICIENTS] {
    /// Puts even and odd blocks into their order.
    #[inline(always)]
    fn take(&mut self, lanes: L, at: usize, terms: Floats<L>) {
        for part in 0..2 {
            let mut bits = [0; BATCH / 2];
            lanes.store_ints(&mut bits, 0, terms[part]);
            for lane in 0..L::INTS {
                self[at][2 * lane + part] = f32::from_bits(bits[lane] as u32);
            }
        }
    }
}

/// `sum` and the terms of a batch, added as integers; `None` where [`units`](OrderedSum::units) cannot
/// tell. While the sum is 0, as it stays for equal pictures, terms that are all 0 leave it so.
#[inline(always)]
fn added<L: Lanes>(
    lanes: L,
    values: &[Grid; 2],
    masking: Floats<L>,
    sensitivity: &Sensitivity,
    sum: OrderedSum,
) -> Option<OrderedSum> {
    let none = [lanes.splat_int(0); 2];
    if sum.value() == 0.0 {
        let mut largest = Largest(none);
        each_term(lanes, values, masking, sensitivity, &mut largest);
        let [even, odd] = largest.0;
        return if lanes.any(lanes.or(even, odd)) { None } else { Some(sum) };
    }
    let units = sum.units()?;
    let rounder = lanes.splat_float(units.rounder);
    let mut multiples = Multiples { rounder, bits: none, moved: none, largest: none };
    each_term(lanes, values, masking, sensitivity, &mut multiples);
    let Multiples { bits, moved, largest, .. } = multiples;
    let is_doubtful = both!(lanes.floats_at_most, [lanes.splat_float(units.half); 2], moved);
    let is_large = both!(lanes.floats_at_most, [lanes.splat_float(units.limit); 2], largest);
    let fails = both!(lanes.or, is_doubtful, is_large);
    if lanes.any(lanes.or(fails[0], fails[1])) {
        return None;
    }
    let rounders = units.rounder.to_bits().wrapping_mul(COEFFICIENTS as u32);
    let mut count = 0;
    for part in bits {
        let mut ints = [0; BATCH / 2];
        lanes.store_ints(&mut ints, 0, part);
        for bits in &ints[..L::INTS] {
            count += u64::from((*bits as u32).wrapping_sub(rounders));
        }
    }
    sum.plus(&units, count)
}

#[inline(always)]
fn scaled<L: Lanes>(lanes: L, [even, odd]: Floats<L>, by: f32) -> Floats<L> {
    let by = lanes.splat_float(by);
    [lanes.mul_floats(even, by), lanes.mul_floats(odd, by)]
}

#[inline(always)]
fn load<L: Lanes>(lanes: L, grid: &Grid, at: usize) -> L::V {
    lanes.load_words(&grid.0[at], 0)
}

/// Words as `f32`: those of even lanes and those of odd ones.
#[inline(always)]
fn floats<L: Lanes>(lanes: L, words: L::V) -> Floats<L> {
    let even = lanes.dot_pairs(words, lanes.splat_int(1));
    [lanes.floats(even), lanes.floats(lanes.shift_ints_right::<16>(words))]
}
