//! Work that nobody waits for any more ends, and its slot with it.

mod common;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use common::{Running, STOPPED_WITHIN, soon};
use http::{Method, StatusCode};
use observability::Telemetry;
use proto::scoring as pb;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use proto::{ApiError, ErrorKind};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::Channel;
use types::FailureKind;

type Client = VmafxScoringClient<Channel>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_caller_that_leaves_ends_its_work_within_200_ms() {
    let running = Running::start().await;
    let asked = running.write_long();
    let mut grpc = running.grpc().await;
    let call = tokio::spawn(async move { grpc.score(pb::ScoreRequest::from(asked)).await });
    running.busy(1).await;
    call.abort();
    let took = running.busy(0).await;
    assert!(took < STOPPED_WITHIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_caller_that_leaves_ends_its_work_within_200_ms() {
    let running = Running::start().await;
    let asked = running.write_long();
    let body = json!({
        "reference": asked.spec.reference.uri,
        "distorted": asked.spec.distorted[0].uri,
    })
    .to_string();
    let mut connection =
        tokio::net::TcpStream::connect(running.handle.http_addr).await.expect("it listens");
    let length = body.len();
    let request = format!(
        "POST /v1/score HTTP/1.1\r\nhost: server\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.expect("sent");
    running.busy(1).await;
    drop(connection);
    let took = running.busy(0).await;
    assert!(took < STOPPED_WITHIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_work_whether_it_is_the_calls_the_requests_or_the_servers() {
    const TIME: Duration = Duration::from_millis(400);
    let running = Running::start().await;
    let strict = Running::with(|config| config.time_max = TIME, Telemetry::disabled()).await;
    let plain = pb::ScoreRequest::from(running.write_long());
    let mut by_call = tonic::Request::new(plain.clone());
    by_call.set_timeout(TIME);
    let by_field = pb::ScoreRequest { timeout_us: Some(400_000), ..plain.clone() };
    for (has_a_clock, request) in [(true, by_call), (false, tonic::Request::new(by_field))] {
        let began = Instant::now();
        let status = running.grpc().await.score(request).await.expect_err("too long");
        let took = began.elapsed();
        assert!(took < TIME + STOPPED_WITHIN, "{took:?}");
        let error = ApiError::from_status(&status);
        // The server answers before the time is over; the clock of a caller that sets one may win all
        // the same on a machine that is busy, and no sooner.
        if has_a_clock && error.kind == ErrorKind::Cancelled {
            assert!(took >= TIME, "{took:?}: {status:?}");
        } else {
            assert_eq!(error.kind, ErrorKind::DeadlineExceeded, "{status:?}");
            assert_eq!(error.failure, Some(FailureKind::TimedOut), "{status:?}");
        }
        let took = running.busy(0).await;
        assert!(took < STOPPED_WITHIN, "{took:?}");
    }
    let body = json!({
        "reference": plain.reference.as_ref().map(|media| media.uri.as_str()),
        "distorted": plain.distorted.as_ref().map(|media| media.uri.as_str()),
        "timeout_ms": 400,
    });
    let began = Instant::now();
    let answer = running.http().post("/v1/score", &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    assert_eq!(answer.json()["code"], "DEADLINE_EXCEEDED");
    assert!(began.elapsed() < TIME + STOPPED_WITHIN, "{:?}", began.elapsed());
    assert!(running.busy(0).await < STOPPED_WITHIN);

    // The same by a header, in whole seconds.
    let mut body = body;
    body.as_object_mut().expect("an object").remove("timeout_ms");
    let headers = [("content-type", "application/json"), ("prefer", "wait=1")];
    let began = Instant::now();
    let path = "/v1/score";
    let answer = running.http().send(Method::POST, path, &headers, body.to_string()).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    let second = Duration::from_secs(1);
    assert!(began.elapsed() < second + STOPPED_WITHIN, "{:?}", began.elapsed());
    assert!(running.busy(0).await < STOPPED_WITHIN);

    let asked = pb::ScoreRequest::from(strict.write_long());
    let began = Instant::now();
    let status = strict.grpc().await.score(asked).await.expect_err("the server's limit");
    assert!(began.elapsed() < TIME + STOPPED_WITHIN, "{:?}", began.elapsed());
    assert_eq!(ApiError::from_status(&status).kind, ErrorKind::DeadlineExceeded, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_slot_may_leave_and_is_answered_when_the_time_is_over() {
    let one = |config: &mut vmafx_server::Config| config.slots = NonZeroUsize::MIN;
    let running = Running::with(one, Telemetry::disabled()).await;
    let asked = pb::ScoreRequest::from(running.write_long());
    let spawn = |mut grpc: Client, request: pb::ScoreRequest| {
        tokio::spawn(async move { grpc.score(request).await })
    };
    let holds = spawn(running.grpc().await, asked.clone());
    running.busy(1).await;
    let leaves = spawn(running.grpc().await, asked.clone());
    let brief = pb::ScoreRequest { timeout_us: Some(300_000), ..asked };
    let waits = spawn(running.grpc().await, brief);
    soon("both wait", async {
        while running.health().await.waiting != 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    leaves.abort();
    let status = soon("an answer", waits).await.expect("no panic").expect_err("no slot");
    let error = ApiError::from_status(&status);
    assert_eq!(error.kind, ErrorKind::DeadlineExceeded, "{status:?}");
    assert!(error.message.contains("before a slot was free"), "{error}");
    let health = running.health().await;
    assert_eq!((health.busy, health.waiting), (1, 0), "{health:?}");
    holds.abort();
    assert!(running.busy(0).await < STOPPED_WITHIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_down_finishes_what_fits_and_cuts_the_rest() {
    let grace = Duration::from_millis(300);
    let running =
        Running::with(|config| config.shutdown_grace = grace, Telemetry::disabled()).await;
    let asked = pb::ScoreRequest::from(running.write_long());
    let mut grpc = running.grpc().await;
    let call = tokio::spawn(async move { grpc.score(asked).await });
    running.busy(1).await;
    let addr = running.handle.http_addr;
    let began = Instant::now();
    soon("it ends", service::program::Running::shutdown(running.handle)).await;
    let took = began.elapsed();
    assert!(took >= grace && took < grace + Duration::from_secs(2), "{took:?}");
    soon("an answer", call).await.expect("no panic").expect_err("it was cut");
    let mut rest = Vec::new();
    if let Ok(mut connection) = tokio::net::TcpStream::connect(addr).await {
        let _ = connection.read_to_end(&mut rest).await;
    }
    assert!(rest.is_empty(), "nobody is served any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_server_stops_listening_it_is_unready_and_serves_all_the_same() {
    let delay = Duration::from_secs(5);
    let running =
        Running::with(|config| config.shutdown_delay = delay, Telemetry::disabled()).await;
    let pair = testkit::ClipSpec::texture(9, 64, 48, 3).make();
    let asked = pb::ScoreRequest::from(running.write(&pair, 1));
    let (mut grpc, http) = (running.grpc().await, running.http());
    let ending = tokio::spawn(service::program::Running::shutdown(running.handle));
    soon("it is unready", async {
        while http.get("/readyz").await.status != StatusCode::SERVICE_UNAVAILABLE {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    grpc.score(asked).await.expect("it serves");
    soon("it ends", ending).await.expect("no panic");
}
