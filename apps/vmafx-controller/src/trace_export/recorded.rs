//! Recorded jobs whose spans may not have arrived.
//!
//! The spans of a recorded job leave through the exporter's queue, which a crash loses, and which
//! drops while the collector is away. So the store keeps the time until which they are known to
//! have arrived: the task here asks the exporter, now and then while recorded jobs end, whether the
//! collector took all it was given, and moves the time on. What ended after it, before a crash or
//! while something was dropped, is told again from the store, under the same ids. Jobs that are not
//! recorded cost nothing, recorded ones a note in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use observability::job_trace::{Begins, rebuild_recorded};
use observability::metrics::TraceExport;
use tokio_util::sync::CancellationToken;
use types::{JobId, Timestamp};

use super::policy::DueTraces;
use super::task::{
    DUE_KEPT, ExportError, JOBS_AT_ONCE, PAUSE_FIRST, PAUSE_MAX, TRIES_ALONE_MAX, readable,
};
use crate::app::App;

/// How often it is asked whether the spans have arrived, while recorded jobs end.
const CONFIRM_EVERY: Duration = Duration::from_secs(10);
/// How long after a submission's commit its `send` span, and that of the call, may end. Whatever the
/// queue itself tells of has been handed over by then; see [`Queue::handed_over`](crate::queue::Queue::handed_over).
const SENDING_MAX: Duration = Duration::from_secs(2);
/// How long the first run may have served before it looks for the first time.
const START_MAX: Duration = Duration::from_secs(60);
/// How long the end of the controller waits for the collector's word. What is not confirmed then is
/// told again by the next run.
const LAST_CONFIRM_MAX: Duration = Duration::from_millis(500);
/// Jobs that are told again after a crash or a time of drops; of more, the newest.
const RETOLD_JOBS_MAX: usize = 1_000;

/// What is known of the spans of recorded jobs.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Nothing yet: the store was not asked.
    Nothing,
    /// What ended after this may not have arrived, and is told again.
    UntilHere(Timestamp),
    /// All arrived but what the exporter's queue holds.
    AllSince(Timestamp),
}

/// Works until the controller goes down, and then once more.
pub(crate) async fn run(app: Weak<App>, due: Arc<DueTraces>, closing: CancellationToken) {
    let (mut known, mut pause) = (Known::Nothing, PAUSE_FIRST);
    // Whether the end of the controller fell into a step, which had looked already.
    let cut_short = AtomicBool::new(false);
    let work = async {
        loop {
            if matches!(known, Known::AllSince(_)) {
                due.recorded_job().await;
                tokio::time::sleep(CONFIRM_EVERY).await;
            }
            let Some(app) = app.upgrade() else { return };
            cut_short.store(true, Ordering::Relaxed);
            let outcome = step(&app, &due, &mut known).await;
            cut_short.store(false, Ordering::Relaxed);
            drop(app);
            match outcome {
                Ok(()) => pause = PAUSE_FIRST,
                Err(error) => {
                    tracing::debug!(%error, "the spans of recorded jobs are not confirmed");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = closing.cancelled() => {}
    }
    if let (Known::AllSince(_), Some(app)) = (known, app.upgrade())
        && (due.has_recorded() || cut_short.load(Ordering::Relaxed))
    {
        let last = tokio::time::timeout(LAST_CONFIRM_MAX, step(&app, &due, &mut known)).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::debug!("the last spans are not confirmed; the next run tells them again");
        }
    }
}

/// Finds out how things stand, tells again what may be missing, and keeps the time.
async fn step(app: &App, due: &DueTraces, known: &mut Known) -> Result<(), ExportError> {
    let before_now = app.queue.now().before(SENDING_MAX);
    if let Known::Nothing = known {
        *known = match app.queue.traces_told().await? {
            Some(until) => Known::UntilHere(until),
            None => {
                // The first run that keeps the time. At once, whatever the collector does: a run
                // that is killed before it has an answer must not look like the first again.
                let began = before_now.before(START_MAX);
                app.queue.tell_traces(began).await?;
                Known::AllSince(began)
            }
        };
    }
    due.look_at_recorded();
    // What had ended by now has been given to the exporter, however long the commit took and
    // whatever waited.
    app.queue.handed_over().await.inspect_err(|_| due.look_again(false))?;
    let confirmed = app.telemetry.tracer.confirm().await;
    if let (Known::AllSince(until), true) = (*known, confirmed.is_err() | due.has_lost()) {
        *known = Known::UntilHere(until);
    }
    confirmed?;
    if let Known::UntilHere(until) = *known {
        // By the clock that made the times: the system's may have been set since.
        tell_again(app, until.max(app.queue.now().before(DUE_KEPT))).await?;
    }
    app.queue.tell_traces(before_now).await?;
    *known = Known::AllSince(before_now);
    Ok(())
}

async fn tell_again(app: &App, since: Timestamp) -> Result<(), ExportError> {
    let jobs = app.queue.recorded_since(since, RETOLD_JOBS_MAX).await?;
    if jobs.is_empty() {
        return Ok(());
    }
    // A crash after this, too, must find what is told now.
    app.queue.note_commits().await?;
    for some in jobs.chunks(JOBS_AT_ONCE) {
        let told = match tell(app, some, since).await {
            Ok(told) => told,
            Err(error @ ExportError::Queue(_)) => return Err(error),
            Err(error) => one_by_one(app, some, since, error).await?,
        };
        app.telemetry.metrics.queue().trace_export(TraceExport::Repeated, told);
    }
    tracing::info!(jobs = jobs.len(), "traces that may not have arrived were sent again");
    Ok(())
}

/// Of trees that were not taken together: tells those that are taken alone. What a collector does
/// not take while it takes others, it never will, and must not hold up the rest.
async fn one_by_one(
    app: &App,
    jobs: &[JobId],
    since: Timestamp,
    error: ExportError,
) -> Result<u64, ExportError> {
    let (mut told, mut refused) = (0, 0);
    for job in jobs {
        match tell(app, std::slice::from_ref(job), since).await {
            Ok(count) => told += count,
            Err(error @ ExportError::Queue(_)) => return Err(error),
            Err(ExportError::Delivery(_)) => refused += 1,
        }
        // Nobody is there: the first few tell.
        if told == 0 && refused >= TRIES_ALONE_MAX {
            return Err(error);
        }
    }
    if told == 0 {
        return Err(error);
    }
    app.telemetry.metrics.queue().trace_export(TraceExport::Refused, refused as u64);
    Ok(told)
}

/// Sends the trees of these jobs; answers how many there were.
async fn tell(app: &App, jobs: &[JobId], since: Timestamp) -> Result<u64, ExportError> {
    let (mut spans, mut told) = (Vec::new(), 0);
    for job in jobs {
        let Some(view) = readable(app, *job).await? else { continue };
        // What was submitted before has had its `send` confirmed, and the call above it.
        let is_new = view.submitted_at >= since;
        let begins = if is_new { Begins::WithSend } else { Begins::BelowSend };
        spans.extend(rebuild_recorded(&view, begins));
        told += 1;
    }
    if !spans.is_empty() {
        app.telemetry.tracer.deliver(spans).await?;
    }
    Ok(told)
}
