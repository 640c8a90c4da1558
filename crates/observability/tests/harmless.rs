//! A collector in any bad state costs telemetry, which is counted, and nothing else.
//!
//! Every case runs over both transports, against real sockets. What goes wrong elsewhere, and what
//! shows that it does not here:
//!
//! | Known trouble | Shown by |
//! |---|---|
//! | the exporter needs a runtime, or blocks the one it is on | `the_end_within_a_blocked_runtime_loses_nothing` in `export.rs`; every test here has no runtime |
//! | the end reports success though the last export failed | the exact counts of `check_harmless` |
//! | telemetry causes telemetry | `quiet.rs`; `telemetry_at_trace_level_feeds_no_signal` in `process.rs` |
//! | a full queue drops in silence | `a_stalled_collector_keeps_memory_bounded_and_drops_are_exact` |
//! | time limits of single exports are read and not kept | `the_time_limit_of_each_signal_is_kept` |
//! | a flush waits for ever | `a_flush_returns_when_its_time_is_up` |
//! | a refusal is retried for ever, or at once | `a_pause_that_a_collector_asks_for_is_kept`, `a_collector_that_refuses_does_no_harm`, `src/export/retry.rs` |
//! | a panic of a metric's reader ends the thread | `a_panicking_reader_costs_its_own_points_only` in `export.rs` |
//! | whole numbers become texts, events are named after source lines, times are missing | `a_record_carries_its_time_...` in `otlp_logs.rs` |
//! | a connection that died without a word is used for minutes | `a_connection_that_fell_silent_is_replaced` |

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::{PROTOCOLS, Relay, SOON, address, config, endpoint, logged, record};
use observability::metrics::{DropReason, Metrics, Signal};
use observability::testing::{Behaviour, Clients, OtlpReceiver, TestPki, TlsFront};
use observability::{OtelGuard, SHUTDOWN_BUDGET};
use tracing_subscriber::layer::SubscriberExt as _;

/// What a busy machine may add to a bound that the code keeps.
const MARGIN: Duration = Duration::from_secs(30);
/// The time limit of a message, in milliseconds: whoever waited for a collector would wait for
/// longer than bound and margin.
const TIMEOUT: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "120000");

/// Spans that each case loses.
const SPANS: u64 = 100;

fn dropped(metrics: &Metrics, reasons: &[DropReason]) -> u64 {
    let of = |reason: &DropReason| metrics.telemetry().dropped_total(Signal::Traces, *reason);
    reasons.iter().map(of).sum()
}

/// Checks that neither start nor recording nor end waits for what is at `endpoint`, and that every
/// span is counted as lost. An encrypted endpoint is given a certificate to be checked by.
fn check_harmless(endpoint: &str, protocol: &str, case: &str) {
    let pki = endpoint.starts_with("https").then(|| TestPki::new().expect("keys"));
    let authority = pki.as_ref().map(|pki| pki.authority().display().to_string());
    let mut more = vec![TIMEOUT, ("OTEL_BSP_EXPORT_TIMEOUT", "120000")];
    more.extend(authority.as_ref().map(|path| ("OTEL_EXPORTER_OTLP_CERTIFICATE", path.as_str())));
    let started = Instant::now();
    let guard = OtelGuard::start(&config(endpoint, protocol, &more));
    for _ in 0..SPANS {
        guard.tracer().emit_span(record("lost"));
    }
    assert!(started.elapsed() < MARGIN, "{case}: start and spans took {:?}", started.elapsed());
    let metrics = guard.metrics().clone();
    let stopped = Instant::now();
    guard.shutdown();
    let took = stopped.elapsed();
    assert!(took < SHUTDOWN_BUDGET + MARGIN, "{case}: the end took {took:?}");
    let lost = dropped(&metrics, &[DropReason::ExportFailed, DropReason::Shutdown]);
    assert_eq!(lost, SPANS, "{case}");
    assert_eq!(metrics.telemetry().exported_total(Signal::Traces), 0, "{case}");
}

