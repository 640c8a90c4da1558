//! One attempt, from the arrival of its lease to the answer to its report.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use media::Stop;
use observability::schema::{attr, event_name};
use observability::{Origin, context_of, with_context};
use types::{
    AttemptOutcome, AttemptReport, Failure, FailureKind, Lease, Outcome, ReportAnswer, RunTimings,
    Stage, StageTimings, Timestamp,
};

use crate::deliver::{deliver, forget};
use crate::digest::outcome_digest;
use crate::hands::{Cause, InHand};
use crate::meter::Meter;
use crate::shared::Shared;
use crate::spans::AttemptSpans;
use crate::worker::{Assignment, Done, Worked};

/// When a lease came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub instant: Instant,
    pub at: SystemTime,
}

impl Arrival {
    pub fn now() -> Self {
        Self { instant: Instant::now(), at: SystemTime::now() }
    }

    /// The moment by the wall clock, as the wire and the store keep it.
    pub fn at(self) -> Timestamp {
        Timestamp::EPOCH.after(self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

/// Runs an attempt on a task of its own, within its trace.
pub(crate) fn spawn(shared: &Arc<Shared>, lease: Lease, in_hand: Arc<InHand>) {
    let cx = context_of(&lease.trace, Origin::Local);
    let task = run(Arc::clone(shared), Arc::new(lease), in_hand, Arrival::now());
    shared.tasks.spawn(with_context(cx, task));
}

async fn run(shared: Arc<Shared>, lease: Arc<Lease>, in_hand: Arc<InHand>, arrival: Arrival) {
    // Written at once: of a process that is killed, this line is what remains.
    tracing::info!(
        name: event_name::ATTEMPT_STARTED,
        {
            { attr::JOB_ID } = %lease.job,
            { attr::PART_ID } = lease.part.0,
            { attr::FENCE } = lease.fence.0,
            { attr::ATTEMPT_NUMBER } = lease.attempt,
            { attr::NODE_ID } = %shared.node_id,
        },
        "attempt started"
    );
    let spans = AttemptSpans::new(&shared, &lease, arrival);
    let worked = work(&shared, &lease, &in_hand).await;
    let end = conclude(worked, &in_hand, arrival);
    write_stages(&spans, &end);
    let answer = match end.outcome {
        Some(outcome) => report(&shared, &lease, outcome, end.timings, end.ended).await,
        None => Reported { failure: None, answer: None },
    };
    shared.hands.put_down(in_hand.key);
    settle(&shared, &lease, &in_hand, &spans, &end.label, &answer, arrival);
}

/// Waits for a slot and does the work. `None` when the attempt was ended before it began.
async fn work(shared: &Arc<Shared>, lease: &Arc<Lease>, in_hand: &Arc<InHand>) -> Option<Worked> {
    let slots = Arc::clone(&shared.slots);
    let permit = tokio::select! {
        biased;
        () = in_hand.stopped.cancelled() => return None,
        permit = slots.acquire_owned() => permit.ok()?,
        () = shared.hands.draining() => {
            in_hand.stop(Cause::Released);
            return None;
        }
        () = shared.taken_by_streams() => {
            tracing::info!("a lease is handed back: streams hold every slot");
            in_hand.stop(Cause::Released);
            return None;
        }
    };
    let busy = shared.telemetry.metrics.node().busy();
    let limit = lease.spec.attempt_timeout.unwrap_or(shared.attempt_timeout);
    let limit = limit.min(shared.attempt_timeout);
    // From now on: the wait for a slot is not the attempt's.
    let deadline = Instant::now().checked_add(limit);
    let stop = Stop { cancel: in_hand.cancel.clone(), deadline };
    let (done, worked) = Done::channel();
    let progress = in_hand.progress.clone();
    let meter = Meter::new(shared.telemetry.metrics.node(), &in_hand.progress);
    shared.worker.start(Assignment { lease: Arc::clone(lease), stop, progress }, done);
    let worked = meter.follow(worked).await.unwrap_or_else(|_| {
        let failure =
            Failure::new(FailureKind::Internal, "a defect: the work ended without a word");
        let now = Instant::now();
        Worked { began: now, ended: now, run_began_at: SystemTime::now(), outcome: Err(failure) }
    });
    drop((busy, permit));
    count_engine(shared, &worked);
    Some(worked)
}

/// Counts what the engine did, by extractor and by model.
fn count_engine(shared: &Shared, worked: &Worked) {
    let engine = shared.telemetry.metrics.engine();
    for report in worked.outcome.iter().flatten() {
        for (feature, cpu) in &report.timings.features {
            engine.feature(feature, *cpu);
        }
        for model in &report.models {
            engine.frames(&model.version, report.frames.frame_count() as u64);
        }
    }
}

/// What is to be told of an attempt whose work is over.
struct End {
    /// `None` where nobody wants to hear of it any more.
    outcome: Option<Outcome>,
    label: EndLabel,
    timings: StageTimings,
    ended: Instant,
}

/// How an attempt ended, for metrics and its span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndLabel {
    Succeeded,
    Failed(FailureKind),
    Stopped(Cause),
}

impl EndLabel {
    /// The word of it.
    pub const fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Succeeded => AttemptOutcome::Succeeded,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Stopped(Cause::Cancelled) => AttemptOutcome::Cancelled,
            Self::Stopped(Cause::LeaseLost) => AttemptOutcome::Lost,
            Self::Stopped(Cause::Released) => AttemptOutcome::Released,
        }
    }
}

