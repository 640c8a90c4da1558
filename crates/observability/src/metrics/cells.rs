//! Where values live: atomics behind cheap handles.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use types::{SpanId, TraceId};

use super::shards::Counts;
use crate::config::ExemplarFilter;
use crate::context::{Context, SpanPlace};

/// A sum that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A sum of durations that only grows.
#[derive(Debug, Clone, Default)]
pub struct SecondsCounter(Arc<AtomicU64>);

impl SecondsCounter {
    /// Adds `duration`.
    pub fn add(&self, duration: Duration) {
        self.0.fetch_add(nanos(duration), Ordering::Relaxed);
    }

    /// The sum so far, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// A value that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds `change`, which may be negative.
    pub fn add(&self, change: f64) {
        let add = |bits| Some((f64::from_bits(bits) + change).to_bits());
        // The closure never returns None, so the update cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// One measurement that shows what a bucket is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// What was measured.
    pub value: f64,
    /// When.
    pub at: SystemTime,
    /// The sampled trace in which it was.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
}

#[derive(Debug)]
struct HistogramCell {
    bounds: &'static [f64],
    /// One bucket more than the bounds: the last has no upper bound.
    counts: Counts,
    /// An [`ExemplarFilter`], by its place.
    filter: AtomicU8,
    exemplars: Box<[Mutex<Option<Exemplar>>]>,
}

/// A distribution over fixed buckets, with the latest exemplar of each.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<HistogramCell>);

/// A histogram as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSnapshot {
    /// Upper bounds, inclusive.
    pub bounds: &'static [f64],
    /// Counts by bucket, not cumulative; one more than the bounds.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: f64,
    /// Latest exemplar of each bucket.
    pub exemplars: Vec<Option<Exemplar>>,
}

impl HistogramSnapshot {
    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Histogram {
    /// An empty histogram with these ascending upper bounds.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(HistogramCell {
            bounds,
            counts: Counts::new(bounds.len() + 1),
            filter: AtomicU8::new(ExemplarFilter::TraceBased as u8),
            exemplars: (0..=bounds.len()).map(|_| Mutex::new(None)).collect(),
        }))
    }

    /// Says which measurements may become exemplars from now on.
    pub(crate) fn filter_exemplars(&self, filter: ExemplarFilter) {
        self.0.filter.store(filter as u8, Ordering::Relaxed);
    }

    fn may_be_exemplar(&self, span: &SpanPlace) -> bool {
        let filter = self.0.filter.load(Ordering::Relaxed);
        span.flags.is_sampled() && filter != ExemplarFilter::AlwaysOff as u8
            || filter == ExemplarFilter::AlwaysOn as u8
    }

    /// Records a duration in seconds.
    pub fn record(&self, duration: Duration) {
        self.record_value(duration.as_secs_f64());
    }

    /// Records a value in the instrument's unit. Within a sampled span it becomes the exemplar of
    /// its bucket, unless another thread is just writing one.
    pub fn record_value(&self, value: f64) {
        Context::map_current(|cx| self.record_in(value, cx));
    }

    /// Records a value that belongs to the span of `cx`.
    pub(crate) fn record_in(&self, value: f64, cx: &Context) {
        self.record_at(value, cx, SystemTime::now);
    }

    /// Records a value that belongs to the span of `cx`. When it was measured is asked if it becomes an
    /// exemplar.
    pub(crate) fn record_at(&self, value: f64, cx: &Context, at: impl FnOnce() -> SystemTime) {
        let cell = &*self.0;
        // Most calls are shorter than the first bound. Of so few bounds the others are sooner counted than
        // searched: the comparisons do not wait for each other.
        let bucket = match cell.bounds.first() {
            Some(first) if value <= *first => 0,
            _ => cell.bounds.iter().filter(|bound| **bound < value).count(),
        };
        cell.counts.record(bucket, value);
        if let Some(span) = cx.span()
            && self.may_be_exemplar(span)
            && let Ok(mut slot) = cell.exemplars[bucket].try_lock()
        {
            let SpanPlace { trace_id, span_id, .. } = *span;
            *slot = Some(Exemplar { value, at: at(), trace_id, span_id });
        }
    }

    /// The histogram as it stands.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let cell = &*self.0;
        let (counts, sum) = cell.counts.read();
        HistogramSnapshot {
            bounds: cell.bounds,
            counts,
            sum,
            exemplars: cell
                .exemplars
                .iter()
                .map(|slot| slot.lock().ok().and_then(|exemplar| exemplar.clone()))
                .collect(),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use types::TraceContext;

    use super::*;
    use crate::propagation::{Origin, context_of};

    #[test]
    fn a_value_on_a_bound_belongs_to_the_bucket_below() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 2.5] {
            histogram.record_value(value);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.counts, [2, 2, 1]);
        assert_eq!((snapshot.count(), snapshot.sum), (5, 7.5));
    }

    #[test]
    fn only_sampled_spans_leave_exemplars() {
        let histogram = Histogram::new(&[1.0]);
        let context = |flags| {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            context_of(&TraceContext::parse(&text, "").expect("valid"), Origin::Local)
        };
        histogram.record_in(0.5, &context("00"));
        assert_eq!(histogram.snapshot().exemplars, [None, None]);
        histogram.record_in(5.0, &context("01"));
        let exemplars = histogram.snapshot().exemplars;
        assert_eq!(exemplars[0], None);
        let exemplar = exemplars[1].as_ref().expect("kept");
        assert_eq!(exemplar.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(exemplar.value, 5.0);
    }

    #[test]
    fn the_exemplar_filter_says_which_spans_count() {
        use ExemplarFilter::{AlwaysOff, AlwaysOn, TraceBased};
        let parent = |flags| {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            context_of(&TraceContext::parse(&text, "").expect("valid"), Origin::Local)
        };
        for (filter, kept) in [
            (TraceBased, [false, false, true]),
            (AlwaysOn, [false, true, true]),
            (AlwaysOff, [false, false, false]),
        ] {
            let contexts = [Context::new(), parent("00"), parent("01")];
            let keeps = contexts.map(|cx| {
                let histogram = Histogram::new(&[]);
                histogram.filter_exemplars(filter);
                histogram.record_in(0.5, &cx);
                histogram.snapshot().exemplars[0].is_some()
            });
            assert_eq!(keeps, kept, "{filter:?}");
        }
    }

    #[test]
    fn sums_are_exact_under_contention() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        let histogram = Histogram::new(&[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        counter.add(1);
                        gauge.add(1.0);
                        histogram.record_value(0.5);
                    }
                });
            }
        });
        assert_eq!((counter.get(), gauge.get()), (4_000, 4_000.0));
        assert_eq!((histogram.snapshot().count(), histogram.snapshot().sum), (4_000, 2_000.0));
    }
}
