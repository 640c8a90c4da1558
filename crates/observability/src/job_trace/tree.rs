//! The spans of a job as a whole: its root, its waits, and the whole tree from the store.

use opentelemetry::trace::SpanKind;
use types::{
    AttemptOutcome, AttemptView, ExportReason, Failure, JobView, SpanId, State, Timestamp,
    TraceFlags,
};

use super::attempt::{AttemptEnd, AttemptTrace, RunResult, settling_from};
use super::calls::{self, Recorded, ReportTimes};
use super::commit::Afterwards;
use super::{
    JobTrace, SpanRole, because, count, derived_span_id, meaning, messaging, root_span_id,
};
use crate::propagation::Origin;
use crate::schema::{attr, span_name};
use crate::span::{SpanLink, SpanRecord};

/// Attempts of one job whose spans are written; of more, the last ones.
pub const ATTEMPTS_SHOWN_MAX: usize = 256;

/// A stretch of a job's life that ended in a terminal state. Every retry by hand begins one.
struct Episode<'a> {
    span_id: SpanId,
    /// `None` for the first.
    parent: Option<SpanId>,
    start: Timestamp,
    end: Timestamp,
    state: State,
    failure: Option<&'a Failure>,
}

fn episodes(job: &JobView) -> Vec<Episode<'_>> {
    let finished_at = job.finished_at.unwrap_or(job.submitted_at);
    let (mut start, mut episodes) = (job.submitted_at, Vec::new());
    let mut add = |start, end, state, failure| {
        let number = u32::try_from(episodes.len()).unwrap_or(u32::MAX);
        let (span_id, parent) = match number {
            0 => (job.root_span_id, None),
            _ => {
                let id = derived_span_id(job.root_span_id, SpanRole::Again, number);
                (id, Some(job.root_span_id))
            }
        };
        episodes.push(Episode { span_id, parent, start, end, state, failure });
    };
    for earlier in &job.earlier_ends {
        add(start, earlier.failed_at, State::Failed, earlier.failure.as_ref());
        start = earlier.retried_at;
    }
    // A job that was retried by hand and has not ended again is told up to its last end.
    if job.state.is_terminal() {
        add(start, finished_at, job.state, job.failure.as_ref());
    }
    episodes
}

/// Where the job's root span hangs.
enum Top {
    /// Below the span that sent the job, which is recorded, or is told too.
    Send,
    /// Nowhere: whatever sent the job is not recorded, and not known.
    Nowhere(Option<ExportReason>),
}

impl Episode<'_> {
    fn record(&self, job: &JobView, top: &Top, is_last: bool) -> SpanRecord {
        let context = job.trace.with_span(self.span_id);
        let (kind, name) = (SpanKind::Internal, span_name::JOB);
        let record = SpanRecord::new(context, kind, name, self.start, self.end);
        let mut record = match (self.parent, top) {
            (Some(parent), _) => record.child_of(parent, Origin::Local),
            (None, Top::Send) => record.child_of(job.trace.span_id, Origin::Local),
            (None, Top::Nowhere(reason)) => because(record, *reason)
                .with_link(SpanLink::new(job.trace.clone(), meaning::CALLER)),
        }
        .with(attr::JOB_ID, job.id.to_string())
        .with(attr::JOB_STATE, self.state.as_str())
        .with(attr::JOB_PRIORITY, i64::from(job.spec.priority.get()))
        .with(attr::MODEL, job.spec.model.to_string());
        if let Some(result) = job.results.first().filter(|_| is_last) {
            record = record
                .with(attr::FRAME_COUNT, count(result.frame_count))
                .with(attr::WIDTH, i64::from(result.width))
                .with(attr::HEIGHT, i64::from(result.height));
            if let Some(model) = result.models.first() {
                record = record.with(attr::SCORE_MEAN, model.pooled.mean);
            }
        }
        match (self.failure, self.state) {
            (Some(failure), State::Failed) => {
                record.failed(failure.kind.as_str(), "the job failed")
            }
            _ => record,
        }
    }

    /// The attempts of this stretch, oldest first.
    fn holds(&self, attempt: &AttemptView, next: Option<&Self>) -> bool {
        attempt.available_at >= self.start
            && next.is_none_or(|next| attempt.available_at < next.start)
    }
}

