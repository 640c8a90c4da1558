//! HTTP requests that a client makes.
//!
//! A request has no route on this side, so its span is named by its method alone. Every status from
//! 400 on makes an error, as does a connection that fails. What a URL may hide, its credentials and
//! its query, stays out of the span.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use opentelemetry::trace::SpanKind;
use tower_layer::Layer;
use tower_service::Service;

use super::call::{Call, CallBody, CallFuture, CallSpan};
use super::http_route::{KnownMethod, status_text};
use crate::init::Telemetry;
use crate::schema::attr;
use crate::text::cut;

/// Longer URLs are cut.
const URL_BYTES_MAX: usize = 512;

/// Follows the requests that an HTTP client makes, and gives them the trace to continue.
#[derive(Debug, Clone)]
pub struct HttpClientLayer(Arc<Telemetry>);

impl HttpClientLayer {
    /// A layer for a client of whatever servers.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        Self(Arc::new(telemetry.clone()))
    }
}

impl<S> Layer<S> for HttpClientLayer {
    type Service = HttpClient<S>;

    fn layer(&self, inner: S) -> HttpClient<S> {
        HttpClient { inner, telemetry: Arc::clone(&self.0) }
    }
}

/// An HTTP client whose requests are followed.
#[derive(Debug, Clone)]
pub struct HttpClient<S> {
    inner: S,
    telemetry: Arc<Telemetry>,
}

impl<S, B, R> Service<Request<B>> for HttpClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<CallBody<R, HttpClientCall>>;
    type Error = S::Error;
    type Future = CallFuture<S::Future, HttpClientCall>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let tracer = &self.telemetry.tracer;
        let method = KnownMethod::of(request.method());
        let mut span = tracer.span(method.in_names()).kind(SpanKind::Client).start();
        if span.is_recording() {
            span.set(attr::URL_FULL, without_secrets(request.uri()));
            if !method.is_known() {
                let original = cut(request.method().as_str(), URL_BYTES_MAX).to_owned();
                span.set(attr::HTTP_REQUEST_METHOD_ORIGINAL, original);
            }
        }
        tracer.inject(span.cx(), request.headers_mut());
        let call = HttpClientCall {
            telemetry: Arc::clone(&self.telemetry),
            method,
            server: server(request.uri()),
            span: CallSpan::of_client(span),
            status: None,
            is_broken: false,
        };
        let inner = self.inner.call(request);
        CallFuture::new(inner, Some(call))
    }
}

/// An HTTP request that is being followed.
#[derive(Debug)]
pub struct HttpClientCall {
    telemetry: Arc<Telemetry>,
    method: KnownMethod,
    server: Option<(String, u16)>,
    span: CallSpan,
    status: Option<StatusCode>,
    is_broken: bool,
}

impl Call for HttpClientCall {
    fn span(&mut self) -> Option<&mut CallSpan> {
        Some(&mut self.span)
    }

    fn responded(&mut self, status: StatusCode, _: &HeaderMap) {
        self.status = Some(status);
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn completed(&mut self) {}

    fn failed(&mut self) {
        self.is_broken = true;
    }
}

impl HttpClientCall {
    /// Why the request failed, if it did.
    fn error_type(&self) -> Option<&'static str> {
        match self.status {
            Some(status) if status.is_client_error() || status.is_server_error() => {
                Some(status_text(status))
            }
            Some(_) if self.is_broken => Some("broken_off"),
            Some(_) => None,
            None if self.is_broken => Some("connection"),
            None => Some("cancelled"),
        }
    }
}

impl Drop for HttpClientCall {
    fn drop(&mut self) {
        let error_type = self.error_type();
        let (method, status, server) = (self.method, self.status, self.server.as_ref());
        let durations = self.telemetry.metrics.durations();
        self.span.finish(
            &self.telemetry.tracer,
            |took| {
                let mut labels = vec![(attr::HTTP_REQUEST_METHOD, method.as_str().into())];
                if let Some((host, port)) = server {
                    labels.push((attr::SERVER_ADDRESS, host.clone().into()));
                    labels.push((attr::SERVER_PORT, port.to_string().into()));
                }
                if let Some(status) = status {
                    labels.push((attr::HTTP_RESPONSE_STATUS_CODE, status_text(status).into()));
                }
                if let Some(error_type) = error_type {
                    labels.push((attr::ERROR_TYPE, error_type.into()));
                }
                took.record(&durations.http_client.get(labels));
            },
            |span| {
                span.set(attr::HTTP_REQUEST_METHOD, method.as_str());
                if let Some((host, port)) = server {
                    span.set(attr::SERVER_ADDRESS, host.clone());
                    span.set(attr::SERVER_PORT, i64::from(*port));
                }
                if let Some(status) = status {
                    span.set(attr::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
                }
                if let Some(error_type) = error_type {
                    span.fail(error_type, "");
                }
            },
        );
    }
}

fn server(uri: &Uri) -> Option<(String, u16)> {
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(default_port)))
}

/// Scheme, host, port and path.
fn without_secrets(uri: &Uri) -> String {
    let mut text = String::new();
    if let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) {
        text = format!("{scheme}://{host}");
        if let Some(port) = uri.port() {
            text.push_str(&format!(":{port}"));
        }
    }
    text.push_str(uri.path());
    cut(&text, URL_BYTES_MAX).to_owned()
}
