//! What the queue does, as spans and metrics.
//!
//! The observer is called on the queue's own threads, after the commit. It reads no store, takes
//! only locks that are held for nanoseconds, and a panic in it ends at its border. Spans are built
//! from stored ids and times alone, and only where the job's context is sampled: the tree of a job
//! is the same whichever process, or which run of it, wrote each span.
//!
//! The tree: the root `job` span is a child of the job's `send` span; `wait` and `process` spans
//! are children of the root; `settle` is a child of the call that brought the report, or of the
//! attempt where no call did.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use observability::metrics::{LeaseLostCause, Metrics, NodeLiveness, RetryCause};
use observability::schema::{attr, span_name};
use observability::{Origin, SpanLink, SpanRecord, Telemetry, new_span_id};
use opentelemetry::trace::SpanKind;
use types::{
    AttemptOutcome, AttemptView, FailureKind, Fence, JobId, JobView, PartId, SpanId, State,
    Timestamp, TraceContext,
};

use crate::queue::{FinishedJob, QueueEvent, QueueObserver, QueueStats};

/// Reports in flight that are remembered, so that their settle span finds its parent.
pub const REPORTS_IN_FLIGHT_MAX: usize = 16_384;
/// Attempts of one job that get a wait span.
pub const WAIT_SPANS_MAX: usize = 256;
/// Failed jobs that are remembered, so that a retry by hand does not repeat their spans.
pub const FAILED_REMEMBERED_MAX: usize = 4_096;

/// A commit that seems to have taken longer is a clock that was set.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(30);

/// The system of the queue's spans and metrics.
const SYSTEM: &str = "vmafx";
/// The destination of the queue's spans.
const DESTINATION: &str = "vmafx.jobs";

type ReportKey = (PartId, Fence);

/// Which call brings which report: from the call's start until it is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportsInFlight(Arc<Mutex<HashMap<ReportKey, TraceContext>>>);

/// Forgets its report when dropped.
#[derive(Debug)]
pub(crate) struct ReportInFlight {
    reports: ReportsInFlight,
    key: ReportKey,
}

impl ReportsInFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<ReportKey, TraceContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that the call at `trace` brings the report of `part`, while the guard lives.
    pub(crate) fn begin(
        &self,
        part: PartId,
        fence: Fence,
        trace: Option<TraceContext>,
    ) -> Option<ReportInFlight> {
        let trace = trace.filter(|trace| trace.flags.is_sampled())?;
        let mut reports = self.lock();
        if reports.len() >= REPORTS_IN_FLIGHT_MAX {
            return None;
        }
        reports.insert((part, fence), trace);
        Some(ReportInFlight { reports: self.clone(), key: (part, fence) })
    }

    /// The call that brings this report, if it belongs to the job's trace.
    fn call_of(&self, attempt: &AttemptView, job: &TraceContext) -> Option<SpanId> {
        let reports = self.lock();
        let call = reports.get(&(attempt.part, attempt.fence))?;
        (call.trace_id == job.trace_id).then_some(call.span_id)
    }
}

impl Drop for ReportInFlight {
    fn drop(&mut self) {
        self.reports.lock().remove(&self.key);
    }
}

/// Adds what every span of the queue says.
pub(crate) fn messaging(record: SpanRecord, operation: &'static str) -> SpanRecord {
    record
        .with(attr::MESSAGING_SYSTEM_NAME, SYSTEM)
        .with(attr::MESSAGING_OPERATION_NAME, operation)
        .with(attr::MESSAGING_OPERATION_TYPE, operation)
        .with(attr::MESSAGING_DESTINATION_NAME, DESTINATION)
}

/// The queue's observer.
#[derive(Debug)]
pub(crate) struct QueueTelemetry {
    telemetry: Telemetry,
    reports: ReportsInFlight,
    /// Attempts shown so far of jobs that failed and may be retried by hand.
    failed: Mutex<HashMap<JobId, usize>>,
    panicked: AtomicBool,
}

