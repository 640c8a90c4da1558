//! `recommend_model`: which of the built-in models fits, why, and what none of them can. The choice is
//! that of `vmafx score --view`.

use engine::{Model, builtin_models};
use media::{MediaConfig, Stop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::MediaRef;

use super::{Answer, Effect, Tool, probe};
use crate::analysis::recommend::{Situation, View, recommend};
use crate::error::ToolError;
use crate::platform::Call;
use crate::progress::Meter;

/// `recommend_model`
pub(crate) struct RecommendModel;

/// What `recommend_model` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecommendIn {
    /// How the video is watched; without it, the height decides.
    #[serde(default)]
    pub view: Option<View>,
    /// A video to take height, frame rate, bit depth and transfer function from.
    #[serde(default)]
    pub path: Option<String>,
    /// Lines of the video, where no path is given.
    #[serde(default)]
    pub height: Option<u32>,
    /// Frames a second, where no path is given.
    #[serde(default)]
    pub frame_rate: Option<f64>,
    /// Bits a sample, where no path is given.
    #[serde(default)]
    pub bit_depth: Option<u8>,
    /// The question is which encoder or setting is better, rather than how good it looks.
    #[serde(default)]
    pub compares_encoders: bool,
}

/// What to use, and what to know about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendOut {
    /// Give this as model to score or submit_job.
    pub model: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Why this one.
    pub why: Vec<String>,
    /// What to know about scores in this situation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What would fit better and is not built in.
    pub not_available: Vec<String>,
    /// Every model that is built in.
    pub built_in: Vec<BuiltInOut>,
}

/// A model that is built in.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BuiltInOut {
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
}

impl Tool for RecommendModel {
    const NAME: &'static str = "recommend_model";
    const TITLE: &'static str = "Recommend a model";
    const DESCRIPTION: &'static str = "Says which VMAF model fits how a video is watched (television, 4K television, phone, \
         desktop), its size, frame rate and dynamic range, and why; and honestly what none of the \
         built-in models can judge. Ask before scoring anything but HD television.";
    const EFFECT: Effect = Effect::Reads;
    type Input = RecommendIn;
    type Output = RecommendOut;

    async fn run(mut call: Call, input: RecommendIn) -> Result<Answer<RecommendOut>, ToolError> {
        let mut situation = Situation {
            view: input.view,
            width: None,
            height: input.height,
            frames_per_second: input.frame_rate,
            bit_depth: input.bit_depth,
            transfer: None,
            compares_encoders: input.compares_encoders,
        };
        if let Some(path) = input.path {
            let work = move |config: &MediaConfig, stop: &Stop, meter: &Meter| {
                probe::probe(&MediaRef::new(path), false, config, stop, meter)
            };
            let media = call.decode("probing", Meter::of(None), work).await?;
            situation.width = Some(media.width);
            situation.height = Some(media.height);
            situation.frames_per_second = media.frame_rate.or(situation.frames_per_second);
            situation.bit_depth = Some(media.bit_depth);
            situation.transfer = media.transfer;
        }
        let found = recommend(&situation);
        let sha256 = Model::builtin(found.model).map(|model| model.sha256().to_owned());
        Ok(RecommendOut {
            model: found.model.to_owned(),
            sha256: sha256.map_err(|error| ToolError::internal(error.to_string()))?,
            why: found.why,
            warnings: found.warnings,
            not_available: found.not_available,
            built_in: builtin_models()
                .iter()
                .map(|model| BuiltInOut {
                    version: model.version.to_owned(),
                    description: model.description.to_owned(),
                })
                .collect(),
        }
        .into())
    }
}
