//! Services of every kind that do nothing for a minute, with every log switched on, send nothing but
//! their metrics: no export is the cause of a span or of a log record.
//!
//! A module of another test's binary, so that the minute passes while that one works.

use std::time::{Duration, Instant};

use observability::testing::OtlpReceiver;

use crate::support::{
    self, DEADLINE, Fleet, Process, free_port, free_ports, mcp_over_http, wait_for,
};

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(60);
/// How long it must have been quiet for the start to be over.
const QUIET: Duration = Duration::from_secs(2);

/// Every record of every library, exported often, with every signal.
fn telemetry(endpoint: &str, protocol: &str) -> Vec<(&'static str, String)> {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("VMAFX_LOG", "trace,h2=trace,hyper=trace,hyper_util=trace,tonic=trace,tower=trace"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// Waits until no log record has come for a while.
fn settled(receiver: &OtlpReceiver) -> usize {
    let (mut count, mut since) = (0, Instant::now());
    wait_for("the start is over", DEADLINE, || {
        let now = receiver.logs().len();
        if now != count {
            (count, since) = (now, Instant::now());
        }
        (count > 0 && since.elapsed() > QUIET).then_some(count)
    })
}

/// One of every kind.
fn services(fleet: &Fleet, telemetry: &[(&'static str, String)]) -> [Process; 5] {
    let mut up = support::up(fleet.folder(), free_ports());
    up.envs(telemetry.iter().map(|(name, value)| (name, value)));
    let (server, ..) = fleet.start_server_with(&[]);
    [
        fleet.start_controller(),
        fleet.start_node("a"),
        server,
        fleet.start_program("vmafx-mcp", &mcp_over_http(free_port())),
        Process::start(up, "up", fleet.folder()),
    ]
}

#[test]
fn a_minute_of_nothing_at_trace_level_sends_metrics_and_nothing_else() {
    let fleets = ["http/protobuf", "grpc"].map(|protocol| {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = match protocol {
            "grpc" => receiver.grpc_endpoint(),
            _ => receiver.http_endpoint(),
        };
        let telemetry = telemetry(&endpoint, protocol);
        let fleet = Fleet::new().with_telemetry(&telemetry);
        let processes = services(&fleet, &telemetry);
        (protocol, receiver, fleet, processes)
    });
    let started: Vec<(usize, u64)> =
        fleets.iter().map(|(_, receiver, ..)| (settled(receiver), receiver.requests())).collect();
    let began = Instant::now();
    wait_for("a minute to pass", IDLE * 2, || (began.elapsed() >= IDLE).then_some(()));
    for ((protocol, receiver, _, mut processes), (logs, requests)) in
        fleets.into_iter().zip(started)
    {
        assert!(processes.iter_mut().all(Process::is_running), "{protocol}");
        for service in ["vmafx-controller", "vmafx-node", "vmafx-server", "vmafx-mcp", "vmafx"] {
            let said = receiver.logs().iter().any(|log| log.resource["service.name"] == service);
            assert!(said, "{protocol}: {service} never said anything");
        }
        let exports = receiver.requests() - requests;
        assert!(exports >= 100, "{protocol}: {exports} exports, there must be many to look at");
        let spans: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(spans, [] as [String; 0], "{protocol}");
        let said: Vec<_> = receiver.logs().split_off(logs);
        assert!(said.is_empty(), "{protocol}: {} records, such as {:#?}", said.len(), said[0]);
    }
}
