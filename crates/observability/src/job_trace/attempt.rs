//! The spans of one attempt.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use types::{
    AttemptOutcome, AttemptView, Encoded, FailureKind, Fence, JobId, Lease, NodeId, PartId,
    ReportAnswer, ResultView, RunTimings, ScoreReport, SpanId, Stage, StageTimings, Timestamp,
    TraceContext,
};

use super::calls::{Recorded, ReportIds, report_ids};
use super::{JobTrace, SpanRole, count, derived_span_id, meaning, messaging};
use crate::propagation::Origin;
use crate::sampler::SamplingReason;
use crate::schema::{attr, span_name};
use crate::span::{IntoSystemTime, SpanLink, SpanRecord};
use crate::speaker::Speaker;

/// What the spans of an attempt say of it.
#[derive(Debug, Clone)]
pub struct AttemptTrace<'a> {
    job: JobId,
    part: PartId,
    part_index: u32,
    attempt: u32,
    fence: Fence,
    node: &'a NodeId,
    /// The position of the attempt's own span.
    trace: TraceContext,
    /// The span it is a child of: the job's; `None` where a trace of its own begins with it.
    parent: Option<SpanId>,
    /// The position of the span that sent the job.
    creation: TraceContext,
    /// The position of the span of the attempt before.
    previous: Option<TraceContext>,
    queue_wait: Duration,
    /// Its node, where another process tells its spans.
    speaker: Option<Speaker>,
}

/// How an attempt ended, as its span tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The word of it.
    pub outcome: AttemptOutcome,
    /// Why it failed, where it did, and what happened in a few words.
    pub error: Option<(FailureKind, &'static str)>,
    /// What the controller said to the report.
    pub answer: Option<ReportAnswer>,
}

impl AttemptEnd {
    /// The attempt failed.
    pub const FAILED: &'static str = "the attempt failed";
    /// Whoever ran the attempt cannot tell any more.
    pub const VANISHED: &'static str = "the worker vanished";

    /// As the store knows it; `None` while the attempt runs.
    #[must_use]
    pub fn of_view(attempt: &AttemptView) -> Option<Self> {
        let kind = attempt.failure.as_ref().map_or(FailureKind::Internal, |failure| failure.kind);
        let outcome = attempt.outcome?;
        let error = match outcome {
            AttemptOutcome::Failed => Some((kind, Self::FAILED)),
            AttemptOutcome::Lost => Some((kind, Self::VANISHED)),
            AttemptOutcome::Succeeded | AttemptOutcome::Released | AttemptOutcome::Cancelled => {
                None
            }
        };
        let answer = attempt.settle.map(|_| ReportAnswer::Accepted);
        Some(Self { outcome, error, answer })
    }
}

/// What the stage spans say of one distorted video's result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunResult<'a> {
    width: u32,
    height: u32,
    frame_count: u64,
    /// The first model's version, and its mean.
    model: Option<(&'a str, f64)>,
    /// What was encoded, where the job asked for it.
    encoded: Option<&'a Encoded>,
}

impl RunResult<'_> {
    /// Of the distorted videos that one run scored: their frames together, and a score only where
    /// there is one to tell. `None` without any.
    fn of_all(results: &[Self]) -> Option<Self> {
        let first = *results.first()?;
        let frame_count = results.iter().map(|result| result.frame_count).sum();
        let model = first.model.filter(|_| results.len() == 1);
        Some(Self { frame_count, model, ..first })
    }
}

impl<'a> From<&'a ScoreReport> for RunResult<'a> {
    fn from(report: &'a ScoreReport) -> Self {
        let headline = report.headline();
        Self {
            width: report.width,
            height: report.height,
            frame_count: report.frames.frame_count() as u64,
            model: headline.map(|model| (model.version.as_str(), model.pooled.mean)),
            encoded: report.encoded.as_ref(),
        }
    }
}

impl<'a> From<&'a ResultView> for RunResult<'a> {
    fn from(result: &'a ResultView) -> Self {
        let headline = result.models.first();
        Self {
            width: result.width,
            height: result.height,
            frame_count: result.frame_count,
            model: headline.map(|model| (model.version.as_str(), model.pooled.mean)),
            encoded: result.encoded.as_ref(),
        }
    }
}

