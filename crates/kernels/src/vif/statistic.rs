//! From the local moments of places to their share of numerator and denominator.
//!
//! Variances are in units of 1/65536 of a squared 8-bit step. A place whose reference varies by at
//! least the noise (2 squared steps) counts with logarithms, the others with their distorted
//! variance.
//!
//! Ranges, for samples within the bit depth. The means are rounded on the way, by half of 1/256 of
//! a step, so a variance or covariance is off by at most `e` = 65536 (255 / 256 squared steps). A
//! variance is at most a quarter of the squared range, below 2^30, and `reference_var` at least
//! 2^17 where logarithms are taken. With the inequality of Cauchy and Schwarz for the exact moments,
//! what the gain explains is at most `(sqrt((1 + e / 2^17) (2^30 + e)) + e / sqrt(2^17))^2`, below
//! 1.63e9. What it does not explain is at most 2^30, and 0 wherever the gain explains more than the
//! distorted variance; so every number whose logarithm is taken fits 31 bits.

use super::kit::Kit;
use super::log2::{BIAS_STEPS, OCTAVE, log2_steps};

/// Variance of the assumed neural noise.
const NOISE: u32 = 2 << 16;

/// Keeps the gain finite; its value is part of the definition.
const GAIN_EPSILON: f64 = 65536.0 * 1.0e-10;

/// The logarithm of the noise, in steps.
const NOISE_STEPS: u32 = 17 * OCTAVE;

/// What the reference adds over all places of a scale, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReferenceSums {
    log: u64,
    quiet_places: u64,
}

/// What a distorted picture adds over all places of a scale, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DistortedSums {
    log: u64,
    quiet_var: u64,
}

/// Numerator and denominator as the reference implementation stores them.
pub(super) fn num_den(reference: &ReferenceSums, distorted: &DistortedSums) -> (f32, f32) {
    let quiet = reference.quiet_places as f64;
    let num =
        distorted.log as f64 / 2048.0 + (quiet - (distorted.quiet_var as f64 / 16384.0) / 65025.0);
    let den = reference.log as f64 / 2048.0 + quiet;
    (num as f32, den as f32)
}

/// Sums over a few rows of a strip, lane by lane.
///
/// A logarithm or its difference adds less than 2^15 to a lane, half a variance less than 2^16.
pub(super) struct ReferenceLanes<K: Kit> {
    log: K::Words,
    quiet_places: u32,
}

impl<K: Kit> ReferenceLanes<K> {
    #[inline(always)]
    pub(super) fn new(kit: K) -> Self {
        Self { log: kit.splat(0), quiet_places: 0 }
    }

    #[inline(always)]
    pub(super) fn add_to(self, kit: K, sums: &mut ReferenceSums) {
        sums.log += kit.total(self.log);
        sums.quiet_places += u64::from(self.quiet_places);
    }
}

/// As [`ReferenceLanes`], of a distorted picture.
pub(super) struct DistortedLanes<K: Kit> {
    log: K::Words,
    quiet_high: K::Words,
    quiet_low: K::Words,
}

impl<K: Kit> DistortedLanes<K> {
    #[inline(always)]
    pub(super) fn new(kit: K) -> Self {
        let zero = kit.splat(0);
        Self { log: zero, quiet_high: zero, quiet_low: zero }
    }

    #[inline(always)]
    pub(super) fn add_to(self, kit: K, sums: &mut DistortedSums) {
        sums.log += kit.total(self.log);
        sums.quiet_var += (kit.total(self.quiet_high) << 16) + kit.total(self.quiet_low);
    }
}

/// Filtered samples of the reference, 2^24 a step, and its variance.
#[derive(Clone, Copy)]
pub(super) struct ReferenceMoments<K: Kit> {
    pub(super) mean: K::Words,
    pub(super) var: K::Words,
}

