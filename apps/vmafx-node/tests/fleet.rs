//! Nodes and a real controller: jobs from submission to score, and what happens when one of them
//! leaves, dies or comes back.

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, ClientConfig};
use media::{MediaConfig, SourcePolicy, Stop};
use observability::testing::{OtlpReceiver, check_tree, render_tree};
use observability::{OtelConfig, OtelGuard, SpanKind, Telemetry};
use proto::rpc::{GetFrames, JobEvent, Submit, WatchJobs};
use scoring::{Progress, RunConfig, ScoreRequest};
use support::{PATIENCE, ScriptedWorker, eventually, next};
use testkit::ClipSpec;
use types::{
    AttemptOutcome, Failure, FailureKind, JobId, JobSpec, JobView, MediaRef, NodeId, State,
};
use vmafx_controller::{Controller, ControllerHandle};
use vmafx_node::{Config, Node, NodeHandle, SpoolConfig};

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A folder with a controller's store and a pair of clips, and a client of the controller.
struct Place {
    dir: tempfile::TempDir,
    controller: ControllerHandle,
    client: Client,
}

impl Place {
    async fn new() -> Self {
        Self::with(Telemetry::disabled(), Telemetry::disabled()).await
    }

    async fn with(controller: Telemetry, client: Telemetry) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let pair = ClipSpec::texture(7, 96, 64, 5).make();
        let write = |name: &str, bytes| std::fs::write(dir.path().join(name), bytes);
        write("reference.y4m", pair.reference.y4m_bytes()).expect("written");
        write("distorted.y4m", pair.distorted.y4m_bytes()).expect("written");
        let controller = start_controller(dir.path(), ANY_PORT, controller).await;
        let client = Client::new(&ClientConfig {
            telemetry: client,
            ..ClientConfig::new(controller.grpc_addr.to_string())
        });
        Self { dir, controller, client: client.expect("a good address") }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn spec(&self) -> JobSpec {
        let media = |name| MediaRef::new(self.path(name));
        JobSpec::pair(media("reference.y4m"), media("distorted.y4m"))
    }

    fn config(&self, name: &str) -> Config {
        let node_id = NodeId::new(name).expect("a name");
        Config {
            source_roots: vec![self.dir.path().to_owned()],
            spool: Some(SpoolConfig::new(self.dir.path().join(format!("spool-{name}")))),
            ..Config::new(self.controller.grpc_addr.to_string(), node_id)
        }
    }

    async fn node(&self, name: &str) -> NodeHandle {
        Node::start(self.config(name), Telemetry::disabled()).await.expect("started")
    }

    /// A node whose work is in the test's hands.
    async fn scripted(
        &self,
        name: &str,
    ) -> (NodeHandle, tokio::sync::mpsc::Receiver<support::Begun>) {
        let (worker, begun) = ScriptedWorker::new();
        let node = Node::start_with(self.config(name), Telemetry::disabled(), worker).await;
        (node.expect("started"), begun)
    }

    async fn submit(&self, spec: JobSpec) -> JobId {
        let submit = Submit { spec, idempotency_key: None };
        self.client.submit(submit).await.expect("accepted").job
    }

