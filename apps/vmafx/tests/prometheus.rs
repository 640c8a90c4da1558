//! Prometheus itself scrapes controller and node: what they answer is well-formed, the numbers are
//! right, and exemplars lead to traces that were really exported.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use observability::testing::promtool_check;
use serde_json::Value;
use support::otelcol::{Config, Otelcol, http_get, http_json, test_config};
use support::{DEADLINE, Fleet, Process, demo_pair, free_port, wait_for};

/// Jobs that are run.
const JOBS: usize = 3;

/// Starts Prometheus on two targets and waits until it has scraped both.
fn start_prometheus(folder: &Path, targets: [(&str, u16); 2]) -> (Process, u16) {
    let mut config = "global: {scrape_interval: 300ms}\nscrape_configs:\n".to_owned();
    for (name, port) in targets {
        config += &format!(
            "  - {{job_name: {name}, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        );
    }
    let file = folder.join("prometheus.yaml");
    std::fs::write(&file, config).expect("written");
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg("--enable-feature=exemplar-storage")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut prometheus = Process::start(command, "prometheus", folder);
    wait_for("Prometheus has scraped both", DEADLINE, || {
        assert!(prometheus.is_running(), "Prometheus ended:\n{}", prometheus.output());
        let up = query(port, "up")?;
        let both = up.len() == 2 && up.iter().all(|series| series["value"][1] == "1");
        both.then_some(())
    });
    (prometheus, port)
}

fn query(port: u16, expression: &str) -> Option<Vec<Value>> {
    let answer = http_json(port, &format!("/api/v1/query?query={expression}"))?;
    answer["data"]["result"].as_array().cloned()
}

fn page(port: u16) -> String {
    let answer = http_get(port, "/metrics", "text/plain").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("chunked"), "{head}");
    body.to_owned()
}

#[test]
fn prometheus_reads_the_numbers_and_its_exemplars_name_exported_traces() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, received) =
        Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "received");
    let collector = Otelcol::start("collector", folder.path(), config);
    let mut telemetry = collector.over_grpc();
    telemetry.push(("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()));
    let fleet = Fleet::new().with_telemetry(&telemetry);
    let _controller = fleet.start_controller();
    let node_port = free_port();
    let listen = format!("127.0.0.1:{node_port}");
    let _node = fleet.start_node_with("a", &[("VMAFX_NODE_LISTEN", &listen)]);
    let (reference, distorted) = demo_pair();
    for _ in 0..JOBS {
        let ran = fleet.vmafx(&["submit", "--wait", &reference, &distorted]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
    }

    for port in [fleet.http_port(), node_port] {
        let page = page(port);
        assert!(page.lines().count() > 50, "{page}");
        promtool_check(&page).unwrap_or_else(|said| panic!("promtool: {said}"));
    }
    promtool_check("nonsense{").expect_err("promtool refuses what is wrong");

    let targets = [("controller", fleet.http_port()), ("node", node_port)];
    let (_prometheus, port) = start_prometheus(folder.path(), targets);
    wait_for("the jobs are counted", DEADLINE, || {
        let finished = query(port, "vmafx_jobs_finished_total{vmafx_job_state=\"succeeded\"}")?;
        let attempts = query(
            port,
            "vmafx_node_attempt_duration_seconds_count{vmafx_attempt_outcome=\"succeeded\"}",
        )?;
        let is_right = |series: &[Value]| {
            series.len() == 1 && series[0]["value"][1] == JOBS.to_string().as_str()
        };
        (is_right(&finished) && is_right(&attempts)).then_some(())
    });

    for (metric, target) in [
        ("rpc_server_call_duration_seconds_bucket", "controller"),
        ("vmafx_node_attempt_duration_seconds_bucket", "node"),
    ] {
        let named = wait_for(&format!("{metric} has exemplars"), DEADLINE, || {
            let traces = exemplar_traces(port, metric, target);
            (!traces.is_empty()).then_some(traces)
        });
        wait_for("every trace that an exemplar names was exported", DEADLINE, || {
            let spans = received.spans();
            let exported: BTreeSet<&str> =
                spans.iter().map(|span| span.trace_id.as_str()).collect();
            named.iter().all(|trace| exported.contains(trace.as_str())).then_some(())
        });
    }
}

/// The trace ids that Prometheus' exemplars of a metric name.
fn exemplar_traces(port: u16, metric: &str, target: &str) -> BTreeSet<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let path = format!(
        "/api/v1/query_exemplars?query={metric}{{job=\"{target}\"}}&start={}&end={}",
        now - 3_600,
        now + 3_600
    );
    let answer = http_json(port, &path).expect("an answer");
    let series = answer["data"].as_array().cloned().unwrap_or_default();
    series
        .iter()
        .flat_map(|series| series["exemplars"].as_array().cloned().unwrap_or_default())
        .filter_map(|exemplar| exemplar["labels"]["trace_id"].as_str().map(str::to_owned))
        .collect()
}

/// Debian builds promtool without the discovery of pods, so that part is exchanged for another.
#[test]
fn the_shipped_scrape_configuration_is_valid() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/prometheus.yaml");
    let shipped = std::fs::read_to_string(file).expect("it is there");
    let discovery = "kubernetes_sd_configs:\n      - role: pod\n        namespaces:\n          \
                     names: [vmafx]\n";
    assert!(shipped.contains(discovery), "the discovery is written otherwise");
    let known = shipped.replace(discovery, "static_configs: [{targets: ['127.0.0.1:1']}]\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (text, is_valid) in
        [(known.clone(), true), (known.replace("action: keep", "action: x"), false)]
    {
        let path = folder.path().join("prometheus.yaml");
        std::fs::write(&path, text).expect("written");
        let checked = Command::new("promtool")
            .args(["check", "config", "--syntax-only"])
            .arg(&path)
            .output()
            .expect("promtool; `cargo xtask setup` installs it");
        assert_eq!(checked.status.success(), is_valid, "{checked:?}");
    }
}
