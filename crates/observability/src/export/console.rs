//! The exporter `console`: one OTLP/JSON line for each span, metric or log record, on stderr.
//!
//! Standard output belongs to the programs: scores, tables and the protocol of the tool server are
//! written there. Each line is a whole message in the form of OpenTelemetry's file exporter, so
//! that the lines, taken out of the log, can be fed to a collector.

use std::io::{self, Write as _};

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::encode::Item;
use super::wire_json;

/// Writes `items`, a line each, in one piece.
pub(super) fn write<T: Item>(resource: &Resource, items: &[T]) -> io::Result<()> {
    let lines = lines(resource, items)?;
    let mut stderr = io::stderr().lock();
    stderr.write_all(&lines)?;
    stderr.flush()
}

fn lines<T: Item>(resource: &Resource, items: &[T]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for item in items {
        lines.extend(wire_json::encode(&T::message(resource, vec![item.clone()]))?);
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::KeyValue;
    use serde_json::Value;
    use tracing::Level;
    use types::TraceContext;

    use super::*;
    use crate::export::record::LogRecord;

    #[test]
    fn each_item_is_a_line_that_a_collector_can_read() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let record = |body: &str| LogRecord {
            at: UNIX_EPOCH,
            level: Level::INFO,
            target: "vmafx",
            event_name: None,
            body: body.to_owned(),
            attributes: vec![KeyValue::new("frames", i64::MAX)],
            dropped_attributes: 0,
            trace: TraceContext::parse(parent, ""),
        };
        let bytes =
            lines(&Resource::default(), &[record("one\nline"), record("two")]).expect("JSON");
        let text = String::from_utf8(bytes).expect("text");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert!(!text.contains("null"), "{text}");
        let first = &lines[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(first["body"]["stringValue"], "one\nline");
        assert_eq!(first["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(first["attributes"][0]["value"]["intValue"], i64::MAX.to_string());
    }
}
