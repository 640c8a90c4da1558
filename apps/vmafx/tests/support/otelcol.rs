//! The OpenTelemetry Collector itself, as its builder makes it: started with any configuration,
//! and what its file exporter wrote, read back as spans, metric points and log records.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::collector::{Span, Tree};
use super::{DEADLINE, Process, Ran, asset, free_ports, wait_for};

/// The folder with the configurations that are shipped.
pub fn shipped_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/collector")
}

/// A configuration of these tests' own.
pub fn test_config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

/// The Collector that `cargo xtask setup` has built.
fn program() -> PathBuf {
    asset("VMAFX_TEST_OTELCOL", "otelcol/otelcol")
}

/// A Collector's configuration: its files, and the variables they name. All ports are free ones,
/// everything is on loopback.
#[derive(Debug, Clone)]
pub struct Config {
    files: Vec<PathBuf>,
    variables: BTreeMap<&'static str, String>,
    pub grpc_port: u16,
    pub http_port: u16,
    pub prometheus_port: u16,
    health_port: u16,
    self_port: u16,
    gates: Option<&'static str>,
}

impl Config {
    /// Takes these files, a later one going before an earlier.
    pub fn of(files: &[PathBuf]) -> Self {
        let config = Self {
            files: files.to_vec(),
            variables: BTreeMap::new(),
            grpc_port: 0,
            http_port: 0,
            prometheus_port: 0,
            health_port: 0,
            self_port: 0,
            gates: None,
        };
        config.with("LISTEN_HOST", &"127.0.0.1").with("PAGES_HOST", &"127.0.0.1").on_free_ports()
    }

    fn on_free_ports(mut self) -> Self {
        let [grpc_port, http_port, prometheus_port, health_port, self_port] = free_ports();
        (self.grpc_port, self.http_port) = (grpc_port, http_port);
        (self.prometheus_port, self.health_port) = (prometheus_port, health_port);
        self.self_port = self_port;
        self.with("OTLP_GRPC_PORT", &grpc_port)
            .with("OTLP_HTTP_PORT", &http_port)
            .with("PROMETHEUS_PORT", &prometheus_port)
            .with("HEALTH_PORT", &health_port)
            .with("SELF_METRICS_PORT", &self_port)
    }

    /// Sets a variable.
    pub fn with(mut self, name: &'static str, value: &dyn ToString) -> Self {
        self.variables.insert(name, value.to_string());
        self
    }

    /// Switches on what the Collector has behind these names and does not do by itself yet.
    pub fn with_gates(self, gates: &'static str) -> Self {
        Self { gates: Some(gates), ..self }
    }

    fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(verb).env_clear().envs(&self.variables);
        for file in &self.files {
            command.arg("--config").arg(file);
        }
        command.args(self.gates.map(|gates| format!("--feature-gates={gates}")));
        command
    }

    /// Names the files that the exporters of `tests/configs/receiver.yaml` write to.
    pub fn writing_to(self, folder: &Path, name: &str) -> (Self, Written) {
        let path = folder.join(format!("{name}.jsonl"));
        let config = self.with("OUTPUT", &path.display());
        (config, Written(path))
    }

    /// What the Collector's own check says of the configuration.
    pub fn validate(&self) -> Ran {
        Ran::of(&mut self.command(&["validate"]))
    }
}

/// How often a start is tried while others take the ports.
const STARTS_MAX: usize = 5;

/// A running Collector.
pub struct Otelcol {
    process: Process,
    pub config: Config,
}

impl Otelcol {
    /// Starts a Collector and waits until it says that it is healthy. Where somebody else was
    /// faster to take a port, it tries others.
    pub fn start(name: &str, folder: &Path, mut config: Config) -> Self {
        for attempt in 1..=STARTS_MAX {
            let log = format!("{name}-{attempt}");
            let mut process = Process::start(config.command(&[]), &log, folder);
            let is_healthy = wait_for("the Collector is healthy, or has ended", DEADLINE, || {
                if !process.is_running() {
                    return Some(false);
                }
                let answer = http_get(config.health_port, "/", "*/*")?;
                answer.starts_with("HTTP/1.1 200").then_some(true)
            });
            if is_healthy {
                return Self { process, config };
            }
            let output = process.output();
            assert!(output.contains("address already in use"), "the Collector ended:\n{output}");
            config = config.on_free_ports();
        }
        panic!("{STARTS_MAX} times somebody else took a port first");
    }

    /// Asks it to end, which writes out whatever it holds.
    pub fn terminate(self) {
        let code = self.process.terminate();
        assert_eq!(code, Some(0), "the Collector ends in good order");
    }

    /// The sum of a metric of its own over the series whose labels contain this; `None` while its page does
    /// not answer, 0 while it has not counted.
    pub fn own_metric(&self, name: &str, label: &str) -> Option<f64> {
        let page = http_body(self.config.self_port, "/metrics", "text/plain")?;
        let is_it = |line: &&str| line.starts_with(name) && line.contains(label);
        let values = page.lines().filter(is_it);
        Some(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The OpenTelemetry variables that send everything here over http/protobuf.
    pub fn over_http(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.config.http_port);
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]
    }

