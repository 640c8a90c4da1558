//! The spans of an attempt, as its node writes them.
//!
//! The `process` span has the id that came with the lease and is written when the report has been
//! answered; its stages are written when the work is over, from the times that the report tells
//! too, with ids that follow from the attempt's. All are recorded if the lease's trace is sampled.

use std::sync::Arc;

use observability::Tracer;
use observability::job_trace::{AttemptEnd, AttemptTrace, RunResult};
use types::{FailureKind, Lease, NodeId, ReportAnswer, ScoreReport, StageTimings};

use crate::attempt::{Arrival, EndLabel};
use crate::shared::Shared;

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

    /// Writes the stages of the work as far as there was any.
    pub fn stages(
        &self,
        timings: &StageTimings,
        reports: &[ScoreReport],
        failure: Option<FailureKind>,
    ) {
        if !self.is_recorded() || timings.runs.is_empty() {
            return;
        }
        let results: Vec<RunResult<'_>> = reports.iter().map(Into::into).collect();
        let trace = AttemptTrace::of_lease(self.lease, self.node_id);
        for span in trace.stages(self.arrival.at(), timings, &results, failure) {
            self.tracer.emit_span(span);
        }
    }

    /// Writes the attempt's own span, which ends now.
    pub fn process(&self, end: &EndLabel, answer: Option<ReportAnswer>) {
        if !self.is_recorded() {
            return;
        }
        let error = match end {
            EndLabel::Failed(kind) => Some((*kind, AttemptEnd::FAILED)),
            EndLabel::Succeeded | EndLabel::Stopped(_) => None,
        };
        let how = AttemptEnd { outcome: end.outcome(), error, answer };
        let until = self.arrival.at().after(self.arrival.instant.elapsed());
        let trace = AttemptTrace::of_lease(self.lease, self.node_id);
        self.tracer.emit_span(trace.process(self.arrival.at(), until, &how));
    }
}
