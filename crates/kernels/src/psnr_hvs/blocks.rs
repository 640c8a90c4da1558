//! What is computed of a batch of blocks: one block a lane, so that every operation on a lane comes
//! in the order that the metric's definition has for its block.
//!
//! Range: samples of 12 bits; sums of 64 of them stay below 2^18 and are exact in `f32`, as are the
//! means, which are 64ths. The square of a coefficient is rounded once, whether it is squared as an
//! integer and then converted or the other way round.

use super::csf::Sensitivity;
use super::dct::transform;

/// Blocks computed together at most.
pub(super) const BATCH: usize = 32;
/// Batches are filled up to a multiple of this with blocks of zeros, which add nothing.
pub(super) const BATCH_STEP: usize = 16;
/// Side of a block.
pub(super) const SIDE: usize = 8;
/// Samples, and coefficients, of a block.
pub(super) const COEFFICIENTS: usize = SIDE * SIDE;

/// A value for each sample or coefficient of each block of a batch.
pub(super) type Grid<T> = [[T; BATCH]; COEFFICIENTS];
/// A value for each block.
pub(super) type Lane<T> = [T; BATCH];

/// One picture's blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Samples, then coefficients: row by row.
    pub(super) values: Grid<i32>,
    /// Coefficients of columns, column by column.
    columns: Grid<i32>,
    /// How strongly what is in a block masks errors.
    pub(super) masking: Lane<f32>,
}

/// Of each block, or of a quarter of it: the sum of squared distances from the mean.
#[derive(Clone, Copy, Debug)]
struct Spread {
    mean: Lane<f32>,
    sum: Lane<f32>,
}

impl Spread {
    const NONE: Self = Self { mean: [0.0; BATCH], sum: [0.0; BATCH] };
}

impl Default for Blocks {
    fn default() -> Self {
        let zeros = [[0; BATCH]; COEFFICIENTS];
        Self { values: zeros, columns: zeros, masking: [0.0; BATCH] }
    }
}

impl Blocks {
    /// Turns samples into coefficients and masking.
    #[inline(always)]
    pub(super) fn analyse(&mut self, lanes: usize, mask: &[f32; COEFFICIENTS]) {
        self.relate_variances(lanes);
        for x in 0..SIDE {
            let line = self.columns[x * SIDE..].first_chunk_mut().expect("eight lines of eight");
            transform_line(lanes, &self.values, x, line);
        }
        for y in 0..SIDE {
            let line = self.values[y * SIDE..].first_chunk_mut().expect("eight lines of eight");
            transform_line(lanes, &self.columns, y, line);
        }
        self.mask(lanes, mask);
    }

    /// Puts into `masking` the variance of the quarters by that of the whole.
    #[inline(always)]
    fn relate_variances(&mut self, lanes: usize) {
        let mut whole = Spread::NONE;
        // Top left, bottom left, top right, bottom right: the order in which they are added.
        let mut quarters = [Spread::NONE; 4];
        self.find_means(lanes, &mut whole, &mut quarters);
        let [top_left, bottom_left, top_right, bottom_right] = &mut quarters;
        for y in 0..SIDE / 2 {
            spread_row(lanes, &self.values, y, &mut whole, top_left, top_right);
        }
        for y in SIDE / 2..SIDE {
            spread_row(lanes, &self.values, y, &mut whole, bottom_left, bottom_right);
        }
        for lane in 0..lanes {
            const OF_64: f32 = 1.0 / 63.0 * 64.0;
            const OF_16: f32 = 1.0 / 15.0 * 16.0;
            let whole = whole.sum[lane] * OF_64;
            let [first, second, third, fourth] =
                quarters.each_ref().map(|quarter| quarter.sum[lane] * OF_16);
            let parts = first + second + third + fourth;
            // A block of one value has no variance at all: its quotient is not looked at.
            self.masking[lane] = if whole > 0.0 { parts / whole } else { whole };
        }
    }

    #[inline(always)]
    fn find_means(&self, lanes: usize, whole: &mut Spread, quarters: &mut [Spread; 4]) {
        for (at, quarter) in quarters.iter_mut().enumerate() {
            let start = at % 2 * 4 * SIDE + at / 2 * 4;
            let mut sums = [0_i32; BATCH];
            let sums = &mut sums[..lanes];
            for y in 0..4 {
                let row = start + y * SIDE;
                let [a, b, c, d]: [&[i32]; 4] =
                    std::array::from_fn(|x| &self.values[row + x][..lanes]);
                for lane in 0..lanes {
                    let pairs = [a[lane].wrapping_add(b[lane]), c[lane].wrapping_add(d[lane])];
                    sums[lane] = sums[lane].wrapping_add(pairs[0].wrapping_add(pairs[1]));
                }
            }
            let (whole, quarter) = (&mut whole.mean[..lanes], &mut quarter.mean[..lanes]);
            for lane in 0..lanes {
                whole[lane] += sums[lane] as f32;
                quarter[lane] = sums[lane] as f32 / 16.0;
            }
        }
        for lane in 0..lanes {
            whole.mean[lane] /= 64.0;
        }
    }

