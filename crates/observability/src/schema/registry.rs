//! The definitions as a registry that OpenTelemetry's own tools read: the YAML of its semantic
//! conventions, in groups.
//!
//! The registry stands on its own: attributes of the conventions are repeated in it rather than
//! imported, so that it can be read without fetching another. A list never depends on anything but
//! the definitions, so that two writings are equal byte for byte.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::attributes::{AttributeRef, Level, ValueType, attr, attribute_refs};
use super::{
    ATTRIBUTES, AttributeDef, COMMON_SPAN_ATTRIBUTES, EVENTS, INSTRUMENTS, SEMCONV_VERSION, SPANS,
    Stability,
};

/// The attributes of a process, on all it exports.
pub const RESOURCE_ATTRIBUTES: &[AttributeRef] = attribute_refs![
    attr::SERVICE_NAME,
    attr::SERVICE_VERSION = "the process tells of itself",
    attr::SERVICE_INSTANCE_ID = "the process tells of itself, or another of a node",
    attr::PROCESS_PID = "the process tells of itself",
    attr::TELEMETRY_SDK_NAME,
    attr::TELEMETRY_SDK_LANGUAGE,
    attr::TELEMETRY_SDK_VERSION
];

/// Of the resource, what identifies the process.
const IDENTIFYING: [&str; 2] = [attr::SERVICE_NAME, attr::SERVICE_INSTANCE_ID];

/// The first line of every file.
const HEAD: &str =
    "# Written by `cargo xtask schema` from crates/observability/src/schema; not by hand.\n";

/// The file by which a folder is known for a registry.
const MANIFEST: &str = "manifest.yaml";

/// A file of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFile {
    /// Its name within the registry's folder.
    pub name: &'static str,
    /// What it holds.
    pub content: String,
}

/// Writes the registry.
#[must_use]
pub fn registry_files() -> Vec<RegistryFile> {
    let file = |name, content| RegistryFile { name, content };
    vec![
        file(MANIFEST, manifest()),
        file("attributes.yaml", attributes()),
        file("resource.yaml", resource()),
        file("spans.yaml", spans()),
        file("metrics.yaml", metrics()),
        file("events.yaml", events()),
    ]
}

/// A text as YAML: the quotes and escapes of JSON are valid there too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Lines, each at its depth.
struct Yaml(String);

impl Yaml {
    fn groups() -> Self {
        Self(format!("{HEAD}groups:\n"))
    }

    /// Writes one line, indented by two blanks for each level.
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "", indent = 2 * depth);
    }

    /// Begins a group.
    fn group(&mut self, id: &str, kind: &str, brief: &str) {
        self.line(1, &format!("- id: {id}"));
        self.line(2, &format!("type: {kind}"));
        self.line(2, &format!("brief: {}", quoted(brief)));
    }

    fn stability(&mut self, depth: usize, stability: Stability) {
        self.line(depth, &format!("stability: {}", stability.as_str()));
    }

    /// The attributes of a group, by reference.
    fn refs<'a>(&mut self, refs: impl IntoIterator<Item = &'a AttributeRef>) {
        let mut refs = refs.into_iter().peekable();
        if refs.peek().is_none() {
            return;
        }
        self.line(2, "attributes:");
        for attribute in refs {
            self.attribute(attribute);
        }
    }

    fn attribute(&mut self, attribute: &AttributeRef) {
        self.line(3, &format!("- ref: {}", attribute.key));
        match attribute.level {
            Level::Required => self.line(4, "requirement_level: required"),
            Level::When(condition) => {
                self.line(4, "requirement_level:");
                self.line(5, &format!("conditionally_required: {}", quoted(condition)));
            }
        }
    }
}

fn manifest() -> String {
    let version = env!("CARGO_PKG_VERSION");
    // The address names the registry and is not meant to be called: `.invalid` resolves nowhere.
    format!(
        "{HEAD}schema_url: https://vmafx.invalid/schemas/{version}\n\
         description: {}\n\
         stability: development\n",
        quoted(&format!(
            "The telemetry of VMAFX: every span, metric, log event and attribute. Names follow \
             OpenTelemetry's semantic conventions {SEMCONV_VERSION}; vmafx.* is our own."
        ))
    )
}

