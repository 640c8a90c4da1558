//! `vif`: visual information fidelity at four scales.

use kernels::Isa;
use kernels::vif::{VifParams, VifScratch, vif_each};

use super::options::{CheckedOptions, OptionSpec, flag, real};
use super::outputs::OutputSpec;
use crate::analyze::FrameInput;

pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("debug", None),
    real("vif_enhn_gain_limit", "egl", 100.0, (1.0, 100.0)),
    flag("vif_skip_scale0", Some("ssclz")),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("VMAF_integer_feature_vif_scale0_score").called("integer_vif_scale0"),
    OutputSpec::plain("VMAF_integer_feature_vif_scale1_score").called("integer_vif_scale1"),
    OutputSpec::plain("VMAF_integer_feature_vif_scale2_score").called("integer_vif_scale2"),
    OutputSpec::plain("VMAF_integer_feature_vif_scale3_score").called("integer_vif_scale3"),
    OutputSpec::debug("integer_vif"),
    OutputSpec::debug("integer_vif_num"),
    OutputSpec::debug("integer_vif_den"),
    OutputSpec::debug("integer_vif_num_scale0"),
    OutputSpec::debug("integer_vif_den_scale0"),
    OutputSpec::debug("integer_vif_num_scale1"),
    OutputSpec::debug("integer_vif_den_scale1"),
    OutputSpec::debug("integer_vif_num_scale2"),
    OutputSpec::debug("integer_vif_den_scale2"),
    OutputSpec::debug("integer_vif_num_scale3"),
    OutputSpec::debug("integer_vif_den_scale3"),
];

pub(super) fn settings(options: &CheckedOptions) -> VifParams {
    VifParams {
        enhancement_gain_limit: options.real("vif_enhn_gain_limit"),
        skip_scale0: options.flag("vif_skip_scale0"),
    }
}

pub(super) fn run(
    params: &VifParams,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut VifScratch,
    values: &mut [Vec<f64>],
) {
    let reference = frame.reference.picture.luma();
    let distorted: Vec<_> =
        frame.distorted.iter().map(|distorted| distorted.picture.luma()).collect();
    let all = vif_each(isa, &reference, &distorted, params, scratch)
        .expect("the analyzer checked that the pictures are of one kind");
    for (scores, values) in all.into_iter().zip(values) {
        values.extend(scores.scales.iter().map(|scale| scale.score));
        values.extend([scores.score(), scores.num(), scores.den()]);
        values.extend(scores.scales.iter().flat_map(|scale| [scale.num, scale.den]));
    }
}
