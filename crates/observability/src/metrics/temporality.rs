//! From when pushed sums count: from the start of the process, or from the push before.
//!
//! A delta counts from the last push that a collector took: what a failed push would have told is
//! part of the next one, and nothing is lost by an outage.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::SystemTime;

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};

use super::cells::HistogramSnapshot;
use super::otlp::encode;
use super::registry::{LabelSet, MetricSnapshot, Point, PointValue};
use crate::config::Temporality;
use crate::schema::{InstrumentDef, InstrumentKind};

/// The names under which the operating system's and the runtime's own counts are read.
const READ_NAMESPACES: [&str; 2] = ["process.", "vmafx.runtime."];

/// Writes the metrics of a process for OTLP, one push after the other.
#[derive(Debug)]
pub(crate) struct MetricWriter {
    temporality: Temporality,
    /// What the collector knows, for deltas.
    known: HashMap<(&'static str, LabelSet), PointValue>,
    known_at: Option<SystemTime>,
}

impl MetricWriter {
    pub(crate) fn new(temporality: Temporality) -> Self {
        Self { temporality, known: HashMap::new(), known_at: None }
    }

    /// The metrics that have points.
    pub(crate) fn write(
        &self,
        snapshot: &[MetricSnapshot],
        started_at: SystemTime,
        now: SystemTime,
    ) -> Vec<Metric> {
        let write = |metric: &MetricSnapshot| {
            if !self.is_delta(&metric.def) {
                let cumulative = AggregationTemporality::Cumulative;
                return (!metric.points.is_empty())
                    .then(|| encode(metric, (started_at, now), cumulative));
            }
            let name = metric.def.name;
            let points: Vec<_> =
                metric.points.iter().filter_map(|point| self.delta(name, point)).collect();
            let since = self.known_at.unwrap_or(started_at);
            let metric = MetricSnapshot { def: metric.def, points };
            (!metric.points.is_empty())
                .then(|| encode(&metric, (since, now), AggregationTemporality::Delta))
        };
        snapshot.iter().filter_map(write).collect()
    }

    /// A collector took what was written of `snapshot` at `at`.
    pub(crate) fn taken(&mut self, snapshot: Vec<MetricSnapshot>, at: SystemTime) {
        if self.temporality == Temporality::Cumulative {
            return;
        }
        self.known_at = Some(at);
        for MetricSnapshot { def, points } in snapshot {
            if self.is_delta(&def) {
                for Point { labels, value } in points {
                    match self.known.entry((def.name, labels)) {
                        Entry::Vacant(new) => drop(new.insert(value)),
                        Entry::Occupied(known) if adds_nothing(known.get(), &value) => {}
                        Entry::Occupied(mut known) => drop(known.insert(value)),
                    }
                }
            }
        }
    }

    fn is_delta(&self, def: &InstrumentDef) -> bool {
        let sums = matches!(def.kind, InstrumentKind::Counter | InstrumentKind::Histogram);
        // What others count is read, not recorded: a delta would need memory.
        let is_read = READ_NAMESPACES.iter().any(|space| def.name.starts_with(space));
        match self.temporality {
            Temporality::Cumulative => false,
            Temporality::Delta => sums,
            Temporality::LowMemory => sums && !is_read,
        }
    }

    /// What was added since the collector was told; `None` where nothing was.
    fn delta(&self, name: &'static str, point: &Point) -> Option<Point> {
        let known = self.known.get(&(name, point.labels.clone()));
        let value = match (&point.value, known) {
            (PointValue::Integer(now), Some(PointValue::Integer(before))) => {
                PointValue::Integer(now.saturating_sub(*before))
            }
            (PointValue::Float(now), Some(PointValue::Float(before))) => {
                PointValue::Float(now - before)
            }
            (PointValue::Histogram(now), Some(PointValue::Histogram(before))) => {
                PointValue::Histogram(self.added(now, before))
            }
            (now, _) => now.clone(),
        };
        let added = match &value {
            PointValue::Integer(added) => *added > 0,
            PointValue::Float(added) => *added > 0.0,
            PointValue::Histogram(added) => added.count() > 0,
        };
        added.then(|| Point { labels: point.labels.clone(), value })
    }