/// A server that does `act` with each connection, until the program ends.
fn server(act: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            act(connection.expect("a connection"));
        }
    });
    address
}

fn mail_server(mut connection: TcpStream) {
    let mut request = [0; 64];
    // Whatever comes of reading or writing, the connection ends here.
    let _ = connection.read(&mut request);
    let _ = connection.write_all(b"220 mail at your service\r\n");
}

/// An address where connections are not even taken: the backlog is full. The sockets keep it so.
fn black_hole() -> (SocketAddr, Vec<TcpStream>, tokio::runtime::Runtime, tokio::net::TcpListener) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        socket.listen(1).expect("listens")
    });
    let address = listener.local_addr().expect("its address");
    let mut waiting = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(connection);
        assert!(waiting.len() < 64, "the backlog has an end");
    }
    (address, waiting, runtime, listener)
}

/// Runs all cases at once: most of their time is waiting.
fn check_all(cases: &[(String, &str, String)]) {
    std::thread::scope(|scope| {
        for (endpoint, protocol, case) in cases {
            scope.spawn(move || {
                check_harmless(endpoint, protocol, &format!("{case}, {endpoint}, {protocol}"));
            });
        }
    });
}

fn by_both(url: &str, case: &str) -> [(String, &'static str, String); 2] {
    PROTOCOLS.map(|protocol| (url.to_owned(), protocol, case.to_owned()))
}

#[test]
fn whatever_is_at_the_endpoint_does_no_harm() {
    // A port that was free a moment ago: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    // Takes connections into its backlog and says nothing, ever.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (hole, _backlog, _runtime, _listener) = black_hole();
    let silent_address = silent.local_addr().expect("its address");
    let cases = [
        (free, "nobody there"),
        (silent_address, "silence"),
        (hole, "a black hole"),
        (server(mail_server), "a mail server"),
        (server(drop), "a server that hangs up"),
    ];
    let cases: Vec<_> = cases
        .into_iter()
        .flat_map(|(address, case)| {
            let in_plain = by_both(&format!("http://{address}"), case);
            let encrypted = by_both(&format!("https://{address}"), case);
            in_plain.into_iter().chain(encrypted)
        })
        .collect();
    check_all(&cases);
}

#[test]
fn a_collector_that_refuses_does_no_harm() {
    let hour = Duration::from_secs(3_600);
    let mut receivers = Vec::new();
    let mut cases = Vec::new();
    for behaviour in [
        Behaviour::Refuse(503),
        Behaviour::Refuse(429),
        Behaviour::Refuse(400),
        Behaviour::RetryAfter(hour),
        Behaviour::Hang,
        Behaviour::Slow(hour),
    ] {
        for protocol in PROTOCOLS {
            let receiver = OtlpReceiver::start().expect("a port");
            receiver.behave(behaviour);
            cases.push((endpoint(&receiver, protocol), protocol, format!("{behaviour:?}")));
            receivers.push(receiver);
        }
    }
    check_all(&cases);
    assert!(
        receivers.iter().all(|receiver| receiver.requests() > 0 && receiver.spans().is_empty())
    );
}

#[test]
fn a_server_of_another_protocol_does_no_harm() {
    let receiver = OtlpReceiver::start().expect("a port");
    let pki = TestPki::new().expect("keys");
    let front = |protocol| {
        TlsFront::start(address(&receiver, protocol), &pki, Clients::Anybody).expect("a port")
    };
    let fronts = PROTOCOLS.map(front);
    let mut cases = vec![
        (receiver.http_endpoint(), "grpc", "gRPC to an HTTP server".to_owned()),
        (receiver.grpc_endpoint(), "http/protobuf", "HTTP to a gRPC server".to_owned()),
    ];
    for (front, protocol) in fronts.iter().zip(PROTOCOLS) {
        let plain = format!("http://{}", front.address());
        cases.push((plain, protocol, "plain to a TLS server".to_owned()));
        let encrypted = format!("https://{}", address(&receiver, protocol));
        cases.push((encrypted, protocol, "TLS to a plain server".to_owned()));
        cases.push((front.endpoint(), protocol, "TLS of another authority".to_owned()));
    }
    check_all(&cases);
    assert!(receiver.spans().is_empty());
}

#[test]
fn a_slow_collector_gets_everything() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::Slow(Duration::from_millis(50)));
        let more = [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        for _ in 0..SPANS {
            guard.tracer().emit_span(record("patient"));
        }
        guard.flush(SOON);
        assert_eq!(receiver.spans().len() as u64, SPANS, "{protocol}");
        assert_eq!(guard.metrics().telemetry().exported_total(Signal::Traces), SPANS);
    }
}

