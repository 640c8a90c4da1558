//! `psnr_hvs`: the error of each plane in the frequencies that the eye sees.

use kernels::psnr_hvs::{
    BIT_DEPTH_MAX, PLANE_SIDE_MIN, PsnrHvsScratch, combined_error, psnr_hvs_db, psnr_hvs_error,
};
use kernels::{Isa, PlaneRef};

use super::kind::Refusal;
use super::options::OptionSpec;
use super::outputs::OutputSpec;
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::picture::{Picture, PictureSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("psnr_hvs_y"),
    OutputSpec::plain("psnr_hvs_cb"),
    OutputSpec::plain("psnr_hvs_cr"),
    OutputSpec::plain("psnr_hvs"),
];

/// libvmaf refuses deep samples and pictures without chroma; of planes too small for a block it
/// gives no number.
pub(super) fn check(spec: &PictureSpec) -> Result<(), FeatureError> {
    let unsupported =
        |what| Err(FeatureError::Unsupported { extractor: ExtractorKind::PsnrHvs.name(), what });
    let bit_depth = spec.format.bit_depth;
    if u32::from(bit_depth) > BIT_DEPTH_MAX {
        return unsupported(format!("samples of {bit_depth} bits are more than {BIT_DEPTH_MAX}"));
    }
    let (width, height) = spec.format.chroma.chroma_size(spec.width, spec.height);
    if width == 0 {
        return unsupported("pictures have no chroma planes".to_owned());
    }
    let side = width.min(height).min(spec.width).min(spec.height);
    if (side as usize) < PLANE_SIDE_MIN {
        return unsupported(format!(
            "planes with a side of {side} samples are too small: {PLANE_SIDE_MIN} are needed"
        ));
    }
    Ok(())
}

pub(super) fn run(
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut PsnrHvsScratch,
    values: &mut [Vec<f64>],
) -> Result<(), Refusal> {
    let reference = planes(frame.reference.picture)?;
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let distorted = planes(distorted.picture)?;
        let errors: [f64; 3] = std::array::from_fn(|plane| {
            psnr_hvs_error(isa, plane, &reference[plane], &distorted[plane], scratch)
                .expect("the analyzer checked that the pictures are of one kind")
        });
        values.extend(errors.map(psnr_hvs_db));
        values.push(psnr_hvs_db(combined_error(errors)));
    }
    Ok(())
}

/// Luma, Cb and Cr.
pub(super) fn planes(picture: &Picture) -> Result<[PlaneRef<'_>; 3], Refusal> {
    let planes = [0, 1, 2].map(|plane| picture.plane(plane));
    let [Some(luma), Some(cb), Some(cr)] = planes else {
        return Err(Refusal("the pictures have no chroma planes".to_owned()));
    };
    Ok([luma, cb, cr])
}
