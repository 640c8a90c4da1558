//! The end of telemetry in front of every kind of bad collector, one after the other and with nothing
//! beside it, so that the bound can be as narrow as the promise.

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{PROTOCOLS, config, endpoint, record};
use observability::metrics::{DropReason, Signal};
use observability::testing::{Behaviour, OtlpReceiver};
use observability::{OtelGuard, SHUTDOWN_BUDGET};

/// What the machine may add to the budget.
const MARGIN: Duration = Duration::from_secs(1);

/// Spans of which none arrives.
const SPANS: u64 = 100;

/// Starts telemetry, records, and ends, which flushes, and checks how long each took.
fn check_ends_in_time(endpoint: &str, protocol: &str, case: &str) {
    let more = [
        // Whoever waited for the collector would wait for two minutes.
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "120000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "120000"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ];
    let started = Instant::now();
    let guard = OtelGuard::start(&config(endpoint, protocol, &more));
    for _ in 0..SPANS {
        guard.tracer().emit_span(record("lost"));
    }
    guard.metrics().queue().submitted(1);
    let took = started.elapsed();
    assert!(took < MARGIN, "{case}, {protocol}: start and spans took {took:?}");
    let metrics = guard.metrics().clone();
    let stopped = Instant::now();
    guard.shutdown();
    let took = stopped.elapsed();
    println!("{case}, {protocol}: {took:?}");
    assert!(took < SHUTDOWN_BUDGET + MARGIN, "{case}, {protocol}: the end took {took:?}");
    let lost = [DropReason::ExportFailed, DropReason::Shutdown]
        .map(|reason| metrics.telemetry().dropped_total(Signal::Traces, reason));
    assert_eq!(lost.iter().sum::<u64>(), SPANS, "{case}, {protocol}");
}

#[test]
fn whatever_the_collector_does_flush_and_end_take_three_seconds_at_most() {
    assert_eq!(SHUTDOWN_BUDGET, Duration::from_secs(3), "what is promised");
    let hour = Duration::from_secs(3_600);
    // Takes connections into its backlog and says nothing, ever.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", listener.local_addr().expect("bound"));
    for protocol in PROTOCOLS {
        // A port that was free a moment ago: whoever calls there is refused.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
        let refusing = format!("http://{}", free.expect("bound"));
        check_ends_in_time(&refusing, protocol, "refusing");
        check_ends_in_time(&silent, protocol, "silent");
        for behaviour in [
            Behaviour::Hang,
            Behaviour::Slow(hour),
            Behaviour::Refuse(503),
            Behaviour::RetryAfter(hour),
        ] {
            let receiver = OtlpReceiver::start().expect("a port");
            receiver.behave(behaviour);
            let endpoint = endpoint(&receiver, protocol);
            check_ends_in_time(&endpoint, protocol, &format!("{behaviour:?}"));
            assert!(receiver.requests() > 0, "{behaviour:?}, {protocol}: it was never asked");
        }
    }
}
