//! `adm`: additive detail measure at four scales, with the additive impairment measure.

use kernels::Isa;
use kernels::adm::{AdmOptions, AdmParams, AdmScratch, adm_each};

use super::options::{CheckedOptions, OptionSpec, flag, integer, real};
use super::outputs::{OutputSpec, When};
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;

pub(super) const OPTIONS: &[OptionSpec] = &[
    real("adm_csf_diag_scale", "scfd", 1.0, (0.0, 50.0)),
    integer("adm_csf_mode", "csf", 0, (0, 3)),
    real("adm_csf_scale", "scf", 1.0, (0.0, 50.0)),
    real("adm_dlm_weight", "dlmw", 0.5, (0.0, 1.0)),
    real("adm_enhn_gain_limit", "egl", 100.0, (1.0, 100.0)),
    real("adm_min_val", "min", 0.0, (0.0, 1.0)),
    real("adm_noise_weight", "nw", 0.03125, (0.0, 1500.0)),
    real("adm_norm_view_dist", "nvd", 3.0, (0.75, 24.0)),
    integer("adm_ref_display_height", "rdh", 1080, (1, 4320)),
    flag("adm_skip_aim", None),
    flag("adm_skip_scale0", Some("ssz")),
    flag("debug", None),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("VMAF_integer_feature_adm2_score").called("integer_adm2"),
    OutputSpec::plain("VMAF_integer_feature_aim_score").called("integer_aim").when(When::Asked),
    OutputSpec::plain("VMAF_integer_feature_adm3_score").called("integer_adm3").when(When::Asked),
    OutputSpec::plain("integer_adm_scale0"),
    OutputSpec::plain("integer_adm_scale1"),
    OutputSpec::plain("integer_adm_scale2"),
    OutputSpec::plain("integer_adm_scale3"),
    OutputSpec::debug("integer_adm"),
    OutputSpec::debug("integer_adm_num"),
    OutputSpec::debug("integer_adm_den"),
    OutputSpec::debug("integer_adm_num_scale0"),
    OutputSpec::debug("integer_adm_den_scale0"),
    OutputSpec::debug("integer_adm_num_scale1"),
    OutputSpec::debug("integer_adm_den_scale1"),
    OutputSpec::debug("integer_adm_num_scale2"),
    OutputSpec::debug("integer_adm_den_scale2"),
    OutputSpec::debug("integer_adm_num_scale3"),
    OutputSpec::debug("integer_adm_den_scale3"),
];

/// AIM is left to the plan, which knows whether anybody reads it: [`prepare`].
pub(super) fn settings(options: &CheckedOptions) -> Result<AdmOptions, FeatureError> {
    let options = AdmOptions {
        enhancement_gain_limit: options.real("adm_enhn_gain_limit"),
        view_distance: options.real("adm_norm_view_dist"),
        display_height: options.real("adm_ref_display_height") as u32,
        csf_mode: options.real("adm_csf_mode") as u32,
        csf_scale: options.real("adm_csf_scale"),
        csf_diagonal_scale: options.real("adm_csf_diag_scale"),
        noise_weight: options.real("adm_noise_weight"),
        dlm_weight: options.real("adm_dlm_weight"),
        min_value: options.real("adm_min_val"),
        skip_scale0: options.flag("adm_skip_scale0"),
        ..AdmOptions::default()
    };
    match AdmParams::new(options.clone()) {
        Ok(_) => Ok(options),
        Err(error) => Err(FeatureError::Unsupported {
            extractor: ExtractorKind::Adm.name(),
            what: error.to_string(),
        }),
    }
}

pub(super) fn prepare(options: &AdmOptions, computes_aim: bool) -> AdmParams {
    let options = AdmOptions { skip_aim: !computes_aim, ..options.clone() };
    AdmParams::new(options).expect("the options were checked")
}

pub(super) fn run(
    params: &AdmParams,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut AdmScratch,
    values: &mut [Vec<f64>],
) {
    let reference = frame.reference.picture.luma();
    let distorted: Vec<_> =
        frame.distorted.iter().map(|distorted| distorted.picture.luma()).collect();
    let all = adm_each(isa, &reference, &distorted, params, scratch)
        .expect("the analyzer checked that the pictures are of one kind");
    for (scores, values) in all.into_iter().zip(values) {
        values.extend([scores.adm2, scores.aim, scores.adm3]);
        values.extend(scores.scale);
        values.extend([scores.adm2, scores.numerator, scores.denominator]);
        let by_scale = scores.scale_numerator.into_iter().zip(scores.scale_denominator);
        values.extend(by_scale.flat_map(|(numerator, denominator)| [numerator, denominator]));
    }
}
