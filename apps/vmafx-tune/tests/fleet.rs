//! Probes as jobs: the same answers as here, found again by a later run, whole when a node is lost, and
//! all of it one trace.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use client::{Client, ClientConfig};
use media::Stop;
use observability::testing::{OtlpReceiver, ReceivedSpan, check_tree, render_tree};
use observability::{OtelConfig, OtelGuard, Telemetry};
use proto::rpc::ListJobs;
use support::{Ears, cut, environment, fast, ffmpeg, search};
use types::{Encoder, JobSummary, NodeId, State};
use vmafx_controller::{Controller, ControllerHandle};
use vmafx_node::{Config, Node, NodeHandle};
use vmafx_tune::{
    Besides, CrfOutcome, CrfRequest, Environment, Event, Fleet, TuneError, TuneOutcome,
    TuneRequest, run,
};

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    dir: tempfile::TempDir,
    controller: ControllerHandle,
    client: Client,
    source: String,
}

impl Place {
    async fn new(controller: Telemetry, client: Telemetry) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let source = cut("bikes.mp4", 60, 30, &dir.path().join("source.y4m"));
        let config = vmafx_controller::Config {
            grpc_listen: ANY_PORT,
            http_listen: ANY_PORT,
            db_path: dir.path().join("controller.db"),
            shutdown_grace: Duration::from_secs(2),
            ..vmafx_controller::Config::default()
        };
        let controller = Controller::start(config, controller).await.expect("started");
        let client = Client::new(&ClientConfig {
            telemetry: client,
            ..ClientConfig::new(controller.grpc_addr.to_string())
        });
        Self { dir, controller, client: client.expect("a good address"), source }
    }

    async fn node(&self, name: &str, telemetry: Telemetry) -> NodeHandle {
        let config = Config {
            source_roots: vec![self.dir.path().to_owned()],
            ffmpeg: Some(ffmpeg()),
            scratch_dir: Some(self.scratch(name)),
            ..Config::new(self.controller.grpc_addr.to_string(), NodeId::new(name).expect("a name"))
        };
        let node = Node::start(config, telemetry).await.expect("started");
        let began = std::time::Instant::now();
        while !node.is_ready() {
            assert!(began.elapsed() < PATIENCE, "the node does not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        node
    }

    fn scratch(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("scratch-{name}"))
    }

    fn request(&self, encoder: Encoder, mean: f64, output: Option<&Path>) -> TuneRequest {
        TuneRequest::Crf(CrfRequest {
            source: self.source.clone(),
            encode: fast(encoder),
            search: search(mean),
            output: output.map(Path::to_owned),
            besides: Besides::default(),
        })
    }

    fn environment(&self, journal_dir: Option<&Path>, telemetry: Telemetry) -> Environment {
        let runtime = tokio::runtime::Handle::current();
        let fleet = Some(Fleet { client: self.client.clone(), runtime });
        Environment { fleet, telemetry, ..environment(journal_dir) }
    }

    async fn jobs(&self) -> Vec<JobSummary> {
        self.client.jobs(ListJobs::default()).await.expect("a list").jobs
    }
}

