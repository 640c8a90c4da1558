//! The official Python client speaks to the real program: over standard input and output and over
//! HTTP, in both generations of the protocol.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observability::testing::OtlpReceiver;
use scoring::{Progress, RunConfig, ScoreRequest};
use serde_json::Value;
use support::Videos;
use types::MediaRef;

const TOKEN: &str = "a-token-of-sixteen-or-more";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The packages that `cargo xtask setup` has put in place.
fn packages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-assets/python-mcp");
    let path = std::env::var_os("VMAFX_TEST_PYTHON_MCP").map_or(folder, PathBuf::from);
    assert!(path.exists(), "{} is missing; run `cargo xtask setup`", path.display());
    path
}

/// A pair and its true score.
struct Pair {
    videos: Videos,
    reference: String,
    distorted: String,
    score: f64,
}

fn pair() -> Pair {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(12);
    let request = ScoreRequest::pair(MediaRef::new(&*reference), MediaRef::new(&*distorted));
    let run = RunConfig::new(media::MediaConfig::new(media::SourcePolicy::unrestricted_local()));
    let report = scoring::run(&request, &run, &media::Stop::never(), &Progress::new());
    let score = report.expect("a score").headline().expect("a model").pooled.mean;
    Pair { videos, reference, distorted, score }
}

/// Runs the agent and gives what it says it saw.
fn agent(pair: &Pair, way: [&str; 3], variables: &[(&str, &str)]) -> Value {
    let [transport, mode, target] = way;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent.py");
    let folder = pair.videos.path().display().to_string();
    let ran = Command::new("python3")
        .arg(script)
        .args([transport, mode, target, &folder, &pair.reference, &pair.distorted])
        .env("PYTHONPATH", packages())
        .envs(variables.iter().copied())
        .output()
        .expect("python3 runs");
    let (said, errors) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{way:?}: {errors}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {errors}"))
}

/// Holds what an agent saw against what is true.
fn check(pair: &Pair, saw: &Value, protocol: &str) {
    assert_eq!(saw["protocol"], protocol);
    assert_eq!(saw["job"]["score"].as_f64(), Some(pair.score), "to the last digit");
    assert_eq!(saw["frames"]["rows"].as_array().map(Vec::len), Some(12));
    let image = |kind: &str| {
        saw["worst"]
            .as_array()
            .is_some_and(|blocks| blocks.iter().filter(|b| *b == kind).count() == 3)
    };
    assert!(image("image"), "{}", saw["worst"]);
    // Whoever asks for progress is told: how far, in which state, each value above the one before.
    let progress = saw["progress"].as_array().expect("a list");
    let done: Vec<f64> = progress.iter().filter_map(|told| told[0].as_f64()).collect();
    assert!(!done.is_empty() && done.len() == progress.len(), "{progress:?}");
    assert!(done.windows(2).all(|pair| pair[0] < pair[1]), "{progress:?}");
    assert!(progress[0][2].as_str().is_some_and(|text| text.contains("frames")), "{progress:?}");
    let refused = saw["refused"].as_str().expect("a refusal");
    assert!(refused.starts_with("source_refused") && refused.contains("What to do"), "{refused}");
    assert!(saw["tools"].as_array().is_some_and(|tools| (11..=12).contains(&tools.len())));
}

#[test]
fn the_official_client_scores_over_standard_input_and_output_within_its_trace() {
    let pair = pair();
    let receiver = OtlpReceiver::start().expect("a receiver on loopback");
    let endpoint = receiver.http_endpoint();
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    for (mode, protocol) in [("auto", "2026-07-28"), ("legacy", "2025-11-25")] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("TRACEPARENT", traceparent.as_str()),
        ];
        let saw = agent(&pair, ["stdio", mode, env!("CARGO_BIN_EXE_vmafx-mcp")], &variables);
        check(&pair, &saw, protocol);
        assert_eq!(saw["job"]["trace_id"], TRACE);
    }
    receiver
        .wait_until(support::PATIENCE, |spans| spans.iter().any(|s| s.name == "job"))
        .expect("the job's span");
    let spans: Vec<_> =
        receiver.spans().into_iter().filter(|span| span.trace_id.to_string() == TRACE).collect();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let calls = named("tools/call score");
    assert_eq!(calls.len(), 2, "one in each generation");
    for call in calls {
        assert_eq!(call.parent_span_id.map(|id| id.to_string()).as_deref(), Some(PARENT));
        assert_eq!(call.text("network.transport"), "pipe");
        let job = named("job").into_iter().find(|job| job.parent_span_id == Some(call.span_id));
        let job = job.expect("the job lies below the call");
        let process = spans.iter().find(|span| {
            span.parent_span_id == Some(job.span_id) && span.name.starts_with("process")
        });
        let process = process.expect("the attempt lies below the job");
        for stage in ["fetch", "decode+score", "pool"] {
            let below = |span: &&observability::testing::ReceivedSpan| {
                span.name == stage && span.parent_span_id == Some(process.span_id)
            };
            assert!(spans.iter().any(|span| below(&span)), "{stage}");
        }
    }
}

/// The program as a service.
struct Service(Child);

impl Service {
    fn start(pair: &Pair, flags: &[&str]) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vmafx-mcp"))
            .args(["--transport", "http", "--listen", "127.0.0.1:0", "--threads", "2"])
            .arg("--source-root")
            .arg(pair.videos.path())
            .args(flags)
            .env_remove("VMAFX_CONTROLLER_ADDR")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let addr = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line["addr"].as_str().or(line["fields"]["addr"].as_str()).map(str::to_owned)
        });
        // What it logs from now on is nobody's business, but must be read.
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), format!("http://{}/mcp", addr.expect("it says where it serves")))
    }

    fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status();
        assert!(sent.expect("kill exists").success());
        let began = std::time::Instant::now();
        while began.elapsed() < support::PATIENCE {
            if let Some(status) = self.0.try_wait().expect("ours") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_official_client_scores_over_http_and_a_stranger_does_not() {
    let pair = pair();
    let tokens = pair.videos.path().join("tokens");
    std::fs::write(&tokens, TOKEN).expect("written");
    let flag = tokens.display().to_string();
    let (service, url) = Service::start(&pair, &["--token-file", &flag]);
    for (mode, protocol) in [("auto", "2026-07-28"), ("legacy", "2025-11-25")] {
        let saw = agent(&pair, ["http", mode, &url], &[("VMAFX_TEST_TOKEN", TOKEN)]);
        check(&pair, &saw, protocol);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent.py");
    let folder = pair.videos.path().display().to_string();
    let stranger = Command::new("python3")
        .arg(script)
        .args(["http", "auto", &url, &folder, &pair.reference, &pair.distorted])
        .env("PYTHONPATH", packages())
        .env_remove("VMAFX_TEST_TOKEN")
        .output()
        .expect("python3 runs");
    assert!(!stranger.status.success(), "without a token nothing is answered");
    assert_eq!(service.terminate(), Some(0));
}