#[test]
fn export_recovers_with_the_collector_and_counts_what_was_lost() {
    let hour = Duration::from_secs(3_600);
    for (behaviour, protocol) in [
        Behaviour::Refuse(400),
        Behaviour::Refuse(503),
        Behaviour::RetryAfter(hour),
        Behaviour::Hang,
    ]
    .into_iter()
    .flat_map(|behaviour| PROTOCOLS.map(|protocol| (behaviour, protocol)))
    {
        let case = format!("{behaviour:?}, {protocol}");
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(behaviour);
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "200"), ("OTEL_METRICS_EXPORTER", "none")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        guard.tracer().emit_span(record("lost"));
        guard.flush(SOON);
        assert_eq!(dropped(guard.metrics(), &[DropReason::ExportFailed]), 1, "{case}");
        assert!(receiver.requests() > 0, "{case}");
        receiver.behave(Behaviour::Accept);
        guard.tracer().emit_span(record("kept"));
        // A collector that asked to be left alone for an hour is asked again after the timeout.
        guard.flush(SOON);
        let spans = receiver.spans();
        assert_eq!(spans.len(), 1, "{case}");
        assert_eq!(spans[0].name, "kept", "{case}");
        assert_eq!(guard.metrics().telemetry().exported_total(Signal::Traces), 1, "{case}");
    }
}

#[test]
fn a_collector_that_is_gone_for_a_while_is_found_again() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let relay = Relay::start(address(&receiver, protocol));
        let url = format!("http://{}", relay.address());
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"), ("OTEL_METRICS_EXPORTER", "none")];
        let guard = OtelGuard::start(&config(&url, protocol, &more));
        guard.tracer().emit_span(record("before"));
        guard.flush(SOON);
        relay.cut();
        guard.tracer().emit_span(record("meanwhile"));
        guard.flush(SOON);
        assert_eq!(dropped(guard.metrics(), &[DropReason::ExportFailed]), 1, "{protocol}");
        relay.mend();
        guard.tracer().emit_span(record("after"));
        guard.flush(SOON);
        let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["before", "after"], "{protocol}");
    }
}

#[test]
fn a_connection_that_fell_silent_is_replaced() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let relay = Relay::start(address(&receiver, protocol));
        let url = format!("http://{}", relay.address());
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "500"), ("OTEL_METRICS_EXPORTER", "none")];
        let guard = OtelGuard::start(&config(&url, protocol, &more));
        guard.tracer().emit_span(record("before"));
        guard.flush(SOON);
        relay.silence_connections();
        guard.tracer().emit_span(record("meanwhile"));
        guard.flush(SOON);
        assert_eq!(dropped(guard.metrics(), &[DropReason::ExportFailed]), 1, "{protocol}");
        guard.tracer().emit_span(record("after"));
        guard.flush(SOON);
        let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["before", "after"], "{protocol}");
    }
}

