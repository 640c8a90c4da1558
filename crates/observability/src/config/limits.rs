//! How much a span or a log record may hold: `OTEL_*_COUNT_LIMIT`, `OTEL_*_VALUE_LENGTH_LIMIT`.

use super::Env;

/// Attributes, events and links kept, each for itself, unless configured otherwise.
pub const ITEMS_DEFAULT: usize = crate::span::SPAN_ITEMS_MAX;
/// The most of them that can be configured.
pub const ITEMS_MAX: usize = 10_000;
/// Characters kept of a text unless configured otherwise. The specification would keep all, and
/// an error text or a path could then blow up a message.
pub const VALUE_CHARS_DEFAULT: usize = 4_096;
/// The most characters that can be configured.
pub const VALUE_CHARS_MAX: usize = 1 << 20;

/// What attributes may amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Attributes beyond this number are dropped and counted on the item.
    pub count_max: usize,
    /// Texts, alone or in arrays, are cut to this many characters.
    pub value_chars_max: usize,
}

impl Default for AttributeLimits {
    fn default() -> Self {
        Self { count_max: ITEMS_DEFAULT, value_chars_max: VALUE_CHARS_DEFAULT }
    }
}

/// What a span may hold. The rest is dropped, and counted on the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanLimits {
    /// The span's own attributes, and the length of every text in it.
    pub attributes: AttributeLimits,
    /// Its events. `OTEL_SPAN_EVENT_COUNT_LIMIT`.
    pub events_max: usize,
    /// Its links. `OTEL_SPAN_LINK_COUNT_LIMIT`.
    pub links_max: usize,
    /// Attributes of an event. `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`.
    pub event_attributes_max: usize,
    /// Attributes of a link. `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`.
    pub link_attributes_max: usize,
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self {
            attributes: AttributeLimits::default(),
            events_max: ITEMS_DEFAULT,
            links_max: ITEMS_DEFAULT,
            event_attributes_max: ITEMS_DEFAULT,
            link_attributes_max: ITEMS_DEFAULT,
        }
    }
}

/// Reads the limits of spans and of log records. What is set for one of them goes before what is
/// set for all.
pub(super) fn read(env: &mut Env<'_>) -> (SpanLimits, AttributeLimits) {
    let general = AttributeLimits {
        count_max: count(env, "OTEL_ATTRIBUTE_COUNT_LIMIT", ITEMS_DEFAULT),
        value_chars_max: length(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", VALUE_CHARS_DEFAULT),
    };
    let of_spans = AttributeLimits {
        count_max: count(env, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", general.count_max),
        value_chars_max: length(
            env,
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            general.value_chars_max,
        ),
    };
    let spans = SpanLimits {
        attributes: of_spans,
        events_max: count(env, "OTEL_SPAN_EVENT_COUNT_LIMIT", ITEMS_DEFAULT),
        links_max: count(env, "OTEL_SPAN_LINK_COUNT_LIMIT", ITEMS_DEFAULT),
        event_attributes_max: count(env, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", general.count_max),
        link_attributes_max: count(env, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", general.count_max),
    };
    let logs = AttributeLimits {
        count_max: count(env, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", general.count_max),
        value_chars_max: length(
            env,
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            general.value_chars_max,
        ),
    };
    (spans, logs)
}

fn count(env: &mut Env<'_>, name: &str, default: usize) -> usize {
    env.count(name, 0..=ITEMS_MAX).unwrap_or(default)
}

fn length(env: &mut Env<'_>, name: &str, default: usize) -> usize {
    env.count(name, 0..=VALUE_CHARS_MAX).unwrap_or(default)
}
