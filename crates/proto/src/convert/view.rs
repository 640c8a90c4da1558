//! Jobs and nodes as callers see them.

use std::time::Duration;

use types::{
    AttemptOutcome, AttemptView, EarlierEnd, Fence, JobFilter, JobSummary, JobView, Liveness,
    NodeView, PartId, Progress, SessionId, SpanId, State, Timestamp, TraceId,
};

use super::node::node_id;
use super::{bounded, micros, optional, parsed, repeated, required, state};
use crate::controller as pb;
use crate::error::WireError;

/// Attempts that a view may show: each part has its own budgets.
const ATTEMPTS_MAX: usize = 100_000;

pub(super) fn unix_micros(timestamp: Timestamp) -> i64 {
    timestamp.unix_micros()
}

pub(super) fn span_id(text: &str, field: &str) -> Result<SpanId, WireError> {
    SpanId::parse(text)
        .ok_or_else(|| WireError::new(field, "is not a span id of 16 lower-case hex digits"))
}

/// Reads a trace id that may be absent.
pub(super) fn trace_id(text: &str, field: &str) -> Result<Option<TraceId>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    let problem = "is not a trace id of 32 lower-case hex digits";
    TraceId::parse(text).map(Some).ok_or_else(|| WireError::new(field, problem))
}

impl From<AttemptView> for pb::Attempt {
    fn from(attempt: AttemptView) -> Self {
        Self {
            part_id: attempt.part.0,
            part_index: attempt.part_index,
            attempt: attempt.attempt,
            fence: attempt.fence.0,
            node_id: attempt.node.into(),
            span_id: attempt.span_id.to_string(),
            available_at_us: unix_micros(attempt.available_at),
            started_at_us: unix_micros(attempt.started_at),
            ended_at_us: attempt.ended_at.map(unix_micros),
            outcome: attempt.outcome.map_or("", AttemptOutcome::as_str).to_owned(),
            failure: attempt.failure.map(Into::into),
            timings: attempt.timings.map(Into::into),
            settle_us: attempt.settle.map(micros),
            trace_id: attempt.trace_id.map(|id| id.to_string()).unwrap_or_default(),
            report: attempt.report.map(Into::into),
            leased_by: attempt.leased_by.map(Into::into),
            ended_by: attempt.ended_by.map(Into::into),
        }
    }
}

impl TryFrom<pb::Attempt> for AttemptView {
    type Error = WireError;

    fn try_from(attempt: pb::Attempt) -> Result<Self, WireError> {
        Ok(Self {
            part: PartId(attempt.part_id),
            part_index: attempt.part_index,
            attempt: attempt.attempt,
            fence: Fence(attempt.fence),
            node: node_id(attempt.node_id, "node_id")?,
            span_id: span_id(&attempt.span_id, "span_id")?,
            trace_id: trace_id(&attempt.trace_id, "trace_id")?,
            available_at: Timestamp::from_unix_micros(attempt.available_at_us),
            started_at: Timestamp::from_unix_micros(attempt.started_at_us),
            ended_at: attempt.ended_at_us.map(Timestamp::from_unix_micros),
            outcome: attempt_outcome(&attempt.outcome)?,
            failure: optional(attempt.failure, "failure")?,
            timings: optional(attempt.timings, "timings")?,
            settle: attempt.settle_us.map(Duration::from_micros),
            report: optional(attempt.report, "report")?,
            leased_by: attempt.leased_by.map(Into::into),
            ended_by: attempt.ended_by.map(Into::into),
        })
    }
}

fn attempt_outcome(text: &str) -> Result<Option<AttemptOutcome>, WireError> {
    if text.is_empty() {
        return Ok(None);
    }
    let outcome = AttemptOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    outcome.map(Some).ok_or_else(|| WireError::new("outcome", format!("{text:?} is not one")))
}

impl From<EarlierEnd> for pb::EarlierEnd {
    fn from(end: EarlierEnd) -> Self {
        Self {
            failed_at_us: unix_micros(end.failed_at),
            failure: end.failure.map(Into::into),
            retried_at_us: unix_micros(end.retried_at),
        }
    }
}

impl TryFrom<pb::EarlierEnd> for EarlierEnd {
    type Error = WireError;

    fn try_from(end: pb::EarlierEnd) -> Result<Self, WireError> {
        Ok(Self {
            failed_at: Timestamp::from_unix_micros(end.failed_at_us),
            failure: optional(end.failure, "failure")?,
            retried_at: Timestamp::from_unix_micros(end.retried_at_us),
        })
    }
}

impl From<Progress> for pb::Progress {
    fn from(Progress { frames_done, frames_total }: Progress) -> Self {
        Self { frames_done, frames_total }
    }
}

impl From<pb::Progress> for Progress {
    fn from(pb::Progress { frames_done, frames_total }: pb::Progress) -> Self {
        Self { frames_done, frames_total }
    }
}

