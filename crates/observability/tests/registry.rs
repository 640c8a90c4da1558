//! The registry is what OpenTelemetry's tools take for one: its YAML parses, its names are
//! well-formed and unique, every reference leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use observability::schema::{self, InstrumentKind, ValueType, registry_files};
use serde_json::Value;

const TYPES: [&str; 4] = ["string", "int", "double", "template[double]"];
const STABILITIES: [&str; 3] = ["development", "release_candidate", "stable"];
const SPAN_KINDS: [&str; 5] = ["client", "server", "producer", "consumer", "internal"];
const INSTRUMENTS: [&str; 4] = ["counter", "updowncounter", "gauge", "histogram"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/development/registry")
}

/// Every group of every file.
fn groups() -> Vec<Value> {
    let files = registry_files();
    let files = files.iter().filter(|file| file.name != "manifest.yaml");
    let groups = files.flat_map(|file| {
        let parsed: Value = serde_saphyr::from_str(&file.content)
            .unwrap_or_else(|error| panic!("{}: {error}", file.name));
        let keys: Vec<_> = parsed.as_object().expect("a map").keys().cloned().collect();
        assert_eq!(keys, ["groups"], "{}", file.name);
        parsed["groups"].as_array().expect("a list").clone()
    });
    groups.collect()
}

fn text<'a>(group: &'a Value, key: &str) -> &'a str {
    let found = group[key].as_str().filter(|text| !text.is_empty());
    found.unwrap_or_else(|| panic!("{key} is missing in {group:#}"))
}

/// Parts of lower-case letters, digits and underscores, beginning with a letter, joined by dots.
fn is_well_formed(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !part.ends_with('_')
    })
}

fn attributes(group: &Value) -> &[Value] {
    group["attributes"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn the_files_in_the_documentation_are_what_the_schema_says() {
    let mut expected = BTreeSet::new();
    for file in registry_files() {
        let written = std::fs::read_to_string(folder().join(file.name)).unwrap_or_default();
        assert!(written == file.content, "{} is out of date: run `cargo xtask schema`", file.name);
        expected.insert(file.name.to_owned());
    }
    let there = std::fs::read_dir(folder()).expect("the folder");
    let there: BTreeSet<_> = there
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(there, expected);
}

#[test]
fn the_manifest_names_the_registry_and_its_version() {
    let file = registry_files().into_iter().find(|file| file.name == "manifest.yaml");
    let manifest: Value =
        serde_saphyr::from_str(&file.expect("a manifest").content).expect("valid YAML");
    let keys: BTreeSet<_> =
        manifest.as_object().expect("a map").keys().map(String::as_str).collect();
    // `name`, `semconv_version` and `schema_base_url` are of an older form, of which the tools warn.
    assert_eq!(keys, BTreeSet::from(["description", "schema_url", "stability"]));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&manifest, "schema_url"), format!("https://vmafx.invalid/schemas/{version}"));
    assert!(STABILITIES.contains(&text(&manifest, "stability")));
}

/// The schema that OpenTelemetry's tools publish of such files.
fn published_schema() -> Value {
    serde_json::from_str(include_str!("semconv-schema/semconv.schema.json")).expect("JSON")
}

/// What the published schema says of a file, or of one group where `definition` names what it is to be.
fn complaints(value: &Value, definition: Option<&str>) -> Vec<String> {
    let mut schema = published_schema();
    if let Some(definition) = definition {
        let definitions = schema["$defs"].take();
        let reference = format!("#/$defs/{definition}");
        schema = serde_json::json!({ "$defs": definitions, "$ref": reference });
    }
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    validator.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect()
}

/// What the schema calls a group of this type. A file is held to any of them, so that a metric passes
/// there that is none by its own definition.
fn definition_of(kind: &str) -> &'static str {
    match kind {
        "attribute_group" => "SemanticConvention",
        "span" => "SpanSemanticConvention",
        "metric" => "MetricSemanticConvention",
        "event" => "EventSemanticConvention",
        "entity" => "EntitySemanticConvention",
        other => panic!("{other} is no type of group"),
    }
}

