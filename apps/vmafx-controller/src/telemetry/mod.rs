//! What the queue does, as spans and metrics.
//!
//! The observer is called on the queue's own threads, after the commit. It reads no store, takes
//! only locks that are held for nanoseconds, and a panic in it ends at its border. Spans are built
//! from stored ids and times alone, and only where the job's context is sampled: the tree of a job
//! is the same whichever process, or which run of it, wrote each span, and the same that
//! [`observability::job_trace::rebuild`] makes of the store.
//!
//! The tree: the root `job` span is a child of the job's `send` span; `wait` and `process` spans
//! are children of the root; `settle` is a child of the call that brought the report, or of the
//! attempt where no call did.

mod commits;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use observability::Telemetry;
use observability::job_trace::{AttemptEnd, AttemptTrace, JobTrace, commit_span, terminal_spans};
use observability::metrics::{LeaseLostCause, Metrics, NodeLiveness, RetryCause};
use types::{AttemptView, ExportReason, FailureKind, JobView, SpanId, State, TraceContext};

use crate::queue::{FinishedJob, QueueEvent, QueueObserver, QueueStats};
use crate::trace_export::TracePolicy;

use commits::LastCommit;

/// The queue's observer.
#[derive(Debug)]
pub(crate) struct QueueTelemetry {
    policy: TracePolicy,
    last_commit: LastCommit,
    telemetry: Telemetry,
    panicked: AtomicBool,
}

impl QueueTelemetry {
    pub(crate) fn new(telemetry: Telemetry, policy: TracePolicy) -> Self {
        let (last_commit, panicked) = (LastCommit::default(), AtomicBool::new(false));
        Self { policy, last_commit, telemetry, panicked }
    }

    fn is_recorded(&self, trace: &TraceContext) -> bool {
        trace.flags.is_sampled() && self.telemetry.tracer.is_enabled()
    }

    /// Runs what must not reach the queue's thread as a panic.
    fn contain<T>(&self, otherwise: T, run: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            if !self.panicked.swap(true, Ordering::Relaxed) {
                tracing::error!("telemetry panicked; the queue goes on, spans may be missing");
            }
            otherwise
        })
    }

    fn record(&self, event: &QueueEvent<'_>) {
        let queue = self.telemetry.metrics.queue();
        match event {
            QueueEvent::Submitted { trace, .. } => {
                queue.submitted(1);
                if self.is_recorded(trace) {
                    self.commit_of(trace, trace.span_id);
                }
            }
            QueueEvent::Leased { lease, available_at, started_at, .. } => {
                queue.waited(started_at.since(*available_at));
                if self.is_recorded(&lease.trace) {
                    self.commit_of(&lease.parent, lease.trace.span_id);
                }
            }
            QueueEvent::AttemptEnded { job, trace, root_span_id, attempt, lost_cause } => {
                if let Some(cause) = lost_cause {
                    queue.lease_lost(LeaseLostCause::of(*cause));
                }
                if let Some(outcome) = attempt.outcome {
                    queue.attempt(attempt.node.as_str(), outcome);
                }
                if self.is_recorded(trace) {
                    let job = JobTrace { job: *job, trace, root_span_id: *root_span_id };
                    self.attempt_ended(job, attempt, *lost_cause);
                }
            }
            QueueEvent::Retried { cause, .. } => queue.retried(RetryCause::of(*cause)),
            QueueEvent::Reported { answer } => queue.report(*answer),
            QueueEvent::JobFinished { job } => {
                if self.is_recorded(&job.trace) {
                    self.job_finished(job);
                }
            }
            QueueEvent::Unobserved { job } => {
                tracing::debug!(%job, "the end of a recorded job is told later, from the store");
                self.policy.recorded_job_lost();
            }
            QueueEvent::Committed { commit } => {
                let (writes, duration) = (commit.writes as usize, commit.end.since(commit.start));
                self.telemetry.metrics.store().committed(writes, duration);
                self.policy.committed();
                self.last_commit.set(*commit);
            }
            QueueEvent::Nondeterminism { part, digests } => {
                queue.contradicted();
                tracing::error!(
                    part = part.0,
                    stored = digests[0],
                    late = digests[1],
                    "two results of one part differ: a node computes wrongly or its input changed"
                );
            }
        }
    }

    fn attempt_ended(
        &self,
        job: JobTrace<'_>,
        attempt: &AttemptView,
        lost_cause: Option<FailureKind>,
    ) {
        let trace = AttemptTrace::of_view(job, attempt, None);
        let ended_at = attempt.ended_at.unwrap_or(attempt.started_at);
        if let (Some(_), Some(end)) = (lost_cause, AttemptEnd::of_view(attempt)) {
            // The node cannot tell any more: its span is written on its behalf.
            self.telemetry.tracer.emit_span(trace.process(attempt.started_at, ended_at, &end));
        }
        let settled_at = self.last_commit.get().map_or(ended_at, |commit| commit.end);
        let settle = trace.settle(attempt, settled_at);
        self.commit_of(&settle.context, settle.context.span_id);
        self.telemetry.tracer.emit_span(settle);
    }

    /// Writes the commit that has just been made, below `parent`.
    fn commit_of(&self, parent: &TraceContext, about: SpanId) {
        if let Some(commit) = self.last_commit.get() {
            self.telemetry.tracer.emit_span(commit_span(&commit, parent, about));
        }
    }

    fn job_finished(&self, job: &JobView) {
        for span in terminal_spans(job) {
            self.telemetry.tracer.emit_span(span);
        }
        self.policy.recorded_job_ended();
    }
}

impl QueueObserver for QueueTelemetry {
    fn observe(&self, event: &QueueEvent<'_>) {
        self.contain((), || self.record(event));
    }

    fn wants_finished(&self, job: &FinishedJob<'_>) -> bool {
        self.contain(false, || {
            self.telemetry.metrics.queue().finished(job.state, job.took);
            self.is_recorded(job.trace)
        })
    }

    fn marks_traces(&self) -> bool {
        self.policy.is_on() && self.telemetry.tracer.is_enabled()
    }

    fn trace_due(&self, job: &FinishedJob<'_>) -> Option<ExportReason> {
        self.contain(None, || self.policy.mark(job, Instant::now()))
    }
}

/// Brings the gauges up to date from numbers that are always at hand.
pub(crate) fn set_gauges(metrics: &Metrics, stats: &QueueStats) {
    let queue = metrics.queue();
    queue.set_depth(State::Queued, stats.queued);
    queue.set_depth(State::Running, stats.running);
    queue.set_delayed(stats.delayed);
    queue.set_oldest_age(stats.oldest_wait);
    queue.set_commands(stats.commands_waiting);
    queue.set_slots(stats.slots, stats.slots_busy);
    metrics.store().set_disk_sync(stats.fsync_p50);
    queue.set_nodes(NodeLiveness::Alive, stats.nodes_alive);
    queue.set_nodes(NodeLiveness::Unknown, stats.nodes.saturating_sub(stats.nodes_alive));
}

/// How often the gauges are brought up to date between scrapes, for metrics that are pushed.
pub(crate) const GAUGES_INTERVAL: Duration = Duration::from_secs(5);
