//! Probes, metrics and the description of this face. None of them waits for the store.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::app::App;
use crate::telemetry::set_gauges;

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// New work is welcome: the queue is open and the controller does not go down.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.is_ready() {
        return Ok("ready\n");
    }
    let detail = "the controller is starting or shutting down";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail))
}

pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    set_gauges(&app.telemetry.metrics, &app.queue.stats());
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let rendered = app.telemetry.metrics.render(accept);
    let content_type = HeaderValue::from_static(rendered.content_type);
    ([(header::CONTENT_TYPE, content_type)], rendered.body).into_response()
}

pub(super) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], super::OPENAPI).into_response()
}
