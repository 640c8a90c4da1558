//! Spans as a collector sees them, and whether they are whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use opentelemetry::trace::SpanKind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as OtlpSpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;
use types::{SpanId, TraceId};

/// A span that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedSpan {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its parent.
    pub parent_span_id: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// Its role.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// When it ended, in nanoseconds since 1970.
    pub end_unix_nanos: u64,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Its links.
    pub links: Vec<ReceivedLink>,
    /// Its events.
    pub events: Vec<ReceivedEvent>,
    /// How many of its attributes were dropped.
    pub dropped_attributes: u32,
    /// How many of its events were dropped.
    pub dropped_events: u32,
    /// How many of its links were dropped.
    pub dropped_links: u32,
    /// The description of its error status, where it has one.
    pub error: Option<String>,
    /// The attributes of the process that sent it.
    pub resource: BTreeMap<String, Value>,
    /// The flags of the message: W3C flags in the low byte.
    pub flags: u32,
    /// The `tracestate` of its context.
    pub trace_state: String,
}

/// A link that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedLink {
    /// The other trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// What the link means.
    pub attributes: BTreeMap<String, Value>,
    /// How many of its attributes were dropped.
    pub dropped_attributes: u32,
}

/// An event that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedEvent {
    /// What happened.
    pub name: String,
    /// Its particulars.
    pub attributes: BTreeMap<String, Value>,
    /// How many of its attributes were dropped.
    pub dropped_attributes: u32,
}

impl ReceivedSpan {
    /// The service that sent it.
    #[must_use]
    pub fn service(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    /// An attribute's text; empty where there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.attributes.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

pub(super) fn read(request: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| pairs(resource.attributes));
        let resource = resource.unwrap_or_default();
        for of_scope in of_resource.scope_spans {
            spans.extend(of_scope.spans.into_iter().filter_map(|span| convert(span, &resource)));
        }
    }
    spans
}

/// `None` for a span whose ids are not valid, which no check here could then find.
fn convert(span: Span, resource: &BTreeMap<String, Value>) -> Option<ReceivedSpan> {
    let kind = match span.kind() {
        OtlpSpanKind::Client => SpanKind::Client,
        OtlpSpanKind::Server => SpanKind::Server,
        OtlpSpanKind::Producer => SpanKind::Producer,
        OtlpSpanKind::Consumer => SpanKind::Consumer,
        OtlpSpanKind::Internal | OtlpSpanKind::Unspecified => SpanKind::Internal,
    };
    let status = span.status.filter(|status| status.code() == StatusCode::Error);
    let links = span.links.into_iter().filter_map(|link| {
        Some(ReceivedLink {
            trace_id: trace_id(&link.trace_id)?,
            span_id: span_id(&link.span_id)?,
            attributes: pairs(link.attributes),
            dropped_attributes: link.dropped_attributes_count,
        })
    });
    let events = span.events.into_iter().map(|event| ReceivedEvent {
        name: event.name,
        attributes: pairs(event.attributes),
        dropped_attributes: event.dropped_attributes_count,
    });
    Some(ReceivedSpan {
        trace_id: trace_id(&span.trace_id)?,
        span_id: span_id(&span.span_id)?,
        parent_span_id: span_id(&span.parent_span_id),
        name: span.name,
        kind,
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        attributes: pairs(span.attributes),
        links: links.collect(),
        events: events.collect(),
        dropped_attributes: span.dropped_attributes_count,
        dropped_events: span.dropped_events_count,
        dropped_links: span.dropped_links_count,
        error: status.map(|status| status.message),
        resource: resource.clone(),
        flags: span.flags,
        trace_state: span.trace_state,
    })
}

pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::new(bytes.try_into().ok()?)
}

pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::new(bytes.try_into().ok()?)
}

pub(super) fn pairs(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|pair| (pair.key, json(pair.value))).collect()
}

pub(super) fn json(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(value)) => value.into(),
        Some(any_value::Value::BoolValue(value)) => value.into(),
        Some(any_value::Value::IntValue(value)) => value.into(),
        Some(any_value::Value::DoubleValue(value)) => value.into(),
        Some(any_value::Value::ArrayValue(array)) => {
            array.values.into_iter().map(|value| json(Some(value))).collect()
        }
        _ => Value::Null,
    }
}

/// Why spans are not one whole trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeError {
    /// There is none.
    NoSpans,
    /// They belong to this many traces.
    Traces(usize),
    /// These ids occur more than once.
    Repeated(Vec<SpanId>),
    /// These have a parent that is not there.
    Orphans(Vec<String>),
    /// These have no parent; one would do.
    Roots(Vec<String>),
    /// Not every span can be reached from the root.
    Cycle,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpans => write!(f, "no spans"),
            Self::Traces(count) => write!(f, "{count} traces instead of one"),
            Self::Repeated(ids) => write!(f, "span ids that occur more than once: {ids:?}"),
            Self::Orphans(names) => write!(f, "spans whose parent is missing: {names:?}"),
            Self::Roots(names) => write!(f, "not one root but: {names:?}"),
            Self::Cycle => write!(f, "spans that cannot be reached from the root"),
        }
    }
}

