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
use super::log2::{OCTAVE, bias_steps, log2_steps};

/// Variance of the assumed neural noise.
const NOISE: u32 = 2 << 16;

/// Keeps the gain finite; its value is part of the definition.
const GAIN_EPSILON: f64 = 65536.0 * 1.0e-10;

/// How far above the inverse of a variance its upper bound is taken, relatively.
const HIGH_BY: f64 = 1.0 / (1_u64 << 50) as f64;

/// A gain that no place has whose distorted variance is at most [`VAR_SELDOM`].
const GAIN_SELDOM: f64 = 100.0;

/// The exact moments obey `cov^2 <= var_x var_y`. Rounded means move each of the three by less than
/// `e` = 65536, half of the least `var_x`; so where this is not exceeded the gain is at most
/// `sqrt(1.5 (VAR_SELDOM + e) / 2^17) + 0.5`, below 99.2.
const VAR_SELDOM: u32 = 850_000_000;

/// A covariance that explains less than 1, and so nothing, wherever logarithms are taken.
const COVARIANCE_LEAST: u32 = 12;

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

/// Filtered samples of the reference, 2^24 a step, its variance, and what divides by that.
#[derive(Clone, Copy)]
pub(super) struct ReferenceMoments<K: Kit> {
    pub(super) mean: K::Words,
    pub(super) var: K::Words,
    pub(super) inverse: Inverse<K>,
}

/// Bounds of the inverse of the variance, of even lanes and odd ones; see [`split`].
#[derive(Clone, Copy)]
pub(super) struct Inverse<K: Kit> {
    pub(super) low: [K::Doubles; 2],
    pub(super) high: [K::Doubles; 2],
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
    let inverse = invert(kit, kit.max(var, kit.splat(NOISE)));
    if kit.any(loud) {
        let whole = kit.add(kit.keep(loud, var), kit.splat(NOISE));
        let steps = kit.sub(log2_steps(kit, whole), kit.splat(bias_steps::<K>() + NOISE_STEPS));
        lanes.log = kit.add(lanes.log, steps);
    }
    ReferenceMoments { mean, var, inverse }
}

/// Bounds of `1 / var`.
#[inline(always)]
fn invert<K: Kit>(kit: K, var: K::Words) -> Inverse<K> {
    let var = kit.to_doubles_by_turns(var);
    let mut high = var;
    let mut low = var;
    for parity in 0..2 {
        high[parity] = kit.div_doubles(kit.splat_double(1.0 + HIGH_BY), var[parity]);
        let by = kit.mul_doubles(high[parity], kit.splat_double(3.0 * GAIN_EPSILON));
        low[parity] = kit.sub_doubles(high[parity], kit.mul_doubles(by, high[parity]));
    }
    Inverse { low, high }
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

    let covariance = kit.max(covariance, kit.splat(COVARIANCE_LEAST));
    let alike = kit.both(loud, kit.greater(var, zero));
    if kit.any(alike) {
        let (explained, unexplained) = split(kit, reference, var, covariance, gain_limit);
        let floor = kit.add(unexplained, kit.splat(NOISE));
        let whole = kit.add(kit.keep(alike, explained), floor);
        let steps = kit.sub(log2_steps(kit, whole), log2_steps(kit, floor));
        lanes.log = kit.add(lanes.log, steps);
    }
}

/// The distorted variance that the gain explains, and that which it does not; of use where both
/// pictures vary, and the covariance is at least [`COVARIANCE_LEAST`].
///
/// By definition the first is `trunc(b)` of `b = g g var_x` and the second
/// `max(trunc(var_y - a), 0)` of `a = g cov`, with the gain `g = cov / (var_x + eps)`. Without
/// roundings `b < a < c` for `c = cov^2 / var_x`, and `b > c (1 - 2 eps / var_x)`. As `var_x` is
/// below 2^30, `eps / var_x` is above 54 * 2^-53, more than all roundings of `a`, `b` and the bounds
/// here together, which are about 20. So `a` and `b`, rounded, lie above `(cov^2 - 144) low` and
/// below `cov^2 high`, where `low` is `1 / var_x (1 - 3 eps / var_x)` and `high` a few roundings
/// above `1 / var_x`.
///
/// Where no whole number is between these bounds both have the same whole part `t`, and a fraction
/// of more than `144 / 2^30`; that is more than `var_y - a` can lose by rounding, half of 2^-23. So
/// what is not explained is `var_y - 1 - t`, or 0 where `t` exceeds that. Where a whole number is
/// between, which is seldom, the definition is followed to the letter.
///
/// A gain above the limit explains what one at the limit would. As roundings keep order, what is
/// explained is the lesser of that and `t`.
#[inline(always)]
fn split<K: Kit>(
    kit: K,
    reference: ReferenceMoments<K>,
    distorted_var: K::Words,
    covariance: K::Words,
    gain_limit: f64,
) -> (K::Words, K::Words) {
    let limited = gain_limit < GAIN_SELDOM;
    let [even, odd] = kit.to_doubles_by_turns(covariance);
    let (even, odd) = (kit.mul_doubles(even, even), kit.mul_doubles(odd, odd));
    let Inverse { low, high } = reference.inverse;
    let high = [kit.whole_product(even, high[0]), kit.whole_product(odd, high[1])];
    let less = kit.splat_double(f64::from(COVARIANCE_LEAST * COVARIANCE_LEAST));
    let (even, odd) = (kit.sub_doubles(even, less), kit.sub_doubles(odd, less));
    let low = [kit.whole_product(even, low[0]), kit.whole_product(odd, low[1])];
    let seldom = !limited && kit.any(kit.greater(distorted_var, kit.splat(VAR_SELDOM)));
    if kit.any_differs(low, high) || seldom {
        return split_exactly(kit, reference.var, distorted_var, covariance, gain_limit);
    }
    let explained = kit.whole_by_turns(low);
    let larger = kit.max(kit.sub(distorted_var, kit.splat(1)), explained);
    let unexplained = kit.sub(larger, explained);
    if !limited {
        return (explained, unexplained);
    }
    let most = explained_at_most(kit, reference.var, gain_limit);
    let larger = kit.max(explained, most);
    (kit.sub(kit.add(explained, most), larger), unexplained)
}

