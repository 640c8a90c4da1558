//! A node that was frozen beyond its lease and goes on: its late report changes nothing.

mod support;

use std::path::Path;

use support::{DEADLINE, Fleet, Process, long_pair, wait_for};

/// A frozen node, and what the controller says of it.
struct Scene {
    fleet: Fleet,
    roots: String,
    job: String,
}

impl Scene {
    fn new() -> (Self, Process, Process) {
        let fleet = Fleet::new()
            .with_setting("VMAFX_STORE_LEASE_TTL", "1500ms")
            .with_setting("VMAFX_LIVENESS_INTERVAL", "300ms");
        let controller = fleet.start_controller();
        let (reference, distorted) = long_pair(fleet.folder(), 100);
        let roots = fleet.folder().to_str().expect("a UTF-8 path").to_owned();
        let mut scene = Self { fleet, roots, job: String::new() };
        let frozen = scene.start("frozen");
        let submitted = scene.fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
        submitted["job_id"].as_str().expect("a job id").clone_into(&mut scene.job);
        wait_for("the node scores", DEADLINE, || {
            (scene.look()["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
        });
        (scene, controller, frozen)
    }

    fn start(&self, name: &str) -> Process {
        self.fleet.start_node_with(name, &[("VMAFX_SCORING_ROOTS", &self.roots)])
    }

    fn look(&self) -> serde_json::Value {
        self.fleet.vmafx(&["job", &self.job, "--json"]).json()
    }

    /// The frozen node's session and liveness.
    fn session(&self) -> Option<(serde_json::Value, String)> {
        let nodes = self.fleet.vmafx(&["nodes", "--json"]).json();
        let nodes = nodes["nodes"].as_array().expect("nodes").clone();
        let frozen = nodes.into_iter().find(|node| node["id"] == "frozen")?;
        Some((frozen["session_id"].clone(), frozen["liveness"].as_str()?.to_owned()))
    }

    /// Waits until the frozen node's lease has expired, lets a second node finish the job, lets the
    /// first go on, and checks that it keeps its session and changes nothing. `said` is what its log
    /// must then hold.
    fn retry_elsewhere_then_thaw(&self, frozen: &Process, said: &str) {
        let before = self.session().expect("it is registered").0;
        wait_for("its lease expires", DEADLINE, || {
            (self.look()["attempts"][0]["outcome"] == "lost").then_some(())
        });
        let _second = self.start("second");
        let done = wait_for("the retry succeeds", DEADLINE, || {
            let job = self.look();
            (job["state"] == "succeeded").then_some(job)
        });
        assert_eq!(done["attempts"][1]["node_id"], "second", "{done:#}");
        frozen.signal("CONT");
        wait_for("the frozen node is told", DEADLINE, || {
            frozen.output().contains(said).then_some(())
        });
        wait_for("it is alive in the session it had", DEADLINE, || {
            (self.session() == Some((before.clone(), "alive".to_owned()))).then_some(())
        });
        assert_eq!(self.look(), done, "nothing that came late changed the job");
    }
}

#[test]
fn a_node_stopped_while_it_scores_drops_the_attempt_it_lost() {
    let (scene, _controller, frozen) = Scene::new();
    frozen.signal("STOP");
    scene.retry_elsewhere_then_thaw(&frozen, "LeaseLost");
}

#[test]
fn a_node_stopped_with_a_finished_result_is_answered_stale() {
    let (scene, controller, frozen) = Scene::new();
    // Without a controller the node finishes and keeps its result on disk.
    controller.kill_9();
    let spool = scene.fleet.folder().join("spool-frozen");
    wait_for("the result lies in the spool", DEADLINE, || holds_a_file(&spool).then_some(()));
    frozen.signal("STOP");
    let _controller = scene.fleet.start_controller();
    scene.retry_elsewhere_then_thaw(&frozen, "stale");
    wait_for("the node forgets the result", DEADLINE, || (!holds_a_file(&spool)).then_some(()));
}

/// Whether a report lies somewhere below the folder; lock files and half-written ones do not count.
fn holds_a_file(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() { holds_a_file(&entry.path()) } else { name.ends_with(".report") }
    })
}
