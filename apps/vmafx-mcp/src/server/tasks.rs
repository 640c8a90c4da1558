//! The tasks extension. A task is a job: it has the job's id, lives as long as the job does, and
//! survives this process where the job does.

use rmcp::model::{
    DetailedTask, ErrorData, GetTaskResult, JsonObject, Task, TaskPayload, TaskStatus,
};
use serde_json::Value;
use types::{JobId, JobView, State};

use crate::error::ToolError;
use crate::platform::Platform;
use crate::tools;

/// How often a client should ask.
const POLL_INTERVAL_MILLIS: u64 = 1_000;

/// A job as a task that goes on.
pub(super) fn task(job: &JobView) -> Task {
    let progress = job.progress.unwrap_or_default();
    let message = match progress.frames_total {
        Some(total) => format!("{}: {} of {total} frames", job.state, progress.frames_done),
        None => format!("{}: {} frames", job.state, progress.frames_done),
    };
    let updated_at = job.finished_at.or(job.started_at).unwrap_or(job.submitted_at);
    let (created_at, updated_at) = (job.submitted_at.to_string(), updated_at.to_string());
    Task::new(job.id.to_string(), TaskStatus::Working, created_at, updated_at)
        .with_status_message(message)
        .with_poll_interval_ms(POLL_INTERVAL_MILLIS)
}

/// Where a task stands.
pub(super) async fn get(platform: &Platform, id: &str) -> Result<GetTaskResult, ErrorData> {
    let job = platform.jobs.job(parse(id)?).await.map_err(protocol_error)?;
    let payload = match job.state {
        State::Queued | State::Running => TaskPayload::Working,
        State::Cancelled => TaskPayload::Cancelled,
        // A job that failed is the result of a tool that failed, not a task that did.
        State::Succeeded | State::Failed => {
            let result = tools::result_of(&job).unwrap_or_else(ToolError::into_result);
            TaskPayload::Completed { result: object(&result) }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(task(&job), payload)))
}

/// Cancels the job behind a task.
pub(super) async fn cancel(platform: &Platform, id: &str) -> Result<(), ErrorData> {
    platform.jobs.cancel(parse(id)?).await.map(|_| ()).map_err(protocol_error)
}

fn parse(id: &str) -> Result<JobId, ErrorData> {
    id.parse().map_err(|error| ErrorData::invalid_params(format!("taskId: {error}"), None))
}

fn protocol_error(error: ToolError) -> ErrorData {
    match error.kind {
        "JOB_NOT_FOUND" => ErrorData::invalid_params(error.message, None),
        _ => ErrorData::internal_error(error.message, None),
    }
}

fn object(value: &impl serde::Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}
