//! The bounded queues between whoever ends spans or logs and the exporting thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::encode::Item;
use super::limits::{limit_attributes, limit_span, shortened};
use super::record::LogRecord;
use crate::config::{AttributeLimits, BatchConfig, SpanLimits};
use crate::metrics::{DropReason, TelemetryMetrics};
use crate::sampler::budget::SpanBudget;
use crate::span::SpanRecord;

/// Parcels that may wait for the exporting thread.
const PARCELS_WAITING_MAX: usize = 8;

/// Why spans were not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// This process exports no spans.
    #[error("no endpoint for traces is configured; set OTEL_EXPORTER_OTLP_ENDPOINT")]
    Disabled,
    /// Too many deliveries wait already.
    #[error("too many deliveries wait for the collector; try again in a moment")]
    Busy,
    /// The process ends.
    #[error("the process ends")]
    Shutdown,
    /// The collector could not be reached, or did not take them.
    #[error("the collector did not take the spans: {0}")]
    Failed(String),
}

/// Told how many items were taken.
pub(super) type Told = oneshot::Sender<Result<u64, DeliveryError>>;

/// Items whose sender is told what became of them.
#[derive(Debug)]
pub(super) struct Parcel<T> {
    pub(super) items: Vec<T>,
    pub(super) told: Told,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    parcels: VecDeque<Parcel<T>>,
    /// Who wants to know whether what waits has been taken.
    questions: Vec<Told>,
    /// Something was lost since that was last asked.
    lost: bool,
    /// After the last export nothing is taken any more.
    closed: bool,
}

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    limits: BatchConfig,
    wake: Notify,
    metrics: TelemetryMetrics,
}

/// A bounded queue of items to export. Cheap to clone.
#[derive(Debug)]
pub(super) struct Queue<T>(Arc<Inner<T>>);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Item> Queue<T> {
    fn new(limits: BatchConfig, metrics: TelemetryMetrics) -> Self {
        let state = Mutex::new(State {
            items: VecDeque::new(),
            parcels: VecDeque::new(),
            questions: Vec::new(),
            lost: false,
            closed: false,
        });
        Self(Arc::new(Inner { state, limits, wake: Notify::new(), metrics }))
    }

    /// Takes an item, or drops and counts it. Never waits for more than another push or take.
    fn push(&self, item: T) {
        let inner = &*self.0;
        let mut state = self.lock();
        let waiting = state.items.len();
        if state.closed || waiting >= inner.limits.queue_items_max {
            let reason = if state.closed { DropReason::Shutdown } else { DropReason::QueueFull };
            state.lost = true;
            drop(state);
            inner.metrics.dropped(T::SIGNAL, reason, 1);
            return;
        }
        state.items.push_back(item);
        inner.metrics.set_queue(T::SIGNAL, waiting + 1);
        drop(state);
        if waiting + 1 == inner.limits.export_items_max {
            inner.wake.notify_one();
        }
    }

    /// Takes a parcel, to be sent at once, past what waits.
    fn deliver(&self, parcel: Parcel<T>) -> Result<(), DeliveryError> {
        let mut state = self.lock();
        if state.closed {
            return Err(DeliveryError::Shutdown);
        }
        if state.parcels.len() >= PARCELS_WAITING_MAX {
            return Err(DeliveryError::Busy);
        }
        state.parcels.push_back(parcel);
        drop(state);
        self.0.wake.notify_one();
        Ok(())
    }

    /// The next parcel.
    pub(super) fn take_parcel(&self) -> Option<Parcel<T>> {
        self.lock().parcels.pop_front()
    }

    /// Asks whether all that was pushed before, since the question before, is taken.
    fn ask(&self, told: Told) -> Result<(), DeliveryError> {
        let mut state = self.lock();
        if state.closed {
            return Err(DeliveryError::Shutdown);
        }
        if state.questions.len() >= PARCELS_WAITING_MAX {
            return Err(DeliveryError::Busy);
        }
        state.questions.push(told);
        drop(state);
        self.0.wake.notify_one();
        Ok(())
    }

    /// The questions that are open. What they ask about waits in the queue now, or is gone.
    pub(super) fn take_questions(&self) -> Vec<Told> {
        std::mem::take(&mut self.lock().questions)
    }

    /// Something of the queue was not taken.
    pub(super) fn lost(&self) {
        self.lock().lost = true;
    }

    /// Answers questions, once everything that waited when they were taken has been sent.
    pub(super) fn answer(&self, questions: Vec<Told>) {
        if questions.is_empty() {
            return;
        }
        let lost = std::mem::take(&mut self.lock().lost);
        let dropped = || DeliveryError::Failed("some of them were dropped".to_owned());
        let answer = || if lost { Err(dropped()) } else { Ok(0) };
        let mut is_heard = false;
        for told in questions {
            // Whoever asked may have stopped waiting.
            is_heard |= told.send(answer()).is_ok();
        }
        if lost && !is_heard {
            // The next to ask hears of it.
            self.lock().lost = true;
        }
    }

