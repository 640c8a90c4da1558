//! All three signals to the OpenTelemetry Collector itself: over each protocol, in the open and
//! over TLS with certificates on both sides, compressed, with headers.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use observability::schema::span_name;
use observability::testing::TestPki;
use support::otelcol::{Config, Otelcol, Written, attributes, test_config};
use support::{DEADLINE, Fleet, demo_pair, wait_for};

const TOKEN: &str = "the-collectors-token";
const SERVICES: [&str; 2] = ["vmafx-controller", "vmafx-node"];

type Variables = Vec<(&'static str, String)>;

/// A variable that is set otherwise, or not at all.
type Change = (&'static str, Option<&'static str>);

/// Small intervals, all signals.
fn all_signals() -> Variables {
    [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// Runs one traced job and gives its trace id.
fn run_a_job(telemetry: &[(&'static str, String)]) -> (Fleet, String) {
    let fleet = Fleet::new().with_telemetry(telemetry);
    let controller = fleet.start_controller();
    let node = fleet.start_node("a");
    let (reference, distorted) = demo_pair();
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--trace", "--json"]).json();
    let job = submitted["job_id"].as_str().expect("a job id");
    wait_for("the job succeeds", DEADLINE, || {
        (fleet.vmafx(&["job", job, "--json"]).json()["state"] == "succeeded").then_some(())
    });
    for process in [node, controller] {
        assert_eq!(process.terminate(), Some(0));
    }
    let trace = submitted["trace_id"].as_str().expect("a trace id").to_owned();
    (fleet, trace)
}

/// The whole tree, both programs' metrics with an exemplar of this trace, and log records of it.
fn check_all_signals(received: &Written, trace: &str) {
    let names = [span_name::JOB, span_name::PROCESS, span_name::SCORE, span_name::SETTLE];
    received.wait_for_tree(trace, &names);
    wait_for("metrics of both programs came", DEADLINE, || {
        let metrics = received.metrics();
        let senders: BTreeSet<&str> = metrics
            .iter()
            .filter_map(|(resource, _)| resource.get("service.name").map(String::as_str))
            .collect();
        let shows_trace = |point: &serde_json::Value| {
            let exemplars = point["exemplars"].as_array().map_or(&[][..], Vec::as_slice);
            exemplars.iter().any(|exemplar| exemplar["traceId"] == trace)
        };
        let is_named = metrics.iter().any(|(_, found)| {
            let points = found["histogram"]["dataPoints"].as_array();
            points.is_some_and(|points| points.iter().any(shows_trace))
        });
        (SERVICES.iter().all(|name| senders.contains(name)) && is_named).then_some(())
    });
    wait_for("log records of both programs came, the attempt's with its trace", DEADLINE, || {
        let logs = received.logs();
        let senders: BTreeSet<&str> = logs
            .iter()
            .filter_map(|(resource, _)| resource.get("service.name").map(String::as_str))
            .collect();
        let is_correlated = logs.iter().any(|(_, record)| {
            record["traceId"] == trace && record["body"]["stringValue"] == "attempt started"
        });
        (SERVICES.iter().all(|name| senders.contains(name)) && is_correlated).then_some(())
    });
}

fn in_the_open(protocol: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, received) =
        Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "received");
    let collector = Otelcol::start("collector", folder.path(), config);
    let port = match protocol {
        "grpc" => collector.config.grpc_port,
        _ => collector.config.http_port,
    };
    let mut telemetry = all_signals();
    telemetry.extend([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-honeycomb-team=the%20team,authorization=Bearer%20t".into(),
        ),
    ]);
    let (_fleet, trace) = run_a_job(&telemetry);
    check_all_signals(&received, &trace);
    for span in received.spans() {
        let header = |key: &str| span.attributes.get(key).map(String::as_str);
        assert_eq!(header("test.header.team"), Some("the team"), "{span:?}");
        assert_eq!(header("test.header.authorization"), Some("Bearer t"), "{span:?}");
    }
    for (_, record) in received.logs() {
        let header = attributes(&record["attributes"]).get("test.header.team").cloned();
        assert_eq!(header.as_deref(), Some("the team"), "{record}");
    }
}

#[test]
fn all_signals_come_over_http_protobuf() {
    in_the_open("http/protobuf");
}

#[test]
fn all_signals_come_over_http_json() {
    in_the_open("http/json");
}

#[test]
fn all_signals_come_over_grpc() {
    in_the_open("grpc");
}

/// A Collector that wants TLS, a client's certificate and a token.
struct Secured {
    collector: Otelcol,
    received: Written,
    pki: TestPki,
    folder: tempfile::TempDir,
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pki = TestPki::new().expect("certificates");
        let (certificate, key) = pki.server_files().expect("certificates");
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).expect("written");
        let shown = |path: &Path| path.display().to_string();
        let (config, received) = Config::of(&[test_config("secured.yaml")])
            .with("CERT_FILE", &shown(&certificate))
            .with("KEY_FILE", &shown(&key))
            .with("CA_FILE", &shown(&pki.authority()))
            .with("TOKEN_FILE", &shown(&token))
            .writing_to(folder.path(), "received");
        let collector = Otelcol::start("collector", folder.path(), config);
        Self { collector, received, pki, folder }
    }

    /// What lets a program in.
    fn admitted(&self, protocol: &str) -> Variables {
        let port = match protocol {
            "grpc" => self.collector.config.grpc_port,
            _ => self.collector.config.http_port,
        };
        let shown = |path: &Path| path.display().to_string();
        let mut variables = all_signals();
        variables.extend([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://127.0.0.1:{port}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
            ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{TOKEN}")),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", shown(&self.pki.authority())),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", shown(&self.pki.client_certificate())),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", shown(&self.pki.client_key())),
        ]);
        variables
    }
}

#[test]
fn all_signals_come_over_http_with_certificates_on_both_sides_and_a_token() {
    let secured = Secured::start();
    let (_fleet, trace) = run_a_job(&secured.admitted("http/protobuf"));
    check_all_signals(&secured.received, &trace);
}

#[test]
fn all_signals_come_over_grpc_with_certificates_on_both_sides_and_a_token() {
    let secured = Secured::start();
    let (_fleet, trace) = run_a_job(&secured.admitted("grpc"));
    check_all_signals(&secured.received, &trace);
}

/// What is refused changes no job and no exit, and the Collector holds nothing.
#[test]
fn without_the_right_papers_nothing_comes_in_and_no_job_suffers() {
    let secured = Secured::start();
    let cases: [(&str, &[Change]); 3] = [
        (
            "no certificate",
            &[
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", None),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", None),
            ],
        ),
        ("another token", &[("OTEL_EXPORTER_OTLP_HEADERS", Some("authorization=Bearer%20x"))]),
        ("not compressed", &[("OTEL_EXPORTER_OTLP_COMPRESSION", None)]),
    ];
    for (case, changes) in cases {
        let mut variables = secured.admitted("http/protobuf");
        for (name, value) in changes {
            variables.retain(|(key, _)| key != name);
            variables.extend(value.map(|value| (*name, value.to_owned())));
        }
        run_a_job(&variables);
        assert!(secured.received.spans().is_empty(), "{case}: something came in");
        assert!(secured.received.logs().is_empty(), "{case}: something came in");
    }
    // It did listen all the time.
    let (_fleet, trace) = run_a_job(&secured.admitted("http/protobuf"));
    check_all_signals(&secured.received, &trace);
    drop(secured.folder);
}