impl std::error::Error for TreeError {}

/// Checks that `spans` are exactly one trace with one root and no orphan, and returns the root.
pub fn check_tree(spans: &[ReceivedSpan]) -> Result<&ReceivedSpan, TreeError> {
    let traces: HashSet<_> = spans.iter().map(|span| span.trace_id).collect();
    match traces.len() {
        0 => return Err(TreeError::NoSpans),
        1 => {}
        count => return Err(TreeError::Traces(count)),
    }
    let mut ids = HashSet::new();
    let repeated: Vec<_> =
        spans.iter().map(|span| span.span_id).filter(|id| !ids.insert(*id)).collect();
    if !repeated.is_empty() {
        return Err(TreeError::Repeated(repeated));
    }
    let is_orphan =
        |span: &&ReceivedSpan| span.parent_span_id.is_some_and(|parent| !ids.contains(&parent));
    let orphans: Vec<_> = spans.iter().filter(is_orphan).map(|span| span.name.clone()).collect();
    if !orphans.is_empty() {
        return Err(TreeError::Orphans(orphans));
    }
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_none()).collect();
    let [root] = roots[..] else {
        return Err(TreeError::Roots(roots.iter().map(|span| span.name.clone()).collect()));
    };
    if reachable(root, spans) == spans.len() { Ok(root) } else { Err(TreeError::Cycle) }
}

fn reachable(root: &ReceivedSpan, spans: &[ReceivedSpan]) -> usize {
    let mut waiting = vec![root];
    let mut count = 0;
    let children = children(spans);
    while let Some(span) = waiting.pop() {
        count += 1;
        waiting.extend(children.get(&span.span_id).into_iter().flatten());
    }
    count
}

fn children(spans: &[ReceivedSpan]) -> HashMap<SpanId, Vec<&ReceivedSpan>> {
    let mut children: HashMap<_, Vec<_>> = HashMap::new();
    for span in spans {
        if let Some(parent) = span.parent_span_id {
            children.entry(parent).or_default().push(span);
        }
    }
    children
}

/// The spans as an indented list, for the message of a failed test. Orphans count as roots.
#[must_use]
pub fn render_tree(spans: &[ReceivedSpan]) -> String {
    let mut children = children(spans);
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| std::cmp::Reverse(span.start_unix_nanos));
    }
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id).collect();
    let is_top = |span: &&ReceivedSpan| span.parent_span_id.is_none_or(|id| !ids.contains(&id));
    let mut waiting: Vec<_> = spans.iter().filter(is_top).map(|span| (span, 0)).collect();
    let mut text = String::new();
    while let Some((span, depth)) = waiting.pop() {
        let (name, service, id) = (&span.name, span.service(), span.span_id);
        let took = span.end_unix_nanos.saturating_sub(span.start_unix_nanos) / 1_000;
        let orphan = if depth == 0 && span.parent_span_id.is_some() { " ORPHAN" } else { "" };
        let line = format!("{name} [{:?}] {service} {id} {took} us{orphan}\n", span.kind);
        text.push_str(&"  ".repeat(depth));
        text.push_str(&line);
        let below = children.get(&span.span_id).into_iter().flatten();
        waiting.extend(below.map(|child| (*child, depth + 1)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u8, id: u8, parent: u8) -> ReceivedSpan {
        ReceivedSpan {
            trace_id: TraceId::new([trace; 16]).expect("not zero"),
            span_id: SpanId::new([id; 8]).expect("not zero"),
            parent_span_id: SpanId::new([parent; 8]),
            name: format!("span {id}"),
            kind: SpanKind::Internal,
            start_unix_nanos: 0,
            end_unix_nanos: 0,
            attributes: BTreeMap::new(),
            links: Vec::new(),
            events: Vec::new(),
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
            error: None,
            resource: BTreeMap::new(),
            flags: 1,
            trace_state: String::new(),
        }
    }

    #[test]
    fn only_one_whole_tree_passes() {
        let whole = [span(1, 1, 0), span(1, 2, 1), span(1, 3, 2)];
        assert_eq!(check_tree(&whole).expect("whole").name, "span 1");
        for (spans, error) in [
            (vec![], TreeError::NoSpans),
            (vec![span(1, 1, 0), span(2, 2, 1)], TreeError::Traces(2)),
            (
                vec![span(1, 1, 0), span(1, 1, 0)],
                TreeError::Repeated(vec![SpanId::new([1; 8]).expect("not zero")]),
            ),
            (vec![span(1, 1, 0), span(1, 3, 2)], TreeError::Orphans(vec!["span 3".into()])),
            (
                vec![span(1, 1, 0), span(1, 2, 0)],
                TreeError::Roots(vec!["span 1".into(), "span 2".into()]),
            ),
            (vec![span(1, 1, 2), span(1, 2, 1)], TreeError::Roots(vec![])),
            (vec![span(1, 1, 0), span(1, 2, 3), span(1, 3, 2)], TreeError::Cycle),
        ] {
            assert_eq!(check_tree(&spans), Err(error));
        }
    }
}
