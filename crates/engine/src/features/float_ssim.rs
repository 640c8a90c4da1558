//! `float_ssim`: structural similarity at one scale.

use kernels::Isa;
use kernels::ssim::{SHRINK_MAX, SsimError, SsimMeans, SsimParams, SsimScratch, float_ssim};

use super::options::{CheckedOptions, OptionSpec, flag, integer};
use super::outputs::{OutputSpec, When};
use super::ssim::Decibels;
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::picture::PictureSpec;

/// The checked options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FloatSsim {
    params: SsimParams,
    decibels: Decibels,
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("clip_db", None),
    flag("enable_db", None),
    flag("enable_lcs", None),
    integer("scale", "scale", 0, (0, SHRINK_MAX as i32)).unnamed(),
];

const LCS: When = When::Flag("enable_lcs");

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("float_ssim"),
    OutputSpec::plain("float_ssim_l").when(LCS),
    OutputSpec::plain("float_ssim_c").when(LCS),
    OutputSpec::plain("float_ssim_s").when(LCS),
];

pub(super) fn settings(options: &CheckedOptions) -> FloatSsim {
    let means = if options.flag("enable_lcs") { SsimMeans::All } else { SsimMeans::ForScore };
    let params = SsimParams { shrink: options.real("scale") as usize, means };
    FloatSsim { params, decibels: Decibels::new(options) }
}

impl FloatSsim {
    /// Whether pictures of this size have a score.
    pub(super) fn check(&self, spec: &PictureSpec) -> Result<(), FeatureError> {
        let [width, height] = [spec.width, spec.height].map(|side| side as usize);
        let checked = self.params.compared_size(width, height);
        checked.map(drop).map_err(|error| FeatureError::Unsupported {
            extractor: ExtractorKind::FloatSsim.name(),
            what: error.to_string(),
        })
    }
}

pub(super) fn run(
    settings: &FloatSsim,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut SsimScratch,
    values: &mut [Vec<f64>],
) -> Result<(), SsimError> {
    let reference = frame.reference.picture;
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let distorted = distorted.picture.luma();
        let scores = float_ssim(isa, &reference.luma(), &distorted, &settings.params, scratch)?;
        values.push(settings.decibels.apply(scores.ssim, reference.spec()));
        values.extend([scores.luminance, scores.contrast, scores.structure]);
    }
    Ok(())
}
