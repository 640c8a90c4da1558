//! The way of telemetry out of the process: a bounded queue, one thread, one collector a signal.
//!
//! Everything that talks to a collector runs on one thread of its own with its own runtime: the
//! program's runtime never waits for it, whatever transport is used and however the program ends,
//! and nothing that the transports log there reaches the logs, so that telemetry never feeds
//! itself. Whoever ends a span pays for a push into a queue; a full queue drops and counts.

mod console;
mod encode;
mod json;
mod limits;
mod protobuf;
mod queue;
mod record;
mod retry;
mod send;
mod tls;
mod transport;
mod wire_json;
mod worker;

#[cfg(feature = "testing")]
pub use encode::encoded_spans;
pub use json::otlp_json;
pub use queue::DeliveryError;
pub(crate) use queue::{LogSink, SpanSink};
pub(crate) use record::LogRecord;
pub(crate) use send::Route;
pub(crate) use tls::client_config;
pub(crate) use worker::{Pipeline, PipelineConfig, on_exporting_thread};
