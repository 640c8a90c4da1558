//! What both faces do: the one way in which jobs are submitted, reports taken and errors told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use observability::job_trace::root_span_id;
use observability::layers::{ServedCall, ServerSpan};
use observability::metrics::RetryCause;
use observability::schema::{attr, span_name};
use observability::{ActiveSpan, Parent, Position, Telemetry, new_span_id, new_trace_id};
use opentelemetry::trace::SpanKind;
use proto::ApiError;
use proto::rpc::{RetryJobs, Submit};
use service::{ForceBudget, Tokens};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use types::{
    AttemptReport, CallerSpan, Incarnation, JobSpec, ReportAnswer, ReportSpans, ReportWay,
    SessionId, SubmitCall, SubmitMethod, TraceContext, TraceFlags,
};

use crate::error::api_error;
use crate::queue::{Idempotency, Queue, RetrySelection, Submission, Submitted};

/// What both faces share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) queue: Queue,
    pub(crate) telemetry: Telemetry,
    /// Who may call; `None` lets everybody.
    pub(crate) tokens: Option<Tokens>,
    /// How often whoever calls may force a trace; `None` where callers are known.
    pub(crate) forced: Option<ForceBudget>,
    /// Whether whoever reaches the HTTP face may change how this process works: callers are known,
    /// or come from this machine.
    pub(crate) admin: bool,
    /// Whether new work is welcome.
    pub(crate) ready: AtomicBool,
    /// Cancelled when the controller goes down: streams end.
    pub(crate) closing: CancellationToken,
    pub(crate) stream_age_max: Duration,
}

impl App {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Puts jobs into the queue, all or none, durably. Each gets a `send` span, whose context is
    /// the job's creation context.
    ///
    /// `server` is the span of the request, which is one of `method`. A job that forces its trace has
    /// it recorded too.
    pub(crate) async fn submit(
        &self,
        method: SubmitMethod,
        jobs: Vec<Submit>,
        server: Option<&ServerSpan>,
    ) -> Result<Vec<Submitted>, ApiError> {
        let mut spans = Vec::with_capacity(jobs.len());
        let mut submissions = Vec::with_capacity(jobs.len());
        // Before a job makes it the first span of its trace.
        let call = server.and_then(ServerSpan::call).map(|call| self.submit_call(method, &call));
        for job in jobs {
            let (span, mut submission) = self.submission(job, server);
            submission.call = call.map(|call| SubmitCall { sent_at: self.queue.now(), ..call });
            spans.push(span);
            submissions.push(submission);
        }
        // Told once, for the error is logged where it is told.
        let result = self.queue.submit(submissions).await.map_err(|error| api_error(&error));
        match &result {
            Ok(submitted) => {
                for (span, submitted) in spans.iter_mut().zip(submitted) {
                    if span.is_recording() {
                        span.set(attr::JOB_ID, submitted.job.to_string());
                    }
                }
            }
            Err(error) => {
                let kind = error.kind.as_str();
                spans.iter_mut().for_each(|span| span.fail(kind, "the job was not accepted"));
            }
        }
        result
    }

    fn submission(&self, job: Submit, server: Option<&ServerSpan>) -> (ActiveSpan, Submission) {
        let Submit { spec, idempotency_key } = job;
        let forced = spec.force_trace && self.may_force();
        let mut builder = self.telemetry.tracer.span(span_name::SEND).kind(SpanKind::Producer);
        if forced {
            server.inspect(|server| server.promote());
            builder = builder.force();
        }
        if let Some(server) = server {
            builder = builder.parent(Parent::Context(server.cx()));
        }
        let mut span = builder.start();
        if span.is_recording() {
            span.set(attr::MESSAGING_SYSTEM_NAME, "vmafx");
            span.set(attr::MESSAGING_OPERATION_NAME, "send");
            span.set(attr::MESSAGING_OPERATION_TYPE, "send");
            span.set(attr::MESSAGING_DESTINATION_NAME, "vmafx.jobs");
            span.set(attr::JOB_PRIORITY, i64::from(spec.priority.get()));
        }
        let mut trace = match (span.trace(), span.position()) {
            (Some(trace), Position::Own | Position::Callers) => trace,
            // The id that the logs know is the call's and not the sending's.
            (Some(trace), Position::Local) => trace.with_span(new_span_id()),
            (None, _) => TraceContext {
                trace_id: new_trace_id(),
                span_id: new_span_id(),
                flags: TraceFlags(0),
                tracestate: String::new(),
            },
        };
        if forced {
            // Where this process exports nothing, the nodes may.
            trace.flags = TraceFlags(trace.flags.0 | TraceFlags::SAMPLED.0);
        }
        let idempotency =
            idempotency_key.map(|key| Idempotency { key, body_digest: body_digest(&spec) });
        // Says whose span the creation context is, for who tells the trace again.
        let root_span_id = match span.position() {
            Position::Own | Position::Local => root_span_id(trace.span_id),
            Position::Callers => new_span_id(),
        };
        let tenant = String::new();
        (span, Submission { spec, tenant, idempotency, trace, root_span_id, call: None })
    }

    /// The request as it is kept with its jobs.
    fn submit_call(&self, method: SubmitMethod, call: &ServedCall) -> SubmitCall {
        let now = self.queue.now();
        let is_parent = call.is_recorded;
        SubmitCall {
            method,
            span_id: call.trace.span_id,
            caller: call.caller.map(|span_id| CallerSpan { span_id, is_parent }),
            began_at: now.before(call.elapsed),
            sent_at: now,
        }
    }

    /// Whether a wish for a trace is granted.
    fn may_force(&self) -> bool {
        let granted = self.forced.as_ref().is_none_or(|budget| budget.take(Instant::now()));
        if !granted {
            tracing::warn!(
                per_minute = service::FORCED_PER_MINUTE,
                "too many forced traces: the job is accepted, its trace follows the sampling ratio"
            );
        }
        granted
    }

    /// Puts failed jobs back into the queue.
    pub(crate) async fn retry(&self, which: RetryJobs) -> Result<u64, ApiError> {
        let which = match which {
            RetryJobs::Ids(ids) => RetrySelection::Ids(ids),
            RetryJobs::Filter(filter) => RetrySelection::Filter(filter),
        };
        let retried = self.queue.retry(which).await.map_err(|error| api_error(&error))?;
        for _ in 0..retried {
            self.telemetry.metrics.queue().retried(RetryCause::ByHand);
        }
        Ok(retried)
    }

    /// Takes a node's report.
    pub(crate) async fn report(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        report: AttemptReport,
    ) -> Result<ReportAnswer, ApiError> {
        let call = ServerSpan::current().and_then(|server| server.call());
        let way = call.map_or(ReportWay::CALL, |call| report_way(&call, ReportWay::CALL));
        let answer = self.queue.report(session, incarnation, report, way).await;
        answer.map_err(|error| api_error(&error))
    }
}

/// The way of a report with the spans of what brought it.
pub(crate) fn report_way(brought: &ServedCall, way: ReportWay) -> ReportWay {
    let ServedCall { trace, caller, is_recorded, elapsed } = brought;
    let (trace_id, span_id) = (trace.trace_id, trace.span_id);
    let spans = ReportSpans { trace_id, span_id, caller: *caller, is_recorded: *is_recorded };
    ReportWay { lead: *elapsed, spans: Some(spans), ..way }
}

/// What an idempotency key stands for: the same on both faces for the same job.
fn body_digest(spec: &JobSpec) -> [u8; 32] {
    // Maps in a spec are sorted, so that equal specs have equal text.
    Sha256::digest(serde_json::to_vec(spec).unwrap_or_default()).into()
}
