//! The observability table of the guide, held against a real program: every service passes it.
//!
//! The program is started again and again, each time in another environment, does a piece of its
//! work, and ends. What it logged, sent and showed must be what the guide promises.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::receiver::{Behaviour, OtlpReceiver};
use super::spans::ReceivedSpan;
use crate::init::{DISABLED_MESSAGE, SHUTDOWN_BUDGET};

/// How long a program may take to end, beside what telemetry may.
const END_WITHIN: Duration = Duration::from_secs(30);

/// What a busy machine may add to the work because of a collector that never answers.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// What a busy machine may add to the end, beside what telemetry may: less than that, so that it is seen
/// when a program waits for its telemetry twice.
const END_DELAY_MAX: Duration = Duration::from_secs(2);

/// Runs of which one must end in time.
const END_RUNS_MAX: usize = 3;

/// A program that is about to be started.
pub struct Subject {
    /// How: with everything but telemetry's environment, in an environment that is otherwise
    /// empty. Its standard error is taken over.
    pub command: Command,
    /// Does a piece of the program's work that makes at least one span and logs at least one line
    /// within it; waits until the program is ready for it. Returns when the work is done.
    pub work: Box<dyn FnMut(&mut Child)>,
    /// Where `/metrics` is served, asked right after the work; `None` for a program without it.
    pub metrics: Option<SocketAddr>,
    /// How it ends.
    pub end: End,
}

/// How a program comes to its end after its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGTERM.
    Told,
    /// By itself, with what its work was, or when its standard input ends.
    ByItself,
}

/// One run of the program.
struct Run {
    lines: Vec<String>,
    page: Option<String>,
    worked: Duration,
    ended: Duration,
}

impl Run {
    fn with(mut subject: Subject, variables: &[(&str, String)]) -> Self {
        let mut command = subject.command;
        command.envs(variables.iter().map(|(name, value)| (*name, value)));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = Lines::follow(&mut child);
        let began = Instant::now();
        let guard = KillOnPanic(child.id());
        (subject.work)(&mut child);
        let worked = began.elapsed();
        let page = subject.metrics.map(page);
        let told = Instant::now();
        drop(child.stdin.take());
        if subject.end == End::Told {
            signal(child.id(), "TERM");
        }
        let status = wait(&mut child, &lines);
        std::mem::forget(guard);
        let (lines, ended) = (lines.all(), told.elapsed());
        assert!(status.success(), "{status}:\n{}", lines.join("\n"));
        Self { lines, page, worked, ended }
    }

    /// The log, each line of which must be a JSON object.
    fn log(&self) -> Vec<Value> {
        let parse = |line: &String| -> Value {
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON in the log: {line}"))
        };
        self.lines.iter().map(parse).collect()
    }

    fn count(&self, message: &str) -> usize {
        self.log().iter().filter(|line| line["message"] == message).count()
    }

    /// The traces that lines of the log belong to.
    fn traces(&self) -> Vec<String> {
        let log = self.log();
        let ids = log.iter().filter_map(|line| line["trace_id"].as_str());
        ids.map(str::to_owned).collect()
    }
}

/// Kills the program should a check panic while it runs.
struct KillOnPanic(u32);

impl Drop for KillOnPanic {
    fn drop(&mut self) {
        signal(self.0, "KILL");
    }
}

