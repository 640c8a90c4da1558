//! The tasks extension. A task is a job, or a run of `tune`: it has its id, lives as long as it
//! does, and survives this process where it does.

use rmcp::model::{
    DetailedTask, ErrorData, GetTaskResult, JsonObject, Task, TaskPayload, TaskStatus,
};
use serde_json::Value;
use types::{JobId, JobView, State, Timestamp};

use crate::error::ToolError;
use crate::platform::Platform;
use crate::tools;
use crate::tunes::TuneView;

/// How often a client should ask.
const POLL_INTERVAL_MILLIS: u64 = 1_000;

/// A job as a task that goes on.
pub(super) fn of_job(job: &JobView) -> Task {
    let progress = job.progress.unwrap_or_default();
    let message = match progress.frames_total {
        Some(total) => format!("{}: {} of {total} frames", job.state, progress.frames_done),
        None => format!("{}: {} frames", job.state, progress.frames_done),
    };
    task(job.id, message, job.submitted_at, job.finished_at.or(job.started_at))
}

/// A run of `tune` as a task that goes on.
pub(super) fn of_run(run: &TuneView) -> Task {
    task(run.id, run.note.clone(), run.submitted_at, run.finished_at)
}

fn task(id: JobId, message: String, created_at: Timestamp, updated_at: Option<Timestamp>) -> Task {
    let updated_at = updated_at.unwrap_or(created_at).to_string();
    Task::new(id.to_string(), TaskStatus::Working, created_at.to_string(), updated_at)
        .with_status_message(message)
        .with_poll_interval_ms(POLL_INTERVAL_MILLIS)
}

/// Where a task stands.
pub(super) async fn get(platform: &Platform, id: &str) -> Result<GetTaskResult, ErrorData> {
    let id = parse(id)?;
    let (task, state, result) = match platform.tunes.view(id) {
        Some(run) => (of_run(&run), run.state, tools::tune::result_of(&run)),
        None => {
            let job = platform.jobs.job(id).await.map_err(protocol_error)?;
            (of_job(&job), job.state, tools::result_of(&job))
        }
    };
    let payload = match state {
        State::Queued | State::Running => TaskPayload::Working,
        State::Cancelled => TaskPayload::Cancelled,
        // Work that failed is the result of a tool that failed, not a task that did.
        State::Succeeded | State::Failed => {
            let result = result.unwrap_or_else(ToolError::into_result);
            TaskPayload::Completed { result: object(&result) }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
}

/// Cancels the work behind a task.
pub(super) async fn cancel(platform: &Platform, id: &str) -> Result<(), ErrorData> {
    let id = parse(id)?;
    match platform.tunes.cancel(id) {
        Some(_) => Ok(()),
        None => platform.jobs.cancel(id).await.map(|_| ()).map_err(protocol_error),
    }
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
