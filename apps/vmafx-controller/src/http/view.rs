//! The JSON that callers are shown. Times are RFC 3339 in UTC with microseconds, durations whole
//! microseconds in fields that end in `_us`, ids text.

use std::collections::BTreeMap;

use serde::Serialize;
use service::http::shapes::{ResultOut, Time, TimingsOut, micros};
use types::{
    AttemptOutcome, AttemptView, EarlierEnd, Failure, FrameTable, JobId, JobPage, JobSummary,
    JobView, Liveness, NodeView, SpanId, State, TraceContext, TraceId,
};

use super::body::SpecBody;

#[derive(Debug, Serialize)]
struct Trace {
    trace_id: TraceId,
    traceparent: String,
    sampled: bool,
}

impl From<&TraceContext> for Trace {
    fn from(trace: &TraceContext) -> Self {
        Self {
            trace_id: trace.trace_id,
            traceparent: trace.traceparent(),
            sampled: trace.flags.is_sampled(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ProgressOut {
    frames_done: u64,
    frames_total: Option<u64>,
}

fn progress(progress: Option<types::Progress>) -> Option<ProgressOut> {
    progress.map(|p| ProgressOut { frames_done: p.frames_done, frames_total: p.frames_total })
}

/// The answer to a submission.
#[derive(Debug, Serialize)]
pub(crate) struct SubmittedOut {
    id: JobId,
    existing: bool,
    #[serde(flatten)]
    trace: Trace,
}

impl SubmittedOut {
    pub(crate) fn new(id: JobId, existing: bool, trace: &TraceContext) -> Self {
        Self { id, existing, trace: trace.into() }
    }
}

/// One line of a list, one event of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct SummaryOut {
    id: JobId,
    #[serde(skip_serializing_if = "String::is_empty")]
    tenant: String,
    state: State,
    labels: BTreeMap<String, String>,
    priority: u8,
    submitted_at: Time,
    finished_at: Option<Time>,
    attempts: u32,
    score: Option<f64>,
    failure: Option<Failure>,
    #[serde(flatten)]
    trace: Trace,
    progress: Option<ProgressOut>,
}

impl From<JobSummary> for SummaryOut {
    fn from(job: JobSummary) -> Self {
        Self {
            trace: (&job.trace).into(),
            id: job.id,
            tenant: job.tenant,
            state: job.state,
            labels: job.labels,
            priority: job.priority,
            submitted_at: Time(job.submitted_at),
            finished_at: job.finished_at.map(Time),
            attempts: job.attempts,
            score: job.score,
            failure: job.failure,
            progress: progress(job.progress),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct PageOut {
    jobs: Vec<SummaryOut>,
    next_cursor: Option<JobId>,
}

impl From<JobPage> for PageOut {
    fn from(page: JobPage) -> Self {
        let jobs = page.jobs.into_iter().map(Into::into).collect();
        Self { jobs, next_cursor: page.next }
    }
}

#[derive(Debug, Serialize)]
struct AttemptOut {
    part_id: u64,
    part_index: u32,
    attempt: u32,
    fence: u64,
    node_id: String,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    available_at: Time,
    started_at: Time,
    ended_at: Option<Time>,
    outcome: Option<AttemptOutcome>,
    failure: Option<Failure>,
    timings: Option<TimingsOut>,
    settle_us: Option<u64>,
}

impl From<AttemptView> for AttemptOut {
    fn from(attempt: AttemptView) -> Self {
        Self {
            part_id: attempt.part.0,
            part_index: attempt.part_index,
            attempt: attempt.attempt,
            fence: attempt.fence.0,
            node_id: attempt.node.into(),
            span_id: attempt.span_id,
            trace_id: attempt.trace_id,
            available_at: Time(attempt.available_at),
            started_at: Time(attempt.started_at),
            ended_at: attempt.ended_at.map(Time),
            outcome: attempt.outcome,
            failure: attempt.failure,
            timings: attempt.timings.map(Into::into),
            settle_us: attempt.settle.map(micros),
        }
    }
}

#[derive(Debug, Serialize)]
struct EarlierEndOut {
    failed_at: Time,
    failure: Option<Failure>,
    retried_at: Time,
}

impl From<EarlierEnd> for EarlierEndOut {
    fn from(end: EarlierEnd) -> Self {
        let EarlierEnd { failed_at, failure, retried_at } = end;
        Self { failed_at: Time(failed_at), failure, retried_at: Time(retried_at) }
    }
}

/// A job with everything but its frames.
#[derive(Debug, Serialize)]
pub(crate) struct JobOut {
    id: JobId,
    #[serde(skip_serializing_if = "String::is_empty")]
    tenant: String,
    state: State,
    spec: SpecBody,
    submitted_at: Time,
    started_at: Option<Time>,
    finished_at: Option<Time>,
    available_at: Option<Time>,
    #[serde(flatten)]
    trace: Trace,
    root_span_id: SpanId,
    attempts: Vec<AttemptOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_ends: Vec<EarlierEndOut>,
    progress: Option<ProgressOut>,
    results: Vec<ResultOut>,
    failure: Option<Failure>,
    waiting_for: Option<String>,
}

impl From<JobView> for JobOut {
    fn from(job: JobView) -> Self {
        Self {
            trace: (&job.trace).into(),
            id: job.id,
            tenant: job.tenant,
            state: job.state,
            spec: job.spec.into(),
            submitted_at: Time(job.submitted_at),
            started_at: job.started_at.map(Time),
            finished_at: job.finished_at.map(Time),
            available_at: job.available_at.map(Time),
            root_span_id: job.root_span_id,
            attempts: job.attempts.into_iter().map(Into::into).collect(),
            earlier_ends: job.earlier_ends.into_iter().map(Into::into).collect(),
            progress: progress(job.progress),
            results: job.results.into_iter().map(Into::into).collect(),
            failure: job.failure,
            waiting_for: job.waiting_for,
        }
    }
}

/// Per-frame values; `null` where a feature has none for that frame.
#[derive(Debug, Serialize)]
pub(crate) struct FramesOut {
    job_id: JobId,
    distorted_index: usize,
    frame_indices: Vec<u64>,
    columns: Vec<types::Column>,
}

impl FramesOut {
    pub(crate) fn new(job_id: JobId, distorted_index: usize, table: FrameTable) -> Self {
        let FrameTable { frame_indices, columns } = table;
        Self { job_id, distorted_index, frame_indices, columns }
    }
}

#[derive(Debug, Serialize)]
struct CapabilitiesOut {
    backends: Vec<String>,
    codecs: Vec<String>,
    encoders: Vec<String>,
    encoder_versions: Vec<String>,
    slots: u32,
    isa: String,
    version: String,
}

#[derive(Debug, Serialize)]
struct NodeOut {
    id: String,
    session_id: u64,
    liveness: Liveness,
    draining: bool,
    capabilities: CapabilitiesOut,
    slots_busy: u32,
    registered_at: Time,
    last_seen_at: Time,
}

/// The fleet.
#[derive(Debug, Serialize)]
pub(crate) struct NodesOut {
    nodes: Vec<NodeOut>,
}

impl From<Vec<NodeView>> for NodesOut {
    fn from(nodes: Vec<NodeView>) -> Self {
        let node = |node: NodeView| NodeOut {
            id: node.node.into(),
            session_id: node.session.0,
            liveness: node.liveness,
            draining: node.draining,
            capabilities: CapabilitiesOut {
                backends: node.capabilities.backends,
                codecs: node.capabilities.codecs,
                encoders: node.capabilities.encoders,
                encoder_versions: node.capabilities.encoder_versions,
                slots: node.capabilities.slots,
                isa: node.capabilities.isa,
                version: node.capabilities.version,
            },
            slots_busy: node.slots_busy,
            registered_at: Time(node.registered_at),
            last_seen_at: Time(node.last_seen_at),
        };
        Self { nodes: nodes.into_iter().map(node).collect() }
    }
}
