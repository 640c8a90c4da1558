//! `probe_media`: what a file is, as the scorer would see it.

use engine::{PicturePool, PictureSpec, PlanesWanted};
use media::{MediaConfig, Stop, VideoInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::MediaRef;

use super::args::{self, RawArgs};
use super::{Answer, Effect, Tool};
use crate::error::ToolError;
use crate::platform::Call;
use crate::progress::Meter;

/// `probe_media`
pub(crate) struct ProbeMedia;

/// What `probe_media` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeIn {
    /// The video: an absolute path below a source root, or an https URL of an allowed host.
    pub path: String,
    /// The geometry, where the file is headerless YUV.
    #[serde(default)]
    pub raw: Option<RawArgs>,
    /// Decode the whole video to count its frames, which most files do not tell; also finds damage.
    #[serde(default)]
    pub count_frames: bool,
}

/// A video as the scorer would see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct MediaOut {
    /// The path or URL as given.
    pub path: String,
    /// Luma width in samples.
    pub width: u32,
    /// Luma height in samples.
    pub height: u32,
    /// Chroma subsampling: 400, 411, 420, 422 or 444.
    pub chroma: String,
    /// Bits a sample.
    pub bit_depth: u8,
    /// Frames, counted by decoding all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_count: Option<u64>,
    /// Frames by the file's length, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_count_estimate: Option<u64>,
    /// Frames a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// How long it plays, in seconds, as the container says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// The codec; absent for y4m and headerless YUV.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// limited (16 to 235 at 8 bits) or full, where the file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// The colour matrix, where the file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour_matrix: Option<String>,
    /// The colour primaries, where the file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour_primaries: Option<String>,
    /// The transfer function, where the file says so; smpte2084 and arib-std-b67 are HDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
    /// Width to height of a sample, such as 1:1, where the file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_aspect: Option<String>,
    /// By how much players turn the pictures, in degrees; they are scored as they are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_degrees: Option<i32>,
    /// What decodes it.
    pub decoder: String,
}

impl From<&VideoInfo> for MediaOut {
    fn from(info: &VideoInfo) -> Self {
        let declared = &info.declared;
        let ratio = |(a, b): (u32, u32)| f64::from(a) / f64::from(b);
        Self {
            path: info.name.clone(),
            width: info.width,
            height: info.height,
            chroma: info.format.chroma.to_string(),
            bit_depth: info.format.bit_depth,
            frame_count: None,
            frame_count_estimate: info.frame_count_estimate,
            frame_rate: info.frame_rate.map(ratio),
            duration_seconds: declared.duration.map(|duration| duration.as_secs_f64()),
            codec: declared.codec.clone(),
            range: declared.range.map(|range| range.as_str().to_owned()),
            colour_matrix: declared.matrix.clone(),
            colour_primaries: declared.primaries.clone(),
            transfer: declared.transfer.clone(),
            sample_aspect: declared.sample_aspect.map(|(w, h)| format!("{w}:{h}")),
            rotation_degrees: declared.rotation_degrees,
            decoder: info.decoder.clone(),
        }
    }
}

/// Opens a video, and reads it to its end where its frames are to be counted. Blocks.
pub(super) fn probe(
    media: &MediaRef,
    count_frames: bool,
    config: &MediaConfig,
    stop: &Stop,
    meter: &Meter,
) -> Result<MediaOut, ToolError> {
    let mut video = media::open(media, config, stop)?;
    let mut out = MediaOut::from(video.info());
    if count_frames {
        if let Some(estimate) = out.frame_count_estimate {
            meter.set_total(estimate);
        }
        while video.skip_frames(1)? == 1 {
            meter.step();
        }
        out.frame_count = Some(video.frame_index());
    }
    Ok(out)
}

/// One picture's memory for a video.
pub(super) fn pool(
    info: &VideoInfo,
    planes: PlanesWanted,
    pictures: usize,
) -> Result<PicturePool, ToolError> {
    let spec = PictureSpec { width: info.width, height: info.height, format: info.format, planes };
    let pictures = std::num::NonZeroUsize::new(pictures).unwrap_or(std::num::NonZeroUsize::MIN);
    PicturePool::new(spec, pictures).map_err(|error| {
        let hint = "Convert the video to planar YUV of 8 to 16 bits and a usual size.";
        ToolError::new("unsupported_format", error.to_string(), hint)
    })
}

impl Tool for ProbeMedia {
    const NAME: &'static str = "probe_media";
    const TITLE: &'static str = "Probe a video";
    const DESCRIPTION: &'static str = "Says what a video file holds as the scorer would see it: size, chroma subsampling, bit \
         depth, frame rate, duration, codec, range and colour, and with count_frames the exact \
         number of frames. Reads in this server's process. For a pair use check_pair, which \
         compares.";
    const EFFECT: Effect = Effect::Reads;
    type Input = ProbeIn;
    type Output = MediaOut;

    async fn run(mut call: Call, input: ProbeIn) -> Result<Answer<MediaOut>, ToolError> {
        let media = args::media(&input.path, input.raw);
        let count = input.count_frames;
        let work = move |config: &MediaConfig, stop: &Stop, meter: &Meter| {
            probe(&media, count, config, stop, meter)
        };
        let out = call.decode("counting", Meter::of(None), work).await?;
        Ok(out.into())
    }
}
