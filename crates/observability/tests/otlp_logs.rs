//! Log records as the third signal, against real sockets.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{PROTOCOLS, SOON, config, endpoint, logged};
use observability::metrics::{DropReason, Signal};
use observability::testing::{Behaviour, OtlpReceiver};
use observability::{OtelConfig, OtelGuard};
use tracing_subscriber::layer::SubscriberExt as _;

const LOGS: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");
const ONLY_LOGS: [(&str, &str); 3] =
    [LOGS, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];

/// Starts telemetry, lets `act` log through its layer, and ends it.
fn exported(config: &OtelConfig, act: impl FnOnce(&OtelGuard)) {
    let guard = OtelGuard::start(config);
    let layer = guard.log_layer().expect("logs are exported");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || act(&guard));
    guard.shutdown();
}

fn unix_nanos(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

#[test]
fn a_record_carries_its_time_severity_names_particulars_and_trace() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let receiver = OtlpReceiver::start().expect("a port");
        let config = config(&endpoint(&receiver, protocol), protocol, &[LOGS]);
        let before = unix_nanos(SystemTime::now());
        let mut trace = None;
        exported(&config, |guard| {
            let span = guard.tracer().span("attempt").start();
            trace = span.trace();
            {
                let _current = span.cx().clone().attach();
                tracing::info!(
                    name: "vmafx.attempt.started",
                    frames = 7_u64,
                    huge = u64::MAX,
                    ratio = 0.5,
                    forced = true,
                    node = "n-1",
                    error = &std::io::Error::other("broken") as &dyn std::error::Error,
                    "attempt {} started",
                    3
                );
            }
            span.end();
            tracing::error!(target: "elsewhere", "alone");
        });
        let after = unix_nanos(SystemTime::now());
        let logs = receiver.logs();
        assert_eq!(logs.len(), 2, "{protocol}: {logs:?}");
        let started = logs.iter().find(|log| log.target == module_path!()).expect("the first");
        assert_eq!(started.body, "attempt 3 started");
        assert_eq!(started.event_name, "vmafx.attempt.started");
        assert_eq!((started.severity, started.severity_text.as_str()), (9, "INFO"));
        assert!((before..=after).contains(&started.unix_nanos), "{protocol}");
        assert_eq!(started.observed_unix_nanos, started.unix_nanos);
        assert_eq!(started.attributes["frames"], 7);
        assert_eq!(started.attributes["huge"], u64::MAX.to_string());
        assert_eq!(started.attributes["ratio"], 0.5);
        assert_eq!(started.attributes["forced"], true);
        assert_eq!(started.attributes["node"], "n-1");
        assert_eq!(started.attributes["error"], "broken");
        assert_eq!(started.attributes.len(), 6);
        let trace = trace.expect("a trace");
        assert_eq!(started.trace_id, Some(trace.trace_id));
        assert_eq!((started.span_id, started.flags & 1), (Some(trace.span_id), 1));
        assert_eq!(started.flags, u32::from(trace.flags.0));
        assert_eq!(started.resource["service.name"], "vmafx-test");
        assert_eq!(receiver.spans()[0].span_id, trace.span_id, "{protocol}: the span is there too");
        let alone = logs.iter().find(|log| log.target == "elsewhere").expect("the second");
        assert_eq!((alone.trace_id, alone.span_id, alone.flags), (None, None, 0));
        assert_eq!((alone.severity, alone.event_name.as_str()), (17, ""));
    }
}

#[test]
fn what_is_said_within_an_unsampled_span_carries_its_ids() {
    let receiver = OtlpReceiver::start().expect("a port");
    let more = [LOGS, ("OTEL_TRACES_SAMPLER", "always_off")];
    let config = config(&receiver.http_endpoint(), "http/protobuf", &more);
    let mut trace = None;
    exported(&config, |guard| {
        let span = guard.tracer().span("quiet").start();
        trace = span.trace();
        let _current = span.cx().clone().attach();
        tracing::info!("heard");
    });
    let logs = receiver.logs();
    assert_eq!(logs[0].trace_id, Some(trace.expect("a trace").trace_id));
    assert_eq!(logs[0].flags & 1, 0);
    assert!(receiver.spans().is_empty());
}

#[test]
fn an_endpoint_alone_sends_no_logs() {
    let receiver = OtlpReceiver::start().expect("a port");
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &[]));
    assert!(guard.log_layer().is_none());
}

#[test]
fn what_carries_messages_never_leaves_at_any_level() {
    let receiver = OtlpReceiver::start().expect("a port");
    let config = config(&receiver.http_endpoint(), "http/protobuf", &ONLY_LOGS);
    exported(&config, |_| {
        tracing::error!(target: "h2::codec", "carrier");
        tracing::trace!(target: "hyper_util::client", "carrier");
        tracing::error!(target: "tonic", "carrier");
        tracing::error!(target: "tower::buffer", "carrier");
        tracing::error!(target: "rustls::conn", "carrier");
        tracing::error!(target: "opentelemetry_sdk", "carrier");
        tracing::trace!(target: "vmafx_node", "ours");
    });
    let logs = receiver.logs();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(logs[0].target, "vmafx_node");
}