fn attributes() -> String {
    let mut by_namespace: BTreeMap<&str, Vec<&AttributeDef>> = BTreeMap::new();
    for def in ATTRIBUTES {
        let namespace = def.key.split('.').next().unwrap_or(def.key);
        by_namespace.entry(namespace).or_default().push(def);
    }
    let mut yaml = Yaml::groups();
    for (namespace, mut defs) in by_namespace {
        defs.sort_unstable_by_key(|def| def.key);
        let brief = format!("Attributes of the namespace `{namespace}`.");
        yaml.group(&format!("registry.{namespace}"), "attribute_group", &brief);
        yaml.line(2, "attributes:");
        defs.into_iter().for_each(|def| attribute(&mut yaml, def));
    }
    yaml.0
}

fn attribute(yaml: &mut Yaml, def: &AttributeDef) {
    yaml.line(3, &format!("- id: {}", def.key));
    let list = |items: Vec<String>| format!("examples: [{}]", items.join(", "));
    let examples = match def.value {
        ValueType::OneOf(members) => {
            yaml.line(4, "type:");
            yaml.line(5, "members:");
            for value in members {
                let id: String = value.chars().map(member_char).collect();
                yaml.line(6, &format!("- id: {}", id.trim_matches('_')));
                yaml.line(7, &format!("value: {}", quoted(value)));
                yaml.stability(7, def.stability());
            }
            None
        }
        ValueType::Text(examples) => Some(list(examples.iter().map(|text| quoted(text)).collect())),
        ValueType::Int(examples) => Some(list(examples.iter().map(i64::to_string).collect())),
        // As Debug, so that a whole number stays a double.
        ValueType::Double(examples) => {
            Some(list(examples.iter().map(|number| format!("{number:?}")).collect()))
        }
        ValueType::DoubleBy(_) => None,
    };
    if !matches!(def.value, ValueType::OneOf(_)) {
        yaml.line(4, &format!("type: {}", def.value.as_str()));
    }
    yaml.stability(4, def.stability());
    yaml.line(4, &format!("brief: {}", quoted(def.description)));
    if let Some(examples) = examples {
        yaml.line(4, &examples);
    }
}

fn member_char(from: char) -> char {
    if from.is_ascii_alphanumeric() { from.to_ascii_lowercase() } else { '_' }
}

fn resource() -> String {
    let mut yaml = Yaml::groups();
    yaml.group("entity.service", "entity", "A process of ours, on all it exports.");
    yaml.line(2, "name: service");
    yaml.stability(2, Stability::Development);
    yaml.line(2, "attributes:");
    for attribute in RESOURCE_ATTRIBUTES {
        yaml.attribute(attribute);
        let identifies = IDENTIFYING.contains(&attribute.key);
        yaml.line(4, if identifies { "role: identifying" } else { "role: descriptive" });
    }
    yaml.0
}

fn spans() -> String {
    let mut yaml = Yaml::groups();
    for def in SPANS {
        yaml.group(&format!("span.vmafx.{}", def.id), "span", def.description);
        yaml.line(
            2,
            &format!(
                "note: {}",
                quoted(&format!("Named `{}`; written by: {}.", def.name, def.emitter))
            ),
        );
        yaml.stability(2, Stability::of(if def.name.starts_with('{') { def.id } else { "vmafx." }));
        yaml.line(2, &format!("span_kind: {}", def.kind.to_ascii_lowercase()));
        let own = |common: &&AttributeRef| {
            def.attributes.iter().all(|attribute| attribute.key != common.key)
        };
        yaml.refs(def.attributes.iter().chain(COMMON_SPAN_ATTRIBUTES.iter().filter(own)));
    }
    yaml.0
}

fn metrics() -> String {
    let mut yaml = Yaml::groups();
    for def in INSTRUMENTS {
        yaml.group(&format!("metric.{}", def.name), "metric", def.description);
        yaml.line(2, &format!("metric_name: {}", def.name));
        yaml.stability(2, def.stability());
        yaml.line(2, &format!("instrument: {}", def.kind.as_str()));
        yaml.line(2, &format!("unit: {}", quoted(def.unit)));
        yaml.refs(def.labels);
    }
    yaml.0
}

fn events() -> String {
    let mut yaml = Yaml::groups();
    for def in EVENTS {
        yaml.group(&format!("event.{}", def.name), "event", def.description);
        yaml.line(2, &format!("name: {}", def.name));
        yaml.stability(2, Stability::of(def.name));
        yaml.line(2, &format!("note: {}", quoted(&format!("Written by: {}.", def.emitter))));
        yaml.refs(def.attributes);
    }
    yaml.0
}
