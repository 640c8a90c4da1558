//! Half the size: the low-pass filter between two scales of MS-SSIM, as rows arrive.
//!
//! Formula: `f32(sum of f64(f32(value * tap)))` over nine rows and columns around every second
//! sample, in `f64`, row after row from the first column to the last. The taps are those of a 9/7
//! wavelet, given to six digits for each place, so that no two passes give the same bits. Borders
//! reflect and repeat the border sample. An odd side's half is rounded up.
//!
//! Where the values under the filter that are not 0 differ by less than a factor of 2^14, which is
//! nearly everywhere, each row is summed on its own when it arrives, and its sums serve both results
//! that it lies at one distance from. With `2^e` up to `2^(e + 1)` the largest magnitude and none but 0
//! below `2^(e - 14)`, each product is a multiple of `2^(e - 49)`, the least tap being above 2^-12; and
//! as the taps' magnitudes add up to less than 2, each sum is below `2^(e + 2)`: `f64` holds all of
//! them exactly, in any order.
//!
//! Range: values below 2^16 in magnitude stay so, but for an overshoot of a few tenths.

use super::block::{Aligned, BLOCK, Block, blocks, grow};
use super::lanes::Lanes;
use crate::isa::{Isa, per_isa};

/// Rows and columns of the filter.
const WINDOW: usize = 9;

/// Rows and columns on each side of the middle.
const REACH: usize = 4;

/// By distance from the middle, of the row and of the column.
const TAPS: [[f32; REACH + 1]; REACH + 1] = [
    [0.363505, 0.160885, -0.047149, -0.010146, 0.016114],
    [0.160885, 0.071207, -0.020867, -0.004490, 0.007132],
    [-0.047149, -0.020867, 0.006115, 0.001316, -0.002090],
    [-0.010146, -0.004490, 0.001316, 0.000283, -0.000450],
    [0.016114, 0.007132, -0.002090, -0.000450, 0.000714],
];

/// Results made at a time.
const CHUNK: usize = BLOCK;

/// Values of one parity that a chunk's windows cover, in whole vectors.
const LINE: usize = CHUNK + 16;

/// Rows kept. Nine are filtered, and at the end of the picture above up to four arrive at once: r rows need
/// r + 8 places.
const SLOTS: usize = 12;

/// Both pictures' values of even and of odd columns.
const LINES: usize = 4;

/// Rows of results that are being summed. A row adds to five, and up to four rows arrive at once.
const SUMS: usize = 8;

/// The half of a side.
pub(super) const fn half(side: usize) -> usize {
    side.div_ceil(2)
}

/// The bits of the least value's magnitude that is not 0, less 1, and of the largest one's.
#[derive(Clone, Copy, Debug)]
struct Range {
    least: u32,
    most: u32,
}

impl Range {
    const NONE: Self = Self { least: u32::MAX, most: 0 };

    fn and(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    /// Whether all sums of products of such values are exact.
    fn is_narrow(self) -> bool {
        const SPAN: u32 = 14 << 23;
        self.least > self.most.saturating_sub(SPAN)
    }
}

/// A pair of pictures being halved.
#[derive(Debug, Default)]
pub(super) struct Halver {
    width: usize,
    height: usize,
    rows: usize,
    made: usize,
    /// [`SLOTS`] slots of [`LINES`] lines of [`line_len`].
    ring: Vec<f32>,
    /// Both pictures' sums of [`SUMS`] rows of results.
    sums: Vec<Block<f64>>,
    /// Of the values in each slot, of both pictures.
    ranges: Vec<Range>,
    products: Products,
}

/// Products of one row with the taps at each distance; kept only to save clearing them.
#[derive(Debug)]
struct Products {
    doubles: Aligned<[[f64; LINE]; REACH + 1]>,
    /// Of one chunk at one distance from a row of results, and of the next.
    floats: Aligned<[[[f32; LINE]; REACH + 1]; 2]>,
}

impl Default for Products {
    fn default() -> Self {
        Self {
            doubles: Aligned([[0.0; LINE]; REACH + 1]),
            floats: Aligned([[[0.0; LINE]; REACH + 1]; 2]),
        }
    }
}

/// The length that a row of `width` results is padded to.
pub(super) const fn padded_len(width: usize) -> usize {
    width.next_multiple_of(CHUNK)
}

/// The length of a line of one parity.
const fn line_len(width: usize) -> usize {
    padded_len(half(width)) + LINE - CHUNK
}

/// The index inside `0..len` that `index` reflects to; the border sample is repeated.
const fn reflect(index: isize, len: usize) -> usize {
    let len = len as isize;
    (if index < 0 {
        -1 - index
    } else if index >= len {
        2 * len - 1 - index
    } else {
        index
    }) as usize
}

impl Halver {
    /// Begins anew. Neither side is less than [`REACH`].
    pub(super) fn start(&mut self, [width, height]: [usize; 2]) {
        (self.width, self.height) = (width, height);
        (self.rows, self.made) = (0, 0);
        let len = SLOTS * LINES * line_len(width);
        if self.ring.len() < len {
            self.ring.resize(len, 0.0);
        }
        grow(&mut self.sums, SUMS * 2 * blocks(half(width)));
        self.ranges.clear();
        self.ranges.resize(SLOTS, Range::NONE);
    }

