//! The job's trace as a collector gets it: one tree, whatever happened on the way.

mod common;

use std::time::Duration;

use common::node::{Node, failed, succeeded};
use common::{Running, soon};
use http::Method;
use observability::config::OtelConfig;
use observability::job_trace::{Begins, ReportSpan, rebuild, rebuild_recorded};
use observability::layers::{GrpcClient, GrpcClientLayer, GrpcMethods};
use observability::schema::span_name::{
    COMMIT, FETCH, JOB, PROCESS, QUEUE_WAIT as WAIT, SCORE, SEND, SETTLE,
};
use observability::testing::{OtlpReceiver, ReceivedSpan, check_tree, render_tree};
use observability::{
    Origin, OtelGuard, Parent, SpanKind, SpanRecord, Telemetry, context_of, with_context,
};
use proto::controller as pb;
use proto::controller::vmafx_controller_client::VmafxControllerClient;
use proto::rpc::Submit;
use service::FORCED_BURST;
use tonic::transport::Channel;
use tower::Layer as _;
use types::{
    AttemptOutcome, ExportReason, FailureKind, JobId, JobSpec, Lease, MediaRef, Outcome,
    ReportAnswer, State, ToNode, TraceId,
};

const SUBMIT: &str = "vmafx.controller.v1.VmafxController/SubmitJob";
const REPORT: &str = "vmafx.controller.v1.VmafxController/ReportResult";

/// A service's telemetry that sends spans to `receiver`; `ratio` is the share of new traces.
fn service(receiver: &OtlpReceiver, name: &str, ratio: &str) -> OtelGuard {
    let endpoint = receiver.http_endpoint();
    OtelGuard::start(&OtelConfig::from_env(name, |variable| match variable {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some(ratio.to_owned()),
        _ => None,
    }))
}

fn traced(channel: Channel, telemetry: &Telemetry) -> VmafxControllerClient<GrpcClient<Channel>> {
    let methods = GrpcMethods::from_descriptors(proto::DESCRIPTORS).expect("ours");
    let target = "http://127.0.0.1:1".parse().expect("an address");
    VmafxControllerClient::new(GrpcClientLayer::new(telemetry, methods, &target).layer(channel))
}

fn forced() -> pb::SubmitJobRequest {
    let mut spec = JobSpec::pair(MediaRef::new("/ref.y4m"), MediaRef::new("/dis.y4m"));
    spec.force_trace = true;
    Submit { spec, idempotency_key: None }.into()
}

/// What a node does with a lease that it can report: its span has the id that came with the lease.
async fn process(
    node: &mut Node<GrpcClient<Channel>>,
    lease: &Lease,
    outcome: Outcome,
    telemetry: &Telemetry,
) -> ReportAnswer {
    let span = telemetry
        .tracer
        .span(PROCESS)
        .kind(SpanKind::Consumer)
        .parent(Parent::Remote(lease.parent.clone()))
        .span_id(lease.trace.span_id)
        .start();
    let cx = span.cx().clone();
    let answer = with_context(cx, node.report(lease, outcome)).await;
    span.end();
    answer
}

fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> Vec<&'a ReceivedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn one<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    match named(spans, name).as_slice() {
        [span] => span,
        many => panic!("{} spans {name}\n{}", many.len(), render_tree(spans)),
    }
}

/// Everything that was sent about the trace, once all services have flushed.
fn trace_of(receiver: &OtlpReceiver, trace_id: TraceId) -> Vec<ReceivedSpan> {
    receiver.spans().into_iter().filter(|span| span.trace_id == trace_id).collect()
}

fn assert_tree(spans: &[ReceivedSpan]) -> &ReceivedSpan {
    check_tree(spans).unwrap_or_else(|error| panic!("{error:?}\n{}", render_tree(spans)))
}

