//! Splits the distorted detail coefficients into a restored part and an additive impairment.
//!
//! Of a distorted coefficient `t` with the reference coefficient `o`, the part `r = k o` with
//! `k = t / o` clamped to 0..=1 is detail that survived; `a = t - r` is impairment. Where the pair
//! (horizontal, vertical) points within one degree of the reference's, the change is taken for an
//! enhancement of contrast and `r` may grow up to the gain limit times `r`, but not past `t`.
//!
//! Arithmetic: `k` has 15 fractional bits and comes from the reciprocal `2^30 / |o|`, truncated, of
//! an `|o|` first rounded to its 15 leading bits. Scale 0 does all of that in 32-bit integers. The
//! other scales use `f64` without a rounding error that could show: the product of reciprocal and
//! `t` is exact below 2^53, one above is clamped either way, and powers of two are exact.

use super::geometry::SCALES;
use super::params::AdmParams;

/// The square of the cosine of one degree.
const COS_ONE_DEGREE_SQUARED: f32 = 0.999_695_4;

/// Takes away the fractional bits of `k`: `2^-15`.
const SCALE_DOWN: f64 = 1.0 / 32_768.0;

/// Scale-dependent widths: scale 0 holds 16-bit coefficients, the others 32-bit ones.
pub(super) trait Depth: Copy {
    /// Whether a coefficient times the greatest gain limit fits 32 bits.
    const HOLDS_GAIN: bool;
    /// The part `k |o|` of a coefficient, where `magnitude` is `|o|` and `target` is `t` with the
    /// sign of `o` (0 or -1) taken out; rounded so that with it put back the rounding is half up.
    fn share(magnitude: i32, target: i32, sign: i32) -> i32;
    /// Whether (horizontal, vertical) of both pictures point within one degree.
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool;
    /// The weighted coefficient that the pooling works on, and the one that masking works on.
    fn weigh(self, value: i32, band: usize) -> (i32, i32);
    /// One thirtieth and one fifteenth of the magnitude of a weighted coefficient.
    fn thirtieth_and_fifteenth(weighted: i32) -> (i32, i32);
}

/// Scale 0. Coefficients stay within +-27,411, so dot products fit 32 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shallow {
    weights: [i32; 3],
}

impl Shallow {
    pub(super) fn new(params: &AdmParams) -> Self {
        Self { weights: params.first_weights() }
    }

    /// The weights, with 21, 21 and 23 fractional bits.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn weights(self) -> [i32; 3] {
        self.weights
    }

    const SHIFTS: [u32; 3] = [15, 15, 17];
    /// Half a unit, but one less for the diagonal band: libvmaf keeps it in 16 bits.
    const ROUNDINGS: [i32; 3] = [16_384, 16_384, 65_535];
}

/// Scales 1 to 3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    weights: [u32; 3],
}

impl Wide {
    pub(super) fn new(params: &AdmParams, scale: usize) -> Self {
        debug_assert!((1..SCALES).contains(&scale));
        Self { weights: params.deep_weights(scale) }
    }
}

/// The test by squares: `u.v >= 0` and `(u.v)^2 >= cos^2 |u|^2 |v|^2`, with sums rounded to `f32`
/// and the products in `f64`.
#[inline(always)]
fn points_alike(dot: f32, reference: f32, distorted: f32) -> bool {
    let dot = f64::from(dot);
    let bound = f64::from(COS_ONE_DEGREE_SQUARED) * f64::from(reference) * f64::from(distorted);
    (dot >= 0.0) & (dot * dot >= bound)
}

impl Depth for Shallow {
    const HOLDS_GAIN: bool = true;

    /// All in 32 bits: a target above `|o| + 1` gives `k = 1` as that does, and with the target so
    /// bounded the product with the reciprocal is at most `2^31`.
    #[inline(always)]
    fn share(magnitude: i32, target: i32, sign: i32) -> i32 {
        let bounded = target.max(0).min(magnitude + 1);
        let product = reciprocal(magnitude.max(1)).wrapping_mul(bounded) as u32;
        let k = ((product + (1 << 14)) >> 15).min(1 << 15) as i32;
        (k.wrapping_mul(magnitude).wrapping_add((1 << 14) + sign)) >> 15
    }

