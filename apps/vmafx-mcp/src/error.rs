//! What a tool answers when it cannot do what was asked: never a protocol error, which many hosts
//! hide from the agent, but a result marked as an error, with what was wrong and what to do about
//! it.

use client::ClientError;
use media::{MediaError, Stopped};
use proto::ErrorKind;
use rmcp::model::{CallToolResult, ContentBlock};
use scoring::ScoreError;
use types::{Failure, FailureKind};

/// Characters of a message that an agent is shown; longer ones, which come from decoders, are cut.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// A tool's refusal or failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    /// What programs branch on: a failure kind, an error kind of the controller, or one of ours.
    pub kind: &'static str,
    /// What was wrong, with what.
    pub message: String,
    /// What the agent should do next.
    pub hint: String,
}

impl ToolError {
    /// An error with its way out.
    pub fn new(kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
        }
        Self { kind, message, hint: hint.into() }
    }

    /// An argument that cannot be used.
    pub fn argument(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("invalid_argument", message, hint)
    }

    /// Whoever asked wants it no more.
    pub fn cancelled() -> Self {
        Self::new("cancelled", "the request was cancelled", "Call again if it was not meant.")
    }

    /// A defect of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        let hint = "This is a defect of the server: report it with the trace id, and go on without \
                    this call.";
        Self::new("internal", message, hint)
    }

    /// The result that an agent reads.
    pub fn into_result(self) -> CallToolResult {
        let text = format!("{}: {}\n\nWhat to do: {}", self.kind, self.message, self.hint);
        CallToolResult::error(vec![ContentBlock::text(text)])
    }
}

impl From<Failure> for ToolError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind.as_str(), failure.message, hint(failure.kind))
    }
}

impl From<MediaError> for ToolError {
    fn from(error: MediaError) -> Self {
        error.to_failure().into()
    }
}

impl From<ScoreError> for ToolError {
    fn from(error: ScoreError) -> Self {
        error.to_failure().into()
    }
}

impl From<Stopped> for ToolError {
    fn from(stopped: Stopped) -> Self {
        MediaError::from(stopped).into()
    }
}

impl From<ClientError> for ToolError {
    fn from(error: ClientError) -> Self {
        let hint = match error.kind() {
            ErrorKind::JobNotFound => "Call list_jobs for the ids there are.",
            ErrorKind::NotReady => {
                "The job has no result yet: call get_job with wait_seconds, then this again."
            }
            ErrorKind::IdempotencyConflict => {
                "This idempotency_key was used for another job: leave it out, or choose another."
            }
            ErrorKind::Overloaded | ErrorKind::StoreFailed | ErrorKind::DeadlineExceeded => {
                "The controller is busy: wait some seconds, look with list_jobs whether the job is \
                 there, and call again if not. submit_job with an idempotency_key makes no second \
                 job however often it is called."
            }
            ErrorKind::Unavailable if matches!(error, ClientError::Refused { .. }) => {
                "The controller stopped or was cut off: wait some seconds, look with list_jobs \
                 whether the job is there, and call again if not. submit_job with an \
                 idempotency_key makes no second job however often it is called."
            }
            ErrorKind::Unavailable => {
                "The controller cannot be reached. Call again in some seconds; if that does not \
                 help, tell the operator to check that it runs and that VMAFX_CONTROLLER_ADDR is \
                 right."
            }
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
                "The operator must give this server a token that the controller takes \
                 (VMAFX_TOKEN). Calling again does not help."
            }
            ErrorKind::InvalidArgument | ErrorKind::TooLarge | ErrorKind::NotScorable => {
                "Change the arguments as the message says and call again."
            }
            _ => "Calling again may help; if not, report it with the trace id.",
        };
        Self::new(error.kind().as_str(), error.to_string(), hint)
    }
}

