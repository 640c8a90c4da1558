//! `psnr`: the peak signal-to-noise ratio of each plane.

use kernels::Isa;
use kernels::psnr::{PLANES, PsnrParams, PsnrScale, mean_squared_error, squared_error};

use super::kind::Refusal;
use super::options::{CheckedOptions, OptionSpec, flag, flag_set, real};
use super::outputs::{OutputSpec, When};
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::picture::PictureSpec;

const CHROMA: &str = "enable_chroma";
const MSE: &str = "enable_mse";
const APSNR: &str = "enable_apsnr";

pub(super) const OPTIONS: &[OptionSpec] = &[
    flag(APSNR, None),
    flag_set(CHROMA),
    flag(MSE, None),
    real("min_sse", "", 0.0, (0.0, f64::MAX)).unnamed(),
    flag("reduced_hbd_peak", None),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("psnr_y"),
    OutputSpec::plain("mse_y").when(When::Flag(MSE)),
    OutputSpec::plain("psnr_cb").when(When::Flag(CHROMA)),
    OutputSpec::plain("mse_cb").when(When::Flags(CHROMA, MSE)),
    OutputSpec::plain("psnr_cr").when(When::Flag(CHROMA)),
    OutputSpec::plain("mse_cr").when(When::Flags(CHROMA, MSE)),
];

/// What bears on values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PsnrOptions {
    scale: PsnrParams,
    pub(super) chroma: bool,
}

/// The options for pictures of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PsnrRun {
    scale: PsnrScale,
    planes: usize,
}

pub(super) fn settings(options: &CheckedOptions) -> Result<PsnrOptions, FeatureError> {
    if options.flag(APSNR) {
        return Err(unsupported(format!("{APSNR}=true is not supported")));
    }
    let scale = PsnrParams {
        reduced_peak: options.flag("reduced_hbd_peak"),
        sse_min: options.real("min_sse"),
    };
    Ok(PsnrOptions { scale, chroma: options.flag(CHROMA) })
}

/// Columns are planned before pictures are known: chroma that is not there must be told.
pub(super) fn check(options: &PsnrOptions, spec: &PictureSpec) -> Result<(), FeatureError> {
    if options.chroma && spec.format.chroma.chroma_size(spec.width, spec.height).0 == 0 {
        let what = format!("pictures have no chroma planes; ask with {CHROMA}=false");
        return Err(unsupported(what));
    }
    Ok(())
}

fn unsupported(what: String) -> FeatureError {
    FeatureError::Unsupported { extractor: ExtractorKind::Psnr.name(), what }
}

impl PsnrRun {
    pub(super) fn new(options: &PsnrOptions, spec: &PictureSpec) -> Self {
        let chroma = spec.format.chroma.chroma_size(spec.width, spec.height);
        let samples =
            [(spec.width, spec.height), chroma, chroma].map(|(w, h)| w as usize * h as usize);
        let bit_depth = u32::from(spec.format.bit_depth);
        let planes = if options.chroma { PLANES } else { 1 };
        Self { scale: PsnrScale::new(&options.scale, bit_depth, samples), planes }
    }
}

pub(super) fn run(
    params: &PsnrRun,
    isa: Isa,
    frame: &FrameInput<'_>,
    values: &mut [Vec<f64>],
) -> Result<(), Refusal> {
    for (distorted, values) in frame.distorted.iter().zip(values) {
        for plane in 0..PLANES {
            let planes = [frame.reference.picture, distorted.picture].map(|it| it.plane(plane));
            let ([Some(reference), Some(distorted)], true) = (planes, plane < params.planes) else {
                // No column reads it.
                values.extend([f64::NAN; 2]);
                continue;
            };
            let sse = squared_error(isa, &reference, &distorted)
                .expect("the analyzer checked that the pictures are of one kind");
            let mse = mean_squared_error(sse, reference.width() * reference.height());
            values.extend([params.scale.psnr(plane, mse), mse]);
        }
    }
    Ok(())
}
