//! The layers around real services, in memory and over loopback.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use observability::layers::{
    GrpcClientLayer, GrpcMethods, GrpcServerLayer, HttpClientLayer, HttpServerLayer, ServerSpan,
    Visibility,
};
use observability::testing::{OtlpReceiver, ReceivedSpan, check_tree};
use observability::{OtelConfig, OtelGuard, Parent, SpanKind, current_trace, with_context};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

const RUN: &str = "a.v1.S/Run";

struct Bench {
    receiver: OtlpReceiver,
    guard: OtelGuard,
}

impl Bench {
    fn new(ratio: &str) -> Self {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = receiver.http_endpoint();
        let config = OtelConfig::from_env("vmafx-test", |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            "OTEL_TRACES_SAMPLER_ARG" => Some(ratio.to_owned()),
            _ => None,
        });
        Self { receiver, guard: OtelGuard::start(&config) }
    }

    fn methods() -> GrpcMethods {
        GrpcMethods::new([RUN, "a.v1.S/Pull"]).with("Pull", Visibility::DurationOnly)
    }

    fn server(&self) -> GrpcServerLayer {
        GrpcServerLayer::new(self.guard.telemetry(), Self::methods())
    }

    fn client(&self) -> GrpcClientLayer {
        let target = "http://controller.test:50051".parse().expect("a URI");
        GrpcClientLayer::new(self.guard.telemetry(), Self::methods(), &target)
    }

    fn scrape(&self) -> String {
        self.guard.metrics().render(None).body
    }

    fn finish(self) -> Vec<ReceivedSpan> {
        self.guard.shutdown();
        self.receiver.spans()
    }
}

/// A response body of one piece of data, then trailers if there are any, then the end.
#[derive(Default)]
struct Scripted {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    endless: bool,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.endless {
            return Poll::Pending;
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none() && !self.endless
    }
}

fn status(code: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from_str(code).expect("a code"));
    headers
}

fn unary(code: &str) -> Response<Scripted> {
    let data = Some(Bytes::from_static(b"answer"));
    Response::new(Scripted { data, trailers: Some(status(code)), endless: false })
}

fn trailers_only(code: &str) -> Response<Scripted> {
    let mut response = Response::new(Scripted::default());
    *response.headers_mut() = status(code);
    response
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).expect("a request")
}

async fn serve(bench: &Bench, path: &str, response: impl FnOnce() -> Response<Scripted>) {
    let mut response = Some(response());
    let inner = service_fn(move |_: Request<()>| {
        let response = response.take().expect("one call");
        async move { Ok::<_, Infallible>(response) }
    });
    let answer = bench.server().layer(inner).oneshot(request(path)).await.expect("infallible");
    answer.into_body().collect().await.expect("infallible");
}

#[tokio::test]
async fn the_servers_status_comes_from_trailers_and_only_its_own_faults_are_errors() {
    for (code, name, error) in [
        ("0", "OK", false),
        ("1", "CANCELLED", false),
        ("2", "UNKNOWN", true),
        ("3", "INVALID_ARGUMENT", false),
        ("4", "DEADLINE_EXCEEDED", true),
        ("5", "NOT_FOUND", false),
        ("12", "UNIMPLEMENTED", true),
        ("13", "INTERNAL", true),
        ("14", "UNAVAILABLE", true),
        ("15", "DATA_LOSS", true),
        ("16", "UNAUTHENTICATED", false),
        ("nonsense", "UNKNOWN", true),
    ] {
        for response in [unary, trailers_only] {
            let bench = Bench::new("1");
            serve(&bench, &format!("/{RUN}"), || response(code)).await;
            let spans = bench.finish();
            assert_eq!(spans.len(), 1, "{name}");
            let span = &spans[0];
            assert_eq!((span.name.as_str(), span.kind.clone()), (RUN, SpanKind::Server));
            assert_eq!(span.text("rpc.system.name"), "grpc");
            assert_eq!(span.text("rpc.method"), RUN);
            assert_eq!(span.text("rpc.status_code"), name);
            assert_eq!(span.error.is_some(), error, "{name}");
            assert_eq!(span.text("error.type"), if error { name } else { "" });
        }
    }
}

