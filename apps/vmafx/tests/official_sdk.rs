//! A client that traces with an official OpenTelemetry SDK: its span and ours are one trace, and
//! its sampling decision is ours, whatever ratio we would have taken.

mod support;

use std::path::Path;
use std::process::Command;

use observability::schema::span_name;
use serde_json::{Value, json};
use support::collector::Span;
use support::otelcol::{Config, Otelcol, Written, test_config};
use support::{DEADLINE, Fleet, Process, Ran, asset, demo_pair, wait_for};

const CALLER: &str = "a caller's own span";

struct Scene {
    _folder: tempfile::TempDir,
    collector: Otelcol,
    received: Written,
    fleet: Fleet,
    processes: Vec<Process>,
}

impl Scene {
    /// A fleet that samples by that ratio.
    fn with_ratio(ratio: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (config, received) =
            Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "received");
        let collector = Otelcol::start("collector", folder.path(), config);
        let mut telemetry = collector.over_grpc();
        telemetry.push(("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()));
        let fleet = Fleet::new().with_telemetry(&telemetry);
        let processes = vec![fleet.start_controller(), fleet.start_node("a")];
        Self { _folder: folder, collector, received, fleet, processes }
    }

    /// Lets the Python client submit a job, and waits until it has succeeded.
    fn submit_from_python(&self, sampled: bool) -> Value {
        let generated = tempfile::tempdir().expect("a temporary folder");
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/proto/proto");
        let (reference, distorted) = demo_pair();
        let asked = json!({
            "proto": proto,
            "generated": generated.path(),
            "controller": self.fleet.controller_url().trim_start_matches("http://"),
            "collector": format!("127.0.0.1:{}", self.collector.config.grpc_port),
            "sampled": sampled,
            "reference": reference,
            "distorted": distorted,
        });
        let mut python = Command::new("python3");
        python
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/submit.py"))
            .arg(asked.to_string())
            .env("PYTHONPATH", asset("VMAFX_TEST_PYTHON_PACKAGES", "python-packages"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let submitted = Ran::of(&mut python).json();
        self.wait_until_succeeded(submitted["job_id"].as_str().expect("a job id"));
        submitted
    }

    fn wait_until_succeeded(&self, job: &str) {
        wait_for("the job succeeds", DEADLINE, || {
            let state = self.fleet.vmafx(&["job", job, "--json"]).json()["state"].clone();
            (state == "succeeded").then_some(())
        });
    }

    /// Ends everything, so that nothing is still on its way, and gives what was received.
    fn end(mut self) -> Vec<Span> {
        for process in self.processes.drain(..).rev() {
            assert_eq!(process.terminate(), Some(0));
        }
        self.collector.terminate();
        self.received.spans()
    }
}

#[test]
fn a_sampled_caller_is_followed_although_our_ratio_is_zero() {
    let scene = Scene::with_ratio("0");
    let submitted = scene.submit_from_python(true);
    let trace = submitted["caller_trace_id"].as_str().expect("a trace id");
    assert_eq!(submitted["job_trace_id"], trace, "{submitted}");
    let names = [CALLER, span_name::SEND, span_name::JOB, span_name::PROCESS, span_name::SETTLE];
    let tree = scene.received.wait_for_tree(trace, &names);
    let root = tree.named(CALLER)[0];
    assert_eq!(root.service, "python-client");
    let client = tree.spans.iter().find(|span| span.parent_id == root.span_id).expect("a call");
    assert_eq!(client.service, "python-client", "{}", tree.draw());
    let server = tree.spans.iter().find(|span| span.parent_id == client.span_id).expect("served");
    assert_eq!(server.service, "vmafx-controller", "{}", tree.draw());
    // The caller decided, so the reason is its own to tell.
    assert!(!server.attributes.contains_key("vmafx.sampling.reason"), "{server:?}");
}

#[test]
fn an_unsampled_caller_is_followed_although_our_ratio_is_one() {
    let scene = Scene::with_ratio("1");
    let submitted = scene.submit_from_python(false);
    let trace = submitted["caller_trace_id"].as_str().expect("a trace id").to_owned();
    assert_eq!(submitted["job_trace_id"], trace.as_str(), "{submitted}");
    // A job of nobody's trace, at the same ratio, is recorded.
    let (reference, distorted) = demo_pair();
    let own = scene.fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    scene.wait_until_succeeded(own["job_id"].as_str().expect("a job id"));
    let own = own["trace_id"].as_str().expect("a trace id");
    scene.received.wait_for_tree(own, &[span_name::JOB]);
    let spans = scene.end();
    let of_caller: Vec<_> = spans.iter().filter(|span| span.trace_id == trace).collect();
    assert!(of_caller.is_empty(), "{of_caller:#?}");
}
