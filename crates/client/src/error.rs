//! What can go wrong when the controller is asked: what was asked, of whom, what it answered.

use std::error::Error as StdError;
use std::sync::Arc;

use proto::{ApiError, ErrorKind, WireError};
use thiserror::Error;
use tonic::{Code, ConnectError, Status};

/// Why a call to the controller gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The address names no controller.
    #[error("{address:?} is not a controller's address ({problem}); use http://host:port")]
    BadAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The token cannot be sent in a header.
    #[error(
        "the token holds characters that no token has; use printable ASCII without white space"
    )]
    BadToken,
    /// Nobody answers at the address: the request was not sent.
    #[error(
        "{call}: no controller answers at {address} ({cause}); is it running, and is the address right?"
    )]
    Unreachable {
        /// What was asked.
        call: &'static str,
        /// Of whom.
        address: Arc<str>,
        /// What the connection attempt met.
        cause: String,
    },
    /// The controller answered with an error, or the connection broke on the way.
    #[error("{call} at {address}: {answer}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// Of whom.
        address: Arc<str>,
        /// What came back.
        answer: ApiError,
    },
    /// The controller answered with something that cannot be.
    #[error("{call} at {address}: the answer is malformed: {problem}; do the versions fit?")]
    Malformed {
        /// What was asked.
        call: &'static str,
        /// Of whom.
        address: Arc<str>,
        /// What is wrong with the answer.
        problem: WireError,
    },
}

impl ClientError {
    /// What callers branch on.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::BadAddress { .. } | Self::BadToken => ErrorKind::InvalidArgument,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Refused { answer, .. } => answer.kind,
            Self::Malformed { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same request may succeed when sent again later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Reads a status that came back, or that the transport made up.
    pub(crate) fn of_status(call: &'static str, address: &Arc<str>, status: &Status) -> Self {
        let address = Arc::clone(address);
        if let Some(connect) = find_source::<ConnectError>(status) {
            return Self::Unreachable { call, address, cause: innermost(connect) };
        }
        // What still waited for its turn on a connection that ended has not been sent.
        if let Some(unsent) =
            find_source::<hyper::Error>(status).filter(|error| error.is_canceled())
        {
            return Self::Unreachable { call, address, cause: innermost(unsent) };
        }
        let mut answer = ApiError::from_status(status);
        // Statuses that were sent have no source: this one stands for a connection that broke, as
        // it does when the controller is killed.
        if let (Code::Unknown, Some(source)) = (status.code(), StdError::source(status)) {
            answer = ApiError::new(
                ErrorKind::Unavailable,
                format!(
                    "the connection broke before the answer was whole ({}); whether the request took \
                     effect is not known",
                    innermost(source)
                ),
            );
        }
        // The transport reports its own deadline as a cancel.
        if status.code() == Code::Cancelled
            && find_source::<tonic::TimeoutExpired>(status).is_some()
        {
            answer.kind = ErrorKind::DeadlineExceeded;
        }
        if answer.message.is_empty() {
            answer.message = answer.kind.to_string();
        }
        Self::Refused { call, address, answer }
    }

    /// No answer within the deadline.
    pub(crate) fn timed_out(call: &'static str, address: &Arc<str>) -> Self {
        let answer = ApiError::new(
            ErrorKind::DeadlineExceeded,
            "no answer in time; whether the request took effect is not known",
        );
        Self::Refused { call, address: Arc::clone(address), answer }
    }
}

fn find_source<E: StdError + 'static>(status: &Status) -> Option<&E> {
    let mut next = StdError::source(status);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The text of the cause at the end of the chain: the system's own words.
fn innermost(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
