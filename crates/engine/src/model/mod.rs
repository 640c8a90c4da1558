//! Models: what turns the features of a frame into its score.
//!
//! A model is one of libvmaf's JSON files. Everything such a file may say is either honoured or
//! refused by name; nothing that would change a score is skipped in silence. Numbers are read from
//! their decimal text to the nearest `f64`, and a prediction performs libvmaf's operations in
//! libvmaf's order, so equal features give equal bits.
//!
//! A file may hold one model, or a collection of bootstrapped ones. The first of a collection is
//! its score; the others say how sure that score is, in columns of their own
//! ([`Model::bootstrap_names`]).

mod bootstrap;
mod builtin;
mod ensemble;
mod json;
mod mapping;
mod number;
mod rescale;
mod svm;

use std::collections::BTreeSet;

pub use builtin::{BuiltinModel, builtin_models};
pub(crate) use number::{c_double_prefix, format_g};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use types::{BootstrapScore, ModelSpec};

use crate::features::{FeatureOptions, extractor_of_feature};
use crate::hex::lower_hex;
use ensemble::Ensemble;

/// The version of libvmaf whose arithmetic, defaults and log keys are matched.
pub const LIBVMAF_VERSION: &str = "3.2.0";
/// The commit of libvmaf that was compared against.
pub const LIBVMAF_COMMIT: &str = "f85a8536";

/// A model file larger than this is refused before it is parsed. The largest published one has
/// less than half a megabyte.
pub const MODEL_BYTES_MAX: usize = 16 << 20;

/// The name of a model's scores where the caller chose none.
pub const MODEL_NAME_DEFAULT: &str = "vmaf";

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelError {
    /// No built-in model of that version.
    #[error("no built-in model {version:?}; there are {}", builtin::versions())]
    #[allow(missing_docs, reason = "as asked for")]
    UnknownVersion { version: String },
    /// The file exceeds [`MODEL_BYTES_MAX`].
    #[error(
        "model {source_name}: {bytes} bytes are more than the {MODEL_BYTES_MAX} a model may have"
    )]
    #[allow(missing_docs, reason = "the file and its size")]
    TooLarge { source_name: String, bytes: usize },
    /// The file is not a model: not JSON, or a field is missing or of another type.
    #[error("model {source_name}: {what}")]
    #[allow(missing_docs, reason = "the file and what is wrong with it")]
    Malformed { source_name: String, what: String },
    /// The file is a model, but asks for something that is not built here.
    #[error("model {source_name}: {what} is not supported")]
    #[allow(missing_docs, reason = "the file and the thing by its name")]
    Unsupported { source_name: String, what: String },
    /// An option is set of an extractor that the model takes no feature from.
    #[error("model {source_name} reads nothing of the extractor {extractor:?}; it reads {read}")]
    #[allow(missing_docs, reason = "the model, the extractor as given, those it reads")]
    NotRead { source_name: String, extractor: String, read: String },
}

/// A feature that a model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFeature {
    /// libvmaf's internal name, such as `VMAF_integer_feature_adm2_score`.
    pub name: String,
    /// Options of its extractor that the model sets.
    pub options: FeatureOptions,
}

/// One regressor, or a collection of bootstrapped ones, with everything that libvmaf's model file
/// says about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    name: String,
    version: String,
    sha256: String,
    features: Vec<ModelFeature>,
    /// One member, or those of a collection: the first is the score, the others are two or more.
    ensemble: Ensemble,
}

impl Model {
    /// A model that is compiled in.
    ///
    /// # Errors
    /// [`ModelError::UnknownVersion`] names those that exist.
    pub fn builtin(version: &str) -> Result<Self, ModelError> {
        let found = builtin_models().iter().find(|model| model.version == version);
        let found = found.ok_or_else(|| ModelError::UnknownVersion {
            version: version.chars().take(64).collect(),
        })?;
        Self::parse(version, found.json)
    }

    /// Reads a model file. `source_name` is its path or version: what errors and reports call it.
    ///
    /// # Errors
    /// [`ModelError`] says what is malformed, or names what is not supported, such as another kind
    /// of regressor. Features are not looked at: whether they are built is a plan's to say.
    pub fn parse(source_name: &str, json: &[u8]) -> Result<Self, ModelError> {
        if json.len() > MODEL_BYTES_MAX {
            let source_name = source_name.to_owned();
            return Err(ModelError::TooLarge { source_name, bytes: json.len() });
        }
        let mut model = json::parse(source_name, json)?;
        model.sha256 = lower_hex(&Sha256::digest(json));
        Ok(model)
    }

