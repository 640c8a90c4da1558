//! The HTTP face: one route that scores, and those of every service.
//!
//! `/openapi.json` says what there is; a test holds it and the routes together.

mod body;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use observability::layers::{HttpServerLayer, Visibility};
use proto::{ApiError, ErrorKind, MESSAGE_BYTES_MAX};
use service::http::{ANSWER_WAIT_MAX, Common, Ops, Parameters, Problem, json};

use crate::direct::{Callers, Direct};
use crate::unread::Counted;
use body::ScoreBody;
use view::{HealthOut, ScoredOut};

/// Per-frame values of one answer, frame numbers among them: a number and its comma take 26
/// characters at most, so that an answer is no larger than over gRPC.
const FRAME_VALUES_MAX: usize = MESSAGE_BYTES_MAX / 26;

/// The route that scores.
const SCORE: &str = "/v1/score";

/// The description of this face, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The face, ready to be served at `addr`.
pub(crate) fn router(direct: &Arc<Direct>, callers: &Callers, addr: SocketAddr) -> Router {
    let tokens = callers.tokens();
    let may_change = tokens.is_some() || addr.ip().is_loopback();
    let asked = Arc::clone(direct);
    let readiness = move || match asked.is_ready() {
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
    request: Request,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let (headers, body) = read(request, ANSWER_WAIT_MAX).await?;
    let patience = patience(&headers);
    let asked = json::<ScoreBody>(&headers, body)?.into_score()?;
    let (scored, kept) = direct.score(asked, patience, FRAME_VALUES_MAX).await?;
    // Millions of numbers take longer to write down than the runtime may be kept.
    let written =
        tokio::task::spawn_blocking(move || serde_json::to_vec(&ScoredOut::from(scored))).await;
    let defect = |error: String| {
        let text = format!("a defect: the answer was not written: {error}");
        Problem::from(ApiError::new(ErrorKind::Internal, text))
    };
    let bytes = written.map_err(|error| defect(error.to_string()))?;
    let bytes = bytes.map_err(|error| defect(error.to_string()))?;
    let json = HeaderValue::from_static("application/json");
    let response = ([(header::CONTENT_TYPE, json)], bytes).into_response();
    Ok(match kept {
        Some(kept) => response.map(|body| Body::new(Counted::new(body, kept))),
        None => response,
    })
}

/// How long the caller says that it waits, by `Prefer: wait=10` (RFC 7240), as gRPC's callers say by
/// `grpc-timeout`. What is malformed is ignored, as preferences are; of several the first counts.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = lines.flat_map(|line| line.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let seconds: u32 = preferences.next()?.parse().ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds.into()))
}

/// Reads a body whose route has no time limit of its own, in the time that other routes have for
/// everything.
async fn read(
    request: Request,
    wait: Duration,
) -> Result<(HeaderMap, Result<Bytes, BytesRejection>), Problem> {
    let headers = request.headers().clone();
    let body = tokio::time::timeout(wait, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| {
        let detail = format!("the body did not come within {wait:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED", detail)
    })?;
    Ok((headers, body))
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