    /// Takes the next row of both pictures.
    pub(super) fn push(&mut self, isa: Isa, rows: [&[f32]; 2]) {
        let line_len = line_len(self.width);
        let slot = self.rows % SLOTS;
        self.ranges[slot] =
            range(isa, &rows[0][..self.width]).and(range(isa, &rows[1][..self.width]));
        let sums_len = blocks(half(self.width));
        let sum_row = if self.rows.is_multiple_of(2) { sum_even_row } else { sum_odd_row };
        for (picture, row) in rows.iter().enumerate() {
            let lines = &mut self.ring[(2 * slot + picture) * 2 * line_len..][..2 * line_len];
            split_row(isa, &row[..self.width], lines);
            let sums = &mut self.sums[picture * SUMS * sums_len..][..SUMS * sums_len];
            sum_row(isa, lines, sums, self.rows / 2, &mut self.products);
        }
        self.rows += 1;
    }

    /// Makes the next row of both halves, if the rows for it have come. `halves` are padded.
    pub(super) fn pull(&mut self, isa: Isa, halves: [&mut [f32]; 2]) -> bool {
        let middle = 2 * self.made;
        if middle >= self.height || self.rows < self.height.min(middle + REACH + 1) {
            return false;
        }
        let rows: [usize; WINDOW] = std::array::from_fn(|position| {
            reflect((middle + position) as isize - REACH as isize, self.height) % SLOTS
        });
        let range = rows.iter().fold(Range::NONE, |range, row| range.and(self.ranges[*row]));
        // A row that is reflected lies at other distances than those it was summed at.
        let reflected = middle < REACH || middle + REACH >= self.height;
        let line_len = line_len(self.width);
        let sums_len = blocks(self::half(self.width));
        for (picture, half) in halves.into_iter().enumerate() {
            let half = &mut half[..padded_len(self::half(self.width))];
            if range.is_narrow() && !reflected {
                let slot = picture * SUMS + self.made % SUMS;
                round_sums(isa, &self.sums[slot * sums_len..][..sums_len], half);
            } else {
                let rows = rows
                    .map(|row| &self.ring[(2 * row + picture) * 2 * line_len..][..2 * line_len]);
                filter_row(isa, rows, half, &mut self.products);
            }
        }
        self.made += 1;
        true
    }
}

/// Parts a row into its even and its odd columns, from the fourth before the first on.
#[inline(always)]
fn split_row_body(row: &[f32], lines: &mut [f32]) {
    let line_len = lines.len() / 2;
    let (even, odd) = lines.split_at_mut(line_len);
    let used = half(row.len()) + REACH;
    // Inside, pair `i` holds columns 2 i - 4 and 2 i - 3.
    let inside = 2..2 + row.len() / 2;
    for ((even, odd), pair) in
        even[inside.clone()].iter_mut().zip(&mut odd[inside.clone()]).zip(row.chunks_exact(2))
    {
        (*even, *odd) = (pair[0], pair[1]);
    }
    for at in (0..inside.start).chain(inside.end..used) {
        let column = 2 * at as isize - REACH as isize;
        even[at] = row[reflect(column, row.len())];
        odd[at] = row[reflect(column + 1, row.len())];
    }
}

/// The range of a row's values.
#[inline(always)]
fn range_body(row: &[f32]) -> Range {
    let mut range = Range::NONE;
    for value in row {
        let bits = value.to_bits() << 1 >> 1;
        range.least = range.least.min(bits.wrapping_sub(1));
        range.most = range.most.max(bits);
    }
    range
}

/// One row of parted columns, and how far it lies from rows of results.
#[derive(Clone, Copy)]
struct Row<'a, const FIRST: usize> {
    lines: &'a [f32],
    /// The row of results at distance `FIRST`, which is 0 of even rows and 1 of odd ones; where there
    /// are two, the one above.
    nearest: usize,
}

