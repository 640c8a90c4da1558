//! Direct scoring's requests and answers, checked like everything that arrives.

use std::num::NonZeroU32;
use std::time::Duration;

use types::{
    FrameTable, JobSpec, MediaRef, ModelSpec, PoolingMethod, RawGeometry, ResultView, ScoreReport,
    TraceId,
};

use crate::controller;
use crate::convert::{convert, micros, names, optional, repeated, required};
use crate::error::WireError;
use crate::limits::STREAM_PICTURE_BYTES_MAX;
use crate::scoring as pb;

/// What stands for a stream's videos where a specification names some.
const STREAM: &str = "stream";

/// One pair to be scored while the caller waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// What is asked: a job of one pair. What a queue would need is as it is by default.
    pub spec: JobSpec,
    /// Which statistic the one score is.
    pub pooling: PoolingMethod,
    /// Per-frame values are wanted too.
    pub wants_frames: bool,
    /// How long the caller waits.
    pub timeout: Option<Duration>,
}

/// Frames to be scored as they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStart {
    /// What the pictures are.
    pub geometry: RawGeometry,
    /// What is asked; the names of its videos mean nothing.
    pub spec: JobSpec,
    /// Which statistic the one score is.
    pub pooling: PoolingMethod,
    /// How long the caller waits for the whole.
    pub timeout: Option<Duration>,
}

impl StreamStart {
    /// Bytes of one picture.
    #[must_use]
    pub const fn picture_bytes(&self) -> u64 {
        self.geometry.format.frame_bytes(self.geometry.width, self.geometry.height)
    }
}

impl From<PoolingMethod> for pb::Pooling {
    fn from(method: PoolingMethod) -> Self {
        match method {
            PoolingMethod::Mean => Self::Mean,
            PoolingMethod::HarmonicMean => Self::HarmonicMean,
            PoolingMethod::Min => Self::Min,
            PoolingMethod::Max => Self::Max,
            PoolingMethod::P1 => Self::P1,
            PoolingMethod::P5 => Self::P5,
            PoolingMethod::P10 => Self::P10,
            PoolingMethod::P25 => Self::P25,
            PoolingMethod::P50 => Self::P50,
        }
    }
}

fn pooling(number: i32) -> Result<PoolingMethod, WireError> {
    Ok(match pb::Pooling::try_from(number) {
        Ok(pb::Pooling::Unspecified | pb::Pooling::Mean) => PoolingMethod::Mean,
        Ok(pb::Pooling::HarmonicMean) => PoolingMethod::HarmonicMean,
        Ok(pb::Pooling::Min) => PoolingMethod::Min,
        Ok(pb::Pooling::Max) => PoolingMethod::Max,
        Ok(pb::Pooling::P1) => PoolingMethod::P1,
        Ok(pb::Pooling::P5) => PoolingMethod::P5,
        Ok(pb::Pooling::P10) => PoolingMethod::P10,
        Ok(pb::Pooling::P25) => PoolingMethod::P25,
        Ok(pb::Pooling::P50) => PoolingMethod::P50,
        Err(_) => {
            let problem = format!("{number} is not a pooling method");
            return Err(WireError::new("pooling", problem));
        }
    })
}

fn timeout(timeout_us: Option<u64>) -> Result<Option<Duration>, WireError> {
    match timeout_us {
        Some(0) => Err(WireError::new("timeout_us", "leaves no time; leave it out")),
        other => Ok(other.map(Duration::from_micros)),
    }
}

/// What both kinds of requests say of how to score.
struct How {
    model: Option<controller::ModelRef>,
    further_models: Vec<controller::ModelRef>,
    features: Vec<String>,
    subsample_interval: u32,
    force_trace: bool,
}

impl How {
    fn spec(self, reference: MediaRef, distorted: MediaRef) -> Result<JobSpec, WireError> {
        Ok(JobSpec {
            model: optional::<_, ModelSpec>(self.model, "model")?.unwrap_or_default(),
            further_models: repeated(
                self.further_models,
                "further_models",
                JobSpec::MODELS_MAX - 1,
            )?,
            features: names(self.features, "features", JobSpec::FEATURES_MAX)?,
            subsample_interval: NonZeroU32::new(self.subsample_interval).unwrap_or(NonZeroU32::MIN),
            force_trace: self.force_trace,
            ..JobSpec::pair(reference, distorted)
        })
    }
}