fn conclude(worked: Option<Worked>, in_hand: &InHand, arrival: Arrival) -> End {
    let now = Instant::now();
    let cause = in_hand.cause();
    let Some(worked) = worked else {
        let mut timings =
            StageTimings { arrived_at: Some(arrival.at()), ..StageTimings::default() };
        timings.add(Stage::Start, now - arrival.instant);
        // Only a cause ends an attempt before its work.
        return ended(cause.unwrap_or(Cause::Released), timings, now);
    };
    let mut timings = stage_timings(&worked, in_hand, arrival);
    timings.add(Stage::Start, worked.began.saturating_duration_since(arrival.instant));
    let ended_at = worked.ended;
    match (worked.outcome, cause) {
        // Done all the same: the controller's answer says whether it still counts.
        (Ok(reports), None | Some(Cause::Released | Cause::LeaseLost)) => End {
            outcome: Some(Outcome::Succeeded(reports)),
            label: EndLabel::Succeeded,
            timings,
            ended: ended_at,
        },
        (_, Some(cause)) => ended(cause, timings, ended_at),
        (Err(failure), None) => End {
            label: EndLabel::Failed(failure.kind),
            outcome: Some(Outcome::Failed(failure)),
            timings,
            ended: ended_at,
        },
    }
}

/// Writes the spans of the stages that are over. Of work that was stopped there are none: its
/// times are not the part's.
fn write_stages(spans: &AttemptSpans<'_>, end: &End) {
    match &end.outcome {
        Some(Outcome::Succeeded(reports)) => spans.stages(&end.timings, reports, None),
        Some(Outcome::Failed(failure)) => spans.stages(&end.timings, &[], Some(failure.kind)),
        Some(Outcome::Released) | None => {}
    }
}

fn ended(cause: Cause, timings: StageTimings, ended: Instant) -> End {
    let outcome = match cause {
        Cause::Released => Some(Outcome::Released),
        Cause::Cancelled | Cause::LeaseLost => None,
    };
    End { outcome, label: EndLabel::Stopped(cause), timings, ended }
}

/// The stages of the run. Work that failed reports no stages: its time counts as fetching until the
/// first frame was scored, and as scoring after.
fn stage_timings(worked: &Worked, in_hand: &InHand, arrival: Arrival) -> StageTimings {
    let mut timings = StageTimings { arrived_at: Some(arrival.at()), ..StageTimings::default() };
    let mut run = RunTimings {
        began_after: worked.run_began_at.duration_since(arrival.at).unwrap_or_default(),
        ..RunTimings::default()
    };
    match &worked.outcome {
        Ok(reports) => {
            // Each report has its share of the times.
            for report in reports {
                timings.absorb(&report.timings);
            }
            run.stages.clone_from(&timings.stages);
            run.features.clone_from(&timings.features);
        }
        Err(failure) => {
            let began_scoring = in_hand.progress.frames_done() > 0;
            let of_encode = [FailureKind::EncoderMissing, FailureKind::EncoderFailed];
            let stage = match began_scoring {
                true => Stage::Score,
                false if of_encode.contains(&failure.kind) => Stage::Encode,
                false => Stage::Fetch,
            };
            let took = worked.ended.saturating_duration_since(worked.began);
            timings.add(stage, took);
            run.failed = true;
            run.stages = vec![(stage, took)];
        }
    }
    timings.runs = vec![run];
    timings
}

