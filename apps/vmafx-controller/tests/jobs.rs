//! Jobs over both faces: submitted once, watched, cancelled, retried, read.

mod common;

use std::time::{Duration, Instant};

use common::node::{Node, SLOTS, failed, succeeded};
use common::{Running, http::Http, soon};
use http::{Method, StatusCode};
use observability::Telemetry;
use proto::controller as pb;
use proto::rpc::{GetFrames, Submit};
use proto::{ApiError, ErrorKind, FrameTableBuilder};
use types::{
    FailureKind, JobId, JobSpec, Lease, MediaRef, ReportAnswer, State, StopReason, ToNode,
};
use vmafx_controller::Controller;

const PAIR: &str = r#"{"reference":"/ref.y4m","distorted":"/dis.y4m"}"#;

fn pair() -> JobSpec {
    JobSpec::pair(MediaRef::new("/ref.y4m"), MediaRef::new("/dis.y4m"))
}

async fn submit(http: &Http, body: &str) -> JobId {
    let answer = http.post("/v1/jobs", body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").parse().expect("an id")
}

#[tokio::test]
async fn the_same_key_gives_the_same_job_on_both_faces_and_another_body_a_conflict() {
    let running = Running::start().await;
    let (http, mut grpc) = (running.http(), running.grpc().await);
    let keyed = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    let first = http.send(Method::POST, "/v1/jobs", &keyed, PAIR).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text());
    assert_eq!(first.json()["existing"], false);
    let id = first.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(first.header("location"), format!("/v1/jobs/{id}"));

    let again = http.send(Method::POST, "/v1/jobs", &keyed, PAIR).await;
    assert_eq!((again.status, again.json()["id"].as_str()), (StatusCode::ACCEPTED, Some(&*id)));
    assert_eq!(again.json()["existing"], true);
    assert_eq!(again.json()["trace_id"], first.json()["trace_id"]);

    let submit = |spec| Submit { spec, idempotency_key: Some("k-1".to_owned()) };
    let over_grpc = grpc.submit_job(pb::SubmitJobRequest::from(submit(pair()))).await;
    let over_grpc = over_grpc.expect("the same job").into_inner();
    assert_eq!((over_grpc.job_id.as_str(), over_grpc.existing), (&*id, true));

    let other = r#"{"reference":"/ref.y4m","distorted":"/other.y4m"}"#;
    let conflict = http.send(Method::POST, "/v1/jobs", &keyed, other).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT, "{}", conflict.text());
    assert_eq!(conflict.json()["code"], "IDEMPOTENCY_CONFLICT");
    let mut spec = pair();
    spec.distorted[0].uri = "/other.y4m".to_owned();
    let conflict = grpc.submit_job(pb::SubmitJobRequest::from(submit(spec))).await;
    let conflict = conflict.expect_err("another body");
    assert_eq!(conflict.code(), tonic::Code::AlreadyExists);
    assert_eq!(ApiError::from_status(&conflict).kind, ErrorKind::IdempotencyConflict);

    let listed = http.get("/v1/jobs").await;
    assert_eq!(listed.json()["jobs"].as_array().map(Vec::len), Some(1));
    running.handle.shutdown().await;
}

