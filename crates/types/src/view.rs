//! Jobs and nodes as callers see them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calls::{Commit, ReportWay, SubmitCall};
use crate::encode::Encoded;
use crate::failure::Failure;
use crate::id::{Fence, JobId, NodeId, PartId, SessionId};
use crate::job::JobSpec;
use crate::score::{ModelScore, PooledScore, Provenance, Warning};
use crate::state::State;
use crate::time::Timestamp;
use crate::timing::StageTimings;
use crate::trace::{SpanId, TraceContext, TraceId};
use crate::work::Capabilities;

/// One try at a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// The part.
    pub part: PartId,
    /// The part's place in the job, from 0.
    pub part_index: u32,
    /// Which try it is, from 1.
    pub attempt: u32,
    /// The fence of its lease.
    pub fence: Fence,
    /// Who ran it.
    pub node: NodeId,
    /// The span that stands for it.
    pub span_id: SpanId,
    /// The trace that began with it, where it was leased so long after its part could be that it
    /// has one of its own; `None` where it belongs to the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// Since when the part could have been leased: submission, or the retry time.
    pub available_at: Timestamp,
    /// When it was leased.
    pub started_at: Timestamp,
    /// When it ended, by report or by loss.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// The node's own stage times, where it reported.
    pub timings: Option<StageTimings>,
    /// How long the report took from arrival to its commit, where there was one.
    pub settle: Option<Duration>,
    /// How the report came, where there was one and the program of then kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportWay>,
    /// The commit that made the lease durable, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_by: Option<Commit>,
    /// The commit that made the end durable, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Commit>,
}

impl AttemptView {
    /// The position of the attempt's span, in the job's trace or in its own.
    #[must_use]
    pub fn trace(&self, job: &TraceContext) -> TraceContext {
        job.of_attempt(self.trace_id, self.span_id)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// With a result.
    Succeeded,
    /// With an error the node reported.
    Failed,
    /// Its node vanished or fell silent.
    Lost,
    /// Handed back uncounted: drain.
    Released,
    /// Its job was cancelled.
    Cancelled,
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Failed, Self::Lost, Self::Released, Self::Cancelled];

    /// The word used on every face.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One distorted video's result, without its frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultView {
    /// Luma width.
    pub width: u32,
    /// Luma height.
    pub height: u32,
    /// Frames scored.
    pub frame_count: u64,
    /// The models' scores.
    pub models: Vec<ModelScore>,
    /// Every column pooled.
    pub pooled: Vec<(String, PooledScore)>,
    /// Values of the whole clip that are no statistic of its frames' values, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<(String, f64)>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// What made it.
    pub provenance: Provenance,
    /// SHA-256 over all that must be equal wherever it is scored, lower-case hex.
    pub digest: String,
    /// What came of the encode, where the job asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<Encoded>,
}

/// A failure that somebody answered by a retry by hand: the job ended, and went on later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierEnd {
    /// When the job had failed.
    pub failed_at: Timestamp,
    /// Why.
    pub failure: Option<Failure>,
    /// When it was queued again.
    pub retried_at: Timestamp,
}

/// A job with everything but its frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Whose it is; empty where there is one tenant only.
    pub tenant: String,
    /// Where it stands.
    pub state: State,
    /// What was asked.
    pub spec: JobSpec,
    /// When its submission was accepted.
    pub submitted_at: Timestamp,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// For a queued job that waits for its retry: until when.
    pub available_at: Option<Timestamp>,
    /// The creation context: the trace it belongs to, from the span that sent it.
    pub trace: TraceContext,
    /// The root span that stands for the whole job, a child of `trace.span_id`.
    pub root_span_id: SpanId,
    /// The request that submitted it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<SubmitCall>,
    /// The commit that accepted it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Commit>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptView>,
    /// How often it had failed before and was retried by hand, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_ends: Vec<EarlierEnd>,
    /// Frames done and, where known, in all, of what runs now.
    pub progress: Option<Progress>,
    /// One result a distorted video, once it has succeeded.
    pub results: Vec<ResultView>,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// Why nothing runs it although it is queued, such as that no node can.
    pub waiting_for: Option<String>,
}

/// How far the running attempts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Frames scored.
    pub frames_done: u64,
    /// Frames there are, where known.
    pub frames_total: Option<u64>,
}

/// One line of a job list, and one event of a watch: small enough to send for every change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: String,
    /// Where it stands.
    pub state: State,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its priority, 0 to 9.
    pub priority: u8,
    /// When its submission was accepted.
    pub submitted_at: Timestamp,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// How many attempts there have been.
    pub attempts: u32,
    /// The headline score: the first model's pooled mean for the first distorted video.
    pub score: Option<f64>,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// Frames done, where it runs.
    pub progress: Option<Progress>,
}

/// What a list or a watch asks for. An empty filter takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobFilter {
    /// Only these states; empty takes all.
    #[serde(default)]
    pub states: Vec<State>,
    /// Only this tenant's.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Only jobs that carry all of these labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl JobFilter {
    /// Whether a job passes.
    #[must_use]
    pub fn takes(&self, job: &JobSummary) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == job.tenant)
            && self.labels.iter().all(|(key, value)| job.labels.get(key) == Some(value))
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// The jobs. Where the filter takes few there may be none, and more on the next page.
    pub jobs: Vec<JobSummary>,
    /// Where the next page starts: the id of the last job that was looked at for this one. `None`
    /// on the last page.
    pub next: Option<JobId>,
}

/// Whether a node shows signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// Its stream is open, or its last sign is younger than two intervals.
    Alive,
    /// Its last sign is old, but its leases hold.
    Stale,
    /// Nothing heard since the controller started, or since its leases ended. Not the same as dead.
    Unknown,
}

impl Liveness {
    /// The word used on every face.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// A node as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub node: NodeId,
    /// Its present session.
    pub session: SessionId,
    /// Whether it shows signs of life.
    pub liveness: Liveness,
    /// It takes no new work.
    pub draining: bool,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Attempts it holds.
    pub slots_busy: u32,
    /// When it registered.
    pub registered_at: Timestamp,
    /// Its last sign of life.
    pub last_seen_at: Timestamp,
}