    #[inline(always)]
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool {
        let dot = |a: i32, b: i32, c: i32, d: i32| {
            a.wrapping_mul(b).wrapping_add(c.wrapping_mul(d)) as f32
        };
        points_alike(dot(oh, th, ov, tv), dot(oh, oh, ov, ov), dot(th, th, tv, tv))
    }

    #[inline(always)]
    fn weigh(self, value: i32, band: usize) -> (i32, i32) {
        let product = value.wrapping_mul(self.weights[band]);
        let rounded = product.wrapping_add(Self::ROUNDINGS[band]) >> Self::SHIFTS[band];
        (product, i32::from(rounded as i16))
    }

    /// Cut to 16 bits, as libvmaf does: the fifteenth of a large coefficient wraps.
    #[inline(always)]
    fn thirtieth_and_fifteenth(weighted: i32) -> (i32, i32) {
        let thirtieth = weighted.wrapping_abs().wrapping_mul(4369);
        let fifteenth = thirtieth.wrapping_mul(2);
        let cut = |part: i32| i32::from((part.wrapping_add(2048) >> 12) as i16);
        (cut(thirtieth), cut(fifteenth))
    }
}

impl Depth for Wide {
    const HOLDS_GAIN: bool = false;

    #[inline(always)]
    fn share(magnitude: i32, target: i32, sign: i32) -> i32 {
        let magnitude = f64::from(magnitude);
        let (mantissa, inverse) = normalise(magnitude);
        let reciprocal = f64::from(reciprocal(mantissa.max(1)));
        let quotient = reciprocal * f64::from(target) * inverse + 0.5;
        let quotient = if quotient > 0.0 { quotient } else { 0.0 };
        let k = truncate(if quotient < 32_768.0 { quotient } else { 32_768.0 });
        let rounding = f64::from((1 << 14) + sign);
        truncate((f64::from(k) * magnitude + rounding) * SCALE_DOWN)
    }

    #[inline(always)]
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool {
        let dot = |a: i32, b: i32, c: i32, d: i32| {
            (i64::from(a) * i64::from(b)).wrapping_add(i64::from(c) * i64::from(d)) as f32
        };
        points_alike(dot(oh, th, ov, tv), dot(oh, oh, ov, ov), dot(th, th, tv, tv))
    }

    #[inline(always)]
    fn weigh(self, value: i32, band: usize) -> (i32, i32) {
        // In range for weights below 1/2; Barten's may wrap.
        let product = i64::from(value).wrapping_mul(i64::from(self.weights[band]));
        let weighted = (product.wrapping_add(1 << 27) >> 28) as i32;
        (weighted, weighted)
    }

    #[inline(always)]
    fn thirtieth_and_fifteenth(weighted: i32) -> (i32, i32) {
        let magnitude = i64::from(weighted.wrapping_abs());
        // The rounding term of libvmaf, 2^31 in 32 bits, is negative: this takes half a unit away.
        let part = |factor: i64| ((magnitude * factor - (1 << 31)) >> 32) as i32;
        (part(143_165_577), part(286_331_153))
    }
}

/// Rounds a magnitude to its 15 leading bits, `mantissa 2^n`: the mantissa and `2^-(15 + n)`.
#[inline(always)]
fn normalise(magnitude: f64) -> (i32, f64) {
    const EXPONENT: u64 = 0x7ff << 52;
    /// Biased exponents of a power `2^(14 + n)` and of `2^-n` add up to this.
    const EXPONENT_SUM: u64 = (2 * 1023 + 14) << 52;
    let floor = if magnitude > 16_384.0 { magnitude } else { 16_384.0 };
    let inverse = f64::from_bits(EXPONENT_SUM - (floor.to_bits() & EXPONENT));
    (truncate(magnitude * inverse + 0.5), inverse * SCALE_DOWN)
}

/// The integer part of a value that fits 32 bits.
#[inline(always)]
fn truncate(value: f64) -> i32 {
    debug_assert!(value.abs() < 2_147_483_648.0);
    // SAFETY: callers pass finite values whose integer part fits 32 bits, whatever the picture:
    // magnitudes of 32-bit coefficients, their 15 leading bits or 0..=1 of them; `k` after clamping
    // to 0..=2^15; and gains after clamping to 0 and a 32-bit coefficient.
    unsafe { value.to_int_unchecked::<i32>() }
}

