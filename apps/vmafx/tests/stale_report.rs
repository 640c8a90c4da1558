//! A node that was frozen beyond its lease and goes on: its late report changes nothing.

mod support;

use support::{DEADLINE, Fleet, long_pair, wait_for};

#[test]
fn a_node_stopped_beyond_its_lease_reports_stale_and_keeps_its_session() {
    let fleet = Fleet::new()
        .with_setting("VMAFX_STORE_LEASE_TTL", "1500ms")
        .with_setting("VMAFX_LIVENESS_INTERVAL", "300ms");
    let _controller = fleet.start_controller();
    let (reference, distorted) = long_pair(fleet.folder(), 60);
    let roots = fleet.folder().to_str().expect("a UTF-8 path").to_owned();
    let start = |name: &str| fleet.start_node_with(name, &[("VMAFX_SCORING_ROOTS", &roots)]);
    let look = |job: &str| fleet.vmafx(&["job", job, "--json"]).json();
    let session = |name: &str| {
        let nodes = fleet.vmafx(&["nodes", "--json"]).json();
        let found = nodes["nodes"]
            .as_array()
            .expect("nodes")
            .iter()
            .find(|node| node["node"] == name)
            .cloned();
        found.map(|node| (node["session"].clone(), node["liveness"].clone()))
    };

    let frozen = start("frozen");
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    let job = submitted["job_id"].as_str().expect("a job id");
    wait_for("the node scores", DEADLINE, || {
        (look(job)["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
    });
    let before = session("frozen").expect("it is registered").0;
    frozen.signal("STOP");
    wait_for("its lease expires", DEADLINE, || {
        (look(job)["attempts"][0]["outcome"] == "lost").then_some(())
    });

    let _second = start("second");
    let done = wait_for("the retry succeeds", DEADLINE, || {
        let job = look(job);
        (job["state"] == "succeeded").then_some(job)
    });
    assert_eq!(done["attempts"][1]["node"], "second", "{done:#}");

    frozen.signal("CONT");
    wait_for("the late report is answered stale", DEADLINE, || {
        frozen.output().contains("stale").then_some(())
    });
    wait_for("the node is alive in the session it had", DEADLINE, || {
        (session("frozen") == Some((before.clone(), "alive".into()))).then_some(())
    });
    assert_eq!(look(job), done, "the late report changed nothing");
}
