//! Spans and metrics on their way to a collector, against real sockets.

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{PROTOCOLS, SOON, config, endpoint, record};
use http_body_util::Empty;
use observability::config::SpanLimits;
use observability::layers::{GrpcClientLayer, GrpcMethods};
use observability::metrics::Signal;
use observability::sampler::{ParentRule, RootRule, SamplerConfig};
use observability::testing::{Behaviour, OtlpReceiver, check_tree};
use observability::{
    KeyValue, Origin, OtelGuard, Parent, SpanEvent, SpanKind, SpanLink, SpanRecord, new_span_id,
    with_context,
};
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use types::{Timestamp, TraceFlags};

#[test]
fn given_ids_and_times_arrive_unchanged_by_both_protocols() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        for compression in ["none", "gzip"] {
            let receiver = OtlpReceiver::start().expect("a port");
            let endpoint = endpoint(&receiver, protocol);
            let more = [
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven"),
                ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod%2D1"),
            ];
            let guard = OtelGuard::start(&config(&endpoint, protocol, &more));
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
            let encoding = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
            let compressed = headers.get(encoding).map(|value| value.to_str().expect("a word"));
            let expected = (compression == "gzip").then_some("gzip");
            assert_eq!(compressed, expected, "{protocol}");
        }
    }
}

#[test]
fn each_signal_goes_its_own_way_where_it_has_one() {
    let receivers = [(); 3].map(|()| OtlpReceiver::start().expect("a port"));
    let [traces, metrics, logs] = &receivers;
    let mut variables = vec![
        // What none of them is to take.
        ("OTEL_EXPORTER_OTLP_HEADERS".to_owned(), "x-tenant=nobody".to_owned()),
        ("OTEL_LOGS_EXPORTER".to_owned(), "otlp".to_owned()),
    ];
    for (signal, endpoint, protocol, compression) in [
        ("TRACES", traces.grpc_endpoint(), "grpc", "gzip"),
        ("METRICS", metrics.http_endpoint() + "/v1/metrics", "http/json", "none"),
        ("LOGS", logs.http_endpoint() + "/v1/logs", "http/protobuf", "gzip"),
    ] {
        for (part, value) in [
            ("ENDPOINT", endpoint.as_str()),
            ("PROTOCOL", protocol),
            ("COMPRESSION", compression),
            ("HEADERS", &format!("x-signal={signal}")),
        ] {
            variables.push((format!("OTEL_EXPORTER_OTLP_{signal}_{part}"), value.to_owned()));
        }
    }
    let more: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let guard = OtelGuard::start(&config("http://127.0.0.1:9", "grpc", &more));
    guard.tracer().emit_span(record("one"));
    let layer = guard.log_layer().expect("logs leave");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || tracing::info!("one"));
    guard.shutdown();

    let came = receivers.each_ref().map(|receiver| {
        let metrics = !receiver.metrics().is_empty();
        (receiver.spans().len(), metrics, receiver.logs().len())
    });
    assert_eq!(came, [(1, false, 0), (0, true, 0), (0, false, 1)]);
    let how = receivers.each_ref().map(|receiver| {
        let headers = receiver.last_headers().expect("a message came");
        let word = |name: &str| headers.get(name).map_or("", |it| it.to_str().expect("text"));
        ["content-type", "content-encoding", "grpc-encoding", "x-signal", "x-tenant"]
            .map(|name| word(name).to_owned())
    });
    assert_eq!(how[0], ["application/grpc", "", "gzip", "TRACES", ""]);
    assert_eq!(how[1], ["application/json", "", "", "METRICS", ""]);
    assert_eq!(how[2], ["application/x-protobuf", "gzip", "", "LOGS", ""]);
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
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = endpoint(&receiver, protocol);
        let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "10000")];
        let guard = OtelGuard::start(&config(&endpoint, protocol, &more));
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
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = endpoint(&receiver, protocol);
        let more = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRIC_EXPORT_INTERVAL", "50")];
        let guard = OtelGuard::start(&config(&endpoint, protocol, &more));
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

#[test]
fn deltas_are_pushed_when_preferred() {
    let receiver = OtlpReceiver::start().expect("a port");
    let more = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
    ];
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &more));
    for submitted in [5, 2] {
        guard.metrics().queue().submitted(submitted);
        guard.flush(SOON);
        let metrics = receiver.metrics();
        let found = metrics.iter().find(|metric| metric.name == "vmafx.jobs.submitted");
        let Some(metric::Data::Sum(sum)) = &found.expect("pushed").data else {
            panic!("not a sum")
        };
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Delta);
        let text = format!("{:?}", sum.data_points);
        assert!(text.contains(&format!("AsInt({submitted})")), "{text}");
    }
}

