//! What a controller has counted while it worked is the same whichever way it is read: at `/metrics`, in
//! the totals that it pushes, and in the differences that it pushes where those are preferred. And where
//! half of all calls are recorded, exemplars name those alone.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use observability::metrics::prometheus_name;
use observability::schema::INSTRUMENTS;
use serde_json::Value;
use support::otelcol::{Config, Otelcol, Written, attributes, http_body, test_config};
use support::{DEADLINE, Fleet, demo_pair, wait_for};

/// Jobs that are run.
const JOBS: usize = 3;
/// Pages that are asked for and are not there.
const PAGES: usize = 60;
/// What goes on by itself when nothing happens.
const RESTLESS: [&str; 5] =
    ["process.", "system.", "vmafx.store.", "vmafx.telemetry.", "vmafx.runtime."];

/// Numbers by their name at `/metrics` and their labels.
type Numbers = BTreeMap<(String, BTreeSet<String>), f64>;

/// A trace and a span of it.
type Place = (String, String);

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A number that may stand there as text; nothing is 0.
fn number(value: &Value) -> f64 {
    if value.is_null() {
        return 0.0;
    }
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_f64().or(text).unwrap_or_else(|| panic!("no number: {value}"))
}

/// What stands at `/metrics` of the counters and histograms that were pushed.
fn shown(page: &str, pushed: &Numbers) -> Numbers {
    let names: BTreeSet<&str> = pushed.keys().map(|(name, _)| name.as_str()).collect();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let numbers = samples.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.replace('"', "")).collect();
        names.contains(name).then(|| ((name.to_owned(), labels), value.parse().expect("a number")))
    });
    numbers.collect()
}

/// What the controller pushed of its counters and histograms: the last of the totals, or the sum of the
/// differences.
fn pushed(received: &Written, is_delta: bool) -> Numbers {
    let mut numbers = Numbers::new();
    for (resource, metric) in received.metrics() {
        let name = metric["name"].as_str().expect("a name");
        if resource["service.name"] != "vmafx-controller"
            || RESTLESS.iter().any(|prefix| name.starts_with(prefix))
        {
            continue;
        }
        let def = INSTRUMENTS.iter().find(|def| def.name == name).expect("declared");
        let shown_as = prometheus_name(def);
        let (sum, histogram) = (&metric["sum"], &metric["histogram"]);
        let is_counter = sum["isMonotonic"] == true;
        if !is_counter && histogram.is_null() {
            continue;
        }
        let data = if is_counter { sum } else { histogram };
        assert_eq!(data["aggregationTemporality"], if is_delta { 1 } else { 2 }, "{name}");
        for point in list(&data["dataPoints"]) {
            let labels: BTreeSet<String> = attributes(&point["attributes"])
                .into_iter()
                .map(|(key, value)| format!("{}={value}", key.replace('.', "_")))
                .collect();
            let mut add = |name: String, value: f64| {
                let place = numbers.entry((name, labels.clone())).or_default();
                *place = if is_delta { *place + value } else { value };
            };
            if is_counter {
                let value =
                    if point["asInt"].is_null() { &point["asDouble"] } else { &point["asInt"] };
                add(shown_as.clone(), number(value));
            } else {
                add(format!("{shown_as}_count"), number(&point["count"]));
                add(format!("{shown_as}_sum"), number(&point["sum"]));
                let buckets: f64 = list(&point["bucketCounts"]).iter().map(number).sum();
                assert_eq!(buckets, number(&point["count"]), "{name}");
            }
        }
    }
    numbers
}

/// Whether the numbers are the same; sums of seconds but for rounding.
fn is_same(shown: &Numbers, pushed: &Numbers) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1e-3);
    // A difference of nothing need not be pushed.
    let told = |numbers: &Numbers| {
        numbers.iter().filter(|(_, value)| **value != 0.0).map(|(key, _)| key.clone()).collect()
    };
    let [in_page, in_pushes]: [BTreeSet<_>; 2] = [told(shown), told(pushed)];
    in_page == in_pushes && in_page.iter().all(|key| near(shown[key], pushed[key]))
}

/// What the exemplars of the page name.
fn named_by_page(page: &str) -> BTreeSet<Place> {
    let exemplars = page.lines().filter_map(|line| line.split_once(" # {"));
    let label = |text: &str, key: &str| {
        let (_, rest) = text.split_once(&format!("{key}=\"")).expect("a label");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    exemplars.map(|(_, it)| (label(it, "trace_id"), label(it, "span_id"))).collect()
}

/// What the exemplars that were pushed name.
fn named_by_pushes(received: &Written) -> BTreeSet<Place> {
    let metrics = received.metrics();
    let points = metrics.iter().flat_map(|(_, metric)| list(&metric["histogram"]["dataPoints"]));
    let exemplars = points.flat_map(|point| list(&point["exemplars"]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    exemplars.map(|it| (text(&it["traceId"]), text(&it["spanId"]))).collect()
}

fn check(preference: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, received) =
        Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "received");
    let collector = Otelcol::start("collector", folder.path(), config);
    let mut telemetry = collector.over_grpc();
    telemetry.extend(
        [
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    let fleet = Fleet::new().with_telemetry(&telemetry);
    let controller = fleet.start_controller();
    let node = fleet.start_node("a");
    let (reference, distorted) = demo_pair();
    for _ in 0..JOBS {
        let ran = fleet.vmafx(&["submit", "--wait", &reference, &distorted]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
    }
    for page in 0..PAGES {
        http_body(fleet.http_port(), &format!("/nowhere/{page}"), "*/*").expect("an answer");
    }
    assert_eq!(node.terminate(), Some(0));

    let is_delta = preference == "delta";
    let page = |accept| http_body(fleet.http_port(), "/metrics", accept).expect("an answer");
    let mut last = String::new();
    let same = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("both ways show the same", DEADLINE, || {
            let pushed = pushed(&received, is_delta);
            let shown = shown(&page("text/plain"), &pushed);
            last = format!("{preference}\nshown: {shown:#?}\npushed: {pushed:#?}");
            is_same(&shown, &pushed).then_some(shown)
        })
    }));
    let numbers = same.unwrap_or_else(|_| panic!("never the same: {last}"));
    let total = |name: &str| -> f64 {
        numbers.iter().filter(|((have, _), _)| have == name).map(|(_, value)| value).sum()
    };
    assert_eq!(total("vmafx_jobs_submitted_total"), JOBS as f64);
    assert_eq!(total("http_server_request_duration_seconds_count"), PAGES as f64);
    assert!(total("http_server_request_duration_seconds_sum") > 0.0);

    let on_page = named_by_page(&page("application/openmetrics-text"));
    assert_eq!(controller.terminate(), Some(0));
    collector.terminate();
    let in_pushes = named_by_pushes(&received);
    assert!(!on_page.is_empty() && !in_pushes.is_empty());
    let recorded: BTreeSet<Place> =
        received.spans().into_iter().map(|span| (span.trace_id, span.span_id)).collect();
    for named in on_page.iter().chain(&in_pushes) {
        assert!(recorded.contains(named), "{named:?} was not recorded");
    }
}

#[test]
fn totals_are_those_of_the_page() {
    check("cumulative");
}

#[test]
fn differences_add_up_to_the_page() {
    check("delta");
}
