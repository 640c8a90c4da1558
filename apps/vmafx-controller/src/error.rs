//! The queue's errors as callers of either face see them, and why a controller does not start.

use std::time::Duration;

use control::{StoreError, StoreErrorKind};
use proto::{ApiError, ErrorKind, Violation};
use service::{ListenError, TokenError};
use thiserror::Error;

use crate::config::ConfigError;
use crate::queue::QueueError;

/// How long a caller should wait before it asks an overloaded queue again.
const OVERLOAD_WAIT: Duration = Duration::from_secs(1);

/// What the queue could not do, for a caller.
pub(crate) fn api_error(error: &QueueError) -> ApiError {
    let kind = match error {
        QueueError::NotFound => ErrorKind::JobNotFound,
        QueueError::NotReady(_) => ErrorKind::NotReady,
        QueueError::IdempotencyConflict { .. } => ErrorKind::IdempotencyConflict,
        QueueError::InvalidSpec(spec) => {
            let body = service::http::shapes::spec_error(spec);
            let violation =
                Violation { field: format!("spec.{}", body.field), problem: body.problem.clone() };
            let violations = vec![violation];
            let error = ApiError::new(ErrorKind::InvalidArgument, body.problem);
            return ApiError { violations, ..error };
        }
        QueueError::InvalidArgument(_) => ErrorKind::InvalidArgument,
        QueueError::UnknownSession => ErrorKind::UnknownSession,
        QueueError::Overloaded => {
            return ApiError::new(ErrorKind::Overloaded, error.to_string())
                .retry_after(OVERLOAD_WAIT);
        }
        QueueError::UnknownNode => ErrorKind::NodeNotFound,
        QueueError::Store(store) => return store_error(store),
        QueueError::Shutdown => ErrorKind::Unavailable,
    };
    ApiError::new(kind, error.to_string())
}

/// The store's trouble, for a caller: paths and statements stay in the log.
fn store_error(error: &StoreError) -> ApiError {
    tracing::error!(operation = error.operation, error = %error, "the store failed");
    let (kind, message) = match error.kind {
        StoreErrorKind::TimedOut => {
            (ErrorKind::DeadlineExceeded, "the store did not answer in time")
        }
        StoreErrorKind::DiskFull => (ErrorKind::StoreFailed, "the store's disk is full"),
        StoreErrorKind::Corrupt
        | StoreErrorKind::Locked
        | StoreErrorKind::Version
        | StoreErrorKind::Io
        | StoreErrorKind::Internal => {
            (ErrorKind::StoreFailed, "the store failed; the controller's log says why")
        }
    };
    ApiError::new(kind, message)
}

/// Why a controller could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is not allowed.
    #[error("the configuration is not allowed")]
    Config(#[from] ConfigError),
    /// The tokens cannot be used.
    #[error("the tokens cannot be used")]
    Tokens(#[from] TokenError),
    /// The store's directory cannot be made.
    #[error("the directory of the store {path:?} cannot be made")]
    Directory {
        /// The store's file.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The queue cannot be opened.
    #[error("the queue cannot be opened")]
    Queue(#[source] QueueError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A defect of ours: a part of the faces could not be built.
    #[error("a face could not be built: {0}")]
    Face(String),
}

impl service::program::Refusal for StartError {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}
