//! Every way in which a video can fail to be read, and the one mapping to failure kinds.

use std::io;

use thiserror::Error;
use types::{Failure, FailureKind, PixelFormat};

use crate::stop::Stopped;

/// Why a video could not be opened, paired or read.
///
/// Each text says what was wrong, with what, and what to do about it.
#[derive(Debug, Error)]
pub enum MediaError {
    /// No such file.
    #[error("no file at {name}; check the path")]
    NotFound {
        /// The path as given.
        name: String,
    },
    /// The operating system refused to open the file.
    #[error("{name} may not be read by this user; change its permissions or the user")]
    PermissionDenied {
        /// The path as given.
        name: String,
    },
    /// The source rules forbid the path or URL.
    #[error("{name} is refused: {reason}")]
    Refused {
        /// The path or URL as given.
        name: String,
        /// Which rule, and how to change it.
        reason: String,
    },
    /// Nothing here reads the file as a video.
    #[error("{name} is not a video that can be read: {detail}")]
    NotAVideo {
        /// The path or URL as given.
        name: String,
        /// What was found instead.
        detail: String,
    },
    /// The file ends within a frame or is damaged.
    #[error(
        "{name} is cut short or damaged at frame {frame_index}: {detail}; get a whole copy of the file"
    )]
    Truncated {
        /// The path or URL as given.
        name: String,
        /// The first frame, 0-based, that could not be read; for a decoder's report, the next to be read.
        frame_index: u64,
        /// What was found.
        detail: String,
    },
    /// No frame, or none in the range asked for.
    #[error("{name} has no frame to score: {detail}")]
    ZeroFrames {
        /// The path or URL as given.
        name: String,
        /// How many there are and how many were to be skipped.
        detail: String,
    },
    /// Reference and distorted differ in size.
    #[error(
        "the reference is {}x{} but the distorted video is {}x{}; scale the distorted video to the reference's size first",
        reference.0, reference.1, distorted.0, distorted.1
    )]
    SizeMismatch {
        /// Width and height of the reference.
        reference: (u32, u32),
        /// Width and height of the distorted video.
        distorted: (u32, u32),
    },
    /// Reference and distorted differ in chroma subsampling.
    #[error(
        "the reference is {reference} but the distorted video is {distorted}; convert one to the other's chroma subsampling first"
    )]
    ChromaMismatch {
        /// Format of the reference.
        reference: PixelFormat,
        /// Format of the distorted video.
        distorted: PixelFormat,
    },
    /// Reference and distorted differ in bit depth.
    #[error(
        "the reference is {reference} but the distorted video is {distorted}; convert one to the other's bit depth first"
    )]
    DepthMismatch {
        /// Format of the reference.
        reference: PixelFormat,
        /// Format of the distorted video.
        distorted: PixelFormat,
    },
    /// A size, chroma or depth that is not taken.
    #[error("{name} has a format that is not taken: {detail}")]
    UnsupportedFormat {
        /// The path or URL as given.
        name: String,
        /// Which, and what is taken.
        detail: String,
    },
    /// The file needs `ffmpeg`, which is not there.
    #[error(
        "{name} needs ffmpeg to be decoded or scaled, and {program} could not be started; install ffmpeg, set VMAFX_FFMPEG to its path, or give .y4m files of one size and depth"
    )]
    DecoderMissing {
        /// The path or URL as given.
        name: String,
        /// The program that was tried.
        program: String,
        /// Why it did not start.
        #[source]
        source: io::Error,
    },
    /// The decoder process died, or ran out of its time or memory.
    #[error("ffmpeg failed on {name}: {detail}")]
    DecoderFailed {
        /// The path or URL as given.
        name: String,
        /// Its end, and its last words.
        detail: String,
    },
    /// Reading failed for a reason outside the file's content.
    #[error("{name} could not be read")]
    Io {
        /// The path or URL as given.
        name: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The deadline passed.
    #[error("not done within the time allowed")]
    TimedOut,
}

impl MediaError {
    /// What callers branch on: the one mapping from this crate's errors.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::NotFound { .. } => FailureKind::NotFound,
            Self::PermissionDenied { .. } => FailureKind::PermissionDenied,
            Self::Refused { .. } => FailureKind::SourceRefused,
            Self::NotAVideo { .. } => FailureKind::NotAVideo,
            Self::Truncated { .. } => FailureKind::Truncated,
            Self::ZeroFrames { .. } => FailureKind::ZeroFrames,
            Self::SizeMismatch { .. } => FailureKind::SizeMismatch,
            Self::ChromaMismatch { .. } => FailureKind::ChromaMismatch,
            Self::DepthMismatch { .. } => FailureKind::DepthMismatch,
            Self::UnsupportedFormat { .. } => FailureKind::UnsupportedFormat,
            Self::DecoderMissing { .. } => FailureKind::DecoderMissing,
            Self::DecoderFailed { .. } => FailureKind::DecoderFailed,
            Self::Io { .. } => FailureKind::Io,
            Self::Cancelled => FailureKind::Cancelled,
            Self::TimedOut => FailureKind::TimedOut,
        }
    }

    /// The failure as it is stored, sent and shown: the kind, and the text with its cause.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Failure::new(self.kind(), message)
    }

    /// What an error of opening `name` means.
    #[must_use]
    pub fn from_open(name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            // No file can have a name with a NUL in it, or a longer one than the system knows.
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename => Self::NotFound { name },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { name },
            io::ErrorKind::IsADirectory => {
                Self::NotAVideo { name, detail: "it is a directory; name a file in it".to_owned() }
            }
            _ => Self::Io { name, source },
        }
    }

    /// What an error in mid-stream means: never that the file is bad, so it may be tried again.
    pub(crate) fn from_read(name: &str, source: io::Error) -> Self {
        Self::Io { name: name.to_owned(), source }
    }
}

impl From<Stopped> for MediaError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::DeadlinePassed => Self::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_opening_are_told_apart() {
        let kind = |kind: io::ErrorKind| MediaError::from_open("/a", kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::NotFound), FailureKind::NotFound);
        assert_eq!(kind(io::ErrorKind::NotADirectory), FailureKind::NotFound);
        assert_eq!(kind(io::ErrorKind::InvalidInput), FailureKind::NotFound);
        assert_eq!(kind(io::ErrorKind::InvalidFilename), FailureKind::NotFound);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), FailureKind::PermissionDenied);
        assert_eq!(kind(io::ErrorKind::IsADirectory), FailureKind::NotAVideo);
        assert_eq!(kind(io::ErrorKind::StaleNetworkFileHandle), FailureKind::Io);
    }

    #[test]
    fn an_io_error_in_mid_stream_is_retryable_and_keeps_its_cause() {
        let error = MediaError::from_read("/a", io::Error::other("the disk is on fire"));
        assert!(error.kind().is_retryable());
        assert_eq!(error.to_failure().message, "/a could not be read: the disk is on fire");
    }
}
