//! Spans, log records, metrics and the resource as OTLP messages.

use std::collections::BTreeMap;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue as OtlpKeyValue, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{
    LogRecord as OtlpLogRecord, ResourceLogs, ScopeLogs, SeverityNumber,
};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind as OtlpSpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status as OtlpStatus,
};
use prost::Message as _;
use tracing::Level;

use super::protobuf;
use super::record::LogRecord;
use super::transport::OtlpMessage;
use crate::config::ResourceConfig;
use crate::metrics::{Signal, unix_nanos};
use crate::propagation::Origin;
use crate::schema::{SEMCONV_VERSION, attr};
use crate::span::{SpanEvent, SpanLink, SpanRecord};
use crate::speaker::Speaker;

/// The name under which spans and metrics are written.
pub(super) const SCOPE: &str = "vmafx";

/// What is exported, one at a time or many in a message.
pub(super) trait Item: Clone + Send + 'static {
    /// The message that carries it.
    type Message: OtlpMessage;
    /// Its kind.
    const SIGNAL: Signal;

    /// How much it counts for.
    fn weight(&self) -> u64 {
        1
    }

    /// A message with all of `items`.
    fn message(resource: &Resource, items: Vec<Self>) -> Self::Message;

    /// The same message in its binary form.
    fn protobuf(resource: &Resource, items: Vec<Self>) -> Vec<u8> {
        Self::message(resource, items).encode_to_vec()
    }
}

impl Item for SpanRecord {
    type Message = ExportTraceServiceRequest;
    const SIGNAL: Signal = Signal::Traces;

    fn message(resource: &Resource, items: Vec<Self>) -> Self::Message {
        let mut own = Vec::with_capacity(items.len());
        // Few tell for others, and then for few.
        let mut told: Vec<(Speaker, Vec<Span>)> = Vec::new();
        for mut item in items {
            let speaker = item.speaker.take();
            let span = encode_span(item);
            match speaker {
                None => own.push(span),
                Some(speaker) => match told.iter_mut().find(|(known, _)| *known == speaker) {
                    Some((_, spans)) => spans.push(span),
                    None => told.push((speaker, vec![span])),
                },
            }
        }
        let own = Some((resource.clone(), own)).filter(|(_, spans)| !spans.is_empty());
        let told = told.into_iter().map(|(speaker, spans)| (speaker.resource(resource), spans));
        let resource_spans = own.into_iter().chain(told);
        ExportTraceServiceRequest { resource_spans: resource_spans.map(spans_of).collect() }
    }

    fn protobuf(resource: &Resource, items: Vec<Self>) -> Vec<u8> {
        protobuf::trace_request(resource, &items)
    }
}

fn spans_of((resource, spans): (Resource, Vec<Span>)) -> ResourceSpans {
    ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope(SCOPE)),
            spans,
            schema_url: schema_url(),
        }],
        schema_url: String::new(),
    }
}

impl Item for LogRecord {
    type Message = ExportLogsServiceRequest;
    const SIGNAL: Signal = Signal::Logs;

    /// The module that speaks is the scope of what it says.
    fn message(resource: &Resource, items: Vec<Self>) -> Self::Message {
        let mut scopes: BTreeMap<&str, Vec<OtlpLogRecord>> = BTreeMap::new();
        for record in items {
            scopes.entry(record.target).or_default().push(encode_log(record));
        }
        let scope_logs = scopes.into_iter().map(|(target, log_records)| ScopeLogs {
            scope: Some(scope(target)),
            log_records,
            schema_url: schema_url(),
        });
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource.clone()),
                scope_logs: scope_logs.collect(),
                schema_url: String::new(),
            }],
        }
    }
}

impl Item for Metric {
    type Message = ExportMetricsServiceRequest;
    const SIGNAL: Signal = Signal::Metrics;

    /// Its points.
    fn weight(&self) -> u64 {
        let points = match &self.data {
            Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(metric::Data::Sum(sum)) => sum.data_points.len(),
            Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
            // We write no others.
            _ => 0,
        };
        points as u64
    }

    fn message(resource: &Resource, items: Vec<Self>) -> Self::Message {
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope(SCOPE)),
                    metrics: items,
                    schema_url: schema_url(),
                }],
                schema_url: String::new(),
            }],
        }
    }
}

/// The flags bits that say whether the parent, or the linked span, is of another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Spans as the protobuf message that is sent of them, to be measured.
#[cfg(feature = "testing")]
#[must_use]
pub fn encoded_spans(config: &crate::config::OtelConfig, spans: &[SpanRecord]) -> Vec<u8> {
    protobuf::trace_request(&resource(&config.resource), spans)
}

