//! One job's work, and the spans that tell of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::Stop;
use observability::SpanRecord;
use observability::job_trace::{self, AttemptEnd, AttemptTrace, JobTrace, RunResult};
use scoring::{RunConfig, ScoreRequest};
use types::{Failure, FailureKind, JobSpec, JobView, RunTimings, ScoreReport, Stage, StageTimings};

/// How far the runs of one job are: one for each distorted video, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct RunsProgress(Arc<Mutex<Vec<scoring::Progress>>>);

impl RunsProgress {
    fn lock(&self) -> MutexGuard<'_, Vec<scoring::Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> scoring::Progress {
        let progress = scoring::Progress::new();
        self.lock().push(progress.clone());
        progress
    }

    /// Frames done over all runs; frames there are, once every one of the `expected` runs can tell.
    pub fn read(&self, expected: usize) -> types::Progress {
        let runs = self.lock();
        let frames_done = runs.iter().map(scoring::Progress::frames_done).sum();
        let all_begun = !runs.is_empty() && runs.len() >= expected;
        let totals = runs.iter().map(scoring::Progress::frames_total);
        let frames_total = if all_begun { totals.sum() } else { None };
        types::Progress { frames_done, frames_total }
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

/// Scores every pair of a job, one after the other. Blocks.
pub(super) fn score(
    spec: &JobSpec,
    run: &RunConfig,
    stop: &Stop,
    progress: &RunsProgress,
) -> Worked {
    let began = Instant::now();
    let mut timings = StageTimings::default();
    let mut reports = Vec::with_capacity(spec.distorted.len());
    let mut failed = None;
    for index in 0..spec.distorted.len() {
        let began_after = began.elapsed();
        match one(spec, index, run, stop, progress) {
            Ok(report) => {
                add_run(&mut timings, index, began_after, &report);
                reports.push(report);
            }
            Err(failure) => {
                let spent = began.elapsed().saturating_sub(began_after);
                timings.add(Stage::Fetch, spent);
                timings.runs.push(RunTimings {
                    distorted_index: u32::try_from(index).unwrap_or(u32::MAX),
                    began_after,
                    failed: true,
                    stages: vec![(Stage::Fetch, spent)],
                    features: Vec::new(),
                });
                failed = Some(failure);
                break;
            }
        }
    }
    timings.wall = began.elapsed();
    Worked { outcome: failed.map_or(Ok(reports), Err), timings }
}

fn one(
    spec: &JobSpec,
    index: usize,
    run: &RunConfig,
    stop: &Stop,
    progress: &RunsProgress,
) -> Result<ScoreReport, Failure> {
    let request = ScoreRequest::from_job(spec, index).ok_or_else(|| {
        Failure::new(FailureKind::InvalidJob, format!("there is no distorted video {index}"))
    })?;
    scoring::run(&request, run, stop, &progress.begin()).map_err(|error| error.to_failure())
}

fn add_run(timings: &mut StageTimings, index: usize, began_after: Duration, report: &ScoreReport) {
    let of_run = &report.timings;
    for (stage, took) in &of_run.stages {
        timings.add(*stage, *took);
    }
    for (feature, cpu) in &of_run.features {
        match timings.features.iter_mut().find(|(known, _)| known == feature) {
            Some((_, sum)) => *sum += *cpu,
            None => timings.features.push((feature.clone(), *cpu)),
        }
    }
    timings.runs.push(RunTimings {
        distorted_index: u32::try_from(index).unwrap_or(u32::MAX),
        began_after,
        failed: false,
        stages: of_run.stages.clone(),
        features: of_run.features.clone(),
    });
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
