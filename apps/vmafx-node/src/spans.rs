//! The spans of an attempt.
//!
//! The `process` span has the id that came with the lease and is written when the report has been
//! answered; its stages are written when the work is over, from the times that the run measured.
//! All are recorded if the lease's trace is sampled.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use observability::schema::{attr, span_name};
use observability::{KeyValue, Origin, SpanKind, SpanLink, SpanRecord, Tracer, new_span_id};
use types::{Lease, NodeId, ReportAnswer, ScoreReport, Stage};

use crate::attempt::{Arrival, EndLabel};
use crate::shared::Shared;
use crate::worker::Worked;

/// The system of the queue's spans.
const SYSTEM: &str = "vmafx";

/// The destination of the queue's spans.
const DESTINATION: &str = "vmafx.jobs";

/// What the link to the job says of itself.
const CREATION: &str = "creation";

/// What the link to the attempt before says of itself.
const PREVIOUS_ATTEMPT: &str = "previous_attempt";

/// Writes the spans of one attempt.
#[derive(Debug)]
pub(crate) struct AttemptSpans<'a> {
    tracer: &'a Tracer,
    node_id: &'a NodeId,
    lease: &'a Lease,
    arrival: Arrival,
}

impl<'a> AttemptSpans<'a> {
    pub fn new(shared: &'a Arc<Shared>, lease: &'a Lease, arrival: Arrival) -> Self {
        Self { tracer: &shared.telemetry.tracer, node_id: &shared.node_id, lease, arrival }
    }

    fn is_recorded(&self) -> bool {
        self.lease.trace.flags.is_sampled() && self.tracer.is_enabled()
    }

    /// Writes the stages of the work, if there was any.
    pub fn stages(&self, worked: Option<&Worked>) {
        let Some(worked) = worked.filter(|_| self.is_recorded()) else { return };
        let Ok(reports) = &worked.outcome else { return };
        for (report, began_at) in reports.iter().zip(&worked.runs_began_at) {
            self.run_stages(report, *began_at);
        }
    }

    /// The stages follow each other without a gap: each begins where the one before has ended.
    fn run_stages(&self, report: &ScoreReport, began_at: SystemTime) {
        let took = |stage| report.timings.stage(stage);
        let fetched_at = began_at + took(Stage::Fetch);
        let scored_at = fetched_at + took(Stage::Decode) + took(Stage::Score);
        let pooled_at = scored_at + took(Stage::Pool);
        self.tracer.emit_span(
            self.stage(span_name::FETCH, began_at, fetched_at)
                .with(attr::WIDTH, i64::from(report.width))
                .with(attr::HEIGHT, i64::from(report.height)),
        );
        let mut score = self
            .stage(span_name::SCORE, fetched_at, scored_at)
            .with(attr::FRAME_COUNT, count(report.frames.frame_count() as u64));
        for stage in [Stage::Decode, Stage::Score] {
            score.attributes.push(seconds(attr::STAGE_SECONDS, stage.as_str(), took(stage)));
        }
        for (feature, cpu) in &report.timings.features {
            score.attributes.push(seconds(attr::FEATURE_SECONDS, feature, *cpu));
        }
        self.tracer.emit_span(score);
        let mut pool = self.stage(span_name::POOL, scored_at, pooled_at);
        if let Some(model) = report.headline() {
            pool = pool
                .with(attr::MODEL, model.version.clone())
                .with(attr::SCORE_MEAN, model.pooled.mean);
        }
        self.tracer.emit_span(pool);
    }

    fn stage(&self, name: &'static str, start: SystemTime, end: SystemTime) -> SpanRecord {
        let context = self.lease.trace.with_span(new_span_id());
        SpanRecord::new(context, SpanKind::Internal, name, start, end)
            .child_of(self.lease.trace.span_id, Origin::Local)
    }

    /// Writes the attempt's own span, which ends now.
    pub fn process(&self, end: &EndLabel, answer: Option<ReportAnswer>) {
        if !self.is_recorded() {
            return;
        }
        let lease = self.lease;
        let record = SpanRecord::new(
            lease.trace.clone(),
            SpanKind::Consumer,
            span_name::PROCESS,
            self.arrival.at,
            self.arrival.at + self.arrival.instant.elapsed(),
        )
        .child_of(lease.parent.span_id, Origin::Remote)
        .with_link(SpanLink::new(lease.trace.with_span(lease.creation), CREATION))
        .with(attr::MESSAGING_SYSTEM_NAME, SYSTEM)
        .with(attr::MESSAGING_OPERATION_NAME, "process")
        .with(attr::MESSAGING_OPERATION_TYPE, "process")
        .with(attr::MESSAGING_DESTINATION_NAME, DESTINATION)
        .with(attr::MESSAGING_MESSAGE_ID, lease.part.to_string())
        .with(attr::JOB_ID, lease.job.to_string())
        .with(attr::PART_ID, count(lease.part.0))
        .with(attr::PART_INDEX, i64::from(lease.part_index))
        .with(attr::ATTEMPT_NUMBER, i64::from(lease.attempt))
        .with(attr::FENCE, count(lease.fence.0))
        .with(attr::NODE_ID, self.node_id.to_string())
        .with(attr::QUEUE_WAIT_SECONDS, lease.queue_wait.as_secs_f64())
        .with(attr::OUTCOME, end.outcome().as_str());
        let record = match lease.previous_attempt {
            Some(previous) => {
                record.with_link(SpanLink::new(lease.trace.with_span(previous), PREVIOUS_ATTEMPT))
            }
            None => record,
        };
        let record = match answer {
            Some(answer) => record.with(attr::REPORT_ANSWER, answer.as_str()),
            None => record,
        };
        self.tracer.emit_span(match end {
            EndLabel::Failed(kind) => record.failed(kind.as_str(), "the attempt failed"),
            EndLabel::Succeeded | EndLabel::Stopped(_) => record,
        });
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(prefix: &str, what: &str, duration: Duration) -> KeyValue {
    KeyValue::new(format!("{prefix}.{what}"), duration.as_secs_f64())
}
