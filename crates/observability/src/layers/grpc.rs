//! gRPC calls, on both sides.
//!
//! The status comes from the trailers, or from the headers of a response that has nothing else. A
//! response dropped before its trailers was cancelled. On the server only statuses that are the
//! server's fault make an error; on the client every status but `OK` does.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::thread::LocalKey;

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use opentelemetry::trace::SpanKind;
use tonic::Code;
use tonic::transport::server::TcpConnectInfo;
use tower_layer::Layer;
use tower_service::Service;

use super::call::{Call, CallBody, CallFuture, CallSpan};
use super::intern::{OTHER, intern};
use super::kept::Notes;
use super::methods::{GrpcMethods, Visibility};
use crate::clock::{Moment, read_counter};
use crate::context::Context;
use crate::current::Followed;
use crate::init::Telemetry;
use crate::metrics::Histogram;
use crate::propagation::HEADERS_FEW;
use crate::schema::attr;
use crate::span::ActiveSpan;
use crate::spare::Spare;
use crate::text::cut;

const CODES: usize = 17;
const GRPC_STATUS: &str = "grpc-status";
/// Longer names of unknown methods are cut.
const METHOD_BYTES_MAX: usize = 256;

/// On which side of a call one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RpcSide {
    Server,
    Client,
}

#[derive(Debug)]
struct Shared {
    telemetry: Telemetry,
    methods: GrpcMethods,
    side: RpcSide,
    /// Host and port that a client calls.
    target: Option<(&'static str, u16)>,
    /// Histograms by method, then by status code, each made when first needed.
    durations: Vec<[OnceLock<Histogram>; CODES]>,
}

impl Shared {
    fn new(
        telemetry: &Telemetry,
        methods: GrpcMethods,
        side: RpcSide,
        target: Option<&Uri>,
    ) -> Self {
        let durations = (0..methods.len()).map(|_| Default::default()).collect();
        let target = target.and_then(|uri| {
            let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
            Some((intern(uri.host()?), uri.port_u16().unwrap_or(default_port)))
        });
        Self { telemetry: telemetry.clone(), methods, side, target, durations }
    }

    fn describe(&self, span: &mut ActiveSpan, method: usize, code: Code) {
        describe_rpc(span, self.side, self.methods.name(method), code);
        if let Some((host, port)) = self.target {
            span.set(attr::SERVER_ADDRESS, host);
            span.set(attr::SERVER_PORT, i64::from(port));
        }
    }

    fn duration(&self, method: usize, code: Code) -> &Histogram {
        self.durations[method][code as usize].get_or_init(|| {
            let name = self.methods.name(method);
            let mut labels = vec![
                (attr::RPC_SYSTEM_NAME, "grpc".into()),
                (attr::RPC_METHOD, name.into()),
                (attr::RPC_STATUS_CODE, code_name(code).into()),
            ];
            if is_error(code, self.side) {
                labels.push((attr::ERROR_TYPE, code_name(code).into()));
            }
            let durations = self.telemetry.metrics.durations();
            match self.side {
                RpcSide::Server => durations.rpc_server.get(labels),
                RpcSide::Client => durations.rpc_client.get(labels),
            }
        })
    }
}

/// Follows the calls that a gRPC server serves. For `tonic::transport::Server::layer`.
#[derive(Debug, Clone)]
pub struct GrpcServerLayer(Arc<Shared>);

impl GrpcServerLayer {
    /// A layer for a server of `methods`.
    #[must_use]
    pub fn new(telemetry: &Telemetry, methods: GrpcMethods) -> Self {
        read_counter();
        Self(Arc::new(Shared::new(telemetry, methods, RpcSide::Server, None)))
    }
}

impl<S> Layer<S> for GrpcServerLayer {
    type Service = GrpcServer<S>;

