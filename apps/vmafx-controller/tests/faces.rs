//! The faces as such: descriptions, errors, probes, tokens, shutdown.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::node::{Node, failed, succeeded};
use common::schema::check;
use common::{Running, soon};
use http::{Method, StatusCode};
use observability::config::OtelConfig;
use observability::testing::OtlpReceiver;
use observability::{OtelGuard, Telemetry};
use proto::controller as pb;
use proto::controller::vmafx_controller_client::VmafxControllerClient;
use serde_json::json;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use types::{FailureKind, JobId, RunningPart, State, ToNode};
use vmafx_controller::{Config, Controller, StartError};

const PAIR: &str = r#"{"reference":"/ref.y4m","distorted":"/dis.y4m"}"#;
const NOBODY: &str = "018bcfe5-687b-7fff-bfff-ffffffffffff";
const TOKEN: &str = "a-token-that-is-long-enough";

#[tokio::test]
async fn every_answer_is_as_the_description_says() {
    let running = Running::start().await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    let submitted = http.post("/v1/jobs", PAIR).await;
    check(&document, "Submitted", &submitted.json());
    let id: JobId = submitted.json()["id"].as_str().expect("an id").parse().expect("an id");
    let job = format!("/v1/jobs/{id}");
    check(&document, "Job", &http.get(&job).await.json());
    check(&document, "Waterfall", &http.get(&format!("{job}/explain")).await.json());

    let mut node = Node::join(running.grpc().await, "described").await;
    let lease = node.lease().await;
    check(&document, "Job", &http.get(&job).await.json());
    node.report(&lease, failed(FailureKind::Io)).await;
    let lease = node.lease().await;
    node.report(&lease, succeeded(3)).await;
    running.reached(id, State::Succeeded).await;
    let whole = http.get(&job).await.json();
    check(&document, "Job", &whole);
    assert_eq!(whole["attempts"].as_array().map(Vec::len), Some(2), "{whole:#}");
    assert_eq!(whole["results"][0]["models"][0]["pooled"]["mean"], 1.0, "{whole:#}");
    check(&document, "JobPage", &http.get("/v1/jobs").await.json());
    check(&document, "Frames", &http.get(&format!("{job}/frames")).await.json());
    check(&document, "Nodes", &http.get("/v1/nodes").await.json());
    let waterfall = http.get(&format!("{job}/explain")).await.json();
    check(&document, "Waterfall", &waterfall);
    assert!(waterfall["explained_share"].as_f64().expect("a share") >= 0.99, "{waterfall:#}");
    let text = http.get(&format!("{job}/explain?format=text")).await;
    assert!(text.text().contains("score: vif"), "{}", text.text());

    let drained = http.post("/v1/nodes/described/drain", "").await;
    check(&document, "Drained", &drained.json());
    assert_eq!(node.message().await, Some(ToNode::Drain));
    check(&document, "Cancelled", &http.delete(&job).await.json());
    check(&document, "Retried", &http.post("/v1/jobs/retry", r#"{"filter":{}}"#).await.json());
    check(&document, "Problem", &http.get(&format!("/v1/jobs/{NOBODY}")).await.json());
    running.handle.shutdown().await;
}

#[tokio::test]
async fn every_described_operation_is_served_and_no_other_method() {
    let running = Running::start().await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let concrete = path.replace("{id}", NOBODY);
        let described: BTreeSet<String> =
            item.as_object().expect("operations").keys().map(|m| m.to_uppercase()).collect();
        for method in &described {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = http.send(method.clone(), &concrete, &[], "").await;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if answer.header("content-type") == "application/problem+json" {
                assert_ne!(answer.json()["code"], "ROUTE_NOT_FOUND", "{method} {path}");
            }
            operations += 1;
        }
        let answer = http.send(Method::PATCH, &concrete, &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "PATCH {path}");
        check(&document, "Problem", &answer.json());
        // Whoever serves GET serves HEAD.
        let allowed: BTreeSet<String> = answer
            .header("allow")
            .split(',')
            .map(|method| method.trim().to_owned())
            .filter(|method| method != "HEAD")
            .collect();
        assert_eq!(allowed, described, "{path}");
    }
    assert!(operations >= 14, "{operations}");
    running.handle.shutdown().await;
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let running = Running::start().await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    let json = ("content-type", "application/json");
    let large = format!(r#"{{"reference":"{}","distorted":"/d"}}"#, "x".repeat(2 << 20));
    let long_key = "k".repeat(256);
    let job = format!("/v1/jobs/{NOBODY}");
    let frames = format!("{job}/frames?format=gif");
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(Method, &str, Headers<'_>, &str, u16, &str)> = vec![
        (Method::GET, "/nothing", vec![], "", 404, "ROUTE_NOT_FOUND"),
        (Method::GET, &job, vec![], "", 404, "JOB_NOT_FOUND"),
        (Method::GET, "/v1/jobs/seven", vec![], "", 404, "JOB_NOT_FOUND"),
        (Method::DELETE, &job, vec![], "", 404, "JOB_NOT_FOUND"),
        (Method::POST, "/v1/nodes/nobody/drain", vec![], "", 404, "NODE_NOT_FOUND"),
        (Method::PATCH, "/v1/jobs", vec![], "", 405, "METHOD_NOT_ALLOWED"),
        (Method::POST, "/v1/jobs", vec![json], &large, 413, "TOO_LARGE"),
        (Method::POST, "/v1/jobs", vec![], PAIR, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (Method::POST, "/v1/jobs", vec![json], "{", 400, "INVALID_ARGUMENT"),
        (Method::POST, "/v1/jobs", vec![json], "{}", 422, "INVALID_ARGUMENT"),
        (
            Method::POST,
            "/v1/jobs",
            vec![json],
            r#"{"reference":"","distorted":"/d"}"#,
            422,
            "INVALID_ARGUMENT",
        ),
        (
            Method::POST,
            "/v1/jobs",
            vec![json, ("idempotency-key", &long_key)],
            PAIR,
            400,
            "INVALID_ARGUMENT",
        ),
        (Method::GET, &frames, vec![], "", 400, "INVALID_ARGUMENT"),
        (Method::GET, "/v1/nodes?x=1", vec![], "", 400, "INVALID_ARGUMENT"),
    ];
    for (method, path, headers, body, status, code) in cases {
        let at = format!("{method} {path} {body:.60}");
        let answer = http.send(method, path, &headers, body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{at}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{at}");
        let problem = answer.json();
        check(&document, "Problem", &problem);
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{at}");
        assert!(!problem["detail"].as_str().expect("a sentence").is_empty(), "{at}");
    }
    let empty = http.post("/v1/jobs", r#"{"reference":"/r","distorted":[]}"#).await.json();
    assert_eq!(empty["violations"][0]["field"], "distorted", "{empty:#}");
    running.handle.shutdown().await;
}

#[tokio::test]
async fn probes_metrics_health_and_reflection_answer() {
    let running = Running::start().await;
    let http = running.http();
    assert_eq!(http.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(http.get("/readyz").await.status, StatusCode::OK);
    http.post("/v1/jobs", PAIR).await;
    let text = http.get("/metrics").await;
    assert!(text.header("content-type").starts_with("text/plain"), "{:?}", text.headers);
    assert!(text.text().contains("vmafx_jobs_submitted_total 1"), "{}", text.text());
    // The depth is written after the answers of its commit have left.
    soon("the queue's depth", async {
        while !http
            .get("/metrics")
            .await
            .text()
            .contains("vmafx_queue_depth{vmafx_part_state=\"queued\"} 1")
        {}
    })
    .await;
    let accept = [("accept", "application/openmetrics-text")];
    let open = http.send(Method::GET, "/metrics", &accept, "").await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));

    let channel = running.channel().await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "vmafx.controller.v1.VmafxController"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("known").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let services = reflected_services(channel).await;
    for service in ["vmafx.controller.v1.VmafxController", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|known| known == service), "{services:?}");
    }
    running.handle.shutdown().await;
}

async fn reflected_services(channel: tonic::transport::Channel) -> Vec<String> {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = soon("reflection", answers.expect("served").into_inner().message_owned()).await;
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("not a list: {other:?}"),
    }
}

trait MessageOwned<T> {
    async fn message_owned(self) -> T;
}

impl<T> MessageOwned<T> for tonic::Streaming<T> {
    async fn message_owned(mut self) -> T {
        self.message().await.expect("a whole stream").expect("one message")
    }
}

#[tokio::test]
async fn both_faces_ask_for_the_token_and_probes_do_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = Running::token_file(&dir, TOKEN);
    let running = Running::with(|c| c.token_file = Some(file), Telemetry::disabled()).await;
    let http = running.http();
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(http.get(open).await.status, StatusCode::OK, "{open}");
    }
    for (path, header) in
        [("/v1/jobs", ""), ("/metrics", ""), ("/v1/nodes", "Bearer wrong"), ("/nothing", "")]
    {
        let answer = http.send(Method::GET, path, &[("authorization", header)], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.json()["code"], "UNAUTHENTICATED");
    }
    let bearer = format!("Bearer {TOKEN}");
    let known = [("authorization", bearer.as_str())];
    assert_eq!(http.send(Method::GET, "/v1/jobs", &known, "").await.status, StatusCode::OK);

    let channel = running.channel().await;
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("open to probes");
    let mut bare = VmafxControllerClient::new(channel.clone());
    let error = bare.list_nodes(pb::ListNodesRequest {}).await.expect_err("no token");
    assert_eq!(error.code(), Code::Unauthenticated);
    let mut with = VmafxControllerClient::with_interceptor(channel, |mut r: tonic::Request<()>| {
        let bearer = format!("Bearer {TOKEN}").parse().expect("ascii");
        r.metadata_mut().insert("authorization", bearer);
        Ok(r)
    });
    with.list_nodes(pb::ListNodesRequest {}).await.expect("a token");
    running.handle.shutdown().await;
}

