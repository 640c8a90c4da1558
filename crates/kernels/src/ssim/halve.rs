//! Half the size: the low-pass filter between two scales of MS-SSIM, as rows arrive.
//!
//! Formula: `f32(sum of f64(f32(value * tap)))` over nine rows and columns around every second
//! sample, in `f64`, row after row from the first column to the last. The taps are those of a 9/7
//! wavelet, given to six digits for each place, so that no two passes give the same bits. Borders
//! reflect and repeat the border sample. An odd side's half is rounded up.
//!
//! Where the values under the filter that are not 0 differ by less than a factor of 2^14, which is
//! nearly everywhere, sums are taken in the order that suits ([`lowpass`](super::lowpass)). With `2^e`
//! up to `2^(e + 1)` the largest magnitude and none but 0 below `2^(e - 14)`, each product is a multiple
//! of `2^(e - 49)`, the least tap being above 2^-12; and as the taps' magnitudes add up to less than 2,
//! each sum is below `2^(e + 2)`: `f64` holds all of them exactly, in any order.
//!
//! Range: values below 2^16 in magnitude stay so, but for an overshoot of a few tenths.

use super::block::Aligned;
use super::lowpass::{GROUP, REACH, ROWS_UNDER, Scratch, TAPS, WINDOW, filter_group, padded_len};
use super::rows::{MARGIN, Rows, SLOTS, reflect};
use crate::isa::{Isa, per_isa};

const _: () = assert!(ROWS_UNDER <= SLOTS);

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

    fn of_all(ranges: &[Self]) -> Self {
        ranges.iter().fold(Self::NONE, |range, other| range.and(*other))
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
    /// Rows of results that were pulled.
    pulled: usize,
    /// Of the values in each slot of [`Rows`], of both pictures.
    ranges: Vec<Range>,
    /// The latest [`GROUP`] rows of results of both pictures, each of a padded length.
    halves: [Vec<f32>; 2],
    scratch: Scratch,
}

impl Halver {
    /// Begins anew. Neither side is less than [`ROWS_UNDER`].
    pub(super) fn start(&mut self, [width, height]: [usize; 2]) {
        (self.width, self.height) = (width, height);
        self.pulled = 0;
        self.ranges.clear();
        self.ranges.resize(SLOTS, Range::NONE);
        for halves in &mut self.halves {
            halves.resize(GROUP * padded_len(half(width)), 0.0);
        }
    }

    /// Looks at the row of both pictures that is at hand, the `y`-th.
    pub(super) fn look_at(&mut self, isa: Isa, y: usize, rows: [&[f32]; 2]) {
        self.ranges[y % SLOTS] = range(isa, rows[0]).and(range(isa, rows[1]));
    }

    /// Gives the next row of both halves, if the rows for it have come.
    pub(super) fn pull(&mut self, isa: Isa, rows: &Rows, halves: [&mut [f32]; 2]) -> bool {
        let middle = 2 * self.pulled;
        let place = self.pulled % GROUP;
        if middle >= self.height {
            return false;
        }
        if place == 0 {
            if rows.count() < self.height.min(middle + ROWS_UNDER - REACH) {
                return false;
            }
            self.make_group(isa, rows);
        }
        for (half, made) in halves.into_iter().zip(&self.halves) {
            let len = made.len() / GROUP;
            half.copy_from_slice(&made[place * len..][..half.len()]);
        }
        self.pulled += 1;
        true
    }

    /// Makes the next rows of both halves, whether the picture has as many or not.
    fn make_group(&mut self, isa: Isa, rows: &Rows) {
        let under: [usize; ROWS_UNDER] = std::array::from_fn(|position| {
            reflect((2 * self.pulled + position) as isize - REACH as isize, self.height)
        });
        let ranges = under.map(|y| self.ranges[y % SLOTS]);
        for (picture, halves) in self.halves.iter_mut().enumerate() {
            let under = under.map(|y| rows.row(picture, y));
            filter_group(isa, under, halves, &mut self.scratch);
            let len = halves.len() / GROUP;
            for (result, half) in halves.chunks_exact_mut(len).enumerate() {
                let first = 2 * result;
                if !Range::of_all(&ranges[first..first + WINDOW]).is_narrow() {
                    let under = std::array::from_fn(|position| under[first + position]);
                    filter_row(isa, under, half);
                }
            }
        }
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

/// Filters one row of results out of nine rows from their margins on, in libvmaf's order.
#[inline(always)]
fn filter_row_body(rows: [&[f32]; WINDOW], half: &mut [f32]) {
    /// Results made at a time.
    const CHUNK: usize = 16;
    /// Values of one parity that their windows cover, in whole vectors.
    const LINE: usize = 2 * CHUNK;
    for (chunk, half) in half.chunks_exact_mut(CHUNK).enumerate() {
        let Aligned(mut sums) = Aligned([0.0_f64; CHUNK]);
        for (position, row) in rows.iter().enumerate() {
            let pairs = row[MARGIN - REACH + 2 * chunk * CHUNK..].as_chunks::<2>().0;
            let taps = &TAPS[position.abs_diff(REACH)];
            let mut products = [[0.0; LINE]; REACH + 1];
            for (distance, products) in products.iter_mut().enumerate() {
                for x in 0..CHUNK + REACH {
                    products[x] = f64::from(pairs[x][distance % 2] * taps[distance]);
                }
            }
            let [p0, p1, p2, p3, p4] = &products;
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
    fn range(row: &[f32]) -> Range = range_body;
    fn filter_row(rows: [&[f32]; WINDOW], half: &mut [f32]) = filter_row_body;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_columns_first_have_the_bits_of_sums_in_order_where_values_are_narrow() {
        const WIDTHS: [usize; 4] = [8, 100, 128, 200];
        let mut state = 1_u64;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let (mut narrow, mut cases) = (0, 0);
        for case in 0..80 {
            let span = (case / 4) as f32;
            let len = padded_len(WIDTHS[case % 4]);
            let rows: [Vec<f32>; ROWS_UNDER] = std::array::from_fn(|_| {
                let mut value = || {
                    let sign = if number() < 0.1 { -1.0 } else { 1.0 };
                    sign * (8.0 - span * number()).exp2() * f32::from(u8::from(number() > 0.05))
                };
                std::iter::repeat_with(&mut value).take(2 * len + 3 * MARGIN).collect()
            });
            let range = Range::of_all(&rows.each_ref().map(|row| range_body(row)));
            narrow += usize::from(range.is_narrow());
            cases += 1;
            if span < 13.5 {
                assert!(range.is_narrow(), "2^8 by a factor of up to 2^{span}");
            }
            if range.is_narrow() {
                for isa in crate::isa::every_isa() {
                    let rows = rows.each_ref().map(Vec::as_slice);
                    let [mut actual, mut expected] = [(); 2].map(|()| vec![0.0_f32; GROUP * len]);
                    // Twice, since what is kept of the first group must not matter.
                    let mut scratch = Scratch::default();
                    for _ in 0..2 {
                        filter_group(isa, rows, &mut actual, &mut scratch);
                    }
                    for (result, expected) in expected.chunks_exact_mut(len).enumerate() {
                        let rows = std::array::from_fn(|position| rows[2 * result + position]);
                        filter_row(isa, rows, expected);
                    }
                    let bits = |values: Vec<f32>| -> Vec<u32> {
                        values.into_iter().map(f32::to_bits).collect()
                    };
                    assert_eq!(bits(actual), bits(expected), "{isa}");
                }
            }
        }
        assert!(narrow > 0 && narrow < cases);
    }
}
