//! HTTP requests that a server serves.
//!
//! For `axum::Router::layer`, where the matched route is known. A request that matches none has no
//! route: its span is named by its method alone. A 5xx status makes an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use axum::extract::{ConnectInfo, MatchedPath};
use http::uri::Scheme;
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body::Body;
use opentelemetry::trace::SpanKind;
use tower_layer::Layer;
use tower_service::Service;

use super::call::{Call, CallBody, CallFuture, CallSpan};
use super::http_route::{Ending, KnownMethod, RouteNumber, Routes};
use super::methods::Visibility;
use crate::clock::{Moment, read_counter};
use crate::init::Telemetry;
use crate::schema::attr;
use crate::span::ActiveSpan;

/// Routes that leave nothing behind unless set otherwise: probes and scrapes.
const HIDDEN_ROUTES: [&str; 4] = ["/healthz", "/readyz", "/livez", "/metrics"];

/// Longer paths and user agents are cut.
const TEXT_BYTES_MAX: usize = 256;

#[derive(Debug)]
struct Shared {
    telemetry: Telemetry,
    routes: Routes,
}

/// Follows the requests that an HTTP server serves.
#[derive(Debug, Clone)]
pub struct HttpServerLayer(Arc<Shared>);

impl HttpServerLayer {
    /// A layer that hides probes and scrapes.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        read_counter();
        let hidden = HIDDEN_ROUTES.iter().map(|route| ((*route).to_owned(), Visibility::Hidden));
        let routes = Routes::new(hidden.collect());
        Self(Arc::new(Shared { telemetry: telemetry.clone(), routes }))
    }

    /// Sets what requests of the route template leave behind.
    #[must_use]
    pub fn with(self, route: &str, visibility: Visibility) -> Self {
        let mut shown = vec![(route.to_owned(), visibility)];
        shown.extend(self.0.routes.shown.iter().cloned());
        let telemetry = self.0.telemetry.clone();
        Self(Arc::new(Shared { telemetry, routes: Routes::new(shown) }))
    }
}

impl<S> Layer<S> for HttpServerLayer {
    type Service = HttpServer<S>;

    fn layer(&self, inner: S) -> HttpServer<S> {
        HttpServer { inner, shared: Arc::clone(&self.0) }
    }
}

/// An HTTP server whose requests are followed.
#[derive(Debug, Clone)]
pub struct HttpServer<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for HttpServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<CallBody<R, HttpCall>>;
    type Error = S::Error;
    type Future = CallFuture<S::Future, HttpCall>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let matched = request.extensions().get::<MatchedPath>();
        let number = shared.routes.find(matched.map(MatchedPath::as_str));
        let route = shared.routes.get(number);
        let visibility = match matched {
            Some(_) => route.visibility,
            None => shared.routes.visibility(request.uri().path()),
        };
        if visibility == Visibility::Hidden {
            return CallFuture::new(self.inner.call(request), None);
        }
        let tracer = &shared.telemetry.tracer;
        let incoming = tracer.extract(request.headers());
        let now = Moment::now();
        let method = KnownMethod::of(request.method());
        let span = if visibility == Visibility::Span {
            let name = route.span_name(method);
            let mut span = tracer.of_call(SpanKind::Server, name, incoming, now);
            if span.is_recording() {
                describe_request(&mut span, &request);
            }
            CallSpan::server(span, name.text)
        } else {
            CallSpan::none(incoming, now)
        };
        let ending = Ending { status: None, is_broken: false };
        let call = HttpCall { shared: Arc::clone(shared), method, route: number, span, ending };
        let inner = self.inner.call(request);
        CallFuture::new(inner, Some(call))
    }
}

/// An HTTP request that is being followed.
#[derive(Debug)]
pub struct HttpCall {
    shared: Arc<Shared>,
    method: KnownMethod,
    route: RouteNumber,
    span: CallSpan,
    ending: Ending,
}

impl Call for HttpCall {
    fn span(&mut self) -> &mut CallSpan {
        &mut self.span
    }

    fn responded(&mut self, status: StatusCode, _: &HeaderMap) {
        self.ending.status = Some(status);
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn completed(&mut self) {}

    fn failed(&mut self) {
        self.ending.is_broken = true;
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        let (shared, method, ending) = (&self.shared, self.method, self.ending);
        let route = shared.routes.get(self.route);
        self.span.finish(
            &shared.telemetry.tracer,
            |took| {
                let family = &shared.telemetry.metrics.durations().http_server;
                let make = |labels| family.get(labels);
                route.record(method, ending, make, |histogram| took.record(histogram));
            },
            |span| {
                span.set(attr::HTTP_REQUEST_METHOD, method.as_str());
                if let Some(template) = route.template {
                    span.set(attr::HTTP_ROUTE, template);
                }
                if let Some(status) = ending.status {
                    span.set(attr::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
                }
                match ending.error_type() {
                    Some(error_type) if ending.is_fault() => span.fail(error_type, ""),
                    Some(error_type) => span.set(attr::ERROR_TYPE, error_type),
                    None => {}
                }
            },
        );
    }
}

fn describe_request<B>(span: &mut ActiveSpan, request: &Request<B>) {
    let cut = |text: &str| crate::span::cut(text, TEXT_BYTES_MAX).to_owned();
    span.set(attr::URL_PATH, cut(request.uri().path()));
    let is_https = request.uri().scheme() == Some(&Scheme::HTTPS);
    span.set(attr::URL_SCHEME, if is_https { "https" } else { "http" });
    if !KnownMethod::of(request.method()).is_known() {
        span.set(attr::HTTP_REQUEST_METHOD_ORIGINAL, cut(request.method().as_str()));
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        span.set(attr::NETWORK_PEER_ADDRESS, peer.ip().to_string());
        span.set(attr::NETWORK_PEER_PORT, i64::from(peer.port()));
    }
    span.set(attr::NETWORK_PROTOCOL_VERSION, version_text(request.version()));
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    if let Some(agent) = agent {
        span.set(attr::USER_AGENT_ORIGINAL, cut(agent));
    }
}

/// The version as the conventions write it.
fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