/// Whether the stored creation context is of the job's own `send` span, and not of its caller: a
/// controller that exports nothing hands the caller's position on, and older ones did not tell.
fn has_send(job: &JobView) -> bool {
    job.root_span_id == root_span_id(job.trace.span_id)
}

/// The job's way into the store: the request, the span that sent the job, and the commit. Where the
/// request is not known, which an older program did not keep, the sending is told without it.
fn sending(job: &JobView, reason: Option<ExportReason>) -> Vec<SpanRecord> {
    let commit = Afterwards::of(job.submitted_by, job);
    let accepted_at = job.submitted_at;
    let start = job.call.map_or(accepted_at, |call| call.sent_at);
    let (end, name) = (commit.durable(accepted_at), span_name::SEND);
    let send = SpanRecord::new(job.trace.clone(), SpanKind::Producer, name, start, end);
    let send = messaging(send, "send")
        .with(attr::JOB_PRIORITY, i64::from(job.spec.priority.get()))
        .with(attr::JOB_ID, job.id.to_string());
    let send = match job.call {
        Some(call) => send.child_of(call.span_id, Origin::Local),
        None => because(send, reason),
    };
    let commit_span = commit.span(&job.trace, job.trace.span_id, accepted_at);
    let request = calls::submission(job, &commit, reason);
    request.into_iter().chain([send]).chain(commit_span).collect()
}

fn of_job(job: &JobView) -> JobTrace<'_> {
    JobTrace { job: job.id, trace: &job.trace, root_span_id: job.root_span_id }
}

/// The attempt before this one, at the same part.
fn attempt_before<'a>(job: &'a JobView, attempt: &AttemptView) -> Option<&'a AttemptView> {
    job.attempts
        .iter()
        .filter(|other| other.part == attempt.part && other.fence < attempt.fence)
        .max_by_key(|other| other.fence)
}

fn shown(job: &JobView) -> &[AttemptView] {
    &job.attempts[job.attempts.len().saturating_sub(ATTEMPTS_SHOWN_MAX)..]
}

fn wait(job: &JobView, episode: &Episode<'_>, attempt: &AttemptView) -> SpanRecord {
    let before = attempt_before(job, attempt);
    let cause = before.and_then(|before| before.failure.as_ref()).map(|failure| failure.kind);
    let trace = AttemptTrace::of_view(of_job(job), attempt, before);
    trace.wait(of_job(job), episode.span_id, attempt, cause)
}

/// The spans of a recorded job that are written at its end: the span that stands for it, below the
/// one that sent it, and the waits of its attempts. A job that failed, was retried by hand and ended
/// again gets a span of its own below the first, so that none is written twice.
#[must_use]
pub fn terminal_spans(job: &JobView) -> Vec<SpanRecord> {
    let episodes = episodes(job);
    let Some(last) = episodes.last() else { return Vec::new() };
    let held = shown(job).iter().filter(|attempt| last.holds(attempt, None));
    let waits = held.map(|attempt| wait(job, last, attempt));
    std::iter::once(last.record(job, &Top::Send, true)).chain(waits).collect()
}

/// The whole tree of a job that has ended, from what the store holds: sampled, and with one root,
/// the span that sent the job, or where that is not known the span that stands for it. Empty for a
/// job that has never ended.
#[must_use]
pub fn rebuild(job: &JobView, reason: ExportReason) -> Vec<SpanRecord> {
    let mut sampled = job.clone();
    sampled.trace.flags = TraceFlags(job.trace.flags.0 | TraceFlags::SAMPLED.0);
    let recorded = if job.trace.flags.is_sampled() { Recorded::Yes } else { Recorded::No };
    tree(&sampled, recorded, Some(reason), Begins::WithSend)
}

/// The tree of a recorded job once more, because what was said while it ran may not have arrived:
/// below its `send` span, which is told too if `begins` says so. Empty for a job that is not
/// recorded.
#[must_use]
pub fn rebuild_recorded(job: &JobView, begins: Begins) -> Vec<SpanRecord> {
    let is_recorded = job.trace.flags.is_sampled();
    if is_recorded { tree(job, Recorded::Yes, None, begins) } else { Vec::new() }
}

/// With which span a tree that is told again begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// The request that submitted the job, or the span that sent it: it may not have arrived.
    WithSend,
    /// The span that stands for the job: what sent it has arrived, with the call that did.
    BelowSend,
}

