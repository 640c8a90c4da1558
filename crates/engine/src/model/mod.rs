//! Models: what turns the features of a frame into its score.
//!
//! A model is one of libvmaf's JSON files. Everything such a file may say is either honoured or
//! refused by name; nothing that would change a score is skipped in silence. Numbers are read from
//! their decimal text to the nearest `f64`, and a prediction performs libvmaf's operations in
//! libvmaf's order, so equal features give equal bits.

mod builtin;
mod exp;
mod json;
mod number;
mod svm;

pub use builtin::{BuiltinModel, builtin_models};
pub(crate) use number::{c_double_prefix, format_g};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::features::FeatureOptions;
use crate::hex::lower_hex;
use svm::Svm;

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
}

/// A feature that a model reads: its value is rescaled before it enters the regressor.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFeature {
    /// libvmaf's internal name, such as `VMAF_integer_feature_adm2_score`.
    pub name: String,
    /// Options of its extractor that the model sets.
    pub options: FeatureOptions,
    slope: f64,
    intercept: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Normalization {
    None,
    LinearRescale,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct ScoreTransform {
    enabled: bool,
    /// Coefficients of `1`, `y` and `y^2`; one that is absent counts as zero, and the polynomial
    /// is skipped when all are.
    polynomial: [Option<f64>; 3],
    knots: Option<Vec<(f64, f64)>>,
    out_lte_in: bool,
    out_gte_in: bool,
}

/// A regressor with everything that libvmaf's model file says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    name: String,
    version: String,
    sha256: String,
    features: Vec<ModelFeature>,
    normalization: Normalization,
    slope: f64,
    intercept: f64,
    clip: Option<(f64, f64)>,
    transform: Option<ScoreTransform>,
    svm: Svm,
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
    /// [`ModelError`] says what is malformed, or names what is not supported: collections of
    /// bootstrapped models, other regressors, and features that are not built.
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
        self.clip = None;
        self
    }

    /// Applies the score transform that the file holds but does not enable, such as the phone
    /// transform of `vmaf_v0.6.1`. Without effect on a model that holds none.
    #[must_use]
    pub fn with_transform(mut self) -> Self {
        if let Some(transform) = &mut self.transform {
            transform.enabled = true;
        }
        self
    }

    /// Sets options of an extractor (`vif`, `adm`, `motion`) for every feature that this model
    /// takes from it; an option that the file sets too is replaced.
    #[must_use]
    pub fn with_feature_options(mut self, extractor: &str, options: &FeatureOptions) -> Self {
        for feature in &mut self.features {
            if crate::features::extractor_of_feature(&feature.name) == Some(extractor) {
                feature.options.extend(options);
            }
        }
        self
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

    /// The score of a frame from its features, in the order of [`features`](Self::features).
    ///
    /// # Panics
    /// When there are not as many values as features.
    #[must_use]
    pub fn predict(&self, values: &[f64]) -> f64 {
        assert_eq!(values.len(), self.features.len(), "one value a feature");
        let rescaled: Vec<f64> = self
            .features
            .iter()
            .zip(values)
            .map(|(feature, value)| match self.normalization {
                Normalization::None => *value,
                Normalization::LinearRescale => feature.slope * value + feature.intercept,
            })
            .collect();
        let mut score = self.svm.predict(&rescaled);
        if self.normalization == Normalization::LinearRescale {
            score = (score - self.intercept) / self.slope;
        }
        if let Some(transform) = self.transform.as_ref().filter(|transform| transform.enabled) {
            score = transform.apply(score);
        }
        if let Some((min, max)) = self.clip {
            // Not `clamp`: a NaN must pass through as it does in libvmaf, and a file may give the
            // bounds in any order.
            score = if score < min { min } else { score };
            score = if score > max { max } else { score };
        }
        score
    }
}

impl ScoreTransform {
    fn apply(&self, score: f64) -> f64 {
        let mut out = score;
        if self.polynomial.iter().any(Option::is_some) {
            let [p0, p1, p2] = self.polynomial;
            out = 0.0;
            if let Some(p0) = p0 {
                out += p0;
            }
            if let Some(p1) = p1 {
                out += p1 * score;
            }
            if let Some(p2) = p2 {
                out += p2 * score * score;
            }
        }
        if let Some(knots) = &self.knots {
            out = piecewise_linear(knots, out);
        }
        if self.out_lte_in && out > score {
            out = score;
        }
        if self.out_gte_in && out < score {
            out = score;
        }
        out
    }
}

/// Maps `x` over the segments between `knots`; the first and the last go on beyond their ends.
///
/// The parser made sure of two knots or more whose `x` rises strictly and whose `y` never falls.
/// Where segments meet, the later one decides.
fn piecewise_linear(knots: &[(f64, f64)], x: f64) -> f64 {
    let last = knots.len() - 2;
    let mut y = 0.0;
    for (segment, pair) in knots.windows(2).enumerate() {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let within = x0 <= x && x <= x1;
        let before = segment == 0 && x < x0;
        let beyond = segment == last && x > x1;
        if !(within || before || beyond) {
            continue;
        }
        y = if y0 == y1 {
            y0
        } else if x0 == 0.0 {
            (y1 - y0) / x1 * x + y0
        } else {
            let slope = (y1 - y0) / (x1 - x0);
            slope * x + (y0 - x0 * slope)
        };
    }
    y
}

#[cfg(test)]
mod tests;
