//! Spans and metrics on their way to a collector, against real sockets.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use observability::config::{OtelConfig, Protocol};
use observability::metrics::{DropReason, Signal};
use observability::sampler::{ParentRule, RootRule, SamplerConfig};
use observability::testing::{Behaviour, OtlpReceiver, check_tree};
use observability::{
    Origin, OtelGuard, Parent, SHUTDOWN_BUDGET, SpanKind, SpanLink, SpanRecord, new_span_id,
    new_trace_id,
};
use types::{Timestamp, TraceContext, TraceFlags};

const SOON: Duration = Duration::from_secs(20);
/// What a busy machine may add to a bound that is kept.
const MARGIN: Duration = Duration::from_millis(700);

fn endpoint(receiver: &OtlpReceiver, protocol: Protocol) -> (String, &'static str) {
    match protocol {
        Protocol::HttpProtobuf => (receiver.http_endpoint(), "http/protobuf"),
        Protocol::HttpJson => (receiver.http_endpoint(), "http/json"),
        Protocol::Grpc => (receiver.grpc_endpoint(), "grpc"),
    }
}

fn config(endpoint: &str, protocol: &str, more: &[(&str, &str)]) -> OtelConfig {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
    ];
    let config = OtelConfig::from_env("vmafx-test", |name| {
        let found = more.iter().chain(&variables).find(|(have, _)| *have == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config
}

fn record(name: &'static str) -> SpanRecord {
    let context = TraceContext {
        trace_id: new_trace_id(),
        span_id: new_span_id(),
        flags: TraceFlags::SAMPLED,
        tracestate: String::new(),
    };
    SpanRecord::new(context, SpanKind::Internal, name, Timestamp::EPOCH, Timestamp::EPOCH)
}

#[test]
fn given_ids_and_times_arrive_unchanged_by_both_protocols() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        for compression in ["none", "gzip"] {
            let receiver = OtlpReceiver::start().expect("a port");
            let (endpoint, word) = endpoint(&receiver, protocol);
            let more = [
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven"),
                ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod%2D1"),
            ];
            let guard = OtelGuard::start(&config(&endpoint, word, &more));
            let root = record("job").context;
            let attempt = root.with_span(new_span_id());
            let (start, end) =
                (Timestamp::from_unix_micros(1_000_000), Timestamp::from_unix_micros(3_500_001));
            let tracer = guard.tracer();
            tracer.emit_span(
                SpanRecord::new(attempt.clone(), SpanKind::Consumer, "process", start, end)
                    .child_of(root.span_id, Origin::Remote)
                    .with_link(SpanLink::new(root.clone(), "creation"))
                    .failed("timed_out", "the attempt took too long"),
            );
            tracer.emit_span(SpanRecord::new(root.clone(), SpanKind::Internal, "job", start, end));
            guard.shutdown();
            let spans = receiver.spans();
            assert_eq!(check_tree(&spans).expect("whole").span_id, root.span_id);
            let process = spans.iter().find(|span| span.name == "process").expect("arrived");
            assert_eq!((process.trace_id, process.span_id), (attempt.trace_id, attempt.span_id));
            assert_eq!(process.parent_span_id, Some(root.span_id));
            assert_eq!(process.start_unix_nanos, 1_000_000_000);
            assert_eq!(process.end_unix_nanos, 3_500_001_000);
            assert_eq!(process.kind, SpanKind::Consumer);
            assert_eq!(process.links[0].span_id, root.span_id);
            assert_eq!(process.text("error.type"), "timed_out");
            assert_eq!(process.error.as_deref(), Some("the attempt took too long"));
            assert_eq!(process.service(), "vmafx-test");
            assert_eq!(process.resource["k8s.pod.name"], "pod-1");
            let headers = receiver.last_headers().expect("a message came");
            assert_eq!(headers["x-tenant"], "seven");
        }
    }
}

#[test]
fn unsampled_spans_stay_here_and_sampled_callers_are_followed_at_ratio_zero() {
    let receiver = OtlpReceiver::start().expect("a port");
    let mut config = config(&receiver.http_endpoint(), "http/protobuf", &[]);
    config.sampler = SamplerConfig { parent: ParentRule::Follow, root: RootRule::AlwaysOff };
    let guard = OtelGuard::start(&config);
    let tracer = guard.tracer();
    let mut unsampled = record("unsampled");
    unsampled.context.flags = TraceFlags(0);
    tracer.emit_span(unsampled.clone());
    tracer.span("root").parent(Parent::Root).start().end();
    tracer.span("child of unsampled").parent(Parent::Remote(unsampled.context)).start().end();
    let caller = record("caller").context;
    let span = tracer.span("child").parent(Parent::Remote(caller.clone())).start();
    let inner = {
        let _current = span.cx().clone().attach();
        tracer.span("grandchild").start()
    };
    inner.end();
    let span_id = span.trace().expect("within a trace").span_id;
    span.end();
    tracer.span("forced").parent(Parent::Root).force().start().end();
    guard.shutdown();
    let mut spans = receiver.spans();
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["child", "forced", "grandchild"]);
    assert_eq!(spans[0].parent_span_id, Some(caller.span_id));
    assert_eq!((spans[0].span_id, spans[2].parent_span_id), (span_id, Some(span_id)));
    assert_eq!(spans[1].text("vmafx.sampling.reason"), "forced");
}