#[tokio::test]
async fn a_stream_dropped_halfway_is_cancelled_and_ends_once() {
    let bench = Bench::new("1");
    let inner = service_fn(|_: Request<()>| async {
        let data = Some(Bytes::from_static(b"first"));
        Ok::<_, Infallible>(Response::new(Scripted { data, trailers: None, endless: true }))
    });
    let answer = bench.server().layer(inner).oneshot(request("/a.v1.S/Run")).await.expect("served");
    let mut body = answer.into_body();
    body.frame().await.expect("a frame").expect("infallible");
    drop(body);
    let text = bench.scrape();
    assert!(text.contains("rpc_status_code=\"CANCELLED\""), "{text}");
    let spans = bench.finish();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].text("rpc.status_code"), "CANCELLED");
    assert_eq!(spans[0].error, None, "a caller that leaves is no fault of the server");
}

#[tokio::test]
async fn a_call_dropped_before_its_answer_ends_too() {
    let bench = Bench::new("1");
    let never = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Scripted>, Infallible>>()
    });
    let server = bench.server().layer(never);
    let call = server.oneshot(request("/a.v1.S/Run"));
    let outcome = tokio::time::timeout(Duration::ZERO, call).await;
    assert!(outcome.is_err());
    let spans = bench.finish();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].text("rpc.status_code"), "CANCELLED");
}

#[tokio::test]
async fn probes_leave_nothing_and_polls_a_duration_only() {
    let bench = Bench::new("1");
    serve(&bench, "/grpc.health.v1.Health/Check", || unary("0")).await;
    serve(&bench, "/grpc.reflection.v1.ServerReflection/Info", || unary("0")).await;
    serve(&bench, "/a.v1.S/Pull", || unary("0")).await;
    let text = bench.scrape();
    let counts: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("rpc_server_call_duration_seconds_count"))
        .collect();
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert!(counts[0].contains("a.v1.S/Pull") && counts[0].ends_with(" 1"));
    assert!(bench.finish().is_empty());
}

#[tokio::test]
async fn layers_that_take_turns_on_a_thread_keep_their_calls_apart() {
    // What one call leaves for the next is used by the other layer's, also while calls are open.
    let benches = [Bench::new("1"), Bench::new("0")];
    let endless = || {
        let data = Some(Bytes::from_static(b"first"));
        Response::new(Scripted { data, trailers: None, endless: true })
    };
    for round in 0..6 {
        let (one, other) = (&benches[round % 2], &benches[(round + 1) % 2]);
        let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(endless()) });
        let open = one.server().layer(inner).oneshot(request("/a.v1.S/Run")).await.expect("served");
        serve(other, "/a.v1.S/Pull", || unary("5")).await;
        http_get(one, "/jobs/7").await;
        serve(one, "/a.v1.S/Run", || unary("0")).await;
        drop(open);
    }
    let counts = |bench: &Bench| {
        let text = bench.scrape();
        let count = |what: &[&str]| {
            let is_it = |line: &&str| {
                line.contains("_duration_seconds_count")
                    && what.iter().all(|part| line.contains(part))
            };
            let line = text.lines().find(is_it).unwrap_or_default();
            line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
        };
        [
            count(&["S/Run", "\"OK\""]),
            count(&["S/Run", "\"CANCELLED\""]),
            count(&["S/Pull", "\"NOT_FOUND\""]),
            count(&["http_server", "GET"]),
        ]
    };
    assert_eq!(benches.each_ref().map(counts), [[3, 3, 3, 3]; 2]);
    let [recorded, unrecorded] = benches.map(Bench::finish);
    // Two gRPC spans and one of HTTP a round; a pull has none.
    assert_eq!((recorded.len(), unrecorded.len()), (9, 0));
    assert!(recorded.iter().all(|span| span.name == RUN || span.name.starts_with("GET")));
}

