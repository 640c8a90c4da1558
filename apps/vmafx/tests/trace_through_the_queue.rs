//! One sampled job, over separate processes and a real collector: exactly one trace, whose spans
//! make one tree without an orphan, whatever happens to the processes in between.

mod support;

use observability::schema::span_name;
use support::collector::{Collector, Tree};
use support::{DEADLINE, Fleet, Ran, assert_attempt_started, demo_pair, long_pair, wait_for};

const NAMES: [&str; 9] = [
    "vmafx.controller.v1.VmafxController/SubmitJob",
    span_name::SEND,
    span_name::JOB,
    span_name::PROCESS,
    span_name::FETCH,
    span_name::SCORE,
    span_name::POOL,
    "vmafx.controller.v1.VmafxController/ReportResult",
    span_name::SETTLE,
];

fn trace_id(submitted: &Ran) -> String {
    submitted.json()["trace_id"].as_str().expect("a trace id").to_owned()
}

fn job_id(submitted: &Ran) -> String {
    submitted.json()["job_id"].as_str().expect("a job id").to_owned()
}

fn wait_until(fleet: &Fleet, job: &str, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
    wait_for(what, DEADLINE, || holds(&fleet.vmafx(&["job", job, "--json"]).json()).then_some(()));
}

fn wait_until_succeeded(fleet: &Fleet, job: &str) {
    wait_until(fleet, job, "the job succeeds", |job| {
        assert_ne!(job["state"], "failed", "{job:#}");
        job["state"] == "succeeded"
    });
}

fn one_job_is_one_tree(variables: fn(&Collector) -> Vec<(&'static str, String)>) -> Tree {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(folder.path());
    let fleet = Fleet::new().with_telemetry(&variables(&collector));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (reference, distorted) = demo_pair();
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--trace", "--json"]);
    wait_until_succeeded(&fleet, &job_id(&submitted));
    collector.wait_for_tree(&trace_id(&submitted), &NAMES)
}

#[test]
fn over_http_protobuf_one_job_is_one_tree() {
    let tree = one_job_is_one_tree(Collector::over_http);
    let parent_of = |name: &str| {
        let span = tree.named(name)[0];
        tree.spans
            .iter()
            .find(|other| other.span_id == span.parent_id)
            .map(|parent| parent.name.as_str())
    };
    assert_eq!(parent_of(span_name::JOB), Some(span_name::SEND), "{}", tree.draw());
    assert_eq!(parent_of(span_name::PROCESS), Some(span_name::JOB), "{}", tree.draw());
    assert_eq!(parent_of(span_name::SCORE), Some(span_name::PROCESS), "{}", tree.draw());
    let services: std::collections::BTreeSet<_> =
        tree.spans.iter().map(|span| span.service.as_str()).collect();
    assert!(
        services.contains("vmafx-controller") && services.contains("vmafx-node"),
        "{services:?}"
    );
}

#[test]
fn over_grpc_one_job_is_one_tree() {
    one_job_is_one_tree(Collector::over_grpc);
}

#[test]
fn a_controller_restarted_between_submit_and_pull_keeps_the_tree() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(folder.path());
    let fleet = Fleet::new().with_telemetry(&collector.over_http());
    let controller = fleet.start_controller();
    let (reference, distorted) = demo_pair();
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--trace", "--json"]);
    let trace_id = trace_id(&submitted);
    assert_eq!(controller.terminate(), Some(0));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    wait_until_succeeded(&fleet, &job_id(&submitted));
    collector.wait_for_tree(&trace_id, &NAMES);
}

#[test]
fn a_node_killed_with_9_and_a_second_that_finishes_are_one_tree() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(folder.path());
    let fleet = Fleet::new().with_telemetry(&collector.over_http());
    let _controller = fleet.start_controller();
    let (reference, distorted) = long_pair(fleet.folder(), 100);
    let roots = fleet.folder().to_str().expect("a UTF-8 path").to_owned();
    let first = fleet.start_node_with("first", &[("VMAFX_SCORING_ROOTS", &roots)]);
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--trace", "--json"]);
    let job = job_id(&submitted);
    wait_until(&fleet, &job, "the first node scores", |job| {
        job["progress"]["frames_done"].as_u64() > Some(0)
    });
    let left = first.kill_9();
    assert_attempt_started(&left, &job, &trace_id(&submitted));
    let _second = fleet.start_node_with("second", &[("VMAFX_SCORING_ROOTS", &roots)]);
    wait_until_succeeded(&fleet, &job);

    let tree = collector.wait_for_tree(&trace_id(&submitted), &NAMES);
    let attempts = tree.named(span_name::PROCESS);
    assert_eq!(attempts.len(), 2, "{}", tree.draw());
    assert_eq!(
        attempts[0].attributes.get("error.type").map(String::as_str),
        Some("node_lost"),
        "{attempts:#?}"
    );
    assert!(attempts[1].linked_spans.contains(&attempts[0].span_id), "{attempts:#?}");
}