impl QueueTelemetry {
    pub(crate) fn new(telemetry: Telemetry, reports: ReportsInFlight) -> Self {
        let (failed, panicked) = (Mutex::default(), AtomicBool::new(false));
        Self { telemetry, reports, failed, panicked }
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
            QueueEvent::Submitted { .. } => queue.submitted(1),
            QueueEvent::Leased { available_at, started_at, .. } => {
                queue.waited(started_at.since(*available_at));
            }
            QueueEvent::AttemptEnded { trace, root_span_id, attempt, lost_cause, .. } => {
                if let Some(cause) = lost_cause {
                    queue.lease_lost(LeaseLostCause::of(*cause));
                }
                if let Some(outcome) = attempt.outcome {
                    queue.attempt(attempt.node.as_str(), outcome);
                }
                if self.is_recorded(trace) {
                    self.attempt_ended(event, trace, *root_span_id, attempt, *lost_cause);
                }
            }
            QueueEvent::Retried { cause, .. } => queue.retried(RetryCause::of(*cause)),
            QueueEvent::Reported { answer } => queue.report(*answer),
            QueueEvent::JobFinished { job } => {
                if self.is_recorded(&job.trace) {
                    self.job_finished(job);
                }
            }
            QueueEvent::Committed { writes, duration } => {
                self.telemetry.metrics.store().committed(*writes, *duration);
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
        event: &QueueEvent<'_>,
        trace: &TraceContext,
        root_span_id: SpanId,
        attempt: &AttemptView,
        lost_cause: Option<FailureKind>,
    ) {
        let QueueEvent::AttemptEnded { job, .. } = event else { return };
        if let Some(cause) = lost_cause {
            // The node cannot tell any more: its span is written on its behalf.
            let context = trace.with_span(attempt.span_id);
            let ended_at = attempt.ended_at.unwrap_or(attempt.started_at);
            let (kind, start) = (SpanKind::Consumer, attempt.started_at);
            let record = SpanRecord::new(context, kind, span_name::PROCESS, start, ended_at)
                .child_of(root_span_id, Origin::Remote)
                .failed(cause.as_str(), "the worker vanished");
            self.telemetry.tracer.emit_span(about(messaging(record, "process"), *job, attempt));
        }
        let (parent, origin) = match self.reports.call_of(attempt, trace) {
            Some(call) => (call, Origin::Local),
            // Ended by the controller without a report, by a cancel or because the lease never
            // arrived: its node may never write the attempt's span.
            None if attempt.settle.is_none() && lost_cause.is_none() => {
                (root_span_id, Origin::Local)
            }
            None => (attempt.span_id, Origin::Remote),
        };
        let (start, end) = settling(attempt);
        let context = trace.with_span(new_span_id());
        let record = SpanRecord::new(context, SpanKind::Client, span_name::SETTLE, start, end)
            .child_of(parent, origin);
        let record = about(messaging(record, "settle"), *job, attempt);
        let outcome = attempt.outcome.map_or("", AttemptOutcome::as_str);
        let record = record.with(attr::OUTCOME, outcome);
        self.telemetry.tracer.emit_span(match lost_cause {
            Some(cause) => record
                .with(attr::LEASE_CAUSE, cause.as_str())
                .failed(cause.as_str(), "the lease ended without a report"),
            None => record,
        });
    }

    /// Writes the job's root span and its waits. A job that failed, was retried by hand and ended
    /// again gets a span of its own below the first, so that no id is written twice.
    fn job_finished(&self, job: &JobView) {
        let shown = self.attempts_shown(job);
        let finished_at = job.finished_at.unwrap_or(job.submitted_at);
        let (span_id, parent, start) = match shown {
            None => (job.root_span_id, job.trace.span_id, job.submitted_at),
            Some(shown) => {
                let again = job.attempts.get(shown).map(|attempt| attempt.available_at);
                (new_span_id(), job.root_span_id, again.unwrap_or(finished_at))
            }
        };
        let context = job.trace.with_span(span_id);
        let record =
            SpanRecord::new(context, SpanKind::Internal, span_name::JOB, start, finished_at)
                .child_of(parent, Origin::Local)
                .with(attr::JOB_ID, job.id.to_string())
                .with(attr::JOB_STATE, job.state.as_str())
                .with(attr::JOB_PRIORITY, i64::from(job.spec.priority.get()))
                .with(attr::MODEL, job.spec.model.to_string());
        let record = match job.results.first() {
            None => record,
            Some(result) => {
                let frame_count = i64::try_from(result.frame_count).unwrap_or(i64::MAX);
                let record = record
                    .with(attr::FRAME_COUNT, frame_count)
                    .with(attr::WIDTH, i64::from(result.width))
                    .with(attr::HEIGHT, i64::from(result.height));
                match result.models.first() {
                    Some(model) => record.with(attr::SCORE_MEAN, model.pooled.mean),
                    None => record,
                }
            }
        };
        self.telemetry.tracer.emit_span(match (&job.failure, job.state) {
            (Some(failure), State::Failed) => {
                record.failed(failure.kind.as_str(), "the job failed")
            }
            _ => record,
        });
        self.waits(job, span_id, shown.unwrap_or(0));
    }

    fn waits(&self, job: &JobView, parent: SpanId, skip: usize) {
        for attempt in job.attempts.iter().skip(skip).take(WAIT_SPANS_MAX) {
            let (start, end) = (attempt.available_at, attempt.started_at);
            let context = job.trace.with_span(new_span_id());
            let name = span_name::QUEUE_WAIT;
            let record = SpanRecord::new(context, SpanKind::Internal, name, start, end)
                .child_of(parent, Origin::Local);
            let wait = end.since(start).as_secs_f64();
            let record = about(record, job.id, attempt).with(attr::QUEUE_WAIT_SECONDS, wait);
            let before = job
                .attempts
                .iter()
                .filter(|other| other.part == attempt.part && other.fence < attempt.fence)
                .max_by_key(|other| other.fence);
            self.telemetry.tracer.emit_span(match before {
                None => record,
                Some(before) => {
                    let record = match &before.failure {
                        Some(failure) => record.with(attr::RETRY_CAUSE, failure.kind.as_str()),
                        None => record,
                    };
                    let context = job.trace.with_span(before.span_id);
                    record.with_link(SpanLink::new(context, "previous_attempt"))
                }
            });
        }
    }

    /// How many attempts of this job were shown when it failed before; remembers it when it
    /// failed now.
    fn attempts_shown(&self, job: &JobView) -> Option<usize> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = failed.remove(&job.id);
        if job.state == State::Failed {
            if failed.len() >= FAILED_REMEMBERED_MAX {
                // Ids sort by submission: the oldest job is the least likely to be retried.
                if let Some(oldest) = failed.keys().min().copied() {
                    failed.remove(&oldest);
                }
            }
            failed.insert(job.id, job.attempts.len());
        }
        shown
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
}

/// From the report's arrival, or the loss, to its commit, which has just been made. Should the
/// system's clock have been set meanwhile, the commit is left out.
fn settling(attempt: &AttemptView) -> (Timestamp, Timestamp) {
    let ended_at = attempt.ended_at.unwrap_or(attempt.started_at);
    let settle = i64::try_from(attempt.settle.unwrap_or_default().as_micros()).unwrap_or(0);
    let start = Timestamp::from_unix_micros(ended_at.unix_micros().saturating_sub(settle));
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let committed_at = Timestamp::EPOCH.after(since_epoch);
    let is_sane = committed_at >= ended_at && committed_at.since(ended_at) <= COMMIT_TIME_MAX;
    (start, if is_sane { committed_at } else { ended_at })
}

/// Adds which attempt at which part of which job a span is about.
fn about(record: SpanRecord, job: JobId, attempt: &AttemptView) -> SpanRecord {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    record
        .with(attr::MESSAGING_MESSAGE_ID, attempt.part.to_string())
        .with(attr::JOB_ID, job.to_string())
        .with(attr::PART_ID, number(attempt.part.0))
        .with(attr::PART_INDEX, i64::from(attempt.part_index))
        .with(attr::ATTEMPT_NUMBER, i64::from(attempt.attempt))
        .with(attr::FENCE, number(attempt.fence.0))
        .with(attr::NODE_ID, attempt.node.to_string())
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
