//! Spans as a document: what a collector is sent, in OTLP's JSON form, for files and pipes.

use super::encode::{Item as _, resource};
use super::limits::limit_span;
use super::wire_json;
use crate::config::OtelConfig;
use crate::span::SpanRecord;

/// The message that would carry `spans` over OTLP/HTTP from a process so configured, as JSON: ids
/// in hex, times as text.
///
/// # Errors
/// When a value has no JSON form.
pub fn otlp_json(
    config: &OtelConfig,
    mut spans: Vec<SpanRecord>,
) -> serde_json::Result<serde_json::Value> {
    spans.iter_mut().for_each(|span| limit_span(span, &config.span_limits));
    wire_json::document(&SpanRecord::message(&resource(&config.resource), spans))
}
