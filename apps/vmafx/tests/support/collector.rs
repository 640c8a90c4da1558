//! A real OpenTelemetry collector that writes every span it receives to a file, and the tree
//! those spans make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::{DEADLINE, Process, asset, free_port, is_listening, wait_for};

/// A span as the collector received it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    pub service: String,
    pub trace_id: String,
    pub span_id: String,
    pub parent_id: String,
    pub name: String,
    pub kind: String,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, String>,
    pub linked_spans: Vec<String>,
    /// Whether its status is an error; what rotel prints does not say.
    pub is_error: bool,
}

/// A collector that listens for OTLP over gRPC and over HTTP.
pub struct Collector {
    process: Process,
    grpc_port: u16,
    http_port: u16,
}

impl Collector {
    /// Starts the collector that `cargo xtask setup` has put in place.
    pub fn start(folder: &Path) -> Self {
        let program = asset("VMAFX_TEST_COLLECTOR", "rotel/rotel/rotel-agent");
        let (grpc_port, http_port) = (free_port(), free_port());
        let mut command = Command::new(program);
        command
            .args([
                "start",
                "--debug-log",
                "traces",
                "--debug-log-verbosity",
                "detailed",
                "--exporter",
                "blackhole",
            ])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc_port}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http_port}")])
            .arg("--pid-file")
            .arg(folder.join("collector.pid"));
        let process = Process::start(command, "collector", folder);
        wait_for("the collector listens", DEADLINE, || {
            (is_listening(grpc_port) && is_listening(http_port)).then_some(())
        });
        Self { process, grpc_port, http_port }
    }

    /// The variables that send everything here over http/protobuf.
    pub fn over_http(&self) -> Vec<(&'static str, String)> {
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.http_port))]
    }

    /// The variables that send everything here over gRPC.
    pub fn over_grpc(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.grpc_port)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ]
    }

    /// Every span received so far.
    pub fn spans(&self) -> Vec<Span> {
        parse(&self.process.output())
    }

    /// Waits until the spans of a trace make one tree that holds all the names given.
    pub fn wait_for_tree(&self, trace_id: &str, names: &[&str]) -> Tree {
        Tree::wait_for(trace_id, names, || self.spans())
    }
}

/// The spans of one trace.
#[derive(Debug)]
pub struct Tree {
    /// In the order of their start.
    pub spans: Vec<Span>,
}

impl Tree {
    /// The spans of that trace; one that came twice, the same in everything, counts once.
    pub fn of(spans: Vec<Span>, trace_id: &str) -> Self {
        let mut spans: Vec<Span> =
            spans.into_iter().filter(|span| span.trace_id == trace_id).collect();
        spans.sort_by(|a, b| (a.start_ns, &a.span_id).cmp(&(b.start_ns, &b.span_id)));
        spans.dedup();
        Self { spans }
    }

    /// Waits until the spans of a trace make one tree that holds all the names given.
    pub fn wait_for(trace_id: &str, names: &[&str], spans: impl Fn() -> Vec<Span>) -> Self {
        let mut last = String::new();
        let look = || {
            let tree = Self::of(spans(), trace_id);
            match tree.check(names) {
                Ok(()) => Some(tree),
                Err(why) => {
                    last = format!("{why}\n{}", tree.draw());
                    None
                }
            }
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the trace is one whole tree", DEADLINE, look)
        }));
        found.unwrap_or_else(|_| panic!("the trace {trace_id} never became one whole tree: {last}"))
    }

    /// Whether there is exactly one root, no orphan, no id twice, and every name is there.
    pub fn check(&self, names: &[&str]) -> Result<(), String> {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        if ids.len() != self.spans.len() {
            return Err("a span id occurs twice".to_owned());
        }
        let roots = self.spans.iter().filter(|span| span.parent_id.is_empty()).count();
        if roots != 1 {
            return Err(format!("{roots} roots"));
        }
        let is_orphan =
            |span: &&Span| !span.parent_id.is_empty() && !ids.contains(span.parent_id.as_str());
        if let Some(orphan) = self.spans.iter().find(is_orphan) {
            return Err(format!("{} is an orphan", orphan.name));
        }
        match names.iter().find(|name| self.named(name).is_empty()) {
            Some(missing) => Err(format!("no span is named {missing}")),
            None => Ok(()),
        }
    }

    /// The spans of that name.
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The tree as text, for people.
    pub fn draw(&self) -> String {
        let known: BTreeSet<&str> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut text = String::new();
        for span in self.spans.iter().filter(|span| !known.contains(span.parent_id.as_str())) {
            self.draw_below(span, 0, &mut text);
        }
        text
    }

    fn draw_below(&self, span: &Span, depth: usize, text: &mut String) {
        let orphan = if depth == 0 && !span.parent_id.is_empty() { " (orphan)" } else { "" };
        let micros = span.end_ns.saturating_sub(span.start_ns) / 1_000;
        *text += &format!(
            "{:indent$}{} {} {micros} µs [{}]{orphan}\n",
            "",
            span.name,
            span.kind.trim_start_matches("SPAN_KIND_"),
            span.service,
            indent = depth * 2
        );
        for child in self.spans.iter().filter(|child| child.parent_id == span.span_id) {
            self.draw_below(child, depth + 1, text);
        }
    }
}

/// Reads the collector's detailed log.
fn parse(log: &str) -> Vec<Span> {
    #[derive(PartialEq)]
    enum In {
        Resource,
        Span,
        Link,
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut service = String::new();
    let mut place = In::Resource;
    for line in log.lines() {
        let line = line.trim();
        if line.starts_with("ResourceSpans #") {
            place = In::Resource;
        } else if line.starts_with("Span #") {
            place = In::Span;
            spans.push(Span { service: service.clone(), ..Span::default() });
        } else if line.starts_with("SpanLink #") {
            place = In::Link;
        } else if let Some((key, value)) =
            line.strip_prefix("-> ").and_then(|rest| rest.split_once(": "))
        {
            let plain = value
                .split_once('(')
                .map_or(value, |(_, inner)| inner.strip_suffix(')').unwrap_or(inner));
            match (&place, spans.last_mut()) {
                (In::Resource, _) if key == "service.name" => plain.clone_into(&mut service),
                (In::Link, Some(span)) if key == "ID" => span.linked_spans.push(value.to_owned()),
                (In::Span, Some(span)) => {
                    span.attributes.insert(key.to_owned(), plain.to_owned());
                }
                _ => {}
            }
        } else if let (In::Span, Some(span), Some((key, value))) =
            (&place, spans.last_mut(), line.split_once(':'))
        {
            let value = value.trim().to_owned();
            match key.trim() {
                "Trace ID" => span.trace_id = value,
                "Parent ID" => {
                    let is_root = value.trim_matches('0').is_empty();
                    span.parent_id = if is_root { String::new() } else { value };
                }
                "ID" => span.span_id = value,
                "Name" => span.name = value,
                "Kind" => span.kind = value,
                "Start time" => span.start_ns = value.parse().unwrap_or_default(),
                "End time" => span.end_ns = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
    }
    // The last span may still be being written.
    if !log.ends_with('\n') {
        spans.pop();
    }
    spans.retain(|span| span.end_ns != 0);
    spans
}
