//! The JSON that callers send, checked while it is read: a field that is not known is refused.

use std::num::NonZeroU32;
use std::time::Duration;

use proto::score::Score;
use serde::Deserialize;
use service::http::FieldError;
use service::http::shapes::{MediaBody, ModelBody, further_models, model, spec_error};
use types::{JobSpec, PoolingMethod};

/// A pair to be scored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScoreBody {
    reference: MediaBody,
    distorted: MediaBody,
    #[serde(default)]
    model: Option<ModelBody>,
    #[serde(default)]
    further_models: Vec<ModelBody>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    subsample_interval: Option<NonZeroU32>,
    #[serde(default)]
    first_frame_index: u64,
    #[serde(default)]
    frame_count_max: Option<u64>,
    #[serde(default)]
    pooling: PoolingMethod,
    /// Per-frame values are wanted too.
    #[serde(default)]
    frames: bool,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    force_trace: bool,
}

impl ScoreBody {
    /// The request that is meant, with defaults where nothing was said.
    pub(super) fn into_score(self) -> Result<Score, FieldError> {
        let reference = self.reference.into_media("reference")?;
        let distorted = self.distorted.into_media("distorted")?;
        let spec = JobSpec {
            model: model(self.model)?,
            further_models: further_models(self.further_models)?,
            features: self.features,
            subsample_interval: self.subsample_interval.unwrap_or(NonZeroU32::MIN),
            first_frame_index: self.first_frame_index,
            frame_count_max: self.frame_count_max,
            force_trace: self.force_trace,
            ..JobSpec::pair(reference, distorted)
        };
        spec.check().map_err(|error| spec_error(&error))?;
        if self.timeout_ms == Some(0) {
            let (field, problem) = ("timeout_ms", "0 leaves no time; leave it out");
            return Err(FieldError { field: field.to_owned(), problem: problem.to_owned() });
        }
        Ok(Score {
            spec,
            pooling: self.pooling,
            wants_frames: self.frames,
            timeout: self.timeout_ms.map(Duration::from_millis),
        })
    }
}