impl<'a> AttemptTrace<'a> {
    /// The attempt of a lease, as its node knows it.
    #[must_use]
    pub fn of_lease(lease: &'a Lease, node: &'a NodeId) -> Self {
        Self {
            job: lease.job,
            part: lease.part,
            part_index: lease.part_index,
            attempt: lease.attempt,
            fence: lease.fence,
            node,
            trace: lease.trace.clone(),
            parent: (lease.trace.trace_id == lease.parent.trace_id).then_some(lease.parent.span_id),
            creation: lease.parent.with_span(lease.creation),
            previous: lease
                .previous_attempt
                .map(|previous| lease.parent.of_attempt(lease.previous_trace, previous)),
            queue_wait: lease.queue_wait,
            speaker: None,
        }
    }

    /// An attempt as the store knows it; `before` is the one before it at the same part. What its
    /// node did is told on that node's behalf.
    #[must_use]
    pub fn of_view(
        job: JobTrace<'_>,
        attempt: &'a AttemptView,
        before: Option<&AttemptView>,
    ) -> Self {
        Self {
            job: job.job,
            part: attempt.part,
            part_index: attempt.part_index,
            attempt: attempt.attempt,
            fence: attempt.fence,
            node: &attempt.node,
            trace: attempt.trace(job.trace),
            parent: attempt.trace_id.is_none().then_some(job.root_span_id),
            creation: job.trace.clone(),
            previous: before.map(|before| before.trace(job.trace)),
            queue_wait: attempt.started_at.since(attempt.available_at),
            speaker: Some(Speaker::Node(attempt.node.clone())),
        }
    }

    /// The attempt itself.
    #[must_use]
    pub fn process(
        &self,
        start: impl IntoSystemTime,
        end: impl IntoSystemTime,
        how: &AttemptEnd,
    ) -> SpanRecord {
        let name = span_name::PROCESS;
        let mut record = SpanRecord::new(self.trace.clone(), SpanKind::Consumer, name, start, end);
        record.speaker = self.speaker.clone();
        let record = match self.parent {
            Some(parent) => record.child_of(parent, Origin::Remote),
            // A new trace, recorded because the one it links to is.
            None => record.with(attr::SAMPLING_REASON, SamplingReason::Link.as_str()),
        }
        .with_link(SpanLink::new(self.creation.clone(), meaning::CREATION));
        let mut record = self
            .about(messaging(record, "process"))
            .with(attr::QUEUE_WAIT_SECONDS, self.queue_wait.as_secs_f64())
            .with(attr::OUTCOME, how.outcome.as_str());
        if let Some(previous) = &self.previous {
            let link = SpanLink::new(previous.clone(), meaning::PREVIOUS_ATTEMPT);
            record = record.with_link(link);
        }
        if let Some(answer) = how.answer {
            record = record.with(attr::REPORT_ANSWER, answer.as_str());
        }
        match how.error {
            Some((kind, what)) => record.failed(kind.as_str(), what),
            None => record,
        }
    }

