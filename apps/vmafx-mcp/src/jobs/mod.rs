//! Where jobs live: in a controller's queue, or in this process when none is configured. Tools do
//! not know which.

mod local;
mod remote;

use std::time::Duration;

use proto::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use proto::rpc::{CancelAnswer, GetFrames, ListJobs, Submit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::{
    FrameTable, JobId, JobPage, JobSpec, JobView, NodeView, State, TraceContext, TraceFlags,
    TraceId,
};

pub(crate) use local::LocalJobs;
pub(crate) use remote::RemoteJobs;

use crate::clock::now;
use crate::error::ToolError;
use crate::progress::Reporter;

/// How often a waiting tool looks at how far its job is.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Bytes of a feature's name.
const FEATURE_BYTES_MAX: usize = 64;

/// What became of a submission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    /// The job's handle.
    pub job: JobId,
    /// The idempotency key named a job that was there already.
    pub existing: bool,
    /// The trace that the job belongs to.
    pub trace_id: TraceId,
}

impl Accepted {
    /// The job as it was when it was accepted, for whoever cannot be told more.
    pub fn view(&self, spec: JobSpec) -> JobView {
        let trace = TraceContext {
            trace_id: self.trace_id,
            span_id: observability::new_span_id(),
            flags: TraceFlags::RANDOM,
            tracestate: String::new(),
        };
        local::new_view(self.job, spec, now(), trace, observability::new_span_id())
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub state: State,
    pub progress: Option<types::Progress>,
}

/// The jobs that tools speak of.
#[derive(Debug)]
pub(crate) enum Jobs {
    /// In the controller's queue: they outlive this process.
    Remote(Box<RemoteJobs>),
    /// In this process: they end with it.
    Local(LocalJobs),
}

impl Jobs {
    /// Where jobs go, for people.
    pub fn place(&self) -> &str {
        match self {
            Self::Remote(jobs) => jobs.address(),
            Self::Local(_) => "this process",
        }
    }

    /// Whether jobs go through a controller.
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Hands a job over.
    pub async fn submit(&self, submit: Submit) -> Result<Accepted, ToolError> {
        submit.spec.check().map_err(|error| {
            ToolError::argument(error.to_string(), "Change the argument and call again.")
        })?;
        let key_bytes = submit.idempotency_key.as_ref().map_or(0, String::len);
        if key_bytes > IDEMPOTENCY_KEY_BYTES_MAX {
            let message = format!(
                "the idempotency_key has {key_bytes} bytes; at most {IDEMPOTENCY_KEY_BYTES_MAX} are \
                 taken"
            );
            return Err(ToolError::argument(message, "Give a shorter one."));
        }
        if submit.spec.features.iter().any(|name| name.len() > FEATURE_BYTES_MAX) {
            let message = format!("a feature's name has more than {FEATURE_BYTES_MAX} bytes");
            return Err(ToolError::argument(message, "Name vif, adm or motion."));
        }
        match self {
            Self::Remote(jobs) => jobs.submit(submit).await,
            Self::Local(jobs) => jobs.submit(submit),
        }
    }

    /// The whole state of a job.
    pub async fn job(&self, id: JobId) -> Result<JobView, ToolError> {
        match self {
            Self::Remote(jobs) => jobs.job(id).await,
            Self::Local(jobs) => jobs.job(id),
        }
    }

    /// One page of jobs, newest first.
    pub async fn list(&self, list: ListJobs) -> Result<JobPage, ToolError> {
        match self {
            Self::Remote(jobs) => jobs.list(list).await,
            Self::Local(jobs) => Ok(jobs.list(&list)),
        }
    }

    /// Cancels a job; one that has ended stays as it is.
    pub async fn cancel(&self, id: JobId) -> Result<CancelAnswer, ToolError> {
        match self {
            Self::Remote(jobs) => jobs.cancel(id).await,
            Self::Local(jobs) => jobs.cancel(id),
        }
    }

    /// Per-frame values of a job that has succeeded.
    pub async fn frames(&self, get: GetFrames) -> Result<FrameTable, ToolError> {
        match self {
            Self::Remote(jobs) => jobs.frames(get).await,
            Self::Local(jobs) => jobs.frames(&get),
        }
    }

    /// The fleet; `None` where there is none.
    pub async fn nodes(&self) -> Result<Option<Vec<NodeView>>, ToolError> {
        match self {
            Self::Remote(jobs) => jobs.nodes().await.map(Some),
            Self::Local(_) => Ok(None),
        }
    }

    /// Waits until the job has ended or the time is up, telling `reporter` how far it is.
    ///
    /// # Errors
    /// When there is no such job, or `stop` is cancelled; the job goes on then.
    pub async fn wait(
        &self,
        id: JobId,
        until: Instant,
        stop: &CancellationToken,
        reporter: &mut Reporter,
    ) -> Result<JobView, ToolError> {
        let waiting = async {
            match self {
                Self::Remote(jobs) => jobs.follow(id, until, reporter).await,
                Self::Local(jobs) => follow_local(jobs, id, until, reporter).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Err(ToolError::cancelled()),
            waited = waiting => waited?,
        }
        self.job(id).await
    }
}

async fn follow_local(
    jobs: &LocalJobs,
    id: JobId,
    until: Instant,
    reporter: &mut Reporter,
) -> Result<(), ToolError> {
    let mut changes = jobs.changes(id)?;
    loop {
        let standing = jobs.standing(id)?;
        reporter.job(&standing).await;
        if standing.state.is_terminal() || Instant::now() >= until {
            return Ok(());
        }
        let next = until.min(Instant::now() + LOOK_INTERVAL);
        // A sender that is gone means that the job is forgotten, which `standing` then says.
        let _ = tokio::time::timeout_at(next, changes.changed()).await;
    }
}
