//! Spans as OTLP's binary form, written straight from the records.
//!
//! The generated messages own every key, text and id of a span: to fill one and write it out takes
//! some forty allocations, which was most of the exporting thread's work. Here a span is written
//! where it lies. What is written is what the generated message would be; a test compares.

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use types::TraceContext;

use super::encode::{SCOPE, flags, schema_url, scope, span_kind};
use crate::metrics::unix_nanos;
use crate::propagation::Origin;
use crate::span::{SpanEvent, SpanLink, SpanRecord};
use crate::speaker::Speaker;

/// About what a span of ours takes.
const SPAN_BYTES_USUAL: usize = 640;

/// How a field's value is written, the low bits of its tag.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// A request to export `spans`, one block for each of whom they are of.
pub(super) fn trace_request(resource: &Resource, spans: &[SpanRecord]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(spans.len() * SPAN_BYTES_USUAL));
    // Few tell for others, and then for few.
    let mut speakers: Vec<Option<&Speaker>> = Vec::new();
    for span in spans {
        if !speakers.contains(&span.speaker.as_ref()) {
            speakers.push(span.speaker.as_ref());
        }
    }
    // The process itself first.
    speakers.sort_by_key(Option::is_some);
    for speaker in speakers {
        let own = spans.iter().filter(|span| span.speaker.as_ref() == speaker);
        out.nested(1, |out| {
            match speaker {
                None => out.message(1, resource),
                Some(speaker) => out.message(1, &speaker.resource(resource)),
            }
            out.nested(2, |out| {
                out.message(1, &scope(SCOPE));
                own.for_each(|record| out.nested(2, |out| span(out, record)));
                out.text(3, &schema_url());
            });
        });
    }
    out.0
}

fn span(out: &mut Writer, record: &SpanRecord) {
    let dropped = &record.dropped;
    out.position(&record.context);
    if let Some(parent) = record.parent_span_id {
        out.bytes(4, &parent.to_bytes());
    }
    out.text(5, &record.name);
    out.number(6, span_kind(&record.kind) as u64);
    out.fixed_64(7, unix_nanos(record.start));
    out.fixed_64(8, unix_nanos(record.end.max(record.start)));
    out.attributes(9, &record.attributes);
    out.number(10, dropped.attributes.into());
    for (index, event) in record.events.iter().enumerate() {
        let dropped = dropped.event_attributes.get(index).copied().unwrap_or(0);
        out.nested(11, |out| write_event(out, event, dropped));
    }
    out.number(12, dropped.events.into());
    for (index, link) in record.links.iter().enumerate() {
        let dropped = dropped.link_attributes.get(index).copied().unwrap_or(0);
        out.nested(13, |out| write_link(out, link, dropped));
    }
    out.number(14, dropped.links.into());
    match &record.status {
        Status::Unset => {}
        Status::Ok => out.nested(15, |out| out.number(3, StatusCode::Ok as u64)),
        Status::Error { description } => out.nested(15, |out| {
            out.text(2, description);
            out.number(3, StatusCode::Error as u64);
        }),
    }
    out.fixed_32(16, flags(record.context.flags, record.parent_origin));
}

fn write_event(out: &mut Writer, event: &SpanEvent, dropped: u32) {
    out.fixed_64(1, unix_nanos(event.at));
    out.text(2, &event.name);
    out.attributes(3, &event.attributes);
    out.number(4, dropped.into());
}

fn write_link(out: &mut Writer, link: &SpanLink, dropped: u32) {
    out.position(&link.context);
    out.attributes(4, &link.attributes);
    out.number(5, dropped.into());
    out.fixed_32(6, flags(link.context.flags, Origin::Remote));
}

/// The inside of an `AnyValue`.
fn write_value(out: &mut Writer, value: &Value) {
    match value {
        Value::Bool(value) => {
            out.tag(2, VARINT);
            out.0.push(u8::from(*value));
        }
        Value::I64(value) => {
            out.tag(3, VARINT);
            out.varint(value.cast_unsigned());
        }
        Value::F64(value) => {
            out.tag(4, FIXED_64);
            out.0.extend_from_slice(&value.to_le_bytes());
        }
        Value::String(value) => out.bytes(1, value.as_str().as_bytes()),
        Value::Array(Array::Bool(values)) => write_array(out, values.iter().copied()),
        Value::Array(Array::I64(values)) => write_array(out, values.iter().copied()),
        Value::Array(Array::F64(values)) => write_array(out, values.iter().copied()),
        Value::Array(Array::String(values)) => write_array(out, values.iter().cloned()),
        // The API may learn new kinds of values; their text is better than nothing.
        other => out.bytes(1, other.to_string().as_bytes()),
    }
}

fn write_array<T: Into<Value>>(out: &mut Writer, values: impl Iterator<Item = T>) {
    out.nested(5, |out| {
        for value in values {
            let value = value.into();
            out.nested(1, |out| write_value(out, &value));
        }
    });
}

