//! The JSON shapes that several services take and show.
//!
//! Times are RFC 3339 in UTC with microseconds, durations whole microseconds in fields that end in
//! `_us`. What is taken is checked while it is read: a field that is not known is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use types::{
    ChromaSubsampling, Encoded, FeatureOverride, MediaRef, ModelRef, ModelScore, ModelSpec,
    ModelSpecError, PixelFormat, PooledScore, Provenance, RawGeometry, ResultView, RunTimings,
    SpecError, StageTimings, Timestamp, Warning,
};

use super::problem::FieldError;

/// Bit depths that a headerless video may have.
const BIT_DEPTHS: std::ops::RangeInclusive<u8> = 8..=16;
/// The longest side of a headerless video.
const SIDE_MAX: u32 = 65_536;

/// A video: its path or URL, and for a headerless file what its pictures are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "a path or URL, or an object with `uri` and perhaps `raw`")]
pub enum MediaBody {
    /// A path or URL.
    Uri(String),
    /// The same with more said of it.
    Media(MediaObject),
}

/// A video with everything that can be said of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaObject {
    uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<RawBody>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBody {
    width: u32,
    height: u32,
    chroma: ChromaSubsampling,
    bit_depth: u8,
}

/// A model: as `--model` takes it, or spelled out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a model's version, `version=…` or `path=…` with options, or an object with `version` or `path`"
)]
pub enum ModelBody {
    /// A version, or what `--model` takes.
    Text(String),
    /// The same, spelled out.
    Model(ModelObject),
}

/// A model with everything that can be said of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelObject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disable_clip: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    enable_transform: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<FeatureOverride>,
}

impl ModelBody {
    /// The model that is meant; `field` is where it stands.
    ///
    /// # Errors
    /// That it names no model, or more than one, or breaks a bound.
    pub fn into_spec(self, field: &str) -> Result<ModelSpec, FieldError> {
        let error = |problem: String| FieldError { field: field.to_owned(), problem };
        let object = match self {
            Self::Text(text) => {
                return text.parse().map_err(|e: ModelSpecError| error(e.to_string()));
            }
            Self::Model(object) => object,
        };
        let source = match (object.version, object.path) {
            (Some(version), None) => ModelRef::Version(version),
            (None, Some(path)) => ModelRef::Path(path),
            _ => return Err(error("names not one of `version` and `path`".to_owned())),
        };
        Ok(ModelSpec {
            source,
            name: object.name,
            disable_clip: object.disable_clip,
            enable_transform: object.enable_transform,
            overrides: object.overrides,
        })
    }
}

/// The headline's model; the default where none is given.
///
/// # Errors
/// As [`ModelBody::into_spec`].
pub fn model(body: Option<ModelBody>) -> Result<ModelSpec, FieldError> {
    body.map_or_else(|| Ok(ModelSpec::default()), |body| body.into_spec("model"))
}

/// The models beside the headline's.
///
/// # Errors
/// As [`ModelBody::into_spec`], of the first that breaks a bound.
pub fn further_models(bodies: Vec<ModelBody>) -> Result<Vec<ModelSpec>, FieldError> {
    let bodies = bodies.into_iter().enumerate();
    bodies.map(|(index, body)| body.into_spec(&format!("further_models[{index}]"))).collect()
}

impl From<ModelSpec> for ModelBody {
    /// As it is shown: spelled out.
    fn from(model: ModelSpec) -> Self {
        let (version, path) = match model.source {
            ModelRef::Version(version) => (Some(version), None),
            ModelRef::Path(path) => (None, Some(path)),
        };
        Self::Model(ModelObject {
            version,
            path,
            name: model.name,
            disable_clip: model.disable_clip,
            enable_transform: model.enable_transform,
            overrides: model.overrides,
        })
    }
}

impl MediaBody {
    /// The video that is meant; `field` is where it stands.
    ///
    /// # Errors
    /// The field that breaks a bound.
    pub fn into_media(self, field: &str) -> Result<MediaRef, FieldError> {
        let object = match self {
            Self::Uri(uri) => return Ok(MediaRef::new(uri)),
            Self::Media(object) => object,
        };
        let Some(raw) = object.raw else { return Ok(MediaRef::new(object.uri)) };
        let error = |name: &str, problem: String| FieldError {
            field: format!("{field}.raw.{name}"),
            problem,
        };
        if !BIT_DEPTHS.contains(&raw.bit_depth) {
            return Err(error("bit_depth", format!("{} is not 8 to 16", raw.bit_depth)));
        }
        for (name, side) in [("width", raw.width), ("height", raw.height)] {
            if !(1..=SIDE_MAX).contains(&side) {
                return Err(error(name, format!("{side} is not 1 to {SIDE_MAX}")));
            }
        }
        let format = PixelFormat { chroma: raw.chroma, bit_depth: raw.bit_depth };
        let raw = Some(RawGeometry { width: raw.width, height: raw.height, format });
        Ok(MediaRef { uri: object.uri, raw })
    }
}

