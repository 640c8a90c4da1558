//! What passes between controller and node.

use std::sync::Arc;
use std::time::Duration;

use types::{
    AttemptReport, Capabilities, Failure, Fence, Incarnation, Lease, NodeId, NodeStatus, Outcome,
    PartId, Registered, Registration, ReportAnswer, RunningPart, ScoreReport, SessionId, SpanId,
    StageTimings, StopReason, ToNode,
};

use super::{bounded, convert, micros, names, parsed, repeated, required};
use crate::controller as pb;
use crate::error::WireError;
use crate::limits::RUNNING_PARTS_MAX;

/// Bytes of an instruction set's or a version's name.
const WORD_BYTES_MAX: usize = 128;

impl From<Capabilities> for pb::Capabilities {
    fn from(capabilities: Capabilities) -> Self {
        let Capabilities { backends, codecs, encoders, encoder_versions, slots, isa, version } =
            capabilities;
        Self { backends, codecs, slots, isa, version, encoders, encoder_versions }
    }
}

impl TryFrom<pb::Capabilities> for Capabilities {
    type Error = WireError;

    fn try_from(capabilities: pb::Capabilities) -> Result<Self, WireError> {
        let pb::Capabilities { backends, codecs, slots, isa, version, encoders, encoder_versions } =
            capabilities;
        if !(1..=Self::SLOTS_MAX).contains(&slots) {
            let problem = format!("{slots} is not 1 to {}", Self::SLOTS_MAX);
            return Err(WireError::new("slots", problem));
        }
        bounded(isa.len(), "isa", WORD_BYTES_MAX)?;
        bounded(version.len(), "version", WORD_BYTES_MAX)?;
        Ok(Self {
            backends: names(backends, "backends", Self::NAMES_MAX)?,
            codecs: names(codecs, "codecs", Self::NAMES_MAX)?,
            encoders: names(encoders, "encoders", Self::NAMES_MAX)?,
            encoder_versions: names(encoder_versions, "encoder_versions", Self::NAMES_MAX)?,
            slots,
            isa,
            version,
        })
    }
}

pub(super) fn node_id(text: String, field: &str) -> Result<NodeId, WireError> {
    NodeId::new(text).map_err(|error| WireError::new(field, error.to_string()))
}

impl From<Registration> for pb::RegisterNodeRequest {
    fn from(registration: Registration) -> Self {
        Self {
            node_id: registration.node.into(),
            incarnation: registration.incarnation.0,
            capabilities: Some(registration.capabilities.into()),
        }
    }
}

impl TryFrom<pb::RegisterNodeRequest> for Registration {
    type Error = WireError;

    fn try_from(request: pb::RegisterNodeRequest) -> Result<Self, WireError> {
        Ok(Self {
            node: node_id(request.node_id, "node_id")?,
            incarnation: Incarnation(request.incarnation),
            capabilities: required(request.capabilities, "capabilities")?,
        })
    }
}

impl From<Registered> for pb::RegisterNodeResponse {
    fn from(registered: Registered) -> Self {
        Self {
            session_id: registered.session.0,
            liveness_interval_us: micros(registered.liveness_interval),
            lease_us: micros(registered.lease),
        }
    }
}

impl TryFrom<pb::RegisterNodeResponse> for Registered {
    type Error = WireError;

    fn try_from(response: pb::RegisterNodeResponse) -> Result<Self, WireError> {
        let positive = |value_us, field| match value_us {
            0 => Err(WireError::new(field, "is zero")),
            other => Ok(Duration::from_micros(other)),
        };
        Ok(Self {
            session: SessionId(response.session_id),
            liveness_interval: positive(response.liveness_interval_us, "liveness_interval_us")?,
            lease: positive(response.lease_us, "lease_us")?,
        })
    }
}

impl From<RunningPart> for pb::RunningPart {
    fn from(running: RunningPart) -> Self {
        Self {
            part_id: running.part.0,
            fence: running.fence.0,
            frames_done: running.frames_done,
            frames_total: running.frames_total,
        }
    }
}

impl From<pb::RunningPart> for RunningPart {
    fn from(running: pb::RunningPart) -> Self {
        Self {
            part: PartId(running.part_id),
            fence: Fence(running.fence),
            frames_done: running.frames_done,
            frames_total: running.frames_total,
        }
    }
}

impl From<NodeStatus> for pb::NodeStatus {
    fn from(status: NodeStatus) -> Self {
        Self {
            slots_offered: status.slots_offered,
            running: status.running.into_iter().map(Into::into).collect(),
            draining: status.draining,
        }
    }
}

impl TryFrom<pb::NodeStatus> for NodeStatus {
    type Error = WireError;