#[test]
fn a_promoted_span_is_exported_with_the_context_it_handed_out() {
    let receiver = OtlpReceiver::start().expect("a port");
    let mut config = config(&receiver.http_endpoint(), "http/protobuf", &[]);
    config.sampler = SamplerConfig { parent: ParentRule::Follow, root: RootRule::AlwaysOff };
    let guard = OtelGuard::start(&config);
    let mut caller = record("caller").context;
    caller.flags = TraceFlags(0);
    let parent = Parent::Remote(caller.clone());
    let mut span = guard.tracer().span("quiet").parent(parent).start();
    assert!(!span.is_recording());
    span.promote(SpanKind::Server, "wanted");
    let handed_out = span.trace().expect("a trace");
    assert!(handed_out.flags.is_sampled());
    span.end();
    guard.shutdown();
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].name.as_str(), spans[0].span_id), ("wanted", handed_out.span_id));
    assert_eq!(spans[0].trace_id, caller.trace_id);
    // The caller is not recorded: as a parent it would leave the trace without a root.
    assert_eq!(spans[0].parent_span_id, None);
    assert_eq!(spans[0].links[0].span_id, caller.span_id);
    assert_eq!(spans[0].text("vmafx.sampling.reason"), "forced");
}

#[test]
fn ten_thousand_spans_arrive_without_loss() {
    const COUNT: usize = 10_000;
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let receiver = OtlpReceiver::start().expect("a port");
        let (endpoint, word) = endpoint(&receiver, protocol);
        let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "10000")];
        let guard = OtelGuard::start(&config(&endpoint, word, &more));
        for _ in 0..COUNT {
            guard.tracer().emit_span(record("one of many"));
        }
        guard.flush(SOON);
        assert_eq!(receiver.spans().len(), COUNT);
        assert_eq!(guard.metrics().telemetry().exported_total(Signal::Traces), COUNT as u64);
        guard.shutdown();
    }
}

#[test]
fn metrics_are_pushed_at_their_interval_and_at_the_end() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let receiver = OtlpReceiver::start().expect("a port");
        let (endpoint, word) = endpoint(&receiver, protocol);
        let more = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRIC_EXPORT_INTERVAL", "50")];
        let guard = OtelGuard::start(&config(&endpoint, word, &more));
        guard.metrics().queue().submitted(5);
        receiver.wait_for_requests(SOON, 2).expect("two intervals");
        guard.metrics().queue().submitted(1);
        guard.shutdown();
        let metrics = receiver.metrics();
        let submitted = metrics.iter().find(|metric| metric.name == "vmafx.jobs.submitted");
        let text = format!("{:?}", submitted.expect("pushed").data);
        assert!(text.contains("AsInt(6)"), "{text}");
        assert_eq!(receiver.metric_resource()["service.name"], "vmafx-test");
    }
}

/// Starts telemetry towards `endpoint`, ends a span, and checks that neither the start nor the
/// span nor the end takes longer than it may, and that the span is counted as dropped.
fn check_harmless(endpoint: &str, protocol: &str, case: &str) {
    let started = Instant::now();
    let guard = OtelGuard::start(&config(endpoint, protocol, &[]));
    assert!(started.elapsed() < MARGIN, "{case}: start took {:?}", started.elapsed());
    let ended = Instant::now();
    for _ in 0..100 {
        guard.tracer().emit_span(record("lost"));
    }
    assert!(ended.elapsed() < MARGIN, "{case}: 100 spans took {:?}", ended.elapsed());
    let metrics = guard.metrics().clone();
    let stopped = Instant::now();
    guard.shutdown();
    let took = stopped.elapsed();
    assert!(took < SHUTDOWN_BUDGET + MARGIN, "{case}: the end took {took:?}");
    let dropped: u64 = [DropReason::ExportFailed, DropReason::Shutdown]
        .into_iter()
        .map(|reason| metrics.telemetry().dropped_total(Signal::Traces, reason))
        .sum();
    assert_eq!(dropped, 100, "{case}");
    assert_eq!(metrics.telemetry().exported_total(Signal::Traces), 0, "{case}");
}

#[test]
fn a_collector_that_is_not_there_does_no_harm() {
    // A port that was free a moment ago: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    for protocol in ["http/protobuf", "grpc"] {
        check_harmless(&format!("http://{free}"), protocol, "nobody there");
    }
}