    /// The OpenTelemetry variables that send everything here over gRPC.
    pub fn over_grpc(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.config.grpc_port)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ]
    }
}

/// What a page on loopback answers, head and body; `None` while nothing does.
pub fn http_get(port: u16, path: &str, accept: &str) -> Option<String> {
    http(port, path, accept, "HTTP/1.1")
}

/// What a page on loopback holds; `None` while nothing answers. In one piece, as the older version has it:
/// the pieces of the newer one end in the middle of a line.
pub fn http_body(port: u16, path: &str, accept: &str) -> Option<String> {
    let answer = http(port, path, accept, "HTTP/1.0")?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// The JSON that a page on loopback answers; `None` while nothing does.
pub fn http_json(port: u16, path: &str) -> Option<Value> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=_-.".contains(&byte);
    let escaped: String = path
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect();
    serde_json::from_str(&http_body(port, &escaped, "application/json")?).ok()
}

fn http(port: u16, path: &str, accept: &str, version: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!(
        "GET {path} {version}\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// What a file exporter has written: one OTLP message in JSON a line.
pub struct Written(PathBuf);

impl Written {
    fn messages(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        // The last line may still be being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect("the Collector's JSON"))
            .collect()
    }

    /// Every item of a signal with the attributes of its resource.
    fn items(&self, keys: [&str; 3]) -> Vec<(BTreeMap<String, String>, Value)> {
        let [resources, scopes, items] = keys;
        let mut found = Vec::new();
        for message in self.messages() {
            for resource in list(&message[resources]) {
                let attributes = attributes(&resource["resource"]["attributes"]);
                for scope in list(&resource[scopes]) {
                    let items = list(&scope[items]).iter();
                    found.extend(items.map(|item| (attributes.clone(), item.clone())));
                }
            }
        }
        found
    }

    /// Every span.
    pub fn spans(&self) -> Vec<Span> {
        let items = self.items(["resourceSpans", "scopeSpans", "spans"]);
        items.iter().map(|(resource, span)| read_span(resource, span)).collect()
    }

    /// Every span with the attributes of its scope.
    pub fn spans_by_scope(&self) -> Vec<(BTreeMap<String, String>, Span)> {
        let messages = self.messages();
        let resources = messages.iter().flat_map(|message| list(&message["resourceSpans"]));
        let scopes = resources.flat_map(|resource| list(&resource["scopeSpans"]));
        let spans = scopes.flat_map(|scope| {
            let of_scope = attributes(&scope["scope"]["attributes"]);
            let spans = list(&scope["spans"]).iter();
            spans.map(move |span| (of_scope.clone(), read_span(&BTreeMap::new(), span)))
        });
        spans.collect()
    }

    /// Every metric, with its resource's attributes.
    pub fn metrics(&self) -> Vec<(BTreeMap<String, String>, Value)> {
        self.items(["resourceMetrics", "scopeMetrics", "metrics"])
    }

    /// Every log record, with its resource's attributes.
    pub fn logs(&self) -> Vec<(BTreeMap<String, String>, Value)> {
        self.items(["resourceLogs", "scopeLogs", "logRecords"])
    }

    /// The attributes of every resource that sent spans.
    pub fn span_resources(&self) -> Vec<BTreeMap<String, String>> {
        let items = self.items(["resourceSpans", "scopeSpans", "spans"]);
        items.into_iter().map(|(resource, _)| resource).collect()
    }

    /// Waits until the spans of a trace make one tree that holds all the names given.
    pub fn wait_for_tree(&self, trace_id: &str, names: &[&str]) -> Tree {
        Tree::wait_for(trace_id, names, || self.spans())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list of OTLP key-value pairs as plain text.
pub fn attributes(pairs: &Value) -> BTreeMap<String, String> {
    let plain = |value: &Value| {
        let (_, inner) = value.as_object().and_then(|kinds| kinds.iter().next())?;
        Some(inner.as_str().map_or_else(|| inner.to_string(), str::to_owned))
    };
    let pair = |pair: &Value| Some((text(&pair["key"]), plain(&pair["value"])?));
    list(pairs).iter().filter_map(pair).collect()
}

fn read_span(resource: &BTreeMap<String, String>, span: &Value) -> Span {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    const KINDS: [&str; 6] =
        ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
    let kind = span["kind"].as_u64().and_then(|kind| KINDS.get(usize::try_from(kind).ok()?));
    Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        trace_id: text(&span["traceId"]),
        span_id: text(&span["spanId"]),
        parent_id: text(&span["parentSpanId"]),
        name: text(&span["name"]),
        kind: format!("SPAN_KIND_{}", kind.unwrap_or(&"UNSPECIFIED")),
        start_ns: time(&span["startTimeUnixNano"]),
        end_ns: time(&span["endTimeUnixNano"]),
        attributes: attributes(&span["attributes"]),
        linked_spans: list(&span["links"]).iter().map(|link| text(&link["spanId"])).collect(),
        is_error: span["status"]["code"] == 2,
    }
}
