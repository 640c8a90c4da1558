//! The eigenvalues of a covariance, in the order in which the iteration leaves them.
//!
//! Householder reflections make the matrix tridiagonal; QR steps with Wilkinson's shift then make
//! the subdiagonal vanish. All is `f32` but square roots and what is said to be `f64`. The matrix
//! stays symmetric to the last bit, so rows serve for columns and vectors run across them.

use super::{BLOCK_LEN, LANES, Matrix};

/// A subdiagonal element this small beside its neighbours is 0.
const NEGLIGIBLE: f64 = 1.0e-6;

/// QR steps at most; what is on the diagonal then is taken.
const STEPS_MAX: usize = 500;

#[inline(always)]
pub(super) fn eigenvalues(covariance: &Matrix) -> [f32; BLOCK_LEN] {
    let (mut diagonal, mut below) = tridiagonal(covariance);
    chop(&mut diagonal, &mut below);
    let mut last = BLOCK_LEN - 1;
    let mut steps = 0;
    while last > 0 && steps < STEPS_MAX {
        if below[last - 1] == 0.0 {
            last -= 1;
            continue;
        }
        let mut first = last - 1;
        while first > 0 && below[first - 1] != 0.0 {
            first -= 1;
        }
        let (diagonal, below) = (&mut diagonal[first..=last], &mut below[first..last]);
        qr_step(diagonal, below);
        chop(diagonal, below);
        steps += 1;
    }
    diagonal
}

/// `sqrt(x^2 + y^2)`, the sum in `f32`.
#[inline(always)]
fn hypotenuse(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Diagonal and subdiagonal of a tridiagonal matrix with the same eigenvalues.
#[inline(always)]
fn tridiagonal(covariance: &Matrix) -> ([f32; BLOCK_LEN], [f32; BLOCK_LEN - 1]) {
    let mut matrix = *covariance;
    let mut below = [0.0; BLOCK_LEN - 1];
    for step in 0..BLOCK_LEN - 2 {
        let first = step + 1;
        // Row `step` is the column to annihilate; elements before `first` are 0 from here on.
        let mut v = matrix.0[step];
        v[..first].fill(0.0);
        let tau = reflection(&mut v, first);
        below[step] = v[first];
        if tau == 0.0 {
            continue;
        }
        v[first] = 1.0;
        let mut x = [0.0_f32; LANES];
        for j in first..BLOCK_LEN {
            for lane in 0..LANES {
                x[lane] += tau * matrix.0[j][lane] * v[j];
            }
        }
        x[..first].fill(0.0);
        let dot = (first..BLOCK_LEN).fold(0.0, |sum, at| sum + x[at] * v[at]);
        let alpha = -0.5 * tau * dot;
        for lane in 0..LANES {
            x[lane] += alpha * v[lane];
        }
        for i in first..BLOCK_LEN {
            for lane in 0..LANES {
                matrix.0[i][lane] -= x[i] * v[lane] + v[i] * x[lane];
            }
        }
    }
    below[BLOCK_LEN - 2] = matrix.0[BLOCK_LEN - 1][BLOCK_LEN - 2];
    (std::array::from_fn(|at| matrix.0[at][at]), below)
}

/// Makes `v[first..]` the vector of a reflection that leaves only its first element, and returns the
/// factor of that reflection, 0 for none. `v[first]` becomes what the reflection leaves there; the
/// vector's own first element is 1.
#[inline(always)]
fn reflection(v: &mut [f32; LANES], first: usize) -> f32 {
    let square = v[first + 1..BLOCK_LEN].iter().fold(0.0, |sum, value| sum + value * value);
    let rest = square.sqrt();
    if rest == 0.0 {
        return 0.0;
    }
    let alpha = v[first];
    let length = hypotenuse(alpha, rest);
    let beta = if alpha >= 0.0 { -length } else { length };
    let tau = (beta - alpha) / beta;
    let scale = alpha - beta;
    if scale != 0.0 {
        for value in &mut v[first..BLOCK_LEN] {
            *value /= scale;
        }
        v[first] = beta;
    }
    tau
}

/// Clears what is negligible on the subdiagonal.
#[inline(always)]
fn chop(diagonal: &mut [f32], below: &mut [f32]) {
    for (at, value) in below.iter_mut().enumerate() {
        let beside = diagonal[at].abs() + diagonal[at + 1].abs();
        if f64::from(value.abs()) < NEGLIGIBLE * f64::from(beside) {
            *value = 0.0;
        }
    }
}

/// The eigenvalue of the last 2x2 block that is nearer to its last element.
#[inline(always)]
fn shift(diagonal: &[f32], below: &[f32]) -> f32 {
    let [.., a, b] = *diagonal else { return 0.0 };
    let Some(&between) = below.last() else { return 0.0 };
    let half = (a - b) / 2.0;
    if half > 0.0 {
        b - between * (between / (half + hypotenuse(half, between)))
    } else if half == 0.0 {
        b - between.abs()
    } else {
        b + between * (between / (-half + hypotenuse(half, between)))
    }
}

/// Cosine and sine of the rotation that turns `(x, z)` onto the first axis; the root and its
/// reciprocal are `f64`.
#[inline(always)]
fn rotation(x: f32, z: f32) -> (f32, f32) {
    let reciprocal = |t: f32| (1.0 / f64::from(1.0 + t * t).sqrt()) as f32;
    if z == 0.0 {
        (1.0, 0.0)
    } else if z.abs() > x.abs() {
        let t = -x / z;
        let sine = reciprocal(t);
        (sine * t, sine)
    } else {
        let t = -z / x;
        let cosine = reciprocal(t);
        (cosine, cosine * t)
    }
}

/// One implicit QR step on an unreduced block of at least two rows.
#[inline(always)]
fn qr_step(diagonal: &mut [f32], below: &mut [f32]) {
    let count = diagonal.len();
    let mut mu = shift(diagonal, below);
    if NEGLIGIBLE * f64::from(mu.abs()) > f64::from(diagonal[0].abs() + below[0].abs()) {
        mu = 0.0;
    }
    // `x` and `z` are what the next rotation has to turn; `a`, `b`, `z` the elements in work of
    // the row before (`k`), this row (`p`) and the next (`q`).
    let (mut x, mut z) = (diagonal[0] - mu, below[0]);
    let (mut bk, mut zk) = (0.0_f32, 0.0_f32);
    let (mut ap, mut bp, mut aq) = (diagonal[0], below[0], diagonal[1]);
    let mut bq = if count > 2 { below[1] } else { 0.0 };
    for k in 0..count - 1 {
        let (c, s) = rotation(x, z);
        let bk_before = c * bk - s * zk;
        let ak = c * (c * ap - s * bp) + s * (s * aq - c * bp);
        bk = c * (s * ap + c * bp) - s * (s * bp + c * aq);
        zk = -s * bq;
        ap = s * (s * ap + c * bp) + c * (s * bp + c * aq);
        bp = c * bq;
        if k + 2 < count {
            aq = diagonal[k + 2];
            below[k + 1] = bp;
        }
        if k + 3 < count {
            bq = below[k + 2];
        }
        diagonal[k] = ak;
        if k > 0 {
            below[k - 1] = bk_before;
        }
        (x, z) = (bk, zk);
    }
    diagonal[count - 1] = ap;
    below[count - 2] = bk;
}