    fn layer(&self, inner: S) -> GrpcServer<S> {
        GrpcServer { inner, shared: Arc::clone(&self.0) }
    }
}

/// Follows the calls that a gRPC client makes. Wraps a `tonic::transport::Channel`.
#[derive(Debug, Clone)]
pub struct GrpcClientLayer(Arc<Shared>);

impl GrpcClientLayer {
    /// A layer for a client of `methods` at `target`.
    #[must_use]
    pub fn new(telemetry: &Telemetry, methods: GrpcMethods, target: &Uri) -> Self {
        Self(Arc::new(Shared::new(telemetry, methods, RpcSide::Client, Some(target))))
    }
}

impl<S> Layer<S> for GrpcClientLayer {
    type Service = GrpcClient<S>;

    fn layer(&self, inner: S) -> GrpcClient<S> {
        GrpcClient { inner, shared: Arc::clone(&self.0) }
    }
}

/// A gRPC server whose calls are followed.
#[derive(Debug, Clone)]
pub struct GrpcServer<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for GrpcServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<CallBody<R, GrpcCall>>;
    type Error = S::Error;
    type Future = CallFuture<S::Future, GrpcCall>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let (method, visibility) = shared.methods.find(request.uri().path());
        if visibility == Visibility::Hidden {
            return CallFuture::new(self.inner.call(request), None);
        }
        let tracer = &shared.telemetry.tracer;
        let now = Moment::now();
        let name = shared.methods.root(method);
        let mut call = GrpcCall::begin(shared, method, |place| match visibility {
            Visibility::Span => tracer.serve(place, name, request.headers(), now),
            _ => *place = Some(Followed::without_span(tracer.extract(request.headers()), now)),
        });
        if let Some(span) = call.span().and_then(CallSpan::recorded) {
            let peer = request.extensions().get::<TcpConnectInfo>();
            if let Some(peer) = peer.and_then(TcpConnectInfo::remote_addr) {
                describe_peer(span, peer);
            }
            if name.text == OTHER {
                describe_unknown(span, request.uri().path());
            }
        }
        CallFuture::new(self.inner.call(request), Some(call))
    }
}

/// A gRPC client whose calls are followed.
#[derive(Debug, Clone)]
pub struct GrpcClient<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for GrpcClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<CallBody<R, GrpcCall>>;
    type Error = S::Error;
    type Future = CallFuture<S::Future, GrpcCall>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let tracer = &shared.telemetry.tracer;
        let (method, visibility) = shared.methods.find(request.uri().path());
        let (caller, now) = (Context::current(), Moment::now());
        let span = if visibility == Visibility::Span {
            tracer.of_call(SpanKind::Client, shared.methods.root(method), caller, None, now)
        } else {
            ActiveSpan::without_record(caller, now)
        };
        tracer.inject(span.cx(), request.headers_mut());
        if visibility == Visibility::Hidden {
            return CallFuture::new(self.inner.call(request), None);
        }
        let call = GrpcCall::begin(shared, method, |place| {
            *place = Some(Followed::client(span));
        });
        CallFuture::new(self.inner.call(request), Some(call))
    }
}

/// A gRPC call that is being followed.
#[derive(Debug)]
pub struct GrpcCall(Option<Box<GrpcNotes>>);

/// What is noted of it; of no call while a thread keeps it.
#[derive(Debug)]
struct GrpcNotes {
    shared: Arc<Shared>,
    method: usize,
    span: CallSpan,
    code: Option<Code>,
}

impl Notes for GrpcNotes {
    type Shared = Shared;

    fn spare() -> &'static LocalKey<Spare<Self>> {
        thread_local! {
            static SPARE: Spare<GrpcNotes> = const { Spare::new() };
        }
        &SPARE
    }

    #[cold]
    fn of_no_call(shared: &Arc<Shared>) -> Box<Self> {
        let (shared, span) = (Arc::clone(shared), CallSpan::none());
        Box::new(Self { shared, method: 0, span, code: None })
    }

    #[inline]
    fn shared(&mut self) -> &mut Arc<Shared> {
        &mut self.shared
    }
}