    /// The stages of the attempt's runs. They follow each other without a gap: each begins where
    /// the one before has ended. `arrived_at` is when the lease arrived at the node; `results` are
    /// the distorted videos', in the job's order, as far as there are any.
    #[must_use]
    pub fn stages(
        &self,
        arrived_at: Timestamp,
        timings: &StageTimings,
        results: &[RunResult<'_>],
        failure: Option<FailureKind>,
    ) -> Vec<SpanRecord> {
        let whole = whole_as_one(timings);
        let runs = if timings.runs.is_empty() { whole.as_slice() } else { &timings.runs };
        let mut spans = Vec::with_capacity(runs.len() * 3);
        for (place, run) in runs.iter().enumerate() {
            let began_at = arrived_at.after(run.began_after);
            let next = runs.get(place + 1).map(|next| next.distorted_index as usize);
            let own = run.distorted_index as usize..next.unwrap_or(results.len());
            let result = RunResult::of_all(results.get(own).unwrap_or_default());
            for mut span in run_stages(&self.trace, began_at, run, result, failure) {
                span.speaker = self.speaker.clone();
                spans.push(span);
            }
        }
        spans
    }

    /// The wait before the attempt, below `parent`, which stands for the job.
    pub(super) fn wait(
        &self,
        job: JobTrace<'_>,
        parent: SpanId,
        attempt: &AttemptView,
        retry_cause: Option<FailureKind>,
    ) -> SpanRecord {
        let id = derived_span_id(attempt.span_id, SpanRole::Wait, 0);
        let (start, end) = (attempt.available_at, attempt.started_at);
        let context = job.trace.with_span(id);
        let name = span_name::QUEUE_WAIT;
        let record = SpanRecord::new(context, SpanKind::Internal, name, start, end)
            .child_of(parent, Origin::Local);
        let mut record =
            self.about(record).with(attr::QUEUE_WAIT_SECONDS, self.queue_wait.as_secs_f64());
        if let Some(cause) = retry_cause {
            record = record.with(attr::RETRY_CAUSE, cause.as_str());
        }
        if let Some(previous) = &self.previous {
            let link = SpanLink::new(previous.clone(), meaning::PREVIOUS_ATTEMPT);
            record = record.with_link(link);
        }
        match self.parent {
            Some(_) => record,
            // The way on, into the attempt's own trace.
            None => record.with_link(SpanLink::new(self.trace.clone(), meaning::ATTEMPT)),
        }
    }

    /// The end of a recorded attempt in the store, from the report's arrival, or the loss, until
    /// `settled_at`.
    #[must_use]
    pub fn settle(&self, attempt: &AttemptView, settled_at: Timestamp) -> SpanRecord {
        self.settle_below(attempt, self.report_ids(attempt, Recorded::Yes), settled_at)
    }

    /// The spans of the report that ended the attempt.
    pub(super) fn report_ids(
        &self,
        attempt: &AttemptView,
        recorded: Recorded,
    ) -> Option<ReportIds> {
        report_ids(attempt, &self.trace, recorded)
    }

    /// The position of the attempt's own span.
    pub(super) fn position(&self) -> &TraceContext {
        &self.trace
    }

    /// The end of the attempt in the store, below the spans of the report where there are any.
    pub(super) fn settle_below(
        &self,
        attempt: &AttemptView,
        report: Option<ReportIds>,
        settled_at: Timestamp,
    ) -> SpanRecord {
        let lost = match (attempt.outcome, &attempt.failure) {
            (Some(AttemptOutcome::Lost), Some(failure)) => Some(failure.kind),
            _ => None,
        };
        let (parent, origin) = match report {
            Some(report) => (report.controller, Origin::Local),
            // Ended by the controller without a report, by a cancel or because the lease never
            // arrived: its node may never write the attempt's span.
            None if attempt.settle.is_none() && lost.is_none() => match self.parent {
                Some(job) => (job, Origin::Local),
                None => (self.trace.span_id, Origin::Remote),
            },
            None => (self.trace.span_id, Origin::Remote),
        };
        let id = derived_span_id(self.trace.span_id, SpanRole::Settle, 0);
        let context = self.trace.with_span(id);
        let (kind, name) = (SpanKind::Client, span_name::SETTLE);
        let record = SpanRecord::new(context, kind, name, settling_from(attempt), settled_at)
            .child_of(parent, origin);
        let outcome = attempt.outcome.map_or("", AttemptOutcome::as_str);
        let record = self.about(messaging(record, "settle")).with(attr::OUTCOME, outcome);
        match lost {
            Some(cause) => record
                .with(attr::LEASE_CAUSE, cause.as_str())
                .failed(cause.as_str(), "the lease ended without a report"),
            None => record,
        }
    }

    /// Adds which attempt at which part of which job a span is about.
    fn about(&self, record: SpanRecord) -> SpanRecord {
        record
            .with(attr::MESSAGING_MESSAGE_ID, self.part.to_string())
            .with(attr::JOB_ID, self.job.to_string())
            .with(attr::PART_ID, count(self.part.0))
            .with(attr::PART_INDEX, i64::from(self.part_index))
            .with(attr::ATTEMPT_NUMBER, i64::from(self.attempt))
            .with(attr::FENCE, count(self.fence.0))
            .with(attr::NODE_ID, self.node.to_string())
    }
}

/// When an attempt's end began to be settled.
pub(super) fn settling_from(attempt: &AttemptView) -> Timestamp {
    let ended_at = attempt.ended_at.unwrap_or(attempt.started_at);
    ended_at.before(attempt.settle.unwrap_or_default())
}

/// The stages of one run below the span at `parent`, one after the other without a gap. The last
/// one tells the failure, where the run failed.
#[must_use]
pub fn run_stages(
    parent: &TraceContext,
    began_at: Timestamp,
    run: &RunTimings,
    result: Option<RunResult<'_>>,
    failure: Option<FailureKind>,
) -> Vec<SpanRecord> {
    let mut spans = Vec::with_capacity(4);
    let took = |stage| run.stage(stage).unwrap_or_default();
    // What did not happen in a run that failed makes no span.
    let happened = |stage| !run.failed || run.stage(stage).is_some();
    // Only a job that encodes has this stage at all.
    let encode = run.stage(Stage::Encode);
    let encoded_at = began_at.after(encode.unwrap_or_default());
    let fetched_at = encoded_at.after(took(Stage::Fetch));
    let scored_at = fetched_at.after(took(Stage::Decode)).after(took(Stage::Score));
    let pooled_at = scored_at.after(took(Stage::Pool));
    let index = run.distorted_index;
    if encode.is_some() {
        let times = [began_at, encoded_at];
        let mut span = stage(parent, SpanRole::Encode, index, span_name::ENCODE, times);
        if let Some(encoded) = result.and_then(|result| result.encoded) {
            span = span
                .with(attr::ENCODED_BYTES, count(encoded.bytes))
                .with(attr::FRAME_COUNT, count(encoded.frame_count));
        }
        spans.push(span);
    }
    if happened(Stage::Fetch) {
        let mut fetch =
            stage(parent, SpanRole::Fetch, index, span_name::FETCH, [encoded_at, fetched_at]);
        if let Some(result) = result {
            fetch = fetch
                .with(attr::WIDTH, i64::from(result.width))
                .with(attr::HEIGHT, i64::from(result.height));
        }
        spans.push(fetch);
    }
    if happened(Stage::Decode) || happened(Stage::Score) {
        let mut score =
            stage(parent, SpanRole::Score, index, span_name::SCORE, [fetched_at, scored_at]);
        if let Some(result) = result {
            score = score.with(attr::FRAME_COUNT, count(result.frame_count));
        }
        for stage in [Stage::Decode, Stage::Score] {
            score.attributes.push(seconds(attr::STAGE_SECONDS, stage.as_str(), took(stage)));
        }
        for (feature, cpu) in &run.features {
            score.attributes.push(seconds(attr::FEATURE_SECONDS, feature, *cpu));
        }
        spans.push(score);
    }
    if happened(Stage::Pool) {
        let mut pool =
            stage(parent, SpanRole::Pool, index, span_name::POOL, [scored_at, pooled_at]);
        if let Some((model, mean)) = result.and_then(|result| result.model) {
            pool = pool.with(attr::MODEL, model.to_owned()).with(attr::SCORE_MEAN, mean);
        }
        spans.push(pool);
    }
    let failed_in = failure.filter(|_| run.failed);
    if let Some(kind) = failed_in
        && let Some(last) = spans.pop()
    {
        spans.push(last.failed(kind.as_str(), AttemptEnd::FAILED));
    }
    spans
}

fn stage(
    parent: &TraceContext,
    role: SpanRole,
    index: u32,
    name: &'static str,
    [start, end]: [Timestamp; 2],
) -> SpanRecord {
    let id = derived_span_id(parent.span_id, role, index);
    let context = parent.with_span(id);
    SpanRecord::new(context, SpanKind::Internal, name, start, end)
        .child_of(parent.span_id, Origin::Local)
}

/// The attempt's stages as those of one run, for a node that does not tell its runs.
fn whole_as_one(timings: &StageTimings) -> Vec<RunTimings> {
    const OF_A_RUN: [Stage; 5] =
        [Stage::Encode, Stage::Fetch, Stage::Decode, Stage::Score, Stage::Pool];
    const OF_EVERY_RUN: usize = 4;
    let stages: Vec<_> =
        timings.stages.iter().filter(|(stage, _)| OF_A_RUN.contains(stage)).copied().collect();
    if stages.is_empty() {
        return Vec::new();
    }
    vec![RunTimings {
        distorted_index: 0,
        began_after: timings.stage(Stage::Start),
        // Only what is known to have happened is shown.
        failed: stages.iter().filter(|(stage, _)| *stage != Stage::Encode).count() < OF_EVERY_RUN,
        stages,
        features: timings.features.clone(),
    }]
}

/// Whole microseconds, which is what the wire and the store keep.
fn seconds(prefix: &str, what: &str, duration: Duration) -> KeyValue {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    KeyValue::new(format!("{prefix}.{what}"), Duration::from_micros(micros).as_secs_f64())
}
