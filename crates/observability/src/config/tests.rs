//! The environment, variable by variable.

use std::time::Duration;

use super::*;
use crate::sampler::{ParentRule, RootRule};
use crate::schema::attr;

fn read(variables: &[(&str, &str)]) -> OtelConfig {
    OtelConfig::from_env("vmafx-test", |name| {
        variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn an_empty_environment_gives_the_defaults_without_a_warning() {
    let config = read(&[]);
    assert_eq!(config.sampler, SamplerConfig::default());
    assert_eq!(config.propagators, Propagators::default());
    assert_eq!((config.traces, config.metrics), (None, None));
    assert_eq!(config.metric.interval, Duration::from_secs(60));
    assert_eq!(config.batch, BatchConfig::spans());
    assert_eq!((config.logs, config.console), (None, ConsoleConfig::default()));
    assert_eq!(config.resource.get(attr::SERVICE_NAME), Some("vmafx-test"));
    assert_eq!(config.log.filter, "info");
    assert!(config.warnings.is_empty());
}

#[test]
fn sampler_and_argument_combine_as_documented() {
    use ParentRule::{Follow, Ignore};
    use RootRule::{AlwaysOff, AlwaysOn, Ratio};
    for (sampler, argument, parent, root, warnings) in [
        ("", "", Follow, Ratio(0.01), 0),
        ("", "0.25", Follow, Ratio(0.25), 0),
        ("", "1", Follow, Ratio(1.0), 0),
        ("", "0", Follow, Ratio(0.0), 0),
        ("", "abc", Follow, Ratio(0.01), 1),
        ("", "NaN", Follow, Ratio(0.01), 1),
        ("", "inf", Follow, Ratio(0.01), 1),
        ("", "-inf", Follow, Ratio(0.01), 1),
        ("", "-0.1", Follow, Ratio(0.01), 1),
        ("", "9.5", Follow, Ratio(0.01), 1),
        ("always_on", "", Ignore, AlwaysOn, 0),
        ("ALWAYS_OFF", "", Ignore, AlwaysOff, 0),
        ("traceidratio", "0.5", Ignore, Ratio(0.5), 0),
        ("traceidratio", "", Ignore, Ratio(1.0), 0),
        ("parentbased_always_on", "", Follow, AlwaysOn, 0),
        ("parentbased_always_off", "0.5", Follow, AlwaysOff, 0),
        ("ParentBased_TraceIdRatio", "0.5", Follow, Ratio(0.5), 0),
        ("parentbased_traceidratio", "abc", Follow, Ratio(0.01), 1),
        ("jaeger_remote", "", Follow, Ratio(0.01), 1),
        ("sometimes", "0.5", Follow, Ratio(0.5), 1),
    ] {
        let config =
            read(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        assert_eq!(config.sampler, SamplerConfig { parent, root }, "{sampler} {argument}");
        assert_eq!(config.warnings.len(), warnings, "{sampler} {argument}");
    }
}

#[test]
fn the_service_is_named_by_its_variable_then_the_attributes_then_the_binary() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from%20attributes, k8s.pod.name=p");
    let own = ("OTEL_SERVICE_NAME", "own");
    for (variables, name) in [
        (vec![attributes, own], "own"),
        (vec![attributes], "from attributes"),
        (vec![own], "own"),
        (vec![], "vmafx-test"),
    ] {
        assert_eq!(read(&variables).resource.get(attr::SERVICE_NAME), Some(name));
    }
    assert_eq!(read(&[attributes]).resource.get("k8s.pod.name"), Some("p"));
    let malformed = read(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")]);
    assert_eq!((malformed.resource.get("a"), malformed.warnings.len()), (None, 1));
}

#[test]
fn endpoints_resolve_by_signal_and_protocol() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    for (variables, traces, metrics, warnings) in [
        (
            vec![(ENDPOINT, "http://c:4318/")],
            Some("http://c:4318/v1/traces"),
            Some("http://c:4318/v1/metrics"),
            0,
        ),
        (vec![(OWN, "http://c/own/path")], Some("http://c/own/path"), None, 0),
        (
            vec![(ENDPOINT, "localhost:4317"), (PROTOCOL, "GRPC")],
            Some("http://localhost:4317/"),
            Some("http://localhost:4317/"),
            0,
        ),
        (
            vec![(ENDPOINT, "localhost:4318")],
            Some("http://localhost:4318/v1/traces"),
            Some("http://localhost:4318/v1/metrics"),
            0,
        ),
        (vec![(EXPORTER, "otlp")], Some("http://localhost:4318/v1/traces"), None, 0),
        (vec![(EXPORTER, "none"), (ENDPOINT, "http://c")], None, Some("http://c/v1/metrics"), 0),
        (vec![(OWN, "::::")], None, None, 1),
        (vec![(OWN, "ftp://c")], None, None, 1),
        (vec![(OWN, "https://c")], Some("https://c/"), None, 0),
        (vec![(ENDPOINT, "http://user:secret@c")], None, None, 1),
        (vec![(EXPORTER, "zipkin")], None, None, 1),
        (vec![(EXPORTER, "prometheus"), (OWN, "http://c")], Some("http://c/"), None, 1),
        (vec![(EXPORTER, "zipkin,otlp"), (OWN, "http://c")], Some("http://c/"), None, 1),
        (vec![(EXPORTER, "Console"), (ENDPOINT, "http://c")], None, Some("http://c/v1/metrics"), 0),
        (
            vec![("OTEL_METRICS_EXPORTER", "prometheus"), (ENDPOINT, "http://c")],
            Some("http://c/v1/traces"),
            None,
            0,
        ),
    ] {
        let config = read(&variables);
        let endpoint = |otlp: Option<OtlpConfig>| otlp.map(|otlp| otlp.endpoint.to_string());
        assert_eq!(endpoint(config.traces).as_deref(), traces, "{variables:?}");
        assert_eq!(endpoint(config.metrics).as_deref(), metrics, "{variables:?}");
        assert_eq!(config.warnings.len(), warnings, "{variables:?}: {:?}", config.warnings);
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_encrypted_when_that_is_asked_for() {
    const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
    const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    for (protocol, more, scheme) in [
        ("grpc", vec![], "http"),
        ("grpc", vec![(INSECURE, "true")], "http"),
        ("grpc", vec![(INSECURE, "False")], "https"),
        ("grpc", vec![(CERTIFICATE, "ca.pem")], "https"),
        ("grpc", vec![(CERTIFICATE, "ca.pem"), (INSECURE, "true")], "http"),
        (
            "grpc",
            vec![("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false"), (INSECURE, "true")],
            "https",
        ),
        ("http/protobuf", vec![], "http"),
        ("http/protobuf", vec![(INSECURE, "false")], "https"),
        ("http/protobuf", vec![(CERTIFICATE, "ca.pem"), (INSECURE, "true")], "https"),
        ("http/protobuf", vec![(CERTIFICATE, "ca.pem")], "https"),
    ] {
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        variables.extend(&more);
        let config = read(&variables);
        assert_eq!(config.warnings, [""; 0]);
        let endpoint = config.traces.expect("set").endpoint;
        assert_eq!(endpoint.scheme_str(), Some(scheme), "{protocol} {more:?}");
    }
    let given = read(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        (INSECURE, "false"),
    ]);
    let endpoint = given.traces.expect("set").endpoint;
    assert_eq!(endpoint.scheme_str(), Some("http"), "a scheme goes before INSECURE");
}

#[test]
fn certificates_for_an_endpoint_in_plain_are_complained_of_once() {
    let certificate = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem");
    for (endpoint, warnings) in [("http://c", 1), ("https://c", 0), ("c", 0)] {
        let config = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), certificate]);
        assert_eq!(config.warnings.len(), warnings, "{endpoint}: {:?}", config.warnings);
        assert!(config.traces.is_some() && config.metrics.is_some());
    }
}

#[test]
fn logs_leave_only_when_asked_for_by_name() {
    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
    for (variables, otlp, console) in [
        (vec![ENDPOINT], None, false),
        (vec![ENDPOINT, ("OTEL_LOGS_EXPORTER", "none")], None, false),
        (vec![ENDPOINT, ("OTEL_LOGS_EXPORTER", "OTLP")], Some("http://c/v1/logs"), false),
        (vec![ENDPOINT, ("OTEL_LOGS_EXPORTER", "console,otlp")], Some("http://c/v1/logs"), true),
        (vec![("OTEL_LOGS_EXPORTER", "otlp")], Some("http://localhost:4318/v1/logs"), false),
        (vec![("OTEL_LOGS_EXPORTER", "console")], None, true),
    ] {
        let config = read(&variables);
        let endpoint = config.logs.map(|otlp| otlp.endpoint.to_string());
        assert_eq!(endpoint.as_deref(), otlp, "{variables:?}");
        assert_eq!(config.console.logs, console, "{variables:?}");
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}

#[test]
fn a_signals_own_setting_goes_before_the_generic_one() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=generic,b=2"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "A=own%3D1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3000"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
    ]);
    let (traces, metrics) = (config.traces.expect("set"), config.metrics.expect("set"));
    assert_eq!(traces.headers["a"], "own=1");
    assert!(!traces.headers.contains_key("b"));
    assert_eq!(metrics.headers.len(), 2);
    assert_eq!((traces.timeout.as_secs(), metrics.timeout.as_secs()), (2, 3));
    assert_eq!((traces.protocol, metrics.protocol), (Protocol::Grpc, Protocol::HttpProtobuf));
    assert_eq!(metrics.compression, Compression::Gzip);
}

#[test]
fn header_values_appear_in_no_warning() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: secret-token"),
    ]);
    assert!(!config.warnings.is_empty());
    assert!(config.warnings.iter().all(|warning| !warning.contains("secret")));
    let in_url = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c d")]);
    assert!(!in_url.warnings.is_empty());
    assert!(in_url.warnings.iter().all(|warning| !warning.contains("secret")));
    let accepted = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret-token"),
    ]);
    assert!(!format!("{accepted:?}").contains("secret"));
}

#[test]
fn propagators_are_chosen_by_name() {
    for (value, trace_context, baggage) in [
        ("tracecontext", true, false),
        ("baggage, TraceContext,baggage", true, true),
        ("none", false, false),
        ("tracecontext,b3", true, false),
    ] {
        let config = read(&[("OTEL_PROPAGATORS", value)]);
        assert_eq!(config.propagators, Propagators { trace_context, baggage }, "{value}");
    }
}

#[test]
fn our_own_log_variable_goes_before_the_common_one() {
    let both = [("RUST_LOG", "debug"), ("VMAFX_LOG", "trace")];
    assert_eq!(read(&both).log.filter, "trace");
    assert_eq!(read(&both[..1]).log.filter, "debug");
}

mod table;
