//! Looking at and changing the sampling of traces in the running process.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, get};
use observability::sampler::{SamplingChange, SamplingChangeError};
use proto::ErrorKind;
use serde_json::Value;

use super::body::BodyError;
use super::jobs::json_bytes;
use super::problem::Problem;
use super::query::Parameters;
use crate::app::App;

/// What may be done with it.
pub(super) fn routes() -> MethodRouter<Arc<App>> {
    get(show).put(change).delete(reset)
}

/// What is in force.
async fn show(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    Ok(Json(app.telemetry.tracer.sampling().status().to_json()))
}

/// Changes it, from the next job on.
async fn change(
    State(app): State<Arc<App>>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    may_change(&app)?;
    let change = SamplingChange::from_json(&json_bytes(&headers, body)?);
    let change = change.map_err(|error| match error {
        SamplingChangeError::NotJson(_) => Problem::invalid(error.to_string()),
        SamplingChangeError::Field { field, problem } => {
            Problem::from(BodyError { field, problem })
        }
    })?;
    Ok(Json(app.telemetry.tracer.sampling().change(&change).to_json()))
}

/// Takes back what was changed by call, as SIGHUP does.
async fn reset(
    State(app): State<Arc<App>>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.finish()?;
    may_change(&app)?;
    let sampling = app.telemetry.tracer.sampling();
    sampling.reload();
    Ok(Json(sampling.status().to_json()))
}

fn may_change(app: &App) -> Result<(), Problem> {
    if app.admin {
        return Ok(());
    }
    let detail = "this controller asks nobody for a token and listens beyond loopback: sampling \
                  is changed by SIGHUP, or start it with --token-file";
    let code = ErrorKind::PermissionDenied.as_str();
    Err(Problem::new(StatusCode::FORBIDDEN, code, detail))
}
