//! Arguments that several tools take.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use types::{
    ChromaSubsampling, JobId, MediaRef, ModelSpec, ModelSpecError, PixelFormat, RawGeometry,
};

use crate::error::ToolError;

/// The geometry of a headerless YUV file, which cannot speak for itself.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawArgs {
    /// Luma width in samples.
    pub width: u32,
    /// Luma height in samples.
    pub height: u32,
    /// Chroma subsampling.
    #[serde(default)]
    pub chroma: Chroma,
    /// Bits a sample, 8 to 16; above 8 each takes two bytes, little-endian.
    #[serde(default = "eight")]
    pub bit_depth: u8,
}

const fn eight() -> u8 {
    8
}

/// How chroma planes relate to luma.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub(crate) enum Chroma {
    #[serde(rename = "400")]
    C400,
    #[default]
    #[serde(rename = "420")]
    C420,
    #[serde(rename = "422")]
    C422,
    #[serde(rename = "444")]
    C444,
}

impl From<RawArgs> for RawGeometry {
    fn from(raw: RawArgs) -> Self {
        let chroma = match raw.chroma {
            Chroma::C400 => ChromaSubsampling::C400,
            Chroma::C420 => ChromaSubsampling::C420,
            Chroma::C422 => ChromaSubsampling::C422,
            Chroma::C444 => ChromaSubsampling::C444,
        };
        let format = PixelFormat { chroma, bit_depth: raw.bit_depth };
        Self { width: raw.width, height: raw.height, format }
    }
}

/// A video by its path or URL.
pub(crate) fn media(uri: &str, raw: Option<RawArgs>) -> MediaRef {
    MediaRef { raw: raw.map(Into::into), ..MediaRef::new(uri) }
}

/// A model as the command line spells it; the default where none is named.
pub(crate) fn model(text: Option<&str>) -> Result<ModelSpec, ToolError> {
    text.map_or_else(|| Ok(ModelSpec::default()), str::parse).map_err(|error: ModelSpecError| {
        ToolError::argument(
            format!("model: {error}"),
            "Name a built-in version such as vmaf_v0.6.1, or path=FILE.",
        )
    })
}

/// A job's handle.
pub(crate) fn job_id(text: &str) -> Result<JobId, ToolError> {
    text.parse().map_err(|error| {
        ToolError::argument(
            format!("job_id: {error}"),
            "Take the job_id that score or submit_job gave, or call list_jobs.",
        )
    })
}

/// Every frame, unless told otherwise.
pub(crate) fn interval(subsample: Option<NonZeroU32>) -> NonZeroU32 {
    subsample.unwrap_or(NonZeroU32::MIN)
}