    fn added(&self, now: &HistogramSnapshot, before: &HistogramSnapshot) -> HistogramSnapshot {
        let counts = now.counts.iter().zip(&before.counts);
        let mut added = now.clone();
        added.counts = counts.map(|(now, before)| now.saturating_sub(*before)).collect();
        added.sum = now.sum - before.sum;
        for exemplar in &mut added.exemplars {
            *exemplar = exemplar.take().filter(|at| Some(at.at) > self.known_at);
        }
        added
    }
}

/// Whether no value of a histogram has come, so that no point of it was written. Counts are read before
/// their sum: what the sum has more by then is to be written with its count, the next time.
fn adds_nothing(known: &PointValue, now: &PointValue) -> bool {
    match (known, now) {
        (PointValue::Histogram(known), PointValue::Histogram(now)) => known.count() == now.count(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
    use types::State;

    use super::*;
    use crate::metrics::Metrics;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    /// Kind, value, temporality and start in seconds of the only point of a metric.
    fn point(metrics: &[Metric], name: &str) -> Option<(i64, AggregationTemporality, u64)> {
        let metric = metrics.iter().find(|metric| metric.name == name)?;
        let seconds = |nanos: u64| nanos / 1_000_000_000;
        match metric.data.as_ref().expect("data") {
            metric::Data::Sum(sum) => {
                let point = &sum.data_points[0];
                let value = match point.value.expect("a value") {
                    number_data_point::Value::AsInt(value) => value,
                    number_data_point::Value::AsDouble(value) => value as i64,
                };
                Some((value, sum.aggregation_temporality(), seconds(point.start_time_unix_nano)))
            }
            metric::Data::Histogram(of) => {
                let point = &of.data_points[0];
                let start = seconds(point.start_time_unix_nano);
                Some((point.count as i64, of.aggregation_temporality(), start))
            }
            other => panic!("{other:?}"),
        }
    }

    const JOBS: &str = "vmafx.jobs.submitted";

    #[test]
    fn deltas_count_from_the_push_that_was_taken_last() {
        use AggregationTemporality::{Cumulative, Delta};
        let metrics = Metrics::new();
        let mut writer = MetricWriter::new(Temporality::Delta);
        metrics.queue().submitted(5);
        metrics.queue().finished(State::Succeeded, Duration::from_secs(2));
        let first = metrics.snapshot();
        let written = writer.write(&first, START, at(10));
        assert_eq!(point(&written, JOBS), Some((5, Delta, 0)));
        assert_eq!(point(&written, "vmafx.job.duration"), Some((1, Delta, 0)));
        let (_, memory, start) = point(&written, "process.memory.usage").expect("on Linux");
        assert_eq!((memory, start), (Cumulative, 0), "goes up and down");
        // Nobody took it: the next one tells it again.
        metrics.queue().submitted(2);
        let second = metrics.snapshot();
        let written = writer.write(&second, START, at(20));
        assert_eq!(point(&written, JOBS), Some((7, Delta, 0)));
        writer.taken(second, at(20));
        let third = metrics.snapshot();
        assert_eq!(point(&writer.write(&third, START, at(30)), JOBS), None, "nothing was added");
        writer.taken(third, at(30));
        metrics.queue().submitted(1);
        metrics.queue().finished(State::Succeeded, Duration::from_secs(2));
        let written = writer.write(&metrics.snapshot(), START, at(40));
        assert_eq!(point(&written, JOBS), Some((1, Delta, 30)));
        assert_eq!(point(&written, "vmafx.job.duration"), Some((1, Delta, 30)));
    }

    #[test]
    fn a_sum_that_is_read_before_its_count_is_written_with_it() {
        const DURATION: &str = "vmafx.job.duration";
        let metrics = Metrics::new();
        let finish = || metrics.queue().finished(State::Succeeded, Duration::from_secs(2));
        let mut writer = MetricWriter::new(Temporality::Delta);
        finish();
        writer.taken(metrics.snapshot(), at(10));
        let mut torn = metrics.snapshot();
        let durations = torn.iter_mut().find(|metric| metric.def.name == DURATION);
        let PointValue::Histogram(of) = &mut durations.expect("there").points[0].value else {
            panic!("a histogram");
        };
        of.sum += 2.0;
        assert_eq!(point(&writer.write(&torn, START, at(20)), DURATION), None);
        writer.taken(torn, at(20));
        finish();
        let written = writer.write(&metrics.snapshot(), START, at(30));
        let metric = written.iter().find(|metric| metric.name == DURATION).expect("written");
        let Some(metric::Data::Histogram(of)) = &metric.data else { panic!("a histogram") };
        assert_eq!((of.data_points[0].count, of.data_points[0].sum), (1, Some(2.0)));
    }

    #[test]
    fn each_preference_has_its_deltas() {
        use AggregationTemporality::{Cumulative, Delta};
        for (preference, recorded, read) in [
            (Temporality::Cumulative, Cumulative, Cumulative),
            (Temporality::Delta, Delta, Delta),
            (Temporality::LowMemory, Delta, Cumulative),
        ] {
            let writer = MetricWriter::new(preference);
            let is_delta = |def| if writer.is_delta(def) { Delta } else { Cumulative };
            assert_eq!(is_delta(&crate::schema::instrument::JOBS_SUBMITTED), recorded);
            assert_eq!(is_delta(&crate::schema::instrument::PROCESS_CPU), read);
            assert_eq!(is_delta(&crate::schema::instrument::PROCESS_MEMORY), Cumulative);
        }
    }
}
