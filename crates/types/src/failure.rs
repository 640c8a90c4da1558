//! Why an attempt or a job ended without a score.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! failure_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, retryable: $retryable:literal;)+) => {
        /// The kind of a failure: what callers branch on. Each is either final or worth a retry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureKind {
            $($(#[$doc])* $name,)+
        }

        impl FailureKind {
            /// Every kind, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The kind's name on the wire, in logs and in metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether the same part may succeed when tried again.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }
        }
    };
}

failure_kinds! {
    /// No file at the path given.
    NotFound = "not_found", retryable: false;
    /// The operating system refused to open the file.
    PermissionDenied = "permission_denied", retryable: false;
    /// The path or URL lies outside what this installation allows.
    SourceRefused = "source_refused", retryable: false;
    /// The file holds no video that any decoder here reads.
    NotAVideo = "not_a_video", retryable: false;
    /// The file ends within a frame, or its decoder says it is damaged.
    Truncated = "truncated", retryable: false;
    /// A video without a single frame, or no frame in the range asked for.
    ZeroFrames = "zero_frames", retryable: false;
    /// Reference and distorted differ in width or height.
    SizeMismatch = "size_mismatch", retryable: false;
    /// Reference and distorted differ in chroma subsampling.
    ChromaMismatch = "chroma_mismatch", retryable: false;
    /// Reference and distorted differ in bit depth.
    DepthMismatch = "depth_mismatch", retryable: false;
    /// A pixel format, depth or size that the engine does not take.
    UnsupportedFormat = "unsupported_format", retryable: false;
    /// No model of that name or at that path, or a file that is not a model.
    UnknownModel = "unknown_model", retryable: false;
    /// A feature extractor or an option of it that does not exist here.
    UnknownFeature = "unknown_feature", retryable: false;
    /// The job itself is malformed.
    InvalidJob = "invalid_job", retryable: false;
    /// The input needs `ffmpeg`, and this node has none.
    DecoderMissing = "decoder_missing", retryable: true;
    /// The decoder process died, ran out of its time or of its memory.
    DecoderFailed = "decoder_failed", retryable: true;
    /// The job asks for an encoder that this node's `ffmpeg` has not.
    EncoderMissing = "encoder_missing", retryable: true;
    /// The encoder process died, or ran out of its time or memory.
    EncoderFailed = "encoder_failed", retryable: true;
    /// Reading or writing failed for a reason outside the file's content.
    Io = "io", retryable: true;
    /// No space left where the node writes.
    DiskFull = "disk_full", retryable: true;
    /// The attempt took longer than its deadline.
    TimedOut = "timed_out", retryable: true;
    /// The node's process ended, or its stream was lost for longer than the grace time.
    NodeLost = "node_lost", retryable: true;
    /// The lease ran out without a sign of life.
    LeaseExpired = "lease_expired", retryable: true;
    /// Somebody cancelled the job.
    Cancelled = "cancelled", retryable: false;
    /// A defect of ours: a broken invariant, a panic.
    Internal = "internal", retryable: true;
}

impl FailureKind {
    /// The exit code of programs that end with this failure: 1 for a defect, else 10 to 32. Codes are
    /// never given a second meaning.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::NotFound => 10,
            Self::PermissionDenied => 11,
            Self::SourceRefused => 12,
            Self::NotAVideo => 13,
            Self::Truncated => 14,
            Self::ZeroFrames => 15,
            Self::SizeMismatch => 16,
            Self::ChromaMismatch => 17,
            Self::DepthMismatch => 18,
            Self::UnsupportedFormat => 19,
            Self::UnknownModel => 20,
            Self::UnknownFeature => 21,
            Self::InvalidJob => 22,
            Self::DecoderMissing => 23,
            Self::DecoderFailed => 24,
            Self::Io => 25,
            Self::DiskFull => 26,
            Self::TimedOut => 27,
            Self::NodeLost => 28,
            Self::LeaseExpired => 29,
            Self::Cancelled => 30,
            Self::EncoderMissing => 31,
            Self::EncoderFailed => 32,
        }
    }

    /// Whether the worker itself vanished: such ends count against the crash budget, not against
    /// the attempts.
    #[must_use]
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::NodeLost | Self::LeaseExpired)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FailureKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!("{:?} is not a failure kind", text.chars().take(64).collect::<String>())
        })
    }
}

/// A failure as it is stored, sent and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What callers branch on.
    pub kind: FailureKind,
    /// What was wrong, with what, and what to do: a sentence for people, at most
    /// [`MESSAGE_CHARS_MAX`](Self::MESSAGE_CHARS_MAX) characters.
    pub message: String,
}

impl Failure {
    /// Longer messages are cut, so that a decoder's flood cannot fill the store.
    pub const MESSAGE_CHARS_MAX: usize = 2_000;

    /// Takes a kind and a message, which is cut when too long.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(Self::MESSAGE_CHARS_MAX) {
            message.truncate(end);
        }
        Self { kind, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_name() {
        for kind in FailureKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("nonsense".parse::<FailureKind>().is_err());
    }

    #[test]
    fn a_lost_worker_is_retried_and_a_bad_file_is_not() {
        for kind in FailureKind::ALL {
            assert!(!kind.is_crash() || kind.is_retryable(), "{kind}");
        }
        assert!(!FailureKind::SizeMismatch.is_retryable());
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let failure = Failure::new(FailureKind::Io, "ü".repeat(3_000));
        assert_eq!(failure.message.chars().count(), Failure::MESSAGE_CHARS_MAX);
    }
}
