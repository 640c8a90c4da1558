//! Completions: models by their names, jobs by their ids.

use engine::builtin_models;
use proto::rpc::ListJobs;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData};
use types::{JobFilter, State};

use crate::platform::Platform;

/// Jobs that are looked through; the protocol takes at most a hundred values.
const JOBS_MAX: usize = CompletionInfo::MAX_VALUES;

/// What an argument could be, by how its value begins.
pub(super) async fn complete(
    platform: &Platform,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let begun = request.argument.value.as_str();
    let values: Vec<String> = match request.argument.name.as_str() {
        "model" => builtin_models().iter().map(|model| model.version.to_owned()).collect(),
        "job_id" | "baseline_job_id" | "candidate_job_id" => jobs(platform).await,
        "columns" => vec!["vmaf".to_owned()],
        _ => Vec::new(),
    };
    let values = values.into_iter().filter(|value| value.starts_with(begun)).collect();
    let info = CompletionInfo::with_all_values(values)
        .map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(CompleteResult::new(info))
}

/// The newest jobs with a result. That the controller cannot be asked completes to nothing.
async fn jobs(platform: &Platform) -> Vec<String> {
    let filter = JobFilter { states: vec![State::Succeeded], ..JobFilter::default() };
    let list = ListJobs { filter, page_size: Some(JOBS_MAX), after: None };
    match platform.jobs.list(list).await {
        Ok(page) => page.jobs.iter().map(|job| job.id.to_string()).collect(),
        Err(error) => {
            tracing::debug!("no jobs to complete with: {}", error.message);
            Vec::new()
        }
    }
}