impl From<MediaRef> for MediaBody {
    fn from(media: MediaRef) -> Self {
        let raw = media.raw.map(|raw| RawBody {
            width: raw.width,
            height: raw.height,
            chroma: raw.format.chroma,
            bit_depth: raw.format.bit_depth,
        });
        Self::Media(MediaObject { uri: media.uri, raw })
    }
}

/// Names the field that breaks a bound of a job.
#[must_use]
pub fn spec_error(error: &SpecError) -> FieldError {
    let field = match error {
        SpecError::Empty(what) | SpecError::Nul(what) | SpecError::UriBytes { what, .. } => what,
        SpecError::DistortedCount(_) => "distorted",
        SpecError::LabelCount(_) | SpecError::Label(_) => "labels",
        SpecError::FeatureCount(_) => "features",
        SpecError::Priority(_) => "priority",
        SpecError::Attempts(_) => "attempts_max",
        SpecError::NoFrames => "frame_count_max",
        SpecError::EncodeAndDistorted | SpecError::Encode(_) => "encode",
        SpecError::ModelCount(_) => "further_models",
        SpecError::Model(_) => "model",
    };
    FieldError { field: field.to_owned(), problem: error.to_string() }
}

/// A point in time as text.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A duration as whole microseconds, held at the largest value.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Debug, Serialize)]
struct StageOut {
    stage: &'static str,
    wall_us: u64,
}

#[derive(Debug, Serialize)]
struct FeatureOut {
    feature: String,
    cpu_us: u64,
}

#[derive(Debug, Serialize)]
struct RunOut {
    distorted_index: u32,
    began_after_us: u64,
    failed: bool,
    stages: Vec<StageOut>,
    features: Vec<FeatureOut>,
}

/// Where the time went.
#[derive(Debug, Serialize)]
pub struct TimingsOut {
    wall_us: u64,
    stages: Vec<StageOut>,
    features: Vec<FeatureOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived_at: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunOut>,
}

fn stages(stages: Vec<(types::Stage, Duration)>) -> Vec<StageOut> {
    let stage = |(stage, wall): (types::Stage, Duration)| StageOut {
        stage: stage.as_str(),
        wall_us: micros(wall),
    };
    stages.into_iter().map(stage).collect()
}

fn features(features: Vec<(String, Duration)>) -> Vec<FeatureOut> {
    let feature = |(feature, cpu)| FeatureOut { feature, cpu_us: micros(cpu) };
    features.into_iter().map(feature).collect()
}

impl From<RunTimings> for RunOut {
    fn from(run: RunTimings) -> Self {
        Self {
            distorted_index: run.distorted_index,
            began_after_us: micros(run.began_after),
            failed: run.failed,
            stages: stages(run.stages),
            features: features(run.features),
        }
    }
}

impl From<StageTimings> for TimingsOut {
    fn from(timings: StageTimings) -> Self {
        Self {
            wall_us: micros(timings.wall),
            stages: stages(timings.stages),
            features: features(timings.features),
            arrived_at: timings.arrived_at.map(Time),
            runs: timings.runs.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PooledOut {
    name: String,
    pooled: PooledScore,
}

/// A value of the whole clip; `null` where it is not finite.
#[derive(Debug, Serialize)]
struct AggregateOut {
    name: String,
    value: f64,
}

/// The pooled outcome of scoring one pair.
#[derive(Debug, Serialize)]
pub struct ResultOut {
    width: u32,
    height: u32,
    frame_count: u64,
    models: Vec<ModelScore>,
    pooled: Vec<PooledOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aggregates: Vec<AggregateOut>,
    warnings: Vec<Warning>,
    provenance: Provenance,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded: Option<EncodedOut>,
}

#[derive(Debug, Serialize)]
struct EncodedOut {
    bytes: u64,
    kilobits_per_second: f64,
    frame_count: u64,
    frame_rate: [u32; 2],
    encode_time_us: u64,
    encoder_version: String,
}

impl From<Encoded> for EncodedOut {
    fn from(encoded: Encoded) -> Self {
        Self {
            bytes: encoded.bytes,
            kilobits_per_second: encoded.kilobits_per_second(),
            frame_count: encoded.frame_count,
            frame_rate: encoded.frame_rate.into(),
            encode_time_us: micros(encoded.encode_time),
            encoder_version: encoded.encoder_version,
        }
    }
}

impl From<ResultView> for ResultOut {
    fn from(result: ResultView) -> Self {
        let pooled = |(name, pooled)| PooledOut { name, pooled };
        let aggregate = |(name, value)| AggregateOut { name, value };
        Self {
            width: result.width,
            height: result.height,
            frame_count: result.frame_count,
            models: result.models,
            pooled: result.pooled.into_iter().map(pooled).collect(),
            aggregates: result.aggregates.into_iter().map(aggregate).collect(),
            warnings: result.warnings,
            provenance: result.provenance,
            digest: result.digest,
            encoded: result.encoded.map(Into::into),
        }
    }
}
