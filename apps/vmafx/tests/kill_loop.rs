//! `kill -9` at random moments, controller and nodes, real processes: every accepted job ends
//! exactly once with the right score.

mod idle;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use support::{Fleet, Process, Random, demo_pair, wait_for};

const ROUNDS: u64 = 50;
const JOBS_PER_ROUND: u64 = 3;

/// The demo pair's score by libvmaf 3.2's scalar code, as it prints it.
const SCORE: &str = "36.876214";

/// A job is retried by its submitter until it is acknowledged; the key makes that harmless.
fn submit(fleet: &Fleet, key: &str, accepted: &mut BTreeMap<String, String>) {
    let (reference, distorted) = demo_pair();
    let submitted = wait_for("a submission is acknowledged", Duration::from_secs(60), || {
        let ran =
            fleet.vmafx(&["submit", &reference, &distorted, "--idempotency-key", key, "--json"]);
        (ran.code == Some(0)).then_some(ran)
    });
    let job = submitted.json()["job_id"].as_str().expect("a job id").to_owned();
    let before = accepted.insert(key.to_owned(), job);
    assert_eq!(before, None, "the test uses each key once");
}

#[test]
fn fifty_rounds_of_kill_9_lose_nothing_and_double_nothing() {
    let mut random = Random::new();
    // Every kill here is blameless, so that the budget against parts that kill their nodes is wide.
    let fleet = Fleet::new().with_setting("VMAFX_CRASHES_MAX", "1000");
    let mut controller = Some(fleet.start_controller());
    let names = ["a", "b"];
    let mut nodes: Vec<Option<Process>> =
        names.iter().map(|name| Some(fleet.start_node(name))).collect();
    let mut accepted = BTreeMap::new();
    for round in 0..ROUNDS {
        for job in 0..JOBS_PER_ROUND {
            submit(&fleet, &format!("round-{round}-job-{job}"), &mut accepted);
        }
        std::thread::sleep(Duration::from_millis(random.below(300)));
        match random.below(3) {
            0 => {
                controller.take().expect("it runs").kill_9();
                controller = Some(fleet.start_controller());
            }
            victim => {
                let victim = victim as usize - 1;
                nodes[victim].take().expect("it runs").kill_9();
                nodes[victim] = Some(fleet.start_node(names[victim]));
            }
        }
    }
    check_every_job(&fleet, &accepted);
}

fn check_every_job(fleet: &Fleet, accepted: &BTreeMap<String, String>) {
    let count = accepted.len();
    assert_eq!(count as u64, ROUNDS * JOBS_PER_ROUND);
    let list = || fleet.vmafx(&["jobs", "--limit", "1000", "--json"]).json();
    let jobs = wait_for("every job ends", Duration::from_secs(180), || {
        let jobs = list()["jobs"].as_array().expect("a list").clone();
        let open = jobs
            .iter()
            .filter(|job| matches!(job["state"].as_str(), Some("queued" | "running")))
            .count();
        (open == 0).then_some(jobs)
    });
    let mut listed: Vec<&str> = jobs.iter().map(|job| job["id"].as_str().expect("an id")).collect();
    let mut expected: Vec<&str> = accepted.values().map(String::as_str).collect();
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected, "every accepted job is there once, and no other");
    for job in &jobs {
        assert_eq!(job["state"], "succeeded", "{job:#}");
        let score = job["score"].as_f64().expect("a score");
        assert_eq!(format!("{score:.6}"), SCORE, "{job:#}");
    }
    let mut attempts = 0;
    for id in expected {
        let job = fleet.vmafx(&["job", id, "--json"]).json();
        let tried = job["attempts"].as_array().expect("attempts");
        let succeeded = tried.iter().filter(|attempt| attempt["outcome"] == "succeeded").count();
        assert_eq!(succeeded, 1, "{job:#}");
        attempts += tried.len();
    }
    println!("{count} jobs took {attempts} attempts over {ROUNDS} kills");
}
