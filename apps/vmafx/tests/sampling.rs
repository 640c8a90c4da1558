//! `vmafx sampling` and SIGHUP, against each kind of process that decides about traces.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use observability::testing::OtlpReceiver;
use serde_json::{Value, json};
use support::otelcol::http_get;
use support::{
    DEADLINE, Fleet, Process, Ran, binary, free_port, free_ports, is_listening, mcp_over_http,
    wait_for,
};

/// A process under test, where it answers, and the file that it reads its settings from.
struct Target {
    process: Process,
    port: u16,
    url: String,
    file: PathBuf,
}

impl Target {
    fn new(process: Process, port: u16, file: &Path) -> Self {
        wait_for("it listens", DEADLINE, || is_listening(port).then_some(()));
        Self { process, port, url: format!("http://127.0.0.1:{port}"), file: file.to_owned() }
    }

    fn configure(&self, text: &str) {
        std::fs::write(&self.file, text).expect("written");
    }

    /// Runs `vmafx sampling` for it.
    fn sampling(&self, arguments: &[&str]) -> Ran {
        sampling(&[arguments, &["--url", &self.url]].concat())
    }

    fn ratio(&self) -> (f64, String) {
        let status = self.sampling(&["show", "--json"]).json();
        let source = status["source"].as_str().expect("a source").to_owned();
        (status["arg"].as_f64().expect("a ratio"), source)
    }

    /// Waits until it has said something `count` times.
    fn has_said(&self, text: &str, count: usize) {
        wait_for(text, DEADLINE, || {
            (self.process.output().matches(text).count() >= count).then_some(())
        });
    }
}

fn sampling(arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary("vmafx"));
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "VMAFX_CONTROLLER_TOKEN_FILE"] {
        command.env_remove(name);
    }
    Ran::of(command.arg("sampling").args(arguments))
}

fn controller(folder: &Fleet, file: &Path) -> Target {
    let process = folder.start_controller();
    Target::new(process, folder.http_port(), file)
}

fn node(fleet: &Fleet, file: &Path) -> Target {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let file_name = file.to_str().expect("UTF-8");
    let variables = [("VMAFX_NODE_LISTEN", listen.as_str()), ("VMAFX_SAMPLING_FILE", file_name)];
    Target::new(fleet.start_node_with("node", &variables), port, file)
}

fn server(fleet: &Fleet, file: &Path) -> Target {
    let file_name = file.to_str().expect("UTF-8");
    let (process, _, port) = fleet.start_server_with(&[("VMAFX_SAMPLING_FILE", file_name)]);
    Target::new(process, port, file)
}

fn mcp(fleet: &Fleet, file: &Path) -> Target {
    let port = free_port();
    let mut variables = mcp_over_http(port).to_vec();
    variables.push(("VMAFX_SAMPLING_FILE", file.display().to_string()));
    Target::new(fleet.start_program("vmafx-mcp", &variables), port, file)
}