#[tokio::test]
async fn a_forced_job_is_one_tree_from_its_submission_to_its_settlement() {
    let receiver = OtlpReceiver::start().expect("a port");
    let (controller, worker) =
        (service(&receiver, "controller", "0"), service(&receiver, "node", "0"));
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    let submitted = running.grpc().await.submit_job(forced()).await.expect("accepted");
    let submitted = submitted.into_inner();
    let client = traced(running.channel().await, worker.telemetry());
    let mut node = Node::join(client, "traced").await;
    let lease = node.lease().await;
    assert_eq!(lease.trace.trace_id.to_string(), submitted.trace_id);
    assert!(lease.trace.flags.is_sampled());
    let answer = process(&mut node, &lease, succeeded(2), worker.telemetry()).await;
    assert_eq!(answer, ReportAnswer::Accepted);
    let view = running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;
    worker.shutdown_async().await;
    controller.shutdown_async().await;

    let spans = trace_of(&receiver, lease.trace.trace_id);
    let root = assert_tree(&spans);
    assert_eq!((root.name.as_str(), &root.kind), (SUBMIT, &SpanKind::Server));
    // Told again it fits below what has arrived.
    let again = rebuild_recorded(&view, Begins::BelowSend);
    assert!(again.iter().any(|span| span.name == JOB) && again.iter().all(|s| s.name != SEND));
    for span in again.iter().filter(|span| span.name == JOB || span.name == WAIT) {
        let said = spans.iter().find(|said| said.span_id == span.context.span_id);
        let said = said.unwrap_or_else(|| panic!("{}: {}", span.name, render_tree(&spans)));
        assert_eq!(said.parent_span_id, span.parent_span_id, "{}", span.name);
    }
    let parent = |name: &str| one(&spans, name).parent_span_id;
    let id = |name: &str| Some(one(&spans, name).span_id);
    assert_eq!(parent(SEND), id(SUBMIT));
    assert_eq!(parent(JOB), id(SEND));
    assert_eq!(parent(WAIT), id(JOB));
    assert_eq!(parent(PROCESS), id(JOB));
    let reports = named(&spans, REPORT);
    let server = reports.iter().find(|span| span.kind == SpanKind::Server).expect("a server");
    assert_eq!(parent(SETTLE), Some(server.span_id), "{}", render_tree(&spans));
    assert_eq!(one(&spans, SEND).kind, SpanKind::Producer);
    assert_eq!(one(&spans, SETTLE).kind, SpanKind::Client);
    let commits = named(&spans, COMMIT);
    for above in [SEND, JOB, SETTLE] {
        let commit = commits.iter().find(|commit| commit.parent_span_id == id(above));
        let commit = commit.unwrap_or_else(|| panic!("{above}: {}", render_tree(&spans)));
        assert_eq!(commit.text("db.system.name"), "sqlite");
        assert!(commit.attributes["db.operation.batch.size"].as_u64() >= Some(1), "{commit:#?}");
    }
    assert_eq!(commits.len(), 3);
    let job = one(&spans, JOB);
    assert_eq!(job.text("vmafx.job.id"), submitted.job_id);
    assert_eq!(job.text("vmafx.job.state"), "succeeded");
    assert!(job.start_unix_nanos <= one(&spans, PROCESS).start_unix_nanos);
    // Nothing else was recorded: with a ratio of 0 only what was forced is.
    let others = receiver.spans().iter().filter(|s| s.trace_id != root.trace_id).count();
    assert_eq!(others, 0, "{}", render_tree(&receiver.spans()));
}

