//! The commands that need nothing but this binary: demo, up, doctor, models, completions.

mod support;

use std::path::Path;
use std::process::Command;

use support::{
    DEADLINE, Process, Ran, binary, demo_folder, demo_pair, free_port, is_listening, wait_for,
};

/// The demo pair's score by libvmaf 3.2's scalar code at full precision.
const GOLDEN_SCORE: f64 = 36.876_214_102_366_12;

fn vmafx(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("vmafx"));
    command.args(arguments).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command
}

#[test]
fn demo_prints_score_and_waterfall_and_removes_what_it_made() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let ran = Ran::of(vmafx(&["demo"]).env("TMPDIR", temporary.path()));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    for line in
        ["vmaf_v0.6.1    36.876214", "minimum        34.559592", "score: vif", "report and settle"]
    {
        assert!(ran.stdout.contains(line), "{line:?} is missing: {ran:#?}");
    }
    let left: Vec<_> = std::fs::read_dir(temporary.path()).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn demo_json_is_one_object_whose_waterfall_explains_the_wall_time() {
    let demo = Ran::of(&mut vmafx(&["demo", "--json"])).json();
    assert_eq!(demo["score"].as_f64().map(f64::to_bits), Some(GOLDEN_SCORE.to_bits()), "{demo:#}");
    for key in ["min", "p5", "harmonic_mean"] {
        assert!(demo[key].is_f64(), "{key}: {demo:#}");
    }
    assert_eq!(demo["trace_id"].as_str().map(str::len), Some(32));
    assert_eq!(demo["job_id"], demo["job"]["id"]);
    let explained = demo["waterfall"]["explained_share"].as_f64().expect("a share");
    assert!(explained >= 0.99, "{explained} of the wall time is explained: {demo:#}");
}

/// `vmafx up` on ports and in a folder of its own, ready to take jobs below the demo's folder, and
/// the address of its controller.
fn start_up(folder: &Path) -> (Process, String) {
    let (grpc, http) = (free_port(), free_port());
    let mut command = vmafx(&["up", "--nodes", "1", "--slots", "2"]);
    command
        .args(["--grpc-listen", &format!("127.0.0.1:{grpc}")])
        .args(["--http-listen", &format!("127.0.0.1:{http}")])
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--source-root")
        .arg(demo_folder());
    let up = Process::start(command, "up", folder);
    wait_for("vmafx up listens", DEADLINE, || is_listening(grpc).then_some(()));
    (up, format!("http://127.0.0.1:{grpc}"))
}

fn submit_and_wait(controller: &str, reference: &str, distorted: &str) -> Ran {
    Ran::of(&mut vmafx(&["submit", reference, distorted, "--wait", "--controller", controller]))
}

#[test]
fn up_takes_a_job_and_ends_in_good_order_when_told_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (up, controller) = start_up(folder.path());
    let (reference, distorted) = demo_pair();
    let ran = submit_and_wait(&controller, &reference, &distorted);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("36.876214"), "{ran:#?}");
    assert_eq!(up.terminate(), Some(0));
}

#[test]
fn a_failed_job_ends_submit_with_its_kinds_exit_code_and_names_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_up, controller) = start_up(folder.path());
    let (reference, distorted) = demo_pair();
    let missing = demo_folder().join("missing.y4m");
    let ran = submit_and_wait(&controller, missing.to_str().expect("UTF-8"), &distorted);
    assert_eq!(ran.code, Some(10), "{ran:#?}");
    assert!(ran.stderr.contains("missing.y4m"), "{ran:#?}");
    // Beyond the allowed folder: refused whether it exists or not.
    let ran = submit_and_wait(&controller, &reference, "/etc/passwd");
    assert_eq!(ran.code, Some(12), "{ran:#?}");
}

#[test]
fn without_a_controller_the_error_says_so_and_has_its_own_exit_code() {
    let ran = Ran::of(&mut vmafx(&[
        "jobs",
        "--controller",
        &format!("http://127.0.0.1:{}", free_port()),
    ]));
    assert_eq!(ran.code, Some(40), "{ran:#?}");
    assert!(ran.stderr.contains("no controller answers"), "{ran:#?}");
}

#[test]
fn doctor_finds_the_golden_score_on_every_instruction_set() {
    let ran = Ran::of(&mut vmafx(&["doctor"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("36.87621410236612 on baseline"), "{ran:#?}");
    assert!(!ran.stdout.contains("FAILED"), "{ran:#?}");
}

#[test]
fn models_and_completions_are_printed() {
    let models = Ran::of(&mut vmafx(&["models", "--json"])).json();
    assert_eq!(models["models"][0]["version"], "vmaf_v0.6.1");
    for shell in ["bash", "zsh", "fish"] {
        let ran = Ran::of(&mut vmafx(&["completions", shell]));
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert!(ran.stdout.contains("explain"), "{shell}");
    }
}
