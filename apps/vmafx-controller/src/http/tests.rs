//! Holds the description of the face and its routes together.

use std::collections::BTreeSet;

use serde_json::Value;

use super::OPENAPI;

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("the document is JSON")
}

/// Every object and array in `value`, itself included.
fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(map) => map.values().for_each(|inner| walk(inner, visit)),
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_nothing_else() {
    // axum does not list its routes; the source does.
    let source = include_str!("mod.rs");
    let routes: BTreeSet<&str> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a closing quote"))
        .chain(service::http::OPS_PATHS)
        .collect();
    let document = document();
    let described: BTreeSet<&str> =
        document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert!(routes.len() > 10, "{routes:?}");
    assert_eq!(routes, described);
}

#[test]
fn every_reference_resolves_and_every_schema_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            used.insert(reference.rsplit('/').next().expect("a name").to_owned());
        }
    });
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(name), "the schema {name} is used nowhere");
    }
}

#[test]
fn every_schema_and_operation_is_well_formed() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    walk(&document["components"]["schemas"], &mut |value| {
        if let (Some(required), Some(properties)) = (value.get("required"), value.get("properties"))
        {
            for name in required.as_array().expect("a list of names") {
                let name = name.as_str().expect("a name");
                assert!(properties.get(name).is_some(), "{name} is required but not described");
            }
        }
    });
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id), "{id} is there twice");
            assert!(operation["responses"].get("default").is_some(), "{method} {path}");
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let in_path = parameters.iter().filter(|p| p["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
        }
    }
}