/// What a gain at the limit explains.
#[inline(always)]
fn explained_at_most<K: Kit>(kit: K, reference_var: K::Words, gain_limit: f64) -> K::Words {
    let [low, high] = kit.to_doubles(reference_var);
    let squared = kit.splat_double(gain_limit * gain_limit);
    let most = kit.splat_double(f64::from(i32::MAX));
    let low = kit.min_doubles(kit.mul_doubles(squared, low), most);
    let high = kit.min_doubles(kit.mul_doubles(squared, high), most);
    kit.truncate([low, high])
}

/// The distorted variance that the gain explains, and that which it does not.
#[inline(always)]
fn split_exactly<K: Kit>(
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

#[cfg(test)]
mod tests {
    use super::super::kit::Plain;
    use super::*;
    use crate::isa::{every_isa, per_isa_and_vnni};

    /// Variances of the reference and of a distorted picture, and a covariance, place by place.
    #[derive(Default)]
    struct Places {
        reference: Vec<u32>,
        distorted: Vec<u32>,
        covariance: Vec<u32>,
    }

    /// What a gain explains and what it does not, place by place: as measured, then by definition.
    type Splits = [[Vec<u32>; 2]; 2];

    #[inline(always)]
    fn split_all<K: Kit>(kit: K, places: &Places, gain_limit: f64, splits: &mut Splits) {
        let Places { reference, distorted, covariance } = places;
        for at in (0..reference.len()).step_by(K::LANES) {
            let var = kit.load(&reference[at..]);
            let moments = ReferenceMoments { mean: var, var, inverse: invert(kit, var) };
            let (distorted, covariance) = (kit.load(&distorted[at..]), kit.load(&covariance[at..]));
            let found = split(kit, moments, distorted, covariance, gain_limit);
            kit.store(found.0, &mut splits[0][0][at..]);
            kit.store(found.1, &mut splits[0][1][at..]);
            let exact = split_exactly(kit, var, distorted, covariance, gain_limit);
            kit.store(exact.0, &mut splits[1][0][at..]);
            kit.store(exact.1, &mut splits[1][1][at..]);
        }
    }

    per_isa_and_vnni! {
        fn split_all_on(places: &Places, gain_limit: f64, splits: &mut Splits)
            = split_all, with vector;
    }

    /// Places of all magnitudes; of every other one what is explained is a whole number or misses it
    /// by little.
    fn places(count: usize) -> Places {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) % bound
        };
        let mut places = Places::default();
        while places.reference.len() < count {
            let scale = random(14) + 17;
            let mut reference = (1_u64 << scale.min(29)) + random(1 << scale.min(29));
            let correlated = 1 << random(16);
            let mut covariance = u64::from(COVARIANCE_LEAST) + random(2 * reference) / correlated;
            match random(4) {
                0 => {
                    let whole = (covariance * covariance / reference).max(1);
                    reference = covariance * covariance / whole;
                }
                1 => {
                    let root = reference.isqrt().max(363);
                    reference = root * root;
                    covariance = root * (covariance / root).max(1);
                }
                _ => {}
            }
            let explained = covariance * covariance / reference;
            let magnitude = 1 << (1 + random(29));
            let distorted = match random(3) {
                0 => explained.max(2) + random(4) - 2,
                _ => explained + random(magnitude),
            };
            if (u64::from(NOISE)..1 << 30).contains(&reference) && (1..1 << 30).contains(&distorted)
            {
                places.reference.push(reference as u32);
                places.distorted.push(distorted as u32);
                places.covariance.push(covariance as u32);
            }
        }
        places
    }

    /// How many places explain something, after comparing all.
    fn compare(places: &Places, gain_limit: f64, name: &str, splits: &Splits) -> usize {
        let [found, exact] = splits;
        let mut explained = 0;
        for at in 0..places.reference.len() {
            let found = (found[0][at], found[1][at]);
            let exact = (exact[0][at], exact[1][at]);
            // Without anything explained, both logarithms are of one number, whatever it is.
            let same = found == exact || found.0 == 0 && exact.0 == 0;
            let Places { reference, distorted, covariance } = places;
            let place = (reference[at], distorted[at], covariance[at]);
            assert!(same, "{name}, limit {gain_limit}, {place:?}: {found:?} for {exact:?}");
            explained += usize::from(exact.0 > 0);
        }
        explained
    }

    #[test]
    fn bounds_of_the_inverse_split_as_the_definition_does_on_every_instruction_set() {
        const COUNT: usize = 1 << 18;
        let places = places(COUNT);
        let mut splits: Splits = std::array::from_fn(|_| [vec![0; COUNT], vec![0; COUNT]]);
        let mut explained = 0;
        for gain_limit in [100.0, 1.0, 1.2, 37.5] {
            split_all(Plain, &places, gain_limit, &mut splits);
            explained += compare(&places, gain_limit, "plain code", &splits);
            for isa in every_isa() {
                split_all_on(isa, &places, gain_limit, &mut splits);
                explained += compare(&places, gain_limit, &isa.to_string(), &splits);
            }
        }
        assert!(explained > COUNT * every_isa().len());
    }
}
