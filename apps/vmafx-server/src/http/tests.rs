//! Holds the description of the face and its routes together.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::IntoResponse as _;
use proto::MESSAGE_BYTES_MAX;
use serde_json::Value;

use super::{FRAME_VALUES_MAX, OPENAPI, patience, read};

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
    assert!(routes.len() > 6, "{routes:?}");
    assert_eq!(routes, described);
}

#[test]
fn a_caller_says_in_a_header_how_long_it_waits() {
    let said = |lines: &[&str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", HeaderValue::from_str(line).expect("a header"));
        }
        patience(&headers).map(|patience| patience.as_secs())
    };
    assert_eq!(said(&["wait=10"]), Some(10));
    assert_eq!(said(&["respond-async, Wait = \"7\"; foo", "wait=9"]), Some(7), "the first counts");
    for ignored in ["", "wait", "wait=", "wait=0", "wait=-1", "wait=ten", "await=10"] {
        assert_eq!(said(&[ignored]), None, "{ignored}");
    }
    assert_eq!(said(&[]), None);
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

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = async_stream::stream! {
        yield Ok::<_, std::io::Error>(Bytes::from_static(b"{"));
        std::future::pending::<()>().await;
    };
    let request = Request::new(Body::from_stream(never));
    let problem = read(request, Duration::from_millis(20)).await.expect_err("it never ends");
    assert_eq!(problem.into_response().status(), StatusCode::REQUEST_TIMEOUT);
    let whole = Request::new(Body::from("{}"));
    let (_, body) = read(whole, Duration::from_secs(20)).await.expect("it came");
    assert_eq!(body.expect("whole"), "{}");
}

#[test]
fn the_values_of_frames_fit_however_many_digits_they_have() {
    // The longest number: a sign, 17 digits with their point, and an exponent of three digits.
    let longest = serde_json::to_string(&[-1.234_567_890_123_456_7e-300_f64]).expect("a number");
    let with_comma = longest.len() - 1;
    assert!(with_comma <= 26, "{longest}");
    const { assert!(FRAME_VALUES_MAX * 26 <= MESSAGE_BYTES_MAX) };
}
