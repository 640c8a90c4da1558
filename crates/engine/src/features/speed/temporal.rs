//! `speed_temporal`: how the luma of a frame has changed since the frame before.
//!
//! libvmaf keeps the planes of the frame before and so has to see all frames in order. The score
//! depends on nothing else of the past: with the luma `r[n]` and `d[n]` of reference and distorted
//! it compares the change `r[n-1] - r[n]` with `d[n-1] - d[n]`, or with `d[n-1] - r[n]` where
//! `speed_use_ref_diff` says so. Given both pictures before, frames are scored in any order.

use kernels::speed::{SpeedError, SpeedInput, SpeedParams, speed_score, speed_statistics};
use kernels::{Isa, PlaneRef};

use super::{KERNEL_SCALE, MAX_VALUE, NN_FLOOR, PRESCALE, PRESCALE_METHOD, SIGMA_NN, Scratch};
use crate::analyze::{FrameInput, PictureWithPast};
use crate::features::options::{CheckedOptions, OptionSpec, flag};
use crate::features::outputs::OutputSpec;
use crate::features::{ExtractorKind, FeatureError};
use crate::picture::{Picture, PictureSpec};

/// `speed_max_val` enters the name and, as in libvmaf, nothing else.
pub(in crate::features) const OPTIONS: &[OptionSpec] = &[
    KERNEL_SCALE,
    MAX_VALUE,
    NN_FLOOR,
    PRESCALE,
    PRESCALE_METHOD,
    SIGMA_NN,
    flag("speed_use_ref_diff", Some("urd")),
];

pub(in crate::features) const OUTPUTS: &[OutputSpec] =
    &[OutputSpec::plain("Speed_temporal_feature_speed_temporal_score").called("speed_temporal")];

/// Checked options.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TemporalSettings {
    params: SpeedParams,
    /// The distorted side's change is to the reference.
    use_reference: bool,
}

pub(in crate::features) fn settings(
    options: &CheckedOptions,
) -> Result<TemporalSettings, FeatureError> {
    let params = super::params(ExtractorKind::SpeedTemporal, options, 0)?;
    Ok(TemporalSettings { params, use_reference: options.flag("speed_use_ref_diff") })
}

/// Luma must be large enough for a block.
pub(in crate::features) fn check(
    settings: &TemporalSettings,
    pictures: &PictureSpec,
) -> Result<(), FeatureError> {
    let checked = settings.params.check_size(pictures.width as usize, pictures.height as usize);
    checked.map_err(|error| super::unsupported(ExtractorKind::SpeedTemporal, error))
}

/// The luma of the frame before.
fn before<'a>(pictures: &PictureWithPast<'a>) -> Option<PlaneRef<'a>> {
    pictures.before[0].map(Picture::luma)
}

pub(in crate::features) fn run(
    settings: &TemporalSettings,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut Scratch,
    values: &mut [Vec<f64>],
) -> Result<(), SpeedError> {
    let TemporalSettings { params, use_reference } = settings;
    let Scratch { kernel, reference: [reference, _], distorted: statistics } = scratch;
    let Some(previous) = before(&frame.reference) else {
        // Nothing has changed before the first frame.
        values.iter_mut().for_each(|values| values.push(0.0));
        return Ok(());
    };
    let current = frame.reference.picture.luma();
    let change = SpeedInput::Change { previous: &previous, current: &current };
    speed_statistics(isa, change, params, kernel, reference)?;
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let previous = before(distorted).ok_or(SpeedError::Shape)?;
        let own = distorted.picture.luma();
        let current = if *use_reference { &current } else { &own };
        let change = SpeedInput::Change { previous: &previous, current };
        speed_statistics(isa, change, params, kernel, statistics)?;
        let score = speed_score(isa, reference, statistics, params)?;
        values.push(f64::from(score.score));
    }
    Ok(())
}
