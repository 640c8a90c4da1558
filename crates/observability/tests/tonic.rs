//! The gRPC layers on a real server and a real channel over loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use observability::layers::{
    GrpcClient, GrpcClientLayer, GrpcMethods, GrpcServerLayer, ServerSpan,
};
use observability::testing::{OtlpReceiver, check_tree};
use observability::{OtelConfig, OtelGuard, Parent, SpanKind, current_trace, with_context};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tower::Layer as _;

const SOON: Duration = Duration::from_secs(20);
const METHOD: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Any service will do. This one answers, fails or never answers, by the number of items it gets.
struct Moody {
    /// Told when a call has come that will never be answered.
    hanging: Arc<Notify>,
}

#[tonic::async_trait]
impl TraceService for Moody {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let span = ServerSpan::current().expect("the layer's");
        assert_eq!(span.trace(), current_trace());
        match request.get_ref().resource_spans.len() {
            0 => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
            1 => Err(tonic::Status::internal("/secret/path is broken")),
            _ => {
                self.hanging.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn request(items: usize) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest { resource_spans: vec![Default::default(); items] }
}

async fn serve(
    guard: &OtelGuard,
    hanging: Arc<Notify>,
) -> (TraceServiceClient<GrpcClient<Channel>>, oneshot::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let target = format!("http://{}", listener.local_addr().expect("its address"));
    let methods = GrpcMethods::new([METHOD]);
    let layer = GrpcServerLayer::new(guard.telemetry(), methods.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let server =
            Server::builder().layer(layer).add_service(TraceServiceServer::new(Moody { hanging }));
        let incoming = TcpListenerStream::new(listener);
        let until = async { drop(stopped.await) };
        server.serve_with_incoming_shutdown(incoming, until).await.expect("serves");
    });
    let channel = Endpoint::from_shared(target.clone()).expect("a URI").connect_lazy();
    let uri = target.parse().expect("a URI");
    let channel = GrpcClientLayer::new(guard.telemetry(), methods, &uri).layer(channel);
    (TraceServiceClient::new(channel), stop)
}

#[tokio::test]
async fn calls_that_succeed_fail_and_are_given_up_each_make_one_pair_of_spans() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let guard = OtelGuard::start(&OtelConfig::from_env("vmafx-test", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some("1".to_owned()),
        "OTEL_BSP_SCHEDULE_DELAY" => Some("20".to_owned()),
        _ => None,
    }));
    let hanging = Arc::new(Notify::new());
    let (mut client, _stop) = serve(&guard, Arc::clone(&hanging)).await;
    let caller = guard.tracer().span("caller").parent(Parent::Root).start();
    let cx = caller.cx().clone();
    with_context(cx, async {
        client.export(request(0)).await.expect("answered");
        let failed = client.export(request(1)).await.expect_err("told to fail");
        assert_eq!(failed.code(), tonic::Code::Internal);
        tokio::select! {
            _ = client.export(request(2)) => panic!("never answered"),
            () = hanging.notified() => {}
        }
    })
    .await;
    caller.end();
    let receiver = Arc::new(receiver);
    let waiting = Arc::clone(&receiver);
    let spans =
        tokio::task::spawn_blocking(move || waiting.wait_until(SOON, |spans| spans.len() >= 7))
            .await
            .expect("no panic")
            .expect("a caller and three pairs");
    guard.shutdown_async().await;
    assert_eq!(receiver.spans().len(), 7, "each ends once");
    assert_eq!(check_tree(&spans).expect("whole").name, "caller");
    for (kind, expected) in [
        (SpanKind::Client, [("CANCELLED", true), ("INTERNAL", true), ("OK", false)]),
        (SpanKind::Server, [("CANCELLED", false), ("INTERNAL", true), ("OK", false)]),
    ] {
        let mut found: Vec<_> = spans
            .iter()
            .filter(|span| span.kind == kind)
            .map(|span| (span.text("rpc.status_code"), span.error.is_some()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{kind:?}");
    }
    let served = spans.iter().filter(|span| span.kind == SpanKind::Server);
    for span in served {
        assert_eq!(span.text("network.peer.address"), "127.0.0.1");
        assert!(span.attributes["network.peer.port"].as_i64().is_some_and(|port| port > 0));
    }
    assert!(!format!("{spans:?}").contains("secret"));
}
