//! Why the queue could not do what it was asked.

use control::StoreError;
use thiserror::Error;
use types::{SpecError, State};

/// Why the queue could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueError {
    /// No such job, or no such result of it.
    #[error("no such job")]
    NotFound,
    /// The job has no result, or not yet.
    #[error("the job is {0} and has no result")]
    NotReady(State),
    /// The key was used for a job that asked for something else.
    #[error("the idempotency key {key:?} was used for another job; use a new key")]
    IdempotencyConflict {
        /// The key.
        key: String,
    },
    /// The job breaks a bound.
    #[error("the job is malformed")]
    InvalidSpec(#[source] SpecError),
    /// The call breaks a bound.
    #[error("{0}")]
    InvalidArgument(String),
    /// The session is not known, or was replaced: register again.
    #[error("the session is unknown; register again")]
    UnknownSession,
    /// More is waiting than the queue takes: try again later.
    #[error("the queue is overloaded; try again later")]
    Overloaded,
    /// No node of that name.
    #[error("no node of that name is known")]
    UnknownNode,
    /// The store is in trouble.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The controller is going down.
    #[error("the controller is shutting down")]
    Shutdown,
}

impl QueueError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded | Self::Shutdown | Self::UnknownSession => true,
            Self::Store(error) => error.is_retryable(),
            Self::NotFound
            | Self::NotReady(_)
            | Self::IdempotencyConflict { .. }
            | Self::InvalidSpec(_)
            | Self::InvalidArgument(_)
            | Self::UnknownNode => false,
        }
    }
}