/// Runs on a thread of its own, as a run asks for.
async fn on_a_thread(
    request: TuneRequest,
    env: Environment,
) -> (Result<CrfOutcome, TuneError>, Ears) {
    let work = move || {
        let ears = Ears::default();
        let outcome = run(&request, &env, &Stop::never(), &ears).map(|outcome| match outcome {
            TuneOutcome::Crf(outcome) => *outcome,
            other => panic!("{other:?} is not of crf"),
        });
        (outcome, ears)
    };
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work))
        .await
        .expect("it ends in time")
        .expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_answer_is_that_of_one_machine_and_a_later_run_finds_its_jobs() {
    let place = Place::new(Telemetry::disabled(), Telemetry::disabled()).await;
    let node = place.node("one", Telemetry::disabled()).await;
    let output = place.dir.path().join("finished.mkv");
    let request = place.request(Encoder::X264, 90.0, Some(&output));
    let env = place.environment(None, Telemetry::disabled());
    let (outcome, ears) = on_a_thread(request.clone(), env.clone()).await;
    let spread = outcome.expect("it ends well");
    let jobs = place.jobs().await;
    // The last one that was made is the finished file, which is made here.
    assert_eq!((jobs.len(), ears.made()), (spread.found.probes, spread.found.probes + 1));
    assert!(jobs.iter().all(|job| job.state == State::Succeeded && job.attempts == 1));
    let file = spread.file.as_ref().expect("a file");
    assert!(file.met && output.exists(), "{file:?}");

    // Nothing is remembered here: it is the controller that knows.
    let (outcome, _) = on_a_thread(request.clone(), env.clone()).await;
    assert_eq!(outcome.expect("it ends well").found.quality, spread.found.quality);
    assert_eq!(place.jobs().await.len(), jobs.len(), "no probe is made twice");

    // What a result does not depend on is no conflict of keys.
    let (outcome, _) = on_a_thread(request, Environment { force_trace: true, ..env }).await;
    assert_eq!(outcome.expect("no conflict").found.quality, spread.found.quality);

    let alone = environment(None);
    let (outcome, _) = on_a_thread(place.request(Encoder::X264, 90.0, None), alone).await;
    let alone = outcome.expect("it ends well").found;
    assert_eq!(alone.quality, spread.found.quality);
    assert_eq!(alone.measured, spread.found.measured, "to the last bit");
    let left = std::fs::read_dir(place.scratch("one")).expect("there").count();
    assert_eq!(left, 0, "the node keeps no encode");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_lost_in_the_middle_of_a_probe_loses_none_and_doubles_none() {
    let place = Place::new(Telemetry::disabled(), Telemetry::disabled()).await;
    let first = place.node("first", Telemetry::disabled()).await;
    let request = place.request(Encoder::SvtAv1, 92.0, None);
    let env = place.environment(None, Telemetry::disabled());
    let running = tokio::spawn(on_a_thread(request, env));
    let began = std::time::Instant::now();
    while !place.jobs().await.iter().any(|job| job.state == State::Running) {
        assert!(began.elapsed() < PATIENCE, "no probe begins");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Without a word, as when its host is switched off.
    drop(first);
    let second = place.node("second", Telemetry::disabled()).await;
    let (outcome, ears) = running.await.expect("no panic");
    let found = outcome.expect("it ends well").found;
    let jobs = place.jobs().await;
    assert_eq!((jobs.len(), ears.made()), (found.probes, found.probes));
    assert!(jobs.iter().all(|job| job.state == State::Succeeded), "{jobs:?}");
    assert!(jobs.iter().any(|job| job.attempts > 1), "no attempt was lost: {jobs:?}");
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_encoder_that_no_node_has_is_said_at_once_and_its_jobs_go_to_no_other() {
    let place = Place::new(Telemetry::disabled(), Telemetry::disabled()).await;
    let config = Config {
        source_roots: vec![place.dir.path().to_owned()],
        ffmpeg: Some("/no/such/ffmpeg".into()),
        ..Config::new(place.controller.grpc_addr.to_string(), NodeId::new("bare").expect("a name"))
    };
    let bare = Node::start(config, Telemetry::disabled()).await.expect("started");
    let request = place.request(Encoder::X264, 90.0, None);
    let env = place.environment(None, Telemetry::disabled());
    let stop = Stop::never();
    let (cancel, ears) = (stop.cancel.clone(), std::sync::Arc::new(Ears::default()));
    let heard = std::sync::Arc::clone(&ears);
    let running = tokio::task::spawn_blocking(move || run(&request, &env, &stop, &*heard));
    let began = std::time::Instant::now();
    while place.jobs().await.is_empty() {
        assert!(began.elapsed() < PATIENCE, "no job is made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let said = ears.events().into_iter().any(
        |event| matches!(event, Event::Note { message } if message.contains("no node alive has libx264")),
    );
    assert!(said, "{:?}", ears.events());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(place.jobs().await.iter().all(|job| job.state == State::Queued));
    cancel.cancel();
    let error = running.await.expect("no panic").expect_err("cancelled");
    assert_eq!(error.kind(), types::FailureKind::Cancelled);
    assert!(place.jobs().await.iter().all(|job| job.state == State::Cancelled), "nobody waits");
    bare.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_run_would_take_is_said_in_seconds_where_a_node_can_try_it() {
    let place = Place::new(Telemetry::disabled(), Telemetry::disabled()).await;
    let request = place.request(Encoder::X264, 90.0, None);
    let env = place.environment(None, Telemetry::disabled());
    let ask = || {
        let (request, env) = (request.clone(), env.clone());
        tokio::task::spawn_blocking(move || vmafx_tune::cost(&request, &env, &Stop::never()))
    };
    let unknown = ask().await.expect("no panic").expect("it is said");
    assert_eq!((unknown.seconds, place.jobs().await.len()), (None, 0), "nobody could try");
    let node = place.node("one", Telemetry::disabled()).await;
    let cost = ask().await.expect("no panic").expect("it is said");
    assert!(cost.seconds.is_some_and(|seconds| seconds > 0.0), "{cost:?}");
    assert_eq!(place.jobs().await.len(), 1, "one short trial");
    node.shutdown().await;
}

/// Names from a span up to the root of its trace.
fn way_up<'a>(by_id: &BTreeMap<String, &'a ReceivedSpan>, span: &'a ReceivedSpan) -> Vec<&'a str> {
    let mut names = vec![span.name.as_str()];
    let mut at = span;
    while let Some(parent) = at.parent_span_id.and_then(|id| by_id.get(&id.to_string())) {
        names.push(&parent.name);
        at = parent;
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_is_one_trace_from_its_command_to_the_nodes_encodes() {
    let receiver = OtlpReceiver::start().expect("a collector");
    let guard = |service: &str| {
        let endpoint = receiver.http_endpoint();
        OtelGuard::start(&OtelConfig::from_env(service, |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            _ => None,
        }))
    };
    let (tune, controller, worker) =
        (guard("vmafx-tune"), guard("vmafx-controller"), guard("vmafx-node"));
    let place = Place::new(controller.telemetry().clone(), tune.telemetry().clone()).await;
    let node = place.node("one", worker.telemetry().clone()).await;
    let output = place.dir.path().join("finished.mkv");
    let request = place.request(Encoder::X264, 90.0, Some(&output));
    let env =
        Environment { force_trace: true, ..place.environment(None, tune.telemetry().clone()) };
    let (outcome, _) = on_a_thread(request, env).await;
    let probes = outcome.expect("it ends well").found.probes;
    node.shutdown().await;
    place.controller.shutdown().await;
    for guard in [tune, controller, worker] {
        guard.shutdown_async().await;
    }
    let all = receiver.spans();
    let root = all.iter().find(|span| span.name == "tune").expect("the run's span");
    let spans: Vec<ReceivedSpan> =
        all.iter().filter(|span| span.trace_id == root.trace_id).cloned().collect();
    let tree = render_tree(&spans);
    check_tree(&spans).unwrap_or_else(|error| panic!("{error}\n{tree}"));
    let by_id: BTreeMap<String, &ReceivedSpan> =
        spans.iter().map(|span| (span.span_id.to_string(), span)).collect();
    let named = |name: &str, service: &str| -> Vec<&ReceivedSpan> {
        spans.iter().filter(|span| span.name == name && span.service() == service).collect()
    };
    assert_eq!(named("probe", "vmafx-tune").len(), probes + 1, "{tree}");
    for name in ["encode", "decode+score"] {
        let (there, here) = (named(name, "vmafx-node"), named(name, "vmafx-tune"));
        assert_eq!((there.len(), here.len()), (probes, 1), "{name}\n{tree}");
        for span in &there {
            let way = way_up(&by_id, span);
            assert!(way.contains(&"process vmafx.jobs") && way.contains(&"probe"), "{way:?}");
            assert_eq!(way.last(), Some(&"tune"), "{way:?}");
        }
        assert_eq!(way_up(&by_id, here[0]), [name, "probe", "tune"]);
    }
    let probe = named("probe", "vmafx-tune")[0];
    assert_eq!(probe.text("vmafx.encoder"), "libx264");
    assert!(!probe.text("vmafx.job.id").is_empty(), "{:?}", probe.attributes);
}