    fn try_from(status: pb::NodeStatus) -> Result<Self, WireError> {
        bounded(status.slots_offered as usize, "slots_offered", Capabilities::SLOTS_MAX as usize)?;
        bounded(status.running.len(), "running", RUNNING_PARTS_MAX)?;
        Ok(Self {
            slots_offered: status.slots_offered,
            running: status.running.into_iter().map(Into::into).collect(),
            draining: status.draining,
        })
    }
}

impl From<Lease> for pb::Lease {
    fn from(lease: Lease) -> Self {
        Self {
            job_id: lease.job.to_string(),
            part_id: lease.part.0,
            part_index: lease.part_index,
            fence: lease.fence.0,
            attempt: lease.attempt,
            spec: Some(Arc::unwrap_or_clone(lease.spec).into()),
            trace: Some(lease.trace.into()),
            parent: Some(lease.parent.into()),
            queue_wait_us: micros(lease.queue_wait),
            creation_span_id: lease.creation.to_string(),
            previous_span_id: lease.previous_attempt.map(String::from).unwrap_or_default(),
            previous_trace_id: lease.previous_trace.map(String::from).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Lease> for Lease {
    type Error = WireError;

    fn try_from(lease: pb::Lease) -> Result<Self, WireError> {
        if lease.attempt == 0 {
            return Err(WireError::new("attempt", "is 0; attempts count from 1"));
        }
        Ok(Self {
            job: parsed(&lease.job_id, "job_id")?,
            part: PartId(lease.part_id),
            part_index: lease.part_index,
            fence: Fence(lease.fence),
            attempt: lease.attempt,
            spec: Arc::new(required(lease.spec, "spec")?),
            trace: required(lease.trace, "trace")?,
            parent: required(lease.parent, "parent")?,
            creation: span(&lease.creation_span_id, "creation_span_id")?,
            previous_attempt: match lease.previous_span_id.as_str() {
                "" => None,
                id => Some(span(id, "previous_span_id")?),
            },
            previous_trace: super::view::trace_id(&lease.previous_trace_id, "previous_trace_id")?,
            queue_wait: Duration::from_micros(lease.queue_wait_us),
        })
    }
}

fn span(text: &str, field: &str) -> Result<SpanId, WireError> {
    SpanId::parse(text).ok_or_else(|| WireError::new(field, "is not a span id"))
}

impl From<ToNode> for pb::ControllerMessage {
    fn from(message: ToNode) -> Self {
        use pb::controller_message::Message;
        let message = match message {
            ToNode::Lease(lease) => Message::Lease((*lease).into()),
            ToNode::Stop { part, fence, reason } => Message::Stop(pb::Stop {
                part_id: part.0,
                fence: fence.0,
                reason: pb::StopReason::from(reason).into(),
            }),
            ToNode::Reregister => Message::Reregister(pb::Empty {}),
            ToNode::Reconnect => Message::Reconnect(pb::Empty {}),
            ToNode::Drain => Message::Drain(pb::Empty {}),
            ToNode::Reported { part, fence, answer } => Message::Reported(pb::Reported {
                part_id: part.0,
                fence: fence.0,
                answer: answer.map_or(pb::ReportAnswer::Unspecified, Into::into).into(),
            }),
            ToNode::Acknowledged(number) => Message::Acknowledged(number),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::ControllerMessage> for ToNode {
    type Error = WireError;

    fn try_from(message: pb::ControllerMessage) -> Result<Self, WireError> {
        use pb::controller_message::Message;
        Ok(match message.message.ok_or_else(|| WireError::missing("message"))? {
            Message::Lease(lease) => Self::Lease(Box::new(convert(lease, "lease")?)),
            Message::Stop(stop) => Self::Stop {
                part: PartId(stop.part_id),
                fence: Fence(stop.fence),
                reason: stop_reason(stop.reason)?,
            },
            Message::Reregister(_) => Self::Reregister,
            Message::Reconnect(_) => Self::Reconnect,
            Message::Drain(_) => Self::Drain,
            Message::Reported(reported) => Self::Reported {
                part: PartId(reported.part_id),
                fence: Fence(reported.fence),
                answer: match reported.answer {
                    0 => None,
                    _ => Some(pb::ReportResultResponse { answer: reported.answer }.try_into()?),
                },
            },
            Message::Acknowledged(number) => Self::Acknowledged(number),
        })
    }
}

impl From<StopReason> for pb::StopReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Cancelled => Self::Cancelled,
            StopReason::LeaseLost => Self::LeaseLost,
        }
    }
}

fn stop_reason(number: i32) -> Result<StopReason, WireError> {
    match pb::StopReason::try_from(number) {
        Ok(pb::StopReason::Cancelled) => Ok(StopReason::Cancelled),
        Ok(pb::StopReason::LeaseLost) => Ok(StopReason::LeaseLost),
        Ok(pb::StopReason::Unspecified) | Err(_) => {
            Err(WireError::new("stop.reason", format!("{number} is not a reason")))
        }
    }
}

impl From<Failure> for pb::Failure {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind.as_str().to_owned(), message: failure.message }
    }
}

impl TryFrom<pb::Failure> for Failure {
    type Error = WireError;

