//! Spans as a document: what a collector is sent, in OTLP's JSON form, for files and pipes.

use super::encode::{Item as _, resource};
use super::queue::QueuedSpan;
use crate::config::OtelConfig;
use crate::span::SpanRecord;

/// The message that would carry `spans` over OTLP/HTTP from a process so configured, as JSON: ids
/// in hex, times as text.
///
/// # Errors
/// When a value has no JSON form.
pub fn otlp_json(
    config: &OtelConfig,
    spans: Vec<SpanRecord>,
) -> serde_json::Result<serde_json::Value> {
    let limits = &config.span_limits;
    let items = spans.into_iter().map(|span| QueuedSpan::within(limits, span)).collect();
    serde_json::to_value(QueuedSpan::message(&resource(&config.resource), items))
}
