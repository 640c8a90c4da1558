//! `psnr`: the peak signal-to-noise ratio of each plane.

use kernels::Isa;
use kernels::psnr::{ClipError, PLANES, PsnrParams, PsnrScale, mean_squared_error, squared_error};

use super::kind::Refusal;
use super::options::{CheckedOptions, OptionSpec, flag, flag_set, real};
use super::outputs::{OutputSpec, When};
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::clip_error::{PlaneError, SquaredErrors};
use crate::picture::PictureSpec;

const CHROMA: &str = "enable_chroma";
const MSE: &str = "enable_mse";
pub(super) const APSNR: &str = "enable_apsnr";

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

/// What [`APSNR`] adds to a clip: names of values that belong to no frame.
const CLIP_OUTPUTS: [&str; PLANES] = ["apsnr_y", "apsnr_cb", "apsnr_cr"];

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
    bit_depth: u8,
}

pub(super) fn settings(options: &CheckedOptions) -> PsnrOptions {
    let scale = PsnrParams {
        reduced_peak: options.flag("reduced_hbd_peak"),
        sse_min: options.real("min_sse"),
    };
    PsnrOptions { scale, chroma: options.flag(CHROMA) }
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
        let bit_depth = spec.format.bit_depth;
        let scale = PsnrScale::new(&options.scale, u32::from(bit_depth), samples);
        let planes = if options.chroma { PLANES } else { 1 };
        Self { scale, planes, bit_depth }
    }
}

impl PsnrOptions {
    /// The PSNR of a whole clip, by plane. Of planes that are not compared libvmaf writes one too:
    /// minus infinity.
    pub(crate) fn of_clip(
        &self,
        bit_depth: u8,
        planes: &[ClipError; PLANES],
    ) -> Vec<(String, f64)> {
        // The limits of a frame have no part in it, so that its size is not needed.
        let scale = PsnrScale::new(&self.scale, u32::from(bit_depth), [1; PLANES]);
        let named = CLIP_OUTPUTS.into_iter().zip(planes);
        named.map(|(name, clip)| (name.to_owned(), clip.apsnr(&scale))).collect()
    }
}

/// Leaves the squared errors of each distorted picture in `errors`.
pub(super) fn run(
    params: &PsnrRun,
    isa: Isa,
    frame: &FrameInput<'_>,
    errors: &mut Vec<SquaredErrors>,
    values: &mut [Vec<f64>],
) -> Result<(), Refusal> {
    errors.clear();
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let mut of_planes = [PlaneError::default(); PLANES];
        for (plane, error) in of_planes.iter_mut().enumerate() {
            let planes = [frame.reference.picture, distorted.picture].map(|it| it.plane(plane));
            let ([Some(reference), Some(distorted)], true) = (planes, plane < params.planes) else {
                // No column reads it.
                values.extend([f64::NAN; 2]);
                continue;
            };
            let sse = squared_error(isa, &reference, &distorted)
                .expect("the analyzer checked that the pictures are of one kind");
            let samples = reference.width() * reference.height();
            let mse = mean_squared_error(sse, samples);
            values.extend([params.scale.psnr(plane, mse), mse]);
            *error = PlaneError { sse, samples: samples as u64 };
        }
        errors.push(SquaredErrors { bit_depth: params.bit_depth, planes: of_planes });
    }
    Ok(())
}