fn checked(spec: JobSpec) -> Result<JobSpec, WireError> {
    spec.check().map_err(|error| WireError::new("", error.to_string()))?;
    Ok(spec)
}

impl TryFrom<pb::ScoreRequest> for Score {
    type Error = WireError;

    fn try_from(request: pb::ScoreRequest) -> Result<Self, WireError> {
        let how = How {
            model: request.model,
            further_models: request.further_models,
            features: request.features,
            subsample_interval: request.subsample_interval,
            force_trace: request.force_trace,
        };
        let reference = required(request.reference, "reference")?;
        let spec = JobSpec {
            first_frame_index: request.first_frame_index,
            frame_count_max: request.frame_count_max,
            ..how.spec(reference, required(request.distorted, "distorted")?)?
        };
        Ok(Self {
            spec: checked(spec)?,
            pooling: pooling(request.pooling)?,
            wants_frames: request.frames,
            timeout: timeout(request.timeout_us)?,
        })
    }
}

impl From<Score> for pb::ScoreRequest {
    fn from(score: Score) -> Self {
        let Score { spec, pooling, wants_frames, timeout } = score;
        Self {
            reference: Some(spec.reference.into()),
            distorted: spec.distorted.into_iter().next().map(Into::into),
            model: Some(spec.model.into()),
            further_models: spec.further_models.into_iter().map(Into::into).collect(),
            features: spec.features,
            subsample_interval: spec.subsample_interval.get(),
            first_frame_index: spec.first_frame_index,
            frame_count_max: spec.frame_count_max,
            pooling: pb::Pooling::from(pooling).into(),
            frames: wants_frames,
            timeout_us: timeout.map(micros),
            force_trace: spec.force_trace,
        }
    }
}

impl TryFrom<pb::StreamConfig> for StreamStart {
    type Error = WireError;

    fn try_from(config: pb::StreamConfig) -> Result<Self, WireError> {
        let geometry: RawGeometry = required(config.geometry, "geometry")?;
        let how = How {
            model: config.model,
            further_models: config.further_models,
            features: config.features,
            subsample_interval: config.subsample_interval,
            force_trace: config.force_trace,
        };
        let spec = checked(how.spec(MediaRef::new(STREAM), MediaRef::new(STREAM))?)?;
        let (pooling, timeout) = (pooling(config.pooling)?, timeout(config.timeout_us)?);
        let start = Self { geometry, spec, pooling, timeout };
        if start.picture_bytes() > STREAM_PICTURE_BYTES_MAX {
            let problem = format!(
                "a picture would have {} bytes; at most {STREAM_PICTURE_BYTES_MAX} are taken",
                start.picture_bytes()
            );
            return Err(WireError::new("geometry", problem));
        }
        Ok(start)
    }
}

impl From<StreamStart> for pb::StreamConfig {
    fn from(start: StreamStart) -> Self {
        let StreamStart { geometry, spec, pooling, timeout } = start;
        Self {
            geometry: Some(geometry.into()),
            model: Some(spec.model.into()),
            further_models: spec.further_models.into_iter().map(Into::into).collect(),
            features: spec.features,
            subsample_interval: spec.subsample_interval.get(),
            pooling: pb::Pooling::from(pooling).into(),
            timeout_us: timeout.map(micros),
            force_trace: spec.force_trace,
        }
    }
}

/// A pair's scores, as they are answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Everything; without the frames where nobody asked for them.
    pub report: ScoreReport,
    /// How many frames were scored.
    pub frame_count: u64,
    /// Which statistic the one score is.
    pub pooling: PoolingMethod,
    /// How long a slot was waited for.
    pub waited: Duration,
    /// The trace that the work belongs to.
    pub trace_id: Option<TraceId>,
}

impl Scored {
    /// The one score: the model's, pooled as asked. NaN where there is no model.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.report.headline().map_or(f64::NAN, |model| model.pooled.by(self.pooling))
    }

    /// What is shown of the report but its frames.
    #[must_use]
    pub fn result(&self) -> ResultView {
        let report = &self.report;
        ResultView {
            width: report.width,
            height: report.height,
            frame_count: self.frame_count,
            models: report.models.clone(),
            pooled: report.pooled.clone(),
            aggregates: report.aggregates.clone(),
            warnings: report.warnings.clone(),
            provenance: report.provenance.clone(),
            digest: report.digest.clone(),
            encoded: None,
        }
    }
}

