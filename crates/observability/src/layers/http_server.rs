//! HTTP requests that a server serves.
//!
//! For `axum::Router::layer`, where the matched route is known. A request that matches none has no
//! route: its span is named by its method alone. A 5xx status makes an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::thread::LocalKey;

use axum::extract::{ConnectInfo, MatchedPath};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::call::{Call, CallBody, CallFuture, CallSpan};
use super::http_route::{Ending, KnownMethod, Route, RouteNumber, Routes};
use super::kept::Notes;
use super::methods::Visibility;
use crate::clock::{Moment, read_counter};
use crate::current::Followed;
use crate::init::Telemetry;
use crate::schema::attr;
use crate::span::ActiveSpan;
use crate::spare::Spare;

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
        let now = Moment::now();
        let method = KnownMethod::of(request.method());
        let mut call = HttpCall::begin(shared, (method, number), |place| match visibility {
            Visibility::Span => {
                tracer.serve(place, route.span_name(method), request.headers(), now);
            }
            _ => *place = Some(Followed::without_span(tracer.extract(request.headers()), now)),
        });
        if let Some(span) = call.span().and_then(CallSpan::recorded) {
            describe_request(span, &request);
        }
        CallFuture::new(self.inner.call(request), Some(call))
    }
}

/// An HTTP request that is being followed.
#[derive(Debug)]
pub struct HttpCall(Option<Box<HttpNotes>>);

/// What is noted of it; of no request while a thread keeps it.
#[derive(Debug)]
struct HttpNotes {
    shared: Arc<Shared>,
    method: KnownMethod,
    route: RouteNumber,
    span: CallSpan,
    ending: Ending,
}

impl Notes for HttpNotes {
    type Shared = Shared;

    fn spare() -> &'static LocalKey<Spare<Self>> {
        thread_local! {
            static SPARE: Spare<HttpNotes> = const { Spare::new() };
        }
        &SPARE
    }

    #[cold]
    fn of_no_call(shared: &Arc<Shared>) -> Box<Self> {
        let (method, route) = (KnownMethod::of(&Method::GET), RouteNumber::NONE);
        let (shared, span) = (Arc::clone(shared), CallSpan::none());
        Box::new(Self { shared, method, route, span, ending: Ending::NONE })
    }

    #[inline]
    fn shared(&mut self) -> &mut Arc<Shared> {
        &mut self.shared
    }
}

impl HttpCall {
    /// Follows a request of this method and route from now on; `follow` puts its span in the place
    /// for it.
    #[inline(always)]
    fn begin(
        shared: &Arc<Shared>,
        (method, route): (KnownMethod, RouteNumber),
        follow: impl FnOnce(&mut Option<Followed>),
    ) -> Self {
        let mut notes = HttpNotes::for_call(shared);
        (notes.method, notes.route, notes.ending) = (method, route, Ending::NONE);
        follow(notes.span.place());
        Self(Some(notes))
    }
}

impl Call for HttpCall {
    #[inline]
    fn span(&mut self) -> Option<&mut CallSpan> {
        Some(&mut self.0.as_mut()?.span)
    }

    #[inline]
    fn responded(&mut self, status: StatusCode, _: &HeaderMap) {
        if let Some(notes) = &mut self.0 {
            notes.ending.status = Some(status);
        }
    }

    fn trailers(&mut self, _: &HeaderMap) {}

    fn completed(&mut self) {}

    fn failed(&mut self) {
        if let Some(notes) = &mut self.0 {
            notes.ending.is_broken = true;
        }
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        let Some(mut notes) = self.0.take() else { return };
        let HttpNotes { shared, method, route, span, ending } = &mut *notes;
        let (method, ending, route) = (*method, *ending, shared.routes.get(*route));
        span.finish(
            &shared.telemetry.tracer,
            |took| {
                let family = &shared.telemetry.metrics.durations().http_server;
                let make = |labels| family.get(labels);
                route.record(method, ending, make, |histogram| took.record(histogram));
            },
            |span| describe_answer(span, method, route, ending),
        );
        notes.keep();
    }
}

fn describe_answer(span: &mut ActiveSpan, method: KnownMethod, route: &Route, ending: Ending) {
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
}

fn describe_request<B>(span: &mut ActiveSpan, request: &Request<B>) {
    let cut = |text: &str| crate::text::cut(text, TEXT_BYTES_MAX).to_owned();
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