/// `2^30 / divisor`, truncated, for divisors 1 to 2^15.
///
/// The first guess is never too large (its factor is short of `2^30` by more than both `f32`
/// roundings can add) and too small by less than `512 / divisor + 1`. What is left over is divided
/// again; half a unit more keeps that quotient away from integers by more than its error.
#[inline(always)]
fn reciprocal(divisor: i32) -> i32 {
    /// `2^30 - 2^8`: exact in `f32`.
    const SHORT_ONE: f32 = 1_073_741_568.0;
    let inverse = 1.0 / divisor as f32;
    let guess = truncate_f32(inverse * SHORT_ONE);
    let rest = (1 << 30) - guess.wrapping_mul(divisor);
    guess + truncate_f32((rest as f32 + 0.5) * inverse)
}

/// The integer part of a value that fits 32 bits.
#[inline(always)]
fn truncate_f32(value: f32) -> i32 {
    debug_assert!(value.abs() < 2_147_483_648.0);
    // SAFETY: the one caller passes quotients of 2^30 by 1 to 2^15, and by the same divisor of what
    // such a quotient leaves over: all are between 0 and 2^30 (checked for every divisor by test).
    unsafe { value.to_int_unchecked::<i32>() }
}

/// The restored part of one distorted coefficient.
///
/// Works on magnitudes: with the sign of `o` taken from both, `k`, the share and the bound are not
/// negative where they count.
#[inline(always)]
pub(super) fn restored<D: Depth, const WHOLE_GAIN: bool>(
    o: i32,
    t: i32,
    near: bool,
    gain_limit: f64,
) -> i32 {
    let sign = o >> 31;
    let magnitude = (o ^ sign).wrapping_sub(sign);
    let target = (t ^ sign).wrapping_sub(sign);
    let share = D::share(magnitude, target, sign);
    // With `k > 0` the target is positive. With `k = 0` or `o = 0` the share is zero, and so must
    // be what the gain makes of it: hence the floor.
    let limited = if WHOLE_GAIN {
        share.wrapping_mul(gain_limit as i32).min(target).max(0)
    } else {
        let (boosted, bound) = (f64::from(share) * gain_limit, f64::from(target));
        let limited = if boosted < bound { boosted } else { bound };
        truncate(if limited > 0.0 { limited } else { 0.0 })
    };
    let part = if near { limited } else { share };
    (part ^ sign).wrapping_sub(sign)
}

/// Room for one row of one band's two parts, before they are weighed.
#[derive(Clone, Debug, Default)]
pub(super) struct PartsRow {
    /// Flags of [`flag_near`].
    near: Vec<i32>,
    restored: Vec<i32>,
    impaired: Vec<i32>,
}

impl PartsRow {
    /// Makes room for `length` coefficients.
    pub(super) fn fit(&mut self, length: usize) {
        for run in [&mut self.near, &mut self.restored, &mut self.impaired] {
            run.resize(length, 0);
        }
    }
}

/// One row of weighted coefficients of one kind (restored or impairment), with what masking needs.
#[derive(Clone, Debug, Default)]
pub(super) struct WeightedRow {
    /// Weighted coefficients: horizontal, vertical, diagonal.
    pub(super) bands: [Vec<i32>; 3],
    /// One thirtieth of the magnitudes, summed over the bands.
    pub(super) around: Vec<i32>,
    /// One fifteenth of the magnitudes, summed over the bands, less [`Self::around`]: added to a sum
    /// of `around` over 3x3 it gives the masking threshold of the centre.
    pub(super) centre: Vec<i32>,
}

impl WeightedRow {
    /// Makes room for `length` coefficients.
    pub(super) fn fit(&mut self, length: usize) {
        for run in self.bands.iter_mut().chain([&mut self.around, &mut self.centre]) {
            run.resize(length, 0);
        }
    }

    fn clear_masks(&mut self, length: usize) {
        self.around[..length].fill(0);
        self.centre[..length].fill(0);
    }
}

