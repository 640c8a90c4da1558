//! The exporting thread.
//!
//! It runs a loop for each signal: spans and log records, when a message is full or a while has
//! passed; metrics, at their interval. A collector that is slow with one does not hold up the
//! others. When the end comes it sends what waits until the deadline, gives up the rest, and
//! counts it.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::dispatcher::{self, Dispatch};
use tracing::warn;

use super::encode::Item;
use super::queue::{DeliveryError, LogSink, Parcel, Queue, SpanSink};
use super::record::LogRecord;
use super::send::{Common, Route, Sender};
use crate::config::{MetricConfig, ResourceConfig};
use crate::metrics::{DropReason, MetricWriter, Metrics, Signal};
use crate::span::SpanRecord;

/// Flushes that may wait for their turn.
const FLUSHES_WAITING_MAX: usize = 16;
/// How much the exporting thread steps back: behind whoever serves calls, before whoever scores.
const NICENESS: i32 = 10;
/// What the thread may take to end after its last message was given up.
const EXIT_MARGIN: Duration = Duration::from_millis(200);

thread_local! {
    static EXPORTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the exporting thread: what it logs must not be exported.
pub(crate) fn on_exporting_thread() -> bool {
    EXPORTING.get()
}

/// What the thread needs to know.
pub(crate) struct PipelineConfig {
    pub(crate) resource: ResourceConfig,
    pub(crate) traces: Option<(Route, SpanSink)>,
    pub(crate) logs: Option<(Route, LogSink)>,
    pub(crate) metrics: Option<Route>,
    pub(crate) metric: MetricConfig,
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
        let mut flushes = Vec::new();
        let mut flushed_by = |wanted: bool| {
            let (ask, asked) = mpsc::channel(FLUSHES_WAITING_MAX);
            if wanted {
                flushes.push(ask);
            }
            asked
        };
        let asked = [
            flushed_by(config.traces.is_some()),
            flushed_by(config.logs.is_some()),
            flushed_by(config.metrics.is_some()),
        ];
        let logs = dispatcher::get_default(Clone::clone);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        metrics.watch_runtime("telemetry", runtime.handle());
        std::thread::Builder::new().name("vmafx-telemetry".to_owned()).spawn(move || {
            EXPORTING.set(true);
            // Of this thread alone. Refused at worst.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            // Whatever the transports log here is caused by telemetry: it must not become some.
            let _silence = dispatcher::set_default(&Dispatch::none());
            let worker = {
                let _within = runtime.enter();
                Worker::new(config, &metrics, &logs, &stopped)
            };
            runtime.block_on(worker.run(asked));
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
    spans: Option<BatchLoop<SpanRecord>>,
    logs: Option<BatchLoop<LogRecord>>,
    metrics: Option<MetricLoop>,
}

impl Worker {
    /// Called within the runtime, which the connections belong to.
    fn new(
        config: PipelineConfig,
        metrics: &Metrics,
        logs: &Dispatch,
        stop: &watch::Receiver<Option<Instant>>,
    ) -> Self {
        let common = || Common::new(&config.resource, metrics, logs, stop);
        let spans = config.traces.map(|(route, sink)| BatchLoop::new(route, sink.queue, common()));
        let logs = config.logs.map(|(route, sink)| BatchLoop::new(route, sink.queue, common()));
        let metrics = config.metrics.map(|route| MetricLoop {
            sender: Sender::new(Signal::Metrics, route, config.metric.timeout, common()),
            interval: config.metric.interval,
            writer: MetricWriter::new(config.metric.temporality),
        });
        Self { spans, logs, metrics }
    }

    async fn run(self, [spans, logs, metrics]: [mpsc::Receiver<Flush>; 3]) {
        tokio::join!(
            async {
                if let Some(mut of_spans) = self.spans {
                    of_spans.run(spans).await;
                }
            },
            async {
                if let Some(mut of_logs) = self.logs {
                    of_logs.run(logs).await;
                }
            },
            async {
                if let Some(mut of_metrics) = self.metrics {
                    of_metrics.run(metrics).await;
                }
            },
        );
    }
}

/// Exports what a queue gathers.
struct BatchLoop<T> {
    sender: Sender,
    queue: Queue<T>,
}

impl<T: Item> BatchLoop<T> {
    fn new(route: Route, queue: Queue<T>, common: Common) -> Self {
        let timeout = queue.limits().export_timeout;
        Self { sender: Sender::new(T::SIGNAL, route, timeout, common), queue }
    }

    async fn run(&mut self, mut flushes: mpsc::Receiver<Flush>) {
        let mut stop = self.sender.stop();
        let delay = self.queue.limits().schedule_delay;
        loop {
            let mut flush = None;
            tokio::select! {
                () = self.queue.full() => {}
                () = sleep(delay) => {}
                Some(asked) = flushes.recv() => flush = Some(asked),
                () = stopping(&mut stop) => {}
            }
            // Asked before the work: what came before the word to end must still be sent.
            let is_last = ends(&stop);
            self.send_all(is_last).await;
            if let Some(flush) = flush {
                // Whoever asked may have stopped waiting.
                let _ = flush.try_send(());
            }
            if is_last {
                self.queue.close();
                return;
            }
        }
    }

    /// Sends what waits, and tells those who ask whether all of it was taken.
    async fn send_all(&mut self, is_last: bool) {
        let questions = self.queue.take_questions();
        self.send_waiting(is_last).await;
        self.queue.answer(questions);
    }

    /// Sends what waits. What comes meanwhile waits for the next round, unless it fills a message
    /// or this round is the last: a queue that is never quite empty keeps nobody waiting.
    async fn send_waiting(&mut self, is_last: bool) {
        loop {
            // One parcel to a message, so that neither keeps the other waiting.
            let parcel = self.queue.take_parcel();
            let brought = parcel.is_some();
            if let Some(parcel) = parcel {
                self.deliver(parcel).await;
            }
            let batch = self.queue.take();
            if self.sender.is_over() {
                self.sender.drop_items(DropReason::Shutdown, batch.len() as u64);
                self.queue.lost();
                return;
            }
            if batch.is_empty() {
                if brought {
                    continue;
                }
                return;
            }
            let is_full = batch.len() >= self.queue.limits().export_items_max;
            // Counted and logged there.
            if self.sender.send(batch).await.is_err() {
                self.queue.lost();
            }
            if is_last && self.sender.is_failing() {
                // No collector now: the rest would only make the program's end slow.
                return;
            }
            if !is_last && !is_full && !brought {
                return;
            }
        }
    }
}

impl<T: Item> BatchLoop<T> {
    /// Sends a parcel, in messages of the usual size, and says what became of it.
    async fn deliver(&mut self, parcel: Parcel<T>) {
        let Parcel { mut items, told } = parcel;
        let size = self.queue.limits().export_items_max;
        let mut outcome = Ok(0);
        while let (Ok(taken), false) = (&outcome, items.is_empty()) {
            let rest = items.split_off(items.len().min(size));
            let batch = std::mem::replace(&mut items, rest);
            outcome = match self.sender.send_kept(batch).await {
                Ok(0) => Err(DeliveryError::Failed("it refused all of them".to_owned())),
                Ok(more) => Ok(taken + more),
                Err(error) => Err(DeliveryError::Failed(error)),
            };
        }
        // Whoever asked may have stopped waiting.
        let _ = told.send(outcome);
    }
}

/// Pushes the metrics of the process.
struct MetricLoop {
    sender: Sender,
    interval: Duration,
    writer: MetricWriter,
}

impl MetricLoop {
    async fn run(&mut self, mut flushes: mpsc::Receiver<Flush>) {
        let mut stop = self.sender.stop();
        loop {
            let mut flush = None;
            tokio::select! {
                () = sleep(self.interval) => {}
                Some(asked) = flushes.recv() => flush = Some(asked),
                () = stopping(&mut stop) => {}
            }
            // Asked before the work: the last push must tell what came before the word to end.
            let is_last = ends(&stop);
            self.push().await;
            if let Some(flush) = flush {
                // Whoever asked may have stopped waiting.
                let _ = flush.try_send(());
            }
            if is_last {
                return;
            }
        }
    }

    async fn push(&mut self) {
        let metrics = self.sender.metrics();
        let started_at = metrics.registry().started_at();
        let snapshot = metrics.snapshot();
        let now = SystemTime::now();
        let encoded = self.writer.write(&snapshot, started_at, now);
        if self.sender.send(encoded).await.is_ok() {
            self.writer.taken(snapshot, now);
        }
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
