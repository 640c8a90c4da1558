//! Sums of cubes: of what is left of weighted coefficients after masking, and of the reference.
//!
//! Every cube is rounded and shifted before it joins the sum of its row, and every row sum is
//! rounded and shifted before it joins the sum of the band. A row must therefore be summed whole;
//! within it the order does not matter, for integers.
//!
//! Range: sums are kept modulo 2^64. The shifts grow with the logarithms of width and height, so
//! that a band of the largest legal size stays below that.

use super::decouple::WeightedRow;
use crate::elementary::pow;

/// The least shift that brings `count` values of one unit below or at one unit: `ceil(log2(count))`.
fn log2_ceil(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// Half of `2^shift`, or nothing where there is no shift.
pub(super) fn half(shift: u32) -> i64 {
    (1_i64 << shift) >> 1
}

/// The shifts of one band's masked sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shifts {
    threshold: u32,
    pub(super) square: u32,
    pub(super) cube: u32,
}

/// The sums of cubes of three masked bands.
#[derive(Clone, Debug, Default)]
pub(super) struct MaskedSums {
    shifts: [Shifts; 3],
    row_shift: u32,
    sums: [i64; 3],
}

impl MaskedSums {
    /// Empty sums for scale `scale` with bands of `width` by `height` coefficients.
    ///
    /// Where a band is so narrow that the shift of libvmaf would be negative, it is zero.
    pub(super) fn new(scale: usize, width: usize, height: usize) -> Self {
        let log2_width = log2_ceil(width);
        let shifts = if scale == 0 {
            let straight = Shifts { threshold: 10, square: 29, cube: log2_width.saturating_sub(4) };
            let diagonal = Shifts { threshold: 12, square: 30, cube: log2_width.saturating_sub(3) };
            [straight, straight, diagonal]
        } else {
            [Shifts { threshold: 0, square: 30, cube: log2_width }; 3]
        };
        Self { shifts, row_shift: log2_ceil(height), sums: [0; 3] }
    }

    /// Adds a row: `threshold` holds a masking threshold for each of `row`'s coefficients from
    /// `offset` on.
    #[inline(always)]
    pub(super) fn add_row(&mut self, threshold: &[i32], row: &WeightedRow, offset: usize) {
        let row_sum = |band: usize| {
            let values = &row.bands[band][offset..offset + threshold.len()];
            masked_row_sum(threshold, values, self.shifts[band])
        };
        let row_sums = [row_sum(0), row_sum(1), row_sum(2)];
        self.add_sums(row_sums);
    }

    /// Adds the sums of a row's three bands.
    #[inline(always)]
    pub(super) fn add_sums(&mut self, row_sums: [i64; 3]) {
        for (sum, row_sum) in self.sums.iter_mut().zip(row_sums) {
            let rounded = row_sum.wrapping_add(half(self.row_shift)) >> self.row_shift;
            *sum = sum.wrapping_add(rounded);
        }
    }

    /// The shifts of each band.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn shifts(&self) -> [Shifts; 3] {
        self.shifts
    }

    /// The sums as real numbers in units of the weighted coefficients, rounded to `f32`.
    pub(super) fn values(&self, scale: usize) -> [f32; 3] {
        std::array::from_fn(|band| {
            let spent = (self.shifts[band].cube + self.row_shift) as i32;
            let sum = self.sums[band];
            if scale == 0 {
                let pending = if band == 2 { 57 } else { 52 };
                (sum as f64 / 2.0_f64.powi(pending - spent)) as f32
            } else {
                let pending = [45, 39, 36][scale - 1];
                sum as f32 / 2.0_f64.powi(pending - spent) as f32
            }
        })
    }
}

#[inline(always)]
fn masked_row_sum(threshold: &[i32], values: &[i32], shifts: Shifts) -> i64 {
    let values = &values[..threshold.len()];
    let (half_square, half_cube) = (half(shifts.square), half(shifts.cube));
    let mut sum = 0_i64;
    for at in 0..threshold.len() {
        let masked = values[at]
            .wrapping_abs()
            .wrapping_sub(threshold[at].wrapping_shl(shifts.threshold))
            .max(0);
        let masked = i64::from(masked);
        // Cut to 32 bits, as libvmaf does; an ordinary picture stays below.
        let square = i64::from(((masked * masked + half_square) >> shifts.square) as i32);
        sum = sum.wrapping_add((square * masked).wrapping_add(half_cube) >> shifts.cube);
    }
    sum
}

