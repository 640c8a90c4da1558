//! From the local moments of a place to its share of numerator and denominator.
//!
//! Variances are in units of 1/65536 of a squared 8-bit step. A place whose reference varies by at
//! least the noise (2 squared steps) counts with logarithms, the others with their distorted
//! variance.
//!
//! Nothing branches: a quiet place goes through the logarithms with the noise as its variance and
//! no covariance, which adds nothing to the numerator and one octave to the denominator; those
//! octaves are taken off at the end.

use super::fir::{CHUNK, Sums, ZERO_SUMS};
use super::log2::{BIAS_STEPS, OCTAVE, key, log2_steps};
use crate::isa::Vector;

/// Variance of the assumed neural noise.
const NOISE: i32 = 2 << 16;

/// Keeps the gain finite; its value is part of the definition.
const GAIN_EPSILON: f64 = 65536.0 * 1.0e-10;

/// The logarithm of the noise, in steps.
const NOISE_STEPS: u32 = 17 * OCTAVE;

/// Adding this to a number below 2^51 rounds it to a whole one.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// Moments of one chunk.
pub(super) struct Moments {
    /// Filtered samples of the reference and the distorted picture, 2^24 a step.
    pub(super) means: [Sums; 2],
    /// Filtered reference squares, distorted squares and cross products, 2^16 a squared step.
    pub(super) products: [Sums; 3],
}

impl Moments {
    pub(super) const ZERO: Self = Self { means: [ZERO_SUMS; 2], products: [ZERO_SUMS; 3] };

    /// Clears `range`; cleared places are quiet and flat.
    #[inline(always)]
    fn clear(&mut self, range: std::ops::Range<usize>) {
        for sums in self.means.iter_mut().chain(&mut self.products) {
            sums[range.clone()].fill(0);
        }
    }
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

type Variances = [i32; CHUNK];

/// Adds the first `count` places of a chunk; the rest is cleared.
#[inline(always)]
pub(super) fn accumulate(
    vector: impl Vector,
    moments: &mut Moments,
    count: usize,
    gain_limit: f64,
    residuals: &mut Residuals,
) {
    moments.clear(count.min(CHUNK)..CHUNK);

    let (mut reference_var, mut distorted_var, mut covariance) =
        ([0; CHUNK], [0; CHUNK], [0; CHUNK]);
    let [reference, distorted] = &moments.means;
    let [xx, yy, xy] = &moments.products;
    central_moments(xx, reference, reference, &mut reference_var);
    central_moments(yy, distorted, distorted, &mut distorted_var);
    central_moments(xy, reference, distorted, &mut covariance);
    for j in 0..CHUNK {
        distorted_var[j] = distorted_var[j].max(0);
    }

    let quiet = sum_quiet(&reference_var, &distorted_var);
    let padding = CHUNK.saturating_sub(count) as i64;
    residuals.num_non_log += quiet.distorted_var;
    residuals.den_non_log += quiet.count - padding;

    for j in 0..CHUNK {
        let counts = reference_var[j] >= NOISE && distorted_var[j] > 0;
        covariance[j] = if counts { covariance[j].max(0) } else { 0 };
        reference_var[j] = reference_var[j].max(NOISE);
    }
    let mut keys = Keys { floor: ZERO_SUMS, whole: ZERO_SUMS, reference: ZERO_SUMS };
    find_keys(&reference_var, &distorted_var, &covariance, gain_limit, &mut keys);
    let (num_log, den_log) = sum_logs(vector, &keys);
    residuals.num_log += num_log;
    residuals.den_log += den_log - i64::from(OCTAVE) * quiet.count;
}

/// `product - ((a * b + 2^31) >> 32)` modulo 2^32, whose value fits 32 signed bits.
#[inline(always)]
fn central_moments(product: &Sums, a: &Sums, b: &Sums, central: &mut Variances) {
    for j in 0..CHUNK {
        let means = (u64::from(a[j]) * u64::from(b[j]) + (1 << 31)) >> 32;
        central[j] = product[j].wrapping_sub(means as u32) as i32;
    }
}

struct Quiet {
    count: i64,
    distorted_var: i64,
}

/// Counts places below the noise and sums their distorted variance, in halves that cannot overflow.
#[inline(always)]
fn sum_quiet(reference_var: &Variances, distorted_var: &Variances) -> Quiet {
    let (mut places, mut high, mut low) = (0_u32, 0_u32, 0_u32);
    for j in 0..CHUNK {
        let quiet = reference_var[j] < NOISE;
        let value = if quiet { distorted_var[j] as u32 } else { 0 };
        places += u32::from(quiet);
        high += value >> 16;
        low += value & 0xFFFF;
    }
    Quiet { count: i64::from(places), distorted_var: (i64::from(high) << 16) + i64::from(low) }
}

/// What the logarithms are taken of.
struct Keys {
    /// Noise and the distorted variance that the gain does not explain.
    floor: Sums,
    /// The same with what it does explain.
    whole: Sums,
    /// Noise and the reference's variance.
    reference: Sums,
}

#[inline(always)]
fn find_keys(
    reference_var: &Variances,
    distorted_var: &Variances,
    covariance: &Variances,
    gain_limit: f64,
    keys: &mut Keys,
) {
    let noise = f64::from(NOISE);
    for j in 0..CHUNK {
        let reference = f64::from(reference_var[j]);
        let distorted = f64::from(distorted_var[j]);
        let covariance = f64::from(covariance[j]);
        let gain = covariance / (reference + GAIN_EPSILON);
        let unexplained = distorted - gain * covariance;
        let unexplained = whole_part(if unexplained > 0.0 { unexplained } else { 0.0 });
        let gain = if gain < gain_limit { gain } else { gain_limit };
        let floor = unexplained + noise;
        let whole = whole_part(gain * gain * reference) + floor;
        keys.floor[j] = key(floor);
        keys.whole[j] = key(whole);
        keys.reference[j] = key(noise + reference);
    }
}

/// The largest whole number not above `value`, which is 0 to 2^51.
#[inline(always)]
fn whole_part(value: f64) -> f64 {
    let rounded = (value + WHOLE) - WHOLE;
    rounded - if rounded > value { 1.0 } else { 0.0 }
}

/// Sums of one chunk fit 32 bits: a term is below 2^16, and there are 2^6.
#[inline(always)]
fn sum_logs(vector: impl Vector, keys: &Keys) -> (i64, i64) {
    let (mut num, mut den) = (0_u32, 0_u32);
    for j in 0..CHUNK {
        let whole = log2_steps(vector, keys.whole[j]);
        let floor = log2_steps(vector, keys.floor[j]);
        let reference = log2_steps(vector, keys.reference[j]);
        num = num.wrapping_add(whole.wrapping_sub(floor));
        den = den.wrapping_add(reference.wrapping_sub(BIAS_STEPS + NOISE_STEPS));
    }
    (i64::from(num as i32), i64::from(den))
}
