//! Splits the distorted detail coefficients into a restored part and an additive impairment.
//!
//! Of a distorted coefficient `t` with the reference coefficient `o`, the part `r = k o` with
//! `k = t / o` clamped to 0..=1 is detail that survived; `a = t - r` is impairment. Where the pair
//! (horizontal, vertical) points within one degree of the reference's, the change is taken for an
//! enhancement of contrast and `r` may grow up to the gain limit times `r`, but not past `t`.
//!
//! Arithmetic: `k` has 15 fractional bits and comes from the reciprocal `2^30 / |o|`, truncated, of
//! an `|o|` first rounded to its 15 leading bits. All of that is done here in `f64` without a
//! rounding error that could show:
//! - the truncated `f64` quotient `2^30 / m` is the integer quotient, since for `m <= 2^15` a true
//!   quotient that is no integer is further than 2^-15 from the next one, and the error is below
//!   2^-22;
//! - the product of reciprocal and `t` is exact below 2^53, and one above is clamped either way;
//! - powers of two are exact.

use super::geometry::SCALES;
use super::params::AdmParams;

/// The square of the cosine of one degree.
const COS_ONE_DEGREE_SQUARED: f32 = 0.999_695_4;

/// `1.0` for `k`.
const UNITY: i32 = 1 << 15;

/// `2^30`, the dividend of all reciprocals.
const RECIPROCAL_ONE: f64 = 1_073_741_824.0;

/// Scale-dependent widths: scale 0 holds 16-bit coefficients, the others 32-bit ones.
pub(super) trait Depth: Copy {
    /// The part `k o` of a coefficient, rounded half up.
    fn share(k: i32, o: i32) -> i32;
    /// Whether (horizontal, vertical) of both pictures point within one degree.
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool;
    /// Rounds a magnitude to its 15 leading bits: the mantissa, and the power of two taken out,
    /// inverted.
    fn normalise(magnitude: f64) -> (f64, f64);
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

    const SHIFTS: [u32; 3] = [15, 15, 17];
    /// Half a unit, but one less for the diagonal band: libvmaf keeps it in 16 bits.
    const ROUNDINGS: [i32; 3] = [16_384, 16_384, 65_535];
}

/// Scales 1 to 3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    weights: [i32; 3],
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
    #[inline(always)]
    fn share(k: i32, o: i32) -> i32 {
        (k.wrapping_mul(o).wrapping_add(1 << 14)) >> 15
    }

    #[inline(always)]
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool {
        let dot = |a: i32, b: i32, c: i32, d: i32| {
            a.wrapping_mul(b).wrapping_add(c.wrapping_mul(d)) as f32
        };
        points_alike(dot(oh, th, ov, tv), dot(oh, oh, ov, ov), dot(th, th, tv, tv))
    }

    #[inline(always)]
    fn normalise(magnitude: f64) -> (f64, f64) {
        (magnitude, 1.0)
    }

    #[inline(always)]
    fn weigh(self, value: i32, band: usize) -> (i32, i32) {
        let product = value.wrapping_mul(self.weights[band]);
        let rounded = product.wrapping_add(Self::ROUNDINGS[band]) >> Self::SHIFTS[band];
        (product, i32::from(rounded as i16))
    }

    #[inline(always)]
    fn thirtieth_and_fifteenth(weighted: i32) -> (i32, i32) {
        let magnitude = weighted.wrapping_abs();
        // Both are cut to 16 bits; one fifteenth of a large coefficient wraps.
        let part = |factor: i32| {
            i32::from((magnitude.wrapping_mul(factor).wrapping_add(2048) >> 12) as i16)
        };
        (part(4369), part(8738))
    }
}

impl Depth for Wide {
    #[inline(always)]
    fn share(k: i32, o: i32) -> i32 {
        ((i64::from(k) * i64::from(o) + (1 << 14)) >> 15) as i32
    }

    #[inline(always)]
    fn is_near(oh: i32, ov: i32, th: i32, tv: i32) -> bool {
        let dot = |a: i32, b: i32, c: i32, d: i32| {
            (i64::from(a) * i64::from(b)).wrapping_add(i64::from(c) * i64::from(d)) as f32
        };
        points_alike(dot(oh, th, ov, tv), dot(oh, oh, ov, ov), dot(th, th, tv, tv))
    }

    #[inline(always)]
    fn normalise(magnitude: f64) -> (f64, f64) {
        const EXPONENT: u64 = 0x7ff << 52;
        /// Biased exponents of a power `2^(14 + k)` and of `2^-k` add up to this.
        const EXPONENT_SUM: u64 = (2 * 1023 + 14) << 52;
        let floor = if magnitude > 16_384.0 { magnitude } else { 16_384.0 };
        let inverse = f64::from_bits(EXPONENT_SUM - (floor.to_bits() & EXPONENT));
        (f64::from(truncate(magnitude * inverse + 0.5)), inverse)
    }

