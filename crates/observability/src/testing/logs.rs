//! Log records as a collector sees them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::Value;
use types::{SpanId, TraceId};

use super::spans::{json, pairs, span_id, trace_id};

/// A log record that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedLog {
    /// When it was said, in nanoseconds since 1970.
    pub unix_nanos: u64,
    /// When it was noticed, in nanoseconds since 1970.
    pub observed_unix_nanos: u64,
    /// How bad it is, as a number: 9 is `INFO`.
    pub severity: i32,
    /// How bad it is, as a word.
    pub severity_text: String,
    /// Who said it: the name of the scope.
    pub target: String,
    /// The name of the event; empty where it has none.
    pub event_name: String,
    /// The sentence.
    pub body: Value,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// How many attributes were dropped.
    pub dropped_attributes: u32,
    /// The trace within which it was said.
    pub trace_id: Option<TraceId>,
    /// The span within which it was said.
    pub span_id: Option<SpanId>,
    /// The W3C flags of that span.
    pub flags: u32,
    /// The attributes of the process that sent it.
    pub resource: BTreeMap<String, Value>,
}

pub(super) fn read_logs(request: ExportLogsServiceRequest) -> Vec<ReceivedLog> {
    let mut logs = Vec::new();
    for of_resource in request.resource_logs {
        let resource = of_resource.resource.map(|resource| pairs(resource.attributes));
        let resource = resource.unwrap_or_default();
        for of_scope in of_resource.scope_logs {
            let target = of_scope.scope.map(|scope| scope.name).unwrap_or_default();
            let records = of_scope.log_records.into_iter();
            logs.extend(records.map(|record| convert(record, &target, &resource)));
        }
    }
    logs
}

fn convert(record: LogRecord, target: &str, resource: &BTreeMap<String, Value>) -> ReceivedLog {
    ReceivedLog {
        unix_nanos: record.time_unix_nano,
        observed_unix_nanos: record.observed_time_unix_nano,
        severity: record.severity_number,
        severity_text: record.severity_text,
        target: target.to_owned(),
        event_name: record.event_name,
        body: json(record.body),
        attributes: pairs(record.attributes),
        dropped_attributes: record.dropped_attributes_count,
        trace_id: trace_id(&record.trace_id),
        span_id: span_id(&record.span_id),
        flags: record.flags,
        resource: resource.clone(),
    }
}