/// Bytes to which fields are added. A field whose value is the default one is left out, unless said
/// otherwise.
struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u8, kind: u8) {
        self.varint(u64::from(field) << 3 | u64::from(kind));
    }

    fn number(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.tag(field, VARINT);
            self.varint(value);
        }
    }

    fn fixed_64(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.tag(field, FIXED_64);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn fixed_32(&mut self, field: u8, value: u32) {
        if value != 0 {
            self.tag(field, FIXED_32);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Written even where there are none.
    fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u8, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u8, message: &impl prost::Message) {
        self.nested(field, |out| message.encode_raw(&mut out.0));
    }

    /// What `write` adds, as a field of its own. Most are shorter than 128 bytes: room is left for
    /// such a length, and what needs more is moved on.
    fn nested(&mut self, field: u8, write: impl FnOnce(&mut Self)) {
        self.tag(field, BYTES);
        let at = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - at - 1;
        if let Ok(short @ ..0x80) = u8::try_from(length) {
            self.0[at] = short;
            return;
        }
        let mut long = Self(Vec::with_capacity(10));
        long.varint(length as u64);
        self.0.splice(at..=at, long.0);
    }

    /// Trace, span and `tracestate`, which spans and links have under the same numbers.
    fn position(&mut self, context: &TraceContext) {
        self.bytes(1, &context.trace_id.to_bytes());
        self.bytes(2, &context.span_id.to_bytes());
        self.text(3, &context.tracestate);
    }

    fn attributes(&mut self, field: u8, attributes: &[KeyValue]) {
        for attribute in attributes {
            self.nested(field, |out| {
                out.text(1, attribute.key.as_str());
                out.nested(2, |out| write_value(out, &attribute.value));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry::StringValue;
    use opentelemetry::trace::SpanKind;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message as _;
    use types::{NodeId, SpanId};

    use super::*;
    use crate::config::ResourceConfig;
    use crate::export::encode::{Item as _, resource};

    fn record(kind: SpanKind, tracestate: &str) -> SpanRecord {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(parent, tracestate).expect("valid");
        let start = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_123);
        SpanRecord::new(context, kind, "a span", start, start + Duration::from_secs(3))
    }

    /// Spans with everything that a span may have, of every size of length.
    fn spans() -> Vec<SpanRecord> {
        let mut plain = record(SpanKind::Internal, "");
        plain.end = UNIX_EPOCH;
        let mut full = record(SpanKind::Consumer, "a=1,b=2")
            .child_of(SpanId::new([7; 8]).expect("not zero"), Origin::Remote)
            .with("empty", "")
            .with("text", "ä".repeat(70))
            .with("long", "x".repeat(20_000))
            .with("true", true)
            .with("false", false)
            .with("zero", 0)
            .with("negative", -1)
            .with("large", i64::MAX)
            .with("double", -0.5)
            .with("bools", Value::Array(Array::Bool(vec![true, false])))
            .with("numbers", Value::Array(Array::I64(vec![7, 0, -8])))
            .with("doubles", Value::Array(Array::F64(vec![0.0, 1e300])))
            .with("texts", Value::Array(Array::String(vec![StringValue::from("a"), "".into()])))
            .with("none", Value::Array(Array::I64(Vec::new())))
            .failed("timed_out", "took too long");
        for index in 0..3 {
            let link = SpanLink::new(record(SpanKind::Internal, "c=3").context, "creation");
            full = full.with_link(link);
            let attributes = vec![KeyValue::new("index", index)];
            full.events.push(SpanEvent { name: "event".into(), at: full.start, attributes });
        }
        full.dropped.attributes = 1;
        full.dropped.events = 200;
        full.dropped.links = 3;
        full.dropped.event_attributes = vec![0, 4];
        full.dropped.link_attributes = vec![5, 0, 6];
        let mut fine = record(SpanKind::Server, "");
        fine.status = Status::Ok;
        let told = |speaker| {
            let mut told = record(SpanKind::Client, "");
            told.speaker = Some(speaker);
            told
        };
        let node = |name| Speaker::Node(NodeId::new(name).expect("a name"));
        let told = [node("n1"), Speaker::Controller, node("n1")].map(told);
        told.into_iter().chain([plain, full, fine, record(SpanKind::Producer, "")]).collect()
    }

    #[test]
    fn what_is_written_is_the_generated_message() {
        let resource = resource(&ResourceConfig::new("vmafx-test"));
        for spans in [spans(), spans()[3..].to_vec(), spans()[..1].to_vec(), Vec::new()] {
            let written = trace_request(&resource, &spans);
            let read = ExportTraceServiceRequest::decode(written.as_slice()).expect("a message");
            let message = SpanRecord::message(&resource, spans);
            assert_eq!(read, message);
            assert_eq!(written.len(), message.encoded_len(), "not longer either");
        }
    }
}