#[tokio::test]
async fn a_scan_of_unknown_methods_makes_one_name() {
    let bench = Bench::new("1");
    for index in 0..1_000 {
        serve(&bench, &format!("/scan{index}.v1.S/M{index}"), || trailers_only("12")).await;
    }
    let text = bench.scrape();
    assert!(!text.contains("scan"), "{text}");
    let spans = bench.finish();
    assert_eq!(spans.len(), 1_000);
    assert!(spans.iter().all(|span| span.name == "_OTHER" && span.text("rpc.method") == "_OTHER"));
    assert!(spans.iter().any(|span| span.text("rpc.method_original") == "scan999.v1.S/M999"));
}

#[tokio::test]
async fn a_scan_of_unknown_urls_makes_one_name_and_one_series() {
    let bench = Bench::new("1");
    let before = bench.scrape().lines().count();
    for index in 0..1_000 {
        http_get(&bench, &format!("/scan/{index}/wp-login.php?token=secret{index}")).await;
    }
    let text = bench.scrape();
    assert!(!text.contains("scan"), "{text}");
    let series: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count"))
        .collect();
    assert_eq!(series.len(), 1, "{series:?}");
    assert!(series[0].ends_with(" 1000"), "{series:?}");
    assert!(text.lines().count() < before + 60);
    let spans = bench.finish();
    assert_eq!(spans.len(), 1_000);
    assert!(spans.iter().all(|span| span.name == "GET" && span.text("http.route").is_empty()));
    assert!(!format!("{spans:?}").contains("secret"));
}

#[tokio::test]
async fn a_scan_of_unknown_http_methods_makes_one_name() {
    let bench = Bench::new("1");
    for index in 0..100 {
        let method = format!("SCAN{index}");
        let request = Request::builder().method(method.as_str()).uri("/v1/jobs/j-1");
        let request = request.body(AxumBody::empty()).expect("a request");
        router(&bench).oneshot(request).await.expect("infallible");
    }
    let text = bench.scrape();
    assert!(!text.contains("SCAN") && text.contains("http_request_method=\"_OTHER\""), "{text}");
    let spans = bench.finish();
    assert_eq!(spans.len(), 100);
    assert!(spans.iter().all(|span| span.name == "HTTP /v1/jobs/{id}"));
    assert!(spans.iter().any(|span| span.text("http.request.method_original") == "SCAN99"));
}

#[tokio::test]
async fn an_http_client_names_the_method_alone_and_keeps_secrets_out() {
    let bench = Bench::new("1");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let addr = listener.local_addr().expect("its address");
    let app = router(&bench);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let connector = hyper_util::client::legacy::connect::HttpConnector::new();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build::<_, http_body_util::Empty<Bytes>>(connector);
    let client = HttpClientLayer::new(bench.guard.telemetry()).layer(client);
    let caller = bench.guard.tracer().span("caller").parent(Parent::Root).start();
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let refused = closed.local_addr().expect("its address");
    drop(closed);
    with_context(caller.cx().clone(), async {
        for (addr, path) in [
            (addr, "/v1/jobs/j-17?token=secret"),
            (addr, "/none"),
            (addr, "/broken"),
            (refused, "/"),
        ] {
            let request = Request::builder().uri(format!("http://{addr}{path}"));
            let request = request.body(http_body_util::Empty::new()).expect("a request");
            match client.clone().oneshot(request).await {
                Ok(answer) => drop(answer.into_body().collect().await.expect("read")),
                Err(_) => assert_eq!(addr, refused),
            }
        }
    })
    .await;
    caller.end();
    let text = bench.scrape();
    assert!(text.contains("http_client_request_duration_seconds_count"), "{text}");
    let spans = bench.finish();
    assert_eq!(check_tree(&spans).expect("whole").name, "caller");
    let clients: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Client).collect();
    assert!(clients.iter().all(|span| span.name == "GET"));
    let mut outcomes: Vec<_> = clients
        .iter()
        .map(|span| {
            (span.attributes.get("http.response.status_code").cloned(), span.text("error.type"))
        })
        .map(|(status, error)| (status.and_then(|status| status.as_i64()), error))
        .collect();
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [(None, "connection"), (Some(200), ""), (Some(404), "404"), (Some(500), "500")]
    );
    let served = spans.iter().find(|span| span.name == "GET /v1/jobs/{id}").expect("served");
    let client = clients.iter().find(|span| Some(span.span_id) == served.parent_span_id);
    let client = client.expect("the trace was handed on");
    assert_eq!(client.text("url.full"), format!("http://{addr}/v1/jobs/j-17"));
    assert_eq!(client.text("server.address"), "127.0.0.1");
    assert_eq!(client.attributes["server.port"], addr.port());
    assert!(!format!("{spans:?}").contains("secret"));
}

