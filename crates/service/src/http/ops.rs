//! What operators and probes see: `/metrics`, `/healthz`, `/readyz`, and the sampling of traces.
//! None of them waits for anything.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use observability::Telemetry;

use super::problem::Problem;
use super::sampling;

/// The paths that [`Ops::routes`] serves.
pub const PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/telemetry/sampling"];

/// What a service tells whoever runs it. Cheap to clone.
#[derive(Clone)]
pub struct Ops {
    telemetry: Telemetry,
    /// Why no new work is welcome, if it is not.
    readiness: Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
    /// Brings gauges up to date before they are read.
    refresh: Arc<dyn Fn() + Send + Sync>,
    /// Why callers may not change how the process works, if they may not.
    locked: Option<&'static str>,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").field("locked", &self.locked).finish_non_exhaustive()
    }
}

impl Ops {
    /// A service that is ready while `readiness` has nothing against it.
    pub fn new(
        telemetry: &Telemetry,
        readiness: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Self {
        Self {
            telemetry: telemetry.clone(),
            readiness: Arc::new(readiness),
            refresh: Arc::new(|| {}),
            locked: None,
        }
    }

    /// Calls `refresh` before each scrape.
    #[must_use]
    pub fn refreshed_by(self, refresh: impl Fn() + Send + Sync + 'static) -> Self {
        Self { refresh: Arc::new(refresh), ..self }
    }

    /// Lets nobody change the process who is not known: `why` says what to do instead.
    #[must_use]
    pub fn locked(self, why: Option<&'static str>) -> Self {
        Self { locked: why, ..self }
    }

    /// The routes, [`PATHS`], to be merged with those of the service.
    pub fn routes<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/v1/telemetry/sampling", get(sampling::show).put(sampling::change))
            .with_state(self)
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(super) fn lock(&self) -> Option<&'static str> {
        self.locked
    }
}

/// New work is welcome.
async fn readyz(State(ops): State<Ops>) -> Result<&'static str, Problem> {
    let detail = match (ops.readiness)() {
        Ok(()) => return Ok("ready\n"),
        Err(detail) => detail,
    };
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail))
}

async fn metrics(State(ops): State<Ops>, headers: HeaderMap) -> Response {
    (ops.refresh)();
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let rendered = ops.telemetry.metrics.render(accept);
    let content_type = HeaderValue::from_static(rendered.content_type);
    ([(header::CONTENT_TYPE, content_type)], rendered.body).into_response()
}