#[test]
fn the_registry_is_valid_by_the_schema_that_opentelemetrys_tools_publish() {
    for file in registry_files().iter().filter(|file| file.name != "manifest.yaml") {
        let parsed: Value = serde_saphyr::from_str(&file.content).expect("valid YAML");
        assert_eq!(complaints(&parsed, None), Vec::<String>::new(), "{}", file.name);
    }
    let mut kinds = BTreeSet::new();
    for group in groups() {
        let kind = text(&group, "type");
        let found = complaints(&group, Some(definition_of(kind)));
        assert!(found.is_empty(), "{}: {found:?}", group["id"]);
        kinds.insert(kind.to_owned());
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn that_schema_refuses_what_is_wrong_in_a_registry() {
    type Spoil = fn(&mut Value);
    let cases: [(&str, Spoil); 8] = [
        ("span", |group| group["span_kind"] = "servant".into()),
        ("span", |group| drop(group.as_object_mut().expect("a map").remove("stability"))),
        ("metric", |group| group["instrument"] = "gage".into()),
        ("metric", |group| drop(group.as_object_mut().expect("a map").remove("unit"))),
        ("event", |group| drop(group.as_object_mut().expect("a map").remove("name"))),
        ("entity", |group| drop(group.as_object_mut().expect("a map").remove("brief"))),
        ("attribute_group", |group| group["attributes"][0]["type"] = "text".into()),
        ("span", |group| group["attributes"][0]["requirement_level"] = "always".into()),
    ];
    for (kind, spoil) in cases {
        let mut group = groups().into_iter().find(|group| group["type"] == kind).expect("one");
        spoil(&mut group);
        assert!(!complaints(&group, Some(definition_of(kind))).is_empty(), "{group:#}");
    }
}

#[test]
fn every_group_has_what_its_type_needs_and_an_id_of_its_own() {
    let groups = groups();
    let mut ids = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &groups {
        let (id, kind) = (text(group, "id"), text(group, "type"));
        assert!(is_well_formed(id), "{id}");
        assert!(ids.insert(id), "{id} occurs twice");
        text(group, "brief");
        *counts.entry(kind).or_default() += 1;
        if kind != "attribute_group" {
            assert!(STABILITIES.contains(&text(group, "stability")), "{id}");
        }
        match kind {
            "attribute_group" => assert!(!attributes(group).is_empty(), "{id}"),
            "span" => assert!(SPAN_KINDS.contains(&text(group, "span_kind")), "{id}"),
            "metric" => {
                assert!(INSTRUMENTS.contains(&text(group, "instrument")), "{id}");
                assert_eq!(id, format!("metric.{}", text(group, "metric_name")));
                text(group, "unit");
            }
            "event" => assert_eq!(id, format!("event.{}", text(group, "name"))),
            "entity" => {
                let roles: BTreeSet<_> =
                    attributes(group).iter().map(|attribute| text(attribute, "role")).collect();
                assert_eq!(roles, BTreeSet::from(["descriptive", "identifying"]));
            }
            other => panic!("{other} is no type of group"),
        }
    }
    assert_eq!(counts["span"], schema::SPANS.len());
    assert_eq!(counts["metric"], schema::INSTRUMENTS.len());
    assert_eq!(counts["event"], schema::EVENTS.len());
}

#[test]
fn every_attribute_is_defined_once_with_a_type_and_every_reference_leads_to_one() {
    let groups = groups();
    let mut defined = BTreeSet::new();
    let of_kind =
        |group: &&Value, registry: bool| (text(group, "type") == "attribute_group") == registry;
    for attribute in groups.iter().filter(|group| of_kind(group, true)).flat_map(attributes) {
        let id = text(attribute, "id");
        assert!(is_well_formed(id) && id.contains('.'), "{id} has no namespace");
        assert!(defined.insert(id), "{id} occurs twice");
        text(attribute, "brief");
        assert!(STABILITIES.contains(&text(attribute, "stability")), "{id}");
        if let Some(members) = attribute["type"]["members"].as_array() {
            let ids: BTreeSet<_> = members.iter().map(|member| text(member, "id")).collect();
            assert_eq!(ids.len(), members.len(), "{id}");
            assert!(ids.iter().all(|id| is_well_formed(id)), "{ids:?}");
            members.iter().for_each(|member| {
                text(member, "value");
                text(member, "stability");
            });
            continue;
        }
        let kind = text(attribute, "type");
        assert!(TYPES.contains(&kind), "{id}");
        let examples = attribute["examples"].as_array().map_or(&[][..], Vec::as_slice);
        let fits = |example: &Value| match kind {
            "string" => example.is_string(),
            "int" => example.is_i64(),
            _ => example.is_number(),
        };
        assert!(examples.iter().all(fits), "{id}");
        assert_eq!(examples.is_empty(), kind == "template[double]", "{id}");
    }
    assert_eq!(defined.len(), schema::ATTRIBUTES.len());

    let mut used = BTreeSet::new();
    for group in groups.iter().filter(|group| of_kind(group, false)) {
        let mut here = BTreeSet::new();
        for attribute in attributes(group) {
            let key = text(attribute, "ref");
            assert!(defined.contains(key), "{key} of {} is not defined", group["id"]);
            assert!(here.insert(key), "{key} occurs twice in {}", group["id"]);
            let level = &attribute["requirement_level"];
            let is_conditional = level["conditionally_required"].is_string();
            assert!(level == "required" || is_conditional, "{key}: {level}");
        }
        used.extend(here);
    }
    // What a link says has no place in a group.
    used.insert(schema::attr::LINK);
    let unused: Vec<_> = defined.difference(&used).collect();
    assert!(unused.is_empty(), "declared and used by nothing: {unused:?}");
}

#[test]
fn names_are_unique_also_as_prometheus_sees_them() {
    let names: BTreeSet<_> = schema::INSTRUMENTS.iter().map(|def| def.name).collect();
    let scraped: BTreeSet<_> =
        schema::INSTRUMENTS.iter().map(observability::metrics::prometheus_name).collect();
    assert_eq!(
        (names.len(), scraped.len()),
        (schema::INSTRUMENTS.len(), schema::INSTRUMENTS.len())
    );
    assert!(names.iter().all(|name| is_well_formed(name)), "{names:?}");
    for def in schema::INSTRUMENTS {
        assert_eq!(def.kind == InstrumentKind::Histogram, !def.buckets.is_empty(), "{}", def.name);
        assert!(def.buckets.is_sorted_by(|a, b| a < b), "{}", def.name);
        // A label with ids would make a series for each.
        let is_id = |key: &str| key.ends_with(".id") && key != schema::attr::NODE_ID;
        assert!(def.labels.iter().all(|label| !is_id(label.key)), "{}", def.name);
    }
    let spans: BTreeSet<_> = schema::SPANS.iter().map(|span| (span.name, span.kind)).collect();
    assert_eq!(spans.len(), schema::SPANS.len());
}

#[test]
fn a_key_behind_a_declared_prefix_is_declared_and_the_bare_prefix_is_not() {
    let found = |key: &str| schema::AttributeDef::of(key).map(|def| def.value);
    assert!(matches!(found("vmafx.feature_seconds.vif"), Some(ValueType::DoubleBy(_))));
    assert_eq!(found("vmafx.feature_seconds"), None);
    assert_eq!(found("vmafx.feature_secondsvif"), None);
    assert!(matches!(found("server.port"), Some(ValueType::Int(_))));
}
