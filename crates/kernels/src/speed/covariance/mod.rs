//! The covariance of all 5x5 windows of the detail.
//!
//! Element `i` of a window is its sample in row `i / 5` and column `i % 5`. The mean of element `i`
//! over all windows is an `f32` sum in the order of rows and columns; the covariance of elements
//! `i` and `j` is the `f64` sum of `(a - mean_i) (b - mean_j)` in the same order, divided and then
//! rounded to `f32`. Vectors run across elements: no sum is reordered.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::geometry::Geometry;
use super::shrink::Detail;
use super::{BLOCK_LEN, BLOCK_SIDE, LANES, Matrix};
use crate::isa::Portable;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};

/// Lanes in which a row of a window is worked on; those after the fifth have no meaning.
const ROW_LANES: usize = 8;

/// Windows whose deviations are held at a time: what fits the nearest cache.
const WINDOWS: usize = 64;

/// Adds the products of deviations to their sums, on and below the diagonal at least.
pub(super) trait Products: Copy {
    fn add(self, deviations: &[Deviations], sums: &mut Sums);
}

impl Products for Portable {
    #[inline(always)]
    fn add(self, deviations: &[Deviations], sums: &mut Sums) {
        add_products(deviations, sums);
    }
}

#[cfg(target_arch = "x86_64")]
impl Products for Avx2 {
    #[inline(always)]
    fn add(self, deviations: &[Deviations], sums: &mut Sums) {
        add_products(deviations, sums);
    }
}

#[cfg(target_arch = "x86_64")]
impl Products for Avx512 {
    #[inline(always)]
    fn add(self, deviations: &[Deviations], sums: &mut Sums) {
        // SAFETY: a value of `Avx512` proves that its instructions may run.
        unsafe { avx512::add_products(deviations, sums) };
    }
}

/// The deviations of one window's elements from their means.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Deviations([f64; LANES]);

/// The sums of products of deviations; above the diagonal they mean nothing.
#[repr(C, align(64))]
pub(super) struct Sums([[f64; LANES]; BLOCK_LEN]);

#[inline(always)]
pub(super) fn covariance(
    products: impl Products,
    detail: Detail<'_>,
    geometry: &Geometry,
) -> Matrix {
    let [width, height] = geometry.windows();
    let means = means(detail, width, height);
    let mut deviations = [Deviations([0.0; LANES]); WINDOWS];
    let mut sums = Sums([[0.0; LANES]; BLOCK_LEN]);
    for y in 0..height {
        for x in (0..width).step_by(WINDOWS) {
            let count = WINDOWS.min(width - x);
            for (place, deviations) in deviations[..count].iter_mut().enumerate() {
                *deviations = deviations_at(detail, &means, x + place, y);
            }
            products.add(&deviations[..count], &mut sums);
        }
    }
    let count = (width * height) as f64;
    let mut matrix = Matrix::ZERO;
    for i in 0..BLOCK_LEN {
        for j in 0..=i {
            let value = (sums.0[i][j] / count) as f32;
            matrix.0[i][j] = value;
            matrix.0[j][i] = value;
        }
    }
    matrix
}

#[inline(always)]
fn row_at<'a>(detail: Detail<'a>, x: usize, y: usize) -> &'a [f32] {
    &detail.samples[y * detail.stride + x..][..ROW_LANES]
}

/// The mean of each element; 0 in lanes without one.
#[inline(always)]
fn means(detail: Detail<'_>, width: usize, height: usize) -> [[f64; ROW_LANES]; BLOCK_SIDE] {
    let mut sums = [[0.0_f32; ROW_LANES]; BLOCK_SIDE];
    for y in 0..height {
        for x in 0..width {
            for row in 0..BLOCK_SIDE {
                let samples = row_at(detail, x, y + row);
                for lane in 0..ROW_LANES {
                    sums[row][lane] += samples[lane];
                }
            }
        }
    }
    let count = (width * height) as f32;
    let mut means = [[0.0; ROW_LANES]; BLOCK_SIDE];
    for row in 0..BLOCK_SIDE {
        for lane in 0..BLOCK_SIDE {
            means[row][lane] = f64::from(sums[row][lane] / count);
        }
    }
    means
}

/// The lanes after the 25th are finite and mean nothing.
#[inline(always)]
fn deviations_at(
    detail: Detail<'_>,
    means: &[[f64; ROW_LANES]; BLOCK_SIDE],
    x: usize,
    y: usize,
) -> Deviations {
    let mut deviations = Deviations([0.0; LANES]);
    for row in 0..BLOCK_SIDE {
        let samples = row_at(detail, x, y + row);
        // Each row overwrites the lanes without meaning of the one before.
        for lane in 0..ROW_LANES {
            deviations.0[row * BLOCK_SIDE + lane] = f64::from(samples[lane]) - means[row][lane];
        }
    }
    deviations
}

/// Adds the products of all pairs on and below the diagonal, and of some above.
#[inline(always)]
fn add_products(deviations: &[Deviations], sums: &mut Sums) {
    for i in (0..BLOCK_LEN - 1).step_by(4) {
        for j in (0..=i + 3).step_by(8) {
            add_tile::<4, 8>(deviations, sums, i, j);
        }
    }
    add_tile::<1, LANES>(deviations, sums, BLOCK_LEN - 1, 0);
}

/// Adds to the sums of rows `i..i + I` and columns `j..j + J`.
#[inline(always)]
fn add_tile<const I: usize, const J: usize>(
    deviations: &[Deviations],
    sums: &mut Sums,
    i: usize,
    j: usize,
) {
    let mut tile = [[0.0; J]; I];
    for row in 0..I {
        tile[row].copy_from_slice(&sums.0[i + row][j..j + J]);
    }
    for Deviations(deviations) in deviations {
        for row in 0..I {
            let deviation = deviations[i + row];
            for lane in 0..J {
                tile[row][lane] += deviation * deviations[j + lane];
            }
        }
    }
    for row in 0..I {
        sums.0[i + row][j..j + J].copy_from_slice(&tile[row]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::every_isa;
    use crate::isa::per_isa;

    #[inline(always)]
    fn add_with(products: impl Products, deviations: &[Deviations], sums: &mut Sums) {
        products.add(deviations, sums);
    }

    per_isa! {
        fn add(deviations: &[Deviations], sums: &mut Sums) = add_with, with vector;
    }

    #[test]
    fn sums_on_and_below_the_diagonal_are_those_of_one_product_after_the_other() {
        let mut state = 1_u64;
        let mut compared = 0;
        for count in [1, 2, 7, WINDOWS] {
            let deviations: Vec<_> = (0..count)
                .map(|_| {
                    Deviations(std::array::from_fn(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (state >> 40) as f64 / 4096.0 - 2048.0
                    }))
                })
                .collect();
            for isa in every_isa() {
                let mut sums = Sums([[0.125; LANES]; BLOCK_LEN]);
                add(isa, &deviations, &mut sums);
                for i in 0..BLOCK_LEN {
                    for j in 0..=i {
                        let expected = deviations
                            .iter()
                            .fold(0.125, |sum, deviations| sum + deviations.0[i] * deviations.0[j]);
                        assert_eq!(sums.0[i][j].to_bits(), f64::to_bits(expected), "{isa} {i} {j}");
                        compared += 1;
                    }
                }
            }
        }
        assert_eq!(compared, 4 * 325 * every_isa().len());
    }
}
