//! The trace of a job that has ended, rebuilt from the store and exported.
//!
//! Whatever head sampling decided, and whatever became of the processes that ran the job: the
//! store holds what the tree needs, and the ids are the same every time.

mod policy;
mod recorded;
mod task;

use std::time::{Duration, Instant};

use observability::DeliveryError;
use observability::job_trace::rebuild;
use proto::rpc::ExportedTrace;
use proto::{ApiError, ErrorKind};
use types::{ExportReason, JobId};

use crate::app::App;
use crate::error::api_error;
use crate::queue::QueueError;

pub(crate) use policy::{DueTraces, TracePolicy};
pub use policy::{TRACES_DUE_MAX, TraceRules};
pub(crate) use recorded::run as confirm_recorded;
pub(crate) use task::{DUE_KEPT, run};

/// How long a caller waits for the collector.
pub const EXPORT_WAIT_MAX: Duration = Duration::from_secs(20);

impl App {
    /// Rebuilds the trace of a job that has ended and sends it to the collector.
    pub(crate) async fn export_trace(&self, job: JobId) -> Result<ExportedTrace, ApiError> {
        let view = self.queue.job(job).await.map_err(|error| api_error(&error))?;
        if !view.state.is_terminal() {
            return Err(api_error(&QueueError::NotReady(view.state)));
        }
        if self.forced.as_ref().is_some_and(|budget| !budget.take(Instant::now())) {
            let text = format!(
                "too many traces were asked for; {} a minute are exported for callers that are \
                 not known",
                service::FORCED_PER_MINUTE
            );
            return Err(ApiError::new(ErrorKind::Overloaded, text));
        }
        // So that whoever tells it next has no less to tell. A store in trouble is no reason to tell
        // nothing now.
        let view = match self.queue.note_commits().await {
            Ok(()) => self.queue.job(job).await.map_err(|error| api_error(&error))?,
            Err(error) => {
                tracing::warn!(%job, %error, "the end of the last commit is not noted");
                view
            }
        };
        let spans = rebuild(&view, ExportReason::Asked);
        let delivery = self.telemetry.tracer.deliver(spans);
        let delivered = tokio::time::timeout(EXPORT_WAIT_MAX, delivery).await;
        let delivered = delivered.unwrap_or_else(|_| {
            Err(DeliveryError::Failed(format!("no answer within {EXPORT_WAIT_MAX:?}")))
        });
        let taken = delivered.map_err(|error| delivery_error(&error))?;
        tracing::debug!(%job, trace = %view.trace.trace_id, spans = taken, "trace exported on request");
        let spans = u32::try_from(taken).unwrap_or(u32::MAX);
        Ok(ExportedTrace { trace_id: view.trace.trace_id, spans })
    }
}

fn delivery_error(error: &DeliveryError) -> ApiError {
    let kind = match error {
        DeliveryError::Disabled => ErrorKind::NoCollector,
        DeliveryError::Busy => ErrorKind::Overloaded,
        DeliveryError::Shutdown | DeliveryError::Failed(_) => ErrorKind::Unavailable,
    };
    ApiError::new(kind, error.to_string())
}
