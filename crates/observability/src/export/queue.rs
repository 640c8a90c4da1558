//! The bounded queue between whoever ends spans and the exporting thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::BatchConfig;
use crate::metrics::{DropReason, Signal, TelemetryMetrics};
use crate::span::SpanRecord;

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<SpanRecord>,
    /// After the last export nothing is taken any more.
    closed: bool,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    limits: BatchConfig,
    wake: Notify,
    metrics: TelemetryMetrics,
}

/// Where ended spans go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SpanSink(Arc<Inner>);

impl SpanSink {
    pub(crate) fn new(limits: BatchConfig, metrics: TelemetryMetrics) -> Self {
        let state = Mutex::new(State::default());
        Self(Arc::new(Inner { state, limits, wake: Notify::new(), metrics }))
    }

    /// Takes a span, or drops and counts it. Never waits for more than another push or take.
    pub(crate) fn push(&self, span: SpanRecord) {
        let inner = &*self.0;
        let mut state = self.lock();
        let waiting = state.spans.len();
        if state.closed || waiting >= inner.limits.queue_spans_max {
            let reason = if state.closed { DropReason::Shutdown } else { DropReason::QueueFull };
            drop(state);
            inner.metrics.dropped(Signal::Traces, reason, 1);
            return;
        }
        state.spans.push_back(span);
        inner.metrics.set_queue(Signal::Traces, waiting + 1);
        drop(state);
        if waiting + 1 == inner.limits.export_spans_max {
            inner.wake.notify_one();
        }
    }

    /// The next message's spans, oldest first; empty when none wait.
    pub(super) fn take(&self) -> Vec<SpanRecord> {
        let mut state = self.lock();
        let count = state.spans.len().min(self.0.limits.export_spans_max);
        let batch = state.spans.drain(..count).collect();
        self.0.metrics.set_queue(Signal::Traces, state.spans.len());
        batch
    }

    /// Waits until a message is full.
    pub(super) async fn full(&self) {
        self.0.wake.notified().await;
    }

    /// Refuses everything from now on and counts what still waits as dropped.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.spans).len() as u64;
        drop(state);
        self.0.metrics.set_queue(Signal::Traces, 0);
        self.0.metrics.dropped(Signal::Traces, DropReason::Shutdown, left);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SpanKind;
    use types::{TraceContext, TraceFlags};

    use super::*;
    use crate::ids::{new_span_id, new_trace_id};
    use crate::metrics::Metrics;

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
        let limits = BatchConfig { queue_spans_max: 10, export_spans_max: 4, ..Default::default() };
        let sink = SpanSink::new(limits, metrics.telemetry().clone());
        for _ in 0..17 {
            sink.push(span());
        }
        let dropped = |reason| metrics.telemetry().dropped_total(Signal::Traces, reason);
        assert_eq!(dropped(DropReason::QueueFull), 7);
        assert_eq!([sink.take().len(), sink.take().len()], [4, 4]);
        sink.close();
        sink.push(span());
        assert_eq!(dropped(DropReason::Shutdown), 3);
        assert!(sink.take().is_empty());
    }
}
