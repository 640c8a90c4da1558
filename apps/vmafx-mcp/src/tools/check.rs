//! `check_pair`: whether a score of two videos would mean anything, before it is computed.

mod findings;

use std::time::{Duration, Instant};

use engine::PlanesWanted;
use media::{MediaConfig, Stop, Video};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::MediaRef;

use super::args::{self, RawArgs};
use super::probe::{self, MediaOut};
use super::{Answer, Effect, Tool};
use crate::analysis::align::{self, Alignment};
use crate::analysis::thumbnail::{Grid, Thumbnail};
use crate::error::ToolError;
use crate::platform::Call;
use crate::progress::Meter;

/// Frames that are looked at for the alignment unless told otherwise.
const FRAMES_DEFAULT: u64 = 600;
/// Frames that may be looked at: 62 MB of thumbnails for the pair.
const FRAMES_MAX: u64 = 3_000;
/// How long frames are counted beyond those that are looked at; what is longer is not counted.
const COUNT_TIME_MAX: Duration = Duration::from_secs(15);
/// The offset that is searched, in either direction, unless told otherwise.
const OFFSET_DEFAULT: u32 = 10;
/// The largest offset that may be searched.
const OFFSET_MAX: u32 = 60;

/// `check_pair`
pub(crate) struct CheckPair;

/// What `check_pair` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckIn {
    /// The undegraded video.
    pub reference: String,
    /// The degraded video.
    pub distorted: String,
    /// The geometry of both files, where they are headerless YUV.
    #[serde(default)]
    pub raw: Option<RawArgs>,
    /// By how many frames the distorted video may be late or early, 1 to 60; 10 unless given. Where
    /// the best is the last of them, more are tried.
    #[serde(default)]
    pub offset_max: Option<u32>,
    /// Where to begin looking, from 0; choose a stretch with motion where the start stands still.
    #[serde(default)]
    pub first_frame: u64,
    /// How many frames to look at, up to 3000; 600 unless given.
    #[serde(default)]
    pub frame_count: Option<u64>,
    /// Decode both videos further, for 15 seconds at most, to count and compare their frames; true
    /// unless given. frame_count is absent of one that is longer.
    #[serde(default)]
    pub count_frames: Option<bool>,
}

/// What is to be thought of a pair.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct CheckOut {
    /// valid: score it. suspicious: look at the findings first. invalid: a score would mean nothing
    /// or is refused.
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub summary: String,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// Whether both show the same picture at the same time; absent where too little could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentOut>,
    /// The undegraded video.
    pub reference: MediaOut,
    /// The degraded video.
    pub distorted: MediaOut,
}

/// Whether a score would mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing speaks against it.
    Valid,
    /// Something may make it wrong.
    Suspicious,
    /// It would be refused, or be about pictures that do not belong together.
    Invalid,
}

/// Something that speaks for or against a score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// What to branch on, such as temporal_offset.
    pub code: &'static str,
    /// What it makes of the verdict.
    pub severity: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Whether both videos show the same picture at the same time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct AlignmentOut {
    /// By how many frames the distorted video is late; negative: early. Its frame i + offset shows
    /// what the reference shows at i.
    pub offset_frames: i64,
    /// The best offset is the last that could be tried: the true one may lie beyond it.
    pub at_edge: bool,
    /// How sure that is, 0 to 1; below 0.25 it says nothing (the picture stands still, or the two
    /// videos have little in common).
    pub confidence: f64,
    /// The largest offset that was tried, in either direction.
    pub offset_max: usize,
    /// Frames compared at each offset.
    pub frames_compared: usize,
    /// Where the offset changes: frames were dropped or repeated there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeOut>,
    /// Slope of the distorted luma over the reference's, 1 where both have the same range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub luma_slope: Option<f64>,
    /// Distorted luma where the reference's is 0, in 8-bit steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub luma_at_zero: Option<f64>,
}

/// From this frame of the reference on, the offset is another.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ChangeOut {
    /// The frame of the reference, from 0.
    pub from_frame: u64,
    /// The offset from there on.
    pub offset_frames: i64,
}

impl AlignmentOut {
    fn new(found: &Alignment, first_frame: u64) -> Self {
        let changes = found.stretches.iter().skip(1);
        Self {
            offset_frames: found.overall.frames,
            at_edge: found.is_at_edge(),
            confidence: found.overall.confidence,
            offset_max: found.offset_max,
            frames_compared: found.frames_compared,
            changes: changes
                .map(|stretch| ChangeOut {
                    from_frame: first_frame + stretch.first_frame_index as u64,
                    offset_frames: stretch.offset.frames,
                })
                .collect(),
            luma_slope: found.brightness.map(|(slope, _)| slope),
            luma_at_zero: found.brightness.map(|(_, at_zero)| at_zero),
        }
    }
}

/// How to look at a pair.
struct Look {
    reference: MediaRef,
    distorted: MediaRef,
    first_frame: u64,
    frame_count: u64,
    offset_max: usize,
    count_frames: bool,
}

/// What was read of a pair.
struct Seen {
    reference: MediaOut,
    distorted: MediaOut,
    alignment: Option<Alignment>,
}

impl Tool for CheckPair {
    const NAME: &'static str = "check_pair";
    const TITLE: &'static str = "Check a pair before scoring";
    const DESCRIPTION: &'static str = "Checks whether a score of this pair would be valid: compares size, chroma, bit depth, \
         range, frame rate, duration and frame count, and searches for a temporal offset in both \
         directions on the decoded pictures, such as \"distorted is 1 frame late\", including \
         frames dropped or repeated on the way. Misaligned pairs are by far the most common cause \
         of absurdly low scores. Reads in this server's process.";
    const EFFECT: Effect = Effect::Reads;
    type Input = CheckIn;
    type Output = CheckOut;