impl GrpcCall {
    /// Follows a call from now on; `follow` puts its span in the place for it.
    #[inline(always)]
    fn begin(
        shared: &Arc<Shared>,
        method: usize,
        follow: impl FnOnce(&mut Option<Followed>),
    ) -> Self {
        let mut notes = GrpcNotes::for_call(shared);
        (notes.method, notes.code) = (method, None);
        follow(notes.span.place());
        Self(Some(notes))
    }

    #[inline]
    fn note(&mut self, code: Option<Code>) {
        if let Some(notes) = &mut self.0 {
            notes.code = code;
        }
    }
}

impl Call for GrpcCall {
    #[inline]
    fn span(&mut self) -> Option<&mut CallSpan> {
        Some(&mut self.0.as_mut()?.span)
    }

    #[inline]
    fn streams(&self) -> bool {
        self.0.as_ref().is_some_and(|notes| !notes.shared.methods.is_unary(notes.method))
    }

    #[inline]
    fn responded(&mut self, status: StatusCode, headers: &HeaderMap) {
        let of_http = || (status != StatusCode::OK).then(|| code_of_http(status));
        self.note(read_code(headers).or_else(of_http));
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.note(Some(read_code(trailers).unwrap_or(Code::Unknown)));
    }

    fn completed(&mut self) {
        if let Some(notes) = &mut self.0 {
            notes.code.get_or_insert(Code::Unknown);
        }
    }

    fn failed(&mut self) {
        if let Some(notes) = &mut self.0 {
            notes.code.get_or_insert(match notes.shared.side {
                RpcSide::Server => Code::Unknown,
                RpcSide::Client => Code::Unavailable,
            });
        }
    }
}

impl Drop for GrpcCall {
    fn drop(&mut self) {
        let Some(mut notes) = self.0.take() else { return };
        let GrpcNotes { shared, method, span, code } = &mut *notes;
        let (method, code) = (*method, code.unwrap_or(Code::Cancelled));
        span.finish(
            &shared.telemetry.tracer,
            |took| took.record(shared.duration(method, code)),
            |span| shared.describe(span, method, code),
        );
        notes.keep();
    }
}

/// Says of a call what it was, and how it ended.
pub(crate) fn describe_rpc(span: &mut ActiveSpan, side: RpcSide, method: &'static str, code: Code) {
    span.set(attr::RPC_SYSTEM_NAME, "grpc");
    span.set(attr::RPC_METHOD, method);
    span.set(attr::RPC_STATUS_CODE, code_name(code));
    if is_error(code, side) {
        // The status message may hold a path or an argument, so it stays out.
        span.fail(code_name(code), "");
    }
}

/// Says who called.
pub(crate) fn describe_peer(span: &mut ActiveSpan, peer: SocketAddr) {
    span.set(attr::NETWORK_PEER_ADDRESS, peer.ip().to_string());
    span.set(attr::NETWORK_PEER_PORT, i64::from(peer.port()));
}

fn describe_unknown(span: &mut ActiveSpan, path: &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    span.set(attr::RPC_METHOD_ORIGINAL, cut(path, METHOD_BYTES_MAX).to_owned());
}

#[inline]
fn read_code(headers: &HeaderMap) -> Option<Code> {
    let value = match headers.len() {
        0 => None,
        1..=HEADERS_FEW => {
            let mut headers = headers.iter();
            headers.find(|(name, _)| name.as_str() == GRPC_STATUS).map(|(_, value)| value)
        }
        _ => headers.get(GRPC_STATUS),
    }?;
    Some(match value.as_bytes() {
        b"0" => Code::Ok,
        other => Code::from_bytes(other),
    })
}

/// The status that gRPC gives an answer that did not come from a gRPC server.
fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

fn is_error(code: Code, side: RpcSide) -> bool {
    match side {
        RpcSide::Client => code != Code::Ok,
        RpcSide::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