const SAMPLING: &str = "/v1/telemetry/sampling";

#[tokio::test]
async fn sampling_is_looked_at_and_changed_in_the_running_controller() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let telemetry = OtelGuard::start(&OtelConfig::from_env("vmafx-test", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some("0".to_owned()),
        _ => None,
    }));
    let running = Running::with(|_| {}, telemetry.telemetry().clone()).await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    let is_next_job_sampled = async || {
        let submitted = http.post("/v1/jobs", PAIR).await;
        assert_eq!(submitted.status, StatusCode::ACCEPTED, "{}", submitted.text());
        match submitted.header("traceparent").rsplit('-').next() {
            Some("03") => true,
            Some("02") => false,
            other => panic!("{other:?}"),
        }
    };
    let json = [("content-type", "application/json")];
    let change = async |body: &'static str| http.send(Method::PUT, SAMPLING, &json, body).await;

    let before = http.get(SAMPLING).await.json();
    check(&document, "Sampling", &before);
    assert_eq!((&before["arg"], &before["source"]), (&json!(0.0), &json!("environment")));
    assert!(!is_next_job_sampled().await);
    let answer = change(r#"{"sampler":"parentbased_traceidratio","arg":1}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    check(&document, "Sampling", &answer.json());
    assert_eq!(answer.json()["source"], "admin");
    assert_eq!(answer.json()["configured"]["arg"], 0.0);
    assert!(is_next_job_sampled().await);
    assert_eq!(change(r#"{"arg":0}"#).await.status, StatusCode::OK);
    assert!(!is_next_job_sampled().await);
    let answer = change(r#"{"sampler":"always_on","for_seconds":600}"#).await.json();
    check(&document, "Sampling", &answer);
    assert!(answer["for_seconds"].as_u64().is_some_and(|left| (1..=600).contains(&left)));
    assert!(is_next_job_sampled().await);

    for (body, status, field) in [
        ("{", StatusCode::BAD_REQUEST, None),
        (r#"{"arg":"NaN"}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("arg")),
        (r#"{"arg":9.5}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("arg")),
        (r#"{"ratio":0.5}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("ratio")),
        (r#"{"sampler":"b3"}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("sampler")),
    ] {
        let answer = change(body).await;
        assert_eq!(answer.status, status, "{body}");
        check(&document, "Problem", &answer.json());
        let violation = answer.json()["violations"][0]["field"].clone();
        assert_eq!(violation.as_str(), field, "{body}");
    }
    let untyped = http.send(Method::PUT, SAMPLING, &[], r#"{"arg":0}"#).await;
    assert_eq!(untyped.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(is_next_job_sampled().await, "what was refused changed nothing");
    running.handle.shutdown().await;
    telemetry.shutdown_async().await;
}

#[tokio::test]
async fn only_known_callers_or_this_machine_change_sampling() {
    let json = [("content-type", "application/json")];
    let everywhere = "0.0.0.0:0".parse().expect("an address");
    let open = |c: &mut Config| (c.http_listen, c.insecure) = (everywhere, true);
    let running = Running::with(open, Telemetry::disabled()).await;
    let http = common::http::Http::new(([127, 0, 0, 1], running.handle.http_addr.port()).into());
    let answer = http.send(Method::PUT, SAMPLING, &json, r#"{"arg":1}"#).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("SIGHUP"), "{}", answer.text());
    assert_eq!(http.get(SAMPLING).await.json()["source"], "environment");

    let dir = tempfile::tempdir().expect("a directory");
    let file = Running::token_file(&dir, TOKEN);
    let guarded = |c: &mut Config| (c.http_listen, c.token_file) = (everywhere, Some(file));
    let running = Running::with(guarded, Telemetry::disabled()).await;
    let http = common::http::Http::new(([127, 0, 0, 1], running.handle.http_addr.port()).into());
    let bearer = format!("Bearer {TOKEN}");
    let known = [json[0], ("authorization", bearer.as_str())];
    for (headers, status) in [(&json[..], StatusCode::UNAUTHORIZED), (&known[..], StatusCode::OK)] {
        let answer = http.send(Method::PUT, SAMPLING, headers, r#"{"arg":1}"#).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_controller_that_cannot_start_says_why() {
    let running = Running::start().await;
    let start = |change: &dyn Fn(&mut Config)| {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = common::config(&dir);
        change(&mut config);
        async move {
            let started = Controller::start(config, Telemetry::disabled()).await;
            drop(dir);
            started.expect_err("not allowed")
        }
    };
    let taken = start(&|c| c.http_listen = running.handle.http_addr).await;
    assert!(matches!(&taken, StartError::Listen(listen) if listen.face == "HTTP"), "{taken:?}");
    let open = start(&|c| c.grpc_listen = "0.0.0.0:0".parse().expect("an address")).await;
    assert!(matches!(open, StartError::Config(_)), "{open:?}");
    let no_token = start(&|c| c.token_file = Some("/nonexistent/tokens".into())).await;
    assert!(matches!(no_token, StartError::Tokens(_)), "{no_token:?}");
    let no_directory = start(&|c| c.db_path = "/proc/nowhere/controller.db".into()).await;
    assert!(matches!(no_directory, StartError::Directory { .. }), "{no_directory:?}");
    let same = running.dir.path().join("state").join("controller.db");
    let locked = start(&|c| c.db_path.clone_from(&same)).await;
    assert!(matches!(locked, StartError::Queue(_)), "{locked:?}");
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_tells_probes_first_and_ends_every_stream() {
    let running = Running::start().await;
    let http = running.http();
    let id = http.post("/v1/jobs", PAIR).await.json()["id"].as_str().expect("an id").to_owned();
    let mut node = Node::join(running.grpc().await, "leaving").await;
    node.lease().await;
    let mut grpc = running.grpc().await;
    let request = pb::StreamJobsRequest { filter: None, job_id: id.clone() };
    let mut watch = grpc.stream_jobs(request).await.expect("a watch").into_inner();
    let events = http.stream(Method::GET, &format!("/v1/jobs/{id}/events"), &[], "").await;
    let mut health = HealthClient::new(running.channel().await);
    let mut serving =
        health.watch(HealthCheckRequest::default()).await.expect("a watch").into_inner();
    let first = soon("health", serving.message()).await.expect("whole").expect("one");
    assert_eq!(first.status(), ServingStatus::Serving);

    let (grpc_addr, Running { handle, dir }) = (running.handle.grpc_addr, running);
    let stopped = tokio::spawn(handle.shutdown());
    let next = soon("health", serving.message()).await.expect("whole").expect("one");
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert_eq!(node.message().await, Some(ToNode::Reconnect));
    assert_eq!(node.message().await, None);
    let error = loop {
        match soon("the watch's end", watch.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an end in good order, although the job goes on"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    let text = {
        use http_body_util::BodyExt as _;
        soon("the events' end", events.into_body().collect()).await.expect("whole").to_bytes()
    };
    assert!(!String::from_utf8_lossy(&text).contains("event: end"), "{text:?}");
    drop((health, serving, watch, grpc, node, http));
    soon("the shutdown", stopped).await.expect("no panic");
    tokio::net::TcpStream::connect(grpc_addr).await.expect_err("nobody listens");
    drop(dir);
}

#[tokio::test]
async fn an_old_stream_is_asked_to_reconnect_and_its_node_keeps_what_it_runs() {
    let age = |c: &mut Config| c.stream_age_max = Duration::from_millis(200);
    let running = Running::with(age, Telemetry::disabled()).await;
    let id = running.http().post("/v1/jobs", PAIR).await.json()["id"].clone();
    let id: JobId = id.as_str().expect("an id").parse().expect("an id");
    let mut node = Node::join(running.grpc().await, "ageing").await;
    let lease = node.lease().await;
    assert_eq!(node.message().await, Some(ToNode::Reconnect));
    let (part, fence) = (lease.part, lease.fence);
    let in_hand = vec![RunningPart { part, fence, frames_done: 0, frames_total: None }];
    let mut again = Node::join_running(running.grpc().await, "ageing", in_hand).await;
    assert_eq!(again.session, node.session);
    assert_eq!(node.message().await, None);
    again.report(&lease, succeeded(1)).await;
    let job = running.reached(id, State::Succeeded).await;
    assert_eq!(job.attempts.len(), 1);
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_node_without_a_stream_polls_for_work_and_is_answered_before_its_deadline() {
    use proto::rpc::{SignOfLife, from_wire, poll_request};
    use types::{Incarnation, NodeStatus, SessionId};
    let running = Running::start().await;
    let mut grpc = running.grpc().await;
    let request = pb::RegisterNodeRequest::from(common::node::registration("polling", 9));
    let session = grpc.register_node(request).await.expect("registers").into_inner().session_id;
    let sign = || SignOfLife {
        session: SessionId(session),
        incarnation: Incarnation(9),
        status: NodeStatus { slots_offered: 1, running: Vec::new(), draining: false },
    };
    let mut request = tonic::Request::new(poll_request(sign(), Duration::from_secs(10)));
    request.set_timeout(Duration::from_millis(400));
    let answer = soon("an empty poll", grpc.poll_work(request)).await.expect("in time");
    assert!(answer.into_inner().messages.is_empty());

    let polling = tokio::spawn({
        let mut grpc = grpc.clone();
        let request = poll_request(sign(), Duration::from_secs(10));
        async move { grpc.poll_work(request).await }
    });
    running.http().post("/v1/jobs", PAIR).await;
    let answer = soon("a lease", polling).await.expect("no panic").expect("an answer");
    let messages = from_wire(answer.into_inner().messages).expect("messages we know");
    assert!(matches!(messages.as_slice(), [ToNode::Lease(_)]), "{messages:?}");
    let beat = grpc.heartbeat(pb::HeartbeatRequest::from(sign())).await.expect("known");
    assert!(beat.into_inner().messages.len() <= 1);
    let mut stranger = sign();
    stranger.session = SessionId(session + 1);
    let error = grpc.heartbeat(pb::HeartbeatRequest::from(stranger)).await.expect_err("unknown");
    assert_eq!(proto::ApiError::from_status(&error).kind, proto::ErrorKind::UnknownSession);
    running.handle.shutdown().await;
}
