//! Every way in which a run can fail, and the one mapping to failure kinds.

use std::io;

use engine::{AnalyzeError, FeatureError, ModelError, PictureError, SequenceError};
use media::{MediaError, Stopped};
use thiserror::Error;
use types::{Failure, FailureKind};

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// A video could not be opened, paired or read, or the run was stopped.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A model file could not be opened.
    #[error("the model could not be opened: {0}")]
    ModelFile(#[source] MediaError),
    /// A model is unknown or malformed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A feature is unknown, or what was asked for does not go together.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The pictures are not taken by the engine.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The clip has too many frames.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// A job without a distorted video.
    #[error("there is no distorted video to score")]
    NothingDistorted,
    /// A frame was handed to the engine wrongly: a defect of ours.
    #[error("a defect: {0}; please report it")]
    Analyze(AnalyzeError),
    /// An extractor does not take what a frame holds.
    #[error(transparent)]
    Frame(AnalyzeError),
    /// A request from elsewhere that asks for files.
    #[error(
        "cambi: heatmaps_path={folder} would write files, which only `vmafx score` does on the machine it is called on; ask without it"
    )]
    HeatMapsRefused {
        /// As asked for, cut short.
        folder: String,
    },
    /// Heat maps of several videos in one folder.
    #[error(
        "cambi: heatmaps_path takes one distorted video at a time: the names of its files have no place for more"
    )]
    HeatMapsOfMany,
    /// A heat map could not be written.
    #[error("cambi: the heat maps cannot be written to {path}; choose another place")]
    HeatMap {
        /// The folder or file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
    /// A thread panicked: a defect of ours.
    #[error("a defect: a thread panicked ({0}); please report it")]
    Panicked(String),
}

impl From<AnalyzeError> for ScoreError {
    fn from(error: AnalyzeError) -> Self {
        match error {
            AnalyzeError::Refused { .. } => Self::Frame(error),
            AnalyzeError::Shape { .. } | AnalyzeError::Past { .. } => Self::Analyze(error),
        }
    }
}

impl ScoreError {
    /// What callers branch on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Media(error) => error.kind(),
            Self::ModelFile(error) => match error.kind() {
                FailureKind::NotFound | FailureKind::NotAVideo => FailureKind::UnknownModel,
                other => other,
            },
            Self::Model(ModelError::NotRead { .. }) => FailureKind::UnknownFeature,
            Self::Model(_) => FailureKind::UnknownModel,
            Self::Feature(error) => match error {
                FeatureError::DuplicateModelName(_)
                | FeatureError::DuplicateColumn(_)
                | FeatureError::ModelName(_)
                | FeatureError::Nothing
                | FeatureError::TooMany { .. } => FailureKind::InvalidJob,
                FeatureError::UnknownExtractor { .. }
                | FeatureError::NotBuilt { .. }
                | FeatureError::UnknownFeature { .. }
                | FeatureError::UnknownOption { .. }
                | FeatureError::BadValue { .. }
                | FeatureError::Unsupported { .. }
                | FeatureError::Syntax(_) => FailureKind::UnknownFeature,
            },
            Self::Picture(_) | Self::Frame(_) => FailureKind::UnsupportedFormat,
            Self::Sequence(SequenceError::TooLong)
            | Self::NothingDistorted
            | Self::HeatMapsRefused { .. }
            | Self::HeatMapsOfMany => FailureKind::InvalidJob,
            Self::HeatMap { source, .. } => writing(source.kind()),
            Self::Thread(_) => FailureKind::Io,
            Self::Sequence(_) | Self::Analyze(_) | Self::Panicked(_) => FailureKind::Internal,
        }
    }

    /// The failure as it is stored, sent and shown: the kind, and the text with its causes.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        if let Self::Media(error) | Self::ModelFile(error) = self {
            return Failure::new(self.kind(), error.to_failure().message);
        }
        let mut message = self.to_string();
        if let Self::Thread(source) | Self::HeatMap { source, .. } = self {
            message = format!("{message}: {source}");
        }
        Failure::new(self.kind(), message)
    }

    /// The error of a caught panic.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

/// What a file that cannot be written means.
fn writing(kind: io::ErrorKind) -> FailureKind {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FailureKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            FailureKind::PermissionDenied
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        _ => FailureKind::Io,
    }
}

impl From<Stopped> for ScoreError {
    fn from(stopped: Stopped) -> Self {
        Self::Media(stopped.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_there_is_an_unknown_model() {
        let error = ScoreError::ModelFile(MediaError::NotFound { name: "/m.json".to_owned() });
        assert_eq!(error.kind(), FailureKind::UnknownModel);
        assert!(error.to_failure().message.contains("/m.json"));
    }

    #[test]
    fn a_panic_is_internal_and_keeps_its_words() {
        let payload = std::panic::catch_unwind(|| panic!("row {}", 7)).expect_err("it panics");
        let error = ScoreError::from_panic(&*payload);
        assert_eq!(error.kind(), FailureKind::Internal);
        assert!(error.to_string().contains("row 7"));
    }
}