#[test]
fn a_panicking_reader_costs_its_own_points_only() {
    let receiver = OtlpReceiver::start().expect("a port");
    let guard = OtelGuard::start(&config(&receiver.grpc_endpoint(), "grpc", &[]));
    let def = observability::schema::instrument::NODE_SLOTS;
    guard.metrics().registry().observe(def, |_| panic!("the reader fails"));
    guard.metrics().queue().submitted(1);
    for _ in 0..2 {
        guard.flush(SOON);
        let names: Vec<_> =
            receiver.metrics().into_iter().map(|metric| metric.name.clone()).collect();
        assert!(names.iter().any(|name| name == "vmafx.jobs.submitted"), "{names:?}");
        assert!(!names.iter().any(|name| name == def.name), "{names:?}");
    }
    guard.tracer().emit_span(record("after the panic"));
    guard.shutdown();
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn what_a_span_may_hold_is_bounded_and_told() {
    let receiver = OtlpReceiver::start().expect("a port");
    let more = [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "1"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
    ];
    let config = config(&receiver.http_endpoint(), "http/protobuf", &more);
    assert_ne!(config.span_limits, SpanLimits::default());
    let guard = OtelGuard::start(&config);
    let mut full = record("job").with("a", "long text").with("b", 2).with("c", 3);
    for _ in 0..3 {
        let attributes = vec![KeyValue::new("why", "long text")];
        full.events.push(SpanEvent { name: "retry".into(), at: full.start, attributes });
        full.links.push(SpanLink::new(full.context.clone(), "creation"));
    }
    let linked = full.context.clone();
    guard.tracer().emit_span(full);
    // A running span takes no more either, however long it runs.
    let mut running = guard.tracer().span("running").parent(Parent::Root).start();
    for _ in 0..1_000 {
        running.set("a", "long text");
        running.event("retry", vec![KeyValue::new("why", "long text")]);
        running.link(SpanLink::new(linked.clone(), "creation"));
    }
    running.end();
    guard.shutdown();
    let spans = receiver.spans();
    assert_eq!(spans.len(), 2);
    for (span, offered) in spans.iter().zip([(3, 3, 3), (1_001, 1_000, 1_000)]) {
        assert_eq!(span.text("a"), "lon");
        assert_eq!((span.attributes.len(), span.events.len(), span.links.len()), (2, 1, 1));
        assert_eq!(span.links[0].attributes["vmafx.link"], "cre");
        let told = (span.dropped_attributes, span.dropped_events, span.dropped_links);
        assert_eq!(told, (offered.0 - 2, offered.1 - 1, offered.2 - 1), "{}", span.name);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_within_a_blocked_runtime_loses_nothing() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = endpoint(&receiver, protocol);
        let guard = OtelGuard::start(&config(&endpoint, protocol, &[]));
        guard.tracer().emit_span(record("last words"));
        // Inline on the only thread of the runtime, where an exporter that needs it would be stuck
        // and lose what it holds.
        drop(guard);
        assert_eq!(receiver.spans().len(), 1, "{protocol}");
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

/// Spans end faster than the collector answers, all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_never_empty_keeps_no_delivery_and_no_flush_waiting() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Slow(Duration::from_millis(5)));
    let more = [("OTEL_BSP_SCHEDULE_DELAY", "10")];
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &more));
    let (tracer, stop) = (guard.tracer().clone(), Arc::new(AtomicBool::new(false)));
    let pushing = std::thread::spawn({
        let (tracer, stop) = (tracer.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                tracer.emit_span(record("steady"));
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    });
    let steady = receiver.wait_until(SOON, |spans| !spans.is_empty());
    steady.expect("the stream of spans has begun");
    let delivery = tracer.deliver(vec![record("delivered")]);
    let delivered = tokio::time::timeout(SOON, delivery).await.expect("not kept waiting");
    assert_eq!(delivered.expect("taken"), 1);
    let flushed = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        guard.flush(SOON);
        (began.elapsed(), guard)
    });
    let (took, guard) = flushed.await.expect("no panic");
    assert!(took < SOON, "{took:?}");
    stop.store(true, Ordering::Relaxed);
    pushing.join().expect("no panic");
    guard.shutdown_async().await;
    assert!(receiver.spans().iter().any(|span| span.name == "delivered"));
}

#[tokio::test]
async fn whether_all_spans_have_arrived_can_be_asked() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = endpoint(&receiver, protocol);
        // Nothing leaves by itself.
        let more = [("OTEL_BSP_SCHEDULE_DELAY", "3600000"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "500")];
        let guard = OtelGuard::start(&config(&endpoint, protocol, &more));
        let confirm = || tokio::time::timeout(SOON, guard.tracer().confirm());
        confirm().await.expect("in time").expect("nothing is nothing lost");
        guard.tracer().emit_span(record("first"));
        confirm().await.expect("in time").expect("it was taken");
        assert_eq!(receiver.spans().len(), 1, "{protocol}: before the answer");

        receiver.behave(Behaviour::Refuse(400));
        guard.tracer().emit_span(record("lost"));
        let lost = confirm().await.expect("in time").expect_err("it was not");
        assert!(lost.to_string().contains("dropped"), "{protocol}: {lost}");
        receiver.behave(Behaviour::Accept);
        guard.tracer().emit_span(record("second"));
        confirm().await.expect("in time").expect("what was lost is told once");
        let names: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["first", "second"], "{protocol}");
        guard.shutdown_async().await;
    }
}

