//! A log record on its way to a collector.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use tracing::Level;
use types::TraceContext;

/// What somebody logged.
#[derive(Debug, Clone)]
pub(crate) struct LogRecord {
    /// When.
    pub(crate) at: SystemTime,
    /// How bad it is.
    pub(crate) level: Level,
    /// The module that speaks.
    pub(crate) target: &'static str,
    /// The name of the event, where it was given one.
    pub(crate) event_name: Option<&'static str>,
    /// The sentence.
    pub(crate) body: String,
    /// Its particulars.
    pub(crate) attributes: Vec<KeyValue>,
    /// How many of them the limits dropped.
    pub(crate) dropped_attributes: u32,
    /// The span within which it was said.
    pub(crate) trace: Option<TraceContext>,
}
