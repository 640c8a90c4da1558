//! Every declared variable, one row each: what it does when set, whatever its case; that an empty
//! value is none; that a bad one keeps the default and is complained of exactly once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

/// One variable.
struct Row {
    name: String,
    /// A value that changes something.
    set: &'static str,
    /// The same in other letters, for words.
    mixed: Option<&'static str>,
    /// A value that cannot be used.
    bad: Option<&'static str>,
    /// What is looked at: it must tell the set value from the default.
    effect: fn(&OtelConfig) -> String,
    /// What `effect` says when set.
    expected: &'static str,
    /// What must be set, too, for the variable to matter.
    beside: Vec<(String, &'static str)>,
}

impl Row {
    fn new(
        name: &str,
        set: &'static str,
        effect: fn(&OtelConfig) -> String,
        expected: &'static str,
    ) -> Self {
        let (name, mixed, bad, beside) = (name.to_owned(), None, None, Vec::new());
        Self { name, set, mixed, bad, effect, expected, beside }
    }

    fn mixed(mut self, mixed: &'static str) -> Self {
        self.mixed = Some(mixed);
        self
    }

    fn bad(mut self, bad: &'static str) -> Self {
        self.bad = Some(bad);
        self
    }

    fn beside(mut self, name: &str, value: &'static str) -> Self {
        self.beside.push((name.to_owned(), value));
        self
    }