    #[inline(always)]
    fn weigh(self, value: i32, band: usize) -> (i32, i32) {
        let product = i64::from(value) * i64::from(self.weights[band]);
        let weighted = ((product + (1 << 27)) >> 28) as i32;
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

/// The integer part of a value that fits 32 bits.
#[inline(always)]
fn truncate(value: f64) -> i32 {
    debug_assert!(value.abs() < 2_147_483_648.0);
    // SAFETY: callers pass finite values whose integer part fits 32 bits: reciprocals of at least 1
    // (at most 2^30), mantissas of 15 bits, `k` after clamping to 0..=2^15, and values between 0 and
    // a 32-bit coefficient.
    unsafe { value.to_int_unchecked::<i32>() }
}

/// The restored part of one distorted coefficient.
#[inline(always)]
fn restored<D: Depth>(o: i32, t: i32, near: bool, gain_limit: f64) -> i32 {
    let (o_float, t_float) = (f64::from(o), f64::from(t));
    let (mantissa, inverse) = D::normalise(o_float.abs());
    let divisor = if mantissa < 1.0 { 1.0 } else { mantissa };
    let reciprocal = f64::from(truncate(RECIPROCAL_ONE / divisor));
    let signed = if o < 0 { -t_float } else { t_float };
    let quotient = reciprocal * signed * (inverse * (1.0 / 32_768.0)) + 0.5;
    let quotient = if quotient > 0.0 { quotient } else { 0.0 };
    let quotient = if quotient < 32_768.0 { quotient } else { 32_768.0 };
    let k = if o == 0 { UNITY } else { truncate(quotient) };
    let share = D::share(k, o);

    // `share` has the sign of `o`, and with `k > 0` so has `t`: the bound lies between 0 and `t`.
    let boosted = f64::from(share) * gain_limit;
    let least = if boosted < t_float { boosted } else { t_float };
    let greatest = if boosted > t_float { boosted } else { t_float };
    let limited = truncate(if o > 0 { least } else { greatest });
    if near & (k > 0) & (o != 0) { limited } else { share }
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
/// `reference` and `distorted` hold the horizontal, vertical and diagonal rows; `near` is room for
/// as many flags. All have one length.
#[inline(always)]
pub(super) fn decouple_row<D: Depth>(
    depth: D,
    gain_limit: f64,
    reference: [&[i32]; 3],
    distorted: [&[i32]; 3],
    near: &mut [i32],
    restored_row: &mut WeightedRow,
    impaired_row: &mut WeightedRow,
) {
    flag_near::<D>(reference, distorted, near);
    restored_row.clear_masks(near.len());
    impaired_row.clear_masks(near.len());
    for band in 0..3 {
        split_band(
            depth,
            gain_limit,
            band,
            [reference[band], distorted[band], near],
            restored_row,
            impaired_row,
        );
    }
}

#[inline(always)]
fn flag_near<D: Depth>(reference: [&[i32]; 3], distorted: [&[i32]; 3], near: &mut [i32]) {
    let length = near.len();
    let (oh, ov) = (&reference[0][..length], &reference[1][..length]);
    let (th, tv) = (&distorted[0][..length], &distorted[1][..length]);
    for at in 0..length {
        near[at] = i32::from(D::is_near(oh[at], ov[at], th[at], tv[at]));
    }
}

#[inline(always)]
fn split_band<D: Depth>(
    depth: D,
    gain_limit: f64,
    band: usize,
    [reference, distorted, near]: [&[i32]; 3],
    restored_row: &mut WeightedRow,
    impaired_row: &mut WeightedRow,
) {
    let length = near.len();
    let (reference, distorted) = (&reference[..length], &distorted[..length]);
    let restored_out = &mut restored_row.bands[band][..length];
    let restored_around = &mut restored_row.around[..length];
    let restored_centre = &mut restored_row.centre[..length];
    let impaired_out = &mut impaired_row.bands[band][..length];
    let impaired_around = &mut impaired_row.around[..length];
    let impaired_centre = &mut impaired_row.centre[..length];
    for at in 0..length {
        let (o, t) = (reference[at], distorted[at]);
        let r = restored::<D>(o, t, near[at] != 0, gain_limit);
        let a = t.wrapping_sub(r);

        let (pooled, masking) = depth.weigh(r, band);
        let (thirtieth, fifteenth) = D::thirtieth_and_fifteenth(masking);
        restored_out[at] = pooled;
        restored_around[at] = restored_around[at].wrapping_add(thirtieth);
        restored_centre[at] = restored_centre[at].wrapping_add(fifteenth.wrapping_sub(thirtieth));

        let (pooled, masking) = depth.weigh(a, band);
        let (thirtieth, fifteenth) = D::thirtieth_and_fifteenth(masking);
        impaired_out[at] = pooled;
        impaired_around[at] = impaired_around[at].wrapping_add(thirtieth);
        impaired_centre[at] = impaired_centre[at].wrapping_add(fifteenth.wrapping_sub(thirtieth));
    }
}
