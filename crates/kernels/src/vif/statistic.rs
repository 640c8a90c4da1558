//! From the local moments of a place to its share of numerator and denominator.
//!
//! Variances are in units of 1/65536 of a squared 8-bit step. A place whose reference varies by at
//! least the noise (2 squared steps) counts with logarithms, the others with their distorted
//! variance.
//!
//! Nothing branches: a quiet place goes through the logarithms with the noise as its variance and
//! no covariance, which adds nothing to the numerator and one octave to the denominator; those
//! octaves are taken off at the end.

use super::fir::{BothSums, CHUNK};
use super::log2::{BIAS_STEPS, OCTAVE, key, log2_steps};
use crate::isa::Vector;

/// Variance of the assumed neural noise.
const NOISE: i32 = 2 << 16;

/// Keeps the gain finite; its value is part of the definition.
const GAIN_EPSILON: f64 = 65536.0 * 1.0e-10;

/// The logarithm of the noise, in steps.
const NOISE_STEPS: u32 = 17 * OCTAVE;

/// Places measured at a time.
const PLACES: usize = 2 * CHUNK;

/// Moments of one chunk.
pub(super) struct Moments {
    /// Filtered samples of the reference and the distorted picture, 2^24 a step.
    pub(super) means: [BothSums; 2],
    /// Filtered reference squares, distorted squares and cross products, 2^16 a squared step.
    pub(super) products: [BothSums; 3],
}

impl Moments {
    pub(super) const ZERO: Self = Self { means: [[0; PLACES]; 2], products: [[0; PLACES]; 3] };

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

type Variances = [i32; PLACES];

/// Values of one chunk on the way.
pub(super) struct Work {
    reference_var: Variances,
    distorted_var: Variances,
    covariance: Variances,
    keys: Keys,
}

impl Work {
    pub(super) const ZERO: Self = Self {
        reference_var: [0; PLACES],
        distorted_var: [0; PLACES],
        covariance: [0; PLACES],
        keys: Keys { floor: [0; PLACES], whole: [0; PLACES], reference: [0; PLACES] },
    };
}

/// Adds the first `counts` of the even and of the odd places; the others are cleared.
#[inline(always)]
pub(super) fn accumulate(
    vector: impl Vector,
    moments: &mut Moments,
    counts: [usize; 2],
    gain_limit: f64,
    work: &mut Work,
    residuals: &mut Residuals,
) {
    let counts = counts.map(|count| count.min(CHUNK));
    if counts != [CHUNK; 2] {
        moments.clear(counts[0]..CHUNK);
        moments.clear(CHUNK + counts[1]..PLACES);
    }

    let Work { reference_var, distorted_var, covariance, keys } = work;
    let [reference, distorted] = &moments.means;
    let [xx, yy, xy] = &moments.products;
    central_moments(xx, reference, reference, reference_var);
    central_moments(yy, distorted, distorted, distorted_var);
    central_moments(xy, reference, distorted, covariance);
    for j in 0..PLACES {
        distorted_var[j] = distorted_var[j].max(0);
    }

    let quiet = sum_quiet(reference_var, distorted_var);
    let cleared = (PLACES - counts[0] - counts[1]) as i64;
    residuals.num_non_log += quiet.distorted_var;
    residuals.den_non_log += quiet.count - cleared;

    for j in 0..PLACES {
        let counts = reference_var[j] >= NOISE && distorted_var[j] > 0;
        covariance[j] = if counts { covariance[j].max(0) } else { 0 };
        reference_var[j] = reference_var[j].max(NOISE);
    }
    find_keys(vector, reference_var, distorted_var, covariance, gain_limit, keys);
    let (num_log, den_log) = sum_logs(vector, keys);
    residuals.num_log += num_log;
    residuals.den_log += den_log - i64::from(OCTAVE) * quiet.count;
}

/// `product - ((a * b + 2^31) >> 32)` modulo 2^32, whose value fits 32 signed bits.
#[inline(always)]
fn central_moments(product: &BothSums, a: &BothSums, b: &BothSums, central: &mut Variances) {
    for j in 0..PLACES {
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
    for j in 0..PLACES {
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
    floor: BothSums,
    /// The same with what it does explain.
    whole: BothSums,
    /// Noise and the reference's variance.
    reference: BothSums,
}

#[inline(always)]
fn find_keys(
    vector: impl Vector,
    reference_var: &Variances,
    distorted_var: &Variances,
    covariance: &Variances,
    gain_limit: f64,
    keys: &mut Keys,
) {
    let noise = f64::from(NOISE);
    for j in 0..PLACES {
        let reference = f64::from(reference_var[j]);
        let distorted = f64::from(distorted_var[j]);
        let covariance = f64::from(covariance[j]);
        let gain = covariance / (reference + GAIN_EPSILON);
        let unexplained = distorted - gain * covariance;
        let unexplained = vector.whole_part(if unexplained > 0.0 { unexplained } else { 0.0 });
        let gain = if gain < gain_limit { gain } else { gain_limit };
        let floor = unexplained + noise;
        let whole = vector.whole_part(gain * gain * reference) + floor;
        keys.floor[j] = key(floor);
        keys.whole[j] = key(whole);
        keys.reference[j] = key(noise + reference);
    }
}

/// Sums of one chunk fit 32 bits: a term is below 2^16, and there are 2^7.
#[inline(always)]
fn sum_logs(vector: impl Vector, keys: &Keys) -> (i64, i64) {
    let (mut num, mut den) = (0_u32, 0_u32);
    for j in 0..PLACES {
        let whole = log2_steps(vector, keys.whole[j]);
        let floor = log2_steps(vector, keys.floor[j]);
        let reference = log2_steps(vector, keys.reference[j]);
        num = num.wrapping_add(whole.wrapping_sub(floor));
        den = den.wrapping_add(reference.wrapping_sub(BIAS_STEPS + NOISE_STEPS));
    }
    (i64::from(num as i32), i64::from(den))
}