    fn read(&self, value: Option<&str>) -> OtelConfig {
        OtelConfig::from_env("vmafx-test", |name| match (name == self.name, value) {
            (true, Some(value)) => Some(value.to_owned()),
            _ => {
                let beside = self.beside.iter().find(|(have, _)| have == name);
                beside.map(|(_, value)| (*value).to_owned())
            }
        })
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn general_rows() -> Vec<Row> {
    let service = |config: &OtelConfig| config.resource.get(attr::SERVICE_NAME).unwrap().to_owned();
    let pod = |config: &OtelConfig| format!("{:?}", config.resource.get("k8s.pod.name"));
    vec![
        Row::new("OTEL_SDK_DISABLED", "true", |at| format!("{:?}", at.sdk), "Disabled")
            .mixed("TRUE")
            .bad("yes"),
        Row::new("OTEL_SERVICE_NAME", "own", service, "own"),
        Row::new("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=a%20b", pod, "Some(\"a b\")")
            .bad("k8s.pod.name=a,b"),
        Row::new(
            "OTEL_TRACES_SAMPLER",
            "always_off",
            |at| format!("{:?}", (at.sampler.parent, at.sampler.root)),
            "(Ignore, AlwaysOff)",
        )
        .mixed("Always_OFF")
        .bad("sometimes"),
        Row::new(
            "OTEL_TRACES_SAMPLER_ARG",
            "0.25",
            |at| format!("{:?}", at.sampler.root),
            "Ratio(0.25)",
        )
        .bad("abc"),
        Row::new(
            "VMAFX_TRACES_MIN_PER_MINUTE",
            "7",
            |at| at.sampling.min_per_minute.to_string(),
            "7",
        )
        .bad("601"),
        Row::new(
            "VMAFX_TRACES_MAX_SPANS_PER_SECOND",
            "off",
            |at| format!("{:?}", at.sampling.spans_per_second_max),
            "None",
        )
        .mixed("Off")
        .bad("0"),
        Row::new(
            "VMAFX_SAMPLING_FILE",
            "/etc/sampling",
            |at| format!("{:?}", at.sampling.file),
            "Some(\"/etc/sampling\")",
        ),
        Row::new(
            "OTEL_PROPAGATORS",
            "baggage",
            |at| format!("{} {}", at.propagators.trace_context, at.propagators.baggage),
            "false true",
        )
        .mixed("Baggage")
        .bad("b3"),
        Row::new("OTEL_LOG_LEVEL", "error", |at| format!("{:?}", at.log.otel_level), {
            "Some(LevelFilter::ERROR)"
        })
        .mixed("Error")
        .bad("loud"),
        Row::new("VMAFX_LOG", "debug", |at| at.log.filter.clone(), "debug"),
        Row::new("RUST_LOG", "debug", |at| at.log.filter.clone(), "debug"),
        Row::new("VMAFX_LOG_FORMAT", "json", |at| format!("{:?}", at.log.format), "Json")
            .mixed("JSON")
            .bad("xml"),
    ]
}

fn exporter_rows() -> Vec<Row> {
    let console = |at: &OtelConfig| {
        format!("{} {} {}", at.console.traces, at.console.metrics, at.console.logs)
    };
    vec![
        Row::new("OTEL_TRACES_EXPORTER", "console", console, "true false false")
            .mixed("Console")
            .bad("zipkin"),
        Row::new("OTEL_METRICS_EXPORTER", "console", console, "false true false")
            .mixed("CONSOLE")
            .bad("statsd"),
        Row::new("OTEL_LOGS_EXPORTER", "console", console, "false false true")
            .mixed("console")
            .bad("prometheus"),
    ]
}

fn limit_rows() -> Vec<Row> {
    fn spans(at: &OtelConfig) -> String {
        let of = at.span_limits;
        let own = of.attributes;
        format!(
            "{} {} {} {} {} {}",
            own.count_max,
            own.value_chars_max,
            of.events_max,
            of.links_max,
            of.event_attributes_max,
            of.link_attributes_max
        )
    }
    fn logs(at: &OtelConfig) -> String {
        format!("{} {}", at.log_limits.count_max, at.log_limits.value_chars_max)
    }
    fn both(at: &OtelConfig) -> String {
        format!("{}, {}", spans(at), logs(at))
    }
    let row = |name, effect, expected| Row::new(name, "7", effect, expected).bad("-1");
    vec![
        row("OTEL_ATTRIBUTE_COUNT_LIMIT", both, "7 4096 128 128 7 7, 7 4096"),
        row("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", both, "128 7 128 128 128 128, 128 7"),
        row("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", both, "7 4096 128 128 128 128, 128 4096")
            .beside("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4096"),
        row("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", spans, "128 7 128 128 128 128")
            .beside("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
        row("OTEL_SPAN_EVENT_COUNT_LIMIT", spans, "128 4096 7 128 128 128"),
        row("OTEL_SPAN_LINK_COUNT_LIMIT", spans, "128 4096 128 7 128 128"),
        row("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", spans, "9 4096 128 128 7 9")
            .beside("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        row("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", spans, "128 4096 128 128 128 7"),
        row("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", logs, "7 4096")
            .beside("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        row("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", logs, "128 7"),
    ]
}

fn batch_rows() -> Vec<Row> {
    let row = |name, effect| Row::new(name, "7", effect, "7").bad("0");
    vec![
        row("OTEL_BSP_MAX_QUEUE_SIZE", |at| at.batch.queue_items_max.to_string()),
        row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", |at| at.batch.export_items_max.to_string()),
        row("OTEL_BSP_SCHEDULE_DELAY", |at| millis(at.batch.schedule_delay)),
        row("OTEL_BSP_EXPORT_TIMEOUT", |at| millis(at.batch.export_timeout)),
        row("OTEL_BLRP_MAX_QUEUE_SIZE", |at| at.log_batch.queue_items_max.to_string()),
        row("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", |at| at.log_batch.export_items_max.to_string()),
        row("OTEL_BLRP_SCHEDULE_DELAY", |at| millis(at.log_batch.schedule_delay)),
        row("OTEL_BLRP_EXPORT_TIMEOUT", |at| millis(at.log_batch.export_timeout)),
    ]
}

fn metric_rows() -> Vec<Row> {
    vec![
        Row::new("OTEL_METRIC_EXPORT_INTERVAL", "7", |at| millis(at.metric.interval), "7").bad("0"),
        Row::new("OTEL_METRIC_EXPORT_TIMEOUT", "7", |at| millis(at.metric.timeout), "7").bad("x"),
        Row::new(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "delta",
            |at| format!("{:?}", at.metric.temporality),
            "Delta",
        )
        .mixed("DELTA")
        .bad("sometimes"),
        Row::new(
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "always_off",
            |at| format!("{:?}", at.metric.exemplars),
            "AlwaysOff",
        )
        .mixed("Always_Off")
        .bad("never"),
    ]
}

/// The settings of the way to a collector: the generic one, looked at in the traces, and each
/// signal's own.
fn otlp_rows() -> Vec<Row> {
    fn traces(at: &OtelConfig) -> Option<OtlpConfig> {
        at.traces.clone()
    }
    fn metrics(at: &OtelConfig) -> Option<OtlpConfig> {
        at.metrics.clone()
    }
    fn logs(at: &OtelConfig) -> Option<OtlpConfig> {
        at.logs.clone()
    }
    macro_rules! effects {
        ($($of:ident),*) => {
            [$({
                let effects: [fn(&OtelConfig) -> String; 9] = [
                    |at| format!("{:?}", $of(at).map(|to| to.endpoint.to_string())),
                    |at| format!("{:?}", $of(at).map(|to| to.protocol)),
                    |at| format!("{:?}", $of(at).map(|to| to.headers.contains_key("key"))),
                    |at| format!("{:?}", $of(at).map(|to| millis(to.timeout))),
                    |at| format!("{:?}", $of(at).map(|to| to.compression)),
                    |at| format!("{:?}", $of(at).map(|to| to.tls.certificate)),
                    |at| format!("{:?}", $of(at).map(|to| to.tls.client_certificate)),
                    |at| format!("{:?}", $of(at).map(|to| to.tls.client_key)),
                    |at| format!("{:?}", $of(at).map(|to| to.endpoint.to_string())),
                ];
                effects
            }),*]
        };
    }
    let mut rows = Vec::new();
    let signals = ["", "TRACES_", "METRICS_", "LOGS_"];
    for (signal, effects) in signals.into_iter().zip(effects!(traces, traces, metrics, logs)) {
        let [endpoint, protocol, headers, timeout, compression, ca, certificate, key, insecure] =
            effects;
        let own = |part: &str| format!("OTEL_EXPORTER_OTLP_{signal}{part}");
        let whole = if signal.is_empty() {
            "Some(\"http://own/v1/traces\")"
        } else {
            "Some(\"http://own/\")"
        };
        let mut of_signal = vec![
            Row::new(&own("ENDPOINT"), "http://own", endpoint, whole).bad("::::"),
            Row::new(&own("PROTOCOL"), "http/json", protocol, "Some(HttpJson)")
                .mixed("HTTP/Json")
                .bad("carrier/pigeon"),
            Row::new(&own("HEADERS"), "key=value", headers, "Some(true)").bad("key"),
            Row::new(&own("TIMEOUT"), "7", timeout, "Some(\"7\")").bad("soon"),
            Row::new(&own("COMPRESSION"), "gzip", compression, "Some(Gzip)")
                .mixed("GZip")
                .bad("zip"),
            Row::new(&own("CERTIFICATE"), "/a", ca, "Some(Some(\"/a\"))"),
            Row::new(&own("CLIENT_CERTIFICATE"), "/a", certificate, "Some(Some(\"/a\"))"),
            Row::new(&own("CLIENT_KEY"), "/a", key, "Some(Some(\"/a\"))"),
            Row::new(&own("INSECURE"), "false", insecure, "Some(\"https://c/\")")
                .mixed("FALSE")
                .bad("perhaps")
                .beside("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        for row in &mut of_signal {
            // Whoever sets the endpoint brings one; the others need one to matter.
            if !row.name.ends_with("ENDPOINT") {
                row.beside.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "c"));
            }
            row.beside.push(("OTEL_LOGS_EXPORTER".to_owned(), "otlp"));
        }
        rows.append(&mut of_signal);
    }
    rows
}

fn rows() -> Vec<Row> {
    let groups =
        [general_rows(), exporter_rows(), limit_rows(), batch_rows(), metric_rows(), otlp_rows()];
    groups.into_iter().flatten().collect()
}

/// What is read elsewhere, or only to be complained of; each has a test of its own.
const APART: [&str; 5] = [
    "OTEL_CONFIG_FILE",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
];

#[test]
fn every_declared_variable_has_a_row_and_every_row_is_declared() {
    let declared: Vec<_> =
        VARIABLES.iter().flat_map(|variable| variable.names.iter().copied()).collect();
    let rows = rows();
    let mut tested: Vec<_> =
        rows.iter().map(|row| row.name.as_str()).chain(APART.iter().copied()).collect();
    tested.sort_unstable();
    let mut sorted = declared.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, tested);
    assert_eq!(declared.iter().collect::<BTreeSet<_>>().len(), declared.len(), "declared twice");
}

#[test]
fn every_variable_that_is_read_is_declared_and_the_other_way_round() {
    let asked = RefCell::new(BTreeSet::new());
    // Endpoints and exporters make the reader ask for everything that goes with them.
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("c".to_owned()),
            "OTEL_LOGS_EXPORTER" => Some("otlp".to_owned()),
            _ => None,
        }
    };
    let config = OtelConfig::from_env("vmafx-test", lookup);
    assert!(config.traces.is_some() && config.metrics.is_some() && config.logs.is_some());
    let _ = Propagators::default().extract_env(lookup);
    let declared: BTreeSet<String> = VARIABLES
        .iter()
        .flat_map(|variable| variable.names.iter().map(|name| (*name).to_owned()))
        .collect();
    assert_eq!(asked.into_inner(), declared);
}

#[test]
fn a_set_variable_does_what_it_says_whatever_its_case() {
    for row in rows() {
        let default = (row.effect)(&row.read(None));
        assert_ne!(default, row.expected, "{}: the row cannot fail", row.name);
        for value in [Some(row.set), row.mixed].into_iter().flatten() {
            let config = row.read(Some(value));
            assert_eq!((row.effect)(&config), row.expected, "{}={value}", row.name);
            assert_eq!(config.warnings, [""; 0], "{}={value}", row.name);
        }
    }
}

#[test]
fn an_empty_value_is_as_good_as_none() {
    for row in rows() {
        let default = (row.effect)(&row.read(None));
        for value in ["", "  "] {
            let config = row.read(Some(value));
            assert_eq!((row.effect)(&config), default, "{}", row.name);
            assert_eq!(config.warnings, [""; 0], "{}", row.name);
        }
    }
}

#[test]
fn a_bad_value_keeps_the_default_and_is_complained_of_exactly_once() {
    for row in rows() {
        let Some(bad) = row.bad else { continue };
        let config = row.read(Some(bad));
        // What was meant for an endpoint that is none goes nowhere, not to the local default.
        let kept = match row.name.ends_with("ENDPOINT") {
            true => "None".to_owned(),
            false => (row.effect)(&row.read(None)),
        };
        assert_eq!((row.effect)(&config), kept, "{}={bad}", row.name);
        assert_eq!(config.warnings.len(), 1, "{}={bad}: {:?}", row.name, config.warnings);
        assert!(config.warnings[0].contains(&row.name), "{:?}", config.warnings);
    }
}

#[test]
fn what_is_not_supported_is_complained_of() {
    for (name, good, bad) in [
        ("OTEL_CONFIG_FILE", "", "otel.yaml"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "Explicit_Bucket_Histogram",
            "base2_exponential_bucket_histogram",
        ),
    ] {
        assert_eq!(read(&[(name, good)]).warnings, [""; 0]);
        let warnings = read(&[(name, bad)]).warnings;
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains(name));
    }
}

#[test]
fn the_environment_of_a_process_carries_a_context() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lookup = |name: &str| match name {
        "TRACEPARENT" => Some(PARENT.to_owned()),
        "TRACESTATE" => Some("a=1".to_owned()),
        "BAGGAGE" => Some("tenant=7".to_owned()),
        _ => None,
    };
    let cx = Propagators::default().extract_env(lookup);
    let mut headers = http::HeaderMap::new();
    Propagators::default().inject(&cx, &mut headers);
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!(
        (&headers["tracestate"], &headers["baggage"]),
        (&"a=1".parse().unwrap(), &"tenant=7".parse().unwrap())
    );
    for bad in ["", "00-zz", "\n"] {
        let cx = Propagators::default().extract_env(|_| Some(bad.to_owned()));
        assert_eq!(cx.span(), None, "{bad:?}");
    }
}
