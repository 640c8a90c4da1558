//! Exports the traces that are due.
//!
//! The marks lie in the store, made together with the end of each job; here they are worked off and
//! taken away when the collector has acknowledged. A collector that is away, or a crash at any
//! line, leaves the mark, and the same spans are sent again later.

use std::sync::{Arc, Weak};
use std::time::Duration;

use observability::DeliveryError;
use observability::job_trace::rebuild;
use observability::metrics::TraceExport;
use tokio_util::sync::CancellationToken;
use types::{JobId, JobView};

use super::policy::DueTraces;
use crate::app::App;
use crate::queue::{DueTrace, QueueError};

/// Jobs that are looked up and sent together.
pub(super) const JOBS_AT_ONCE: usize = 32;
/// How long a trace is kept for a collector that does not take it.
pub const DUE_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Traces that are tried alone before it is believed that no collector is there.
pub(super) const TRIES_ALONE_MAX: usize = 3;
/// The pause after a failure; it doubles from there.
pub(super) const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Works until the controller goes down.
pub(crate) async fn run(app: Weak<App>, due: Arc<DueTraces>, closing: CancellationToken) {
    let work = async {
        let mut pause = PAUSE_FIRST;
        loop {
            let Some(app) = app.upgrade() else { return };
            let outcome = export_some(&app, &due).await;
            drop(app);
            match outcome {
                Ok(0) => {
                    pause = PAUSE_FIRST;
                    due.some().await;
                }
                Ok(_) => pause = PAUSE_FIRST,
                Err(error) => {
                    tracing::debug!(%error, "the traces that are due wait");
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
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("{0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Delivery(#[from] DeliveryError),
}

/// Exports the oldest of what is due; answers how many jobs are done with.
async fn export_some(app: &App, due: &DueTraces) -> Result<usize, ExportError> {
    let (traces, waiting) = app.queue.due_traces(JOBS_AT_ONCE).await?;
    due.counted(waiting);
    if traces.is_empty() {
        return Ok(0);
    }
    // A crash after the export, too, must find what is told now.
    app.queue.note_commits().await?;
    // By the clock that made the marks: the system's may have been set since.
    let now = app.queue.now();
    let is_kept = |trace: &DueTrace| now.since(trace.due_at) <= DUE_KEPT;
    let (kept, expired): (Vec<_>, Vec<_>) = traces.iter().copied().partition(is_kept);
    let outcome = match send(app, &kept).await {
        Ok(()) => Outcome { exported: kept, refused: Vec::new() },
        Err(error) => one_by_one(app, kept, error).await?,
    };
    let Outcome { exported, refused } = outcome;
    let counts = [
        (TraceExport::Exported, exported.len()),
        (TraceExport::Refused, refused.len()),
        (TraceExport::Expired, expired.len()),
    ];
    let done: Vec<_> = exported.into_iter().chain(refused).chain(expired).collect();
    let count = done.len();
    app.queue.traces_done(done).await?;
    let metrics = app.telemetry.metrics.queue();
    for (what, count) in counts {
        metrics.trace_export(what, count as u64);
    }
    Ok(count)
}

struct Outcome {
    exported: Vec<DueTrace>,
    refused: Vec<DueTrace>,
}

/// Of traces that were not taken together: which of them is not taken alone either, while others
/// are? A collector that takes some is there; what it does not take then, it never will, and must
/// not hold up the rest.
async fn one_by_one(
    app: &App,
    traces: Vec<DueTrace>,
    error: ExportError,
) -> Result<Outcome, ExportError> {
    let (mut exported, mut refused) = (Vec::new(), Vec::new());
    for trace in traces {
        match send(app, &[trace]).await {
            Ok(()) => exported.push(trace),
            Err(ExportError::Queue(error)) => return Err(error.into()),
            Err(ExportError::Delivery(_)) => refused.push(trace),
        }
        // Nobody is there: the first few tell.
        if exported.is_empty() && refused.len() >= TRIES_ALONE_MAX {
            return Err(error);
        }
    }
    if exported.is_empty() { Err(error) } else { Ok(Outcome { exported, refused }) }
}

async fn send(app: &App, traces: &[DueTrace]) -> Result<(), ExportError> {
    let mut spans = Vec::new();
    for trace in traces {
        if let Some(job) = readable(app, trace.job).await? {
            spans.extend(rebuild(&job, trace.reason));
        }
    }
    if !spans.is_empty() {
        app.telemetry.tracer.deliver(spans).await?;
    }
    Ok(())
}

/// A job that is to be told. One that is gone has no trace; one whose rows cannot be read will not
/// be read next time either, and must not hold up the rest.
pub(super) async fn readable(app: &App, id: JobId) -> Result<Option<JobView>, QueueError> {
    match app.queue.job(id).await {
        Ok(job) => Ok(Some(job)),
        Err(QueueError::NotFound) => Ok(None),
        Err(QueueError::Store(error)) if !error.is_retryable() => {
            tracing::error!(job = %id, %error, "a job cannot be read; its trace is given up");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