fn tree(
    job: &JobView,
    recorded: Recorded,
    reason: Option<ExportReason>,
    begins: Begins,
) -> Vec<SpanRecord> {
    let episodes = episodes(job);
    let Some(last) = episodes.len().checked_sub(1) else { return Vec::new() };
    let tells_send = has_send(job) && begins == Begins::WithSend;
    let is_below = tells_send || begins == Begins::BelowSend;
    let top = if is_below { Top::Send } else { Top::Nowhere(reason) };
    let mut spans = if tells_send { sending(job, reason) } else { Vec::new() };
    let told = episodes.iter().enumerate();
    spans.extend(told.map(|(index, episode)| episode.record(job, &top, index == last)));
    let unfinished_from = match job.earlier_ends.last() {
        Some(earlier) if !job.state.is_terminal() => Some(earlier.retried_at),
        _ => None,
    };
    let is_told = |at| unfinished_from.is_none_or(|from| at < from);
    for attempt in shown(job).iter().filter(|attempt| is_told(attempt.available_at)) {
        let next = |index: usize| episodes.get(index + 1);
        let episode = episodes
            .iter()
            .enumerate()
            .find(|(index, episode)| episode.holds(attempt, next(*index)))
            .map_or(&episodes[0], |(_, episode)| episode);
        spans.push(wait(job, episode, attempt));
        let lease = Afterwards::of(attempt.leased_by, job);
        let root = job.trace.with_span(job.root_span_id);
        spans.extend(lease.span(&root, attempt.span_id, attempt.started_at));
        attempt_spans(job, attempt, recorded, &mut spans);
    }
    spans
}

/// The spans of an attempt that has ended.
fn attempt_spans(
    job: &JobView,
    attempt: &AttemptView,
    recorded: Recorded,
    spans: &mut Vec<SpanRecord>,
) {
    let (Some(end), Some(ended_at)) = (AttemptEnd::of_view(attempt), attempt.ended_at) else {
        return;
    };
    let is_lost = attempt.outcome == Some(AttemptOutcome::Lost);
    // As written on its node's behalf: without the link, which the wait before it has.
    let before_it = attempt_before(job, attempt).filter(|_| !is_lost);
    let trace = AttemptTrace::of_view(of_job(job), attempt, before_it);
    let commit = Afterwards::of(attempt.ended_by, job);
    let settled_at = commit.durable(ended_at);
    let measured = attempt.timings.as_ref().filter(|timings| !timings.wall.is_zero());
    let (arrived_at, sent_at, until) = match measured {
        None => (attempt.started_at, settling_from(attempt), ended_at),
        Some(timings) => {
            let took = timings.wall + attempt.settle.unwrap_or_default();
            let arrived_at =
                timings.arrived_at.unwrap_or_else(|| ended_at.before(took).max(attempt.started_at));
            // The node's clock may go before or after the controller's.
            let until = arrived_at.after(took).max(ended_at);
            (arrived_at, arrived_at.after(timings.wall), until)
        }
    };
    // What was reported ended with the answer, which came after the commit.
    let until = if attempt.settle.is_some() { until.max(settled_at) } else { until };
    spans.push(trace.process(arrived_at, until, &end));
    let done = [AttemptOutcome::Succeeded, AttemptOutcome::Failed];
    let timings = attempt.timings.as_ref();
    if let Some(timings) = timings.filter(|_| attempt.outcome.is_some_and(|o| done.contains(&o))) {
        let results: Vec<RunResult<'_>> = match attempt.outcome {
            Some(AttemptOutcome::Succeeded) => job.results.iter().map(Into::into).collect(),
            _ => Vec::new(),
        };
        let failure = end.error.map(|(kind, _)| kind);
        spans.extend(trace.stages(arrived_at, timings, &results, failure));
    }
    let report = trace.report_ids(attempt, recorded);
    if let Some(ids) = report {
        let arrived_at = settling_from(attempt);
        let (durable_at, answered_at) = (settled_at, until);
        let times = ReportTimes { sent_at, arrived_at, durable_at, answered_at };
        spans.extend(calls::report(attempt, trace.position(), ids, &times));
    }
    let settle = trace.settle_below(attempt, report, settled_at);
    let commit = commit.span(&settle.context, settle.context.span_id, ended_at);
    spans.push(settle);
    spans.extend(commit);
}
