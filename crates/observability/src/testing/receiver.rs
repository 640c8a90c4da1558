//! The server that takes OTLP.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;

use super::spans::{ReceivedSpan, pairs, read};

/// The largest message that is taken.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// How the collector treats what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Takes it.
    #[default]
    Accept,
    /// Answers with this HTTP status, and `UNAVAILABLE` over gRPC.
    Refuse(u16),
    /// Never answers.
    Hang,
    /// Takes the message and says that it refused this many of its spans.
    RejectSpans(i64),
}

#[derive(Debug, Default)]
struct Collected {
    behaviour: Behaviour,
    requests: u64,
    headers: Option<HeaderMap>,
    spans: Vec<ReceivedSpan>,
    metrics: Vec<Metric>,
    metric_resource: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<(Mutex<Collected>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, act: impl FnOnce(&mut Collected) -> T) -> T {
        let result = act(&mut self.lock());
        self.0.1.notify_all();
        result
    }

    /// Notes that a message came, and says what to do with it.
    async fn admit(&self, headers: HeaderMap) -> Result<Behaviour, u16> {
        let behaviour = self.change(|collected| {
            collected.requests += 1;
            collected.headers = Some(headers);
            collected.behaviour
        });
        match behaviour {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Refuse(status) => Err(status),
            _ => Ok(behaviour),
        }
    }

    fn traces(
        &self,
        request: ExportTraceServiceRequest,
        behaviour: Behaviour,
    ) -> ExportTraceServiceResponse {
        self.change(|collected| collected.spans.extend(read(request)));
        let partial_success = match behaviour {
            Behaviour::RejectSpans(rejected_spans) => Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "told to".to_owned(),
            }),
            _ => None,
        };
        ExportTraceServiceResponse { partial_success }
    }

    fn metrics(&self, request: ExportMetricsServiceRequest) -> ExportMetricsServiceResponse {
        self.change(|collected| {
            for of_resource in request.resource_metrics {
                let resource = of_resource.resource.map(|resource| pairs(resource.attributes));
                collected.metric_resource = resource.unwrap_or_default();
                let scopes = of_resource.scope_metrics.into_iter();
                collected.metrics = scopes.flat_map(|scope| scope.metrics).collect();
            }
        });
        ExportMetricsServiceResponse::default()
    }
}

/// What did not happen in time.
#[derive(Debug)]
pub struct WaitError {
    /// What was there instead.
    pub spans: Vec<ReceivedSpan>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not in time; received:\n{}", super::render_tree(&self.spans))
    }
}

impl std::error::Error for WaitError {}

/// A collector on loopback. It ends when dropped.
#[derive(Debug)]
pub struct OtlpReceiver {
    http: SocketAddr,
    grpc: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OtlpReceiver {
    /// Listens on two free ports of 127.0.0.1. Fails when there is none.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = (Ipv4Addr::LOCALHOST, 0);
        let (http, grpc) = {
            let http = std::net::TcpListener::bind(local)?;
            let grpc = std::net::TcpListener::bind(local)?;
            (http, grpc)
        };
        let (http_addr, grpc_addr) = (http.local_addr()?, grpc.local_addr()?);
        http.set_nonblocking(true)?;
        grpc.set_nonblocking(true)?;
        let shared = Shared::default();
        let serving = shared.clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("otlp-receiver".to_owned()).spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        result = serve(http, grpc, serving) => result.expect("the receiver serves"),
                        // A dropped handle ends it as well as a word from it.
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { http: http_addr, grpc: grpc_addr, shared, stop, thread })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with `http/protobuf`.
    #[must_use]
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with `grpc`.
    #[must_use]
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Changes how it treats messages from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.change(|collected| collected.behaviour = behaviour);
    }

    /// How many messages came, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// The headers of the last message.
    #[must_use]
    pub fn last_headers(&self) -> Option<HeaderMap> {
        self.shared.lock().headers.clone()
    }

    /// Every span so far, in the order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.lock().spans.clone()
    }

    /// Forgets the spans so far and returns them.
    #[must_use]
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.shared.change(|collected| std::mem::take(&mut collected.spans))
    }

    /// The metrics of the last message of that kind.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        self.shared.lock().metrics.clone()
    }

    /// The attributes of the process that sent the last metrics.
    #[must_use]
    pub fn metric_resource(&self) -> BTreeMap<String, Value> {
        self.shared.lock().metric_resource.clone()
    }

    /// Waits until `enough` is true of the spans so far, and returns them. Blocks the thread.
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut enough: impl FnMut(&[ReceivedSpan]) -> bool,
    ) -> Result<Vec<ReceivedSpan>, WaitError> {
        self.wait(timeout, |collected| enough(&collected.spans))
    }

    /// Waits until `count` messages came, whatever became of them. Blocks the thread.
    pub fn wait_for_requests(&self, timeout: Duration, count: u64) -> Result<(), WaitError> {
        self.wait(timeout, |collected| collected.requests >= count).map(|_| ())
    }

    fn wait(
        &self,
        timeout: Duration,
        mut enough: impl FnMut(&Collected) -> bool,
    ) -> Result<Vec<ReceivedSpan>, WaitError> {
        let deadline = Instant::now() + timeout;
        let mut collected = self.shared.lock();
        while !enough(&collected) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError { spans: collected.spans.clone() });
            }
            let waited = self.shared.0.1.wait_timeout(collected, left);
            collected = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(collected.spans.clone())
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has shown itself already.
            let _ = thread.join();
        }
    }
}