impl<const FIRST: usize> Row<'_, FIRST> {
    /// Distances that the row lies at from rows of results: `FIRST` and every second one from there.
    const DISTANCES: usize = (REACH - FIRST) / 2 + 1;

    /// Products of a chunk with the taps at one distance from a row of results.
    #[inline(always)]
    fn multiply<V: Lanes>(
        self,
        v: V,
        [chunk, run]: [usize; 2],
        products: &mut [[f32; LINE]; REACH + 1],
    ) {
        let line_len = self.lines.len() / 2;
        for (distance, products) in products.iter_mut().enumerate() {
            let start = distance % 2 * line_len + chunk * CHUNK;
            let values: &[f32; LINE] = self.lines[start..].first_chunk().expect("lines are padded");
            let tap = v.splat(TAPS[FIRST + 2 * run][distance]);
            for at in (0..LINE).step_by(V::LANES) {
                v.store(v.mul(v.load(&values[at..]), tap), &mut products[at..]);
            }
        }
    }

    /// Adds a chunk's sums across, at one distance, to the results above and below. The row furthest
    /// below begins with them.
    #[inline(always)]
    fn add<V: Lanes>(
        self,
        v: V,
        [chunk, run]: [usize; 2],
        [p0, p1, p2, p3, p4]: &[[f32; LINE]; REACH + 1],
        sums: &mut [Block<f64>],
    ) {
        let blocks = sums.len() / SUMS;
        let above = (self.nearest + SUMS - run) % SUMS * blocks + chunk;
        let below = (self.nearest + FIRST + run) % SUMS * blocks + chunk;
        let begins = FIRST == 0 && run == Self::DISTANCES - 1;
        for at in (0..CHUNK).step_by(V::LANES) {
            let far = v.add_doubles(v.load_wide(&p4[at..]), v.load_wide(&p4[at + 4..]));
            let other = v.add_doubles(v.load_wide(&p3[at..]), v.load_wide(&p3[at + 3..]));
            let far = v.add_doubles(far, other);
            let near = v.add_doubles(v.load_wide(&p2[at + 1..]), v.load_wide(&p2[at + 3..]));
            let other = v.add_doubles(v.load_wide(&p1[at + 1..]), v.load_wide(&p1[at + 2..]));
            let near = v.add_doubles(near, other);
            let near = v.add_doubles(near, v.load_wide(&p0[at + 2..]));
            let across = v.add_doubles(far, near);
            let Block(results) = &mut sums[above];
            let sum = v.add_doubles(v.load_doubles(&results[at..]), across);
            v.store_doubles(sum, &mut results[at..]);
            if above != below {
                let Block(results) = &mut sums[below];
                let sum = if begins {
                    across
                } else {
                    v.add_doubles(v.load_doubles(&results[at..]), across)
                };
                v.store_doubles(sum, &mut results[at..]);
            }
        }
    }

    /// Adds the row to all results that it lies under the filter of, of which there are [`SUMS`] rows.
    ///
    /// The next products are written before those at hand are read: a load across two stores waits
    /// until both have left for the cache.
    #[inline(always)]
    fn add_to(self, v: impl Lanes, sums: &mut [Block<f64>], products: &mut Products) {
        let Aligned(products) = &mut products.floats;
        let steps = sums.len() / SUMS * Self::DISTANCES;
        let place = |step: usize| [step / Self::DISTANCES, step % Self::DISTANCES];
        self.multiply(v, place(0), &mut products[0]);
        for step in 0..steps {
            if step + 1 < steps {
                self.multiply(v, place(step + 1), &mut products[(step + 1) % 2]);
            }
            self.add(v, place(step), &products[step % 2], sums);
        }
    }
}

#[inline(always)]
fn sum_even_row_body(
    v: impl Lanes,
    lines: &[f32],
    sums: &mut [Block<f64>],
    nearest: usize,
    products: &mut Products,
) {
    Row::<0> { lines, nearest }.add_to(v, sums, products);
}

#[inline(always)]
fn sum_odd_row_body(
    v: impl Lanes,
    lines: &[f32],
    sums: &mut [Block<f64>],
    nearest: usize,
    products: &mut Products,
) {
    Row::<1> { lines, nearest }.add_to(v, sums, products);
}

