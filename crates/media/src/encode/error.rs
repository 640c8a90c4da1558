//! Every way in which an encode can fail, and the one mapping to failure kinds.

use std::io;
use std::path::Path;

use thiserror::Error;
use types::{EncodeError, Encoder, Failure, FailureKind};

use crate::error::MediaError;
use crate::stop::Stopped;

/// Why there is no encoded file.
#[derive(Debug, Error)]
pub enum EncoderError {
    /// The source could not be read, or the work was stopped.
    #[error(transparent)]
    Source(#[from] MediaError),
    /// What was asked cannot be asked.
    #[error(transparent)]
    Request(#[from] EncodeError),
    /// The file's name asks for no container that is known.
    #[error("{output} names no container; end it in one of {known}")]
    Container {
        /// The file.
        output: String,
        /// What it may end with.
        known: String,
    },
    /// The container does not take what a source has besides its pictures.
    #[error(
        "{output} does not take the source's {streams} as they are: {detail}; name another container, such as mkv, \
         or leave them out"
    )]
    Streams {
        /// The file.
        output: String,
        /// Audio, subtitles or both.
        streams: &'static str,
        /// The words of `ffmpeg`.
        detail: String,
    },
    /// `ffmpeg` is not there.
    #[error(
        "encoding needs ffmpeg, and {program} could not be started; install ffmpeg or set VMAFX_FFMPEG to its path"
    )]
    ProgramMissing {
        /// The program that was tried.
        program: String,
        /// Why it did not start.
        #[source]
        source: io::Error,
    },
    /// This `ffmpeg` was built without the encoder.
    #[error("{program} has no encoder {encoder}; it has {has}")]
    EncoderMissing {
        /// The program.
        program: String,
        /// What was asked for.
        encoder: Encoder,
        /// What there is.
        has: String,
    },
    /// The encoder does not take what it was asked.
    #[error("{encoder} refuses what it was asked: {detail}")]
    Refused {
        /// The encoder.
        encoder: Encoder,
        /// Its own words.
        detail: String,
    },
    /// The encoder died, or ran out of its time or memory.
    #[error("{encoder} failed: {detail}")]
    Failed {
        /// The encoder.
        encoder: Encoder,
        /// Its end, and its last words.
        detail: String,
    },
    /// No room for the file.
    #[error("no space left for {output}; free some, or name a folder on another disk")]
    DiskFull {
        /// The file.
        output: String,
    },
    /// The file would be larger than it may be.
    #[error(
        "{output} would have more than the {bytes_max} bytes it may have; allow more, or encode less of the video at once"
    )]
    TooLarge {
        /// The file.
        output: String,
        /// What it may have.
        bytes_max: u64,
    },
    /// The file could not be written for another reason.
    #[error("{output} could not be written")]
    Output {
        /// The file.
        output: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl EncoderError {
    /// What callers branch on.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Request(_)
            | Self::Container { .. }
            | Self::Streams { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. } => FailureKind::InvalidJob,
            Self::ProgramMissing { .. } | Self::EncoderMissing { .. } => {
                FailureKind::EncoderMissing
            }
            Self::Failed { .. } => FailureKind::EncoderFailed,
            Self::DiskFull { .. } => FailureKind::DiskFull,
            Self::Output { .. } => FailureKind::Io,
        }
    }

    /// The failure as it is stored, sent and shown.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        if let Self::Source(error) = self {
            return error.to_failure();
        }
        let message = match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        };
        Failure::new(self.kind(), message)
    }

    /// What an error of the file system about the output means.
    pub(crate) fn output(output: &Path) -> impl Fn(io::Error) -> Self {
        let output = output.display().to_string();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { output: output.clone() }
            }
            _ => Self::Output { output: output.clone(), source },
        }
    }
}

impl From<Stopped> for EncoderError {
    fn from(stopped: Stopped) -> Self {
        Self::Source(stopped.into())
    }
}