/// Masking thresholds of one row: the sum of three rows of `around` over three columns, and
/// `centre`.
///
/// `columns` are the runs before, at and after the coefficients; see [`sum_rows`].
#[inline(always)]
pub(super) fn thresholds(column_sums: &[i32], centre: &[i32], threshold: &mut [i32]) {
    let length = threshold.len();
    let (before, at_column, after) =
        (&column_sums[..length], &column_sums[1..=length], &column_sums[2..length + 2]);
    let centre = &centre[..length];
    for at in 0..length {
        threshold[at] =
            before[at].wrapping_add(at_column[at]).wrapping_add(after[at]).wrapping_add(centre[at]);
    }
}

/// Adds three rows.
#[inline(always)]
pub(super) fn sum_rows(rows: [&[i32]; 3], sums: &mut [i32]) {
    let length = sums.len();
    let [before, at_row, after] = rows.map(|row| &row[..length]);
    for at in 0..length {
        sums[at] = before[at].wrapping_add(at_row[at]).wrapping_add(after[at]);
    }
}

/// The sums of cubes of the reference's three bands, unweighted.
#[derive(Clone, Debug, Default)]
pub(super) struct ReferenceSums {
    square_shift: u32,
    cube_shift: u32,
    row_shift: u32,
    sums: [u64; 3],
}

impl ReferenceSums {
    /// Empty sums for scale `scale` whose scored part is `width` by `height` coefficients.
    pub(super) fn new(scale: usize, width: usize, height: usize) -> Self {
        if scale == 0 {
            // Cubes of 16-bit magnitudes are summed as they are; 2^20 of them fit.
            let row_shift = log2_ceil(width * height).saturating_sub(20);
            return Self { row_shift, ..Self::default() };
        }
        Self {
            square_shift: [31, 30, 31][scale - 1],
            cube_shift: log2_ceil(width),
            row_shift: log2_ceil(height),
            sums: [0; 3],
        }
    }

    /// Adds one row of the three bands.
    #[inline(always)]
    pub(super) fn add_row(&mut self, scale: usize, rows: [&[i32]; 3]) {
        let row_sum = |row: &[i32]| {
            if scale == 0 {
                plain_row_sum(row)
            } else {
                rounded_row_sum(row, self.square_shift, self.cube_shift)
            }
        };
        let row_sums = [row_sum(rows[0]), row_sum(rows[1]), row_sum(rows[2])];
        self.add_sums(row_sums);
    }

    /// Adds the sums of a row's three bands.
    #[inline(always)]
    pub(super) fn add_sums(&mut self, row_sums: [u64; 3]) {
        let half = half(self.row_shift) as u64;
        for (sum, row_sum) in self.sums.iter_mut().zip(row_sums) {
            *sum = sum.wrapping_add(row_sum.wrapping_add(half) >> self.row_shift);
        }
    }

    /// The shifts of squares and of cubes.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn shifts(&self) -> [u32; 2] {
        [self.square_shift, self.cube_shift]
    }

    /// The weighted sums as real numbers.
    pub(super) fn values(&self, scale: usize, weights: [f32; 3]) -> [f32; 3] {
        let pending = [18, 32, 27, 23][scale];
        let unit = 2.0_f64.powi(pending - (self.row_shift + self.cube_shift) as i32);
        std::array::from_fn(|band| {
            let weight = pow(f64::from(weights[band]), 3.0);
            (self.sums[band] as f64 / unit * weight) as f32
        })
    }
}

#[inline(always)]
fn plain_row_sum(row: &[i32]) -> u64 {
    let mut sum = 0_u64;
    for value in row {
        let magnitude = value.unsigned_abs();
        // Magnitudes are at most 27,411: the square fits 32 bits.
        let square = magnitude.wrapping_mul(magnitude);
        sum = sum.wrapping_add(u64::from(square) * u64::from(magnitude));
    }
    sum
}

#[inline(always)]
fn rounded_row_sum(row: &[i32], square_shift: u32, cube_shift: u32) -> u64 {
    let half_cube = half(cube_shift) as u64;
    let mut sum = 0_u64;
    for value in row {
        let magnitude = u64::from(value.unsigned_abs());
        // libvmaf adds a whole unit here, not half of one. Below 2^31 the result fits 32 bits.
        let square = (magnitude * magnitude + (1 << square_shift)) >> square_shift;
        let cube = u64::from(square as u32) * magnitude;
        sum = sum.wrapping_add((cube + half_cube) >> cube_shift);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_rounded_up_logarithms() {
        for count in 1..5000_usize {
            assert_eq!(log2_ceil(count), (count as f64).log2().ceil() as u32, "{count}");
        }
    }

    #[test]
    fn half_a_unit_of_no_shift_is_nothing() {
        assert_eq!([half(0), half(1), half(5)], [0, 1, 16]);
    }
}
