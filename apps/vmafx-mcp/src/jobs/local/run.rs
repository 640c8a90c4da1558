//! One job's work, and the spans that tell of it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use media::Stop;
use observability::SpanRecord;
use observability::job_trace::{self, AttemptEnd, AttemptTrace, JobTrace, RunResult};
use scoring::RunConfig;
use types::{Failure, FailureKind, JobSpec, JobView, RunTimings, ScoreReport, Stage, StageTimings};

/// How far a job is: nothing is known before its work begins.
#[derive(Debug, Clone, Default)]
pub(super) struct RunProgress(Arc<OnceLock<scoring::Progress>>);

impl RunProgress {
    fn begin(&self) -> scoring::Progress {
        self.0.get_or_init(scoring::Progress::new).clone()
    }

    /// Frames done, and frames there are once that can be told, over all distorted videos.
    pub fn read(&self) -> types::Progress {
        let progress = self.0.get();
        types::Progress {
            frames_done: progress.map_or(0, scoring::Progress::frames_done),
            frames_total: progress.and_then(scoring::Progress::frames_total),
        }
    }
}

/// What came of a job's work.
#[derive(Debug)]
pub(super) struct Worked {
    /// A report for each distorted video, or why there is none.
    pub outcome: Result<Vec<ScoreReport>, Failure>,
    /// Where the time went.
    pub timings: StageTimings,
}

impl Worked {
    /// The thread died: a defect.
    pub fn panicked() -> Self {
        let failure = Failure::new(FailureKind::Internal, "the scoring thread panicked");
        Self { outcome: Err(failure), timings: StageTimings::default() }
    }
}

/// Scores every pair of a job, in one walk over its reference. Blocks.
pub(super) fn score(
    spec: &JobSpec,
    run: &RunConfig,
    stop: &Stop,
    progress: &RunProgress,
) -> Worked {
    let began = Instant::now();
    let outcome = scoring::run_job(spec, run, stop, &progress.begin());
    let outcome = outcome.map_err(|error| error.to_failure());
    let mut timings = StageTimings::default();
    // Each report has its share of the run's times.
    for report in outcome.iter().flatten() {
        timings.absorb(&report.timings);
    }
    let took = began.elapsed();
    if outcome.is_err() {
        timings.add(Stage::Fetch, took);
    }
    timings.runs = vec![RunTimings {
        failed: outcome.is_err(),
        stages: timings.stages.clone(),
        features: timings.features.clone(),
        ..RunTimings::default()
    }];
    timings.wall = took;
    Worked { outcome, timings }
}

/// The spans of a job that has ended, below the call that submitted it: the same tree that a
/// controller and a node write together. Empty where the trace is not recorded.
pub(super) fn spans(job: &JobView) -> Vec<SpanRecord> {
    if !job.trace.flags.is_sampled() {
        return Vec::new();
    }
    let mut spans = job_trace::terminal_spans(job);
    let of_job = JobTrace { job: job.id, trace: &job.trace, root_span_id: job.root_span_id };
    let Some(attempt) = job.attempts.last() else { return spans };
    let (Some(end), Some(ended_at)) = (AttemptEnd::of_view(attempt), attempt.ended_at) else {
        return spans;
    };
    let trace = AttemptTrace::of_view(of_job, attempt, None);
    spans.push(trace.process(attempt.started_at, ended_at, &end));
    if let Some(timings) = &attempt.timings {
        let results: Vec<RunResult<'_>> = job.results.iter().map(Into::into).collect();
        let failure = end.error.map(|(kind, _)| kind);
        spans.extend(trace.stages(attempt.started_at, timings, &results, failure));
    }
    // There is no node: this process has done the work itself.
    for span in &mut spans {
        span.speaker = None;
    }
    spans
}
