//! An instrument as part of an OTLP message, with exemplars.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar as OtlpExemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, exemplar, metric, number_data_point,
};

use super::cells::{Exemplar, HistogramSnapshot};
use super::registry::{MetricSnapshot, Point, PointValue};
use crate::schema::{AttributeDef, InstrumentKind, ValueType};

/// Writes one instrument with its points, which count from the first of `times` to the second.
pub(super) fn encode(
    snapshot: &MetricSnapshot,
    times: (SystemTime, SystemTime),
    temporality: AggregationTemporality,
) -> Metric {
    let def = &snapshot.def;
    let times = (unix_nanos(times.0), unix_nanos(times.1));
    // What goes up and down has no delta of its own.
    let temporality = match def.kind {
        InstrumentKind::UpDownCounter => AggregationTemporality::Cumulative.into(),
        _ => temporality.into(),
    };
    let numbers = || snapshot.points.iter().filter_map(|point| number(point, times)).collect();
    let data = match def.kind {
        InstrumentKind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers() }),
        InstrumentKind::Counter | InstrumentKind::UpDownCounter => metric::Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: def.kind == InstrumentKind::Counter,
        }),
        InstrumentKind::Histogram => metric::Data::Histogram(Histogram {
            data_points: snapshot
                .points
                .iter()
                .filter_map(|point| histogram(point, times))
                .collect(),
            aggregation_temporality: temporality,
        }),
    };
    Metric {
        name: def.name.to_owned(),
        description: def.description.to_owned(),
        unit: def.unit.to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn number(point: &Point, (started_at, now): (u64, u64)) -> Option<NumberDataPoint> {
    let value = match &point.value {
        PointValue::Integer(value) => {
            number_data_point::Value::AsInt(i64::try_from(*value).unwrap_or(i64::MAX))
        }
        PointValue::Float(value) => number_data_point::Value::AsDouble(*value),
        PointValue::Histogram(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: started_at,
        time_unix_nano: now,
        exemplars: Vec::new(),
        flags: 0,
        value: Some(value),
    })
}

fn histogram(point: &Point, (started_at, now): (u64, u64)) -> Option<HistogramDataPoint> {
    let PointValue::Histogram(histogram) = &point.value else { return None };
    let HistogramSnapshot { bounds, counts, sum, exemplars } = histogram;
    Some(HistogramDataPoint {
        attributes: attributes(point),
        start_time_unix_nano: started_at,
        time_unix_nano: now,
        count: histogram.count(),
        sum: Some(*sum),
        bucket_counts: counts.clone(),
        explicit_bounds: bounds.to_vec(),
        exemplars: exemplars.iter().flatten().map(encode_exemplar).collect(),
        flags: 0,
        min: None,
        max: None,
    })
}

fn encode_exemplar(from: &Exemplar) -> OtlpExemplar {
    OtlpExemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: unix_nanos(from.at),
        span_id: from.span_id.to_bytes().to_vec(),
        trace_id: from.trace_id.to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(from.value)),
    }
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    point
        .labels
        .iter()
        .map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(label_value(key, value)) }),
            ..KeyValue::default()
        })
        .collect()
}

/// A label's text as a value of the type that its key is declared with.
fn label_value(key: &str, text: &str) -> any_value::Value {
    let is_int = || matches!(AttributeDef::of(key)?.value, ValueType::Int(_)).then_some(());
    match is_int().and_then(|()| text.parse().ok()) {
        Some(number) => any_value::Value::IntValue(number),
        None => any_value::Value::StringValue(text.to_owned()),
    }
}

/// Nanoseconds since 1970, as OTLP counts time.
pub(crate) fn unix_nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::State;

    use super::*;
    use crate::config::Temporality;
    use crate::metrics::{MetricWriter, Metrics};

    #[test]
    fn every_point_is_written_in_its_kind() {
        let metrics = Metrics::new();
        metrics.queue().submitted(3);
        metrics.queue().finished(State::Failed, Duration::from_secs(2));
        let writer = MetricWriter::new(Temporality::Cumulative);
        let encoded = writer.write(&metrics.snapshot(), UNIX_EPOCH, UNIX_EPOCH);
        assert!(encoded.len() > 10);
        let named = |name: &str| {
            let found = encoded.iter().find(|metric| metric.name == name);
            found.unwrap_or_else(|| panic!("{name}")).data.clone().expect("data")
        };
        let metric::Data::Sum(sum) = named("vmafx.jobs.submitted") else { panic!("not a sum") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(3)));
        let metric::Data::Sum(memory) = named("process.memory.usage") else { panic!("not a sum") };
        assert!(!memory.is_monotonic);
        let metric::Data::Histogram(took) = named("vmafx.job.duration") else {
            panic!("not a histogram")
        };
        let failed = took.data_points.iter().find(|point| point.count == 1).expect("recorded");
        assert_eq!(failed.sum, Some(2.0));
        assert_eq!(failed.bucket_counts.len(), failed.explicit_bounds.len() + 1);
    }
}
