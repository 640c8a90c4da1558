//! The HTTP face: one route that scores, and those of every service.
//!
//! `/openapi.json` says what there is; a test holds it and the routes together.

mod body;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use observability::layers::{HttpServerLayer, Visibility};
use service::http::{Common, Ops, Parameters, Problem, json};

use crate::direct::{Callers, Direct};
use body::ScoreBody;
use view::{HealthOut, ScoredOut};

/// The route that scores.
const SCORE: &str = "/v1/score";

/// The description of this face, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The face, ready to be served at `addr`.
pub(crate) fn router(direct: &Arc<Direct>, callers: &Callers, addr: SocketAddr) -> Router {
    let tokens = callers.tokens();
    let may_change = tokens.is_some() || addr.ip().is_loopback();
    let asked = Arc::clone(direct);
    let readiness = move || match asked.is_open() {
        true => Ok(()),
        false => Err("the server is shutting down"),
    };
    let locked = "this server asks nobody for a token and listens beyond loopback: sampling is \
                  changed by SIGHUP, or start it with --token-file";
    let ops = Ops::new(&direct.telemetry, readiness).locked((!may_change).then_some(locked));
    let routes = Router::new()
        .route("/v1/score", post(score))
        .route("/v1/health", get(health))
        .route("/openapi.json", get(openapi))
        .merge(ops.routes());
    // A score takes as long as it takes, within the time that its caller and the server allow.
    let common = Common { name: "server", tokens, unhurried: &[SCORE] };
    let spans = HttpServerLayer::new(&direct.telemetry).with("/v1/health", Visibility::Hidden);
    common.around(routes, spans).with_state(Arc::clone(direct))
}

/// Scores a pair. A caller that leaves ends the work: the handler is dropped then.
async fn score(
    State(direct): State<Arc<Direct>>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ScoredOut>, Problem> {
    parameters.finish()?;
    let asked = json::<ScoreBody>(&headers, body)?.into_score()?;
    let scored = direct.score(asked, None).await?;
    Ok(Json(scored.into()))
}

async fn health(
    State(direct): State<Arc<Direct>>,
    parameters: Parameters,
) -> Result<Json<HealthOut>, Problem> {
    parameters.finish()?;
    Ok(Json(direct.health().into()))
}

async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], OPENAPI).into_response()
}

#[cfg(test)]
mod tests;