    /// The next message's items, oldest first; empty when none wait.
    pub(super) fn take(&self) -> Vec<T> {
        let mut state = self.lock();
        let count = state.items.len().min(self.0.limits.export_items_max);
        let batch = state.items.drain(..count).collect();
        self.0.metrics.set_queue(T::SIGNAL, state.items.len());
        batch
    }

    /// Waits until a message is full, or a parcel is there.
    pub(super) async fn full(&self) {
        self.0.wake.notified().await;
    }

    /// Refuses everything from now on and counts what still waits as dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.items).len() as u64;
        // Whoever waits for one is told by its end.
        state.parcels.clear();
        state.questions.clear();
        drop(state);
        self.0.metrics.set_queue(T::SIGNAL, 0);
        self.0.metrics.dropped(T::SIGNAL, DropReason::Shutdown, left);
    }

    pub(super) fn limits(&self) -> BatchConfig {
        self.0.limits
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where ended spans go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SpanSink {
    pub(super) queue: Queue<SpanRecord>,
    limits: SpanLimits,
    budget: Option<Arc<SpanBudget>>,
}

impl SpanSink {
    pub(crate) fn new(batch: BatchConfig, limits: SpanLimits, metrics: TelemetryMetrics) -> Self {
        Self { queue: Queue::new(batch, metrics), limits, budget: None }
    }

    /// Draws on the budget for every span.
    pub(crate) fn drawing_on(self, budget: Option<Arc<SpanBudget>>) -> Self {
        Self { budget, ..self }
    }

    /// Takes a span, cut to its limits, or drops and counts it.
    pub(crate) fn push(&self, mut record: SpanRecord) {
        if let Some(budget) = &self.budget {
            budget.spend();
        }
        limit_span(&mut record, &self.limits);
        self.queue.push(record);
    }

    /// What a span may hold.
    pub(crate) fn limits(&self) -> &SpanLimits {
        &self.limits
    }

    /// Takes spans past the queue, to be sent at once; the answer says how many were taken.
    pub(crate) fn deliver(
        &self,
        mut items: Vec<SpanRecord>,
    ) -> Result<oneshot::Receiver<Result<u64, DeliveryError>>, DeliveryError> {
        let (told, answer) = oneshot::channel();
        items.iter_mut().for_each(|span| limit_span(span, &self.limits));
        self.queue.deliver(Parcel { items, told })?;
        Ok(answer)
    }

    /// Asks whether all spans that were pushed, since the question before, are taken; makes those
    /// that wait leave now.
    pub(crate) fn ask(
        &self,
    ) -> Result<oneshot::Receiver<Result<u64, DeliveryError>>, DeliveryError> {
        let (told, answer) = oneshot::channel();
        self.queue.ask(told)?;
        Ok(answer)
    }
}

/// Where log records go besides stderr. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogSink {
    pub(super) queue: Queue<LogRecord>,
    limits: AttributeLimits,
}

impl LogSink {
    pub(crate) fn new(
        batch: BatchConfig,
        limits: AttributeLimits,
        metrics: TelemetryMetrics,
    ) -> Self {
        Self { queue: Queue::new(batch, metrics), limits }
    }

    /// Takes a record, cut to its limits, or drops and counts it.
    pub(crate) fn push(&self, mut record: LogRecord) {
        record.dropped_attributes = limit_attributes(&mut record.attributes, &self.limits);
        if let Some(short) = shortened(&record.body, self.limits.value_chars_max) {
            record.body = short;
        }
        self.queue.push(record);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SpanKind;
    use types::{TraceContext, TraceFlags};

    use super::*;
    use crate::ids::{new_span_id, new_trace_id};
    use crate::metrics::{Metrics, Signal};

    fn span() -> SpanRecord {
        let context = TraceContext {
            trace_id: new_trace_id(),
            span_id: new_span_id(),
            flags: TraceFlags::SAMPLED,
            tracestate: String::new(),
        };
        let now = std::time::SystemTime::now();
        SpanRecord::new(context, SpanKind::Internal, "test", now, now)
    }

    #[test]
    fn what_exceeds_the_queue_is_dropped_and_counted_exactly() {
        let metrics = Metrics::new();
        let batch =
            BatchConfig { queue_items_max: 10, export_items_max: 4, ..BatchConfig::spans() };
        let sink = SpanSink::new(batch, SpanLimits::default(), metrics.telemetry().clone());
        for _ in 0..17 {
            sink.push(span());
        }
        let dropped = |reason| metrics.telemetry().dropped_total(Signal::Traces, reason);
        assert_eq!(dropped(DropReason::QueueFull), 7);
        assert_eq!([sink.queue.take().len(), sink.queue.take().len()], [4, 4]);
        sink.queue.close();
        sink.push(span());
        assert_eq!(dropped(DropReason::Shutdown), 3);
        assert!(sink.queue.take().is_empty());
    }
}