#[tokio::test]
async fn a_report_over_the_work_stream_continues_its_senders_trace() {
    let receiver = OtlpReceiver::start().expect("a port");
    let (controller, worker) =
        (service(&receiver, "controller", "0"), service(&receiver, "node", "0"));
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let mut node = Node::join(running.grpc().await, "streaming").await;
    let lease = node.lease().await;
    // Once, and once more as a node does that missed the answer.
    for expected in [ReportAnswer::Accepted, ReportAnswer::Duplicate] {
        let attempt = context_of(&lease.trace, Origin::Local);
        let target = ("controller".into(), 50_051);
        let sent =
            with_context(attempt, async { ReportSpan::sent(&worker.telemetry().tracer, target) });
        let sent = sent.await;
        node.report_over_stream_from(&lease, succeeded(2), sent.trace()).await;
        let (part, fence, answer) = (lease.part, lease.fence, Some(expected));
        assert_eq!(node.message().await, Some(ToNode::Reported { part, fence, answer }));
        sent.end(tonic::Code::Ok);
    }
    let view = running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;
    worker.shutdown_async().await;
    controller.shutdown_async().await;

    let spans = trace_of(&receiver, lease.trace.trace_id);
    let of = |kind: SpanKind| -> Vec<_> {
        named(&spans, REPORT).into_iter().filter(|span| span.kind == kind).collect()
    };
    let (sent, taken) = (of(SpanKind::Client), of(SpanKind::Server));
    assert_eq!((sent.len(), taken.len()), (2, 2), "{}", render_tree(&spans));
    for span in sent.iter().chain(&taken) {
        let said = (span.text("rpc.status_code"), span.text("vmafx.report.way"));
        assert_eq!((said, span.error.is_some()), (("OK", "stream"), false));
    }
    for span in &taken {
        assert!(sent.iter().any(|sent| span.parent_span_id == Some(sent.span_id)), "{span:#?}");
        assert_eq!(span.text("network.peer.address"), "127.0.0.1");
    }
    // The end is told below the report that brought it, then and later.
    let above = one(&spans, SETTLE).parent_span_id;
    let brought = taken.iter().find(|span| Some(span.span_id) == above).expect("one of the two");
    let again = rebuild_recorded(&view, Begins::BelowSend);
    let told: Vec<_> = again.iter().filter(|span| span.name == REPORT).collect();
    let places: Vec<_> =
        told.iter().map(|span| (Some(span.context.span_id), span.parent_span_id)).collect();
    let client = brought.parent_span_id;
    assert_eq!(places, [(client, Some(lease.trace.span_id)), (above, client)]);
}

#[tokio::test]
async fn a_report_with_a_position_that_nobody_can_read_is_a_report_all_the_same() {
    let receiver = OtlpReceiver::start().expect("a port");
    let controller = service(&receiver, "controller", "0");
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let mut node = Node::join(running.grpc().await, "garbled").await;
    let lease = node.lease().await;
    let garbled = pb::TraceContext { traceparent: "00-".repeat(1_000), tracestate: "x".into() };
    node.report_garbled(&lease, succeeded(2), garbled).await;
    let (part, fence, answer) = (lease.part, lease.fence, Some(ReportAnswer::Accepted));
    assert_eq!(node.message().await, Some(ToNode::Reported { part, fence, answer }));
    running.handle.shutdown().await;
    controller.shutdown_async().await;
    let spans = trace_of(&receiver, lease.trace.trace_id);
    assert_eq!(named(&spans, REPORT).len(), 0, "{}", render_tree(&spans));
    assert_eq!(one(&spans, SETTLE).parent_span_id, Some(lease.trace.span_id));
}

#[tokio::test]
async fn what_an_older_program_did_not_keep_is_not_told_and_what_a_crash_lost_is_told_as_lost() {
    let running = Running::start().await;
    let body = r#"{"reference":"/r","distorted":"/d"}"#;
    let answer = running.http().post("/v1/jobs", body).await.json();
    let mut node = Node::join(running.grpc().await, "node").await;
    let lease = node.lease().await;
    assert_eq!(lease.job.to_string(), answer["id"]);
    node.report(&lease, succeeded(1)).await;
    let view = running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;

    let mut crashed = view.clone();
    crashed.submitted_by = None;
    crashed.attempts[0].leased_by = None;
    crashed.attempts[0].ended_by = None;
    let mut older = crashed.clone();
    older.call = None;
    older.attempts[0].report = None;
    let names = |spans: &[SpanRecord]| -> Vec<String> {
        spans.iter().map(|span| span.name.to_string()).collect()
    };
    let ids = |spans: &[SpanRecord]| -> Vec<_> {
        spans.iter().map(|span| (span.context.span_id, span.parent_span_id)).collect()
    };
    let whole = rebuild(&view, ExportReason::Asked);
    let post = "POST /v1/jobs";
    let sent = [post, SEND, COMMIT, JOB, WAIT, COMMIT];
    let worked = [PROCESS, FETCH, SCORE, REPORT, REPORT];
    assert_eq!(names(&whole), [&sent[..], &worked, &[SETTLE, COMMIT]].concat());
    let lost = rebuild(&crashed, ExportReason::Asked);
    assert_eq!(ids(&lost), ids(&whole), "the same spans");
    let says_so = |span: &&SpanRecord| {
        span.attributes.iter().any(|pair| pair.key.as_str() == "vmafx.span.end")
    };
    let commits: Vec<_> = lost.iter().filter(|span| span.name == COMMIT).collect();
    assert_eq!(commits, lost.iter().filter(says_so).collect::<Vec<_>>());
    assert!(commits.iter().all(|span| span.start == span.end));
    assert_eq!(whole.iter().filter(says_so).count(), 0);

    let told = rebuild(&older, ExportReason::Asked);
    assert_eq!(names(&told), [SEND, JOB, WAIT, PROCESS, FETCH, SCORE, SETTLE]);
    assert_eq!(told[0].parent_span_id, None);
    assert_eq!(told[6].parent_span_id, Some(lease.trace.span_id));
}