#[tokio::test]
async fn a_handler_reaches_its_span_without_the_request() {
    let bench = Bench::new("1");
    let handler = service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        ServerSpan::current().expect("a request is served").set("vmafx.job.id", "j9");
        Ok::<_, Infallible>(unary("0"))
    });
    assert_eq!(ServerSpan::current(), None);
    bench.server().layer(handler).oneshot(request("/a.v1.S/Run")).await.expect("infallible");
    assert_eq!(ServerSpan::current(), None);
    let spans = bench.finish();
    assert_eq!(spans[0].text("vmafx.job.id"), "j9");
}

#[tokio::test]
async fn what_a_handler_begins_once_its_trace_is_asked_for_is_recorded_too() {
    let bench = Bench::new("0");
    let tracer = bench.guard.tracer().clone();
    let handler = service_fn(move |_: Request<()>| {
        let tracer = tracer.clone();
        async move {
            tracer.span("before").start().end();
            ServerSpan::current().expect("a request is served").promote();
            tracer.span("after").start().end();
            Ok::<_, Infallible>(unary("0"))
        }
    });
    let answer = bench.server().layer(handler).oneshot(request("/a.v1.S/Run")).await;
    answer.expect("infallible").into_body().collect().await.expect("infallible");
    let spans = bench.finish();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [RUN, "after"]);
    assert_eq!(check_tree(&spans).expect("whole").name, RUN);
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_span_and_leaves_the_thread_clean() {
    let bench = Bench::new("1");
    let handler = service_fn(|_: Request<()>| async {
        if true {
            panic!("a handler's fault");
        }
        Ok::<_, Infallible>(unary("0"))
    });
    let call = bench.server().layer(handler).oneshot(request("/a.v1.S/Run"));
    let outcome = tokio::spawn(call).await;
    assert!(outcome.is_err_and(|error| error.is_panic()));
    assert_eq!((ServerSpan::current(), current_trace()), (None, None));
    serve(&bench, "/a.v1.S/Run", || unary("0")).await;
    let spans = bench.finish();
    assert_eq!(spans.len(), 2);
}

#[tokio::test]
async fn client_and_server_make_one_tree_and_the_handler_is_within_it() {
    let bench = Bench::new("1");
    let tracer = bench.guard.tracer().clone();
    let handler = service_fn(move |_: Request<()>| {
        let tracer = tracer.clone();
        async move {
            let span = ServerSpan::current().expect("the layer's");
            assert_eq!(current_trace(), span.trace());
            span.set("vmafx.job.id", "j1");
            tracer.span("work").start().end();
            Ok::<_, Infallible>(unary("0"))
        }
    });
    let mut client = bench.client().layer(bench.server().layer(handler));
    let caller = bench.guard.tracer().span("caller").parent(Parent::Root).start();
    let call = {
        let _current = caller.cx().clone().attach();
        client.call(request("/a.v1.S/Run"))
    };
    let answer = call.await.expect("infallible");
    answer.into_body().collect().await.expect("infallible");
    caller.end();
    let spans = bench.finish();
    assert_eq!(spans.len(), 4);
    assert_eq!(check_tree(&spans).expect("whole").name, "caller");
    let of_kind = |kind: SpanKind| {
        spans.iter().find(|span| span.kind == kind && span.name == RUN).expect("made")
    };
    let (client, server) = (of_kind(SpanKind::Client), of_kind(SpanKind::Server));
    assert_eq!(server.parent_span_id, Some(client.span_id));
    assert_eq!(server.flags & 0x300, 0x300, "its parent came by wire");
    assert_eq!(server.text("vmafx.job.id"), "j1");
    assert_eq!(client.text("server.address"), "controller.test");
    assert_eq!(client.attributes["server.port"], 50_051);
    let work = spans.iter().find(|span| span.name == "work").expect("made");
    assert_eq!(work.parent_span_id, Some(server.span_id));
}

