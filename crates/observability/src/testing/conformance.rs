//! Whether what is emitted is what is declared, in both directions.
//!
//! Show [`Emitted`] everything that a collector received and a scrape returned. It knows then what
//! was emitted and is not declared, or otherwise than declared, and what is declared and was never
//! seen.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry::trace::SpanKind;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use serde_json::Value;

use super::logs::ReceivedLog;
use super::receiver::ReceivedMetrics;
use super::spans::{ReceivedSpan, pairs};
use crate::metrics::prometheus_name;
use crate::schema::{
    ATTRIBUTES, AttributeDef, AttributeRef, COMMON_SPAN_ATTRIBUTES, EVENTS, INSTRUMENTS,
    InstrumentDef, InstrumentKind, Level, RESOURCE_ATTRIBUTES, SPANS, SpanDef, ValueType, attr,
};

type Keys = BTreeSet<&'static str>;
type Attributes = BTreeMap<String, Value>;

/// What has been emitted so far.
#[derive(Debug, Default)]
pub struct Emitted {
    /// Keys seen by the name and kind of a declared span.
    spans: BTreeMap<(&'static str, &'static str), Keys>,
    /// Labels seen by declared instrument.
    pushed: BTreeMap<&'static str, Keys>,
    scraped: BTreeSet<String>,
    events: BTreeMap<&'static str, Keys>,
    keys: Keys,
    exemplars: u64,
    breaks: BTreeSet<String>,
}

impl Emitted {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a span.
    pub fn span(&mut self, span: &ReceivedSpan) {
        let kind = kind_name(&span.kind);
        self.resource(&span.resource);
        if !span.events.is_empty() {
            self.breaks.insert(format!("span {:?} has events {:?}", span.name, span.events));
        }
        for link in &span.links {
            self.check(&format!("a link of span {:?}", span.name), &link.attributes, &[&LINK]);
        }
        let matches =
            |def: &&SpanDef| def.kind == kind && expand(def.name, &span.attributes) == span.name;
        let Some(def) = SPANS.iter().find(matches) else {
            self.breaks.insert(format!("span {:?} of kind {kind} is not declared", span.name));
            return;
        };
        let what = format!("span {:?} of kind {kind}", def.name);
        let known = self.check(&what, &span.attributes, &[def.attributes, COMMON_SPAN_ATTRIBUTES]);
        self.spans.entry((def.name, def.kind)).or_default().extend(known);
    }

    /// Takes the metrics of a process.
    pub fn metrics(&mut self, received: &ReceivedMetrics) {
        self.resource(&received.resource);
        for metric in &received.metrics {
            let Some(def) = InstrumentDef::of(&metric.name) else {
                self.breaks.insert(format!("metric {} is not declared", metric.name));
                continue;
            };
            if metric.unit != def.unit || metric.description != def.description {
                self.breaks.insert(format!("metric {} has another unit or description", def.name));
            }
            self.points(def, metric);
        }
    }

    fn points(&mut self, def: &InstrumentDef, metric: &Metric) {
        let (kind, labels): (_, Vec<&[KeyValue]>) = match &metric.data {
            Some(metric::Data::Gauge(gauge)) => {
                let labels = gauge.data_points.iter().map(|point| &point.attributes[..]);
                (InstrumentKind::Gauge, labels.collect())
            }
            Some(metric::Data::Sum(sum)) => {
                let labels = sum.data_points.iter().map(|point| &point.attributes[..]).collect();
                let kind = if sum.is_monotonic {
                    InstrumentKind::Counter
                } else {
                    InstrumentKind::UpDownCounter
                };
                (kind, labels)
            }
            Some(metric::Data::Histogram(histogram)) => {
                for point in &histogram.data_points {
                    self.exemplars += point.exemplars.len() as u64;
                    if point.explicit_bounds != def.buckets {
                        self.breaks.insert(format!("metric {} has other buckets", def.name));
                    }
                }
                let labels = histogram.data_points.iter().map(|point| &point.attributes[..]);
                (InstrumentKind::Histogram, labels.collect())
            }
            other => {
                self.breaks.insert(format!("metric {} is sent as {other:?}", def.name));
                return;
            }
        };
        if kind != def.kind {
            self.breaks.insert(format!("metric {} is sent as a {}", def.name, kind.as_str()));
        }
        for point in labels {
            let known =
                self.check(&format!("metric {}", def.name), &pairs(point.to_vec()), &[def.labels]);
            self.pushed.entry(def.name).or_default().extend(known);
        }
    }

