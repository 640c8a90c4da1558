//! The binary: signals, exit codes, flags.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use client::{Client, ClientConfig};
use observability::Telemetry;
use observability::testing::{End, Subject, check_program};
use proto::rpc::Submit;
use proto::scoring as pb;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use rustix::process::Signal;
use support::{PATIENCE, Times, controller, eventually, lease_of};
use tokio::process::{Child, Command};
use types::{
    AttemptOutcome, JobId, JobSpec, JobView, Liveness, MediaRef, NodeId, NodeView, Outcome,
    ReportAnswer, State,
};
use vmafx_controller::Controller;
use vmafx_node::{Config, Node};

fn node(url: &str, dir: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-node"));
    command
        .env_clear()
        .env("VMAFX_CONTROLLER_ADDR", url)
        .env("VMAFX_SPOOL_DIR", dir.join("spool"))
        .env("VMAFX_SCORING_ROOTS", dir)
        .env("VMAFX_NODE_LISTEN", "127.0.0.1:0")
        .env("VMAFX_NODE_GRPC_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn exit_code(mut child: Child) -> Option<i32> {
    let status = tokio::time::timeout(PATIENCE, child.wait()).await;
    status.expect("it ends").expect("waited for").code()
}

fn terminate(child: &Child) {
    send(child, Signal::TERM);
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, signal).expect("sent");
}

/// A pair that takes seconds to score.
fn long_pair(dir: &std::path::Path) -> JobSpec {
    let pair = testkit::ClipSpec::texture(3, 640, 480, 2).make();
    let write = |name: &str, clip: &testkit::Clip| {
        let path = dir.join(name);
        let mut bytes = clip.y4m_bytes();
        let frame_bytes =
            bytes.len() - bytes.iter().position(|b| *b == b'\n').expect("a header") - 1;
        let frames = bytes.split_off(bytes.len() - frame_bytes);
        for _ in 0..100 {
            bytes.extend_from_slice(&frames);
        }
        std::fs::write(&path, bytes).expect("written");
        MediaRef::new(path.display().to_string())
    };
    JobSpec::pair(write("a.y4m", &pair.reference), write("b.y4m", &pair.distorted))
}