#[tokio::test]
async fn a_client_counts_every_failure_and_a_lost_server_as_an_error() {
    let bench = Bench::new("1");
    let mut not_found = bench
        .client()
        .layer(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(trailers_only("5")) }));
    not_found.call(request("/a.v1.S/Run")).await.expect("answered");
    let mut lost = bench.client().layer(service_fn(|_: Request<()>| async {
        Err::<Response<Scripted>, _>(std::io::Error::other("connection lost"))
    }));
    assert!(lost.call(request("/a.v1.S/Run")).await.is_err());
    let mut spans = bench.finish();
    spans.sort_by_key(|span| span.text("error.type").to_owned());
    let types: Vec<_> = spans.iter().map(|span| span.text("error.type")).collect();
    assert_eq!(types, ["NOT_FOUND", "UNAVAILABLE"]);
    assert!(spans.iter().all(|span| span.error.is_some()));
}

#[tokio::test]
async fn without_an_exporter_a_callers_trace_passes_through() {
    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let guard = OtelGuard::start(&OtelConfig::new("vmafx-test"));
    let methods = Bench::methods();
    let target = "http://next.test".parse().expect("a URI");
    let client = GrpcClientLayer::new(guard.telemetry(), methods.clone(), &target);
    let seen = |headers: &HeaderMap| headers.get("traceparent").cloned();
    for (incoming, outgoing) in [(Some(CALLER), Some(CALLER)), (None, None)] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let client = client.clone();
        let handler = service_fn(move |_: Request<()>| {
            let sender = sender.clone();
            let next = service_fn(move |request: Request<()>| {
                sender.send(seen(request.headers())).expect("heard");
                async { Ok::<_, Infallible>(unary("0")) }
            });
            let call = client.clone().layer(next);
            async move {
                assert!(current_trace().is_some(), "logs have a trace in any case");
                call.oneshot(request("/a.v1.S/Run")).await
            }
        });
        let mut request = request("/a.v1.S/Run");
        if let Some(incoming) = incoming {
            request.headers_mut().insert("traceparent", HeaderValue::from_static(incoming));
        }
        let server = GrpcServerLayer::new(guard.telemetry(), methods.clone()).layer(handler);
        server.oneshot(request).await.expect("infallible");
        let sent = receiver.recv().expect("called");
        assert_eq!(sent.as_ref().and_then(|value| value.to_str().ok()), outgoing);
    }
}