#[test]
fn a_collector_that_never_answers_does_no_harm() {
    // Takes connections into its backlog and says nothing, ever.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    for protocol in ["http/protobuf", "grpc"] {
        check_harmless(&format!("http://{address}"), protocol, "silence");
    }
}

#[test]
fn a_collector_that_refuses_does_no_harm() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        for behaviour in [Behaviour::Refuse(503), Behaviour::Refuse(400), Behaviour::Hang] {
            let receiver = OtlpReceiver::start().expect("a port");
            receiver.behave(behaviour);
            let (endpoint, word) = endpoint(&receiver, protocol);
            check_harmless(&endpoint, word, &format!("{protocol:?} {behaviour:?}"));
            assert!(receiver.requests() > 0);
        }
    }
}

#[test]
fn a_server_of_another_protocol_does_no_harm() {
    let receiver = OtlpReceiver::start().expect("a port");
    check_harmless(&receiver.http_endpoint(), "grpc", "gRPC to an HTTP server");
    check_harmless(&receiver.grpc_endpoint(), "http/protobuf", "HTTP to a gRPC server");
    let gibberish = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gibberish.local_addr().expect("its address");
    std::thread::spawn(move || {
        for connection in gibberish.incoming() {
            let mut connection = connection.expect("a connection");
            let mut request = [0; 64];
            // Whatever comes of reading or writing, the connection ends here.
            let _ = connection.read(&mut request);
            let _ = std::io::Write::write_all(&mut connection, b"220 mail at your service\r\n");
        }
    });
    for protocol in ["http/protobuf", "grpc"] {
        check_harmless(&format!("http://{address}"), protocol, "a mail server");
    }
}

#[test]
fn export_recovers_with_the_collector_and_counts_what_was_lost() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Refuse(400));
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &[]));
    let telemetry = guard.metrics().telemetry();
    guard.tracer().emit_span(record("lost"));
    guard.flush(SOON);
    assert_eq!(telemetry.dropped_total(Signal::Traces, DropReason::ExportFailed), 1);
    receiver.behave(Behaviour::Accept);
    guard.tracer().emit_span(record("kept"));
    guard.flush(SOON);
    assert_eq!(receiver.spans().len(), 1);
    receiver.behave(Behaviour::RejectSpans(2));
    for _ in 0..3 {
        guard.tracer().emit_span(record("partly kept"));
    }
    guard.flush(SOON);
    assert_eq!(telemetry.dropped_total(Signal::Traces, DropReason::Rejected), 2);
    assert_eq!(telemetry.exported_total(Signal::Traces), 2);
}

#[test]
fn a_refusal_that_passes_is_retried_until_it_has() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Refuse(503));
    let guard = OtelGuard::start(&config(
        &receiver.http_endpoint(),
        "http/protobuf",
        &[("OTEL_METRICS_EXPORTER", "none"), ("OTEL_BSP_SCHEDULE_DELAY", "1")],
    ));
    guard.tracer().emit_span(record("patient"));
    receiver.wait_for_requests(SOON, 1).expect("a first try");
    receiver.behave(Behaviour::Accept);
    let spans = receiver.wait_until(SOON, |spans| !spans.is_empty()).expect("a later try");
    assert_eq!(spans.len(), 1);
    assert!(receiver.requests() >= 2);
}

#[test]
fn a_stalled_collector_keeps_memory_bounded_and_drops_are_exact() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Hang);
    let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")];
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &more));
    let metrics = guard.metrics().clone();
    for _ in 0..1_000 {
        guard.tracer().emit_span(record("too many"));
    }
    let dropped = |reason| metrics.telemetry().dropped_total(Signal::Traces, reason);
    // At most a full queue and the message on its way are kept.
    let kept = 1_000 - dropped(DropReason::QueueFull);
    assert!((64..=80).contains(&kept), "{kept}");
    guard.shutdown();
    let lost = dropped(DropReason::ExportFailed) + dropped(DropReason::Shutdown);
    assert_eq!(dropped(DropReason::QueueFull) + lost, 1_000);
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_within_a_blocked_runtime_loses_nothing() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let receiver = OtlpReceiver::start().expect("a port");
        let (endpoint, word) = endpoint(&receiver, protocol);
        let guard = OtelGuard::start(&config(&endpoint, word, &[]));
        guard.tracer().emit_span(record("last words"));
        // Inline on the only thread of the runtime, where the SDK's exporter hangs.
        let started = Instant::now();
        drop(guard);
        assert!(started.elapsed() < SHUTDOWN_BUDGET, "{protocol:?}");
        assert_eq!(receiver.spans().len(), 1, "{protocol:?}");
    }
}

#[tokio::test]
async fn the_end_can_be_awaited() {
    let receiver = OtlpReceiver::start().expect("a port");
    let guard = OtelGuard::start(&config(&receiver.grpc_endpoint(), "grpc", &[]));
    guard.tracer().emit_span(record("last words"));
    guard.shutdown_async().await;
    assert_eq!(receiver.spans().len(), 1);
}