/// Decouples one row of all three bands.
///
/// `reference` and `distorted` hold the horizontal, vertical and diagonal rows; all have the length
/// of `room`. Unless impairments are wanted, only the restored coefficients and the masks of the
/// impairments are made.
#[inline(always)]
pub(super) fn decouple_row<D: Depth, const WITH_IMPAIRMENTS: bool>(
    depth: D,
    gain_limit: f64,
    reference: [&[i32]; 3],
    distorted: [&[i32]; 3],
    room: &mut PartsRow,
    restored_row: &mut WeightedRow,
    impaired_row: &mut WeightedRow,
) {
    let length = room.near.len();
    flag_near::<D>(reference, distorted, &mut room.near);
    let whole_gain = D::HOLDS_GAIN && gain_limit.fract() == 0.0;
    impaired_row.clear_masks(length);
    if WITH_IMPAIRMENTS {
        restored_row.clear_masks(length);
    }
    for band in 0..3 {
        let pair = [reference[band], distorted[band]];
        if whole_gain {
            split_band::<D, true>(gain_limit, pair, room);
        } else {
            split_band::<D, false>(gain_limit, pair, room);
        }
        if WITH_IMPAIRMENTS {
            weigh_band::<D, true, true>(depth, band, &room.restored, restored_row);
            weigh_band::<D, true, true>(depth, band, &room.impaired, impaired_row);
        } else {
            weigh_band::<D, true, false>(depth, band, &room.restored, restored_row);
            weigh_band::<D, false, true>(depth, band, &room.impaired, impaired_row);
        }
    }
}

/// Sets a flag per coefficient: all bits where the pair points alike, or none.
#[inline(always)]
fn flag_near<D: Depth>(reference: [&[i32]; 3], distorted: [&[i32]; 3], near: &mut [i32]) {
    let length = near.len();
    let (oh, ov) = (&reference[0][..length], &reference[1][..length]);
    let (th, tv) = (&distorted[0][..length], &distorted[1][..length]);
    for at in 0..length {
        near[at] = -i32::from(D::is_near(oh[at], ov[at], th[at], tv[at]));
    }
}

/// Splits one band's row into its two parts.
#[inline(always)]
fn split_band<D: Depth, const WHOLE_GAIN: bool>(
    gain_limit: f64,
    [reference, distorted]: [&[i32]; 2],
    room: &mut PartsRow,
) {
    let length = room.near.len();
    let (reference, distorted) = (&reference[..length], &distorted[..length]);
    let near = &room.near[..length];
    let (restored_out, impaired_out) = (&mut room.restored[..length], &mut room.impaired[..length]);
    for at in 0..length {
        let (o, t) = (reference[at], distorted[at]);
        let part = restored::<D, WHOLE_GAIN>(o, t, near[at] != 0, gain_limit);
        restored_out[at] = part;
        impaired_out[at] = t.wrapping_sub(part);
    }
}