/// What an agent can do about a failure.
pub fn hint(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::NotFound => {
            "Check the path: it must be as the machine that scores sees it, absolute, and spelled \
             exactly."
        }
        FailureKind::PermissionDenied => {
            "The file is there but may not be read by the service's user: ask the operator to \
             change its permissions."
        }
        FailureKind::SourceRefused => {
            "Only files below the configured source roots, and URLs of configured hosts, are \
             taken: use a path below one, or ask the operator to add it (--source-root, \
             --source-host). cluster_status lists those of this server."
        }
        FailureKind::NotAVideo => "Name a video file; probe_media shows what a file holds.",
        FailureKind::Truncated => {
            "The file is damaged or still being written: make it again, or score only the frames \
             before the damage with frame_count."
        }
        FailureKind::ZeroFrames => {
            "There is no frame in the range asked for: lower first_frame, or check the file with \
             probe_media."
        }
        FailureKind::SizeMismatch => {
            "Scale the distorted video to the reference's size first, as a player would, for \
             example: ffmpeg -i distorted -vf scale=WIDTH:HEIGHT:flags=bicubic -c:v ffv1 scaled.mkv"
        }
        FailureKind::ChromaMismatch | FailureKind::DepthMismatch => {
            "Convert both videos to the same pixel format first, for example: ffmpeg -i in -pix_fmt \
             yuv420p10le -c:v ffv1 out.mkv. Raise the lower bit depth; do not lower the higher."
        }
        FailureKind::UnsupportedFormat => {
            "Convert the video to planar YUV of 8 to 16 bits, for example with ffmpeg -pix_fmt \
             yuv420p."
        }
        FailureKind::UnknownModel => {
            "Leave model out for the default, or take one that recommend_model or the resource \
             vmafx://models names."
        }
        FailureKind::UnknownFeature => "Leave features out, or name vif, adm or motion.",
        FailureKind::InvalidJob => "Change the arguments as the message says.",
        FailureKind::DecoderMissing => {
            "The machine that scores has no ffmpeg: ask the operator to install one or to set \
             VMAFX_FFMPEG, or give y4m files."
        }
        FailureKind::EncoderMissing => {
            "The ffmpeg there has no such encoder: name another (libx264 is in most), or ask the \
             operator for an ffmpeg that has it."
        }
        FailureKind::EncoderFailed => {
            "The encoder died or refused its options: leave preset out, or name one that the encoder \
             knows."
        }
        FailureKind::DecoderFailed => {
            "The decoder died or ran out of its limits: check the file with probe_media; a second \
             try may help."
        }
        FailureKind::Io | FailureKind::DiskFull => {
            "A matter of the machine and not of the video: try again later, and tell the operator \
             if it stays."
        }
        FailureKind::TimedOut => {
            "It took too long: score fewer frames (frame_count, subsample), or submit_job and ask \
             later."
        }
        FailureKind::NodeLost | FailureKind::LeaseExpired => {
            "The machines that ran it vanished, again and again: call cluster_status, then submit \
             it anew."
        }
        FailureKind::Cancelled => "Somebody cancelled it: submit it anew if it is still wanted.",
        FailureKind::Internal => "A defect: report it with the job's id and trace id.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_the_agent_what_was_wrong_and_what_to_do() {
        let error = ToolError::from(MediaError::SizeMismatch {
            reference: (1_920, 1_080),
            distorted: (1_280, 720),
        });
        let result = error.into_result();
        assert_eq!(result.is_error, Some(true));
        let text = &result.content[0].as_text().expect("text").text;
        assert!(text.starts_with("size_mismatch: "), "{text}");
        assert!(text.contains("1920x1080") && text.contains("scale=WIDTH:HEIGHT"), "{text}");
    }

    #[test]
    fn every_failure_has_a_way_out() {
        for kind in FailureKind::ALL {
            assert!(hint(*kind).len() > 20, "{kind}");
        }
    }

    #[test]
    fn a_flood_of_a_message_is_cut() {
        let error = ToolError::argument("ü".repeat(5_000), "");
        assert_eq!(error.message.chars().count(), MESSAGE_CHARS_MAX);
    }
}