    /// Takes a log record. Those without a name of their own are no events.
    pub fn log(&mut self, log: &ReceivedLog) {
        self.resource(&log.resource);
        if log.event_name.is_empty() {
            return;
        }
        let Some(def) = EVENTS.iter().find(|def| def.name == log.event_name) else {
            self.breaks.insert(format!("event {} is not declared", log.event_name));
            return;
        };
        let known = self.check(&format!("event {}", def.name), &log.attributes, &[def.attributes]);
        self.events.entry(def.name).or_default().extend(known);
    }

    /// Takes what `/metrics` returned, in the plain text form.
    pub fn scrape(&mut self, text: &str) {
        for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let Some((name, kind)) = family.split_once(' ') else { continue };
            let Some(def) = INSTRUMENTS.iter().find(|def| prometheus_name(def) == name) else {
                self.breaks.insert(format!("{name} at /metrics is not declared"));
                continue;
            };
            let declared = match def.kind {
                InstrumentKind::UpDownCounter => InstrumentKind::Gauge,
                kind => kind,
            };
            if declared.as_str() != kind {
                self.breaks.insert(format!("{name} at /metrics is a {kind}"));
            }
            self.scraped.insert(def.name.to_owned());
        }
    }

    fn resource(&mut self, resource: &Attributes) {
        self.check("the resource", resource, &[RESOURCE_ATTRIBUTES]);
    }

    /// Holds attributes to what is declared of them; returns those that are declared there.
    fn check(&mut self, what: &str, attributes: &Attributes, declared: &[&[AttributeRef]]) -> Keys {
        let declared: Vec<&AttributeRef> = declared.iter().copied().flatten().collect();
        let mut known = Keys::new();
        for (key, value) in attributes {
            let Some(def) = AttributeDef::of(key) else {
                self.breaks.insert(format!("{what} has {key}, which is not declared"));
                continue;
            };
            if !declared.iter().any(|attribute| attribute.key == def.key) {
                self.breaks.insert(format!("{what} has {key}, which is not declared there"));
            }
            if !fits(def.value, value) {
                let is = def.value.as_str();
                self.breaks.insert(format!("{what} has {key}={value}, which is no {is} of it"));
            }
            known.insert(def.key);
        }
        for attribute in declared.iter().filter(|attribute| attribute.level == Level::Required) {
            if !known.contains(attribute.key) {
                self.breaks.insert(format!("{what} lacks {}", attribute.key));
            }
        }
        self.keys.extend(known.iter().copied());
        known
    }

    /// How many exemplars came with metrics.
    #[must_use]
    pub const fn exemplars(&self) -> u64 {
        self.exemplars
    }

    /// What was emitted though it is not declared, or otherwise than declared.
    #[must_use]
    pub fn undeclared(&self) -> Vec<String> {
        self.breaks.iter().cloned().collect()
    }

    /// What is declared and was never seen: a name, or an attribute in its place.
    #[must_use]
    pub fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        for def in SPANS {
            let what = format!("span {:?} of kind {}", def.name, def.kind);
            report(&mut unseen, &what, self.spans.get(&(def.name, def.kind)), def.attributes);
        }
        for def in INSTRUMENTS {
            let what = format!("metric {}", def.name);
            report(&mut unseen, &what, self.pushed.get(def.name), def.labels);
            if !self.scraped.contains(def.name) {
                unseen.push(format!("{} at /metrics", prometheus_name(def)));
            }
        }
        for def in EVENTS {
            let what = format!("event {}", def.name);
            report(&mut unseen, &what, self.events.get(def.name), def.attributes);
        }
        let keys = ATTRIBUTES.iter().map(|def| def.key).filter(|key| !self.keys.contains(key));
        unseen.extend(keys.map(|key| format!("attribute {key}")));
        unseen
    }
}