#[tokio::test]
async fn jobs_of_one_call_are_accepted_together_or_not_at_all() {
    let running = Running::start().await;
    let mut grpc = running.grpc().await;
    let request = |distorted: &str| {
        let mut spec = pair();
        distorted.clone_into(&mut spec.distorted[0].uri);
        pb::SubmitJobRequest::from(Submit { spec, idempotency_key: None })
    };
    let jobs = vec![request("/a"), request("")];
    let error = grpc.submit_jobs(pb::SubmitJobsRequest { jobs }).await.expect_err("one is bad");
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
    let jobs = vec![request("/a"), request("/b"), request("/c")];
    let answer = grpc.submit_jobs(pb::SubmitJobsRequest { jobs }).await.expect("all are good");
    assert_eq!(answer.into_inner().jobs.len(), 3);
    let listed = grpc.list_jobs(pb::ListJobsRequest::default()).await.expect("a page");
    assert_eq!(listed.into_inner().jobs.len(), 3);
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_report_over_the_work_stream_is_answered_there_before_the_next_lease() {
    let running = Running::start().await;
    let http = running.http();
    let mut node = Node::join(running.grpc().await, "streaming").await;
    let mut leases = Vec::new();
    for _ in 0..SLOTS {
        submit(&http, PAIR).await;
        leases.push(node.lease().await);
    }
    let waiting = submit(&http, PAIR).await;
    let first = leases.remove(0);
    node.report_over_stream(&first, succeeded(3)).await;
    let answered = |lease: &Lease, answer| ToNode::Reported {
        part: lease.part,
        fence: lease.fence,
        answer: Some(answer),
    };
    assert_eq!(node.message().await, Some(answered(&first, ReportAnswer::Accepted)));
    assert_eq!(node.lease().await.job, waiting);
    // The same report again, by either way, is the same report.
    node.report_over_stream(&first, succeeded(3)).await;
    assert_eq!(node.message().await, Some(answered(&first, ReportAnswer::Duplicate)));
    assert_eq!(node.report(&first, succeeded(3)).await, ReportAnswer::Duplicate);
    let view = http.get(&format!("/v1/jobs/{}", first.job)).await;
    assert_eq!(view.json()["state"], "succeeded", "{}", view.text());
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_report_too_large_for_the_work_stream_ends_it_and_goes_by_a_call() {
    let running = Running::start().await;
    submit(&running.http(), PAIR).await;
    let mut node = Node::join(running.grpc().await, "large").await;
    let lease = node.lease().await;
    let values = u64::try_from(proto::rpc::REPORT_VALUES_MAX).expect("small");
    node.report_over_stream(&lease, succeeded(values)).await;
    let ended = node.next_message().await.expect_err("the stream ends");
    assert_eq!(ended.code(), tonic::Code::InvalidArgument, "{ended}");
    assert_eq!(node.report(&lease, succeeded(values)).await, ReportAnswer::Accepted);
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_watch_tells_the_snapshot_then_each_change_and_ends_with_the_job() {
    let running = Running::start().await;
    let id = submit(&running.http(), PAIR).await;
    let mut grpc = running.grpc().await;
    let request = pb::StreamJobsRequest { filter: None, job_id: id.to_string() };
    let mut events = grpc.stream_jobs(request).await.expect("a watch").into_inner();
    let mut states = Vec::new();
    let mut snapshot_ended = false;
    let mut node = None;
    while let Some(event) = soon("an event", events.message()).await.expect("a whole stream") {
        match event.event.expect("an event") {
            pb::job_event::Event::Job(job) => states.push(job.state()),
            pb::job_event::Event::SnapshotEnd(_) if !snapshot_ended => {
                snapshot_ended = true;
                let mut worker = Node::join(running.grpc().await, "watched").await;
                let lease = worker.lease().await;
                assert_eq!(lease.job, id);
                assert_eq!(worker.report(&lease, succeeded(3)).await, ReportAnswer::Accepted);
                node = Some(worker);
            }
            pb::job_event::Event::SnapshotEnd(_) => {}
        }
    }
    assert!(snapshot_ended && node.is_some());
    assert_eq!(states.first(), Some(&pb::JobState::Queued));
    assert_eq!(states.last(), Some(&pb::JobState::Succeeded));
    running.handle.shutdown().await;
}

#[tokio::test]
async fn an_event_stream_tells_snapshot_change_and_end() {
    use http_body_util::BodyExt as _;
    let running = Running::start().await;
    let http = running.http();
    let id = submit(&http, PAIR).await;
    let path = format!("/v1/jobs/{id}/events");
    let response = http.stream(Method::GET, &path, &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut text = String::new();
    let mut node = None;
    while let Some(frame) = soon("an event", body.frame()).await {
        let data = frame.expect("a whole stream").into_data().expect("no trailers");
        text.push_str(std::str::from_utf8(&data).expect("text"));
        if text.contains("event: snapshot") && node.is_none() {
            let mut worker = Node::join(running.grpc().await, "streamed").await;
            let lease = worker.lease().await;
            worker.report(&lease, succeeded(2)).await;
            node = Some(worker);
        }
    }
    let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds.first(), Some(&"snapshot"), "{text}");
    assert!(kinds.contains(&"change"), "{text}");
    assert_eq!(kinds.last(), Some(&"end"), "{text}");
    assert!(text.contains(r#""state":"succeeded""#), "{text}");
    let missing = http.get("/v1/jobs/018bcfe5-687b-7fff-bfff-ffffffffffff/events").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_cancel_reaches_a_running_attempt_in_under_a_second() {
    let running = Running::start().await;
    let http = running.http();
    let id = submit(&http, PAIR).await;
    let mut node = Node::join(running.grpc().await, "cancelled").await;
    let lease = node.lease().await;
    let asked = Instant::now();
    let answer = http.delete(&format!("/v1/jobs/{id}")).await;
    assert_eq!((answer.status, &answer.json()["changed"]), (StatusCode::OK, &true.into()));
    assert_eq!(answer.json()["state"], "cancelled");
    match node.message().await {
        Some(ToNode::Stop { part, fence, reason: StopReason::Cancelled }) => {
            assert_eq!((part, fence), (lease.part, lease.fence));
        }
        other => panic!("not the stop: {other:?}"),
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(node.report(&lease, succeeded(1)).await, ReportAnswer::Cancelled);
    let again = http.delete(&format!("/v1/jobs/{id}")).await;
    assert_eq!((again.status, &again.json()["changed"]), (StatusCode::OK, &false.into()));
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_failed_job_says_why_and_is_retried_by_hand() {
    let running = Running::start().await;
    let http = running.http();
    let id = submit(&http, PAIR).await;
    let mut node = Node::join(running.grpc().await, "failing").await;
    let lease = node.lease().await;
    node.report(&lease, failed(FailureKind::SizeMismatch)).await;
    running.reached(id, State::Failed).await;
    let job = http.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(job["failure"]["kind"], "size_mismatch", "{job:#}");
    assert_eq!(job["attempts"][0]["outcome"], "failed", "{job:#}");
    let frames = http.get(&format!("/v1/jobs/{id}/frames")).await;
    assert_eq!(
        (frames.status, &frames.json()["code"]),
        (StatusCode::CONFLICT, &"NOT_READY".into())
    );

    let both = http.post("/v1/jobs/retry", r#"{}"#).await;
    assert_eq!(both.status, StatusCode::BAD_REQUEST, "{}", both.text());
    let answer = http.post("/v1/jobs/retry", r#"{"filter":{"states":["failed"]}}"#).await;
    assert_eq!((answer.status, &answer.json()["retried"]), (StatusCode::OK, &1.into()));
    let lease = node.lease().await;
    node.report(&lease, succeeded(1)).await;
    running.reached(id, State::Succeeded).await;
    running.handle.shutdown().await;
}

#[tokio::test]
async fn frames_come_whole_over_grpc_and_in_every_format_over_http() {
    let running = Running::start().await;
    let http = running.http();
    let id = submit(&http, PAIR).await;
    let mut node = Node::join(running.grpc().await, "scoring").await;
    let lease = node.lease().await;
    node.report(&lease, succeeded(10_000)).await;
    running.reached(id, State::Succeeded).await;

    let mut grpc = running.grpc().await;
    let request = pb::GetFramesRequest::from(GetFrames::all(id));
    let mut chunks = grpc.get_frames(request).await.expect("frames").into_inner();
    let (mut builder, mut count) = (FrameTableBuilder::default(), 0);
    while let Some(chunk) = soon("a chunk", chunks.message()).await.expect("a whole stream") {
        builder.push(chunk).expect("fits");
        count += 1;
    }
    let table = builder.finish();
    assert!(count > 1, "{count} chunks");
    assert_eq!(table.frame_count(), 10_000);
    assert_eq!(table.column("vmaf").expect("a column").values[9_999], 9_999.0);
    let columns = vec!["nonsense".to_owned()];
    let unknown = GetFrames { columns, ..GetFrames::all(id) };
    let error = grpc.get_frames(pb::GetFramesRequest::from(unknown)).await.expect_err("unknown");
    assert_eq!(error.code(), tonic::Code::InvalidArgument);

    let base = format!("/v1/jobs/{id}/frames");
    let part = http.get(&format!("{base}?first_frame_index=5&frame_count_max=2&column=vmaf")).await;
    assert_eq!(part.json()["frame_indices"], serde_json::json!([5, 6]));
    assert_eq!(part.json()["columns"][0]["values"], serde_json::json!([5.0, 6.0]));
    for (query, accept, content_type, contains) in [
        ("?format=csv", "", "text/csv; charset=utf-8", "Frame,"),
        ("?format=libvmaf-json", "", "application/json", "\"pooled_metrics\""),
        ("?format=libvmaf-xml", "", "application/xml", "<VMAF version="),
        ("", "text/xml", "application/xml", "<VMAF version="),
    ] {
        let answer =
            http.send(Method::GET, &format!("{base}{query}"), &[("accept", accept)], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        assert_eq!(answer.header("content-type"), content_type, "{query}");
        assert!(answer.text().contains(contains), "{query}: {:.200}", answer.text());
    }
    let cut = http.get(&format!("{base}?format=libvmaf-xml&frame_count_max=1")).await;
    assert_eq!(cut.status, StatusCode::BAD_REQUEST);
    let other = http.get(&format!("{base}?distorted_index=1")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    running.handle.shutdown().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged_to_their_end() {
    let running = Running::start().await;
    let http = running.http();
    for index in 0..5 {
        let body = format!(
            r#"{{"reference":"/r","distorted":"/d","labels":{{"odd":"{}","title":"a b"}}}}"#,
            index % 2
        );
        submit(&http, &body).await;
    }
    let mut path = "/v1/jobs?limit=2&label=title%3Da%20b&state=queued".to_owned();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = http.get(&path).await.json();
        pages += 1;
        let jobs = page["jobs"].as_array().expect("jobs").iter();
        seen.extend(jobs.map(|job| job["id"].as_str().expect("an id").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!((seen.len(), pages), (5, 3));
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
    let odd = http.get("/v1/jobs?label=odd%3D1").await.json();
    assert_eq!(odd["jobs"].as_array().map(Vec::len), Some(2));
    for bad in ["?limit=0", "?limit=1001", "?state=done", "?label=x", "?cursor=1", "?x=1"] {
        let answer = http.get(&format!("/v1/jobs{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text());
    }
    running.handle.shutdown().await;
}

#[tokio::test]
async fn jobs_outlive_a_restart_and_a_running_attempt_is_still_taken() {
    let running = Running::start().await;
    let id = submit(&running.http(), PAIR).await;
    let mut node = Node::join(running.grpc().await, "survivor").await;
    let lease = node.lease().await;
    let Running { handle, dir } = running;
    handle.shutdown().await;
    assert_eq!(node.message().await, Some(ToNode::Reconnect));
    assert_eq!(node.message().await, None);

    let config = common::config(&dir);
    let handle = Controller::start(config, Telemetry::disabled());
    let running = Running { handle: handle.await.expect("starts again"), dir };
    node.client = running.grpc().await;
    assert_eq!(node.report(&lease, succeeded(4)).await, ReportAnswer::Accepted);
    let job = running.reached(id, State::Succeeded).await;
    assert_eq!((job.attempts.len(), job.results[0].frame_count), (1, 4));
    running.handle.shutdown().await;
}

#[tokio::test]
async fn jobs_that_have_ended_and_are_too_many_are_forgotten_and_the_others_kept() {
    let running = Running::start().await;
    let http = running.http();
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(submit(&http, PAIR).await);
    }
    // All but the second end.
    for job in jobs.iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, job)| job) {
        let cancelled = http.delete(&format!("/v1/jobs/{job}")).await;
        assert!(cancelled.status.is_success(), "{}", cancelled.text());
    }
    running.handle.shutdown().await;
    let mut config = common::config(&running.dir);
    config.retention.newest = std::num::NonZeroU64::new(2).map(std::num::NonZeroU64::get);
    let telemetry = Telemetry::disabled();
    let handle = Controller::start(config, telemetry.clone()).await.expect("starts again");
    let running = Running { handle, dir: running.dir };
    let http = running.http();
    soon("the old ones go", async {
        while http.get(&format!("/v1/jobs/{}", jobs[2])).await.status != StatusCode::NOT_FOUND {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let listed = http.get("/v1/jobs").await.json();
    let listed: Vec<&str> =
        listed["jobs"].as_array().expect("jobs").iter().filter_map(|j| j["id"].as_str()).collect();
    let kept = [jobs[4], jobs[3], jobs[1]].map(|job| job.to_string());
    assert_eq!(listed, kept, "the newest two, and one that still waits");
    let metrics = telemetry.metrics.render(None).body;
    assert!(metrics.contains("vmafx_jobs_forgotten_total 2"), "{metrics}");
    running.handle.shutdown().await;
}