impl From<Scored> for pb::ScoreResponse {
    fn from(scored: Scored) -> Self {
        let has_frames = scored.report.frames.frame_count() > 0;
        Self {
            score: scored.score(),
            pooling: pb::Pooling::from(scored.pooling).into(),
            result: Some(scored.result().into()),
            frames: has_frames.then(|| scored.report.frames.into()),
            timings: Some(scored.report.timings.into()),
            waited_us: micros(scored.waited),
            trace_id: scored.trace_id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::ScoreResponse> for Scored {
    type Error = WireError;

    fn try_from(response: pb::ScoreResponse) -> Result<Self, WireError> {
        let result: ResultView = required(response.result, "result")?;
        let frames: Option<FrameTable> =
            response.frames.map(|frames| convert(frames, "frames")).transpose()?;
        let trace_id = Some(response.trace_id).filter(|id| !id.is_empty());
        let trace_id = trace_id.map(|id| {
            TraceId::parse(&id).ok_or_else(|| WireError::new("trace_id", "is not a trace id"))
        });
        Ok(Self {
            frame_count: result.frame_count,
            pooling: pooling(response.pooling)?,
            waited: Duration::from_micros(response.waited_us),
            trace_id: trace_id.transpose()?,
            report: ScoreReport {
                width: result.width,
                height: result.height,
                models: result.models,
                pooled: result.pooled,
                aggregates: result.aggregates,
                frames: frames.unwrap_or_default(),
                warnings: result.warnings,
                provenance: result.provenance,
                timings: required(response.timings, "timings")?,
                digest: result.digest,
                encoded: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        JobSpec {
            features: vec!["motion".to_owned()],
            subsample_interval: NonZeroU32::new(3).expect("not zero"),
            force_trace: true,
            ..JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"))
        }
    }

    #[test]
    fn a_request_survives_the_wire_with_every_pooling_method() {
        for pooling in PoolingMethod::ALL {
            let spec = JobSpec { first_frame_index: 4, frame_count_max: Some(9), ..spec() };
            let timeout = Some(Duration::from_millis(7));
            let score = Score { spec, pooling: *pooling, wants_frames: true, timeout };
            let sent = pb::ScoreRequest::from(score.clone());
            assert_eq!(Score::try_from(sent), Ok(score));
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let check = |change: fn(&mut pb::ScoreRequest), field: &str| {
            let good = Score {
                spec: spec(),
                pooling: PoolingMethod::Mean,
                wants_frames: false,
                timeout: None,
            };
            let mut request = pb::ScoreRequest::from(good);
            change(&mut request);
            let error = Score::try_from(request).expect_err(field);
            assert_eq!(error.field(), field, "{error}");
        };
        check(|r| r.reference = None, "reference");
        check(|r| r.distorted = None, "distorted");
        check(|r| r.pooling = 99, "pooling");
        check(|r| r.timeout_us = Some(0), "timeout_us");
        check(|r| r.features = vec![String::new()], "features[0]");
        check(|r| r.frame_count_max = Some(0), "");
    }

    #[test]
    fn pictures_that_are_too_large_are_refused_before_any_is_sent() {
        let start = |side, chroma, bit_depth| {
            let format = types::PixelFormat { chroma, bit_depth };
            let geometry = RawGeometry { width: side, height: side, format };
            let spec = JobSpec { ..JobSpec::pair(MediaRef::new(STREAM), MediaRef::new(STREAM)) };
            let start = StreamStart { geometry, spec, pooling: PoolingMethod::P5, timeout: None };
            (StreamStart::try_from(pb::StreamConfig::from(start.clone())), start)
        };
        let (read, sent) = start(4_096, types::ChromaSubsampling::C444, 16);
        assert_eq!(read, Ok(sent));
        let (read, _) = start(16_384, types::ChromaSubsampling::C444, 16);
        assert_eq!(read.expect_err("1.6 GB").field(), "geometry");
    }
}