#[tokio::test]
async fn a_lost_attempt_and_its_retry_are_in_the_same_tree_with_the_cause() {
    let receiver = OtlpReceiver::start().expect("a port");
    let (controller, worker) =
        (service(&receiver, "controller", "0"), service(&receiver, "node", "0"));
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let mut dying = Node::join(running.grpc().await, "dying").await;
    let first = dying.lease().await;
    drop(dying);
    let client = traced(running.channel().await, worker.telemetry());
    let mut node = Node::join(client, "living").await;
    let second = node.lease().await;
    assert_eq!((second.part, second.attempt), (first.part, 2));
    process(&mut node, &second, succeeded(1), worker.telemetry()).await;
    let job = running.reached(first.job, State::Succeeded).await;
    assert_eq!(job.attempts[0].outcome, Some(AttemptOutcome::Lost));
    running.handle.shutdown().await;
    worker.shutdown_async().await;
    controller.shutdown_async().await;

    let spans = trace_of(&receiver, first.trace.trace_id);
    assert_tree(&spans);
    let attempts = named(&spans, PROCESS);
    assert_eq!(attempts.len(), 2, "{}", render_tree(&spans));
    let lost = attempts.iter().find(|s| s.span_id == first.trace.span_id).expect("the first");
    // The controller tells it, but it was the node's.
    assert_eq!(
        (lost.service(), &lost.resource["service.instance.id"]),
        ("vmafx-node", &"dying".into())
    );
    assert_eq!(lost.text("error.type"), "node_lost");
    assert_eq!(lost.text("vmafx.node.id"), "dying");
    assert!(lost.error.is_some());
    let settles = named(&spans, SETTLE);
    let of_lost = settles.iter().find(|s| s.parent_span_id == Some(lost.span_id));
    let of_lost = of_lost.unwrap_or_else(|| panic!("{}", render_tree(&spans)));
    assert_eq!(of_lost.text("vmafx.lease.cause"), "node_lost");
    assert_eq!(settles.len(), 2);
    let waits = named(&spans, WAIT);
    assert_eq!(waits.len(), 2);
    let retry = waits.iter().find(|wait| !wait.links.is_empty()).expect("a link");
    assert_eq!(retry.links[0].span_id, first.trace.span_id);
    assert_eq!(retry.links[0].attributes["vmafx.link"], "previous_attempt");
}

