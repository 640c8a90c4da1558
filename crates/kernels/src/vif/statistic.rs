//! From the local moments of a place to its share of numerator and denominator.
//!
//! Variances are in units of 1/65536 of a squared 8-bit step. A place whose reference varies by at
//! least the noise (2 steps) counts with logarithms, the others with their distorted variance.

use super::fir::{CHUNK, Sums};
use super::log2::{OCTAVE, key, log2_steps};

/// Variance of the assumed neural noise.
const NOISE: i32 = 2 << 16;

/// Keeps the gain finite; its value is part of the definition.
const GAIN_EPSILON: f64 = 65536.0 * 1.0e-10;

/// Moments of one chunk.
pub(super) struct Moments {
    /// Filtered samples of the reference and the distorted picture, 2^24 a step.
    pub(super) means: [Sums; 2],
    /// Filtered reference squares, distorted squares and cross products, 2^16 a squared step.
    pub(super) products: [Sums; 3],
}

impl Moments {
    pub(super) const ZERO: Self = Self { means: [[0; CHUNK]; 2], products: [[0; CHUNK]; 3] };
}

/// What the statistics depend on beside the pictures.
#[derive(Clone, Copy)]
pub(super) struct StatisticParams<'a> {
    pub(super) enhancement_gain_limit: f64,
    pub(super) table: &'a [u16; 32768],
}

/// Exact sums over all places of a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Residuals {
    num_log: i64,
    den_log: i64,
    num_non_log: i64,
    den_non_log: i64,
}

impl Residuals {
    /// Numerator and denominator as the reference implementation stores them.
    pub(super) fn num_den(&self) -> (f32, f32) {
        let non_log = self.den_non_log as f64;
        let num = self.num_log as f64 / 2048.0
            + (non_log - (self.num_non_log as f64 / 16384.0) / 65025.0);
        let den = self.den_log as f64 / 2048.0 + non_log;
        (num as f32, den as f32)
    }
}

/// Adds the first `count` places of a chunk.
#[inline(always)]
pub(super) fn accumulate(
    moments: &Moments,
    count: usize,
    params: &StatisticParams<'_>,
    residuals: &mut Residuals,
) {
    let product = |a: u32, b: u32| ((u64::from(a) * u64::from(b) + (1 << 31)) >> 32) as u32;
    for j in 0..count.min(CHUNK) {
        let [reference, distorted] = [moments.means[0][j], moments.means[1][j]];
        let [xx, yy, xy] = [moments.products[0][j], moments.products[1][j], moments.products[2][j]];
        let reference_var = xx.wrapping_sub(product(reference, reference)) as i32;
        let distorted_var = (yy.wrapping_sub(product(distorted, distorted)) as i32).max(0);
        let covariance = xy.wrapping_sub(product(reference, distorted)) as i32;
        if reference_var < NOISE {
            residuals.num_non_log += i64::from(distorted_var);
            residuals.den_non_log += 1;
            continue;
        }
        let noise = f64::from(NOISE);
        residuals.den_log += i64::from(
            log2_steps(params.table, key(noise + f64::from(reference_var))) - 17 * OCTAVE,
        );
        if covariance > 0 && distorted_var > 0 {
            let gain = f64::from(covariance) / (f64::from(reference_var) + GAIN_EPSILON);
            let unexplained =
                (f64::from(distorted_var) - gain * f64::from(covariance)).trunc().max(0.0);
            let gain = gain.min(params.enhancement_gain_limit);
            let floor = unexplained + noise;
            let whole = (gain * gain * f64::from(reference_var)).trunc() + floor;
            residuals.num_log += i64::from(
                log2_steps(params.table, key(whole)) - log2_steps(params.table, key(floor)),
            );
        }
    }
}
