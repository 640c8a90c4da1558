//! The exporting thread.
//!
//! It runs two loops: spans, when a message is full or a while has passed; metrics, at their
//! interval. A collector that is slow with one does not hold up the other. When the end comes it
//! sends what waits until the deadline, gives up the rest, and counts it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::dispatcher::{self, Dispatch};
use tracing::{info, warn};

use super::encode;
use super::queue::SpanSink;
use super::transport::{OtlpMessage, Transport};
use crate::config::{BatchConfig, OtlpConfig, ResourceConfig};
use crate::metrics::{DropReason, Metrics, Signal, to_otlp};

/// Flushes that may wait for their turn.
const FLUSHES_WAITING_MAX: usize = 16;
/// What the thread may take to end after its last message was given up.
const EXIT_MARGIN: Duration = Duration::from_millis(200);

/// What the thread needs to know.
pub(crate) struct PipelineConfig {
    pub(crate) resource: ResourceConfig,
    pub(crate) traces: Option<(OtlpConfig, SpanSink)>,
    pub(crate) metrics: Option<OtlpConfig>,
    pub(crate) batch: BatchConfig,
    pub(crate) metric_interval: Duration,
}

/// Answered when what waited has been sent or given up.
type Flush = SyncSender<()>;

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Pipeline {
    stop: watch::Sender<Option<Instant>>,
    flushes: Vec<mpsc::Sender<Flush>>,
    finished: Receiver<()>,
}

impl Pipeline {
    /// Starts the thread. Fails only when the system gives no thread.
    pub(crate) fn start(config: PipelineConfig, metrics: Metrics) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(None);
        let (done, finished) = sync_channel(1);
        let (trace_flush, trace_flushes) = mpsc::channel(FLUSHES_WAITING_MAX);
        let (metric_flush, metric_flushes) = mpsc::channel(FLUSHES_WAITING_MAX);
        let mut flushes = Vec::new();
        if config.traces.is_some() {
            flushes.push(trace_flush);
        }
        if config.metrics.is_some() {
            flushes.push(metric_flush);
        }
        let logs = dispatcher::get_default(Clone::clone);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("vmafx-telemetry".to_owned()).spawn(move || {
            // Whatever the transports log here is caused by telemetry: it must not become some.
            let _silence = dispatcher::set_default(&Dispatch::none());
            let mut worker = {
                let _within = runtime.enter();
                Worker::new(config, &metrics, &logs, &stopped)
            };
            runtime.block_on(worker.run(trace_flushes, metric_flushes));
            // Connections that still hang are abandoned, not waited for.
            runtime.shutdown_background();
            // The handle may be gone, and then nobody waits.
            let _ = done.send(());
        })?;
        Ok(Self { stop, flushes, finished })
    }

    /// Sends what waits now, and returns when that is done or `budget` is used up.
    pub(crate) fn flush(&self, budget: Duration) {
        let deadline = std::time::Instant::now() + budget;
        let (done, answers) = sync_channel(self.flushes.len().max(1));
        let asked =
            self.flushes.iter().filter(|flush| flush.try_send(done.clone()).is_ok()).count();
        for _ in 0..asked {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if answers.recv_timeout(left).is_err() {
                return;
            }
        }
    }

    /// Sends what waits, gives up the rest when `budget` is nearly used up, and ends the thread.
    /// Returns within `budget`.
    pub(crate) fn shutdown(&self, budget: Duration) {
        let deadline = Instant::now() + budget.saturating_sub(EXIT_MARGIN);
        self.stop.send_replace(Some(deadline));
        match self.finished.recv_timeout(budget) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                warn!("otel: the exporting thread did not end in time");
            }
        }
    }
}

struct Worker {
    spans: Option<SpanLoop>,
    metrics: Option<MetricLoop>,
}

/// What both loops need to send messages.
struct Sender {
    signal: Signal,
    transport: Transport,
    endpoint: String,
    timeout: Duration,
    resource: Resource,
    metrics: Metrics,
    logs: Dispatch,
    stop: watch::Receiver<Option<Instant>>,
    failing: bool,
}

struct SpanLoop {
    sender: Sender,
    sink: SpanSink,
    batch: BatchConfig,
}

struct MetricLoop {
    sender: Sender,
    interval: Duration,
}

impl Worker {
    /// Called within the runtime, which the connections belong to.
    fn new(
        config: PipelineConfig,
        metrics: &Metrics,
        logs: &Dispatch,
        stop: &watch::Receiver<Option<Instant>>,
    ) -> Self {
        let resource = encode::resource(&config.resource);
        let sender = |signal, otlp: &OtlpConfig, timeout: Duration| Sender {
            signal,
            transport: Transport::new(otlp),
            endpoint: otlp.endpoint.to_string(),
            timeout: otlp.timeout.min(timeout),
            resource: resource.clone(),
            metrics: metrics.clone(),
            logs: logs.clone(),
            stop: stop.clone(),
            failing: false,
        };
        let batch = config.batch;
        let spans = config.traces.map(|(otlp, sink)| SpanLoop {
            sender: sender(Signal::Traces, &otlp, batch.export_timeout),
            sink,
            batch,
        });
        let metrics = config.metrics.map(|otlp| MetricLoop {
            sender: sender(Signal::Metrics, &otlp, batch.export_timeout),
            interval: config.metric_interval,
        });
        Self { spans, metrics }
    }

