//! Log records on their way out of the process, besides stderr.
//!
//! What the carriers of messages log never leaves, at any level: it would cause messages that
//! cause more of it. Neither does what the exporting thread says; it is on stderr.

use std::fmt;
use std::time::SystemTime;

use opentelemetry::{KeyValue, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::export::{LogRecord, LogSink, on_exporting_thread};
use crate::propagation::current_trace;

/// Crates that carry messages, with those whose names continue theirs by an underscore.
const CARRIERS: [&str; 9] = [
    "h2",
    "hyper",
    "opentelemetry",
    "reqwest",
    "rustls",
    "tokio_rustls",
    "tokio_util",
    "tonic",
    "tower",
];

/// A layer that exports what is logged. Made by [`OtelGuard::log_layer`](crate::OtelGuard::log_layer).
#[derive(Debug, Clone)]
pub struct LogLayer {
    sink: LogSink,
}

impl LogLayer {
    pub(crate) fn new(sink: LogSink) -> Self {
        Self { sink }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_carrier(metadata.target()) || on_exporting_thread() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.sink.push(LogRecord {
            at: SystemTime::now(),
            level: *metadata.level(),
            target: metadata.target(),
            event_name: event_name(metadata),
            body: fields.body,
            attributes: fields.attributes,
            dropped_attributes: 0,
            trace: current_trace(),
        });
    }
}

/// The name of an event that was given one; `tracing` makes up the others from the source line.
pub(super) fn event_name(metadata: &'static Metadata<'static>) -> Option<&'static str> {
    let name = metadata.name();
    (!name.starts_with("event ")).then_some(name)
}

fn is_carrier(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    CARRIERS.iter().any(|carrier| {
        let rest = name.strip_prefix(carrier);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    })
}

#[derive(Default)]
struct Fields {
    body: String,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        if field.name() == "message" {
            self.body = value.into().as_str().into_owned();
        } else {
            self.attributes.push(KeyValue::new(field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            // OTLP knows no larger number; its digits are better than another number.
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, super::with_causes(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_are_told_from_those_who_sound_like_them() {
        for carrier in [
            "h2::codec",
            "hyper",
            "hyper_util::client",
            "hyper_rustls::connector",
            "tonic::transport",
            "tonic_health",
            "tower::buffer",
            "tower_http",
            "rustls::client",
            "tokio_rustls",
            "opentelemetry",
            "opentelemetry_sdk::logs",
            "opentelemetry-otlp",
            "reqwest::connect",
        ] {
            assert!(is_carrier(carrier), "{carrier}");
        }
        for other in ["vmafx_node", "h2o", "towering::h2", "observability::init", "tokio::task"] {
            assert!(!is_carrier(other), "{other}");
        }
    }
}
