//! One trial of an encoder: a range of the reference encoded into a file, the file scored against
//! that range.

use std::path::Path;
use std::time::Instant;

use media::{Conform, EncodeJob, EncodeProgress, EncoderError, PairRange, Stop, VideoInfo};
use thiserror::Error;
use types::{
    EncodeRequest, Failure, FailureKind, JobSpec, MediaRef, PixelFormat, ScoreReport, Stage,
};

use crate::error::ScoreError;
use crate::progress::Progress;
use crate::request::ScoreRequest;
use crate::run::{RunConfig, on_own_thread, run};

/// What to try.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The reference, the range, the model and the features: as a job says them. Its distorted
    /// videos are not looked at.
    pub spec: &'a JobSpec,
    /// How to encode.
    pub request: &'a EncodeRequest,
    /// Where the encoded file is put; it stays there when the trial succeeds.
    pub output: &'a Path,
    /// The most bytes that file may have.
    pub bytes_max: Option<u64>,
}

/// How far a trial is. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct TrialProgress {
    /// Frames encoded.
    pub encode: EncodeProgress,
    /// Frames scored.
    pub score: Progress,
}

/// Why a trial has no result.
#[derive(Debug, Error)]
pub enum TrialError {
    /// There is no encoded file.
    #[error(transparent)]
    Encode(#[from] EncoderError),
    /// There is one, and it could not be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl TrialError {
    /// What callers branch on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Encode(error) => error.kind(),
            Self::Score(error) => error.kind(),
        }
    }

    /// The failure as it is stored, sent and shown.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        match self {
            Self::Encode(error) => error.to_failure(),
            Self::Score(error) => error.to_failure(),
        }
    }
}

/// Encodes and scores. Blocks until done, and ends as [`run`] does. The report says what was encoded,
/// and its times begin with the encode's.
///
/// # Errors
/// [`TrialError`] names everything that can go wrong.
pub fn try_out(
    trial: &Trial<'_>,
    config: &RunConfig,
    stop: &Stop,
    progress: &TrialProgress,
) -> Result<ScoreReport, TrialError> {
    let began = Instant::now();
    let job = EncodeJob {
        reference: &trial.spec.reference,
        first_frame_index: trial.spec.first_frame_index,
        frame_count_max: trial.spec.frame_count_max,
        request: trial.request,
        output: trial.output,
        bytes_max: trial.bytes_max,
    };
    // What is wrong with the model or the features is told before anything is encoded.
    let distorted = MediaRef::new(trial.output.display().to_string());
    score_request(trial.spec, distorted).plan(&config.media.policy)?;
    let file = on_own_thread("encode", config.niced, || {
        media::encode(&job, &config.media, stop, &progress.encode)
    })??;
    let encode_time = began.elapsed();
    let mut report = score_encoded(trial, &file.reference, config, stop, &progress.score)?;
    report.timings.add(Stage::Encode, encode_time);
    report.timings.wall += encode_time;
    report.encoded = Some(file.encoded);
    report.warnings.extend(file.warnings);
    Ok(report)
}

/// Scores the file of a trial that is encoded already against the reference's range, whose shape is
/// known.
///
/// # Errors
/// As [`run`].
pub fn score_encoded(
    trial: &Trial<'_>,
    reference: &VideoInfo,
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<ScoreReport, ScoreError> {
    let distorted = MediaRef::new(trial.output.display().to_string());
    let mut request = score_request(trial.spec, distorted);
    request.conform = conform(reference, trial.request);
    let mut score = config.clone();
    // The file is our own, wherever the rules for others' files point.
    score.media.policy = config.media.policy.clone().and_file(trial.output);
    run(&request, &score, stop, progress)
}

/// What is compared with what: frame by frame from the range's first.
fn score_request(spec: &JobSpec, distorted: MediaRef) -> ScoreRequest {
    let job = JobSpec { distorted: vec![distorted.clone()], ..spec.clone() };
    let request = ScoreRequest::from_job(&job, 0)
        .unwrap_or_else(|| ScoreRequest::pair(spec.reference.clone(), distorted));
    let range = PairRange { skip_distorted: 0, ..request.range };
    ScoreRequest { range, ..request }
}

/// What both are converted to before they are compared: the reference's size, and the larger of the
/// two depths. Nothing where they agree.
fn conform(reference: &VideoInfo, request: &EncodeRequest) -> [Option<Conform>; 2] {
    let size = (reference.width, reference.height);
    let encoded = request.pixel_format.as_deref().and_then(format_named);
    let encoded = encoded.unwrap_or(reference.format);
    let bit_depth = encoded.bit_depth.max(reference.format.bit_depth);
    let format = PixelFormat { bit_depth, ..reference.format };
    let target = Conform { size, format };
    let scaled = request.size.is_some_and(|encoded| encoded != size);
    [
        (reference.format != format).then_some(target),
        (scaled || encoded != format).then_some(target),
    ]
}

/// The format of one of [`EncodeRequest::PIXEL_FORMATS`].
fn format_named(name: &str) -> Option<PixelFormat> {
    let digits = name.strip_prefix("yuv")?.get(..3)?;
    let bit_depth = if name.ends_with("10le") { 10 } else { 8 };
    Some(PixelFormat { chroma: digits.parse().ok()?, bit_depth })
}

#[cfg(test)]
mod tests {
    use types::{ChromaSubsampling, Encoder, Quality};

    use super::*;

    #[test]
    fn what_differs_is_brought_to_the_larger_depth_and_the_references_size() {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
        let reference = VideoInfo {
            declared: media::Declared::default(),
            name: String::new(),
            width: 640,
            height: 360,
            format,
            frame_count_estimate: None,
            frame_rate: None,
            decoder: String::new(),
        };
        let plain = EncodeRequest::new(Encoder::X264, Quality(2_300));
        assert_eq!(conform(&reference, &plain), [None, None]);
        let ten = PixelFormat { bit_depth: 10, ..format };
        let deep = EncodeRequest { pixel_format: Some("yuv420p10le".into()), ..plain.clone() };
        let target = Some(Conform { size: (640, 360), format: ten });
        assert_eq!(conform(&reference, &deep), [target, None]);
        let small = EncodeRequest { size: Some((320, 180)), ..plain };
        let target = Some(Conform { size: (640, 360), format });
        assert_eq!(conform(&reference, &small), [None, target]);
        for name in EncodeRequest::PIXEL_FORMATS {
            let format = format_named(name).expect(name);
            assert_eq!(media::pixel_format_name(format), name);
        }
    }
}