    async fn run(mut call: Call, input: CheckIn) -> Result<Answer<CheckOut>, ToolError> {
        let frame_count = input.frame_count.unwrap_or(FRAMES_DEFAULT).clamp(1, FRAMES_MAX);
        let offset_max = input.offset_max.unwrap_or(OFFSET_DEFAULT).clamp(1, OFFSET_MAX);
        let look = Look {
            reference: args::media(&input.reference, input.raw),
            distorted: args::media(&input.distorted, input.raw),
            first_frame: input.first_frame,
            frame_count,
            offset_max: offset_max as usize,
            count_frames: input.count_frames.unwrap_or(true),
        };
        let (first_frame, count_frames) = (look.first_frame, look.count_frames);
        let work = move |config: &MediaConfig, stop: &Stop, meter: &Meter| {
            look_at(&look, config, stop, meter)
        };
        let seen = call.decode("comparing", Meter::of(None), work).await?;
        let mut findings = findings::of(&seen, first_frame);
        let uncounted = [&seen.reference, &seen.distorted].map(|media| media.frame_count.is_none());
        if count_frames && uncounted.contains(&true) {
            findings.push(Finding {
                code: "frames_not_counted",
                severity: Verdict::Valid,
                message: format!(
                    "not decoded to the end, which takes more than {} s: frame counts were not \
                     compared",
                    COUNT_TIME_MAX.as_secs()
                ),
                fix: None,
            });
        }
        let verdict = findings.iter().map(|f| f.severity).max().unwrap_or(Verdict::Valid);
        Ok(CheckOut {
            verdict,
            summary: findings::summary(verdict, &findings, seen.alignment.as_ref()),
            alignment: seen.alignment.as_ref().map(|found| AlignmentOut::new(found, first_frame)),
            findings,
            reference: seen.reference,
            distorted: seen.distorted,
        }
        .into())
    }
}

/// Reads both videos. Blocks.
fn look_at(
    look: &Look,
    config: &MediaConfig,
    stop: &Stop,
    meter: &Meter,
) -> Result<Seen, ToolError> {
    let mut reference = media::open(&look.reference, config, stop)?;
    let mut distorted = media::open(&look.distorted, config, stop)?;
    let size = |video: &Video| (video.info().width, video.info().height);
    let grid = Grid::of(size(&reference), size(&distorted));
    // Each video on a thread of its own: both decoders work at the same time.
    let (seen_reference, seen_distorted) = std::thread::scope(|scope| {
        let other = scope.spawn(|| read(&mut distorted, look, grid, meter, COUNT_TIME_MAX));
        (read(&mut reference, look, grid, meter, COUNT_TIME_MAX), other.join())
    });
    let seen_distorted =
        seen_distorted.unwrap_or_else(|_| Err(ToolError::internal("a thread panicked")));
    let (thumbnails, frame_count) = seen_reference?;
    let (others, other_count) = seen_distorted?;
    let limit = OFFSET_MAX as usize;
    let alignment = align::search_wider(&thumbnails, &others, look.offset_max, limit);
    let of = |video: &Video, frame_count| MediaOut { frame_count, ..MediaOut::from(video.info()) };
    Ok(Seen {
        reference: of(&reference, frame_count),
        distorted: of(&distorted, other_count),
        alignment,
    })
}

/// The thumbnails of the frames that are looked at, and how many frames there are in all, where
/// that was asked for or the end was met.
fn read(
    video: &mut Video,
    look: &Look,
    grid: Grid,
    meter: &Meter,
    count_time: Duration,
) -> Result<(Vec<Thumbnail>, Option<u64>), ToolError> {
    let pool = probe::pool(video.info(), PlanesWanted::Luma, 1)?;
    let mut picture = pool.try_take().ok_or_else(|| ToolError::internal("no picture is free"))?;
    let depth = video.info().format.bit_depth;
    let mut thumbnails = Vec::new();
    let mut ended = video.skip_frames(look.first_frame)? < look.first_frame;
    while !ended && (thumbnails.len() as u64) < look.frame_count {
        ended = !video.read_frame(&mut picture)?;
        if !ended {
            thumbnails.push(Thumbnail::of(&picture.planes_mut()[0], depth, grid));
            meter.step();
        }
    }
    let count_until = Instant::now() + count_time;
    while look.count_frames && !ended && Instant::now() < count_until {
        ended = video.skip_frames(1)? == 0;
        meter.step();
    }
    Ok((thumbnails, ended.then(|| video.frame_index())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_no_longer_than_is_allowed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.y4m");
        let clip = testkit::ClipSpec::texture(1, 96, 64, 12).make().reference;
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        let media = MediaRef::new(path.display().to_string());
        let look = Look {
            reference: media.clone(),
            distorted: media.clone(),
            first_frame: 0,
            frame_count: 5,
            offset_max: 1,
            count_frames: true,
        };
        let config = MediaConfig::new(media::SourcePolicy::unrestricted_local());
        let read_within = |count_time| {
            let mut video = media::open(&media, &config, &Stop::never()).expect("a video");
            let size = (video.info().width, video.info().height);
            let grid = Grid::of(size, size);
            let read = read(&mut video, &look, grid, &Meter::of(None), count_time);
            let (thumbnails, frame_count) = read.expect("whole");
            (thumbnails.len(), frame_count)
        };
        assert_eq!(read_within(Duration::ZERO), (5, None));
        assert_eq!(read_within(COUNT_TIME_MAX), (5, Some(12)));
    }
}
