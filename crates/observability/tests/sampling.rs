//! Sampling as others see it: on the wire, in the spans, in a running process.

use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use observability::layers::{
    GrpcClientLayer, GrpcMethods, GrpcServerLayer, HttpServerLayer, ServerSpan,
};
use observability::sampler::SamplingChange;
use observability::testing::{OtlpReceiver, ReceivedSpan};
use observability::{OtelConfig, OtelGuard, Parent, SpanLink, with_context};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use types::{TraceContext, TraceFlags};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

struct Bench {
    receiver: OtlpReceiver,
    guard: OtelGuard,
}

impl Bench {
    fn new(variables: &[(&str, &str)]) -> Self {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = receiver.http_endpoint();
        let config = OtelConfig::from_env("vmafx-test", |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => {
                let found = variables.iter().find(|(have, _)| *have == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        });
        Self { receiver, guard: OtelGuard::start(&config) }
    }

    fn finish(self) -> Vec<ReceivedSpan> {
        self.guard.shutdown();
        self.receiver.spans()
    }

    /// The headers of a call made within the span.
    async fn headers_of_a_call(&self, cx: observability::Context) -> HeaderMap {
        let target = "http://next.test".parse().expect("a URI");
        let methods = GrpcMethods::new(["a.v1.S/Run"]);
        let (sender, receiver) = std::sync::mpsc::channel();
        let next = service_fn(move |request: Request<()>| {
            sender.send(request.headers().clone()).expect("heard");
            let empty = Empty::<bytes::Bytes>::new();
            async move { Ok::<_, Infallible>(Response::new(empty)) }
        });
        let client = GrpcClientLayer::new(self.guard.telemetry(), methods, &target).layer(next);
        let request = Request::builder().uri("/a.v1.S/Run").body(()).expect("a request");
        with_context(cx, client.oneshot(request)).await.expect("infallible");
        receiver.recv().expect("called")
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
}

/// Where the ratio alone decides.
fn of_the_ratio() -> Bench {
    let variables =
        [("VMAFX_TRACES_MIN_PER_MINUTE", "0"), ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", "off")];
    Bench::new(&variables)
}

/// Whether the ids are random where the sampler looks is the generator's part of the promise. They
/// differ from run to run: one draw in 16,000 lies outside of four standard deviations by chance, so
/// of three draws two must lie within.
fn assert_one_in_a_hundred(mut is_recorded: impl FnMut() -> bool) {
    const ROOTS: u64 = 100_000;
    /// Four standard deviations of how many of so many are taken with a probability of 0.01.
    const FOUR_SIGMA: u64 = 126;
    let draws = [(); 3].map(|()| (0..ROOTS).map(|_| u64::from(is_recorded())).sum::<u64>());
    let within = draws.iter().filter(|sampled| sampled.abs_diff(ROOTS / 100) <= FOUR_SIGMA);
    assert!(within.count() >= 2, "{draws:?} of {ROOTS}");
}

#[test]
fn of_the_roots_that_this_process_makes_one_in_a_hundred_is_recorded() {
    let bench = of_the_ratio();
    let tracer = bench.guard.tracer();
    assert_one_in_a_hundred(|| tracer.span("root").parent(Parent::Root).start().is_recording());
}

/// Whether the span of the call that is served here is recorded.
fn is_served_recorded() -> bool {
    let trace = ServerSpan::current().expect("it serves").trace().expect("a trace");
    let is_recorded = ServerSpan::current().and_then(|span| span.call()).expect("a call");
    assert_eq!(trace.flags.is_sampled(), is_recorded.is_recorded, "what is handed on, and what is");
    trace.flags.is_sampled()
}

/// Serves one call in the layer, without a runtime: nothing in it waits.
fn serve<S: Service<Request<()>>>(service: &mut S, path: &str) -> S::Response {
    let request = Request::builder().uri(path).body(()).expect("a request");
    let mut call = std::pin::pin!(service.call(request));
    let mut task = Context::from_waker(Waker::noop());
    match call.as_mut().poll(&mut task) {
        Poll::Ready(Ok(response)) => response,
        _ => panic!("it waits or fails"),
    }
}

/// Both layers of a server: each answers whether the call that it serves is recorded.
fn servers(bench: &Bench) -> [Box<dyn FnMut() -> bool>; 2] {
    let telemetry = bench.guard.telemetry();
    let served = || {
        let (recorded, seen) = std::sync::mpsc::channel();
        let handler = service_fn(move |_: Request<()>| {
            let recorded = recorded.clone();
            async move {
                recorded.send(is_served_recorded()).expect("heard");
                Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
            }
        });
        (handler, seen)
    };
    let (handler, of_grpc) = served();
    let mut grpc = GrpcServerLayer::new(telemetry, GrpcMethods::new(["a.v1.S/Run"])).layer(handler);
    let (handler, of_http) = served();
    let mut http = HttpServerLayer::new(telemetry).layer(handler);
    [
        Box::new(move || {
            drop(serve(&mut grpc, "/a.v1.S/Run"));
            of_grpc.recv().expect("served")
        }),
        Box::new(move || {
            drop(serve(&mut http, "/"));
            of_http.recv().expect("served")
        }),
    ]
}

#[test]
fn of_the_calls_that_begin_a_trace_one_in_a_hundred_is_recorded() {
    servers(&of_the_ratio()).into_iter().for_each(assert_one_in_a_hundred);
}

#[test]
fn a_change_is_seen_by_the_next_call_that_is_served() {
    const CALLS: usize = 2_000;
    let bench = of_the_ratio();
    let sampling = bench.guard.tracer().sampling();
    let change = |body: &str| {
        sampling.change(&SamplingChange::from_json(body.as_bytes()).expect("a change"));
    };
    for mut call in servers(&bench) {
        let mut recorded = || (0..CALLS).filter(|_| call()).count();
        change(r#"{"arg": 0}"#);
        assert_eq!(recorded(), 0);
        change(r#"{"arg": 1}"#);
        assert_eq!(recorded(), CALLS);
        // Six standard deviations; while a change is for a while, calls are decided about another way.
        for body in [r#"{"arg": 0.5}"#, r#"{"arg": 0.5, "for_seconds": 600}"#] {
            change(body);
            let recorded = recorded();
            assert!(recorded.abs_diff(CALLS / 2) < 135, "{body}: {recorded}");
        }
        change(r#"{"sampler": "always_off"}"#);
        assert_eq!(recorded(), 0);
        sampling.reload();
    }
}

#[test]
fn a_recorded_call_says_for_how_many_it_stands_or_that_it_was_quiet() {
    // A token each tenth of a second, so that nobody waits for a minute.
    let floor = ("VMAFX_TRACES_MIN_PER_MINUTE", "600");
    for (ratio, reason, state) in [("0.25", "ratio", "ot=th:c"), ("0", "quiet", "")] {
        let bench = Bench::new(&[("OTEL_TRACES_SAMPLER_ARG", ratio), floor]);
        for mut call in servers(&bench) {
            let began = std::time::Instant::now();
            let (mut recorded, mut calls) = (0, 0_u64);
            while recorded < 3 {
                assert!(began.elapsed().as_secs() < 20, "{reason}: {recorded} of {calls}");
                recorded += u64::from(call());
                calls += 1;
            }
            assert!(recorded < calls, "{reason}: {recorded} of {calls}");
        }
        let spans = bench.finish();
        assert_eq!(spans.len(), 6, "{reason}");
        for span in spans {
            let said = (span.text("vmafx.sampling.reason"), span.trace_state.as_str());
            assert_eq!((said, span.flags & 0xff), ((reason, state), 3), "{span:?}");
        }
    }
}

#[tokio::test]
async fn callees_and_backends_learn_for_how_many_traces_one_stands() {
    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER_ARG", "0.25")]);
    let (mut sampled, mut unsampled) = (0, 0);
    while sampled == 0 || unsampled == 0 {
        let span = bench.guard.tracer().span("root").parent(Parent::Root).start();
        let headers = bench.headers_of_a_call(span.cx().clone()).await;
        let (traceparent, state) = (text(&headers, "traceparent"), text(&headers, "tracestate"));
        if traceparent.ends_with("-03") {
            assert_eq!(state, "ot=th:c");
            sampled += 1;
        } else {
            assert!(traceparent.ends_with("-02"), "random, not sampled: {traceparent}");
            assert_eq!(state, "");
            unsampled += 1;
        }
    }
    let spans = bench.finish();
    assert_eq!(spans.len(), 2 * sampled, "roots and calls");
    assert!(spans.iter().all(|span| span.trace_state == "ot=th:c"), "{spans:?}");
    let reasons: Vec<_> = spans.iter().map(|span| span.text("vmafx.sampling.reason")).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "ratio").count(), sampled);
    assert_eq!(reasons.iter().filter(|reason| reason.is_empty()).count(), sampled, "of calls");
}

#[test]
fn forced_and_linked_spans_say_no_share_and_do_not_hang_below_a_caller_that_never_arrives() {
    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER_ARG", "0")]);
    let caller = TraceContext::parse(CALLER, "ot=th:c,other=1").expect("valid");
    let recorded = TraceContext { flags: TraceFlags::SAMPLED, ..caller.clone() };
    let tracer = bench.guard.tracer();
    let forced = tracer.span("forced").parent(Parent::Remote(caller.clone())).force();
    forced.start().end();
    let link = SpanLink::new(recorded, "previous_attempt");
    tracer.span("linked").parent(Parent::Root).link(link).start().end();
    tracer.span("neither").parent(Parent::Remote(caller.clone())).start().end();
    let mut spans = bench.finish();
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["forced", "linked"]);
    let (forced, linked) = (&spans[0], &spans[1]);
    assert_eq!(forced.text("vmafx.sampling.reason"), "forced");
    assert_eq!(forced.trace_id, caller.trace_id);
    assert_eq!((forced.parent_span_id, forced.trace_state.as_str()), (None, "other=1"));
    assert_eq!(linked.text("vmafx.sampling.reason"), "link");
    assert_eq!((linked.parent_span_id, linked.trace_state.as_str()), (None, ""));
}

#[test]
fn a_trace_is_not_torn_within_the_process_whatever_the_rule_for_callers() {
    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER", "always_off")]);
    let tracer = bench.guard.tracer();
    let root = tracer.span("root").parent(Parent::Root).force().start();
    tracer.span("child").parent(Parent::Context(root.cx().clone())).start().end();
    root.end();
    assert_eq!(bench.finish().len(), 2);
}

#[test]
fn a_quiet_service_yields_a_trace_that_says_why() {
    // A token each tenth of a second, so that nobody waits for a minute.
    let variables = [("OTEL_TRACES_SAMPLER_ARG", "0"), ("VMAFX_TRACES_MIN_PER_MINUTE", "600")];
    let bench = Bench::new(&variables);
    let began = std::time::Instant::now();
    let (mut sampled, mut roots) = (0, 0_u64);
    while sampled < 3 {
        assert!(began.elapsed().as_secs() < 20, "{sampled} of {roots}");
        let span = bench.guard.tracer().span("root").parent(Parent::Root).start();
        sampled += u64::from(span.is_recording());
        roots += 1;
    }
    let most = began.elapsed().as_millis() / 100 + 1;
    let spans = bench.finish();
    assert!((3..=most).contains(&(spans.len() as u128)), "{} of {roots}", spans.len());
    for span in spans {
        assert_eq!(span.text("vmafx.sampling.reason"), "quiet");
        assert_eq!((span.trace_state.as_str(), span.flags & 0xff), ("", 3));
    }
}

#[test]
fn more_than_the_process_may_record_begins_no_further_trace_by_chance() {
    const ROOTS: u64 = 500;
    let variables = [("OTEL_TRACES_SAMPLER_ARG", "1"), ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", "10")];
    let bench = Bench::new(&variables);
    let tracer = bench.guard.tracer();
    let began = std::time::Instant::now();
    let mut whole = 0;
    for _ in 0..ROOTS {
        let root = tracer.span("root").parent(Parent::Root).start();
        let child = tracer.span("child").parent(Parent::Context(root.cx().clone())).start();
        assert_eq!(root.is_recording(), child.is_recording(), "no trace is torn");
        whole += u64::from(root.is_recording());
        child.end();
        root.end();
    }
    // A quiet minute is not over, and has no say. Saved for two seconds, and earned since; two spans a trace, the last may overdraw.
    let most = (20 + began.elapsed().as_secs() * 10 + 10) / 2 + 1;
    assert!((10..=most).contains(&whole), "{whole} of {ROOTS}");
    assert_eq!(bench.guard.metrics().telemetry().passed_over_total(), ROOTS - whole);
    // What somebody asked for, or a caller records, is recorded all the same.
    tracer.span("forced").parent(Parent::Root).force().start().end();
    let caller = TraceContext::parse(CALLER, "").expect("valid");
    let recorded = TraceContext { flags: TraceFlags::SAMPLED, ..caller };
    tracer.span("called").parent(Parent::Remote(recorded)).start().end();
    let spans = bench.finish();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count() as u64;
    assert_eq!([named("root"), named("child")], [whole; 2]);
    assert_eq!([named("forced"), named("called")], [1; 2]);
}

#[test]
fn a_bound_leaves_the_quiet_minute_its_trace_and_always_is_always() {
    let bounded = ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", "1");
    // A token each tenth of a second, so that nobody waits for a minute.
    let floor = ("VMAFX_TRACES_MIN_PER_MINUTE", "600");
    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER_ARG", "1"), bounded, floor]);
    let root = || bench.guard.tracer().span("root").parent(Parent::Root).start().is_recording();
    let began = std::time::Instant::now();
    let mut recorded = 0;
    while recorded < 8 {
        assert!(began.elapsed().as_secs() < 20, "{recorded} recorded");
        recorded += u64::from(root());
    }
    let spans = bench.finish();
    let quiet = spans.iter().filter(|span| span.text("vmafx.sampling.reason") == "quiet").count();
    assert!(quiet >= 3, "{quiet} of {} in {:?}", spans.len(), began.elapsed());

    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER", "always_on"), bounded]);
    for _ in 0..100 {
        bench.guard.tracer().span("root").parent(Parent::Root).start().end();
    }
    assert_eq!(bench.finish().len(), 100);
}

#[test]
fn a_change_is_seen_by_the_next_span_and_by_the_gauge() {
    let variables = [("OTEL_TRACES_SAMPLER_ARG", "0"), ("VMAFX_TRACES_MIN_PER_MINUTE", "0")];
    let bench = Bench::new(&variables);
    let recorded = || bench.guard.tracer().span("root").parent(Parent::Root).start().is_recording();
    let gauge = || {
        let text = bench.guard.metrics().render(None).body;
        let line = text.lines().find(|line| line.starts_with("vmafx_telemetry_sampling_ratio"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).expect("a gauge")
    };
    let sampling = bench.guard.tracer().sampling();
    assert_eq!((recorded(), gauge()), (false, 0.0));
    let change = SamplingChange::from_json(br#"{"arg": 1}"#).expect("a change");
    sampling.change(&change);
    assert_eq!((recorded(), gauge()), (true, 1.0));
    sampling.reload();
    assert_eq!((recorded(), gauge()), (false, 0.0));
}

#[test]
fn a_caller_with_more_tracestate_than_fits_keeps_its_trace() {
    let bench = Bench::new(&[("OTEL_TRACES_SAMPLER", "always_on")]);
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(CALLER));
    let many = (0..40).map(|index| format!("vendor{index}=1")).collect::<Vec<_>>().join(",");
    headers.insert("tracestate", HeaderValue::from_str(&many).expect("text"));
    let cx = bench.guard.tracer().extract(&headers);
    bench.guard.tracer().span("served").parent(Parent::Context(cx)).start().end();
    let spans = bench.finish();
    assert_eq!(spans.len(), 1);
    assert!(CALLER.contains(&spans[0].trace_id.to_string()));
    let state = &spans[0].trace_state;
    assert!(state.starts_with("ot=th:0,vendor0=1,"), "{state}");
    assert_eq!(state.split(',').count(), 32);
}
