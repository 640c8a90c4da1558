//! Which features are computed, with which options, and what libvmaf's logs call them.
//!
//! - [`FeatureOptions`] and [`FeatureRequest`] are what a caller or a model asks for, as text;
//! - [`ExtractorKind`] lists the extractors that are built; the module of each declares its options
//!   and outputs, and calls its kernel;
//! - an [`Extractor`] is one checked instance;
//! - a [`Plan`] is the set of instances that serves all models and requests of a run, each computed
//!   once, with the columns of the resulting table in libvmaf's order.
//!
//! What is not built is refused by name.

mod adm;
mod cambi;
mod ciede;
mod extractor;
mod float_ms_ssim;
mod float_ssim;
mod kind;
mod motion;
mod options;
mod outputs;
mod plan;
mod psnr;
mod psnr_hvs;
mod request;
mod speed;
mod ssim;
mod unbuilt;
mod vif;

use thiserror::Error;

pub use extractor::Extractor;
pub(crate) use extractor::extractor_of_feature;
pub use kind::{ExtractorKind, Needs};
pub(crate) use kind::{Prepared, Refusal, Scratch};
pub(crate) use motion::MotionColumn;
pub use motion::MotionOptions;
pub(crate) use plan::ColumnSource;
pub use plan::{Halo, OutputSet, Plan, PlanOptions};
pub(crate) use psnr::PsnrOptions;
pub use request::{FeatureOptions, FeatureRequest};

/// Characters of a model's name at most.
pub const MODEL_NAME_CHARS_MAX: usize = 64;
/// Models that one plan takes at most.
pub const MODELS_MAX: usize = 64;
/// Extractors that one plan takes at most, beside those of its models.
pub const REQUESTS_MAX: usize = 64;

/// Why features cannot be computed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FeatureError {
    /// Neither libvmaf nor this engine knows such an extractor.
    #[error("feature extractor {name:?} is not supported; there are {}", ExtractorKind::names())]
    #[allow(missing_docs, reason = "as asked for")]
    UnknownExtractor { name: String },
    /// libvmaf knows such an extractor; it is not built here.
    #[error("feature extractor {name} is one of libvmaf's that are not built here: {instead}")]
    #[allow(missing_docs, reason = "libvmaf's name, and what serves in its place")]
    NotBuilt { name: &'static str, instead: &'static str },
    /// A model reads such a feature; nothing that is built here computes it.
    #[error("feature {name}, which a model reads, is not supported{}", unbuilt::of_feature(name))]
    #[allow(missing_docs, reason = "by libvmaf's internal name")]
    UnknownFeature { name: String },
    /// The extractor has no such option.
    #[error("feature extractor {extractor} has no option {option:?}; it has {known}")]
    #[allow(missing_docs, reason = "the extractor, the option as given, the options there are")]
    UnknownOption { extractor: &'static str, option: String, known: String },
    /// The value is no number, no truth value, or out of the range of the option.
    #[error("feature extractor {extractor}: {option}={value} is not {expected}")]
    #[allow(missing_docs, reason = "the option with its value, and what it takes")]
    BadValue { extractor: &'static str, option: &'static str, value: String, expected: String },
    /// libvmaf knows such a value; it is not built here.
    #[error("feature extractor {extractor}: {what}")]
    #[allow(missing_docs, reason = "the extractor and what is not built")]
    Unsupported { extractor: &'static str, what: String },
    /// A request that is not of the form `name=option=value:option=value`.
    #[error("{0:?} is not a feature request; write name=option=value:option=value")]
    Syntax(String),
    /// Two models share a name, or one has the name of a feature, so that their columns could not be
    /// told apart.
    #[error("two columns would be named {0:?}; give each model a name of its own")]
    DuplicateModelName(String),
    /// Two instances of an extractor differ in an option that has no part in the names of features.
    #[error(
        "two columns would be named {0:?}: the extractor is asked for twice with options that its names do not tell"
    )]
    DuplicateColumn(String),
    /// A name that not every log format could hold.
    #[error(
        "{0:?} cannot name a model: use 1 to {MODEL_NAME_CHARS_MAX} letters, digits, `_`, `-`, `.`"
    )]
    ModelName(String),
    /// Neither a model nor an extractor was asked for.
    #[error("neither a model nor a feature was asked for")]
    Nothing,
    /// More models or extractors than a plan takes.
    #[error("{given} {what} are more than the {max} that one run takes")]
    #[allow(missing_docs, reason = "what, how many, and the bound")]
    TooMany { what: &'static str, given: usize, max: usize },
}

#[cfg(test)]
mod tests;