#[test]
fn the_time_limit_of_each_signal_is_kept() {
    for (protocol, (limit, signal, others)) in PROTOCOLS.into_iter().flat_map(|protocol| {
        [
            ("OTEL_BSP_EXPORT_TIMEOUT", Signal::Traces, ["METRICS", "LOGS"]),
            ("OTEL_BLRP_EXPORT_TIMEOUT", Signal::Logs, ["METRICS", "TRACES"]),
            ("OTEL_METRIC_EXPORT_TIMEOUT", Signal::Metrics, ["TRACES", "LOGS"]),
        ]
        .map(|case| (protocol, case))
    }) {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::Hang);
        let off = others.map(|other| format!("OTEL_{other}_EXPORTER"));
        let mut more: Vec<_> = off.iter().map(|name| (name.as_str(), "none")).collect();
        // The time limit of the message alone would be far beyond the test's own.
        more.extend([(limit, "100"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")]);
        if signal == Signal::Logs {
            more.push(("OTEL_LOGS_EXPORTER", "otlp"));
        }
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        guard.tracer().emit_span(record("lost"));
        if let Some(layer) = guard.log_layer() {
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || tracing::info!("lost"));
        }
        guard.flush(SOON);
        let lost = guard.metrics().telemetry().dropped_total(signal, DropReason::ExportFailed);
        assert!(lost > 0, "{limit}, {protocol}");
    }
}

#[test]
fn a_flush_returns_when_its_time_is_up() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::Hang);
        let more = [("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        guard.tracer().emit_span(record("stuck"));
        // Without its bound, neither would ever return; the second finds the thread busy.
        guard.flush(Duration::from_millis(50));
        guard.flush(Duration::from_millis(50));
        receiver.wait_for_requests(SOON, 1).expect("it was tried");
    }
}

#[test]
fn a_refusal_that_passes_is_retried_until_it_has() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::Refuse(503));
        let more = [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "1")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        guard.tracer().emit_span(record("patient"));
        receiver.wait_for_requests(SOON, 1).expect("a first try");
        receiver.behave(Behaviour::Accept);
        let spans = receiver.wait_until(SOON, |spans| !spans.is_empty()).expect("a later try");
        assert_eq!(spans.len(), 1, "{protocol}");
        assert!(receiver.requests() >= 2, "{protocol}");
    }
}

#[test]
fn a_pause_that_a_collector_asks_for_is_kept() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::RetryAfter(Duration::from_secs(2)));
        let more = [("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "1")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        let started = Instant::now();
        guard.tracer().emit_span(record("patient"));
        receiver.wait_for_requests(SOON, 1).expect("a first try");
        receiver.behave(Behaviour::Accept);
        receiver.wait_until(SOON, |spans| !spans.is_empty()).expect("a later try");
        // The pause is spread by a quarter; ours alone would have ended after an eighth of a second.
        assert!(started.elapsed() > Duration::from_secs(1), "{protocol}");
    }
}

#[test]
fn what_is_refused_of_a_message_is_counted_and_logged_once_in_a_row() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::RejectSpans(2));
        let more = [("OTEL_METRICS_EXPORTER", "none")];
        let config = config(&endpoint(&receiver, protocol), protocol, &more);
        let lines = logged(|| {
            let guard = OtelGuard::start(&config);
            for round in 1..=3 {
                for _ in 0..3 {
                    guard.tracer().emit_span(record("partly kept"));
                }
                guard.flush(SOON);
                let rejected = dropped(guard.metrics(), &[DropReason::Rejected]);
                let exported = guard.metrics().telemetry().exported_total(Signal::Traces);
                assert_eq!((rejected, exported), (2 * round, round), "{protocol}");
            }
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("refused=2") && lines[0].contains("told to"), "{}", lines[0]);
    }
}

#[test]
fn a_stalled_collector_keeps_memory_bounded_and_drops_are_exact() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        receiver.behave(Behaviour::Hang);
        let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")];
        let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
        let metrics = guard.metrics().clone();
        for _ in 0..1_000 {
            guard.tracer().emit_span(record("too many"));
        }
        // At most a full queue and the message on its way are kept.
        let overflow = dropped(&metrics, &[DropReason::QueueFull]);
        assert!((64..=80).contains(&(1_000 - overflow)), "{protocol}: {overflow}");
        guard.shutdown();
        let lost = dropped(&metrics, &[DropReason::ExportFailed, DropReason::Shutdown]);
        assert_eq!(overflow + lost, 1_000, "{protocol}");
    }
}
