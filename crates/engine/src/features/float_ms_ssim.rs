//! `float_ms_ssim`: structural similarity over five scales.

use kernels::Isa;
use kernels::elementary::pow;
use kernels::ssim::{
    MS_SSIM_SIDE_MIN, MsSsimScores, SCALES, SsimError, SsimMeans, SsimScratch, float_ms_ssim,
};

use super::options::{CheckedOptions, OptionSpec, flag};
use super::outputs::{OutputSpec, When};
use super::ssim::Decibels;
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::picture::PictureSpec;

/// The checked options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FloatMsSsim {
    means: SsimMeans,
    decibels: Decibels,
}

pub(super) const OPTIONS: &[OptionSpec] =
    &[flag("clip_db", None), flag("enable_db", None), flag("enable_lcs", None)];

const fn part(name: &'static str) -> OutputSpec {
    OutputSpec::plain(name).when(When::Flag("enable_lcs"))
}

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("float_ms_ssim"),
    part("float_ms_ssim_l_scale0"),
    part("float_ms_ssim_l_scale1"),
    part("float_ms_ssim_l_scale2"),
    part("float_ms_ssim_l_scale3"),
    part("float_ms_ssim_l_scale4"),
    part("float_ms_ssim_c_scale0"),
    part("float_ms_ssim_c_scale1"),
    part("float_ms_ssim_c_scale2"),
    part("float_ms_ssim_c_scale3"),
    part("float_ms_ssim_c_scale4"),
    part("float_ms_ssim_s_scale0"),
    part("float_ms_ssim_s_scale1"),
    part("float_ms_ssim_s_scale2"),
    part("float_ms_ssim_s_scale3"),
    part("float_ms_ssim_s_scale4"),
];

/// The weight of each scale's contrast and structure, and of the last one's luminance.
const EXPONENTS: [f32; SCALES] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

pub(super) fn settings(options: &CheckedOptions) -> FloatMsSsim {
    let means = if options.flag("enable_lcs") { SsimMeans::All } else { SsimMeans::ForScore };
    FloatMsSsim { means, decibels: Decibels::new(options) }
}

impl FloatMsSsim {
    /// Whether pictures of this size have a score.
    pub(super) fn check(&self, spec: &PictureSpec) -> Result<(), FeatureError> {
        let [width, height] = [spec.width, spec.height].map(|side| side as usize);
        if width.min(height) >= MS_SSIM_SIDE_MIN {
            return Ok(());
        }
        let error = SsimError::TooSmall { width, height, side_min: MS_SSIM_SIDE_MIN };
        Err(FeatureError::Unsupported {
            extractor: ExtractorKind::FloatMsSsim.name(),
            what: error.to_string(),
        })
    }
}

/// The product over scales of contrast and structure, and of the last luminance, each to the power
/// of its weight. As in libvmaf it is NaN where the pictures correlate negatively.
fn score(means: &MsSsimScores) -> f64 {
    let mut score = 1.0;
    for (scale, exponent) in EXPONENTS.into_iter().map(f64::from).enumerate() {
        let last = scale == SCALES - 1;
        let luminance = if last { pow(means.luminance[scale], exponent) } else { 1.0 };
        let contrast = pow(means.contrast[scale], exponent);
        score *= luminance * contrast * pow(means.structure[scale], exponent);
    }
    score
}

pub(super) fn run(
    settings: &FloatMsSsim,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut SsimScratch,
    values: &mut [Vec<f64>],
) -> Result<(), SsimError> {
    let reference = frame.reference.picture;
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let distorted = distorted.picture.luma();
        let means = float_ms_ssim(isa, &reference.luma(), &distorted, settings.means, scratch)?;
        values.push(settings.decibels.apply(score(&means), reference.spec()));
        values.extend([means.luminance, means.contrast, means.structure].concat());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_score_one_and_opposite_ones_have_no_score() {
        let ones = [1.0; SCALES];
        let equal = MsSsimScores { luminance: ones, contrast: ones, structure: ones };
        assert_eq!(score(&equal), 1.0);
        let mut opposite = equal;
        opposite.structure[0] = -0.5;
        assert!(score(&opposite).is_nan());
        let mut luminance = equal;
        luminance.luminance = [0.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(score(&luminance), 1.0, "only the last scale's luminance counts");
    }
}