/// What became of a report.
pub(crate) struct Reported {
    /// The failure that was reported instead of the result, where it could not be kept.
    pub failure: Option<FailureKind>,
    /// `None` when there was none, or the node left before it came.
    pub answer: Option<ReportAnswer>,
}

/// Keeps the outcome on disk, sends it until it is answered, and forgets it.
async fn report(
    shared: &Arc<Shared>,
    lease: &Lease,
    outcome: Outcome,
    timings: StageTimings,
    ended: Instant,
) -> Reported {
    let (part, fence) = (lease.part, lease.fence);
    let digest = outcome_digest(&outcome);
    let mut report = AttemptReport { part, fence, outcome, timings, digest };
    let mut failure = None;
    if let (Some(spool), Outcome::Succeeded(_) | Outcome::Failed(_)) =
        (shared.spool.clone(), &report.outcome)
    {
        let kept = report.clone();
        let put = tokio::task::spawn_blocking(move || spool.put(kept)).await;
        if let Ok(Err(error)) = put {
            tracing::error!(%error, "the result cannot be kept on disk");
            // A failure says all it has to say from memory; a result that may be lost is none.
            if matches!(report.outcome, Outcome::Succeeded(_)) {
                let instead = error.to_failure();
                failure = Some(instead.kind);
                report.outcome = Outcome::Failed(instead);
                report.digest = outcome_digest(&report.outcome);
            }
        }
    }
    report.timings.add(Stage::Spool, ended.elapsed());
    report.timings.wall = report.timings.stages.iter().map(|(_, duration)| *duration).sum();
    for (stage, took) in &report.timings.stages {
        shared.telemetry.metrics.node().stage(*stage, *took);
    }
    let answer = deliver(shared, report).await;
    if answer.is_some() {
        forget(shared, (part, fence)).await;
    }
    Reported { failure, answer }
}

fn settle(
    shared: &Shared,
    lease: &Lease,
    in_hand: &InHand,
    spans: &AttemptSpans<'_>,
    label: &EndLabel,
    reported: &Reported,
    arrival: Arrival,
) {
    let label = match reported.failure {
        Some(kind) => EndLabel::Failed(kind),
        None => label.clone(),
    };
    let took = arrival.instant.elapsed();
    let outcome = label.outcome();
    shared.telemetry.metrics.node().attempt(outcome, took);
    let lost = matches!(label, EndLabel::Stopped(Cause::LeaseLost))
        || reported.answer == Some(ReportAnswer::Stale);
    let failure = match &label {
        EndLabel::Failed(kind) => Some(kind.as_str()),
        EndLabel::Succeeded | EndLabel::Stopped(_) => None,
    };
    tracing::info!(
        name: event_name::ATTEMPT_ENDED,
        {
            { attr::JOB_ID } = %lease.job,
            { attr::PART_ID } = lease.part.0,
            { attr::FENCE } = lease.fence.0,
            { attr::ATTEMPT_NUMBER } = lease.attempt,
            { attr::NODE_ID } = %shared.node_id,
            { attr::OUTCOME } = outcome.as_str(),
            { attr::ERROR_TYPE } = failure,
            { attr::REPORT_ANSWER } = reported.answer.map(ReportAnswer::as_str),
            { attr::FRAME_COUNT } = in_hand.progress.frames_done(),
            { attr::DURATION_SECONDS } = took.as_secs_f64(),
        },
        "attempt ended"
    );
    // A lost attempt's span has been written by the controller, under the same id.
    if !lost {
        spans.process(&label, reported.answer);
    }
}
