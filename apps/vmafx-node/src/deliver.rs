//! Brings a report to the controller, however long that takes, and gives its answer.

use std::sync::Arc;
use std::time::Duration;

use client::{Backoff, ClientError};
use observability::current_trace;
use observability::job_trace::ReportSpan;
use proto::ErrorKind;
use types::{AttemptReport, Failure, FailureKind, Outcome, Registered, ReportAnswer};

use crate::clock::boot_time;
use crate::digest::outcome_digest;
use crate::hands::Key;
use crate::shared::Shared;
use crate::spool::Spool;

/// The ceiling of the first wait between tries.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// The ceiling of every wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Sends a report until it is answered, in whichever session the node then has. Ends without an
/// answer only when the node leaves.
///
/// Cancel safe: a report may be sent twice.
pub(crate) async fn deliver(shared: &Arc<Shared>, report: AttemptReport) -> Option<ReportAnswer> {
    tokio::select! {
        // An answer that is there counts, even at the node's end.
        biased;
        answer = send(shared, report) => Some(answer),
        () = shared.leaving.cancelled() => None,
    }
}

/// Over the work stream where that is possible, else by calls. Either shows in the trace of a job that
/// is recorded.
async fn send(shared: &Arc<Shared>, report: AttemptReport) -> ReportAnswer {
    let recorded = current_trace().is_some_and(|trace| trace.flags.is_sampled());
    let begin = || ReportSpan::sent(&shared.telemetry.tracer, shared.client.target());
    match shared.lane.send(&report, || recorded.then(begin)).await {
        Some(ReportAnswer::UnknownSession) | None => {}
        Some(answer) => return answer,
    }
    // Rare, and large: on the heap, so that every attempt's task need not have room for it.
    Box::pin(until_answered(shared, report)).await
}

async fn until_answered(shared: &Arc<Shared>, mut report: AttemptReport) -> ReportAnswer {
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    let mut complained = false;
    loop {
        let session = shared.some_session().await;
        let sent_at = boot_time();
        let sent = shared.client.report(session.session, shared.incarnation, report.clone()).await;
        let error = match sent {
            Ok(ReportAnswer::UnknownSession) => {
                shared.lose_session(&session);
                tokio::time::sleep(backoff.next_wait()).await;
                continue;
            }
            Ok(answer) => {
                shared.acknowledged.at(sent_at);
                return answer;
            }
            Err(error) => error,
        };
        if let Some(instead) = unsendable(&error, &report) {
            tracing::error!(part = %report.part, %error, "the report is not taken; the attempt fails instead");
            report = instead;
            continue;
        }
        session_trouble(shared, &session, &error);
        if std::mem::replace(&mut complained, true) {
            tracing::debug!(part = %report.part, %error, "the report is not answered yet");
        } else {
            tracing::warn!(part = %report.part, %error, "the report is not answered; it is kept and sent again");
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

fn session_trouble(shared: &Shared, session: &Registered, error: &ClientError) {
    if error.kind() == ErrorKind::UnknownSession {
        shared.lose_session(session);
    }
}

/// A report that says why this one cannot be sent, where no number of tries would change that.
fn unsendable(error: &ClientError, report: &AttemptReport) -> Option<AttemptReport> {
    if matches!(report.outcome, Outcome::Failed(_)) {
        return None;
    }
    let kind = match error.kind() {
        ErrorKind::TooLarge => FailureKind::InvalidJob,
        ErrorKind::InvalidArgument => FailureKind::Internal,
        _ => return None,
    };
    let failure = Failure::new(kind, format!("the result cannot be reported: {error}"));
    let outcome = Outcome::Failed(failure);
    let digest = outcome_digest(&outcome);
    let timings = report.timings.clone();
    Some(AttemptReport { part: report.part, fence: report.fence, outcome, timings, digest })
}

/// Reports what an earlier process of this node has left, one after the other: whatever the
/// answer, it is then done.
pub(crate) async fn deliver_leftovers(shared: Arc<Shared>, spool: Arc<Spool>, left: Vec<Key>) {
    for key in left {
        let reading = Arc::clone(&spool);
        let read = tokio::task::spawn_blocking(move || reading.read(key)).await;
        let Ok(Some(report)) = read else { continue };
        let Some(answer) = deliver(&shared, report).await else { return };
        let answer = answer.as_str();
        tracing::info!(part = %key.0, fence = %key.1, answer, "the report of an earlier process is answered");
        forget(&shared, key).await;
    }
}

/// Removes an answered report from the disk.
pub(crate) async fn forget(shared: &Arc<Shared>, key: Key) {
    if let Some(spool) = shared.spool.clone() {
        // Fails by a panic only, which has been logged.
        let _ = tokio::task::spawn_blocking(move || spool.remove(key)).await;
    }
}
