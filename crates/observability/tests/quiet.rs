//! What the logs say about telemetry, and that telemetry does not feed itself.
//!
//! The log output is one a process, so each test sets one for its own thread and for the exporting
//! thread that starts under it.

mod common;

use common::{SOON, logged};
use observability::config::OtelConfig;
use observability::testing::{Behaviour, OtlpReceiver};
use observability::{DISABLED_MESSAGE, OtelGuard};

fn config(variables: &[(&str, &str)]) -> OtelConfig {
    OtelConfig::from_env("vmafx-test", |name| {
        let found = variables.iter().find(|(have, _)| *have == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn without_an_endpoint_one_line_says_so_and_nothing_is_built() {
    let lines = logged(|| {
        let guard = OtelGuard::start(&config(&[]));
        assert!(!guard.tracer().is_enabled());
        guard.shutdown();
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("INFO") && lines[0].ends_with(DISABLED_MESSAGE), "{}", lines[0]);
}

#[test]
fn a_disabled_sdk_sends_nothing_though_an_endpoint_is_set() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let lines = logged(|| {
        let variables =
            [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
        let guard = OtelGuard::start(&config(&variables));
        assert!(!guard.tracer().is_enabled());
        guard.tracer().span("dropped").force().start().end();
        guard.shutdown();
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(receiver.requests(), 0);
}

#[test]
fn bad_variables_are_logged_once_each() {
    let lines = logged(|| {
        let variables = [("OTEL_TRACES_SAMPLER_ARG", "abc"), ("OTEL_PROPAGATORS", "b3")];
        OtelGuard::start(&config(&variables)).shutdown();
    });
    let about = |name: &str| lines.iter().filter(|line| line.contains(name)).count();
    assert_eq!(about("OTEL_TRACES_SAMPLER_ARG"), 1);
    assert_eq!(about("OTEL_PROPAGATORS"), 1);
}

#[test]
fn export_at_trace_level_makes_no_telemetry_of_its_own() {
    for (grpc, protocol) in [(false, "http/protobuf"), (true, "grpc")] {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = if grpc { receiver.grpc_endpoint() } else { receiver.http_endpoint() };
        let lines = logged(|| {
            let guard = OtelGuard::start(&config(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_TRACES_SAMPLER_ARG", "1"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "20"),
                ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ]));
            guard.tracer().span("the only one").start().end();
            receiver.wait_for_requests(SOON, 20).expect("many exports");
            guard.shutdown();
        });
        assert!(lines.is_empty(), "{protocol}: {lines:?}");
        assert_eq!(receiver.spans().len(), 1, "{protocol}");
    }
}

#[test]
fn tracing_switched_off_by_name_is_not_told_that_an_endpoint_is_missing() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let lines = logged(|| {
        let guard = OtelGuard::start(&config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_TRACES_EXPORTER", "none"),
        ]));
        assert!(!guard.tracer().is_enabled());
        guard.shutdown();
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("OTEL_TRACES_EXPORTER"), "{}", lines[0]);
    assert_eq!(receiver.requests(), 1, "metrics are pushed all the same");
}

#[test]
fn a_row_of_failures_and_the_recovery_are_one_line_each() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Refuse(400));
    let endpoint = receiver.http_endpoint();
    let lines = logged(|| {
        let guard = OtelGuard::start(&config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ]));
        for _ in 0..5 {
            guard.tracer().span("lost").start().end();
            guard.flush(SOON);
        }
        receiver.behave(Behaviour::Accept);
        guard.tracer().span("kept").start().end();
        guard.shutdown();
    });
    assert_eq!(receiver.requests(), 6);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("HTTP status 400"), "{}", lines[0]);
    assert!(lines[1].contains("INFO") && lines[1].contains("works again"), "{}", lines[1]);
}
