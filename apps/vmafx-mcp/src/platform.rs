//! What every call shares: where jobs live, what may be opened, and how much is decoded at once.

use std::path::PathBuf;

use media::{MediaConfig, Stop};
use observability::Context;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::ToolError;
use crate::jobs::Jobs;
use crate::progress::{Meter, Reporter};
use crate::tunes::Tunes;

/// Calls that decode in this process at once; further ones wait for their turn.
pub const DECODES_MAX: usize = 2;

/// How long a call waits for its turn to decode: hosts give up soon after.
pub const DECODE_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// How long one call may decode in this process.
pub const DECODE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(600);

/// How long the end of the server waits for its work to end: longer than a call may take to cancel
/// its job ([`CANCEL_WAIT_MAX`]).
pub const WORK_END_MAX: std::time::Duration = std::time::Duration::from_secs(6);

/// How long a cancel may take when its call was cancelled and nobody waits any more.
pub(crate) const CANCEL_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// How often progress and cancellation are looked at while a thread works.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

/// The platform behind the tools.
#[derive(Debug)]
pub struct Platform {
    pub(crate) jobs: Jobs,
    pub(crate) tunes: Tunes,
    pub(crate) media: MediaConfig,
    pub(crate) source_roots: Vec<PathBuf>,
    pub(crate) source_hosts: Vec<String>,
    decodes: Semaphore,
    /// Cancelled when the server stops.
    stopping: CancellationToken,
    /// Calls, jobs and runs that are not over.
    work: TaskTracker,
}

impl Platform {
    /// `work` is what `jobs` and `tunes` start their own in.
    pub(crate) fn new(
        work: TaskTracker,
        jobs: Jobs,
        tunes: Tunes,
        media: MediaConfig,
        source_roots: Vec<PathBuf>,
        source_hosts: Vec<String>,
    ) -> Self {
        let decodes = Semaphore::new(DECODES_MAX);
        let stopping = CancellationToken::new();
        Self { jobs, tunes, media, source_roots, source_hosts, decodes, stopping, work }
    }

    /// Ends what runs in this process, as nobody is left to ask for it, and waits until it has: until
    /// calls have cancelled their jobs wherever these run, and encoders and unfinished files are gone.
    pub async fn shut_down(&self) {
        self.stopping.cancel();
        self.tunes.cancel_all();
        if let Jobs::Local(jobs) = &self.jobs {
            jobs.cancel_all();
        }
        self.work.close();
        if tokio::time::timeout(WORK_END_MAX, self.work.wait()).await.is_err() {
            tracing::warn!(left = self.work.len(), "work does not end and is abandoned");
        }
    }

    /// A call that is stopped with `context`, or with the server.
    pub(crate) fn call(
        self: &std::sync::Arc<Self>,
        context: &CancellationToken,
        reporter: Reporter,
    ) -> Call {
        let stop = context.child_token();
        let (stopped, stopping) = (stop.clone(), self.stopping.clone());
        // Ends with the call at the latest, whose guard cancels it.
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = stopping.cancelled() => stopped.cancel(),
            }
        });
        Call {
            platform: std::sync::Arc::clone(self),
            _over: stop.clone().drop_guard(),
            stop,
            reporter,
            _work: self.work.token(),
        }
    }
}

/// One call of a tool.
#[derive(Debug)]
pub(crate) struct Call {
    pub platform: std::sync::Arc<Platform>,
    /// Cancelled when nobody waits for the answer any more.
    pub stop: CancellationToken,
    /// Tells the client how far it is.
    pub reporter: Reporter,
    _over: DropGuard,
    /// While it lives, the server's end waits.
    _work: TaskTrackerToken,
}

impl Call {
    /// Runs `work`, which decodes and blocks, on a thread of its own: stopped when the call is
    /// cancelled or takes too long, counted against [`DECODES_MAX`], its progress told.
    pub async fn decode<T: Send + 'static>(
        &mut self,
        what: &str,
        meter: Meter,
        work: impl FnOnce(&MediaConfig, &Stop, &Meter) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let platform = std::sync::Arc::clone(&self.platform);
        let _turn = tokio::select! {
            () = self.stop.cancelled() => return Err(ToolError::cancelled()),
            turn = tokio::time::timeout(DECODE_WAIT_MAX, platform.decodes.acquire()) => {
                turn.map_err(|_| {
                    let message = format!("{DECODES_MAX} other calls decode in this process");
                    let hint = "Call again in some seconds, one such call after the other.";
                    ToolError::new("OVERLOADED", message, hint)
                })?
            }
        };
        let deadline = std::time::Instant::now().checked_add(DECODE_TIME_MAX);
        let stop = Stop { deadline, ..Stop::never() };
        let (media, told, thread_stop) = (platform.media.clone(), meter.clone(), stop.clone());
        // What the thread logs belongs to the span of the call.
        let cx = Context::current();
        let mut working = tokio::task::spawn_blocking(move || {
            let _within = cx.attach();
            work(&media, &thread_stop, &told)
        });
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let worked = loop {
            tokio::select! {
                worked = &mut working => break worked,
                () = self.stop.cancelled(), if !stop.cancel.is_cancelled() => stop.cancel.cancel(),
                _ = looks.tick() => self.reporter.meter(what, &meter).await,
            }
        };
        if self.stop.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        worked.unwrap_or_else(|_| Err(ToolError::internal("a thread panicked")))
    }
}
