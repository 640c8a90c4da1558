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
mod query;
pub(crate) mod view;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use observability::layers::{HttpServerLayer, Visibility};
use service::http::{Common, Ops};

use crate::app::App;
use crate::telemetry::set_gauges;

/// The description of this face, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The face, ready to be served.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/v1/jobs", post(jobs::submit).get(jobs::list))
        .route("/v1/jobs/retry", post(jobs::retry))
        .route("/v1/jobs/{id}", get(jobs::show).merge(delete(jobs::cancel)))
        .route("/v1/jobs/{id}/frames", get(frames::show))
        .route("/v1/jobs/{id}/events", get(events::stream))
        .route("/v1/jobs/{id}/explain", get(jobs::explain))
        .route("/v1/jobs/{id}/trace", post(jobs::export_trace))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}/drain", post(nodes::drain))
        .route("/openapi.json", get(openapi))
        .merge(ops(&app).routes());
    let common = Common { name: "controller", tokens: app.tokens.clone(), unhurried: &[] };
    let spans = HttpServerLayer::new(&app.telemetry);
    let spans = spans.with("/v1/jobs/{id}/events", Visibility::DurationOnly);
    common.around(routes, spans).with_state(app)
}

/// Ready while the queue is open and the controller does not go down.
fn ops(app: &Arc<App>) -> Ops {
    let (asked, scraped) = (Arc::clone(app), Arc::clone(app));
    let readiness = move || match asked.is_ready() {
        true => Ok(()),
        false => Err("the controller is starting or shutting down"),
    };
    let locked = "this controller asks nobody for a token and listens beyond loopback: sampling is \
                  changed by SIGHUP, or start it with --token-file";
    Ops::new(&app.telemetry, readiness)
        .refreshed_by(move || set_gauges(&scraped.telemetry.metrics, &scraped.queue.stats()))
        .locked((!app.admin).then_some(locked))
}

async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], OPENAPI).into_response()
}

#[cfg(test)]
mod tests;
