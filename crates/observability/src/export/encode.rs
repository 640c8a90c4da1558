//! Spans and the resource as OTLP messages.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue as OtlpKeyValue, any_value,
};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind as OtlpSpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status as OtlpStatus,
};

use crate::config::ResourceConfig;
use crate::metrics::unix_nanos;
use crate::propagation::Origin;
use crate::schema::{SEMCONV_VERSION, attr};
use crate::span::{self, SPAN_ITEMS_MAX, SpanEvent, SpanLink, SpanRecord};

/// Longer strings are cut, so that an error text or a path cannot blow up a message.
const STRING_BYTES_MAX: usize = 4_096;

/// The flags bits that say whether the parent, or the linked span, is of another process.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

pub(super) fn resource(config: &ResourceConfig) -> Resource {
    let attributes = config
        .iter()
        .map(|(key, value)| {
            let number = (key == attr::PROCESS_PID).then(|| value.parse().ok()).flatten();
            let value = match number {
                Some(number) => any_value::Value::IntValue(number),
                None => any_value::Value::StringValue(cut(value)),
            };
            key_value(key, value)
        })
        .collect();
    Resource { attributes, ..Resource::default() }
}

pub(super) fn traces(resource: &Resource, spans: Vec<SpanRecord>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans: spans.into_iter().map(encode_span).collect(),
                schema_url: schema_url(),
            }],
            schema_url: String::new(),
        }],
    }
}

pub(super) fn metrics(resource: &Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: schema_url(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "vmafx".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn schema_url() -> String {
    format!("https://opentelemetry.io/schemas/{SEMCONV_VERSION}")
}

fn encode_span(record: SpanRecord) -> Span {
    let kind = match record.kind {
        SpanKind::Client => OtlpSpanKind::Client,
        SpanKind::Server => OtlpSpanKind::Server,
        SpanKind::Producer => OtlpSpanKind::Producer,
        SpanKind::Consumer => OtlpSpanKind::Consumer,
        SpanKind::Internal => OtlpSpanKind::Internal,
    };
    let dropped = |count: usize| count.saturating_sub(SPAN_ITEMS_MAX) as u32;
    let parent = record.parent_span_id.map(|id| id.to_bytes().to_vec());
    Span {
        trace_id: record.context.trace_id.to_bytes().to_vec(),
        span_id: record.context.span_id.to_bytes().to_vec(),
        trace_state: record.context.tracestate,
        parent_span_id: parent.unwrap_or_default(),
        flags: flags(record.context.flags, record.parent_origin),
        name: cut(&record.name),
        kind: kind.into(),
        start_time_unix_nano: unix_nanos(record.start),
        end_time_unix_nano: unix_nanos(record.end.max(record.start)),
        dropped_attributes_count: dropped(record.attributes.len()),
        attributes: attributes(record.attributes),
        dropped_events_count: dropped(record.events.len()),
        events: record.events.into_iter().take(SPAN_ITEMS_MAX).map(event).collect(),
        dropped_links_count: dropped(record.links.len()),
        links: record.links.into_iter().take(SPAN_ITEMS_MAX).map(link).collect(),
        status: status(record.status),
    }
}

fn flags(flags: types::TraceFlags, origin: Origin) -> u32 {
    let remote = if origin == Origin::Remote { IS_REMOTE } else { 0 };
    u32::from(flags.0) | HAS_IS_REMOTE | remote
}

fn status(status: Status) -> Option<OtlpStatus> {
    match status {
        Status::Unset => None,
        Status::Ok => Some(OtlpStatus { message: String::new(), code: StatusCode::Ok.into() }),
        Status::Error { description } => {
            Some(OtlpStatus { message: cut(&description), code: StatusCode::Error.into() })
        }
    }
}

fn event(event: SpanEvent) -> Event {
    Event {
        time_unix_nano: unix_nanos(event.at),
        name: cut(&event.name),
        attributes: attributes(event.attributes),
        dropped_attributes_count: 0,
    }
}

fn link(link: SpanLink) -> Link {
    Link {
        trace_id: link.context.trace_id.to_bytes().to_vec(),
        span_id: link.context.span_id.to_bytes().to_vec(),
        trace_state: link.context.tracestate,
        attributes: attributes(link.attributes),
        dropped_attributes_count: 0,
        flags: flags(link.context.flags, Origin::Remote),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<OtlpKeyValue> {
    attributes
        .into_iter()
        .take(SPAN_ITEMS_MAX)
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
        Value::String(value) => any_value::Value::StringValue(cut(value.as_str())),
        Value::Array(Array::Bool(values)) => array(values.into_iter().map(Value::Bool)),
        Value::Array(Array::I64(values)) => array(values.into_iter().map(Value::I64)),
        Value::Array(Array::F64(values)) => array(values.into_iter().map(Value::F64)),
        Value::Array(Array::String(values)) => array(values.into_iter().map(Value::String)),
        // The API may learn new kinds of values; their text is better than nothing.
        other => any_value::Value::StringValue(cut(&other.to_string())),
    }
}

fn array(values: impl Iterator<Item = Value>) -> any_value::Value {
    let values =
        values.take(SPAN_ITEMS_MAX).map(|item| AnyValue { value: Some(value(item)) }).collect();
    any_value::Value::ArrayValue(ArrayValue { values })
}

/// At most [`STRING_BYTES_MAX`] bytes, cut between characters.
fn cut(text: &str) -> String {
    span::cut(text, STRING_BYTES_MAX).to_owned()
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
                .with("long", "ä".repeat(STRING_BYTES_MAX))
                .with_link(SpanLink::new(context, "creation"))
                .failed("timed_out", "took too long");
        let span = encode_span(record);
        assert_eq!(span.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!((span.parent_span_id.as_slice(), span.flags), (&[1; 8][..], 0x301));
        assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_123);
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano, "an end before the start");
        assert_eq!(span.trace_state, "a=1");
        assert_eq!(span.links.len(), 1);
        let Some(AnyValue { value: Some(any_value::Value::StringValue(long)) }) =
            &span.attributes[0].value
        else {
            panic!("not a string")
        };
        assert_eq!(long.len(), STRING_BYTES_MAX);
        assert_eq!(span.status.expect("failed").message, "took too long");
    }

    #[test]
    fn what_exceeds_the_limits_is_counted() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(parent, "").expect("valid");
        let mut record =
            SpanRecord::new(context, SpanKind::Internal, "test", UNIX_EPOCH, UNIX_EPOCH);
        record.attributes = (0..130).map(|index| KeyValue::new("key", index)).collect();
        let span = encode_span(record);
        assert_eq!((span.attributes.len(), span.dropped_attributes_count), (128, 2));
    }
}
