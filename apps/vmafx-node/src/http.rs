//! What operators and probes see: `/metrics`, `/healthz`, `/readyz`, and the sampling of traces.
//!
//! Nobody is asked for a token here, so what changes the process is for callers on this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use observability::sampler::{SamplingChange, SamplingChangeError};
use serde_json::{Value, json};

use crate::shared::Shared;

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The face, ready to be served at `addr`.
pub(crate) fn router(shared: Arc<Shared>, addr: SocketAddr) -> Router {
    let change = move |shared, headers, body| change_sampling(shared, addr, headers, body);
    let reset = move |shared| reset_sampling(shared, addr);
    Router::new()
        .route("/v1/telemetry/sampling", get(sampling).put(change).delete(reset))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared)
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let rendered = shared.telemetry.metrics.render(accept);
    ([(header::CONTENT_TYPE, rendered.content_type)], rendered.body).into_response()
}

/// Ready while the work stream is open and work is taken.
async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.is_ready() {
        (StatusCode::OK, "ready\n")
    } else if shared.hands.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not connected to the controller\n")
    }
}

/// What is in force.
async fn sampling(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.telemetry.tracer.sampling().status().to_json())
}

/// Changes the sampling, from the next trace that begins here on.
async fn change_sampling(
    State(shared): State<Arc<Shared>>,
    addr: SocketAddr,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if let Some(refusal) = refused(addr) {
        return refusal;
    }
    let body = match body {
        Ok(body) => body,
        Err(error) => return problem(error.status(), &error.body_text()),
    };
    // A page in a browser cannot send this to another origin unasked.
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.starts_with("application/json")) {
        let detail = "the body must be JSON: send `content-type: application/json`";
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    }
    match SamplingChange::from_json(&body) {
        Ok(change) => {
            let status = shared.telemetry.tracer.sampling().change(&change);
            Json(status.to_json()).into_response()
        }
        Err(error @ SamplingChangeError::NotJson(_)) => {
            problem(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Err(error) => problem(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// Takes back what was changed by call, as SIGHUP does. A page in a browser must ask before it may
/// send this to another origin, and is not allowed to.
async fn reset_sampling(State(shared): State<Arc<Shared>>, addr: SocketAddr) -> Response {
    if let Some(refusal) = refused(addr) {
        return refusal;
    }
    let sampling = shared.telemetry.tracer.sampling();
    sampling.reload();
    Json(sampling.status().to_json()).into_response()
}

/// Why nobody may change this process by a call, where it listens for all.
fn refused(addr: SocketAddr) -> Option<Response> {
    let detail = "this node listens beyond loopback and asks nobody for a token: sampling is \
                  changed by SIGHUP";
    (!addr.ip().is_loopback()).then(|| problem(StatusCode::FORBIDDEN, detail))
}

/// A problem document of RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let document = json!({"title": title, "status": status.as_u16(), "detail": detail});
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, document.to_string()).into_response()
}
