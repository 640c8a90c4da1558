//! The energy of blocks in units of the covariance: `y' K^-1 y / 25` for a block's samples `y`.
//!
//! `K = Q' R` by Householder reflections; then `R x = Q y` from the last row up. All is `f32`, every
//! sum starts at 0 and runs over columns; vectors run across the right-hand side's columns, which
//! are blocks, or across a matrix's.
//!
//! A reflection leaves the rows and columns before its own alone. Multiplying by the ones and zeros
//! that stand for that rounds nothing, so it is left out.

use super::{BLOCK_LEN, LANES, Matrix, SINGULAR_BELOW};

/// Values of [`LANES`] blocks: one row an element.
pub(super) type Columns = [[f32; LANES]; BLOCK_LEN];

/// The factors of a covariance.
pub(super) struct Factors {
    /// The inverse of the orthogonal factor.
    q: Matrix,
    /// Upper triangular, no pivot below [`SINGULAR_BELOW`]; what is below the diagonal means nothing.
    r: Matrix,
}

/// A matrix on its way to triangular and, after it, the reflections so far: rows of both, side by
/// side.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Reduced([[f32; 2 * LANES]; BLOCK_LEN]);

impl Factors {
    /// The factors of `covariance`, or `None` where a pivot is too small.
    #[inline(always)]
    pub(super) fn new(covariance: &Matrix) -> Option<Self> {
        let q = orthogonal(covariance);
        let mut r = Matrix::ZERO;
        for i in 0..BLOCK_LEN {
            for k in 0..BLOCK_LEN {
                for lane in 0..LANES {
                    r.0[i][lane] += q.0[i][k] * covariance.0[k][lane];
                }
            }
        }
        let singular = (0..BLOCK_LEN).any(|i| f64::from(r.0[i][i].abs()) < SINGULAR_BELOW);
        (!singular).then_some(Self { q, r })
    }

    /// The energies of blocks whose samples are `y`.
    #[inline(always)]
    pub(super) fn energies(&self, y: &Columns) -> [f32; LANES] {
        let mut x: Columns = [[0.0; LANES]; BLOCK_LEN];
        for i in 0..BLOCK_LEN {
            let mut sums = [0.0_f32; LANES];
            for k in 0..BLOCK_LEN {
                for lane in 0..LANES {
                    sums[lane] += self.q.0[i][k] * y[k][lane];
                }
            }
            x[i] = sums;
        }
        for i in (0..BLOCK_LEN).rev() {
            let mut rest = x[i];
            for k in i + 1..BLOCK_LEN {
                for lane in 0..LANES {
                    rest[lane] -= x[k][lane] * self.r.0[i][k];
                }
            }
            for lane in 0..LANES {
                x[i][lane] = rest[lane] / self.r.0[i][i];
            }
        }
        let mut energies = [0.0; LANES];
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            for lane in 0..LANES {
                let term = x[lane] * y[lane] / BLOCK_LEN as f32;
                energies[lane] = if i == 0 { term } else { energies[lane] + term };
            }
        }
        energies
    }
}

/// The product of the reflections that make `matrix` upper triangular.
#[inline(always)]
fn orthogonal(matrix: &Matrix) -> Matrix {
    let mut reduced = Reduced([[0.0; 2 * LANES]; BLOCK_LEN]);
    for i in 0..BLOCK_LEN {
        reduced.0[i][..LANES].copy_from_slice(&matrix.0[i]);
        reduced.0[i][LANES + i] = 1.0;
    }
    for step in 0..BLOCK_LEN - 1 {
        let mut v = [0.0_f32; BLOCK_LEN];
        for i in step..BLOCK_LEN {
            v[i] = reduced.0[i][step];
        }
        let length = norm(&v);
        v[step] += if matrix.0[step][step] >= 0.0 { length } else { -length };
        let length = norm(&v);
        if length == 0.0 || length.is_nan() {
            // There is no direction to reflect along, and dividing by 0 leaves no number at all.
            return Matrix([[f32::NAN; LANES]; BLOCK_LEN]);
        }
        for value in &mut v {
            *value /= length;
        }
        reflect_rows(&v, step, &mut reduced);
    }
    let mut q = Matrix::ZERO;
    for i in 0..BLOCK_LEN {
        q.0[i].copy_from_slice(&reduced.0[i][LANES..]);
    }
    q
}

#[inline(always)]
fn norm(values: &[f32; BLOCK_LEN]) -> f32 {
    values.iter().fold(0.0_f32, |sum, value| sum + value * value).sqrt()
}

/// Multiplies rows `step..` by the identity less twice the square of `v`, which is 0 before `step`.
#[inline(always)]
fn reflect_rows(v: &[f32; BLOCK_LEN], step: usize, reduced: &mut Reduced) {
    let before = *reduced;
    for i in step..BLOCK_LEN {
        let mut sums = [0.0_f32; 2 * LANES];
        let twice = -2.0 * v[i];
        for k in step..BLOCK_LEN {
            let product = twice * v[k];
            let factor = if i == k { product + 1.0 } else { product };
            for lane in 0..2 * LANES {
                sums[lane] += factor * before.0[k][lane];
            }
        }
        reduced.0[i] = sums;
    }
}