impl From<JobView> for pb::Job {
    fn from(job: JobView) -> Self {
        Self {
            id: job.id.to_string(),
            tenant: job.tenant,
            state: pb::JobState::from(job.state).into(),
            spec: Some(job.spec.into()),
            submitted_at_us: unix_micros(job.submitted_at),
            started_at_us: job.started_at.map(unix_micros),
            finished_at_us: job.finished_at.map(unix_micros),
            available_at_us: job.available_at.map(unix_micros),
            trace: Some(job.trace.into()),
            root_span_id: job.root_span_id.to_string(),
            call: job.call.map(Into::into),
            submitted_by: job.submitted_by.map(Into::into),
            attempts: job.attempts.into_iter().map(Into::into).collect(),
            earlier_ends: job.earlier_ends.into_iter().map(Into::into).collect(),
            progress: job.progress.map(Into::into),
            results: job.results.into_iter().map(Into::into).collect(),
            failure: job.failure.map(Into::into),
            waiting_for: job.waiting_for.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Job> for JobView {
    type Error = WireError;

    fn try_from(job: pb::Job) -> Result<Self, WireError> {
        Ok(Self {
            id: parsed(&job.id, "id")?,
            tenant: job.tenant,
            state: state(job.state, "state")?,
            spec: required(job.spec, "spec")?,
            submitted_at: Timestamp::from_unix_micros(job.submitted_at_us),
            started_at: job.started_at_us.map(Timestamp::from_unix_micros),
            finished_at: job.finished_at_us.map(Timestamp::from_unix_micros),
            available_at: job.available_at_us.map(Timestamp::from_unix_micros),
            trace: required(job.trace, "trace")?,
            root_span_id: span_id(&job.root_span_id, "root_span_id")?,
            call: optional(job.call, "call")?,
            submitted_by: job.submitted_by.map(Into::into),
            attempts: repeated(job.attempts, "attempts", ATTEMPTS_MAX)?,
            earlier_ends: repeated(job.earlier_ends, "earlier_ends", ATTEMPTS_MAX)?,
            progress: job.progress.map(Into::into),
            results: repeated(job.results, "results", types::JobSpec::DISTORTED_MAX)?,
            failure: optional(job.failure, "failure")?,
            waiting_for: Some(job.waiting_for).filter(|reason| !reason.is_empty()),
        })
    }
}

impl From<JobSummary> for pb::JobSummary {
    fn from(job: JobSummary) -> Self {
        Self {
            id: job.id.to_string(),
            tenant: job.tenant,
            state: pb::JobState::from(job.state).into(),
            labels: job.labels.into_iter().collect(),
            priority: job.priority.into(),
            submitted_at_us: unix_micros(job.submitted_at),
            finished_at_us: job.finished_at.map(unix_micros),
            attempts: job.attempts,
            score: job.score,
            failure: job.failure.map(Into::into),
            trace: Some(job.trace.into()),
            progress: job.progress.map(Into::into),
        }
    }
}

impl TryFrom<pb::JobSummary> for JobSummary {
    type Error = WireError;

    fn try_from(job: pb::JobSummary) -> Result<Self, WireError> {
        Ok(Self {
            id: parsed(&job.id, "id")?,
            tenant: job.tenant,
            state: state(job.state, "state")?,
            labels: job.labels.into_iter().collect(),
            priority: u8::try_from(job.priority)
                .map_err(|_| WireError::new("priority", format!("{} is over 9", job.priority)))?,
            submitted_at: Timestamp::from_unix_micros(job.submitted_at_us),
            finished_at: job.finished_at_us.map(Timestamp::from_unix_micros),
            attempts: job.attempts,
            score: job.score,
            failure: optional(job.failure, "failure")?,
            trace: required(job.trace, "trace")?,
            progress: job.progress.map(Into::into),
        })
    }
}

impl From<JobFilter> for pb::JobFilter {
    fn from(filter: JobFilter) -> Self {
        Self {
            states: filter.states.into_iter().map(|s| pb::JobState::from(s).into()).collect(),
            labels: filter.labels.into_iter().collect(),
            tenant: filter.tenant,
        }
    }
}

impl TryFrom<pb::JobFilter> for JobFilter {
    type Error = WireError;

    fn try_from(filter: pb::JobFilter) -> Result<Self, WireError> {
        bounded(filter.states.len(), "states", State::ALL.len())?;
        bounded(filter.labels.len(), "labels", types::JobSpec::LABELS_MAX)?;
        let states = filter.states.into_iter().map(|number| state(number, "states"));
        Ok(Self {
            states: states.collect::<Result<_, _>>()?,
            tenant: filter.tenant,
            labels: filter.labels.into_iter().collect(),
        })
    }
}

impl From<NodeView> for pb::Node {
    fn from(node: NodeView) -> Self {
        Self {
            node_id: node.node.into(),
            session_id: node.session.0,
            liveness: node.liveness.as_str().to_owned(),
            draining: node.draining,
            capabilities: Some(node.capabilities.into()),
            slots_busy: node.slots_busy,
            registered_at_us: unix_micros(node.registered_at),
            last_seen_at_us: unix_micros(node.last_seen_at),
        }
    }
}

impl TryFrom<pb::Node> for NodeView {
    type Error = WireError;

    fn try_from(node: pb::Node) -> Result<Self, WireError> {
        let liveness = [Liveness::Alive, Liveness::Stale, Liveness::Unknown]
            .into_iter()
            .find(|liveness| liveness.as_str() == node.liveness)
            .ok_or_else(|| WireError::new("liveness", "is none of alive, stale and unknown"))?;
        Ok(Self {
            node: node_id(node.node_id, "node_id")?,
            session: SessionId(node.session_id),
            liveness,
            draining: node.draining,
            capabilities: required(node.capabilities, "capabilities")?,
            slots_busy: node.slots_busy,
            registered_at: Timestamp::from_unix_micros(node.registered_at_us),
            last_seen_at: Timestamp::from_unix_micros(node.last_seen_at_us),
        })
    }
}