    /// Waits until the job has ended.
    async fn ended(&self, job: JobId) -> JobView {
        let watch = WatchJobs { only: Some(job), ..WatchJobs::default() };
        let mut events = self.client.watch(watch).await.expect("watched");
        let ended = async {
            while let Some(event) = events.next().await.expect("events") {
                if let JobEvent::Job(summary) = event
                    && summary.state.is_terminal()
                {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the job ends");
        self.client.job(job).await.expect("there")
    }
}

async fn start_controller(
    dir: &Path,
    grpc_listen: SocketAddr,
    telemetry: Telemetry,
) -> ControllerHandle {
    let config = vmafx_controller::Config {
        grpc_listen,
        http_listen: ANY_PORT,
        db_path: dir.join("controller.db"),
        shutdown_grace: Duration::from_secs(2),
        ..vmafx_controller::Config::default()
    };
    Controller::start(config, telemetry).await.expect("started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_scored_as_on_one_machine_and_its_time_is_accounted_for() {
    let place = Place::new().await;
    let node = place.node("one").await;
    let job = place.submit(place.spec()).await;
    let view = place.ended(job).await;
    assert_eq!(view.state, State::Succeeded, "{:?}", view.failure);

    let spec = place.spec();
    let request = ScoreRequest::pair(spec.reference, spec.distorted[0].clone());
    let config = RunConfig::new(MediaConfig::new(SourcePolicy::unrestricted_local()));
    let direct = scoring::run(&request, &config, &Stop::never(), &Progress::new());
    let direct = direct.expect("scored");
    assert_eq!(view.results[0].digest, direct.digest);
    let frames = place.client.frames(GetFrames::all(job)).await.expect("frames");
    assert_eq!(frames, direct.frames);

    let attempt = &view.attempts[0];
    assert_eq!(attempt.node.as_str(), "one");
    let timings = attempt.timings.as_ref().expect("reported");
    let stages: Duration = timings.stages.iter().map(|(_, duration)| *duration).sum();
    assert!(timings.wall.abs_diff(stages) < Duration::from_micros(20), "{timings:?}");
    let lasted = attempt.ended_at.expect("ended").since(attempt.started_at);
    assert!(timings.wall <= lasted, "the node's time lies within the attempt's");
    node.shutdown().await;
    let spool = place.dir.path().join("spool-one");
    let kept = std::fs::read_dir(spool).expect("there").count();
    assert_eq!(kept, 1, "only the lock is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spans_of_all_processes_form_one_tree() {
    let receiver = OtlpReceiver::start().expect("a collector");
    let guard = |service: &str| {
        let endpoint = receiver.http_endpoint();
        OtelGuard::start(&OtelConfig::from_env(service, |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => None,
        }))
    };
    let (cli, controller, worker) = (guard("cli"), guard("vmafx-controller"), guard("vmafx-node"));
    let place = Place::with(controller.telemetry().clone(), cli.telemetry().clone()).await;
    let node = Node::start(place.config("one"), worker.telemetry().clone()).await.expect("started");

    let mut root = cli.tracer().span("test").force().start();
    root.set("what", "submit");
    let submit = Submit { spec: place.spec(), idempotency_key: None };
    let submitted = observability::with_context(root.cx().clone(), place.client.submit(submit));
    let submitted = submitted.await.expect("accepted");
    let trace_id = root.trace().expect("a trace").trace_id;
    assert_eq!(submitted.trace_id, trace_id);
    root.end();
    let view = place.ended(submitted.job).await;
    assert_eq!(view.state, State::Succeeded, "{:?}", view.failure);
    node.shutdown().await;
    place.controller.shutdown().await;
    for guard in [cli, controller, worker] {
        guard.shutdown_async().await;
    }

    // Other calls of the client, such as the watch, are traces of their own where sampled.
    let spans: Vec<_> =
        receiver.spans().into_iter().filter(|span| span.trace_id == trace_id).collect();
    let tree = render_tree(&spans);
    check_tree(&spans).unwrap_or_else(|error| panic!("{error}\n{tree}"));
    let attempt = &view.attempts[0];
    let find = |name: &str, kind: SpanKind| {
        let found: Vec<_> =
            spans.iter().filter(|span| span.name.ends_with(name) && span.kind == kind).collect();
        assert_eq!(found.len(), 1, "{name} {kind:?}\n{tree}");
        found[0]
    };
    let process = find("process vmafx.jobs", SpanKind::Consumer);
    assert_eq!(process.span_id, attempt.span_id, "the id that came with the lease");
    assert_eq!(process.service(), "vmafx-node");
    assert_eq!(process.parent_span_id, Some(view.root_span_id));
    assert_eq!(process.links.len(), 1);
    for name in ["fetch", "decode+score", "pool"] {
        assert_eq!(find(name, SpanKind::Internal).parent_span_id, Some(attempt.span_id), "{name}");
    }
    let score = find("decode+score", SpanKind::Internal);
    for feature in ["vif", "adm", "motion"] {
        let key = format!("vmafx.feature_seconds.{feature}");
        assert!(score.attributes.contains_key(&key), "{key}: {:?}", score.attributes);
    }
    let report = find("ReportResult", SpanKind::Client);
    assert_eq!(report.parent_span_id, Some(attempt.span_id));
    assert_eq!(find("ReportResult", SpanKind::Server).parent_span_id, Some(report.span_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsampled_job_leaves_no_span_on_the_node() {
    let receiver = OtlpReceiver::start().expect("a collector");
    let endpoint = receiver.http_endpoint();
    let guard = OtelGuard::start(&OtelConfig::from_env("vmafx-node", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        "OTEL_TRACES_SAMPLER" => Some("parentbased_always_on".to_owned()),
        _ => None,
    }));
    // The controller exports nothing, so that it samples nothing.
    let place = Place::new().await;
    let node = Node::start(place.config("one"), guard.telemetry().clone()).await.expect("started");
    let job = place.submit(place.spec()).await;
    assert_eq!(place.ended(job).await.state, State::Succeeded);
    node.shutdown().await;
    guard.shutdown_async().await;
    assert_eq!(receiver.spans().len(), 0, "{}", render_tree(&receiver.spans()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_scored_fails_the_job_at_once_by_its_kind() {
    let place = Place::new().await;
    let node = place.node("one").await;
    std::fs::write(place.path("text.y4m"), "no video at all").expect("written");
    for (uri, kind) in [
        (place.path("absent.y4m"), FailureKind::NotFound),
        ("/etc/passwd".to_owned(), FailureKind::SourceRefused),
    ] {
        let mut spec = place.spec();
        spec.distorted[0].uri = uri;
        let job = place.submit(spec).await;
        let view = place.ended(job).await;
        assert_eq!((view.state, view.attempts.len()), (State::Failed, 1));
        assert_eq!(view.failure.map(|failure| failure.kind), Some(kind));
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_a_running_attempt_within_a_second() {
    let place = Place::new().await;
    let (node, mut begun) = place.scripted("one").await;
    let job = place.submit(place.spec()).await;
    let begun = next(&mut begun, "the work").await;
    let asked = Instant::now();
    let answer = place.client.cancel(job).await.expect("cancelled");
    assert_eq!((answer.state, answer.changed), (State::Cancelled, true));
    eventually("the stop", || begun.assignment.stop.cancel.is_cancelled()).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    begun.end(Err(Failure::new(FailureKind::Cancelled, "stopped")));
    assert_eq!(place.ended(job).await.state, State::Cancelled);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_draining_node_hands_back_runs_elsewhere_and_counts_as_no_attempt() {
    let place = Place::new().await;
    let (node, mut begun) = place.scripted("first").await;
    let mut spec = place.spec();
    spec.attempts_max = std::num::NonZeroU32::MIN;
    let job = place.submit(spec).await;
    let held = next(&mut begun, "the work").await;
    let drained = tokio::spawn(async move { node.shutdown().await });
    eventually("the end of the work", || held.assignment.stop.cancel.is_cancelled()).await;
    held.end(Err(Failure::new(FailureKind::Cancelled, "stopped")));
    tokio::time::timeout(PATIENCE, drained).await.expect("it ends").expect("without a panic");
    let second = place.node("second").await;
    let view = place.ended(job).await;
    assert_eq!(view.state, State::Succeeded, "{:?}", view.failure);
    let outcomes: Vec<_> = view.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(AttemptOutcome::Released), Some(AttemptOutcome::Succeeded)]);
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vanished_nodes_part_runs_elsewhere_soon() {
    let place = Place::new().await;
    let (node, mut begun) = place.scripted("first").await;
    let job = place.submit(place.spec()).await;
    let held = next(&mut begun, "the work").await;
    let (second, mut begun) = place.scripted("second").await;
    eventually("the second node is ready", || second.is_ready()).await;
    let vanished = Instant::now();
    drop(node);
    let again = next(&mut begun, "the work again").await;
    assert!(vanished.elapsed() < Duration::from_secs(5), "{:?}", vanished.elapsed());
    assert!(again.assignment.lease.fence > held.assignment.lease.fence);
    again.succeed();
    let view = place.ended(job).await;
    assert_eq!(view.attempts[0].outcome, Some(AttemptOutcome::Lost));
    assert_eq!(view.attempts[1].outcome, Some(AttemptOutcome::Succeeded));
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_while_the_controller_restarts() {
    let mut place = Place::new().await;
    let (node, mut begun) = place.scripted("one").await;
    let job = place.submit(place.spec()).await;
    let held = next(&mut begun, "the work").await;
    let addr = place.controller.grpc_addr;
    let telemetry = Telemetry::disabled();
    // Another controller takes the place of the first, on the same store and port.
    let stand_in = start_controller(&place.dir.path().join("other"), ANY_PORT, telemetry).await;
    std::mem::replace(&mut place.controller, stand_in).shutdown().await;
    held.succeed();
    let telemetry = Telemetry::disabled();
    let back = start_controller(place.dir.path(), addr, telemetry).await;
    std::mem::replace(&mut place.controller, back).shutdown().await;
    let view = place.ended(job).await;
    assert_eq!((view.state, view.attempts.len()), (State::Succeeded, 1), "nothing ran twice");
    assert!(begun.try_recv().is_err());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_drain_reaches_the_node_and_its_work_is_finished() {
    let place = Place::new().await;
    let (node, mut begun) = place.scripted("one").await;
    let node = Arc::new(node);
    let job = place.submit(place.spec()).await;
    let held = next(&mut begun, "the work").await;
    let name = NodeId::new("one").expect("a name");
    let running = place.client.drain(&name).await.expect("drained");
    assert_eq!(running, 1);
    tokio::time::timeout(PATIENCE, node.asked_to_leave()).await.expect("it hears of it");
    let leaving = Arc::clone(&node);
    let drained = tokio::spawn(async move { leaving.drain(PATIENCE).await });
    held.succeed();
    assert_eq!(place.ended(job).await.state, State::Succeeded);
    tokio::time::timeout(PATIENCE, drained).await.expect("it ends").expect("without a panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_metrics_tell_how_the_node_is() {
    let place = Place::new().await;
    let config = Config { listen: Some(ANY_PORT), ..place.config("one") };
    let node = Node::start(config, Telemetry::disabled()).await.expect("started");
    let addr = node.listen_addr().expect("served");
    eventually("the node is ready", || node.is_ready()).await;
    assert!(get(addr, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    let job = place.submit(place.spec()).await;
    assert_eq!(place.ended(job).await.state, State::Succeeded);
    let metrics = get(addr, "/metrics").await;
    for name in ["vmafx_node_slots", "vmafx_node_frames_total"] {
        assert!(metrics.contains(name), "{name} is missing:\n{metrics}");
    }
    place.controller.shutdown().await;
    eventually("the stream is gone", || !node.is_ready()).await;
    assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 503"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sampling_is_changed_from_this_machine_only() {
    const SAMPLING: &str = "/v1/telemetry/sampling";
    const JSON: &str = "content-type: application/json\r\n";
    let place = Place::new().await;
    let config = Config { listen: Some(ANY_PORT), ..place.config("one") };
    let node = Node::start(config, Telemetry::disabled()).await.expect("started");
    let addr = node.listen_addr().expect("served");
    assert!(get(addr, SAMPLING).await.contains(r#""arg":0.01"#));
    for (headers, body, status, says) in [
        (JSON, r#"{"arg":0.25,"for_seconds":60}"#, 200, r#""arg":0.25"#),
        (JSON, r#"{"arg":2}"#, 422, r#"{"field":"arg","problem":"must be a number from 0 to 1"}"#),
        (JSON, "{", 400, "not JSON"),
        ("", r#"{"arg":1}"#, 415, "application/json"),
        (JSON, &" ".repeat((1 << 20) + 1), 413, "problem+json"),
    ] {
        let answer = send(addr, "PUT", SAMPLING, headers, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(says), "{answer}");
    }
    assert!(
        get(addr, SAMPLING).await.contains(r#""arg":0.25"#),
        "what was refused changed nothing"
    );
    let answer = send(addr, "DELETE", SAMPLING, "", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""arg":0.01"#), "{answer}");

    let everywhere = Some("0.0.0.0:0".parse().expect("an address"));
    let config = Config { listen: everywhere, insecure: true, ..place.config("two") };
    let open = Node::start(config, Telemetry::disabled()).await.expect("started");
    let addr = ([127, 0, 0, 1], open.listen_addr().expect("served").port()).into();
    let answer = send(addr, "PUT", SAMPLING, JSON, r#"{"arg":1}"#).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("SIGHUP"), "{answer}");
    let answer = send(addr, "DELETE", SAMPLING, "", "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(get(addr, SAMPLING).await.contains(r#""arg":0.01"#));
    node.shutdown().await;
    open.shutdown().await;
}

async fn get(addr: SocketAddr, path: &str) -> String {
    send(addr, "GET", path, "", "").await
}

async fn send(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(addr).await.expect("connected");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("in time").expect("text");
    answer
}
