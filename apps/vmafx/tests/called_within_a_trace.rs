//! The command line within somebody's trace: a build pipeline that sets `TRACEPARENT`.

mod support;

use std::process::Command;

use support::{Fleet, Ran, binary, demo_pair};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn submit(fleet: &Fleet, traceparent: &str) -> String {
    let (reference, distorted) = demo_pair();
    let mut command = Command::new(binary("vmafx"));
    command
        .args(["submit", &reference, &distorted, "--json"])
        .env("VMAFX_CONTROLLER_ADDR", fleet.controller_url())
        .env("TRACEPARENT", traceparent);
    let ran = Ran::of(&mut command);
    ran.json()["trace_id"].as_str().expect("a trace id").to_owned()
}

#[test]
fn a_job_submitted_within_a_trace_is_part_of_it() {
    let fleet = Fleet::new();
    let _controller = fleet.start_controller();
    let within = submit(&fleet, &format!("00-{TRACE_ID}-00f067aa0ba902b7-01"));
    assert_eq!(within, TRACE_ID);
    let malformed = submit(&fleet, &format!("00-{TRACE_ID}-zz"));
    assert_ne!(malformed, TRACE_ID);
}
