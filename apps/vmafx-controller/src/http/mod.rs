//! The HTTP face: jobs and nodes as JSON, metrics, probes.
//!
//! Every error is a problem document of RFC 9457. What is not known, be it a field, a parameter
//! or a route, is refused, never ignored. `/openapi.json` says what there is; a test holds it and
//! the routes together.

mod body;
mod events;
mod frames;
mod jobs;
mod nodes;
mod ops;
mod problem;
mod query;
mod sampling;
pub(crate) mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use observability::layers::{HttpServerLayer, Visibility};

use observability::propagation::TRACEPARENT;

pub(crate) use body::spec_error;

use crate::app::App;
use problem::Problem;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How long an answer may take until its head is sent; streams may then go on.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// The routes that are served without a token: probes, and what says how to call the others.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// The routes whose requests are not logged.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Longer paths are cut in the log.
const PATH_CHARS_LOGGED_MAX: usize = 256;

/// The description of this face, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The face, ready to be served.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/jobs", post(jobs::submit).get(jobs::list))
        .route("/v1/jobs/retry", post(jobs::retry))
        .route("/v1/jobs/{id}", get(jobs::show).merge(delete(jobs::cancel)))
        .route("/v1/jobs/{id}/frames", get(frames::show))
        .route("/v1/jobs/{id}/events", get(events::stream))
        .route("/v1/jobs/{id}/explain", get(jobs::explain))
        .route("/v1/jobs/{id}/trace", post(jobs::export_trace))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}/drain", post(nodes::drain))
        .route("/v1/telemetry/sampling", sampling::routes())
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/openapi.json", get(ops::openapi))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(Arc::clone(&app), authorize))
        .layer(from_fn(common_headers))
        .layer(
            HttpServerLayer::new(&app.telemetry)
                .with("/v1/jobs/{id}/events", Visibility::DurationOnly),
        )
        .with_state(app)
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::no_such_route(uri.path())
}

/// axum adds the route's methods in the `allow` header.
async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(method.as_str())
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WAIT_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "no answer in time; whether the request took effect is not known";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", detail).into_response()
        }
    }
}

async fn authorize(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let admitted = match &app.tokens {
        None => true,
        Some(_) if OPEN.contains(&request.uri().path()) => true,
        Some(tokens) => tokens.admit(presented),
    };
    if admitted {
        return next.run(request).await;
    }
    let detail = "this controller asks for a token: send `authorization: Bearer <token>`";
    Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail).into_response()
}

/// Tells callers the trace their request belongs to, and browsers to keep their hands off; logs
/// one line a request, but none for probes and scrapes.
async fn common_headers(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(PATH_CHARS_LOGGED_MAX).collect();
    let mut response = next.run(request).await;
    if !QUIET.contains(&path.as_str()) {
        let status = response.status().as_u16();
        let took_ms = began.elapsed().as_secs_f64() * 1e3;
        if response.status().is_server_error() {
            tracing::warn!(%method, path, status, took_ms, "http request");
        } else {
            tracing::info!(%method, path, status, took_ms, "http request");
        }
    }
    let headers = response.headers_mut();
    if !headers.contains_key(TRACEPARENT)
        && let Some(trace) = observability::current_trace()
        && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
    {
        headers.insert(TRACEPARENT, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests;
