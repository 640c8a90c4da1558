//! Jobs in this process: the engine inside, behind the same handles that a controller gives.
//!
//! Invariants: at most [`UNENDED_MAX`] jobs wait or run, at most as many run as there are slots; of
//! ended ones the [`KEPT_MAX`] that ended last are kept, and of their per-frame values at most
//! [`VALUES_KEPT_MAX`], or those of the last one alone; every job ends exactly once; nothing survives the process, which every
//! answer about a job that is not known says.

mod run;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::Stop;
use observability::{Context, Telemetry};
use proto::rpc::{CancelAnswer, GetFrames, ListJobs, Submit};
use scoring::RunConfig;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use types::{FailureKind, FrameTable, JobId, JobPage, JobView, State, TraceContext, TraceFlags};

use super::{Accepted, Standing};
use crate::clock::{now, random};
use crate::error::ToolError;
use run::Worked;
use table::Table;
pub(super) use table::new_view;

/// Jobs that may wait or run.
pub const UNENDED_MAX: usize = 64;
/// Ended jobs whose state is kept.
pub const KEPT_MAX: usize = 256;
/// Per-frame values that ended jobs may hold together, where the last one does not hold more: 128
/// MiB.
pub const VALUES_KEPT_MAX: usize = 16 << 20;
/// How long one job may run where it sets no limit itself.
pub const RUN_TIME_MAX: Duration = Duration::from_secs(6 * 3_600);

/// Jobs of this process. Dropping it cancels what runs.
#[derive(Debug)]
pub(crate) struct LocalJobs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    run: RunConfig,
    telemetry: Telemetry,
    slots: Semaphore,
    slot_count: usize,
    table: Mutex<Table>,
    work: TaskTracker,
}

impl LocalJobs {
    /// Jobs are carried out within `work`, which is over when all of them have let go.
    pub fn new(run: RunConfig, slots: usize, telemetry: Telemetry, work: TaskTracker) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            run,
            telemetry,
            slots: Semaphore::new(slots),
            slot_count: slots,
            table: Mutex::new(Table::default()),
            work,
        }))
    }

    /// Slots there are, and jobs that run and wait.
    pub fn load(&self) -> (usize, usize, usize) {
        let (running, waiting) = self.0.table().load();
        (self.0.slot_count, running, waiting)
    }

    /// Takes a job and starts it as soon as a slot is free. Must be called within a runtime.
    pub fn submit(&self, submit: Submit) -> Result<Accepted, ToolError> {
        let mut table = self.0.table();
        if let Some(key) = &submit.idempotency_key
            && let Some(found) = table.by_key(key)
        {
            if found.spec != submit.spec {
                let hint = "This idempotency_key was used for another job: leave it out, or \
                            choose another.";
                let message = format!("job {} has this key and other arguments", found.id);
                return Err(ToolError::new("IDEMPOTENCY_CONFLICT", message, hint));
            }
            return Ok(Accepted { job: found.id, existing: true, trace_id: found.trace.trace_id });
        }
        if table.unended() >= UNENDED_MAX {
            let message = format!("{UNENDED_MAX} jobs wait or run in this process already");
            let hint = "Wait for some of them (get_job with wait_seconds), or cancel_job those \
                        that are not wanted, then call again.";
            return Err(ToolError::new("OVERLOADED", message, hint));
        }
        let id = JobId::new(now(), random());
        let trace = trace_of_caller();
        let accepted = Accepted { job: id, existing: false, trace_id: trace.trace_id };
        let root = observability::new_span_id();
        let (changes, _) = watch::channel(());
        let stop = Stop::never();
        table.insert(
            new_view(id, submit.spec, now(), trace, root),
            table::Extras { key: submit.idempotency_key, changes, cancel: stop.cancel.clone() },
        );
        drop(table);
        // The task ends with its job, which ends with its limit of time at the latest.
        self.0.work.spawn(Arc::clone(&self.0).carry_out(id, stop, Context::current()));
        Ok(accepted)
    }

    pub fn job(&self, id: JobId) -> Result<JobView, ToolError> {
        self.0.table().view(id).ok_or_else(|| unknown(id))
    }

    pub fn standing(&self, id: JobId) -> Result<Standing, ToolError> {
        let view = self.0.table().view(id).ok_or_else(|| unknown(id))?;
        Ok(Standing { state: view.state, progress: view.progress })
    }

    /// Is told with every change of the job's state.
    pub fn changes(&self, id: JobId) -> Result<watch::Receiver<()>, ToolError> {
        self.0.table().changes(id).ok_or_else(|| unknown(id))
    }

    pub fn list(&self, list: &ListJobs) -> JobPage {
        self.0.table().page(list)
    }

    pub fn cancel(&self, id: JobId) -> Result<CancelAnswer, ToolError> {
        let mut table = self.0.table();
        let view = table.view(id).ok_or_else(|| unknown(id))?;
        if view.state.is_terminal() {
            return Ok(CancelAnswer { state: view.state, changed: false });
        }
        table.cancel(id, now());
        Ok(CancelAnswer { state: State::Cancelled, changed: true })
    }

    pub fn frames(&self, get: &GetFrames) -> Result<FrameTable, ToolError> {
        let table = self.0.table();
        let view = table.view(get.job).ok_or_else(|| unknown(get.job))?;
        if view.state != State::Succeeded {
            let message = format!("job {} is {}: it has no frames to show", get.job, view.state);
            let hint = "Call get_job with wait_seconds until it has succeeded.";
            return Err(ToolError::new("NOT_READY", message, hint));
        }
        if let Some((unknown, known)) = table.unknown_column(get) {
            let message = format!("there is no column {unknown:?}");
            let hint = format!("Name some of {}.", known.join(", "));
            return Err(ToolError::new("INVALID_ARGUMENT", message, hint));
        }
        table.frames(get).ok_or_else(|| {
            let message = format!(
                "job {} has no per-frame values of distorted video {} any more or never had",
                get.job, get.distorted_index
            );
            let hint =
                "This process keeps the frames of the newest jobs only: score the pair anew.";
            ToolError::new("not_found", message, hint)
        })
    }

    /// Cancels everything that waits or runs.
    pub fn cancel_all(&self) {
        let mut table = self.0.table();
        for id in table.unended_ids() {
            table.cancel(id, now());
        }
    }
}

