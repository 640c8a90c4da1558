//! `speed_chroma`: both chroma planes of a frame.

use kernels::Isa;
use kernels::speed::{
    SpeedChroma, SpeedError, SpeedInput, SpeedParams, SpeedScore, speed_score, speed_statistics,
};

use super::{KERNEL_SCALE, MAX_VALUE, NN_FLOOR, PRESCALE, PRESCALE_METHOD, SIGMA_NN, Scratch};
use crate::analyze::FrameInput;
use crate::features::options::{CheckedOptions, OptionSpec, integer};
use crate::features::outputs::OutputSpec;
use crate::features::{ExtractorKind, FeatureError};
use crate::picture::PictureSpec;

pub(in crate::features) const OPTIONS: &[OptionSpec] = &[
    KERNEL_SCALE,
    MAX_VALUE,
    NN_FLOOR,
    PRESCALE,
    PRESCALE_METHOD,
    SIGMA_NN,
    integer("speed_weight_var_mode", "wvm", 0, (0, 6)),
];

pub(in crate::features) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("Speed_chroma_feature_speed_chroma_u_score").called("speed_chroma_u"),
    OutputSpec::plain("Speed_chroma_feature_speed_chroma_v_score").called("speed_chroma_v"),
    OutputSpec::plain("Speed_chroma_feature_speed_chroma_uv_score").called("speed_chroma_uv"),
];

/// Checked options.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChromaSettings {
    params: SpeedParams,
    score_max: f64,
}

pub(in crate::features) fn settings(
    options: &CheckedOptions,
) -> Result<ChromaSettings, FeatureError> {
    let mode = options.real("speed_weight_var_mode") as u32;
    let params = super::params(ExtractorKind::SpeedChroma, options, mode)?;
    Ok(ChromaSettings { params, score_max: options.real("speed_max_val") })
}

/// There must be chroma, large enough for a block.
pub(in crate::features) fn check(
    settings: &ChromaSettings,
    pictures: &PictureSpec,
) -> Result<(), FeatureError> {
    let kind = ExtractorKind::SpeedChroma;
    let (width, height) = pictures.format.chroma.chroma_size(pictures.width, pictures.height);
    if width == 0 {
        let what = "pictures without chroma have nothing to compare".to_owned();
        return Err(FeatureError::Unsupported { extractor: kind.name(), what });
    }
    let checked = settings.params.check_size(width as usize, height as usize);
    checked.map_err(|error| super::unsupported(kind, error))
}

pub(in crate::features) fn run(
    settings: &ChromaSettings,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut Scratch,
    values: &mut [Vec<f64>],
) -> Result<(), SpeedError> {
    let ChromaSettings { params, score_max } = settings;
    let Scratch { kernel, reference, distorted: statistics } = scratch;
    let planes = [1, 2];
    for (plane, reference) in planes.into_iter().zip(&mut *reference) {
        let plane = frame.reference.picture.plane(plane).ok_or(SpeedError::Shape)?;
        speed_statistics(isa, SpeedInput::Plane(&plane), params, kernel, reference)?;
    }
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let mut channels = [SpeedScore::default(); 2];
        for ((plane, reference), channel) in planes.into_iter().zip(&*reference).zip(&mut channels)
        {
            let plane = distorted.picture.plane(plane).ok_or(SpeedError::Shape)?;
            let input = SpeedInput::Plane(&plane);
            speed_statistics(isa, input, params, kernel, statistics)?;
            *channel = speed_score(isa, reference, statistics, params)?;
        }
        let [u, v] = channels;
        let scores = SpeedChroma::new(u, v, *score_max);
        values.extend([scores.u, scores.v, scores.uv]);
    }
    Ok(())
}
