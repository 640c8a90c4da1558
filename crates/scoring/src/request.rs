//! What is to be scored.

use std::io::Read;
use std::num::NonZeroU32;

use engine::{
    FeatureError, FeatureOptions, FeatureRequest, MODEL_BYTES_MAX, Model, OutputSet, Plan,
    PlanOptions,
};
use media::{Conform, MediaError, PairRange, SourcePolicy};
use types::{JobSpec, MediaRef, ModelRef};

use crate::error::ScoreError;

/// One model, and how its file is to be bent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelRequest {
    /// Built in, or a file under the same source rules as the videos.
    pub model: ModelRef,
    /// The name of its scores; `None` is `vmaf`. Models of one run need distinct names.
    pub name: Option<String>,
    /// Lets scores leave the range that the model clips them to.
    pub disable_clip: bool,
    /// Applies the score transform that the file holds but does not enable.
    pub enable_transform: bool,
    /// Options by extractor (`vif`, `adm`, `motion`) that replace the file's.
    pub feature_options: Vec<(String, FeatureOptions)>,
}

impl From<ModelRef> for ModelRequest {
    fn from(model: ModelRef) -> Self {
        Self { model, ..Self::default() }
    }
}

impl ModelRequest {
    fn load(&self, policy: &SourcePolicy) -> Result<Model, ScoreError> {
        let mut model = match &self.model {
            ModelRef::Version(version) => Model::builtin(version)?,
            ModelRef::Path(path) => Model::parse(path, &read_model(path, policy)?)?,
        };
        if let Some(name) = &self.name {
            model = model.named(name.as_str());
        }
        if self.disable_clip {
            model = model.without_clip();
        }
        if self.enable_transform {
            model = model.with_transform();
        }
        for (extractor, options) in &self.feature_options {
            model = model.with_feature_options(extractor, options);
        }
        Ok(model)
    }
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

/// One pair of videos and everything that decides its scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    /// The undegraded video.
    pub reference: MediaRef,
    /// The degraded video.
    pub distorted: MediaRef,
    /// The models, the first of which is the headline; may be empty when features are asked for.
    pub models: Vec<ModelRequest>,
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
}

impl ScoreRequest {
    /// Every frame of a pair with the default model.
    #[must_use]
    pub fn pair(reference: MediaRef, distorted: MediaRef) -> Self {
        Self {
            reference,
            distorted,
            models: vec![ModelRequest::default()],
            features: Vec::new(),
            outputs: OutputSet::Needed,
            subsample_interval: NonZeroU32::MIN,
            range: PairRange::default(),
            conform: [None, None],
        }
    }

    /// The pair of the job's distorted video number `distorted_index`; `None` when there is no such.
    #[must_use]
    pub fn from_job(job: &JobSpec, distorted_index: usize) -> Option<Self> {
        let distorted = job.distorted.get(distorted_index)?.clone();
        Some(Self {
            models: vec![job.model.clone().into()],
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
            self.models.iter().map(|model| model.load(policy)).collect::<Result<_, _>>()?;
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
        Ok(Plan::new(models, &options)?)
    }
}
