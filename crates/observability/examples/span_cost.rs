//! What telemetry costs the thread that serves a request: nanoseconds and allocations, bare service
//! and layered ones taking turns in one run, each beside its goal. `cargo xtask bench telemetry`.
//!
//! A call is a whole unary call in memory: the request is made, the service answers at once, the
//! body is read to its trailers. What a variant costs is its time minus the bare service's.

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
use http_body::{Body, Frame};
use observability::layers::{GrpcClientLayer, GrpcMethods, GrpcServerLayer, HttpServerLayer};
use observability::testing::OtlpReceiver;
use observability::{OtelConfig, OtelGuard, Parent};
use tower::{Layer as _, Service, service_fn};

const METHOD: &str = "vmafx.controller.v1.VmafxController/SubmitJob";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

/// Rounds in which the variants take turns.
const ROUNDS: usize = 61;
/// Calls of a variant in a round; fewer than the queue of spans holds.
const CALLS: u32 = 2_000;

/// A variant: its name, its goal in nanoseconds and in allocations, and one call.
struct Variant<'a> {
    name: &'static str,
    /// The variant whose cost is not counted.
    beside: Option<usize>,
    goal: Option<(f64, u64)>,
    call: Box<dyn FnMut() + 'a>,
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
    *request.uri_mut() =
        http::Uri::from_static("/vmafx.controller.v1.VmafxController/SubmitJob");
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
    Ok(Response::new(Answer { data: Some(Bytes::from_static(b"answer")), trailers: Some(trailers) }))
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
        *request.uri_mut() = http::Uri::from_static("/v1/jobs/018bcfe5-687b-7fff-bfff-ffffffffffff");
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

fn main() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let (absent, off, on) = (
        telemetry(None, "parentbased_always_off"),
        telemetry(Some(&endpoint), "parentbased_always_off"),
        telemetry(Some(&endpoint), "parentbased_always_on"),
    );
    let server = |guard: &OtelGuard| {
        GrpcServerLayer::new(guard.telemetry(), GrpcMethods::new([METHOD])).layer(service_fn(answer))
    };
    let target = "http://controller.test:50051".parse().expect("a URI");
    let client = |guard: &OtelGuard| {
        let methods = GrpcMethods::new([METHOD]);
        GrpcClientLayer::new(guard.telemetry(), methods, &target).layer(service_fn(answer))
    };
    let router = |guard: Option<&OtelGuard>| {
        let router = Router::new().route("/v1/jobs/{id}", get(|| async { "a job" }));
        match guard {
            Some(guard) => router.layer(HttpServerLayer::new(guard.telemetry())),
            None => router,
        }
    };
    let capture = |guard: &OtelGuard| {
        let span = guard.tracer().span("send").parent(Parent::Root).start();
        move || {
            black_box(span.trace());
        }
    };
    let (unsampled_goal, sampled_goal) = (Some((250.0, 1)), Some((1_000.0, u64::MAX)));
    let variant = |name, beside, goal, call| Variant { name, beside, goal, call };
    let mut variants = vec![
        variant("gRPC server: bare", None, None, grpc(service_fn(answer), None)),
        variant("no exporter, no caller", Some(0), None, grpc(server(&absent), None)),
        variant("unsampled, no caller", Some(0), unsampled_goal, grpc(server(&off), None)),
        variant("gRPC server with a caller: bare", None, None, grpc(service_fn(answer), Some(UNSAMPLED))),
        variant("no exporter", Some(3), None, grpc(server(&absent), Some(UNSAMPLED))),
        variant("unsampled", Some(3), unsampled_goal, grpc(server(&off), Some(UNSAMPLED))),
        variant("sampled", Some(3), sampled_goal, grpc(server(&off), Some(SAMPLED))),
        variant("sampled, no caller", Some(0), sampled_goal, grpc(server(&on), None)),
        variant("gRPC client: bare", None, None, grpc(service_fn(answer), None)),
        variant("unsampled", Some(8), None, grpc(client(&off), None)),
        variant("sampled", Some(8), sampled_goal, grpc(client(&on), None)),
        variant("HTTP server: bare router", None, None, http(router(None))),
        variant("unsampled", Some(11), unsampled_goal, http(router(Some(&off)))),
        variant("sampled", Some(11), sampled_goal, http(router(Some(&on)))),
        variant("capture at submit: unsampled", None, Some((300.0, 1)), Box::new(capture(&off))),
        variant("capture at submit: sampled", None, Some((300.0, u64::MAX)), Box::new(capture(&on))),
    ];
    let costs = measure(&mut variants, &[&off, &on]);
    print(&variants, &costs);
    drop(variants);
}

/// Median nanoseconds and allocations of each variant's call.
fn measure(variants: &mut [Variant<'_>], guards: &[&OtelGuard]) -> Vec<(f64, u64)> {
    let mut times = vec![Vec::new(); variants.len()];
    for round in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let began = Instant::now();
            for _ in 0..CALLS {
                (variant.call)();
            }
            let nanos = began.elapsed().as_nanos() as f64 / f64::from(CALLS);
            if round > 0 {
                times.push(nanos);
            }
            guards.iter().for_each(|guard| guard.flush(std::time::Duration::from_secs(10)));
        }
    }
    variants
        .iter_mut()
        .zip(times)
        .map(|(variant, mut times)| {
            times.sort_by(f64::total_cmp);
            let counted = allocation_counter::measure(|| {
                (0..100).for_each(|_| (variant.call)());
            });
            (times[times.len() / 2], counted.count_total / 100)
        })
        .collect()
}

fn print(variants: &[Variant<'_>], costs: &[(f64, u64)]) {
    println!("| call | ns | more than bare | goal | allocations | more than bare | goal |");
    println!("|---|---|---|---|---|---|---|");
    for (variant, (nanos, allocations)) in variants.iter().zip(costs) {
        let bare = variant.beside.map(|index| costs[index]);
        let cost = bare.map_or(*nanos, |bare| nanos - bare.0);
        let more = bare.map_or(*allocations, |bare| allocations.saturating_sub(bare.1));
        let (mut time_goal, mut count_goal) = (String::new(), String::new());
        if let Some((goal, most)) = variant.goal {
            let missed = |is_met: bool| if is_met { "" } else { " missed" };
            time_goal = format!("≤ {goal:.0}{}", missed(cost <= goal));
            if most < u64::MAX {
                count_goal = format!("≤ {most}{}", missed(more <= most));
            }
        }
        let (cost, more) = match bare {
            Some(_) => (format!("{cost:.0}"), more.to_string()),
            None => Default::default(),
        };
        let name = variant.name;
        println!("| {name} | {nanos:.0} | {cost} | {time_goal} | {allocations} | {more} | {count_goal} |");
    }
}