/// Rounds a row of sums. They are what [`filter_row_body`] gives where no sum rounds.
#[inline(always)]
fn round_sums_body(sums: &[Block<f64>], half: &mut [f32]) {
    for (half, Block(sums)) in half.chunks_exact_mut(CHUNK).zip(sums) {
        for x in 0..CHUNK {
            half[x] = sums[x] as f32;
        }
    }
}

/// Filters one row of results out of nine rows of parted columns.
#[inline(always)]
fn filter_row_body(rows: [&[f32]; WINDOW], half: &mut [f32], products: &mut Products) {
    let line_len = rows[0].len() / 2;
    let Aligned(products) = &mut products.doubles;
    for (chunk, half) in half.chunks_exact_mut(CHUNK).enumerate() {
        let Aligned(mut sums) = Aligned([0.0_f64; CHUNK]);
        for (position, row) in rows.iter().enumerate() {
            let taps = &TAPS[position.abs_diff(REACH)];
            for (distance, line) in products.iter_mut().enumerate() {
                let parity = distance % 2;
                let values = &row[parity * line_len + chunk * CHUNK..][..LINE];
                for x in 0..LINE {
                    line[x] = f64::from(values[x] * taps[distance]);
                }
            }
            let [p0, p1, p2, p3, p4] = &*products;
            for x in 0..CHUNK {
                sums[x] = sums[x]
                    + p4[x]
                    + p3[x]
                    + p2[x + 1]
                    + p1[x + 1]
                    + p0[x + 2]
                    + p1[x + 2]
                    + p2[x + 3]
                    + p3[x + 3]
                    + p4[x + 4];
            }
        }
        for x in 0..CHUNK {
            half[x] = sums[x] as f32;
        }
    }
}

per_isa! {
    fn split_row(row: &[f32], lines: &mut [f32]) = split_row_body;
    fn range(row: &[f32]) -> Range = range_body;
    fn sum_even_row(lines: &[f32], sums: &mut [Block<f64>], nearest: usize, products: &mut Products)
        = sum_even_row_body, with vector;
    fn sum_odd_row(lines: &[f32], sums: &mut [Block<f64>], nearest: usize, products: &mut Products)
        = sum_odd_row_body, with vector;
    fn round_sums(sums: &[Block<f64>], half: &mut [f32]) = round_sums_body;
    fn filter_row(rows: [&[f32]; WINDOW], half: &mut [f32], products: &mut Products)
        = filter_row_body;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_row_by_row_have_the_bits_of_sums_in_order_where_values_are_narrow() {
        const LEN: usize = 2 * (CHUNK + LINE);
        let mut state = 1_u64;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let (mut narrow, mut cases) = (0, 0);
        for case in 0..40 {
            let span = (case % 20) as f32;
            let rows: [Vec<f32>; WINDOW] = std::array::from_fn(|_| {
                let mut value = || {
                    let sign = if number() < 0.1 { -1.0 } else { 1.0 };
                    sign * (8.0 - span * number()).exp2() * f32::from(u8::from(number() > 0.05))
                };
                std::iter::repeat_with(&mut value).take(LEN).collect()
            });
            let range = |row: &Vec<f32>| range_body(row);
            let range = rows.iter().map(range).fold(Range::NONE, Range::and);
            assert_eq!(range.is_narrow(), span < 14.5, "2^8 by a factor of up to 2^{span}");
            (narrow, cases) = (narrow + usize::from(range.is_narrow()), cases + 1);
            if range.is_narrow() {
                for isa in Isa::available() {
                    let rows = rows.each_ref().map(Vec::as_slice);
                    let mut products = Products::default();
                    let mut sums = [Block::default(); 2 * SUMS];
                    for (position, row) in rows.iter().enumerate() {
                        let sum_row =
                            if position.is_multiple_of(2) { sum_even_row } else { sum_odd_row };
                        sum_row(isa, row, &mut sums, position / 2, &mut products);
                    }
                    let [mut actual, mut expected] = [[0.0; 2 * CHUNK]; 2];
                    round_sums(isa, &sums[REACH / 2 * 2..][..2], &mut actual);
                    filter_row(isa, rows, &mut expected, &mut products);
                    assert_eq!(actual.map(f32::to_bits), expected.map(f32::to_bits), "{isa}");
                }
            }
        }
        assert!(narrow > 0 && narrow < cases);
    }
}