#[tokio::test]
async fn a_job_that_failed_and_was_retried_by_hand_writes_no_span_twice() {
    let receiver = OtlpReceiver::start().expect("a port");
    let (controller, worker) =
        (service(&receiver, "controller", "0"), service(&receiver, "node", "0"));
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let client = traced(running.channel().await, worker.telemetry());
    let mut node = Node::join(client, "again").await;
    let lease = node.lease().await;
    process(&mut node, &lease, failed(FailureKind::NotAVideo), worker.telemetry()).await;
    running.reached(lease.job, State::Failed).await;
    running.http().post("/v1/jobs/retry", &format!(r#"{{"job_ids":["{}"]}}"#, lease.job)).await;
    let second = node.lease().await;
    process(&mut node, &second, succeeded(1), worker.telemetry()).await;
    let job = running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;
    worker.shutdown_async().await;
    controller.shutdown_async().await;

    let spans = trace_of(&receiver, lease.trace.trace_id);
    assert_tree(&spans);
    let jobs = named(&spans, JOB);
    assert_eq!(jobs.len(), 2, "{}", render_tree(&spans));
    let failed = jobs.iter().find(|s| s.text("vmafx.job.state") == "failed").expect("failed");
    let again = jobs.iter().find(|s| s.text("vmafx.job.state") == "succeeded").expect("again");
    assert_eq!(failed.text("error.type"), "not_a_video");
    assert_eq!(again.parent_span_id, Some(failed.span_id));
    assert_eq!(named(&spans, WAIT).len(), 2);

    // What is rebuilt of it later has the same ids and the same places.
    assert_eq!(job.earlier_ends.len(), 1);
    let rebuilt = rebuild(&job, ExportReason::Asked);
    for name in [SUBMIT, SEND, JOB, WAIT, PROCESS, REPORT, SETTLE, COMMIT] {
        let mut then: Vec<_> = named(&spans, name).iter().map(|span| span.span_id).collect();
        let of_name = rebuilt.iter().filter(|span| span.name == name);
        let mut now: Vec<_> = of_name.map(|span| span.context.span_id).collect();
        then.sort();
        now.sort();
        assert_eq!(now, then, "{name}");
    }
    let later = rebuilt.iter().find(|span| span.context.span_id == again.span_id).expect("there");
    assert_eq!(later.parent_span_id, again.parent_span_id);
}

#[tokio::test]
async fn the_callers_trace_is_kept_over_http_and_over_a_restart() {
    let receiver = OtlpReceiver::start().expect("a port");
    let controller = service(&receiver, "controller", "0");
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let caller = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let headers = [
        ("content-type", "application/json"),
        ("traceparent", &caller),
        ("tracestate", "vendor=1"),
    ];
    let body = r#"{"reference":"/r","distorted":"/d"}"#;
    let answer = running.http().send(Method::POST, "/v1/jobs", &headers, body).await;
    let json = answer.json();
    assert_eq!((&json["trace_id"], &json["sampled"]), (&trace_id.into(), &true.into()));
    assert_eq!(answer.header("traceparent"), json["traceparent"].as_str().expect("text"));
    let id: JobId = json["id"].as_str().expect("an id").parse().expect("an id");
    let other = running.http().get("/v1/nodes").await;
    assert!(other.header("traceparent").starts_with("00-"), "{:?}", other.headers);

    let Running { handle, dir } = running;
    handle.shutdown().await;
    let config = common::config(&dir);
    let again = vmafx_controller::Controller::start(config, controller.telemetry().clone()).await;
    let running = Running { handle: again.expect("starts again"), dir };
    let job = running.handle.queue().job(id).await.expect("still there");
    assert_eq!(job.trace.tracestate, "vendor=1");
    let worker = service(&receiver, "node", "0");
    let client = traced(running.channel().await, worker.telemetry());
    let mut node = Node::join(client, "after").await;
    let lease = node.lease().await;
    process(&mut node, &lease, succeeded(1), worker.telemetry()).await;
    running.reached(id, State::Succeeded).await;
    running.handle.shutdown().await;
    worker.shutdown_async().await;
    // The caller's own span, which its own service would send.
    let caller = types::TraceContext::parse(&caller, "").expect("valid");
    let now = std::time::SystemTime::now();
    let record = SpanRecord::new(caller.clone(), SpanKind::Client, "POST", now, now);
    controller.tracer().emit_span(record);
    controller.shutdown_async().await;

    let spans = trace_of(&receiver, caller.trace_id);
    assert_eq!(assert_tree(&spans).span_id, caller.span_id);
    assert_eq!(one(&spans, "POST /v1/jobs").parent_span_id, Some(caller.span_id));
    assert_eq!(one(&spans, JOB).span_id, job.root_span_id);
}

#[tokio::test]
async fn a_report_without_a_trace_is_settled_below_its_attempt() {
    let receiver = OtlpReceiver::start().expect("a port");
    let controller = service(&receiver, "controller", "0");
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let mut node = Node::join(running.grpc().await, "untraced").await;
    let lease = node.lease().await;
    node.report(&lease, succeeded(1)).await;
    running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;
    controller.shutdown_async().await;
    let spans = trace_of(&receiver, lease.trace.trace_id);
    assert_eq!(one(&spans, SETTLE).parent_span_id, Some(lease.trace.span_id));
}

#[tokio::test]
async fn a_job_cancelled_while_it_runs_leaves_a_whole_tree_even_if_its_node_says_nothing() {
    let receiver = OtlpReceiver::start().expect("a port");
    let controller = service(&receiver, "controller", "0");
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    running.grpc().await.submit_job(forced()).await.expect("accepted");
    let mut node = Node::join(running.grpc().await, "silent").await;
    let lease = node.lease().await;
    running.http().delete(&format!("/v1/jobs/{}", lease.job)).await;
    running.reached(lease.job, State::Cancelled).await;
    running.handle.shutdown().await;
    controller.shutdown_async().await;
    let spans = trace_of(&receiver, lease.trace.trace_id);
    assert_tree(&spans);
    assert_eq!(one(&spans, JOB).text("vmafx.job.state"), "cancelled");
    assert_eq!(one(&spans, SETTLE).parent_span_id, Some(one(&spans, JOB).span_id));
}

#[tokio::test]
async fn unsampled_jobs_have_a_trace_id_and_no_spans() {
    let receiver = OtlpReceiver::start().expect("a port");
    let controller = service(&receiver, "controller", "0");
    let running = Running::with(|_| {}, controller.telemetry().clone()).await;
    let answer =
        running.http().post("/v1/jobs", r#"{"reference":"/r","distorted":"/d"}"#).await.json();
    assert_eq!(answer["sampled"], false);
    assert!(TraceId::parse(answer["trace_id"].as_str().expect("text")).is_some());
    let mut node = Node::join(running.grpc().await, "unsampled").await;
    let lease = node.lease().await;
    assert_eq!(lease.trace.trace_id.to_string(), answer["trace_id"]);
    node.report(&lease, succeeded(1)).await;
    running.reached(lease.job, State::Succeeded).await;
    running.handle.shutdown().await;
    controller.shutdown_async().await;
    assert_eq!(receiver.spans().len(), 0, "{}", render_tree(&receiver.spans()));
}

#[tokio::test]
async fn untrusted_callers_cannot_force_traces_without_end() {
    let running = Running::start().await;
    let mut grpc = running.grpc().await;
    let jobs = (0..FORCED_BURST * 2).map(|_| forced()).collect();
    let answer = grpc.submit_jobs(pb::SubmitJobsRequest { jobs }).await.expect("accepted");
    assert_eq!(answer.into_inner().jobs.len(), FORCED_BURST as usize * 2);
    let page = running.http().get("/v1/jobs?limit=1000").await.json();
    let jobs = page["jobs"].as_array().expect("jobs");
    let sampled = jobs.iter().filter(|job| job["sampled"] == true).count();
    // A second or two may have passed, and refilled as many.
    assert!((FORCED_BURST as usize..=FORCED_BURST as usize + 20).contains(&sampled), "{sampled}");
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_dead_collector_delays_nothing() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", dead.local_addr().expect("bound"));
    let guard = OtelGuard::start(&OtelConfig::from_env("controller", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some("1".to_owned()),
        _ => None,
    }));
    let running = Running::with(|_| {}, guard.telemetry().clone()).await;
    let began = std::time::Instant::now();
    for _ in 0..50 {
        running.grpc().await.submit_job(forced()).await.expect("accepted");
    }
    soon("the shutdown", running.handle.shutdown()).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let flushing = std::time::Instant::now();
    guard.shutdown_async().await;
    assert!(flushing.elapsed() < Duration::from_secs(4), "{:?}", flushing.elapsed());
    drop(dead);
}