/// What a link says.
const LINK: [AttributeRef; 1] = [AttributeRef { key: attr::LINK, level: Level::Required }];

fn report(unseen: &mut Vec<String>, what: &str, seen: Option<&Keys>, declared: &[AttributeRef]) {
    let Some(seen) = seen else {
        unseen.push(what.to_owned());
        return;
    };
    let missing = declared.iter().filter(|attribute| !seen.contains(attribute.key));
    unseen.extend(missing.map(|attribute| format!("{} on {what}", attribute.key)));
}

const fn kind_name(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
        SpanKind::Internal => "INTERNAL",
    }
}

/// A span's name from its pattern: each `{key}` becomes the attribute, one that is not there
/// nothing.
fn expand(pattern: &str, attributes: &Attributes) -> String {
    let mut name = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let (key, behind) = after.split_once('}').unwrap_or((after, ""));
        let value = attributes.get(key).and_then(Value::as_str).unwrap_or_default();
        // The conventions' name for a method that is not known.
        let unknown = key == attr::HTTP_REQUEST_METHOD && value == "_OTHER";
        name.push_str(if unknown { "HTTP" } else { value });
        rest = behind;
    }
    name.push_str(rest);
    name.trim().to_owned()
}

fn fits(declared: ValueType, value: &Value) -> bool {
    match declared {
        ValueType::Text(_) => value.is_string(),
        ValueType::Int(_) => value.is_i64(),
        ValueType::Double(_) | ValueType::DoubleBy(_) => value.is_f64(),
        ValueType::OneOf(members) => value.as_str().is_some_and(|text| members.contains(&text)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_made_of_their_attributes() {
        let attributes: Attributes = serde_json::from_value(
            json!({"http.request.method": "GET", "http.route": "/v1/jobs/{id}"}),
        )
        .expect("a map");
        let pattern = "{http.request.method} {http.route}";
        assert_eq!(expand(pattern, &attributes), "GET /v1/jobs/{id}");
        assert_eq!(expand(pattern, &Attributes::new()), "");
        assert_eq!(expand("wait", &attributes), "wait");
        let unknown = Attributes::from([(attr::HTTP_REQUEST_METHOD.to_owned(), "_OTHER".into())]);
        assert_eq!(expand(pattern, &unknown), "HTTP");
    }

    #[test]
    fn a_wrong_type_a_stray_value_and_a_missing_attribute_are_breaks() {
        let mut emitted = Emitted::new();
        let attributes: Attributes = serde_json::from_value(json!({
            "vmafx.width": "1920", "vmafx.stage": "cooking", "vmafx.made_up": 1,
            "vmafx.feature_seconds.vif": 0.5, "vmafx.node.id": "a",
        }))
        .expect("a map");
        let declared = [
            AttributeRef { key: attr::WIDTH, level: Level::Required },
            AttributeRef { key: attr::HEIGHT, level: Level::Required },
            AttributeRef { key: attr::STAGE, level: Level::Required },
            AttributeRef { key: attr::FEATURE_SECONDS, level: Level::When("always") },
        ];
        emitted.check("it", &attributes, &[&declared]);
        assert_eq!(
            emitted.undeclared(),
            [
                "it has vmafx.made_up, which is not declared",
                "it has vmafx.node.id, which is not declared there",
                "it has vmafx.stage=\"cooking\", which is no enum of it",
                "it has vmafx.width=\"1920\", which is no int of it",
                "it lacks vmafx.height",
            ]
        );
    }

    #[test]
    fn before_anything_is_emitted_everything_is_unseen() {
        let unseen = Emitted::new().unseen();
        let names = SPANS.len() + 2 * INSTRUMENTS.len() + EVENTS.len() + ATTRIBUTES.len();
        assert_eq!(unseen.len(), names);
    }
}
