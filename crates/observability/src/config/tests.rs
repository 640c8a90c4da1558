//! The environment, variable by variable.

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
    assert_eq!(config.metric_interval, Duration::from_secs(60));
    assert_eq!(config.batch, BatchConfig::default());
    assert_eq!(config.resource.get(attr::SERVICE_NAME), Some("vmafx-test"));
    assert_eq!(config.log.filter, "info");
    assert!(config.warnings.is_empty());
}

#[test]
fn empty_values_are_as_good_as_none() {
    let names = [
        "OTEL_SDK_DISABLED",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_PROPAGATORS",
        "OTEL_TRACES_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_CONFIG_FILE",
        "RUST_LOG",
    ];
    let variables: Vec<_> = names.iter().map(|name| (*name, " ")).collect();
    let (config, empty) = (read(&variables), read(&[]));
    assert_eq!(config.sampler, empty.sampler);
    assert_eq!(config.propagators, empty.propagators);
    assert_eq!(config.traces, None);
    assert_eq!(config.sdk, Sdk::Enabled);
    assert_eq!(config.log, empty.log);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
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
        (vec![(OWN, "https://c")], None, None, 1),
        (vec![(EXPORTER, "zipkin")], None, None, 1),
    ] {
        let config = read(&variables);
        let endpoint = |otlp: Option<OtlpConfig>| otlp.map(|otlp| otlp.endpoint.to_string());
        assert_eq!(endpoint(config.traces).as_deref(), traces, "{variables:?}");
        assert_eq!(endpoint(config.metrics).as_deref(), metrics, "{variables:?}");
        assert_eq!(config.warnings.len(), warnings, "{variables:?}: {:?}", config.warnings);
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
fn bad_values_keep_the_default_and_leave_one_warning_each() {
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_PROPAGATORS", "b3"),
        ("VMAFX_LOG_FORMAT", "xml"),
        ("OTEL_CONFIG_FILE", "otel.yaml"),
    ] {
        let (config, default) = (read(&[(name, value)]), read(&[]));
        assert_eq!(config.warnings.len(), 1, "{name}: {:?}", config.warnings);
        assert!(config.warnings[0].contains(name));
        assert_eq!(config.batch, default.batch);
        assert_eq!(config.metric_interval, default.metric_interval);
        assert_eq!(config.propagators, default.propagators);
        assert_eq!(config.sdk, default.sdk);
    }
}

#[test]
fn header_values_appear_in_no_warning() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: secret-token"),
    ]);
    assert!(!config.warnings.is_empty());
    assert!(config.warnings.iter().all(|warning| !warning.contains("secret")));
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
