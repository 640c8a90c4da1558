//! The calls at both ends of a job, as they are told from the store: the request that submitted it,
//! and the report that ended an attempt.
//!
//! While a recorded job runs these spans are written by whoever calls and serves: by the layers of a
//! call, and around the message where a report goes over the work stream. Of a job that was not recorded
//! the report is told as the two spans that it would have had, so that the way to the result has no gap.

use opentelemetry::trace::SpanKind;
use types::{
    AttemptView, ExportReason, JobView, ReportWay, SpanId, SubmitMethod, Timestamp, TraceContext,
};

use super::commit::Afterwards;
use super::{SpanRole, because, derived_span_id, meaning};
use crate::propagation::Origin;
use crate::schema::attr;
use crate::span::{SpanLink, SpanRecord};
use crate::speaker::Speaker;

const SUBMIT_JOB: &str = "vmafx.controller.v1.VmafxController/SubmitJob";
const SUBMIT_JOBS: &str = "vmafx.controller.v1.VmafxController/SubmitJobs";
pub(super) const REPORT_RESULT: &str = "vmafx.controller.v1.VmafxController/ReportResult";
const JOBS_ROUTE: &str = "/v1/jobs";
/// The value of `vmafx.report.way`.
pub(super) const STREAM: &str = "stream";

/// A span of a gRPC call that was answered.
fn answered(
    context: TraceContext,
    kind: SpanKind,
    method: &'static str,
    [start, end]: [Timestamp; 2],
) -> SpanRecord {
    SpanRecord::new(context, kind, method, start, end)
        .with(attr::RPC_SYSTEM_NAME, "grpc")
        .with(attr::RPC_METHOD, method)
        .with(attr::RPC_STATUS_CODE, "OK")
}

/// The request that submitted the job, where it is known: until the job was durable. It is told at
/// the head of the tree.
pub(super) fn submission(
    job: &JobView,
    commit: &Afterwards,
    reason: Option<ExportReason>,
) -> Option<SpanRecord> {
    let call = job.call.as_ref()?;
    let context = job.trace.with_span(call.span_id);
    let times = [call.began_at, commit.durable(job.submitted_at)];
    let rpc = |name| answered(context.clone(), SpanKind::Server, name, times);
    let record = match call.method {
        SubmitMethod::SubmitJob => rpc(SUBMIT_JOB),
        SubmitMethod::SubmitJobs => rpc(SUBMIT_JOBS),
        SubmitMethod::PostJobs => {
            let [start, end] = times;
            SpanRecord::new(context.clone(), SpanKind::Server, "POST /v1/jobs", start, end)
                .with(attr::HTTP_REQUEST_METHOD, "POST")
                .with(attr::HTTP_ROUTE, JOBS_ROUTE)
        }
    };
    let record = because(record, reason);
    Some(match call.caller {
        None => record,
        Some(caller) if caller.is_parent => record.child_of(caller.span_id, Origin::Remote),
        Some(caller) => {
            let mut context = context.with_span(caller.span_id);
            context.flags = context.flags.with_sampled(false);
            record.with_link(SpanLink::new(context, meaning::CALLER))
        }
    })
}

/// Whether a trace was recorded while its job ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    Yes,
    No,
}

/// The spans of a report, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportIds {
    /// The node's; `None` where it has none and the other hangs below the attempt.
    pub node: Option<SpanId>,
    /// The controller's.
    pub controller: SpanId,
}

/// The spans of the report that ended the attempt at `trace`. While a job is recorded they are those
/// of what brought it, if that is in the attempt's trace, and otherwise there are none. Of any other
/// job they are told as if they had been, under the ids that the logs know, or under such that follow
/// from the attempt's.
pub(super) fn report_ids(
    attempt: &AttemptView,
    trace: &TraceContext,
    recorded: Recorded,
) -> Option<ReportIds> {
    let known = attempt.report?.spans.filter(|spans| spans.trace_id == trace.trace_id);
    let derived = |role| derived_span_id(trace.span_id, role, 0);
    match (known, recorded) {
        (Some(spans), Recorded::Yes) if spans.is_recorded => {
            let node = spans.caller.filter(|caller| *caller != trace.span_id);
            Some(ReportIds { node, controller: spans.span_id })
        }
        (_, Recorded::Yes) => None,
        (Some(spans), Recorded::No) => {
            let node = spans.caller.filter(|caller| *caller != trace.span_id);
            let node = node.unwrap_or_else(|| derived(SpanRole::Report));
            Some(ReportIds { node: Some(node), controller: spans.span_id })
        }
        (None, Recorded::No) => Some(ReportIds {
            node: Some(derived(SpanRole::Report)),
            controller: derived(SpanRole::Reported),
        }),
    }
}

/// When a report was sent, had arrived, was durable, and was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReportTimes {
    pub sent_at: Timestamp,
    pub arrived_at: Timestamp,
    pub durable_at: Timestamp,
    pub answered_at: Timestamp,
}

/// The report that ended the attempt at `trace`, as `node` sent it and as the controller took it.
pub(super) fn report(
    attempt: &AttemptView,
    trace: &TraceContext,
    ids: ReportIds,
    times: &ReportTimes,
) -> Vec<SpanRecord> {
    let way = attempt.report.unwrap_or(ReportWay::STREAM);
    let of = |id, kind, times| {
        let record = answered(trace.with_span(id), kind, REPORT_RESULT, times);
        if way.is_call { record } else { record.with(attr::REPORT_WAY, STREAM) }
    };
    let mut spans = Vec::with_capacity(2);
    if let Some(id) = ids.node {
        let mut sent = of(id, SpanKind::Client, [times.sent_at, times.answered_at]);
        sent.speaker = Some(Speaker::Node(attempt.node.clone()));
        spans.push(sent.child_of(trace.span_id, Origin::Local));
    }
    let began_at = times.arrived_at.before(way.lead);
    let taken = of(ids.controller, SpanKind::Server, [began_at, times.durable_at]);
    let parent = ids.node.unwrap_or(trace.span_id);
    spans.push(taken.child_of(parent, Origin::Remote));
    spans
}