/// Filtered samples of a distorted picture, 2^24 a step, filtered squares and products with the
/// reference, 2^16 a squared step.
#[derive(Clone, Copy)]
pub(super) struct DistortedMoments<K: Kit> {
    pub(super) mean: K::Words,
    pub(super) squares: K::Words,
    pub(super) products: K::Words,
}

/// Adds places of the reference where `counted` holds; gives their moments.
#[inline(always)]
pub(super) fn measure_reference<K: Kit>(
    kit: K,
    mean: K::Words,
    squares: K::Words,
    counted: K::Mask,
    lanes: &mut ReferenceLanes<K>,
) -> ReferenceMoments<K> {
    let var = kit.sub(squares, kit.mul_top(mean, mean));
    let loud = kit.both(counted, kit.greater(var, kit.splat(NOISE - 1)));
    lanes.quiet_places += kit.count(kit.without(counted, loud));
    if kit.any(loud) {
        let whole = kit.add(kit.keep(loud, var), kit.splat(NOISE));
        let steps = kit.sub(log2_steps(kit, whole), kit.splat(BIAS_STEPS + NOISE_STEPS));
        lanes.log = kit.add(lanes.log, steps);
    }
    ReferenceMoments { mean, var }
}

/// Adds places of a distorted picture where `counted` holds.
#[inline(always)]
pub(super) fn measure_distorted<K: Kit>(
    kit: K,
    reference: ReferenceMoments<K>,
    distorted: DistortedMoments<K>,
    counted: K::Mask,
    gain_limit: f64,
    lanes: &mut DistortedLanes<K>,
) {
    let zero = kit.splat(0);
    let var = kit.sub(distorted.squares, kit.mul_top(distorted.mean, distorted.mean));
    let var = kit.max(var, zero);
    let covariance = kit.sub(distorted.products, kit.mul_top(reference.mean, distorted.mean));
    let loud = kit.both(counted, kit.greater(reference.var, kit.splat(NOISE - 1)));
    let quiet_var = kit.keep(kit.without(counted, loud), var);
    lanes.quiet_high = kit.add(lanes.quiet_high, kit.shr::<16>(quiet_var));
    lanes.quiet_low = kit.add(lanes.quiet_low, kit.and(quiet_var, kit.splat(0xFFFF)));

    let alike = kit.both(kit.greater(covariance, zero), kit.greater(var, zero));
    let alike = kit.both(loud, alike);
    if kit.any(alike) {
        let (explained, unexplained) = split(kit, reference.var, var, covariance, gain_limit);
        let floor = kit.add(kit.keep(alike, unexplained), kit.splat(NOISE));
        let whole = kit.add(kit.keep(alike, explained), floor);
        let steps = kit.sub(log2_steps(kit, whole), log2_steps(kit, floor));
        lanes.log = kit.add(lanes.log, steps);
    }
}

/// The distorted variance that the gain explains, and that which it does not.
#[inline(always)]
fn split<K: Kit>(
    kit: K,
    reference_var: K::Words,
    distorted_var: K::Words,
    covariance: K::Words,
    gain_limit: f64,
) -> (K::Words, K::Words) {
    let reference = kit.to_doubles(reference_var);
    let distorted = kit.to_doubles(distorted_var);
    let covariance = kit.to_doubles(covariance);
    let mut explained = reference;
    let mut unexplained = distorted;
    for half in 0..2 {
        let divisor = kit.add_doubles(reference[half], kit.splat_double(GAIN_EPSILON));
        let gain = kit.div_doubles(covariance[half], divisor);
        let by_gain = kit.mul_doubles(gain, covariance[half]);
        unexplained[half] = kit.sub_doubles(distorted[half], by_gain);
        let gain = kit.min_doubles(gain, kit.splat_double(gain_limit));
        let squared = kit.mul_doubles(gain, gain);
        explained[half] = kit.mul_doubles(squared, reference[half]);
    }
    (kit.truncate(explained), kit.max(kit.truncate(unexplained), kit.splat(0)))
}