#[tokio::test]
async fn a_span_that_the_queue_had_no_room_for_has_not_arrived() {
    let receiver = OtlpReceiver::start().expect("a port");
    let more = [
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
    ];
    receiver.behave(Behaviour::Slow(Duration::from_millis(300)));
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &more));
    for _ in 0..20 {
        guard.tracer().emit_span(record("many"));
    }
    let confirmed = tokio::time::timeout(SOON, guard.tracer().confirm()).await.expect("in time");
    confirmed.expect_err("some were dropped");
    guard.shutdown_async().await;
}

/// What a receiver, and whoever was called, saw of one and the same work.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    /// The call had a `traceparent`.
    traceparent: bool,
    /// Measurements named their trace.
    exemplars: bool,
    /// Spans in the largest message.
    spans_of_a_message_max: usize,
    /// Attributes of an event, and how many it is said to have lost.
    of_event: (usize, u32),
    /// Attributes of a link, and how many it is said to have lost.
    of_link: (usize, u32),
}

/// Spans of the work besides that of the call.
const WORK_SPANS: usize = 9;

/// Nothing is set.
const USUAL: Seen = Seen {
    traceparent: true,
    exemplars: true,
    spans_of_a_message_max: WORK_SPANS + 1,
    of_event: (3, 0),
    of_link: (3, 0),
};

/// Whether a call within a span has a `traceparent`.
async fn is_call_traced(guard: &OtelGuard, cx: observability::Context) -> bool {
    let (sender, called) = std::sync::mpsc::channel();
    let next = service_fn(move |request: http::Request<()>| {
        sender.send(request.headers().contains_key("traceparent")).expect("heard");
        async { Ok::<_, Infallible>(http::Response::new(Empty::<bytes::Bytes>::new())) }
    });
    let target = "http://next.test".parse().expect("a URI");
    let methods = GrpcMethods::new(["a.v1.S/Run"]);
    let client = GrpcClientLayer::new(guard.telemetry(), methods, &target).layer(next);
    let request = http::Request::builder().uri("/a.v1.S/Run").body(()).expect("a request");
    with_context(cx, client.oneshot(request)).await.expect("infallible");
    called.recv().expect("called")
}

fn has_exemplars(metrics: &[Metric]) -> bool {
    metrics.iter().any(|metric| match &metric.data {
        Some(metric::Data::Histogram(histogram)) => {
            histogram.data_points.iter().any(|point| !point.exemplars.is_empty())
        }
        _ => false,
    })
}

async fn seen(protocol: &str, variable: (&str, &str)) -> Seen {
    let receiver = OtlpReceiver::start().expect("a port");
    // Nothing leaves before the end.
    let more = [("OTEL_BSP_SCHEDULE_DELAY", "3600000"), variable];
    let guard = OtelGuard::start(&config(&endpoint(&receiver, protocol), protocol, &more));
    let attributes = || ["a", "b", "c"].map(|key| KeyValue::new(key, 1)).to_vec();
    let mut full = record("full");
    let event = SpanEvent { name: "retry".into(), at: full.start, attributes: attributes() };
    full.events.push(event);
    full.links.push(SpanLink { context: record("other").context, attributes: attributes() });
    guard.tracer().emit_span(full);
    for _ in 2..WORK_SPANS {
        guard.tracer().emit_span(record("more"));
    }
    let span = guard.tracer().span("calls").parent(Parent::Root).start();
    {
        let _current = span.cx().clone().attach();
        guard.metrics().queue().waited(Duration::from_millis(1));
    }
    let traceparent = is_call_traced(&guard, span.cx().clone()).await;
    span.end();
    guard.shutdown_async().await;
    let spans = receiver.spans();
    assert_eq!(spans.len(), WORK_SPANS + 1, "{variable:?}");
    let full = spans.iter().find(|span| span.name == "full").expect("it came");
    let (event, link) = (&full.events[0], &full.links[0]);
    Seen {
        traceparent,
        exemplars: has_exemplars(&receiver.metrics()),
        spans_of_a_message_max: receiver.spans_of_a_message_max(),
        of_event: (event.attributes.len(), event.dropped_attributes),
        of_link: (link.attributes.len(), link.dropped_attributes),
    }
}

/// That each is read is told in `src/config/tests/table.rs`; here, that what was read is done.
#[tokio::test]
async fn a_variable_changes_what_it_is_for_and_nothing_else() {
    for (name, value, expected) in [
        ("OTEL_SERVICE_NAME", "usual", USUAL),
        ("OTEL_PROPAGATORS", "none", Seen { traceparent: false, ..USUAL }),
        ("OTEL_PROPAGATORS", "baggage", Seen { traceparent: false, ..USUAL }),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off", Seen { exemplars: false, ..USUAL }),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4", Seen { spans_of_a_message_max: 4, ..USUAL }),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "2", Seen { of_event: (2, 1), ..USUAL }),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "1", Seen { of_link: (1, 2), ..USUAL }),
    ] {
        for protocol in PROTOCOLS {
            let seen = seen(protocol, (name, value)).await;
            assert_eq!(seen, expected, "{name}={value}, {protocol}");
        }
    }
}
