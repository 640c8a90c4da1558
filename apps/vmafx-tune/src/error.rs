//! Every way in which tuning can fail, and the one mapping to failure kinds.

use std::io;

use client::ClientError;
use media::{EncoderError, MediaError, Stopped};
use scoring::{ScoreError, TrialError};
use thiserror::Error;
use types::{Failure, FailureKind};

/// Why there is no outcome.
#[derive(Debug, Error)]
pub enum TuneError {
    /// The request cannot be carried out as it stands.
    #[error("{0}")]
    Request(String),
    /// The source could not be read, or the work was stopped.
    #[error(transparent)]
    Source(#[from] MediaError),
    /// Something could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncoderError),
    /// Something could not be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A job of the fleet failed, and says why.
    #[error("job {job} failed: {failure}")]
    Job {
        /// Which.
        job: String,
        /// Why.
        failure: Failure,
    },
    /// No node can run what is asked.
    #[error("job {job} waits for {what}; start such a node, or choose another encoder")]
    NoNode {
        /// The job that waits.
        job: String,
        /// What it waits for.
        what: String,
    },
    /// The controller does not answer, or refuses.
    #[error(transparent)]
    Controller(#[from] ClientError),
    /// The journal cannot be used.
    #[error("the journal {path} cannot be used; name another with --journal, or none")]
    Journal {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of our own could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{path} cannot be written")]
    Write {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl TuneError {
    /// What callers branch on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Request(_) => FailureKind::InvalidJob,
            Self::Source(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::Score(error) => error.kind(),
            Self::Job { failure, .. } => failure.kind,
            Self::NoNode { .. } => FailureKind::EncoderMissing,
            Self::Controller(_) | Self::Read { .. } => FailureKind::Io,
            Self::Journal { source, .. } | Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
                _ => FailureKind::Io,
            },
        }
    }

    /// The failure as it is shown: the kind, and the text with its causes.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        match self {
            Self::Source(error) => error.to_failure(),
            Self::Encode(error) => error.to_failure(),
            Self::Score(error) => error.to_failure(),
            other => {
                let mut message = other.to_string();
                let mut cause = std::error::Error::source(other);
                while let Some(error) = cause {
                    message = format!("{message}: {error}");
                    cause = error.source();
                }
                Failure::new(self.kind(), message)
            }
        }
    }

    pub(crate) fn write(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Write { path: path.clone(), source }
    }
}

impl From<Stopped> for TuneError {
    fn from(stopped: Stopped) -> Self {
        Self::Source(stopped.into())
    }
}

impl From<TrialError> for TuneError {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Encode(error) => Self::Encode(error),
            TrialError::Score(error) => Self::Score(error),
        }
    }
}
