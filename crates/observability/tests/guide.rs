//! The guide says what the code does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use observability::{OtelConfig, schema};

fn guide() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/development/observability.md");
    std::fs::read_to_string(path).expect("the guide")
}

#[test]
fn the_reference_in_the_guide_is_what_the_schema_says() {
    let guide = guide();
    let (_, rest) = guide.split_once("<!-- reference:begin -->\n").expect("its begin");
    let (reference, _) = rest.split_once("<!-- reference:end -->").expect("its end");
    assert!(
        reference == schema::to_markdown(),
        "put the output of `cargo run -p observability --example schema_reference` into the guide"
    );
}

#[test]
fn every_variable_that_is_read_stands_in_the_guide() {
    let asked = RefCell::new(BTreeSet::new());
    // An endpoint makes the reader ask for everything that goes with one.
    let config = OtelConfig::from_env("vmafx-test", |name| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://collector.test".to_owned())
    });
    assert!(config.traces.is_some() && config.metrics.is_some());
    let guide = guide();
    let asked = asked.into_inner();
    assert!(asked.len() > 25, "{asked:?}");
    for name in asked {
        // The variables of certificates stand there once for all signals.
        let general = name.replace("OTLP_TRACES_C", "OTLP_C").replace("OTLP_METRICS_C", "OTLP_C");
        assert!(guide.contains(&name) || guide.contains(&general), "{name}");
    }
}