pub(super) fn resource(config: &ResourceConfig) -> Resource {
    let attributes = config
        .iter()
        .map(|(key, value)| {
            let number = (key == attr::PROCESS_PID).then(|| value.parse().ok()).flatten();
            let value = match number {
                Some(number) => any_value::Value::IntValue(number),
                None => any_value::Value::StringValue(value.to_owned()),
            };
            key_value(key, value)
        })
        .collect();
    Resource { attributes, ..Resource::default() }
}

pub(super) fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn schema_url() -> String {
    format!("https://opentelemetry.io/schemas/{SEMCONV_VERSION}")
}

pub(super) fn span_kind(kind: &SpanKind) -> OtlpSpanKind {
    match kind {
        SpanKind::Client => OtlpSpanKind::Client,
        SpanKind::Server => OtlpSpanKind::Server,
        SpanKind::Producer => OtlpSpanKind::Producer,
        SpanKind::Consumer => OtlpSpanKind::Consumer,
        SpanKind::Internal => OtlpSpanKind::Internal,
    }
}

fn encode_span(record: SpanRecord) -> Span {
    let dropped = record.dropped;
    let parent = record.parent_span_id.map(|id| id.to_bytes().to_vec());
    let of_events = dropped.event_attributes.into_iter().chain(std::iter::repeat(0));
    let of_links = dropped.link_attributes.into_iter().chain(std::iter::repeat(0));
    Span {
        trace_id: record.context.trace_id.to_bytes().to_vec(),
        span_id: record.context.span_id.to_bytes().to_vec(),
        trace_state: record.context.tracestate,
        parent_span_id: parent.unwrap_or_default(),
        flags: flags(record.context.flags, record.parent_origin),
        name: record.name.into_owned(),
        kind: span_kind(&record.kind).into(),
        start_time_unix_nano: unix_nanos(record.start),
        end_time_unix_nano: unix_nanos(record.end.max(record.start)),
        dropped_attributes_count: dropped.attributes,
        attributes: attributes(record.attributes),
        dropped_events_count: dropped.events,
        events: record.events.into_iter().zip(of_events).map(event).collect(),
        dropped_links_count: dropped.links,
        links: record.links.into_iter().zip(of_links).map(link).collect(),
        status: status(record.status),
    }
}

fn encode_log(record: LogRecord) -> OtlpLogRecord {
    let severity = match record.level {
        Level::TRACE => SeverityNumber::Trace,
        Level::DEBUG => SeverityNumber::Debug,
        Level::INFO => SeverityNumber::Info,
        Level::WARN => SeverityNumber::Warn,
        Level::ERROR => SeverityNumber::Error,
    };
    let trace = record.trace.as_ref();
    OtlpLogRecord {
        time_unix_nano: unix_nanos(record.at),
        observed_time_unix_nano: unix_nanos(record.at),
        severity_number: severity.into(),
        severity_text: record.level.as_str().to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(record.body)) }),
        attributes: attributes(record.attributes),
        dropped_attributes_count: record.dropped_attributes,
        flags: trace.map_or(0, |trace| u32::from(trace.flags.0)),
        trace_id: trace.map(|trace| trace.trace_id.to_bytes().to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span_id.to_bytes().to_vec()).unwrap_or_default(),
        event_name: record.event_name.unwrap_or_default().to_owned(),
    }
}

pub(super) fn flags(flags: types::TraceFlags, origin: Origin) -> u32 {
    let remote = if origin == Origin::Remote { IS_REMOTE } else { 0 };
    u32::from(flags.0) | HAS_IS_REMOTE | remote
}

fn status(status: Status) -> Option<OtlpStatus> {
    match status {
        Status::Unset => None,
        Status::Ok => Some(OtlpStatus { message: String::new(), code: StatusCode::Ok.into() }),
        Status::Error { description } => {
            Some(OtlpStatus { message: description.into_owned(), code: StatusCode::Error.into() })
        }
    }
}

fn event((event, dropped): (SpanEvent, u32)) -> Event {
    Event {
        time_unix_nano: unix_nanos(event.at),
        name: event.name.into_owned(),
        attributes: attributes(event.attributes),
        dropped_attributes_count: dropped,
    }
}

