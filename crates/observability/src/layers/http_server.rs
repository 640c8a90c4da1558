//! HTTP requests that a server serves.
//!
//! For `axum::Router::layer`, where the matched route is known. A request that matches none has no
//! route: its span is named by its method alone. A 5xx status makes an error.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use axum::extract::MatchedPath;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use opentelemetry::Context;
use opentelemetry::trace::SpanKind;
use tower_layer::Layer;
use tower_service::Service;

use super::call::{Call, CallBody, CallFuture, ServerSpan};
use super::methods::Visibility;
use crate::init::Telemetry;
use crate::schema::attr;
use crate::span::{ActiveSpan, quick_hash};

/// Routes that leave nothing behind unless set otherwise: probes and scrapes.
const HIDDEN_ROUTES: [&str; 4] = ["/healthz", "/readyz", "/livez", "/metrics"];

/// Longer paths and user agents are cut.
const TEXT_BYTES_MAX: usize = 256;

#[derive(Debug, Clone)]
struct Shared {
    telemetry: Telemetry,
    routes: Vec<(String, Visibility)>,
}

impl Shared {
    fn visibility(&self, route: &str) -> Visibility {
        let found = self.routes.iter().find(|(name, _)| name == route);
        found.map_or(Visibility::Span, |(_, visibility)| *visibility)
    }
}

/// Follows the requests that an HTTP server serves.
#[derive(Debug, Clone)]
pub struct HttpServerLayer(Arc<Shared>);

impl HttpServerLayer {
    /// A layer that hides probes and scrapes.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        let hidden = HIDDEN_ROUTES.iter().map(|route| ((*route).to_owned(), Visibility::Hidden));
        Self(Arc::new(Shared { telemetry: telemetry.clone(), routes: hidden.collect() }))
    }

    /// Sets what requests of the route template leave behind.
    #[must_use]
    pub fn with(mut self, route: &str, visibility: Visibility) -> Self {
        Arc::make_mut(&mut self.0).routes.insert(0, (route.to_owned(), visibility));
        self
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let route = request.extensions().get::<MatchedPath>().cloned();
        let path = route.as_ref().map_or_else(|| request.uri().path(), MatchedPath::as_str);
        let visibility = shared.visibility(path);
        if visibility == Visibility::Hidden {
            return CallFuture::new(self.inner.call(request), None);
        }
        let tracer = &shared.telemetry.tracer;
        let method = method_name(request.method());
        let (span, cx) = match visibility {
            Visibility::Span => {
                let name: Arc<str> = span_name(method, route.as_ref()).into();
                let builder = tracer.span("").kind(SpanKind::Server);
                let builder = builder.kind_of_root(quick_hash(name.as_bytes()));
                let incoming = tracer.propagators().incoming(request.headers());
                let mut span = tracer.serve(&incoming, builder, Instant::now());
                if span.is_recording() {
                    span.rename(name.to_string());
                    describe_request(&mut span, &request);
                }
                let span = ServerSpan::new(span, name);
                request.extensions_mut().insert(span.clone());
                (Some(span), Context::new())
            }
            _ => (None, tracer.extract(request.headers())),
        };
        let call = HttpCall {
            shared: Arc::clone(shared),
            method,
            route,
            span,
            cx,
            started: Instant::now(),
            status: None,
            broken: false,
        };
        let attached = call.cx().attach();
        let inner = self.inner.call(request);
        drop(attached);
        CallFuture::new(inner, Some(call))
    }
}

/// An HTTP request that is being followed.
#[derive(Debug)]
pub struct HttpCall {
    shared: Arc<Shared>,
    method: &'static str,
    route: Option<MatchedPath>,
    span: Option<ServerSpan>,
    /// The caller's context, where the request has no span.
    cx: Context,
    started: Instant,
    status: Option<StatusCode>,
    broken: bool,
}

impl HttpCall {
    /// Why the request failed, if it did. A body that the client left early is no failure.
    fn error_type(&self) -> Option<String> {
        match self.status {
            Some(status) if status.is_server_error() => Some(status.as_str().to_owned()),
            _ if self.broken => Some("broken_off".to_owned()),
            Some(_) => None,
            None => Some("cancelled".to_owned()),
        }
    }
}

impl Call for HttpCall {
    fn cx(&self) -> Context {
        self.span.as_ref().map_or_else(|| self.cx.clone(), ServerSpan::cx)
    }

    fn responded(&mut self, status: StatusCode, _: &HeaderMap) {
        self.status = Some(status);
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn completed(&mut self) {}

    fn failed(&mut self) {
        self.broken = true;
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        let cx = self.cx();
        let error_type = self.error_type();
        let mut labels = vec![(attr::HTTP_REQUEST_METHOD, self.method.into())];
        if let Some(route) = &self.route {
            labels.push((attr::HTTP_ROUTE, route.as_str().to_owned().into()));
        }
        if let Some(status) = self.status {
            labels.push((attr::HTTP_RESPONSE_STATUS_CODE, status.as_str().to_owned().into()));
        }
        if let Some(error_type) = &error_type {
            labels.push((attr::ERROR_TYPE, error_type.clone().into()));
        }
        let durations = self.shared.telemetry.metrics.durations();
        durations.http_server.get(labels).record_in(self.started.elapsed().as_secs_f64(), &cx);
        let Some(span) = &self.span else { return };
        let mut span = span.lock();
        if span.is_recording() {
            span.set(attr::HTTP_REQUEST_METHOD, self.method);
            if let Some(route) = &self.route {
                span.set(attr::HTTP_ROUTE, route.as_str().to_owned());
            }
            if let Some(status) = self.status {
                span.set(attr::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
            }
            if let Some(error_type) = error_type {
                span.fail(error_type, "");
            }
        }
        span.finish_now();
    }
}

fn describe_request<B>(span: &mut ActiveSpan, request: &Request<B>) {
    let cut = |text: &str| crate::span::cut(text, TEXT_BYTES_MAX).to_owned();
    span.set(attr::URL_PATH, cut(request.uri().path()));
    span.set(attr::URL_SCHEME, request.uri().scheme_str().unwrap_or("http").to_owned());
    let version = match request.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    span.set(attr::NETWORK_PROTOCOL_VERSION, version);
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    if let Some(agent) = agent {
        span.set(attr::USER_AGENT_ORIGINAL, cut(agent));
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

fn span_name(method: &'static str, route: Option<&MatchedPath>) -> String {
    // The conventions give unknown methods this name, so that they cannot make up names.
    let method = if method == "_OTHER" { "HTTP" } else { method };
    match route {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.to_owned(),
    }
}