#[test]
fn what_the_exporting_thread_says_is_heard_and_not_exported() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::RejectSpans(1));
        let config = config(&endpoint(&receiver, protocol), protocol, &ONLY_LOGS);
        let heard = common::Captured::default();
        let writer = heard.clone();
        // The thread speaks through whatever was installed when it started, so the layer has to be
        // there before: that of another guard with the same collector.
        let first = OtelGuard::start(&config);
        let subscriber = tracing_subscriber::registry()
            .with(first.log_layer())
            .with(tracing_subscriber::fmt::layer().with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let second = OtelGuard::start(&config);
            let layer = second.log_layer().expect("logs are exported");
            let own = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(own, || tracing::info!("refused"));
            second.flush(SOON);
            second.shutdown();
        });
        first.shutdown();
        let heard = heard.lines();
        assert!(heard.iter().any(|line| line.contains("refused part")), "{protocol}: {heard:?}");
        let bodies: Vec<_> = receiver.logs().into_iter().map(|log| log.body).collect();
        assert!(bodies.iter().any(|body| body == "refused"), "{protocol}: {bodies:?}");
        let looped = |body: &&serde_json::Value| body.to_string().contains("refused part");
        assert_eq!(bodies.iter().find(looped), None, "{protocol}");
    }
}

#[test]
fn a_full_queue_drops_records_and_counts_them_exactly() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Hang);
    let mut more = ONLY_LOGS.to_vec();
    more.extend([("OTEL_BLRP_MAX_QUEUE_SIZE", "10"), ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "5")]);
    let config = config(&receiver.http_endpoint(), "http/protobuf", &more);
    let mut metrics = None;
    exported(&config, |guard| {
        metrics = Some(guard.metrics().clone());
        for index in 0..100 {
            tracing::info!(index, "too many");
        }
    });
    let metrics = metrics.expect("started");
    let dropped = |reason| metrics.telemetry().dropped_total(Signal::Logs, reason);
    let overflow = dropped(DropReason::QueueFull);
    assert!((85..=90).contains(&overflow), "{overflow}");
    let lost = dropped(DropReason::ExportFailed) + dropped(DropReason::Shutdown);
    assert_eq!(overflow + lost, 100);
    assert_eq!(metrics.telemetry().exported_total(Signal::Logs), 0);
}

#[test]
fn ten_thousand_records_arrive_without_loss_soon_after_they_are_said() {
    const COUNT: usize = 10_000;
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let mut more = ONLY_LOGS.to_vec();
        more.extend([("OTEL_BLRP_MAX_QUEUE_SIZE", "10000"), ("OTEL_BLRP_SCHEDULE_DELAY", "10")]);
        let config = config(&endpoint(&receiver, protocol), protocol, &more);
        exported(&config, |guard| {
            for index in 0..COUNT {
                tracing::info!(index, "one of many");
            }
            // Nobody asks for it: the schedule alone brings them.
            receiver.wait_for_logs(SOON, |logs| logs.len() == COUNT).expect("all of them");
            let wait = Duration::from_millis(1);
            while guard.metrics().telemetry().exported_total(Signal::Logs) < COUNT as u64 {
                guard.flush(wait);
            }
        });
    }
}

#[test]
fn records_are_cut_to_their_limits() {
    let receiver = OtlpReceiver::start().expect("a port");
    let mut more = ONLY_LOGS.to_vec();
    more.extend([
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
    ]);
    let config = config(&receiver.http_endpoint(), "http/protobuf", &more);
    exported(&config, |_| tracing::info!(a = "long text", b = 2, c = 3, "long text"));
    let logs = receiver.logs();
    assert_eq!(logs[0].attributes["a"], "long");
    assert_eq!((logs[0].attributes.len(), logs[0].dropped_attributes), (1, 2));
    assert_eq!(logs[0].body, "long");
}

#[test]
fn a_collector_without_logs_is_complained_of_once() {
    let receiver = OtlpReceiver::start().expect("a port");
    // Nothing is served at this path.
    let url = format!("{}/nowhere", receiver.http_endpoint());
    let mut more = ONLY_LOGS.to_vec();
    more.push(("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &url));
    let config = config(&receiver.http_endpoint(), "http/protobuf", &more);
    let lines = logged(|| {
        let guard = OtelGuard::start(&config);
        let layer = guard.log_layer().expect("logs are exported");
        for _ in 0..3 {
            let own = tracing_subscriber::registry().with(layer.clone());
            tracing::subscriber::with_default(own, || tracing::info!("lost"));
            guard.flush(SOON);
        }
    });
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    assert!(warnings[0].contains("HTTP status 404"), "{}", warnings[0]);
}
