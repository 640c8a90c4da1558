//! Calls and commits on the way of a job, as the store keeps them for whoever tells the job's trace
//! again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::trace::{SpanId, TraceId};

/// One commit of the store, which the writes of many share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// When its first statement began.
    pub start: Timestamp,
    /// When it was durable.
    pub end: Timestamp,
    /// Writes in it.
    pub writes: u64,
}

/// A commit, and what of a run's decisions it made durable: those from `since` to its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitNote {
    /// The end of the commit before, or the start of the run.
    pub since: Timestamp,
    /// The commit.
    pub commit: Commit,
}

impl CommitNote {
    /// Whether what was decided `at` became durable by this commit.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        (self.since..=self.commit.start).contains(&at)
    }
}

/// The request that submitted a job, where it has a span of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitCall {
    /// Which one it was.
    pub method: SubmitMethod,
    /// Its span, recorded or not.
    pub span_id: SpanId,
    /// Who called, where the caller told.
    pub caller: Option<CallerSpan>,
    /// When it arrived.
    pub began_at: Timestamp,
    /// When its job began to be sent to the queue.
    pub sent_at: Timestamp,
}

/// The span of whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerSpan {
    /// Its id.
    pub span_id: SpanId,
    /// Whether the call was recorded as its child. It is linked to otherwise: then nobody may have
    /// recorded the caller, and a parent that never comes tears the tree.
    pub is_parent: bool,
}

/// By which request a job may be submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmitMethod {
    /// gRPC `SubmitJob`.
    SubmitJob,
    /// gRPC `SubmitJobs`.
    SubmitJobs,
    /// HTTP `POST /v1/jobs`.
    PostJobs,
}

impl SubmitMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::SubmitJob, Self::SubmitJobs, Self::PostJobs];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SubmitJob => "submit_job",
            Self::SubmitJobs => "submit_jobs",
            Self::PostJobs => "post_jobs",
        }
    }
}

/// How the report that ended an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportWay {
    /// By a call of its own; otherwise as a message of the node's work stream.
    pub is_call: bool,
    /// From its arrival until the report was read.
    pub lead: Duration,
    /// The spans of its way, where it has any of its own.
    pub spans: Option<ReportSpans>,
}

impl ReportWay {
    /// As a message of the work stream, without spans.
    pub const STREAM: Self = Self { is_call: false, lead: Duration::ZERO, spans: None };

    /// By a call without spans.
    pub const CALL: Self = Self { is_call: true, ..Self::STREAM };
}

/// The spans of what brought a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSpans {
    /// The trace they are of; not always the attempt's.
    pub trace_id: TraceId,
    /// The controller's.
    pub span_id: SpanId,
    /// The one above it: the node's own, or the attempt where the node exports nothing.
    pub caller: Option<SpanId>,
    /// Whether the controller recorded its span.
    pub is_recorded: bool,
}
