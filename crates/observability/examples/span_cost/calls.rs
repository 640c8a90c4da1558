//! The calls that are measured: bare services and the same ones behind the layers.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use observability::layers::{GrpcClientLayer, GrpcMethods, GrpcServerLayer, HttpServerLayer};
use observability::metrics::Histogram;
use observability::testing::OtlpReceiver;
use observability::{Origin, OtelConfig, OtelGuard, Parent, context_of};
use prost::Message as _;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};
use tower::layer::layer_fn;
use tower::{Layer as _, Service, ServiceExt, service_fn};
use types::TraceContext;

/// The sampler that is in force unless another is configured: 1 %, and after a quiet minute one.
const USUAL: &str = "the usual sampler";

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

/// Nanoseconds, as design and users ask for them.
const UNSAMPLED_GOAL: f64 = 250.0;
const SAMPLED_GOAL: f64 = 1_000.0;
const CAPTURE_GOAL: f64 = 300.0;

/// A variant: its name, its goal in nanoseconds and in allocations, and one call.
pub struct Variant<'a> {
    pub name: &'static str,
    /// The variant whose cost is not counted.
    pub beside: Option<usize>,
    pub goal: Option<(f64, u64)>,
    pub call: Box<dyn FnMut() + 'a>,
}

/// An answer of one message and trailers.
#[derive(Default)]
struct Answer {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn drain<B: Body>(body: B) {
    let mut body = pin!(body);
    let mut task = TaskContext::from_waker(Waker::noop());
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut task) {}
}

/// What tonic's transport leaves among the extensions.
#[derive(Clone)]
struct ConnectInfo;

fn grpc_request(traceparent: Option<&'static str>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/vmafx.controller.v1.VmafxController/SubmitJob");
    request.extensions_mut().insert(ConnectInfo);
    let headers = request.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("user-agent", HeaderValue::from_static("tonic/0.14.9"));
    if let Some(traceparent) = traceparent {
        headers.insert("traceparent", HeaderValue::from_static(traceparent));
    }
    request
}

async fn answer(_: Request<()>) -> Result<Response<Answer>, Infallible> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(Response::new(Answer {
        data: Some(Bytes::from_static(b"answer")),
        trailers: Some(trailers),
    }))
}

fn grpc<'a, S, B>(mut service: S, traceparent: Option<&'static str>) -> Box<dyn FnMut() + 'a>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + 'a,
    B: Body,
{
    Box::new(move || {
        let Ok(response) = ready(service.call(grpc_request(traceparent)));
        drain(response.into_body());
    })
}

fn http<'a>(mut router: Router) -> Box<dyn FnMut() + 'a> {
    Box::new(move || {
        let mut request = Request::new(AxumBody::empty());
        *request.uri_mut() =
            http::Uri::from_static("/v1/jobs/018bcfe5-687b-7fff-bfff-ffffffffffff");
        let Ok(response) = ready(router.call(request));
        drain(response.into_body());
    })
}

fn telemetry(endpoint: Option<&str>, sampler: &str) -> OtelGuard {
    OtelGuard::start(&OtelConfig::from_env("span-cost", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => endpoint.map(str::to_owned),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
        // Spans are sent between rounds, not during them.
        "OTEL_BSP_MAX_QUEUE_SIZE" | "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" => Some("65536".to_owned()),
        "OTEL_BSP_SCHEDULE_DELAY" => Some("86400000".to_owned()),
        _ => None,
    }))
}

/// One unary method, with which a server knows that no code runs after the answer.
fn methods() -> GrpcMethods {
    let method = MethodDescriptorProto { name: Some("SubmitJob".to_owned()), ..Default::default() };
    let service = ServiceDescriptorProto {
        name: Some("VmafxController".to_owned()),
        method: vec![method],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        package: Some("vmafx.controller.v1".to_owned()),
        service: vec![service],
        ..Default::default()
    };
    let encoded = FileDescriptorSet { file: vec![file] }.encode_to_vec();
    GrpcMethods::from_descriptors(&encoded).expect("a descriptor set")
}

/// A body in another, as every layer makes it: axum boxes each once more.
struct Wrapped<B>(B);

impl<B: Body + Unpin> Body for Wrapped<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    /// Without it axum would not tell the length of the answer, which takes two allocations.
    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn router(guard: Option<&OtelGuard>) -> Router {
    let router = Router::new().route("/v1/jobs/{id}", get(|| async { "a job" }));
    match guard {
        Some(guard) => router.layer(HttpServerLayer::new(guard.telemetry())),
        None => router.layer(layer_fn(|route: axum::routing::Route| {
            let wrap = |response: Response<AxumBody>| response.map(Wrapped);
            ServiceExt::<Request<AxumBody>>::map_response(route, wrap)
        })),
    }
}

