//! The door of a gRPC face: asks callers for a token where one is configured, and logs one line
//! a call when its answer begins.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use proto::{ApiError, ErrorKind};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_layer::Layer;
use tower_service::Service;

use crate::tokens::Tokens;

/// Health is asked by probes that hold no secret.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Longer paths are cut in the log.
const PATH_CHARS_LOGGED_MAX: usize = 128;

/// Puts the door before every service.
#[derive(Debug, Clone)]
pub struct DoorLayer {
    /// What the service calls itself to a caller, such as `controller`.
    pub name: &'static str,
    /// Who may call; `None` lets everybody.
    pub tokens: Option<Tokens>,
    /// Methods, as `/Name`, that come thousands of times a second: a line each only when asked for.
    pub frequent: &'static [&'static str],
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { layer: self.clone(), inner }
    }
}

/// The door.
#[derive(Debug, Clone)]
pub struct Door<S> {
    layer: DoorLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for Door<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let is_health = path.starts_with(HEALTH);
        let presented = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let admitted =
            is_health || self.layer.tokens.as_ref().is_none_or(|tokens| tokens.admit(presented));
        let log = (!is_health).then(|| Call {
            path: path.chars().take(PATH_CHARS_LOGGED_MAX).collect(),
            began: Instant::now(),
        });
        let (name, frequent) = (self.layer.name, self.layer.frequent);
        let inner = admitted.then(|| self.inner.call(request));
        Box::pin(async move {
            let response = match inner {
                Some(inner) => inner.await?,
                None => refused(name),
            };
            if let Some(call) = log {
                call.answered(&response, frequent);
            }
            Ok(response)
        })
    }
}

fn refused(name: &str) -> Response<Body> {
    let text = format!("this {name} asks for a token: send `authorization: Bearer <token>`");
    Status::from(ApiError::new(ErrorKind::Unauthenticated, text)).into_http()
}

struct Call {
    path: String,
    began: Instant,
}

impl Call {
    /// A failure that is known when the answer begins stands in its head; the others end a stream.
    fn answered(&self, response: &Response<Body>, frequent: &[&str]) {
        let path = self.path.as_str();
        let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |s| s.code());
        let took_ms = self.began.elapsed().as_secs_f64() * 1e3;
        match code {
            Code::Ok if frequent.iter().any(|name| path.ends_with(name)) => {
                tracing::debug!(path, code = "Ok", took_ms, "grpc call");
            }
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => tracing::warn!(path, ?code, took_ms, "grpc call"),
            _ => tracing::info!(path, ?code, took_ms, "grpc call"),
        }
    }
}
