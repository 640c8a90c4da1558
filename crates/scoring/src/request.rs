//! What is to be scored.

use std::io::Read;
use std::num::NonZeroU32;

use engine::{FeatureError, FeatureRequest, MODEL_BYTES_MAX, Model, OutputSet, Plan, PlanOptions};
use media::{Conform, Depths, MediaError, PairRange, SourcePolicy};
use types::{JobSpec, MediaRef, ModelRef, ModelSpec};

use crate::error::ScoreError;

/// Reads the model and bends it as asked.
fn load(spec: &ModelSpec, policy: &SourcePolicy) -> Result<Model, ScoreError> {
    let model = match &spec.source {
        ModelRef::Version(version) => Model::builtin(version)?,
        ModelRef::Path(path) => Model::parse(path, &read_model(path, policy)?)?,
    };
    Ok(model.bent(spec)?)
}

/// Reads a model file, one byte further than is allowed at most: enough for the parser to refuse it.
fn read_model(path: &str, policy: &SourcePolicy) -> Result<Vec<u8>, ScoreError> {
    let file = policy.open_file(path).map_err(ScoreError::ModelFile)?;
    let mut json = Vec::new();
    file.take(MODEL_BYTES_MAX as u64 + 1).read_to_end(&mut json).map_err(|source| {
        ScoreError::ModelFile(MediaError::Io { name: path.to_owned(), source })
    })?;
    Ok(json)
}

/// What becomes of heat maps (`cambi=heatmaps_path=…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HeatMapRule {
    /// Who asks for them is refused: a request from elsewhere must not write files here.
    #[default]
    Refused,
    /// They are written to the folder that was named: by whoever may write there anyway.
    Written,
}

/// One pair of videos and everything that decides its scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// The undegraded video.
    pub reference: MediaRef,
    /// The degraded video.
    pub distorted: MediaRef,
    /// The models, the first of which is the headline; may be empty when features are asked for.
    pub models: Vec<ModelSpec>,
    /// Extractors beside those of the models, such as `vif=vif_enhn_gain_limit=1.0`.
    pub features: Vec<String>,
    /// Which columns the report has.
    pub outputs: OutputSet,
    /// Every how many frames one is scored; 1 is every frame.
    pub subsample_interval: NonZeroU32,
    /// Which frames are compared.
    pub range: PairRange,
    /// What reference and distorted are converted to before they are compared; nothing unless the
    /// caller made the difference itself, by encoding at another size or depth.
    pub conform: [Option<Conform>; 2],
    /// What is done where bit depths differ.
    pub depths: Depths,
    /// What becomes of heat maps.
    pub heat_maps: HeatMapRule,
}

impl ScoreRequest {
    /// Every frame of a pair with the default model.
    #[must_use]
    pub fn pair(reference: MediaRef, distorted: MediaRef) -> Self {
        Self {
            reference,
            distorted,
            models: vec![ModelSpec::default()],
            features: Vec::new(),
            outputs: OutputSet::Needed,
            subsample_interval: NonZeroU32::MIN,
            range: PairRange::default(),
            conform: [None, None],
            depths: Depths::Equal,
            heat_maps: HeatMapRule::Refused,
        }
    }

    /// The pair of the job's distorted video number `distorted_index`; `None` when there is no such.
    #[must_use]
    pub fn from_job(job: &JobSpec, distorted_index: usize) -> Option<Self> {
        let distorted = job.distorted.get(distorted_index)?.clone();
        Some(Self {
            models: job.models().cloned().collect(),
            features: job.features.clone(),
            subsample_interval: job.subsample_interval,
            range: PairRange {
                skip_reference: job.first_frame_index,
                skip_distorted: job.first_frame_index,
                frame_count_max: job.frame_count_max,
            },
            ..Self::pair(job.reference.clone(), distorted)
        })
    }

    /// Loads the models and plans the features, without looking at the videos.
    ///
    /// # Errors
    /// When a model or feature is unknown or malformed, or they do not go together.
    pub fn plan(&self, policy: &SourcePolicy) -> Result<Plan, ScoreError> {
        let models: Vec<Model> =
            self.models.iter().map(|model| load(model, policy)).collect::<Result<_, _>>()?;
        let requests = self
            .features
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<FeatureRequest>, FeatureError>>()?;
        let options = PlanOptions {
            requests,
            outputs: self.outputs,
            subsample_interval: self.subsample_interval,
        };
        let plan = Plan::new(models, &options)?;
        match (self.heat_maps, plan.heat_maps_folder()) {
            (HeatMapRule::Refused, Some(folder)) => {
                Err(ScoreError::HeatMapsRefused { folder: folder.chars().take(64).collect() })
            }
            _ => Ok(plan),
        }
    }
}
