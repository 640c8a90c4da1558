//! The faces as such: descriptions, errors, probes, tokens, traces.

mod common;

use std::num::NonZeroUsize;

use common::schema::check;
use common::{Running, soon};
use http::{Method, StatusCode};
use observability::config::OtelConfig;
use observability::testing::{OtlpReceiver, check_tree, render_tree};
use observability::{OtelGuard, Telemetry};
use proto::scoring as pb;
use proto::{ApiError, ErrorKind};
use serde_json::json;
use testkit::ClipSpec;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use types::FailureKind;

const TOKEN: &str = "a-token-that-is-long-enough";
const JSON: (&str, &str) = ("content-type", "application/json");

fn pair(running: &Running) -> pb::ScoreRequest {
    running.write(&ClipSpec::texture(9, 64, 48, 3).make(), 1).into()
}

fn body(request: &pb::ScoreRequest) -> serde_json::Value {
    json!({
        "reference": request.reference.as_ref().map(|media| media.uri.as_str()),
        "distorted": request.distorted.as_ref().map(|media| media.uri.as_str()),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_description_says() {
    let running = Running::start().await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    check(&document, "Health", &http.get("/v1/health").await.json());
    check(&document, "Sampling", &http.get("/v1/telemetry/sampling").await.json());
    let scored = http.post("/v1/score", &body(&pair(&running)).to_string()).await;
    assert_eq!(scored.status, StatusCode::OK, "{}", scored.text());
    check(&document, "Scored", &scored.json());
    assert!(!scored.header("traceparent").is_empty());
    assert_eq!(http.get("/healthz").await.text(), "ok\n");
    assert_eq!(http.get("/readyz").await.text(), "ready\n");
    let page = http.get("/metrics").await;
    for name in [
        "vmafx_direct_slots 2",
        "vmafx_direct_busy 0",
        "vmafx_direct_waiting 0",
        "vmafx_direct_duration_seconds_count{vmafx_attempt_outcome=\"succeeded\"} 1",
        "vmafx_direct_frames_total 3",
        "vmafx_engine_frames_total{vmafx_model=\"vmaf_v0.6.1\"} 3",
    ] {
        assert!(page.text().contains(name), "{name} is not in\n{}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_error_is_a_problem_that_says_what_to_do() {
    let running = Running::start().await;
    let http = running.http();
    let document = http.get("/openapi.json").await.json();
    let good = body(&pair(&running));
    let with = |field: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().join("x.y4m");
    std::fs::write(&outside, "YUV4MPEG2 W2 H2\n").expect("written");
    let absent = running.path("absent.y4m").display().to_string();
    for (body, status, code, says) in [
        ("{".to_owned(), 400, "INVALID_ARGUMENT", "EOF"),
        ("[]".to_owned(), 422, "INVALID_ARGUMENT", "invalid"),
        (with("sub_sample", json!(2)), 422, "INVALID_ARGUMENT", "sub_sample"),
        (with("pooling", json!("median")), 422, "INVALID_ARGUMENT", "harmonic_mean"),
        (with("timeout_ms", json!(0)), 422, "INVALID_ARGUMENT", "leave it out"),
        (with("frame_count_max", json!(0)), 422, "INVALID_ARGUMENT", "no frame"),
        (with("model", json!("vmaf_v9")), 400, "INVALID_ARGUMENT", "vmaf_v9"),
        (with("features", json!(["ssim2000"])), 400, "INVALID_ARGUMENT", "ssim2000"),
        (with("reference", json!(outside)), 403, "PERMISSION_DENIED", "x.y4m"),
        (with("reference", json!("https://example.org/x")), 403, "PERMISSION_DENIED", "example"),
        (with("reference", json!(absent)), 422, "NOT_SCORABLE", "absent.y4m"),
        (with("features", json!("x".repeat(2 << 20))), 413, "TOO_LARGE", "larger"),
    ] {
        let answer = http.send(Method::POST, "/v1/score", &[JSON], body).await;
        let problem = answer.json();
        check(&document, "Problem", &problem);
        let found = (answer.status.as_u16(), problem["code"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{problem:#}");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains(says)), "{problem:#}");
    }
    let plain = http.send(Method::POST, "/v1/score", &[], good.to_string()).await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let unknown = http.post("/v1/score?fast=1", &good.to_string()).await;
    assert!(unknown.status == 400 && unknown.text().contains("fast"), "{}", unknown.text());
    assert_eq!(http.get("/v1/score").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(http.get("/v2/score").await.status, StatusCode::NOT_FOUND);

    let mut request = pair(&running);
    request.reference.as_mut().expect("some").uri = absent;
    let status = running.grpc().await.score(request).await.expect_err("it is not there");
    let error = ApiError::from_status(&status);
    assert_eq!((error.kind, error.failure), (ErrorKind::NotScorable, Some(FailureKind::NotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_no_token_is_let_in_nowhere_but_to_probes() {
    let keys = tempfile::tempdir().expect("a folder");
    let file = keys.path().join("tokens");
    std::fs::write(&file, TOKEN).expect("written");
    let running =
        Running::with(|config| config.token_file = Some(file), Telemetry::disabled()).await;
    let (http, good) = (running.http(), body(&pair(&running)).to_string());
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(http.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/metrics", "/v1/health", "/v1/telemetry/sampling"] {
        assert_eq!(http.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let refused = http.post("/v1/score", &good).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", refused.text());
    let bearer = format!("Bearer {TOKEN}");
    let headers = [JSON, ("authorization", bearer.as_str())];
    let served = http.send(Method::POST, "/v1/score", &headers, good).await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.text());

    let mut grpc = running.grpc().await;
    let status = grpc.score(pair(&running)).await.expect_err("no token");
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = tonic::Request::new(pair(&running));
    request.metadata_mut().insert("authorization", bearer.parse().expect("ASCII"));
    grpc.score(request).await.expect("served");
    let mut health = HealthClient::new(running.channel().await);
    for service in ["", proto::SCORING_SERVICE] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(asked).await.expect("probes hold no token").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_shows_what_is_served_and_nothing_else() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let running = Running::start().await;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(running.channel().await);
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let mut answers = answers.expect("served").into_inner();
    let answer = soon("reflection", answers.message()).await.expect("whole").expect("one");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("not a list: {answer:?}");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    let expected =
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", proto::SCORING_SERVICE];
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_from_the_caller_to_the_pooled_score() {
    let receiver = OtlpReceiver::start().expect("a port");
    let endpoint = receiver.http_endpoint();
    let config = OtelConfig::from_env("vmafx-server", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_TRACES_SAMPLER_ARG" => Some("0".to_owned()),
        _ => None,
    });
    let guard = OtelGuard::start(&config);
    let one = |config: &mut vmafx_server::Config| config.slots = NonZeroUsize::MIN;
    let running = Running::with(one, guard.telemetry().clone()).await;
    // The first holds the slot for a while, so that the second waits for it.
    let held = running.write_long();
    let mut grpc = running.grpc().await;
    let holds = tokio::spawn(async move {
        let held = pb::ScoreRequest { timeout_us: Some(400_000), ..held.into() };
        grpc.score(held).await
    });
    running.busy(1).await;
    let mut forced = running.write(&ClipSpec::texture(9, 64, 48, 3).make(), 1);
    forced.spec.force_trace = true;
    let answer = running.grpc().await.score(pb::ScoreRequest::from(forced)).await;
    let answer = answer.expect("scored").into_inner();
    holds.await.expect("no panic").expect_err("its time was over");
    service::program::Running::shutdown(running.handle).await;
    guard.shutdown();
    let spans = receiver.spans();
    let spans: Vec<_> =
        spans.into_iter().filter(|span| span.trace_id.to_string() == answer.trace_id).collect();
    check_tree(&spans).unwrap_or_else(|error| panic!("{error}\n{}", render_tree(&spans)));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    for name in ["vmafx.v1.VmafxScoring/Score", "wait for a slot", "fetch", "decode+score", "pool"]
    {
        assert_eq!(names.iter().filter(|found| **found == name).count(), 1, "{names:?}");
    }
    assert_eq!(spans.len(), 5, "{}", render_tree(&spans));
    assert!(answer.waited_us > 0, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_describes_a_pair_has_a_bound_of_its_own() {
    let running = Running::start().await;
    let mut request = pair(&running);
    request.features = vec!["x".repeat(vmafx_server::REQUEST_BYTES_MAX)];
    let status = running.grpc().await.score(request).await.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
}
