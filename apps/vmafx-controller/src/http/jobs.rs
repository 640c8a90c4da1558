//! Jobs over HTTP.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use observability::layers::ServerSpan;
use proto::limits::{IDEMPOTENCY_KEY_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, RETRY_IDS_MAX};
use proto::rpc::{RetryJobs, Submit};
use proto::{ApiError, ErrorKind};
use serde::Serialize;
use service::http::{Parameters, Problem, json};
use types::{JobFilter, JobId, SubmitMethod, Timestamp};

use super::body::{RetryBody, SpecBody};
use super::query::{filter, job_id};
use super::view::{JobOut, PageOut, SubmittedOut};
use crate::app::App;
use crate::error::api_error;

impl From<crate::queue::QueueError> for Problem {
    fn from(error: crate::queue::QueueError) -> Self {
        api_error(&error).into()
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let detail = format!(
            "Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
        );
        return Err(Problem::invalid(detail));
    }
    Ok(Some(key.to_owned()))
}

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let spec = json::<SpecBody>(&headers, body)?.into_spec()?;
    let idempotency_key = idempotency_key(&headers)?;
    let span = ServerSpan::current();
    let jobs = vec![Submit { spec, idempotency_key }];
    let submitted = app.submit(SubmitMethod::PostJobs, jobs, span.as_ref()).await?;
    let submitted = submitted.into_iter().next();
    let submitted =
        submitted.ok_or_else(|| ApiError::new(ErrorKind::Internal, "no answer for the one job"))?;
    let (id, trace) = (submitted.job, &submitted.trace);
    let out = SubmittedOut::new(id, submitted.existing, trace);
    let mut response = (StatusCode::ACCEPTED, Json(out)).into_response();
    let ascii = |text: String| HeaderValue::try_from(text).ok();
    for (name, value) in [
        (header::LOCATION, ascii(format!("/v1/jobs/{id}"))),
        (observability::propagation::TRACEPARENT, ascii(trace.traceparent())),
    ] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    mut parameters: Parameters,
) -> Result<Json<PageOut>, Problem> {
    let filter = filter(&mut parameters)?;
    let limit = parameters.parsed("limit")?.unwrap_or(PAGE_SIZE_DEFAULT);
    let after: Option<JobId> = parameters.parsed("cursor")?;
    parameters.finish()?;
    if !(1..=PAGE_SIZE_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("limit: {limit} is not 1 to {PAGE_SIZE_MAX}")));
    }
    Ok(Json(app.queue.jobs(filter, after, limit).await?.into()))
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<JobOut>, Problem> {
    parameters.finish()?;
    Ok(Json(app.queue.job(job_id(&id)?).await?.into()))
}

/// Where the time of the job went; `format=text` gives it as people read it.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let format = parameters.one("format")?;
    parameters.finish()?;
    let job = app.queue.job(job_id(&id)?).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::EPOCH.after(now);
    let waterfall = types::explain::explain(&job, now);
    match format.as_deref() {
        None | Some("json") => Ok(Json(waterfall).into_response()),
        Some("text") => Ok(waterfall.render().into_response()),
        Some(_) => Err(Problem::invalid("format: use json or text")),
    }
}

#[derive(Debug, Serialize)]
struct ExportedOut {
    id: JobId,
    trace_id: types::TraceId,
    spans: u32,
}

/// Rebuilds the trace of a job that has ended and sends it to the collector.
pub(super) async fn export_trace(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let id = job_id(&id)?;
    let proto::rpc::ExportedTrace { trace_id, spans } = app.export_trace(id).await?;
    Ok(Json(ExportedOut { id, trace_id, spans }).into_response())
}

#[derive(Debug, Serialize)]
struct CancelledOut {
    id: JobId,
    state: types::State,
    changed: bool,
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let id = job_id(&id)?;
    let cancelled = app.queue.cancel(id).await?;
    let out = CancelledOut { id, state: cancelled.state, changed: cancelled.changed };
    Ok(Json(out).into_response())
}

#[derive(Debug, Serialize)]
struct RetriedOut {
    retried: u64,
}

pub(super) async fn retry(
    State(app): State<Arc<App>>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let body: RetryBody = json(&headers, body)?;
    let which = match (body.job_ids.is_empty(), body.filter) {
        (false, None) => {
            if body.job_ids.len() > RETRY_IDS_MAX {
                return Err(Problem::invalid(format!("job_ids: more than {RETRY_IDS_MAX}")));
            }
            let ids = body.job_ids.iter().map(|id| {
                id.parse().map_err(|error| Problem::invalid(format!("job_ids: {error}")))
            });
            RetryJobs::Ids(ids.collect::<Result<_, _>>()?)
        }
        (true, Some(filter)) => RetryJobs::Filter(JobFilter {
            states: filter.states,
            tenant: None,
            labels: filter.labels,
        }),
        (true, None) => return Err(Problem::invalid("name jobs in job_ids, or give a filter")),
        (false, Some(_)) => {
            return Err(Problem::invalid("give job_ids or a filter, not both"));
        }
    };
    let retried = app.retry(which).await?;
    Ok(Json(RetriedOut { retried }).into_response())
}