    /// Calls the model's scores `name` instead of `vmaf`. Models of one run need distinct names.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Lets scores leave the range that the model clips them to.
    #[must_use]
    pub fn without_clip(mut self) -> Self {
        self.ensemble.mappings_mut().for_each(|mapping| mapping.clip = None);
        self
    }

    /// Applies the score transform that the file holds but does not enable, such as the phone
    /// transform of `vmaf_v0.6.1`. Without effect on a model that holds none.
    #[must_use]
    pub fn with_transform(mut self) -> Self {
        let transforms = self.ensemble.mappings_mut();
        let transforms = transforms.filter_map(|mapping| mapping.transform.as_mut());
        transforms.for_each(|transform| transform.enabled = true);
        self
    }

    /// Names and bends the model as asked, whatever its source is.
    ///
    /// # Errors
    /// As [`with_feature_option`](Self::with_feature_option).
    pub fn bent(mut self, spec: &ModelSpec) -> Result<Self, ModelError> {
        if let Some(name) = &spec.name {
            self = self.named(name.as_str());
        }
        if spec.disable_clip {
            self = self.without_clip();
        }
        if spec.enable_transform {
            self = self.with_transform();
        }
        spec.overrides.iter().try_fold(self, |model, set| {
            model.with_feature_option(&set.extractor, &set.option, &set.value)
        })
    }

    /// Sets an option of an extractor, such as `vif`, for every feature that this model takes from
    /// it; a value that the file or an earlier call sets is replaced.
    ///
    /// # Errors
    /// [`ModelError::NotRead`] when it takes none from it: libvmaf then ignores what was asked.
    pub fn with_feature_option(
        mut self,
        extractor: &str,
        option: &str,
        value: &str,
    ) -> Result<Self, ModelError> {
        let mut is_read = false;
        for feature in &mut self.features {
            if extractor_of_feature(&feature.name) == Some(extractor) {
                feature.options.set(option, value);
                is_read = true;
            }
        }
        if is_read {
            return Ok(self);
        }
        let read = self.features.iter().filter_map(|feature| extractor_of_feature(&feature.name));
        Err(ModelError::NotRead {
            extractor: extractor.chars().take(64).collect(),
            read: read.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", "),
            source_name: self.version,
        })
    }

    /// The name of the model's column and score.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The built-in version, or the path it was read from.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the file, lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The features it reads, in the regressor's order.
    #[must_use]
    pub fn features(&self) -> &[ModelFeature] {
        &self.features
    }

    /// The names of the columns that a collection has beside its score's, in libvmaf's order: each
    /// further member (`vmaf_0001`), then their mean (`vmaf_bagging`), standard deviation
    /// (`vmaf_stddev`) and the ends of the interval that holds 95 % of them (`vmaf_ci_p95_lo`,
    /// `vmaf_ci_p95_hi`). None where the model is no collection.
    pub fn bootstrap_names(&self) -> impl Iterator<Item = String> {
        let members = (1..self.ensemble.member_count()).map(|member| format!("_{member:04}"));
        let statistics = BootstrapScore::SUFFIXES.map(str::to_owned).into_iter();
        let statistics = statistics.filter(|_| self.is_collection());
        members.chain(statistics).map(|suffix| format!("{}{suffix}", self.name))
    }

    /// The score of a frame from its features, in the order of [`features`](Self::features).
    ///
    /// # Panics
    /// When there are not as many values as features.
    #[must_use]
    pub fn predict(&self, values: &[f64]) -> f64 {
        self.mapped_scores(values, 1).1[0]
    }

    /// The score of a frame, then the values of [`bootstrap_names`](Self::bootstrap_names).
    ///
    /// The statistics leave out the first member, as libvmaf's do: it is the score that they judge.
    ///
    /// # Panics
    /// When there are not as many values as features.
    #[must_use]
    pub fn predict_all(&self, values: &[f64]) -> Vec<f64> {
        let (scores, mut columns) = self.mapped_scores(values, self.ensemble.member_count());
        if self.is_collection() {
            columns.extend(bootstrap::statistics(&scores[1..], self.ensemble.mapping(1)));
        }
        columns
    }

    fn is_collection(&self) -> bool {
        self.ensemble.member_count() > 1
    }

    /// The scores of the first `count` members, before and after transform and clip.
    fn mapped_scores(&self, values: &[f64], count: usize) -> (Vec<f64>, Vec<f64>) {
        assert_eq!(values.len(), self.features.len(), "one value a feature");
        let scores = self.ensemble.scores(values, count);
        let mapped = scores.iter().enumerate();
        let mapped = mapped.map(|(member, score)| self.ensemble.mapping(member).apply(*score));
        let mapped = mapped.collect();
        (scores, mapped)
    }
}

#[cfg(test)]
mod tests;