    fn try_from(failure: pb::Failure) -> Result<Self, WireError> {
        Ok(Self::new(parsed(&failure.kind, "kind")?, failure.message))
    }
}

impl From<Outcome> for pb::report_result_request::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded(reports) => Self::Succeeded(pb::ScoreReports {
                reports: reports.into_iter().map(Into::into).collect(),
            }),
            Outcome::Failed(failure) => Self::Failed(failure.into()),
            Outcome::Released => Self::Released(pb::Released {}),
        }
    }
}

impl TryFrom<pb::report_result_request::Outcome> for Outcome {
    type Error = WireError;

    fn try_from(outcome: pb::report_result_request::Outcome) -> Result<Self, WireError> {
        use pb::report_result_request::Outcome as Wire;
        Ok(match outcome {
            Wire::Succeeded(succeeded) => {
                let max = types::JobSpec::DISTORTED_MAX;
                let reports: Vec<ScoreReport> =
                    repeated(succeeded.reports, "succeeded.reports", max)?;
                if reports.is_empty() {
                    return Err(WireError::missing("succeeded.reports"));
                }
                Self::Succeeded(reports)
            }
            Wire::Failed(failure) => Self::Failed(convert(failure, "failed")?),
            Wire::Released(_) => Self::Released,
        })
    }
}

/// The request that carries an attempt's report.
#[must_use]
pub fn report_request(
    session: SessionId,
    incarnation: Incarnation,
    report: AttemptReport,
) -> pb::ReportResultRequest {
    pb::ReportResultRequest {
        session_id: session.0,
        incarnation: incarnation.0,
        part_id: report.part.0,
        fence: report.fence.0,
        outcome: Some(report.outcome.into()),
        timings: Some(report.timings.into()),
        digest: report.digest.to_vec(),
    }
}

impl TryFrom<pb::ReportResultRequest> for AttemptReport {
    type Error = WireError;

    /// The session and incarnation are left to the caller: they say who reports, not what.
    fn try_from(request: pb::ReportResultRequest) -> Result<Self, WireError> {
        let digest = <[u8; 32]>::try_from(request.digest.as_slice()).map_err(|_| {
            let problem = format!("has {} bytes; a SHA-256 has 32", request.digest.len());
            WireError::new("digest", problem)
        })?;
        let timings: StageTimings = required(request.timings, "timings")?;
        Ok(Self {
            part: PartId(request.part_id),
            fence: Fence(request.fence),
            outcome: request.outcome.ok_or_else(|| WireError::missing("outcome"))?.try_into()?,
            timings,
            digest,
        })
    }
}

impl From<ReportAnswer> for pb::ReportAnswer {
    fn from(answer: ReportAnswer) -> Self {
        match answer {
            ReportAnswer::Accepted => Self::Accepted,
            ReportAnswer::Duplicate => Self::Duplicate,
            ReportAnswer::Stale => Self::Stale,
            ReportAnswer::Cancelled => Self::Cancelled,
            ReportAnswer::UnknownSession => Self::UnknownSession,
        }
    }
}

impl From<ReportAnswer> for pb::ReportResultResponse {
    fn from(answer: ReportAnswer) -> Self {
        Self { answer: pb::ReportAnswer::from(answer).into() }
    }
}

impl TryFrom<pb::ReportResultResponse> for ReportAnswer {
    type Error = WireError;

    fn try_from(response: pb::ReportResultResponse) -> Result<Self, WireError> {
        match pb::ReportAnswer::try_from(response.answer) {
            Ok(pb::ReportAnswer::Accepted) => Ok(Self::Accepted),
            Ok(pb::ReportAnswer::Duplicate) => Ok(Self::Duplicate),
            Ok(pb::ReportAnswer::Stale) => Ok(Self::Stale),
            Ok(pb::ReportAnswer::Cancelled) => Ok(Self::Cancelled),
            Ok(pb::ReportAnswer::UnknownSession) => Ok(Self::UnknownSession),
            Ok(pb::ReportAnswer::Unspecified) | Err(_) => {
                Err(WireError::new("answer", format!("{} is not an answer", response.answer)))
            }
        }
    }
}
