//! The one mapping of errors to what callers see: gRPC status codes with details, and HTTP
//! statuses; and back, for clients.
//!
//! Every error that leaves a service is an [`ApiError`]. Its kind travels as the `reason` of a
//! `google.rpc.ErrorInfo` in the domain [`DOMAIN`], so that clients need not guess from the code;
//! broken fields travel as `google.rpc.BadRequest`, the time to wait as `google.rpc.RetryInfo`.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use types::{Failure, FailureKind};

/// The domain of our `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "vmafx";

/// Characters of an error's message; longer ones are cut.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Broken fields that one error names.
const VIOLATIONS_MAX: usize = 16;

/// The `ErrorInfo` metadata key of the kind of the failure behind an error.
const FAILURE_KIND_KEY: &str = "failure_kind";

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $name:ident = $reason:literal, $code:ident, $http:literal;)+) => {
        /// What callers of a service branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])* $name,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The kind's name in `ErrorInfo`, in problem documents and in logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// The gRPC status code.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)+ }
            }
        }
    };
}

error_kinds! {
    /// A field is missing, malformed or out of its bounds.
    InvalidArgument = "INVALID_ARGUMENT", InvalidArgument, 400;
    /// No job has that id.
    JobNotFound = "JOB_NOT_FOUND", NotFound, 404;
    /// No node has that name.
    NodeNotFound = "NODE_NOT_FOUND", NotFound, 404;
    /// The job has not come far enough for what was asked.
    NotReady = "NOT_READY", FailedPrecondition, 409;
    /// The service sends its telemetry nowhere, so there is nowhere to send a trace.
    NoCollector = "NO_COLLECTOR", FailedPrecondition, 409;
    /// The idempotency key belongs to another request.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", AlreadyExists, 409;
    /// The session is not known: register again.
    UnknownSession = "UNKNOWN_SESSION", Aborted, 409;
    /// Too much is waiting already.
    Overloaded = "OVERLOADED", ResourceExhausted, 429;
    /// The message is larger than either side takes.
    TooLarge = "TOO_LARGE", OutOfRange, 413;
    /// Who calls is not known.
    Unauthenticated = "UNAUTHENTICATED", Unauthenticated, 401;
    /// The caller may not do this.
    PermissionDenied = "PERMISSION_DENIED", PermissionDenied, 403;
    /// The service is starting, stopping or cannot be reached, or the connection broke on the way.
    Unavailable = "UNAVAILABLE", Unavailable, 503;
    /// No answer came in time; whether the request took effect is not known.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded, 504;
    /// The caller left before the answer.
    Cancelled = "CANCELLED", Cancelled, 499;
    /// The service does not know this call.
    Unimplemented = "UNIMPLEMENTED", Unimplemented, 501;
    /// Reading or writing the store failed.
    StoreFailed = "STORE_FAILED", Internal, 500;
    /// The video, model or option asked for cannot be scored; the failure's kind says why.
    NotScorable = "NOT_SCORABLE", FailedPrecondition, 422;
    /// A defect of ours.
    Internal = "INTERNAL", Internal, 500;
}

impl ErrorKind {
    /// Whether the same request may succeed when sent again later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Overloaded | Self::Unavailable | Self::DeadlineExceeded | Self::StoreFailed => {
                true
            }
            Self::InvalidArgument
            | Self::JobNotFound
            | Self::NodeNotFound
            | Self::NotReady
            | Self::NoCollector
            | Self::IdempotencyConflict
            | Self::UnknownSession
            | Self::TooLarge
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::Cancelled
            | Self::Unimplemented
            | Self::NotScorable
            | Self::Internal => false,
        }
    }

    /// The kind that fits a status that names none of ours.
    const fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::NotFound => Self::JobNotFound,
            Code::FailedPrecondition => Self::NotReady,
            Code::AlreadyExists => Self::IdempotencyConflict,
            Code::ResourceExhausted => Self::Overloaded,
            Code::OutOfRange => Self::TooLarge,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::Unavailable | Code::Aborted => Self::Unavailable,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Cancelled => Self::Cancelled,
            Code::Unimplemented => Self::Unimplemented,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Self::Internal,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A field of a request that breaks its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, such as `spec.reference.uri`; empty for the whole.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// An error as it leaves a service, and as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What callers branch on.
    pub kind: ErrorKind,
    /// A sentence for people: what was wrong, and what to do.
    pub message: String,
    /// The broken fields, where the request was invalid.
    pub violations: Vec<Violation>,
    /// How long to wait before the next try, where the service knows.
    pub retry_after: Option<Duration>,
    /// The kind of the failure behind it, where there was one.
    pub failure: Option<FailureKind>,
}

