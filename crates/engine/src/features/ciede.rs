//! `ciede`: how far the colours of both pictures are apart.

use kernels::Isa;
use kernels::ciede::{ChromaLayout, CiedeScratch, ciede_sum, ciede2000};
use types::ChromaSubsampling;

use super::kind::Refusal;
use super::options::OptionSpec;
use super::outputs::OutputSpec;
use super::psnr_hvs::planes;
use super::{ExtractorKind, FeatureError};
use crate::analyze::FrameInput;
use crate::picture::PictureSpec;

pub(super) const OPTIONS: &[OptionSpec] = &[];

pub(super) const OUTPUTS: &[OutputSpec] = &[OutputSpec::plain("ciede2000")];

/// How chroma lies to luma; `None` for formats that libvmaf does not take.
pub(super) fn layout(spec: &PictureSpec) -> Option<ChromaLayout> {
    match spec.format.chroma {
        ChromaSubsampling::C420 => Some(ChromaLayout::Quarter),
        ChromaSubsampling::C422 => Some(ChromaLayout::HalfWidth),
        ChromaSubsampling::C444 => Some(ChromaLayout::Full),
        ChromaSubsampling::C400 | ChromaSubsampling::C411 => None,
    }
}

pub(super) fn check(spec: &PictureSpec) -> Result<(), FeatureError> {
    match layout(spec) {
        Some(_) => Ok(()),
        None => {
            let what = refusal(spec.format.chroma);
            Err(FeatureError::Unsupported { extractor: ExtractorKind::Ciede.name(), what })
        }
    }
}

fn refusal(chroma: ChromaSubsampling) -> String {
    format!("pictures of {} are not taken; 4:2:0, 4:2:2 and 4:4:4 are", chroma.as_str())
}

pub(super) fn run(
    layout: Option<ChromaLayout>,
    isa: Isa,
    frame: &FrameInput<'_>,
    scratch: &mut CiedeScratch,
    values: &mut [Vec<f64>],
) -> Result<(), Refusal> {
    let picture = frame.reference.picture;
    let layout = layout.ok_or_else(|| Refusal(refusal(picture.spec().format.chroma)))?;
    let reference = planes(picture)?;
    for (distorted, values) in frame.distorted.iter().zip(values) {
        let sum = ciede_sum(isa, layout, &reference, &planes(distorted.picture)?, scratch)
            .expect("the analyzer checked that the pictures are of one kind");
        values.push(ciede2000(sum, reference[0].width() * reference[0].height()));
    }
    Ok(())
}