fn router(bench: &Bench) -> Router {
    Router::new()
        .route("/v1/jobs/{id}", get(|| async { "a job" }))
        .route("/broken", get(|| async { http::StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/v1/events", get(|| async { "events" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/metrics", get(|| async { "" }))
        .fallback(|| async { http::StatusCode::NOT_FOUND })
        .layer(
            HttpServerLayer::new(bench.guard.telemetry())
                .with("/v1/events", Visibility::DurationOnly),
        )
}

async fn http_get(bench: &Bench, path: &str) {
    let request = Request::builder().uri(path).header("user-agent", "test/1");
    let request = request.body(AxumBody::empty()).expect("a request");
    let answer = router(bench).oneshot(request).await.expect("infallible");
    answer.into_body().collect().await.expect("read");
}

#[tokio::test]
async fn http_requests_are_named_by_route_and_only_server_errors_are_errors() {
    let bench = Bench::new("1");
    for path in
        ["/v1/jobs/j-17?token=secret", "/broken", "/v1/events", "/healthz", "/metrics", "/none"]
    {
        http_get(&bench, path).await;
    }
    let text = bench.scrape();
    assert!(text.contains("http_route=\"/v1/events\""), "{text}");
    assert!(!text.contains("j-17") && !text.contains("healthz"), "{text}");
    let mut spans = bench.finish();
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET", "GET /broken", "GET /v1/jobs/{id}"]);
    let (unknown, broken, job) = (&spans[0], &spans[1], &spans[2]);
    assert_eq!((unknown.error.as_ref(), unknown.text("http.route")), (None, ""));
    assert_eq!(unknown.attributes["http.response.status_code"], 404);
    assert_eq!(broken.error.as_deref(), Some(""));
    assert_eq!(broken.text("error.type"), "500");
    assert_eq!(job.text("http.route"), "/v1/jobs/{id}");
    assert_eq!(job.text("url.path"), "/v1/jobs/j-17");
    assert_eq!(job.text("user_agent.original"), "test/1");
    assert!(!format!("{spans:?}").contains("secret"));
}

#[tokio::test]
async fn http_requests_dropped_halfway_end_once_on_either_side() {
    // Each kind of drop: before there is an answer, and while its body comes.
    let bench = Bench::new("1");
    let never = || std::future::pending::<&'static str>();
    let endless = || async {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"first"))]);
        AxumBody::from_stream(first.chain(futures_util::stream::pending()))
    };
    let router = Router::new()
        .route("/never", get(never))
        .route("/endless", get(endless))
        .layer(HttpServerLayer::new(bench.guard.telemetry()));
    let request = |path: &str| {
        let request = Request::builder().uri(format!("http://a.test{path}"));
        request.body(AxumBody::empty()).expect("a request")
    };
    let client = HttpClientLayer::new(bench.guard.telemetry());
    let call = client.layer(router.clone()).oneshot(request("/never"));
    assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
    let answer = client.layer(router).oneshot(request("/endless")).await.expect("infallible");
    let mut body = answer.into_body();
    body.frame().await.expect("a frame").expect("infallible");
    drop(body);
    let text = bench.scrape();
    for side in ["client", "server"] {
        let count = format!("http_{side}_request_duration_seconds_count");
        let counted: Vec<_> = text.lines().filter(|line| line.starts_with(&count)).collect();
        assert_eq!(counted.len(), 2, "{counted:?}");
        assert!(counted.iter().all(|line| line.ends_with(" 1")), "{counted:?}");
        assert_eq!(counted.iter().filter(|line| line.contains("\"cancelled\"")).count(), 1);
    }
    let spans = bench.finish();
    let told = |kind: SpanKind| {
        let mut told: Vec<_> = spans
            .iter()
            .filter(|span| span.kind == kind)
            .map(|span| (span.text("error.type"), span.error.is_some()))
            .collect();
        told.sort_unstable();
        told
    };
    assert_eq!(spans.len(), 4);
    // Who left knows that it has nothing; a server did nothing wrong.
    assert_eq!(told(SpanKind::Client), [("", false), ("cancelled", true)]);
    assert_eq!(told(SpanKind::Server), [("", false), ("cancelled", false)]);
}

#[tokio::test]
async fn a_handler_can_ask_for_the_trace_of_its_own_request() {
    let bench = Bench::new("0");
    let router = Router::new()
        .route(
            "/v1/jobs",
            get(|| async move {
                let span = ServerSpan::current().expect("the layer's");
                assert!(!span.trace().expect("a trace").flags.is_sampled());
                span.promote();
                assert!(span.trace().expect("a trace").flags.is_sampled());
            }),
        )
        .layer(HttpServerLayer::new(bench.guard.telemetry()));
    let request = Request::builder().uri("/v1/jobs").body(AxumBody::empty()).expect("a request");
    router.oneshot(request).await.expect("infallible").into_body().collect().await.expect("read");
    let spans = bench.finish();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "GET /v1/jobs");
    assert_eq!(spans[0].attributes["http.response.status_code"], 200);
}

#[tokio::test]
async fn at_ratio_zero_durations_are_still_counted() {
    let bench = Bench::new("0");
    for _ in 0..3 {
        serve(&bench, &format!("/{RUN}"), || unary("0")).await;
    }
    let text = bench.scrape();
    let line = "rpc_server_call_duration_seconds_count{rpc_system_name=\"grpc\",\
                rpc_method=\"a.v1.S/Run\",rpc_status_code=\"OK\"} 3";
    assert!(text.lines().any(|have| have == line), "{text}");
    assert!(bench.finish().is_empty());
}