#[tokio::test]
async fn sigterm_hands_back_what_does_not_fit_and_exits_0() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut controller = controller(Times::default()).await;
    let child = node(&controller.url(), dir.path()).args(["--drain-grace", "100ms"]).spawn();
    let child = child.expect("started");
    let mut stream = controller.stream().await;
    stream.send(lease_of(1, long_pair(dir.path()))).await;
    stream.status("frames are scored", |s| s.running.iter().any(|r| r.frames_done > 0)).await;
    terminate(&child);
    let reported = controller.report().await;
    assert_eq!(reported.report.outcome, Outcome::Released);
    support::answer(reported, ReportAnswer::Accepted);
    assert_eq!(exit_code(child).await, Some(0));
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut controller = controller(Times::default()).await;
    let child = node(&controller.url(), dir.path()).args(["--drain-grace", "1h"]).spawn();
    let child = child.expect("started");
    let mut stream = controller.stream().await;
    stream.send(lease_of(1, long_pair(dir.path()))).await;
    stream.in_hand(1).await;
    terminate(&child);
    stream.status("the drain", |s| s.draining).await;
    let asked = Instant::now();
    terminate(&child);
    assert_eq!(exit_code(child).await, Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn without_a_controller_the_node_waits_for_one_and_still_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let child = node("http://127.0.0.1:1", dir.path()).spawn().expect("started");
    let spool = dir.path().join("spool");
    eventually("the node is up", || spool.join("lock").exists()).await;
    // It listens for signals before it opens its spool.
    terminate(&child);
    assert_eq!(exit_code(child).await, Some(0));
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_its_own_code() {
    let dir = tempfile::tempdir().expect("a folder");
    for (args, code) in [
        (vec!["--listen", "0.0.0.0:0"], 2),
        (vec!["--controller", "https://a:1"], 2),
        (vec!["--slots", "0"], 2),
        (vec!["--spool-dir", "/proc/nothing"], 1),
    ] {
        let child = node("http://127.0.0.1:1", dir.path()).args(&args).spawn().expect("started");
        assert_eq!(exit_code(child).await, Some(code), "{args:?}");
    }
}

/// Asks until the job is as wanted.
async fn job(client: &Client, id: JobId, what: &str, fits: impl Fn(&JobView) -> bool) -> JobView {
    let began = Instant::now();
    loop {
        let job = client.job(id).await.expect("there");
        if fits(&job) {
            return job;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn node_view(client: &Client, name: &str) -> NodeView {
    let nodes = client.nodes().await.expect("answered");
    nodes.into_iter().find(|node| node.node.as_str() == name).expect("registered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stopped_beyond_its_lease_changes_nothing_and_keeps_its_session() {
    let dir = tempfile::tempdir().expect("a folder");
    let any = "127.0.0.1:0".parse().expect("an address");
    let config = vmafx_controller::Config {
        grpc_listen: any,
        http_listen: any,
        db_path: dir.path().join("controller.db"),
        lease: Duration::from_secs(1),
        liveness_interval: Duration::from_millis(200),
        backoff_base: Duration::from_millis(1),
        ..vmafx_controller::Config::default()
    };
    let controller = Controller::start(config, Telemetry::disabled()).await.expect("started");
    let address = controller.grpc_addr.to_string();
    let client = Client::new(&ClientConfig::new(address.as_str())).expect("a good address");
    let stopped = node(&address, dir.path()).env("VMAFX_NODE_ID", "stopped").spawn();
    let stopped = stopped.expect("started");
    let spec = long_pair(dir.path());
    let submit = Submit { spec, idempotency_key: None };
    let id = client.submit(submit.clone()).await.expect("accepted").job;
    job(&client, id, "it runs", |job| job.state == State::Running).await;
    let session = node_view(&client, "stopped").await.session;
    send(&stopped, Signal::STOP);

    let other = Config {
        source_roots: vec![dir.path().to_owned()],
        ..Config::new(address.as_str(), NodeId::new("other").expect("a name"))
    };
    let other = Node::start(other, Telemetry::disabled()).await.expect("started");
    let twice = |job: &JobView| job.attempts.len() == 2;
    job(&client, id, "it is leased anew", twice).await;
    send(&stopped, Signal::CONT);
    let ended = job(&client, id, "it ends", |job| job.state.is_terminal()).await;
    assert_eq!(ended.state, State::Succeeded, "{:?}", ended.failure);
    let outcomes: Vec<_> = ended.attempts.iter().map(|a| (a.node.as_str(), a.outcome)).collect();
    let (lost, done) = (Some(AttemptOutcome::Lost), Some(AttemptOutcome::Succeeded));
    assert_eq!(outcomes, [("stopped", lost), ("other", done)]);
    other.shutdown().await;

    let again = client.submit(submit).await.expect("accepted").job;
    let ended = job(&client, again, "it ends", |job| job.state.is_terminal()).await;
    assert_eq!((ended.state, ended.attempts[0].node.as_str()), (State::Succeeded, "stopped"));
    let view = node_view(&client, "stopped").await;
    assert_eq!((view.session, view.liveness), (session, Liveness::Alive));
    terminate(&stopped);
    assert_eq!(exit_code(stopped).await, Some(0));
    controller.shutdown().await;
}

#[test]
fn the_program_keeps_the_observability_table() {
    let dir = tempfile::tempdir().expect("a folder");
    let pair = testkit::ClipSpec::texture(3, 64, 48, 3).make();
    let media = |name: &str, clip: &testkit::Clip| {
        let path = dir.path().join(name);
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        let uri = path.display().to_string();
        Some(proto::controller::MediaRef { uri, raw: None })
    };
    let request = pb::ScoreRequest {
        reference: media("r.y4m", &pair.reference),
        distorted: media("d.y4m", &pair.distorted),
        ..pb::ScoreRequest::default()
    };
    check_program("vmafx-node", || {
        let listeners =
            [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [grpc, http] = listeners.map(|listener| listener.local_addr().expect("bound"));
        // Direct scoring needs no controller.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vmafx-node"));
        command
            .env_clear()
            .env("VMAFX_CONTROLLER_ADDR", "http://127.0.0.1:1")
            .env("VMAFX_SPOOL_DIR", dir.path().join("spool"))
            .env("VMAFX_SCORING_ROOTS", dir.path())
            .env("VMAFX_NODE_LISTEN", http.to_string())
            .env("VMAFX_NODE_GRPC_LISTEN", grpc.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let request = request.clone();
        let work = move |_: &mut std::process::Child| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let url = format!("http://{grpc}");
                let began = Instant::now();
                let mut client = loop {
                    match VmafxScoringClient::connect(url.clone()).await {
                        Ok(client) => break client,
                        Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                };
                client.score(request.clone()).await.expect("scored");
            });
        };
        Subject { command, work: Box::new(work), metrics: Some(http), end: End::Told }
    });
}
