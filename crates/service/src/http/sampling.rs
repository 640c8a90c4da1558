//! Looking at and changing the sampling of traces in the running process.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use observability::sampler::{SamplingChange, SamplingChangeError};
use proto::ErrorKind;
use serde_json::Value;

use super::body::json_bytes;
use super::ops::Ops;
use super::problem::{FieldError, Problem};
use super::query::Parameters;

/// What is in force.
pub(super) async fn show(
    State(ops): State<Ops>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    Ok(Json(ops.telemetry().tracer.sampling().status().to_json()))
}

/// Changes it, from the next trace that begins here on.
pub(super) async fn change(
    State(ops): State<Ops>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    if let Some(why) = ops.lock() {
        let code = ErrorKind::PermissionDenied.as_str();
        return Err(Problem::new(StatusCode::FORBIDDEN, code, why));
    }
    let change = SamplingChange::from_json(&json_bytes(&headers, body)?);
    let change = change.map_err(|error| match error {
        SamplingChangeError::NotJson(_) => Problem::invalid(error.to_string()),
        SamplingChangeError::Field { field, problem } => {
            Problem::from(FieldError { field, problem })
        }
    })?;
    Ok(Json(ops.telemetry().tracer.sampling().change(&change).to_json()))
}