type Part<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// What no followed call can do without, each for itself: when it begins and ends, a context that is
/// current meanwhile, and how long it took.
fn parts<'a>() -> [Part<'a>; 3] {
    const SECONDS: [f64; 14] =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let clock = || {
        black_box(Instant::now());
        black_box(Instant::now());
    };
    let trace = TraceContext::parse(UNSAMPLED, "").expect("a position");
    let context = move || {
        let cx = context_of(black_box(&trace), Origin::Local);
        let _current = cx.clone().attach();
    };
    let durations = Histogram::new(&SECONDS);
    let duration = move || durations.record_value(black_box(0.001));
    [
        ("part: the clock read twice", Box::new(clock)),
        ("part: a context made, current, dropped", Box::new(context)),
        ("part: a duration recorded", Box::new(duration)),
    ]
}

/// What the calls report to.
pub struct Services {
    _receiver: OtlpReceiver,
    absent: OtelGuard,
    off: OtelGuard,
    usual: OtelGuard,
    on: OtelGuard,
}

impl Services {
    /// One service without an exporter, one that records nothing, one as it is unless configured
    /// otherwise, one that records everything.
    pub fn start() -> Self {
        let receiver = OtlpReceiver::start().expect("a port");
        let endpoint = receiver.http_endpoint();
        Self {
            absent: telemetry(None, "parentbased_always_off"),
            off: telemetry(Some(&endpoint), "parentbased_always_off"),
            usual: telemetry(Some(&endpoint), ""),
            on: telemetry(Some(&endpoint), "parentbased_always_on"),
            _receiver: receiver,
        }
    }

    /// Sends what was recorded.
    pub fn flush(&self) {
        for guard in [&self.off, &self.usual, &self.on] {
            guard.flush(std::time::Duration::from_secs(10));
        }
    }

    /// Every variant; those that go beside another stand after it.
    pub fn variants(&self) -> Vec<Variant<'_>> {
        let Self { absent, off, usual, on, .. } = self;
        let server = |guard: &OtelGuard| {
            GrpcServerLayer::new(guard.telemetry(), methods()).layer(service_fn(answer))
        };
        let target = "http://controller.test:50051".parse().expect("a URI");
        let client = |guard: &OtelGuard| {
            let layer = GrpcClientLayer::new(guard.telemetry(), methods(), &target);
            layer.layer(service_fn(answer))
        };
        let capture = |guard: &OtelGuard| {
            let span = guard.tracer().span("send").parent(Parent::Root).start();
            move || {
                black_box(span.trace());
            }
        };
        let unsampled = Some((UNSAMPLED_GOAL, 0));
        // One in a hundred is recorded, which allocates.
        let mostly = Some((UNSAMPLED_GOAL, u64::MAX));
        // Axum boxes a layer anew for every call, which takes memory where the layer is not empty.
        let routed = Some((UNSAMPLED_GOAL, 1));
        let sampled = Some((SAMPLED_GOAL, u64::MAX));
        let captured = Some((CAPTURE_GOAL, 1));
        let variant = |name, beside, goal, call| Variant { name, beside, goal, call };
        let bare = || grpc(service_fn(answer), None);
        let parts = parts().map(|(name, call)| variant(name, None, None, call));
        let mut variants = vec![
            variant("gRPC server: bare", None, None, bare()),
            variant("no exporter", Some(0), unsampled, grpc(server(absent), None)),
            variant("unsampled", Some(0), unsampled, grpc(server(off), None)),
            variant(USUAL, Some(0), mostly, grpc(server(usual), None)),
            variant("sampled", Some(0), sampled, grpc(server(on), None)),
            variant(
                "gRPC server, with a caller: bare",
                None,
                None,
                grpc(service_fn(answer), Some(UNSAMPLED)),
            ),
            variant("no exporter", Some(5), unsampled, grpc(server(absent), Some(UNSAMPLED))),
            variant("unsampled", Some(5), unsampled, grpc(server(off), Some(UNSAMPLED))),
            variant(USUAL, Some(5), mostly, grpc(server(usual), Some(UNSAMPLED))),
            variant("sampled", Some(5), sampled, grpc(server(off), Some(SAMPLED))),
            variant("gRPC client: bare", None, None, bare()),
            variant("unsampled", Some(10), None, grpc(client(off), None)),
            variant(USUAL, Some(10), None, grpc(client(usual), None)),
            variant("sampled", Some(10), sampled, grpc(client(on), None)),
            variant("HTTP server: a layer that does nothing", None, None, http(router(None))),
            variant("unsampled", Some(14), routed, http(router(Some(off)))),
            variant(USUAL, Some(14), mostly, http(router(Some(usual)))),
            variant("sampled", Some(14), sampled, http(router(Some(on)))),
            variant("capture at submit: unsampled", None, captured, Box::new(capture(off))),
            variant("capture at submit: sampled", None, captured, Box::new(capture(on))),
        ];
        // What remains where a layer does nothing but be there: future and body are wrapped once more.
        let wrap = |response: Response<Answer>| response.map(Wrapped);
        let nothing = ServiceExt::<Request<()>>::map_response(service_fn(answer), wrap);
        variants.push(variant(
            "gRPC: a layer that does nothing",
            Some(0),
            None,
            grpc(nothing, None),
        ));
        variants.extend(parts);
        variants
    }
}