fn up(folder: &Path, file: &Path, telemetry: &[(&'static str, String)]) -> Target {
    let ports = free_ports();
    let mut command = support::up(folder, ports);
    command
        .env("VMAFX_SAMPLING_FILE", file)
        .env("VMAFX_LOG", "info")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .envs(telemetry.iter().map(|(name, value)| (name, value)));
    Target::new(Process::start(command, "up", folder), ports[1], file)
}

/// Every kind of process, each with the file of its settings.
fn each(check: impl Fn(&str, Target)) {
    each_with(&[], check);
}

/// The same, with these variables of OpenTelemetry.
fn each_with(telemetry: &[(&'static str, String)], check: impl Fn(&str, Target)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = ["controller", "node", "server", "mcp", "up"].map(|kind| folder.path().join(kind));
    for file in &files {
        std::fs::write(file, "OTEL_TRACES_SAMPLER_ARG=0.5\n").expect("written");
    }
    let [of_controller, of_node, of_server, of_mcp, of_up] = &files;
    let name = of_controller.to_str().expect("UTF-8");
    let fleet = Fleet::new().with_telemetry(telemetry).with_setting("VMAFX_SAMPLING_FILE", name);
    let controller = controller(&fleet, of_controller);
    check("node", node(&fleet, of_node));
    check("controller", controller);
    check("server", server(&fleet, of_server));
    check("mcp", mcp(&fleet, of_mcp));
    let folder = tempfile::tempdir().expect("a temporary folder");
    check("up", up(folder.path(), of_up, telemetry));
}

/// What makes no spans, whatever the rules.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Asks many times for what is not there, each time for something else: whatever the rules, of each
/// call that is recorded one span is told.
fn scan(target: &Target, folder: &str, count: usize) {
    for index in 0..count {
        let answer =
            http_get(target.port, &format!("/{folder}/{index}"), "*/*").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

#[test]
fn what_is_served_is_recorded_by_the_rules_of_the_moment_in_every_kind_of_process() {
    const CALLS: usize = 20;
    let receiver = OtlpReceiver::start().expect("a port");
    let telemetry = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("VMAFX_TRACES_MIN_PER_MINUTE", "0".to_owned()),
    ];
    each_with(&telemetry, |kind, target| {
        let folders = ["never", "always", "never-again", "quiet"].map(|it| format!("{kind}-{it}"));
        let [never, always, never_again, quiet] = &folders;
        let told = |folder: &String| {
            let mut spans = receiver.spans();
            spans.retain(|span| span.text("url.path").starts_with(&format!("/{folder}/")));
            spans
        };
        for (count, (ratio, folder)) in [(0, never), (1, always)].into_iter().enumerate() {
            target.configure(&format!("OTEL_TRACES_SAMPLER_ARG={ratio}\n"));
            target.process.signal("HUP");
            target.has_said("sampling: reloaded", count + 1);
            scan(&target, folder, CALLS);
        }
        for probe in PROBES {
            let answer = http_get(target.port, probe, "*/*").expect("an answer");
            assert!(!answer.starts_with("HTTP/1.1 404"), "{kind}: {probe}");
        }
        assert_eq!(target.sampling(&["set", "--ratio", "0"]).code, Some(0), "{kind}");
        scan(&target, never_again, CALLS);
        // Ten a second, so that nobody waits for a minute.
        let floor = target.sampling(&["set", "--ratio", "0", "--min-per-minute", "600"]);
        assert_eq!(floor.code, Some(0), "{kind}: {floor:#?}");
        wait_for("a quiet process yields a trace", DEADLINE, || {
            scan(&target, quiet, 1);
            (!told(quiet).is_empty()).then_some(())
        });
        assert_eq!(target.process.terminate(), Some(0), "{kind}");

        let spans = receiver.spans();
        let of_probes = spans.iter().filter(|span| PROBES.contains(&span.text("url.path")));
        assert_eq!(of_probes.count(), 0, "{kind}");
        assert_eq!(told(never).len() + told(never_again).len(), 0, "{kind}");
        assert_eq!(told(always).len(), CALLS, "{kind}");
        for (folder, reason, state) in [(always, "ratio", "ot=th:0"), (quiet, "quiet", "")] {
            for span in told(folder) {
                let said = (span.text("vmafx.sampling.reason"), span.trace_state.as_str());
                assert_eq!(
                    (span.name.as_str(), said),
                    ("GET", (reason, state)),
                    "{kind}: {span:?}"
                );
            }
        }
    });
}

#[test]
fn a_hangup_reads_the_file_again_in_every_kind_of_process() {
    each(|kind, target| {
        assert_eq!(target.ratio(), (0.5, "file".to_owned()), "{kind}");
        target.configure("# an incident\nOTEL_TRACES_SAMPLER_ARG=1\n");
        target.process.signal("HUP");
        target.has_said("sampling: reloaded", 1);
        assert_eq!(target.ratio(), (1.0, "file".to_owned()), "{kind}");
        target.configure("OTEL_TRACES_SAMPLER_ARG=abc\n");
        target.process.signal("HUP");
        target.has_said("nothing is changed", 1);
        assert_eq!(target.ratio(), (1.0, "file".to_owned()), "{kind}");
        assert_eq!(target.process.terminate(), Some(0), "{kind}");
    });
}

#[test]
fn the_command_shows_changes_and_takes_back_in_every_kind_of_process() {
    each(|kind, target| {
        let shown = target.sampling(&["show"]);
        let usual = "parentbased_traceidratio 0.5, at least 1 a minute of each kind";
        assert_eq!(shown.stdout, format!("{usual} (from: file)\n"), "{kind}: {shown:#?}");
        let set = target.sampling(&["set", "--ratio", "0.25", "--for", "600"]);
        let quarter = "parentbased_traceidratio 0.25, at least 1 a minute of each kind";
        let lines: Vec<&str> = set.stdout.lines().collect();
        assert_eq!(lines[0], format!("{quarter} (from: admin)"), "{kind}: {set:#?}");
        assert!(lines[1].starts_with("in ") && lines[1].ends_with(usual), "{kind}: {set:#?}");
        target.has_said("sampling: changed", 1);
        let set = target.sampling(&["set", "--sampler", "always_on", "--json"]).json();
        assert_eq!((&set["sampler"], &set["arg"]), (&json!("always_on"), &Value::Null), "{kind}");
        let reset = target.sampling(&["reset"]);
        assert_eq!(reset.stdout, format!("{usual} (from: file)\n"), "{kind}: {reset:#?}");
        let refused = target.sampling(&["set", "--ratio", "2"]);
        assert_eq!(refused.code, Some(41), "{kind}: {refused:#?}");
        assert!(refused.stderr.contains("a number from 0 to 1"), "{kind}: {refused:#?}");
        assert_eq!(target.ratio(), (0.5, "file".to_owned()), "{kind}");
    });
}

#[test]
fn a_controller_that_asks_for_a_token_wants_it_here_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").expect("written");
    let token = token.to_str().expect("UTF-8");
    let fleet = Fleet::new().with_setting("VMAFX_TOKEN_FILE", token);
    let target = controller(&fleet, folder.path());
    let refused = target.sampling(&["show"]);
    assert_eq!(refused.code, Some(41), "{refused:#?}");
    assert!(refused.stderr.contains("token"), "{refused:#?}");
    let shown = target.sampling(&["show", "--token-file", token]);
    assert_eq!(shown.code, Some(0), "{shown:#?}");
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_have_exit_codes_of_their_own() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let ran = sampling(&["show", "--url", &nobody]);
    assert_eq!(ran.code, Some(40), "{ran:#?}");
    assert!(ran.stderr.contains(&nobody), "{ran:#?}");
    for arguments in [
        &["set"][..],
        &["set", "--for", "10"],
        &["show", "--url", "https://127.0.0.1:1"],
        &["show", "--token-file", "/nonexistent", "--url", &nobody],
    ] {
        let ran = sampling(arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:#?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    // Something else listens there.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", other.local_addr().expect("bound"));
    let answering = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = other.accept().expect("asked");
        let _ = stream.read(&mut [0; 4_096]).expect("a request");
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).expect("it reads");
    });
    let ran = sampling(&["show", "--url", &url]);
    answering.join().expect("no panic");
    assert_eq!(ran.code, Some(40), "{ran:#?}");
    assert!(ran.stderr.contains("no controller"), "{ran:#?}");
}