fn link((link, dropped): (SpanLink, u32)) -> Link {
    Link {
        trace_id: link.context.trace_id.to_bytes().to_vec(),
        span_id: link.context.span_id.to_bytes().to_vec(),
        trace_state: link.context.tracestate,
        attributes: attributes(link.attributes),
        dropped_attributes_count: dropped,
        flags: flags(link.context.flags, Origin::Remote),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<OtlpKeyValue> {
    attributes
        .into_iter()
        .map(|attribute| key_value(attribute.key.as_str(), value(attribute.value)))
        .collect()
}

fn key_value(key: &str, value: any_value::Value) -> OtlpKeyValue {
    OtlpKeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..OtlpKeyValue::default()
    }
}

fn value(value: Value) -> any_value::Value {
    match value {
        Value::Bool(value) => any_value::Value::BoolValue(value),
        Value::I64(value) => any_value::Value::IntValue(value),
        Value::F64(value) => any_value::Value::DoubleValue(value),
        Value::String(value) => any_value::Value::StringValue(value.to_string()),
        Value::Array(Array::Bool(values)) => array(values.into_iter().map(Value::Bool)),
        Value::Array(Array::I64(values)) => array(values.into_iter().map(Value::I64)),
        Value::Array(Array::F64(values)) => array(values.into_iter().map(Value::F64)),
        Value::Array(Array::String(values)) => array(values.into_iter().map(Value::String)),
        // The API may learn new kinds of values; their text is better than nothing.
        other => any_value::Value::StringValue(other.to_string()),
    }
}

fn array(values: impl Iterator<Item = Value>) -> any_value::Value {
    let values = values.map(|item| AnyValue { value: Some(value(item)) }).collect();
    any_value::Value::ArrayValue(ArrayValue { values })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use types::{SpanId, TraceContext};

    use super::*;

    #[test]
    fn ids_times_and_relations_arrive_as_given() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(parent, "a=1").expect("valid");
        let start = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_123);
        let record =
            SpanRecord::new(context.clone(), SpanKind::Consumer, "process", start, UNIX_EPOCH)
                .child_of(SpanId::new([1; 8]).expect("not zero"), Origin::Remote)
                .with("list", Value::Array(Array::I64(vec![7, 8])))
                .with_link(SpanLink::new(context, "creation"))
                .failed("timed_out", "took too long");
        let mut record = record;
        record.dropped.attributes = 3;
        let span = encode_span(record);
        assert_eq!(span.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!((span.parent_span_id.as_slice(), span.flags), (&[1; 8][..], 0x301));
        assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_123);
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano, "an end before the start");
        assert_eq!(span.trace_state, "a=1");
        assert_eq!(span.links.len(), 1);
        assert_eq!(span.dropped_attributes_count, 3);
        let list = [7, 8].map(|item| AnyValue { value: Some(any_value::Value::IntValue(item)) });
        let list = any_value::Value::ArrayValue(ArrayValue { values: list.to_vec() });
        assert_eq!(span.attributes[0].value, Some(AnyValue { value: Some(list) }));
        assert_eq!(span.status.expect("failed").message, "took too long");
    }

    #[test]
    fn a_log_record_keeps_its_time_severity_names_and_ids() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let record = |target, level, trace| LogRecord {
            at: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_123),
            level,
            target,
            event_name: Some("attempt.started"),
            body: "started".to_owned(),
            attributes: vec![KeyValue::new("frames", 7)],
            dropped_attributes: 2,
            trace,
        };
        let trace = TraceContext::parse(parent, "");
        let records = vec![
            record("b", Level::WARN, trace),
            record("a", Level::TRACE, None),
            record("b", Level::ERROR, None),
        ];
        let message = LogRecord::message(&Resource::default(), records);
        let scopes = &message.resource_logs[0].scope_logs;
        let name = |at: usize| scopes[at].scope.as_ref().expect("a scope").name.as_str();
        assert_eq!([name(0), name(1)], ["a", "b"]);
        let (first, last) = (&scopes[1].log_records[0], &scopes[1].log_records[1]);
        assert_eq!(first.time_unix_nano, 1_700_000_000_000_000_123);
        assert_eq!(first.observed_time_unix_nano, first.time_unix_nano);
        assert_eq!((first.severity_number, first.severity_text.as_str()), (13, "WARN"));
        assert_eq!((last.severity_number, scopes[0].log_records[0].severity_number), (17, 1));
        assert_eq!(first.event_name, "attempt.started");
        assert_eq!((first.flags, first.dropped_attributes_count), (1, 2));
        assert_eq!(first.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(last.trace_id.is_empty() && last.span_id.is_empty() && last.flags == 0);
    }
}