/// What a program writes to standard error, as it comes.
struct Lines {
    seen: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn follow(child: &mut Child) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stderr, into) = (child.stderr.take().expect("piped"), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { seen, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn all(mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.so_far()
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
}

fn wait(child: &mut Child, lines: &Lines) -> ExitStatus {
    let deadline = Instant::now() + END_WITHIN;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status;
        }
        if Instant::now() >= deadline {
            let log = lines.so_far().join("\n");
            panic!("the program did not end within {END_WITHIN:?}:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The page of metrics.
fn page(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn owned<const N: usize>(variables: [(&'static str, &str); N]) -> Vec<(&'static str, String)> {
    variables.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Holds the program `name` to the table: one line where no endpoint is set, the sampler's
/// argument, both protocols and the endpoint, the service's name, metrics pushed and scraped, ids in
/// the log, and a collector that never answers. `subject` makes it ready to be started, each time
/// on ports of its own.
///
/// # Panics
/// At the first promise that is not kept.
pub fn check_program(name: &str, mut subject: impl FnMut() -> Subject) {
    without_an_endpoint(Run::with(subject(), &[]));
    for protocol in ["http/protobuf", "grpc"] {
        with_a_collector(name, protocol, &mut subject);
    }
    with_a_sampler_that_takes_nothing(&mut subject);
    with_a_collector_that_never_answers(&mut subject);
}

fn without_an_endpoint(run: Run) {
    assert_eq!(run.count(DISABLED_MESSAGE), 1, "{:#?}", run.lines);
    assert!(!run.traces().is_empty(), "no line of the log has a trace id: {:#?}", run.lines);
    assert!(run.traces().iter().all(|id| id.len() == 32), "{:#?}", run.lines);
    if let Some(page) = run.page {
        assert!(page.contains("process_cpu_time_seconds_total"), "{page}");
    }
}

fn with_a_collector(name: &str, protocol: &str, subject: &mut dyn FnMut() -> Subject) {
    let receiver = OtlpReceiver::start().expect("a port on loopback");
    let endpoint = match protocol {
        "grpc" => receiver.grpc_endpoint(),
        _ => receiver.http_endpoint(),
    };
    let mut variables = owned([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ]);
    let named = protocol == "grpc";
    if named {
        variables.push(("OTEL_SERVICE_NAME", "renamed".to_owned()));
    }
    let run = Run::with(subject(), &variables);
    assert_eq!(run.count(DISABLED_MESSAGE), 0, "{protocol}: {:#?}", run.lines);
    let spans = receiver.spans();
    assert!(!spans.is_empty(), "{protocol}: no span came");
    let expected = if named { "renamed" } else { name };
    for span in &spans {
        assert_eq!(span.resource["service.name"], expected, "{protocol}");
    }
    let says_its_share = |span: &ReceivedSpan| {
        span.text("vmafx.sampling.reason") == "ratio" && span.trace_state == "ot=th:0"
    };
    assert!(spans.iter().any(says_its_share), "{protocol}: {spans:#?}");
    let sent: Vec<String> = spans.iter().map(|span| span.trace_id.to_string()).collect();
    let logged = run.traces();
    assert!(
        logged.iter().any(|id| sent.contains(id)),
        "{protocol}: no line of the log belongs to a span that was sent: {logged:?}, {sent:?}"
    );
    assert!(
        receiver.logs().iter().any(|log| log.trace_id.is_some()),
        "{protocol}: no log record with a trace came"
    );
    let metrics = receiver.metrics_of_all();
    assert!(!metrics.is_empty(), "{protocol}: no metrics came at the end");
}

/// Nothing is sampled, and metrics are pushed at the interval that is set.
fn with_a_sampler_that_takes_nothing(subject: &mut dyn FnMut() -> Subject) {
    let receiver = OtlpReceiver::start().expect("a port on loopback");
    let run = Run::with(
        subject(),
        &owned([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http_endpoint()),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ]),
    );
    let spans = receiver.spans();
    assert!(spans.is_empty(), "{spans:#?}");
    assert!(!receiver.metrics().is_empty(), "{:#?}", run.lines);
    let is_unsampled = |line: &Value| {
        line["trace_id"].as_str().is_some_and(|id| id.len() == 32)
            && line["span_id"].as_str().is_some_and(|id| id.len() == 16)
            && line["trace_flags"].as_str().is_some_and(|flags| flags == "00" || flags == "02")
    };
    let log = run.log();
    let mut within = log.iter().filter(|line| !line["trace_id"].is_null()).peekable();
    assert!(within.peek().is_some(), "no line of the log has a trace id: {:#?}", run.lines);
    assert!(within.all(is_unsampled), "{:#?}", run.lines);
    assert!(receiver.logs().is_empty(), "nobody asked for logs to be sent");
}

/// On a busy machine one run may take longer, for reasons of its own.
fn with_a_collector_that_never_answers(subject: &mut dyn FnMut() -> Subject) {
    let quiet = Run::with(subject(), &[]);
    let mut late = Duration::MAX;
    for _ in 0..END_RUNS_MAX {
        let receiver = OtlpReceiver::start().expect("a port on loopback");
        receiver.behave(Behaviour::Hang);
        let run = Run::with(
            subject(),
            &owned([
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http_endpoint()),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "120000"),
                ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ]),
        );
        assert!(receiver.requests() > 0, "nothing was sent: {:#?}", run.lines);
        let delay = run.worked.saturating_sub(quiet.worked);
        assert!(delay < DELAY_MAX, "the collector delayed the work by {delay:?}");
        late = late.min(run.ended.saturating_sub(quiet.ended));
        if late < SHUTDOWN_BUDGET + END_DELAY_MAX {
            return;
        }
    }
    panic!("the collector delayed the end by {late:?}");
}