    async fn run(
        &mut self,
        trace_flushes: mpsc::Receiver<Flush>,
        metric_flushes: mpsc::Receiver<Flush>,
    ) {
        let spans = async {
            if let Some(spans) = &mut self.spans {
                spans.run(trace_flushes).await;
            }
        };
        let metrics = async {
            if let Some(metrics) = &mut self.metrics {
                metrics.run(metric_flushes).await;
            }
        };
        tokio::join!(spans, metrics);
    }
}

impl SpanLoop {
    async fn run(&mut self, mut flushes: mpsc::Receiver<Flush>) {
        let mut stop = self.sender.stop.clone();
        loop {
            let mut flush = None;
            tokio::select! {
                () = self.sink.full() => {}
                () = sleep(self.batch.schedule_delay) => {}
                Some(asked) = flushes.recv() => flush = Some(asked),
                () = stopping(&mut stop) => {}
            }
            // Asked before the work: what came before the word to end must still be sent.
            let is_last = ends(&stop);
            loop {
                let batch = self.sink.take();
                if batch.is_empty() || self.sender.is_over() {
                    self.sender.drop_items(DropReason::Shutdown, batch.len() as u64);
                    break;
                }
                let items = batch.len() as u64;
                let message = encode::traces(&self.sender.resource, batch);
                self.sender.send(&message, items).await;
                if is_last && self.sender.failing {
                    // No collector now: the rest would only make the program's end slow.
                    break;
                }
            }
            if let Some(flush) = flush {
                // Whoever asked may have stopped waiting.
                let _ = flush.try_send(());
            }
            if is_last {
                self.sink.close();
                return;
            }
        }
    }
}

impl MetricLoop {
    async fn run(&mut self, mut flushes: mpsc::Receiver<Flush>) {
        let mut stop = self.sender.stop.clone();
        loop {
            let mut flush = None;
            tokio::select! {
                () = sleep(self.interval) => {}
                Some(asked) = flushes.recv() => flush = Some(asked),
                () = stopping(&mut stop) => {}
            }
            // Asked before the work: the last push must tell what came before the word to end.
            let is_last = ends(&stop);
            let metrics = &self.sender.metrics;
            let started_at = metrics.registry().started_at();
            let (encoded, points) = to_otlp(&metrics.snapshot(), started_at, SystemTime::now());
            let message = encode::metrics(&self.sender.resource, encoded);
            self.sender.send(&message, points).await;
            if let Some(flush) = flush {
                // Whoever asked may have stopped waiting.
                let _ = flush.try_send(());
            }
            if is_last {
                return;
            }
        }
    }
}

impl Sender {
    /// Sends one message within its time and before the end, and counts what became of it.
    async fn send<M: OtlpMessage>(&mut self, message: &M, items: u64) {
        let outcome = tokio::select! {
            sent = self.transport.send(message) => sent.map_err(|error| error.to_string()),
            () = sleep(self.timeout) => Err(format!("no answer within {:?}", self.timeout)),
            () = deadline(&mut self.stop) => Err("the process ends".to_owned()),
        };
        match outcome {
            Ok(rejected) => {
                let (refused, why) = rejected.unwrap_or_default();
                let refused = refused.min(items);
                self.metrics.telemetry().exported(self.signal, items - refused);
                self.drop_items(DropReason::Rejected, refused);
                self.log_recovery();
                if refused > 0 || !why.is_empty() {
                    self.log_refusal(refused, &why);
                }
            }
            Err(error) => {
                let reason =
                    if self.is_over() { DropReason::Shutdown } else { DropReason::ExportFailed };
                self.drop_items(reason, items);
                self.log_failure(&error);
            }
        }
    }

    fn drop_items(&self, reason: DropReason, items: u64) {
        self.metrics.telemetry().dropped(self.signal, reason, items);
    }

    /// Whether the deadline of the end has passed.
    fn is_over(&self) -> bool {
        self.stop.borrow().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Logs the first of a row of failures; the metrics count them all.
    fn log_failure(&mut self, error: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let (signal, endpoint) = (crate::metrics::Label::as_str(self.signal), &self.endpoint);
            dispatcher::with_default(&self.logs, || {
                warn!(
                    signal,
                    endpoint,
                    error,
                    "otel: export failed; further failures are counted, not logged"
                );
            });
        }
    }

    fn log_recovery(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            let (signal, endpoint) = (crate::metrics::Label::as_str(self.signal), &self.endpoint);
            dispatcher::with_default(&self.logs, || {
                info!(signal, endpoint, "otel: export works again");
            });
        }
    }

    fn log_refusal(&mut self, refused: u64, why: &str) {
        let signal = crate::metrics::Label::as_str(self.signal);
        dispatcher::with_default(&self.logs, || {
            warn!(signal, refused, why, "otel: the collector refused part of a message");
        });
    }
}

/// Whether this was the last round: the end is near, or the handle is gone.
fn ends(stop: &watch::Receiver<Option<Instant>>) -> bool {
    stop.borrow().is_some() || stop.has_changed().is_err()
}

/// Waits until the end is near.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) {
    // An error says that the handle is gone, which is as good as being told.
    let _ = stop.wait_for(Option::is_some).await;
}

/// Waits until the end has come.
async fn deadline(stop: &mut watch::Receiver<Option<Instant>>) {
    let at = stop.wait_for(Option::is_some).await.map(|deadline| *deadline);
    if let Ok(Some(at)) = at {
        sleep_until(at).await;
    }
}