impl Drop for LocalJobs {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot, runs the job on a thread of its own, and writes down how it ended.
    async fn carry_out(self: Arc<Self>, id: JobId, stop: Stop, cx: Context) {
        let slot = tokio::select! {
            slot = self.slots.acquire() => slot.ok(),
            () = self.ended(id) => None,
        };
        let start = slot.as_ref().and_then(|_| self.table().start(id, now()));
        let Some(start) = start else {
            // Cancelled while it waited.
            if let Some(view) = self.table().view(id) {
                self.tell(&view, cx);
            }
            return;
        };
        let limit = start.spec.attempt_timeout.unwrap_or(RUN_TIME_MAX);
        let stop = Stop { deadline: std::time::Instant::now().checked_add(limit), ..stop };
        let (spec, progress, run) = (start.spec, start.progress, self.run.clone());
        let thread_cx = cx.clone();
        let work = move || {
            let _within = thread_cx.attach();
            run::score(&spec, &run, &stop, &progress)
        };
        let worked = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Worked::panicked());
        self.end(id, worked, cx);
    }

    fn end(&self, id: JobId, worked: Worked, cx: Context) {
        self.count(&worked);
        let Some(view) = self.table().end(id, worked, now()) else { return };
        self.tell(&view, cx);
    }

    /// Waits until the job has ended or is forgotten.
    async fn ended(&self, id: JobId) {
        let Some(mut changes) = self.table().changes(id) else { return };
        while self.table().view(id).is_some_and(|view| !view.state.is_terminal()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Writes the spans and the log line of a job that has ended.
    fn tell(&self, view: &JobView, cx: Context) {
        let _within = cx.attach();
        let id = view.id;
        for span in run::spans(view) {
            self.telemetry.tracer.emit_span(span);
        }
        match &view.failure {
            Some(failure) if failure.kind != FailureKind::Cancelled => {
                tracing::warn!(job = %id, kind = %failure.kind, "job failed");
            }
            _ => tracing::info!(job = %id, state = %view.state, "job ended"),
        }
    }

    fn count(&self, worked: &Worked) {
        let Ok(reports) = &worked.outcome else { return };
        let engine = self.telemetry.metrics.engine();
        for report in reports {
            for (feature, cpu) in &report.timings.features {
                engine.feature(feature, *cpu);
            }
            if let Some(model) = report.headline() {
                engine.frames(&model.version, report.frames.frame_count() as u64);
            }
        }
    }
}

fn unknown(id: JobId) -> ToolError {
    let message = format!("no job {id} is known here");
    let hint = "Call list_jobs for the ids there are. Without a controller, jobs live as long as \
                this process, and only the newest are kept.";
    ToolError::new("JOB_NOT_FOUND", message, hint)
}

/// The position of the span that submits the job; one of its own where there is none.
fn trace_of_caller() -> TraceContext {
    observability::current_trace().unwrap_or_else(|| TraceContext {
        trace_id: observability::new_trace_id(),
        span_id: observability::new_span_id(),
        flags: TraceFlags::RANDOM,
        tracestate: String::new(),
    })
}

#[cfg(test)]
mod tests;
