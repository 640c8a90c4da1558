//! The collector: what it remembers, and how it is told to behave.

mod serve;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use serde_json::Value;
use tokio::sync::oneshot;

use super::logs::{ReceivedLog, read_logs};
use super::spans::{ReceivedSpan, pairs, read};

/// How the collector treats what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Takes it.
    #[default]
    Accept,
    /// Answers with this HTTP status; over gRPC with `UNAVAILABLE` for those that may pass, and
    /// with `INVALID_ARGUMENT` for the others.
    Refuse(u16),
    /// Answers `503`, or `UNAVAILABLE`, and asks to be left alone for so long.
    RetryAfter(Duration),
    /// Never answers.
    Hang,
    /// Takes it after so long.
    Slow(Duration),
    /// Takes the message and says that it refused this many of its spans, points or records.
    RejectSpans(i64),
}

#[derive(Debug, Default)]
struct Collected {
    behaviour: Behaviour,
    requests: u64,
    headers: Option<HeaderMap>,
    spans: Vec<ReceivedSpan>,
    spans_of_a_message_max: usize,
    metrics: Vec<Metric>,
    metric_resource: BTreeMap<String, Value>,
    metrics_by_process: BTreeMap<String, ReceivedMetrics>,
    logs: Vec<ReceivedLog>,
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

    /// Notes that a message came, and says how many of its items are refused.
    async fn admit(&self, headers: HeaderMap) -> Result<i64, Refusal> {
        let behaviour = self.change(|collected| {
            collected.requests += 1;
            collected.headers = Some(headers);
            collected.behaviour
        });
        match behaviour {
            Behaviour::Accept => Ok(0),
            Behaviour::Refuse(status) => Err(Refusal { status, retry_after: None }),
            Behaviour::RetryAfter(after) => Err(Refusal { status: 503, retry_after: Some(after) }),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(0)
            }
            Behaviour::RejectSpans(refused) => Ok(refused),
        }
    }

    fn traces(&self, request: ExportTraceServiceRequest) {
        let spans = read(request);
        self.change(|collected| {
            collected.spans_of_a_message_max = collected.spans_of_a_message_max.max(spans.len());
            collected.spans.extend(spans);
        });
    }

    fn logs(&self, request: ExportLogsServiceRequest) {
        self.change(|collected| collected.logs.extend(read_logs(request)));
    }

    fn metrics(&self, request: ExportMetricsServiceRequest) {
        self.change(|collected| {
            for of_resource in request.resource_metrics {
                let resource = of_resource.resource.map(|resource| pairs(resource.attributes));
                let resource = resource.unwrap_or_default();
                let scopes = of_resource.scope_metrics.into_iter();
                let metrics: Vec<Metric> = scopes.flat_map(|scope| scope.metrics).collect();
                let id = resource.get("service.instance.id").and_then(Value::as_str);
                collected.metrics_by_process.insert(
                    id.unwrap_or_default().to_owned(),
                    ReceivedMetrics { resource: resource.clone(), metrics: metrics.clone() },
                );
                collected.metric_resource = resource;
                collected.metrics = metrics;
            }
        });
    }
}

/// The metrics of one process, of its last message with any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceivedMetrics {
    /// The attributes of the process.
    pub resource: BTreeMap<String, Value>,
    /// What it sent.
    pub metrics: Vec<Metric>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    status: u16,
    retry_after: Option<Duration>,
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
                        result = serve::serve(http, grpc, serving) => result.expect("the receiver serves"),
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

    /// Where it takes `http/protobuf` and `http/json`.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where it takes `grpc`.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
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

    /// How many spans the largest message so far had.
    #[must_use]
    pub fn spans_of_a_message_max(&self) -> usize {
        self.shared.lock().spans_of_a_message_max
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

    /// The last metrics of each process that sent any, also of those that have ended.
    #[must_use]
    pub fn metrics_of_all(&self) -> Vec<ReceivedMetrics> {
        self.shared.lock().metrics_by_process.values().cloned().collect()
    }

    /// The attributes of the process that sent the last metrics.
    #[must_use]
    pub fn metric_resource(&self) -> BTreeMap<String, Value> {
        self.shared.lock().metric_resource.clone()
    }

    /// Every log record so far, in the order of arrival.
    #[must_use]
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.shared.lock().logs.clone()
    }

    /// Waits until `enough` is true of the log records so far, and returns them. Blocks the thread.
    pub fn wait_for_logs(
        &self,
        timeout: Duration,
        mut enough: impl FnMut(&[ReceivedLog]) -> bool,
    ) -> Result<Vec<ReceivedLog>, WaitError> {
        self.wait(timeout, |collected| enough(&collected.logs)).map(|_| self.logs())
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
