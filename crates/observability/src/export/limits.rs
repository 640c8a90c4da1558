//! The limits of spans and log records, kept when they enter the queue: what waits is bounded in
//! size as well as in number.

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::config::{AttributeLimits, ITEMS_DEFAULT, SpanLimits};
use crate::span::SpanRecord;

/// Cuts a span to its limits, and counts on it what was dropped.
pub(super) fn limit_span(record: &mut SpanRecord, limits: &SpanLimits) {
    let chars_max = limits.attributes.value_chars_max;
    let of = |count_max| AttributeLimits { count_max, value_chars_max: chars_max };
    let dropped = &mut record.dropped;
    dropped.attributes += limit_attributes(&mut record.attributes, &limits.attributes);
    dropped.events += limit_items(&mut record.events, limits.events_max);
    dropped.links += limit_items(&mut record.links, limits.links_max);
    let of_event = of(limits.event_attributes_max);
    let events = record.events.iter_mut();
    dropped.event_attributes =
        counts(events.map(|event| limit_attributes(&mut event.attributes, &of_event)));
    let of_link = of(limits.link_attributes_max);
    let links = record.links.iter_mut();
    dropped.link_attributes =
        counts(links.map(|link| limit_attributes(&mut link.attributes, &of_link)));
    for event in &mut record.events {
        if let Some(short) = shortened(&event.name, chars_max) {
            event.name = short.into();
        }
    }
    if let Some(short) = shortened(&record.name, chars_max) {
        record.name = short.into();
    }
    if let Status::Error { description } = &mut record.status
        && let Some(short) = shortened(description, chars_max)
    {
        *description = short.into();
    }
}

/// Cuts attributes to their limits and says how many were dropped.
pub(super) fn limit_attributes(attributes: &mut Vec<KeyValue>, limits: &AttributeLimits) -> u32 {
    let dropped = limit_items(attributes, limits.count_max);
    for attribute in attributes {
        limit_value(&mut attribute.value, limits.value_chars_max);
    }
    dropped
}

/// The beginning of `text`, of `chars_max` characters, where it is longer.
pub(super) fn shortened(text: &str, chars_max: usize) -> Option<String> {
    if text.len() <= chars_max {
        return None;
    }
    let (end, _) = text.char_indices().nth(chars_max)?;
    Some(text[..end].to_owned())
}

fn limit_items<T>(items: &mut Vec<T>, count_max: usize) -> u32 {
    let dropped = items.len().saturating_sub(count_max);
    items.truncate(count_max);
    u32::try_from(dropped).unwrap_or(u32::MAX)
}

fn limit_value(value: &mut Value, chars_max: usize) {
    match value {
        Value::String(text) => limit_text(text, chars_max),
        Value::Array(Array::String(texts)) => {
            texts.truncate(ITEMS_DEFAULT);
            texts.iter_mut().for_each(|text| limit_text(text, chars_max));
        }
        Value::Array(Array::Bool(values)) => values.truncate(ITEMS_DEFAULT),
        Value::Array(Array::I64(values)) => values.truncate(ITEMS_DEFAULT),
        Value::Array(Array::F64(values)) => values.truncate(ITEMS_DEFAULT),
        _ => {}
    }
}

fn limit_text(text: &mut StringValue, chars_max: usize) {
    if let Some(short) = shortened(text.as_str(), chars_max) {
        *text = short.into();
    }
}

fn counts(dropped: impl Iterator<Item = u32>) -> Vec<u32> {
    let counts: Vec<u32> = dropped.collect();
    if counts.iter().all(|count| *count == 0) { Vec::new() } else { counts }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::trace::SpanKind;
    use types::TraceContext;

    use super::*;
    use crate::span::{SpanEvent, SpanLink};

    fn limits(count: usize, chars: usize) -> SpanLimits {
        SpanLimits {
            attributes: AttributeLimits { count_max: count, value_chars_max: chars },
            events_max: count,
            links_max: count,
            event_attributes_max: count,
            link_attributes_max: count,
        }
    }

    fn full_span(items: usize) -> SpanRecord {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(parent, "").expect("valid");
        let mut record =
            SpanRecord::new(context.clone(), SpanKind::Internal, "äöüß", UNIX_EPOCH, UNIX_EPOCH);
        let attributes =
            || -> Vec<_> { (0..items).map(|_| KeyValue::new("k", "äöüß")).collect() };
        record.attributes = attributes();
        for _ in 0..items {
            let event =
                SpanEvent { name: "äöüß".into(), at: UNIX_EPOCH, attributes: attributes() };
            record.events.push(event);
            record.links.push(SpanLink { context: context.clone(), attributes: attributes() });
        }
        record.failed("äöüß", "äöüß")
    }

    #[test]
    fn each_kind_of_item_is_cut_and_counted_for_itself() {
        let mut record = full_span(5);
        limit_span(&mut record, &limits(3, 2));
        let dropped = record.dropped;
        // The error type is the sixth attribute.
        assert_eq!((dropped.attributes, dropped.events, dropped.links), (3, 2, 2));
        assert_eq!(dropped.event_attributes, [2, 2, 2]);
        assert_eq!(dropped.link_attributes, [2, 2, 2]);
        assert_eq!((record.attributes.len(), record.events.len(), record.links.len()), (3, 3, 3));
        assert_eq!(record.attributes[0].value, Value::from("äö"));
        assert_eq!(record.links[0].attributes[2].value, Value::from("äö"));
        assert_eq!((record.name.as_ref(), record.events[0].name.as_ref()), ("äö", "äö"));
        assert_eq!(record.status, Status::error("äö"));
    }

    #[test]
    fn what_keeps_the_limits_stays_as_it_is() {
        let mut record = full_span(5);
        let before = record.clone();
        limit_span(&mut record, &limits(6, 4));
        assert_eq!(record, before);
    }

    #[test]
    fn limits_of_nothing_leave_nothing() {
        let mut record = full_span(2);
        limit_span(&mut record, &limits(0, 0));
        let dropped = record.dropped;
        assert_eq!((dropped.attributes, dropped.events, dropped.links), (3, 2, 2));
        assert_eq!(record.name, "");
    }

    #[test]
    fn texts_and_items_of_arrays_are_cut_too() {
        let texts = vec![StringValue::from("long"); 200];
        let mut value = Value::Array(Array::String(texts));
        limit_value(&mut value, 1);
        let Value::Array(Array::String(texts)) = value else { panic!("an array") };
        assert_eq!((texts.len(), texts[0].as_str()), (ITEMS_DEFAULT, "l"));
    }
}
