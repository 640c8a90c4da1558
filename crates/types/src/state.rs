//! The states of a part and of a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a part or a job stands, and who moves it next. `docs/job-states.md` draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for a node, or for its retry time. The scheduler moves it.
    Queued,
    /// Leased to a node. Its report, its lease's end or a cancel moves it.
    Running,
    /// Ended with a result. Final.
    Succeeded,
    /// Ended without one: a final failure, or retries used up. Only a retry by hand moves it.
    Failed,
    /// Ended because somebody asked for it. Final.
    Cancelled,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Whether nothing but a retry by hand moves it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The word used on every face: `queued`, `running`, `succeeded`, `failed`, `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Says that a word names no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseStateError(String);

impl fmt::Display for ParseStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a state; use queued, running, succeeded, failed or cancelled",
            self.0
        )
    }
}

impl std::error::Error for ParseStateError {}

impl FromStr for State {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| ParseStateError(text.chars().take(64).collect()))
    }
}