async fn serve(
    http: std::net::TcpListener,
    grpc: std::net::TcpListener,
    shared: Shared,
) -> Result<(), Box<dyn std::error::Error>> {
    let router = Router::new()
        .route("/v1/traces", post(http_traces))
        .route("/v1/metrics", post(http_metrics))
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES_MAX))
        .with_state(shared.clone());
    let http = axum::serve(TcpListener::from_std(http)?, router);
    let traces = TraceServiceServer::new(shared.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let metrics = MetricsServiceServer::new(shared)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let grpc = tonic::transport::Server::builder()
        .add_service(traces)
        .add_service(metrics)
        .serve_with_incoming(TcpListenerStream::new(TcpListener::from_std(grpc)?));
    tokio::select! {
        result = http => result?,
        result = grpc => result?,
    }
    Ok(())
}

type HttpAnswer = Result<([(header::HeaderName, HeaderValue); 1], Vec<u8>), StatusCode>;

async fn http_traces(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> HttpAnswer {
    let (request, behaviour) = http_message(&shared, headers, &body).await?;
    http_answer(&shared.traces(request, behaviour))
}

async fn http_metrics(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> HttpAnswer {
    let (request, _) = http_message(&shared, headers, &body).await?;
    http_answer(&shared.metrics(request))
}

async fn http_message<M: Message + Default>(
    shared: &Shared,
    headers: HeaderMap,
    body: &Bytes,
) -> Result<(M, Behaviour), StatusCode> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let gzip = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let refused =
        |status| StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let behaviour = shared.admit(headers).await.map_err(refused)?;
    let mut plain = Vec::new();
    if gzip {
        let mut decoder = GzDecoder::new(&body[..]).take(MESSAGE_BYTES_MAX as u64);
        decoder.read_to_end(&mut plain).map_err(|_| StatusCode::BAD_REQUEST)?;
    } else {
        plain.extend_from_slice(body);
    }
    let message = M::decode(&plain[..]).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok((message, behaviour))
}

fn http_answer<M: Message>(answer: &M) -> HttpAnswer {
    let kind = HeaderValue::from_static("application/x-protobuf");
    Ok(([(header::CONTENT_TYPE, kind)], answer.encode_to_vec()))
}

impl Shared {
    async fn admit_grpc(
        &self,
        metadata: tonic::metadata::MetadataMap,
    ) -> Result<Behaviour, tonic::Status> {
        let admitted = self.admit(metadata.into_headers()).await;
        admitted.map_err(|status| tonic::Status::unavailable(format!("told to answer {status}")))
    }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        let behaviour = self.admit_grpc(metadata).await?;
        Ok(tonic::Response::new(self.traces(message, behaviour)))
    }
}

#[tonic::async_trait]
impl MetricsService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        self.admit_grpc(metadata).await?;
        Ok(tonic::Response::new(self.metrics(message)))
    }
}
