//! What the HTTP face of a service does with every request.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use observability::layers::HttpServerLayer;
use observability::propagation::TRACEPARENT;

use super::problem::Problem;
use crate::tokens::Tokens;

/// Bytes of a request's body unless a route says otherwise.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How long an answer may take until its head is sent; streams may then go on.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// The routes that are served without a token: probes, and what says how to call the others.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];
/// The routes whose requests are not logged.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Longer paths are cut in the log.
const PATH_CHARS_LOGGED_MAX: usize = 256;

/// How a service treats its HTTP callers.
#[derive(Debug, Clone)]
pub struct Common {
    /// What the service calls itself to a caller, such as `controller`.
    pub name: &'static str,
    /// Who may call; `None` lets everybody.
    pub tokens: Option<Tokens>,
    /// Paths whose answers keep a time of their own instead of [`ANSWER_WAIT_MAX`].
    pub unhurried: &'static [&'static str],
}

impl Common {
    /// Puts around the routes what every face has: an answer for every path and method, a bound
    /// on bodies and on waiting, the question for a token, common headers, one log line a request,
    /// and outermost the span that `spans` makes.
    pub fn around<S>(self, routes: Router<S>, spans: HttpServerLayer) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        routes
            .fallback(no_such_route)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(self.unhurried, in_time))
            .layer(from_fn_with_state(self, authorize))
            .layer(from_fn(common_headers))
            .layer(spans)
    }
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::no_such_route(uri.path())
}

/// axum adds the route's methods in the `allow` header.
async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(method.as_str())
}

async fn in_time(
    State(unhurried): State<&'static [&'static str]>,
    request: Request,
    next: Next,
) -> Response {
    if unhurried.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match tokio::time::timeout(ANSWER_WAIT_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "no answer in time; whether the request took effect is not known";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", detail).into_response()
        }
    }
}

async fn authorize(State(common): State<Common>, request: Request, next: Next) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let admitted = match &common.tokens {
        None => true,
        Some(_) if OPEN.contains(&request.uri().path()) => true,
        Some(tokens) => tokens.admit(presented),
    };
    if admitted {
        return next.run(request).await;
    }
    let detail =
        format!("this {} asks for a token: send `authorization: Bearer <token>`", common.name);
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
