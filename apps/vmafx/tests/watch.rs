//! `vmafx watch`: what happens to jobs, as it happens, and across a restart of the controller.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{DEADLINE, Fleet, Process, binary, demo_folder, long_pair, wait_for};

/// Repeats of the demonstration's clip.
const LONG: usize = 50;

fn start(fleet: &Fleet, name: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(binary("vmafx"));
    command.args(arguments).env("VMAFX_CONTROLLER_ADDR", fleet.controller_url());
    Process::start(command, name, fleet.folder())
}

fn submit(fleet: &Fleet, reference: &str, distorted: &str) -> String {
    let submitted = fleet.vmafx(&["submit", reference, distorted, "--json"]).json();
    submitted["job_id"].as_str().unwrap_or_else(|| panic!("{submitted:#}")).to_owned()
}

/// Waits until the watch has told all of these of a job, in this order.
fn wait_until_told(watch: &Process, job: &str, what: &[&str]) {
    wait_for(&format!("{job}: {what:?}"), DEADLINE, || {
        let output = watch.output();
        let mut of_job = output.lines().filter(|line| line.contains(job));
        what.iter().all(|part| of_job.any(|line| line.contains(part))).then_some(())
    });
}

#[test]
fn a_watch_tells_every_change_of_every_job_and_outlives_the_controller() {
    let fleet = Fleet::new();
    let controller = fleet.start_controller();
    let (reference, distorted) = fleet.demo_pair();
    // Long enough to be seen while it runs: changes that wait together are told once.
    let (long_reference, long_distorted) = long_pair(fleet.folder(), LONG);
    let before = submit(&fleet, &long_reference, &long_distorted);
    let all = start(&fleet, "watch-all", &["watch"]);
    let json = start(&fleet, "watch-json", &["watch", "--json"]);
    wait_until_told(&all, &before, &["queued"]);
    wait_until_told(&json, &before, &["queued"]);
    let dropped = submit(&fleet, &reference, &distorted);
    wait_until_told(&all, &dropped, &["queued"]);
    assert_eq!(fleet.vmafx(&["cancel", &dropped]).code, Some(0));
    wait_until_told(&all, &dropped, &["cancelled"]);

    controller.kill_9();
    wait_for("the watch says that it was cut off", DEADLINE, || {
        all.output().contains("the watch was cut off").then_some(())
    });
    let controller = fleet.start_controller();
    // Both watch again before anything happens, so that they see it happen.
    for watch in [&all, &json] {
        wait_until_told(watch, &before, &["queued", "queued"]);
    }
    let roots = format!("{}:{}", demo_folder().display(), fleet.folder().display());
    let node = fleet.start_node_with("one", &[("VMAFX_SCORING_ROOTS", &roots)]);
    wait_until_told(&all, &before, &["queued", "running", "succeeded  score "]);
    wait_until_told(&json, &before, &["queued", "running", "succeeded"]);
    // An end in good order cuts a watch off as well.
    assert_eq!(controller.terminate(), Some(0));
    let _controller = fleet.start_controller();
    let after = submit(&fleet, &reference, &distorted);
    wait_until_told(&all, &after, &["succeeded"]);
    drop(node);

    for line in json.output().lines().filter(|line| !line.starts_with("vmafx: ")) {
        let told: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(told["id"].is_string() && told["state"].is_string(), "{told:#}");
    }
}

#[test]
fn submit_waits_for_its_score_across_a_kill_of_the_controller() {
    let fleet = Fleet::new();
    let controller = fleet.start_controller();
    let (reference, distorted) = fleet.demo_pair();
    let submit = start(&fleet, "submit", &["submit", &reference, &distorted, "--wait"]);
    wait_for("the job is there", DEADLINE, || {
        let jobs = fleet.vmafx(&["jobs", "--json"]).stdout;
        jobs.contains("\"queued\"").then_some(())
    });
    controller.kill_9();
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("one");
    let (code, output) = submit.wait();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("36.876214"), "{output}");
}

#[test]
fn a_watch_of_one_job_ends_with_it_and_with_its_exit_code() {
    let fleet = Fleet::new();
    let _controller = fleet.start_controller();
    let (reference, distorted) = fleet.demo_pair();
    let missing = demo_folder().join("missing.y4m");
    let good = submit(&fleet, &reference, &distorted);
    let bad = submit(&fleet, missing.to_str().expect("UTF-8"), &distorted);
    let _node = fleet.start_node("one");
    let ran = fleet.vmafx(&["watch", &good]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("succeeded  score 36.876214"), "{ran:#?}");
    assert!(!ran.stdout.contains(&bad), "{ran:#?}");
    let ran = fleet.vmafx(&["watch", &bad]);
    assert_eq!(ran.code, Some(10), "{ran:#?}");
    assert!(ran.stderr.contains("missing.y4m"), "{ran:#?}");
    // One that has ended already ends the watch at once.
    assert_eq!(fleet.vmafx(&["watch", &good]).code, Some(0));
    let unknown = fleet.vmafx(&["watch", "0190f5c0-0000-7000-8000-000000000000"]);
    assert_ne!(unknown.code, Some(0), "{unknown:#?}");
}
