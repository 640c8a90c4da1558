//! The fleet over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use proto::{ApiError, ErrorKind};
use serde::Serialize;
use service::http::{Parameters, Problem, json};
use types::NodeId;

use super::body::DrainBody;
use super::view::NodesOut;
use crate::app::App;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    parameters: Parameters,
) -> Result<Json<NodesOut>, Problem> {
    parameters.finish()?;
    Ok(Json(app.queue.nodes().await?.into()))
}

#[derive(Debug, Serialize)]
struct DrainOut {
    id: String,
    draining: bool,
    running: u32,
}

/// Drains a node, or takes that back. An empty body drains.
pub(super) async fn drain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let DrainBody { undo } = match body {
        Ok(body) if body.is_empty() => DrainBody::default(),
        body => json(&headers, body)?,
    };
    let node = NodeId::new(id)
        .map_err(|error| ApiError::new(ErrorKind::NodeNotFound, error.to_string()))?;
    let running = app.queue.drain(node.clone(), undo).await?;
    tracing::debug!(%node, undo, running, "node drain asked for");
    let out = DrainOut { id: node.into(), draining: !undo, running };
    Ok(Json(out).into_response())
}