impl ApiError {
    /// An error of that kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
        }
        Self { kind, message, violations: Vec::new(), retry_after: None, failure: None }
    }

    /// The same error with the time to wait before the next try.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Reads what a service answered. A status that is not one of ours, such as a proxy's, gets
    /// the kind that fits its code.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let kind = info
            .and_then(|info| ErrorKind::ALL.iter().find(|kind| kind.as_str() == info.reason))
            .copied()
            .unwrap_or(ErrorKind::of_code(status.code()));
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .take(VIOLATIONS_MAX)
                .map(|v| Violation { field: v.field.clone(), problem: v.description.clone() })
                .collect()
        });
        Self {
            violations,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            failure: info
                .and_then(|info| info.metadata.get(FAILURE_KIND_KEY))
                .and_then(|kind| kind.parse().ok()),
            ..Self::new(kind, status.message())
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut details = ErrorDetails::new();
        let mut metadata = std::collections::HashMap::new();
        if let Some(kind) = error.failure {
            metadata.insert(FAILURE_KIND_KEY.to_owned(), kind.as_str().to_owned());
        }
        details.set_error_info(error.kind.as_str(), DOMAIN, metadata);
        for violation in error.violations.iter().take(VIOLATIONS_MAX) {
            details.add_bad_request_violation(&violation.field, &violation.problem);
        }
        if error.retry_after.is_some() {
            details.set_retry_info(error.retry_after);
        }
        Self::with_error_details(error.kind.code(), error.message, details)
    }
}

impl From<&Failure> for ApiError {
    /// Exhaustive over the kinds of failures, so that a new kind cannot go unmapped.
    fn from(failure: &Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::PermissionDenied | FailureKind::SourceRefused => {
                ErrorKind::PermissionDenied
            }
            FailureKind::InvalidJob | FailureKind::UnknownModel | FailureKind::UnknownFeature => {
                ErrorKind::InvalidArgument
            }
            FailureKind::NotFound
            | FailureKind::NotAVideo
            | FailureKind::Truncated
            | FailureKind::ZeroFrames
            | FailureKind::SizeMismatch
            | FailureKind::ChromaMismatch
            | FailureKind::DepthMismatch
            | FailureKind::UnsupportedFormat
            | FailureKind::DecoderMissing
            | FailureKind::EncoderMissing => ErrorKind::NotScorable,
            FailureKind::DiskFull => ErrorKind::Overloaded,
            FailureKind::Io | FailureKind::NodeLost | FailureKind::LeaseExpired => {
                ErrorKind::Unavailable
            }
            FailureKind::TimedOut => ErrorKind::DeadlineExceeded,
            FailureKind::Cancelled => ErrorKind::Cancelled,
            FailureKind::DecoderFailed | FailureKind::EncoderFailed | FailureKind::Internal => {
                ErrorKind::Internal
            }
        };
        Self { failure: Some(failure.kind), ..Self::new(kind, failure.message.as_str()) }
    }
}

/// A value that arrived and breaks what its type promises, with the path of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    field: String,
    problem: String,
}

impl WireError {
    /// Says what is wrong with a field.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// A field that must be there and is not.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new(field, "is missing")
    }

    /// The same error seen from the message that holds this one in `outer`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let field = match self.field.as_str() {
            "" => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        Self { field, ..self }
    }

    /// The field's path in the message.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.problem),
            field => write!(f, "{field}: {}", self.problem),
        }
    }
}

impl std::error::Error for WireError {}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        let message = error.to_string();
        let violation = Violation { field: error.field, problem: error.problem };
        Self { violations: vec![violation], ..Self::new(ErrorKind::InvalidArgument, message) }
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Self {
        ApiError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_status_and_keeps_its_details() {
        for kind in ErrorKind::ALL {
            let sent = ApiError {
                violations: vec![Violation { field: "a.b".into(), problem: "is odd".into() }],
                failure: Some(FailureKind::DiskFull),
                ..ApiError::new(*kind, "what went wrong")
            }
            .retry_after(Duration::from_millis(1_500));
            let status = Status::from(sent.clone());
            assert_eq!(status.code(), kind.code());
            assert_eq!(ApiError::from_status(&status), sent);
        }
    }

    #[test]
    fn a_foreign_status_gets_the_kind_of_its_code() {
        for (code, kind) in [
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::OutOfRange, ErrorKind::TooLarge),
            (Code::Unknown, ErrorKind::Internal),
        ] {
            assert_eq!(ApiError::from_status(&Status::new(code, "proxy")).kind, kind);
        }
    }

    #[test]
    fn another_domains_reason_is_not_taken_for_ours() {
        let mut details = ErrorDetails::new();
        details.set_error_info(
            ErrorKind::JobNotFound.as_str(),
            "example.org",
            std::collections::HashMap::new(),
        );
        let status = Status::with_error_details(Code::Unavailable, "x", details);
        assert_eq!(ApiError::from_status(&status).kind, ErrorKind::Unavailable);
    }

    #[test]
    fn every_failure_kind_has_a_face_and_keeps_its_name() {
        for kind in FailureKind::ALL {
            let error = ApiError::from(&Failure::new(*kind, "m"));
            assert_eq!(ApiError::from_status(&Status::from(error.clone())).failure, Some(*kind));
            assert!((400..600).contains(&error.kind.http_status()));
        }
    }

    #[test]
    fn the_path_of_a_broken_field_grows_outwards() {
        let error = WireError::missing("uri").within("reference").within("spec");
        assert_eq!(error.to_string(), "spec.reference.uri: is missing");
        let status = Status::from(error);
        assert_eq!(ApiError::from_status(&status).violations[0].field, "spec.reference.uri");
    }

    #[test]
    fn a_flood_of_a_message_is_cut() {
        let error = ApiError::new(ErrorKind::Internal, "ü".repeat(10_000));
        assert_eq!(error.message.chars().count(), MESSAGE_CHARS_MAX);
    }
}
