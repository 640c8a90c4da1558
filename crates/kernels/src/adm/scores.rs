//! From the sums of all scales to the values that are reported.

use crate::elementary::powf;

use super::geometry::{Axis, SCALES};
use super::params::AdmParams;
use super::scale::ScaleSums;

/// What ADM says about one pair of pictures, as libvmaf's `adm` extractor would report it.
///
/// All ratios are 1 where the reference has no detail at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AdmScores {
    /// `integer_adm2`: share of the reference's detail that is preserved; about 1 for equal
    /// pictures.
    pub adm2: f64,
    /// `integer_aim`: additive impairments by the reference's detail; 0 when skipped.
    pub aim: f64,
    /// `integer_adm3`: `adm2` and `1 - aim`, weighted.
    pub adm3: f64,
    /// `integer_adm_scale0..3`: as `adm2`, of each scale alone, the finest first.
    pub scale: [f64; SCALES],
    /// `integer_adm_num`: the preserved detail, summed over scales.
    pub numerator: f64,
    /// `integer_adm_den`: the detail of the reference, summed over scales.
    pub denominator: f64,
    /// `integer_adm_num_scale0..3`.
    pub scale_numerator: [f64; SCALES],
    /// `integer_adm_den_scale0..3`.
    pub scale_denominator: [f64; SCALES],
}

/// Below this share of the area, in units of 1080p pictures, a sum counts as zero.
const VANISHING: f64 = 1e-10;

/// The denominator of a scale that is left out.
const SKIPPED_DENOMINATOR: f32 = 1e-10;

/// The cube root of each sum, raised by the root of the noise floor; summed over bands in `f32`.
fn pooled(sums: [f32; 3], noise_floor: f32) -> f32 {
    let [horizontal, vertical, diagonal] = sums.map(|sum| cube_root(sum) + noise_floor);
    horizontal + vertical + diagonal
}

/// `x^(1/3)`, whose last bit decides whether scores equal libvmaf's.
fn cube_root(x: f32) -> f32 {
    powf(x, 1.0 / 3.0)
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 1.0 } else { numerator / denominator }
}

/// The scores of a picture of `width` by `height` samples.
pub(super) fn scores(
    params: &AdmParams,
    [width, height]: [usize; 2],
    axes: [&[Axis; SCALES]; 2],
    sums: &[ScaleSums; SCALES],
) -> AdmScores {
    let options = params.options();
    let mut scores = AdmScores::default();
    let (mut numerator, mut denominator, mut impairments) = (0.0_f64, 0.0_f64, 0.0_f64);
    for scale in 0..SCALES {
        let (scale_numerator, scale_denominator) = if scale == 0 && options.skip_scale0 {
            (0.0, SKIPPED_DENOMINATOR)
        } else {
            let area = axes[0][scale].score.len() * axes[1][scale].score.len();
            let noise_floor = cube_root((area as f64 * options.noise_weight) as f32);
            let sums = &sums[scale];
            if !options.skip_aim {
                impairments += f64::from(pooled(sums.impaired.values(scale), 0.0));
            }
            let reference = sums.reference.values(scale, params.weights(scale));
            (pooled(sums.restored.values(scale), noise_floor), pooled(reference, noise_floor))
        };
        scores.scale_numerator[scale] = f64::from(scale_numerator);
        scores.scale_denominator[scale] = f64::from(scale_denominator);
        scores.scale[scale] = ratio(scores.scale_numerator[scale], scores.scale_denominator[scale]);
        numerator += scores.scale_numerator[scale];
        denominator += scores.scale_denominator[scale];
    }
    let vanishing = VANISHING * (width * height) as f64 / (1920.0 * 1080.0);
    let visible = |sum: f64| if sum < vanishing { 0.0 } else { sum };
    scores.numerator = visible(numerator);
    scores.denominator = visible(denominator);
    scores.adm2 = ratio(scores.numerator, scores.denominator);
    scores.aim = if scores.denominator == 0.0 { 0.0 } else { impairments / scores.denominator };
    let weight = options.dlm_weight;
    let blend = scores.adm2 * weight + (1.0 - scores.aim) * (1.0 - weight);
    scores.adm3 = if blend > options.min_value { blend } else { options.min_value };
    scores
}