    /// Multiplies the energy of all but the mean into `masking`.
    #[inline(always)]
    fn mask(&mut self, lanes: usize, mask: &[f32; COEFFICIENTS]) {
        let mut energy = [0_f32; BATCH];
        let energy = &mut energy[..lanes];
        for y in 0..SIDE {
            let [a, b, c, d, e, f, g, h] = row_of(lanes, &self.values, y);
            let mut weights: [f32; SIDE] = std::array::from_fn(|x| mask[y * SIDE + x]);
            if y == 0 {
                // The mean masks nothing: what it would add is zero.
                weights[0] = 0.0;
            }
            for lane in 0..lanes {
                let row = [a[lane], b[lane], c[lane], d[lane], e[lane], f[lane], g[lane], h[lane]];
                let mut sum = energy[lane];
                for x in 0..SIDE {
                    let coefficient = row[x] as f32;
                    sum += coefficient * coefficient * weights[x];
                }
                energy[lane] = sum;
            }
        }
        let masking = &mut self.masking[..lanes];
        for lane in 0..lanes {
            masking[lane] = (energy[lane] * masking[lane]).sqrt() / 32.0;
        }
    }
}

/// Adds row `y` of each block to the spreads that it belongs to.
#[inline(always)]
fn spread_row(
    lanes: usize,
    values: &Grid<i32>,
    y: usize,
    whole: &mut Spread,
    left: &mut Spread,
    right: &mut Spread,
) {
    let [a, b, c, d, e, f, g, h] = row_of(lanes, values, y);
    let means = [&whole.mean[..lanes], &left.mean[..lanes], &right.mean[..lanes]];
    let whole = &mut whole.sum[..lanes];
    let (left, right) = (&mut left.sum[..lanes], &mut right.sum[..lanes]);
    for lane in 0..lanes {
        let [mean, left_mean, right_mean] = [means[0][lane], means[1][lane], means[2][lane]];
        let (mut sum, mut left_sum, mut right_sum) = (whole[lane], left[lane], right[lane]);
        for sample in [a[lane], b[lane], c[lane], d[lane]].map(|sample| sample as f32) {
            sum += (sample - mean) * (sample - mean);
            left_sum += (sample - left_mean) * (sample - left_mean);
        }
        for sample in [e[lane], f[lane], g[lane], h[lane]].map(|sample| sample as f32) {
            sum += (sample - mean) * (sample - mean);
            right_sum += (sample - right_mean) * (sample - right_mean);
        }
        whole[lane] = sum;
        left[lane] = left_sum;
        right[lane] = right_sum;
    }
}

/// Row `y` of every block.
#[inline(always)]
fn row_of(lanes: usize, values: &Grid<i32>, y: usize) -> [&[i32]; SIDE] {
    std::array::from_fn(|x| &values[y * SIDE + x][..lanes])
}

/// Transforms column `x` of `source`, which has eight rows, into a line.
#[inline(always)]
fn transform_line(lanes: usize, source: &Grid<i32>, x: usize, line: &mut [Lane<i32>; SIDE]) {
    let [a, b, c, d, e, f, g, h]: [&[i32]; SIDE] =
        std::array::from_fn(|y| &source[y * SIDE + x][..lanes]);
    let [y0, y1, y2, y3, y4, y5, y6, y7] = line.each_mut().map(|line| &mut line[..lanes]);
    for lane in 0..lanes {
        let samples = [a[lane], b[lane], c[lane], d[lane], e[lane], f[lane], g[lane], h[lane]];
        let coefficients = transform(samples);
        y0[lane] = coefficients[0];
        y1[lane] = coefficients[1];
        y2[lane] = coefficients[2];
        y3[lane] = coefficients[3];
        y4[lane] = coefficients[4];
        y5[lane] = coefficients[5];
        y6[lane] = coefficients[6];
        y7[lane] = coefficients[7];
    }
}

/// The weighted squared error of every coefficient beyond what the stronger masking hides; the
/// error of the mean is not hidden.
#[inline(always)]
pub(super) fn errors(
    [reference, distorted]: [&Blocks; 2],
    lanes: usize,
    sensitivity: &Sensitivity,
    terms: &mut Grid<f32>,
) {
    let mut masking = [0_f32; BATCH];
    for lane in 0..lanes {
        let (of_reference, of_distorted) = (reference.masking[lane], distorted.masking[lane]);
        masking[lane] = if of_distorted > of_reference { of_distorted } else { of_reference };
    }
    for at in 0..COEFFICIENTS {
        let (weight, mask) = (sensitivity.error[at], sensitivity.mask[at]);
        let pair = [&reference.values[at][..lanes], &distorted.values[at][..lanes]];
        let (masking, terms) = (&masking[..lanes], &mut terms[at][..lanes]);
        for lane in 0..lanes {
            let error = pair[0][lane].wrapping_sub(pair[1][lane]).wrapping_abs() as f32;
            let left = if at == 0 { error } else { error - masking[lane] / mask };
            let seen = if left > 0.0 { left } else { 0.0 };
            terms[lane] = (seen * weight) * (seen * weight);
        }
    }
}
