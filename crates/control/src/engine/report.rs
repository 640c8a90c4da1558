//! What a node reports, and what a late report is worth.

use types::{
    AttemptOutcome, Failure, FailureKind, Incarnation, ReportAnswer, ResultView, SessionId, State,
};

use super::ends::{Counted, End};
use super::{Control, Turn};
use crate::command::{Answer, Effect, Event, LateReport, Report, ReportedOutcome};
use crate::store::AttemptRecord;
use crate::transition::Next;

impl<T> Control<T> {
    pub(super) fn report(
        &mut self,
        who: (SessionId, Incarnation),
        report: Report,
        to: T,
        turn: &mut Turn<'_, T>,
    ) {
        let now = turn.now;
        let Some(session) = self.session_of(who) else {
            turn.event(Event::Reported(ReportAnswer::UnknownSession));
            return turn.answer(to, Answer::Reported(ReportAnswer::UnknownSession));
        };
        session.last_seen = Some(now);
        let current = self.running.get(&report.part).filter(|running| {
            running.lease.fence == report.fence && running.lease.session == who.0
        });
        let Some(running) = current else {
            let Report { part, fence, digest, outcome, .. } = report;
            let score_digests = match outcome {
                ReportedOutcome::Succeeded(result) => Some(result.score_digests.clone()),
                ReportedOutcome::Failed(_) | ReportedOutcome::Released => None,
            };
            let report = Box::new(LateReport { part, fence, digest, score_digests });
            return turn.out.effects.push(Effect::AnswerLate { to, report });
        };
        let (outcome, failure, next) = match report.outcome {
            ReportedOutcome::Succeeded(result) => {
                let next = Next::Done { state: State::Succeeded, result: Some(result) };
                (AttemptOutcome::Succeeded, None, next)
            }
            ReportedOutcome::Failed(failure) => {
                let next = self.after_failure(running, failure.kind, Counted::Yes, turn);
                (AttemptOutcome::Failed, Some(failure), next)
            }
            ReportedOutcome::Released => {
                let next = self.after_failure(running, FailureKind::Internal, Counted::No, turn);
                let failure = matches!(next, Next::Done { .. }).then(|| {
                    let text = format!("handed back, and leased {} times", running.lease.fence);
                    Failure::new(FailureKind::Internal, text)
                });
                (AttemptOutcome::Released, failure, next)
            }
        };
        let end = End {
            outcome,
            failure,
            timings: Some(report.timings),
            settle: Some(turn.now.since(report.received_at)),
            report: Some(report.way),
            digest: Some(report.digest),
            lost_cause: None,
            next,
        };
        if let Some(session) = self.session_of(who) {
            session.answered(report.part, report.fence);
        }
        self.end_attempt(report.part, end, turn);
        turn.event(Event::Reported(ReportAnswer::Accepted));
        turn.answer(to, Answer::Reported(ReportAnswer::Accepted));
    }
}

/// Decides what a report is worth whose lease had ended, from what the history says of its attempt
/// and of its part's results. The second value is set when the report succeeded with other scores
/// than were stored: both sides' digests, the stored first.
#[must_use]
pub fn judge_late(
    report: &LateReport,
    attempt: Option<&AttemptRecord>,
    results: Option<&[ResultView]>,
) -> (ReportAnswer, Option<[String; 2]>) {
    let answer = match attempt {
        Some(record) if record.digest == Some(report.digest) => ReportAnswer::Duplicate,
        Some(record) if record.outcome == AttemptOutcome::Cancelled => ReportAnswer::Cancelled,
        Some(_) | None => ReportAnswer::Stale,
    };
    let differs = match (&report.score_digests, results) {
        (Some(late), Some(stored)) if answer != ReportAnswer::Duplicate => {
            let stored: Vec<&str> = stored.iter().map(|view| view.digest.as_str()).collect();
            let late: Vec<&str> = late.iter().map(String::as_str).collect();
            (stored != late).then(|| [stored.join(","), late.join(",")])
        }
        _ => None,
    };
    (answer, differs)
}