/// Weighs one band's row of one part, for pooling, for masking, or both.
#[inline(always)]
fn weigh_band<D: Depth, const POOLED: bool, const MASKING: bool>(
    depth: D,
    band: usize,
    values: &[i32],
    row: &mut WeightedRow,
) {
    let length = values.len();
    let pooled_out = &mut row.bands[band][..length];
    let around = &mut row.around[..length];
    let centre = &mut row.centre[..length];
    for at in 0..length {
        let (pooled, masking) = depth.weigh(values[at], band);
        if POOLED {
            pooled_out[at] = pooled;
        }
        if MASKING {
            let (thirtieth, fifteenth) = D::thirtieth_and_fifteenth(masking);
            around[at] = around[at].wrapping_add(thirtieth);
            centre[at] = centre[at].wrapping_add(fifteenth.wrapping_sub(thirtieth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reciprocal_is_the_integer_quotient() {
        for divisor in 1..=1 << 15 {
            assert_eq!(reciprocal(divisor), (1 << 30) / divisor, "{divisor}");
        }
    }

    #[test]
    fn magnitudes_keep_fifteen_leading_bits_rounded_half_up() {
        let around_powers = (14..31).flat_map(|power| {
            let power = 1_i64 << power;
            [power - 1, power, power + 1, power + power / 2, power * 2 - power / 32_768 - 1]
        });
        for magnitude in (0..70_000).chain(around_powers) {
            let shift = (64 - magnitude.leading_zeros()).saturating_sub(15);
            let mantissa = (magnitude + ((1 << shift) >> 1)) >> shift;
            let inverse = 0.5_f64.powi(15 + shift as i32);
            assert_eq!(normalise(magnitude as f64), (mantissa as i32, inverse), "{magnitude}");
        }
    }

    #[test]
    fn the_cosine_is_that_of_one_degree() {
        let cosine = 1.0_f64.to_radians().cos();
        assert_eq!(COS_ONE_DEGREE_SQUARED, (cosine * cosine) as f32);
    }

    /// The restored part with integers only and a true division, as the definition has it.
    fn restored_plainly(o: i64, t: i64, near: bool, gain_limit: f64) -> i64 {
        let shift = (64 - o.abs().leading_zeros()).saturating_sub(15);
        let mantissa = (o.abs() + ((1 << shift) >> 1)) >> shift;
        let k = if o == 0 {
            1 << 15
        } else {
            let product = (1 << 30) / mantissa * t * o.signum();
            ((product + (1 << (14 + shift))) >> (15 + shift)).clamp(0, 1 << 15)
        };
        let share = (k * o + (1 << 14)) >> 15;
        let boosted = share as f64 * gain_limit;
        match (near && k > 0, o.signum()) {
            (true, 1) => boosted.min(t as f64) as i64,
            (true, -1) => boosted.max(t as f64) as i64,
            _ => share,
        }
    }

    /// What the vectors of scale 0 rely on.
    #[test]
    fn below_2_to_14_the_restored_part_is_the_target_brought_between_zero_and_the_reference() {
        let targets = |o: i32| [0, 1, o / 2, o - 1, o, o + 1, 2 * o, 27_411, -1, -o, -27_411];
        for o in 0..1 << 14 {
            let near_ends = (1..40).flat_map(|step| [o - step, step, o * step / 40, 16_384 - step]);
            for t in targets(o).into_iter().chain(near_ends) {
                for (o, t) in [(o, t), (-o, -t)] {
                    let part = t.clamp(o.min(0), o.max(0));
                    assert_eq!(restored::<Shallow, true>(o, t, false, 100.0), part, "{o} {t}");
                    let boosted = (part * 100).clamp(t.min(0), t.max(0));
                    assert_eq!(restored::<Shallow, true>(o, t, true, 100.0), boosted, "{o} {t}");
                }
            }
        }
    }

    #[test]
    fn parts_equal_plain_integer_arithmetic_at_both_widths() {
        let mut state = 7_u64;
        let mut random = move |bits: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state as i64) >> (64 - bits)) as i32
        };
        for round in 0..400_000_u32 {
            let (near, gain_limit) = (round % 3 == 0, [1.0, 1.2, 100.0][(round / 3 % 3) as usize]);
            let bits = 3 + round % 13;
            let shallow = [random(bits), random(16 - round % 11)].map(|v| v.clamp(-27_411, 27_411));
            let bits = 3 + round % 29;
            let wide = [random(bits), random(32 - round % 23)].map(|v| v.max(-i32::MAX));
            for (o, t) in [(shallow[0], shallow[1]), (shallow[0], shallow[0] + (round % 5) as i32)]
            {
                let expected = restored_plainly(o.into(), t.into(), near, gain_limit) as i32;
                let what = format!("{o} {t} {near} {gain_limit}");
                assert_eq!(restored::<Shallow, false>(o, t, near, gain_limit), expected, "{what}");
                if gain_limit.fract() == 0.0 {
                    assert_eq!(
                        restored::<Shallow, true>(o, t, near, gain_limit),
                        expected,
                        "{what}"
                    );
                }
            }
            for (o, t) in [(wide[0], wide[1]), (wide[0], wide[0] / 16 * (round % 19) as i32)] {
                let expected = restored_plainly(o.into(), t.into(), near, gain_limit) as i32;
                let what = format!("{o} {t} {near} {gain_limit}");
                assert_eq!(restored::<Wide, false>(o, t, near, gain_limit), expected, "{what}");
            }
        }
    }
}
