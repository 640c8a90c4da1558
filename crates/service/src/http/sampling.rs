//! Looking at and changing the sampling of traces in the running process.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, get};
use observability::sampler::{SamplingChange, SamplingChangeError};
use proto::ErrorKind;
use serde_json::Value;

use super::body::json_bytes;
use super::ops::Ops;
use super::problem::{FieldError, Problem};
use super::query::Parameters;

/// Bytes of a change.
const CHANGE_BYTES_MAX: usize = 16 << 10;

/// What may be done with it.
pub(super) fn routes() -> MethodRouter<Ops> {
    get(show).put(change).delete(reset).layer(DefaultBodyLimit::max(CHANGE_BYTES_MAX))
}

/// What is in force.
async fn show(State(ops): State<Ops>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    Ok(Json(ops.telemetry().tracer.sampling().status().to_json()))
}

/// Changes it, from the next trace that begins here on.
async fn change(
    State(ops): State<Ops>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    may_change(&ops)?;
    let change = SamplingChange::from_json(&json_bytes(&headers, body)?);
    let change = change.map_err(|error| match error {
        SamplingChangeError::NotJson(_) => Problem::invalid(error.to_string()),
        SamplingChangeError::Field { field, problem } => {
            Problem::from(FieldError { field, problem })
        }
    })?;
    Ok(Json(ops.telemetry().tracer.sampling().change(&change).to_json()))
}

/// Takes back what was changed by call, as SIGHUP does. A page in a browser has to ask before it may
/// send this to another origin, and is not allowed to.
async fn reset(State(ops): State<Ops>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    may_change(&ops)?;
    let sampling = ops.telemetry().tracer.sampling();
    sampling.reload();
    Ok(Json(sampling.status().to_json()))
}

fn may_change(ops: &Ops) -> Result<(), Problem> {
    let Some(why) = ops.lock() else { return Ok(()) };
    let code = ErrorKind::PermissionDenied.as_str();
    Err(Problem::new(StatusCode::FORBIDDEN, code, why))
}
