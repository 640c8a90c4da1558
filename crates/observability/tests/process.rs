//! Whole processes: what a program with telemetry writes where, and when it ends.
//!
//! Log output and environment belong to a process, so these checks run this program again as a
//! small product: it prints a line, logs, ends a span, does what it is told by its input, and ends
//! when that ends.

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use common::{PROTOCOLS, SOON, endpoint};
use observability::SHUTDOWN_BUDGET;
use observability::testing::OtlpReceiver;
use serde_json::Value;

/// Set for the product, to what it is to do.
const ROLE: &str = "VMAFX_TEST_ROLE";
/// What the product prints.
const PRODUCT: &str = "score 93.5";
/// What a busy machine may add to a bound that the code keeps.
const MARGIN: Duration = Duration::from_secs(30);

/// The product.
fn product() {
    let guard = observability::init_otel("product");
    let span = guard.tracer().span("work").start();
    {
        let _current = span.cx().clone().attach();
        tracing::info!(name: "work.started", secret_free = true, "work started");
    }
    println!("{PRODUCT}");
    span.end();
    // Its life goes on until nobody has anything to say to it.
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("its input");
    tracing::info!("work ended");
    guard.shutdown();
}

struct Product {
    child: Child,
    input: ChildStdin,
}

struct Ended {
    stdout: String,
    stderr: Vec<String>,
    took: Duration,
}

impl Product {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env_clear().env(ROLE, "product").envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let input = child.stdin.take().expect("its input");
        Self { child, input }
    }

    /// Waits for what it prints, which comes after all that could make it wait.
    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        line
    }

    /// Ends its input and waits for its end.
    fn end(self) -> Ended {
        let Self { child, input } = self;
        let asked = Instant::now();
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let took = asked.elapsed();
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let stderr = text(output.stderr).lines().map(str::to_owned).collect();
        Ended { stdout: text(output.stdout), stderr, took }
    }
}

fn json(lines: &[String]) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    lines.iter().map(parse).collect()
}

fn without_telemetry_the_log_is_json_on_stderr_and_says_that_there_is_none() {
    let ended = Product::start(&[]).end();
    assert_eq!(ended.stdout, format!("{PRODUCT}\n"));
    let lines = json(&ended.stderr);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["message"], observability::DISABLED_MESSAGE);
    let started = &lines[1];
    assert_eq!(started["message"], "work started");
    assert_eq!(started["event_name"], "work.started");
    assert_eq!(started["secret_free"], true);
    assert_eq!(started["trace_flags"], "00");
    assert_eq!(started["trace_id"].as_str().map(str::len), Some(32));
    assert_eq!(started["span_id"].as_str().map(str::len), Some(16));
    assert_eq!(lines[2].get("trace_id"), None);
}

fn every_signal_arrives_from_a_process_that_ends_in_order() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let product = Product::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(&receiver, protocol)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ]);
        let ended = product.end();
        assert_eq!(ended.stdout, format!("{PRODUCT}\n"));
        let lines = json(&ended.stderr);
        assert_eq!(lines.len(), 2, "{protocol}: {lines:?}");
        assert!(ended.stderr.iter().all(|line| !line.contains("hush")));
        let (spans, logs) = (receiver.spans(), receiver.logs());
        assert_eq!(spans.len(), 1, "{protocol}");
        assert_eq!(logs.len(), 2, "{protocol}: {logs:?}");
        let started = logs.iter().find(|log| log.event_name == "work.started").expect("there");
        assert_eq!(started.span_id, Some(spans[0].span_id));
        let in_log = (lines[0]["trace_id"].as_str(), lines[0]["span_id"].as_str());
        let (trace_id, span_id) = (spans[0].trace_id.to_string(), spans[0].span_id.to_string());
        assert_eq!(in_log, (Some(trace_id.as_str()), Some(span_id.as_str())));
        assert_eq!(lines[0]["trace_flags"], "01");
        assert!(!receiver.metrics().is_empty(), "{protocol}");
        let headers = receiver.last_headers().expect("a message came");
        assert_eq!(headers["authorization"], "Bearer hush");
    }
}

fn the_console_writes_every_signal_to_stderr_as_json_and_leaves_stdout_alone() {
    let ended = Product::start(&[
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_LOGS_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
    ])
    .end();
    assert_eq!(ended.stdout, format!("{PRODUCT}\n"));
    let lines = json(&ended.stderr);
    let of = |key: &str| lines.iter().filter(|line| line.get(key).is_some()).count();
    assert_eq!(of("resourceSpans"), 1);
    assert_eq!(of("resourceLogs"), 2);
    assert!(of("resourceMetrics") > 5);
    assert_eq!(of("message"), 2, "the log itself");
    let span = lines.iter().find(|line| line.get("resourceSpans").is_some()).expect("a span");
    let span = &span["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "work");
    let logged = lines.iter().find(|line| line["message"] == "work started").expect("logged");
    assert_eq!(span["traceId"], logged["trace_id"]);
}

fn telemetry_at_trace_level_feeds_no_signal() {
    for protocol in PROTOCOLS {
        let receiver = OtlpReceiver::start().expect("a port");
        let mut product = Product::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(&receiver, protocol)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "20"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "20"),
            ("VMAFX_LOG", "trace,h2=trace,hyper=trace,hyper_util=trace,tonic=trace,tower=trace"),
        ]);
        assert_eq!(product.first_line().trim(), PRODUCT);
        receiver.wait_for_requests(SOON, 100).expect("many exports");
        let ended = product.end();
        assert_eq!(receiver.spans().len(), 1, "{protocol}");
        let logs = receiver.logs();
        assert_eq!(logs.len(), 2, "{protocol}: {logs:?}");
        assert_eq!(ended.stderr.len(), 2, "{protocol}: {:?}", ended.stderr);
    }
}

fn a_collector_that_never_answers_delays_neither_the_work_nor_much_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    for protocol in PROTOCOLS {
        let started = Instant::now();
        let mut product = Product::start(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            // Whoever waited for the collector would wait for longer than bound and margin.
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "120000"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "120000"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ]);
        assert_eq!(product.first_line().trim(), PRODUCT);
        let worked = started.elapsed();
        assert!(worked < MARGIN, "{protocol}: the work took {worked:?}");
        let ended = product.end();
        assert!(ended.took < SHUTDOWN_BUDGET + MARGIN, "{protocol}: the end took {:?}", ended.took);
    }
}

fn a_bad_environment_is_complained_of_once_a_variable_and_changes_nothing_else() {
    let ended = Product::start(&[
        ("OTEL_TRACES_SAMPLER_ARG", "lots"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-5"),
        ("OTEL_CONFIG_FILE", "otel.yaml"),
        ("VMAFX_LOG", "vmafx=loud"),
    ])
    .end();
    assert_eq!(ended.stdout, format!("{PRODUCT}\n"));
    let warnings: Vec<_> = json(&ended.stderr)
        .into_iter()
        .filter(|line| line["level"] == "WARN")
        .map(|line| line["message"].as_str().expect("a message").to_owned())
        .collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    for about in ["TRACES_SAMPLER_ARG", "MAX_QUEUE_SIZE", "CONFIG_FILE", "vmafx=loud"] {
        let count = warnings.iter().filter(|warning| warning.contains(about)).count();
        assert_eq!(count, 1, "{about}: {warnings:?}");
    }
}

fn telemetry_keeps_quiet_about_itself_when_told_so() {
    for (level, lines) in [("info", 3), ("WARN", 2)] {
        let ended = Product::start(&[("OTEL_LOG_LEVEL", level)]).end();
        assert_eq!(ended.stderr.len(), lines, "{level}: {:?}", ended.stderr);
    }
}

/// Runs each check whose name holds the first argument, and tells the outcome in the words of the
/// standard harness, for whoever counts.
fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        product();
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    macro_rules! run {
        ($($check:ident,)+) => {$({
            let name = stringify!($check);
            if wanted.as_ref().is_none_or(|wanted| name.contains(wanted)) {
                let is_ok = std::panic::catch_unwind(AssertUnwindSafe($check)).is_ok();
                *if is_ok { &mut passed } else { &mut failed } += 1;
                println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
            } else {
                left_out += 1;
            }
        })+};
    }
    run!(
        without_telemetry_the_log_is_json_on_stderr_and_says_that_there_is_none,
        every_signal_arrives_from_a_process_that_ends_in_order,
        the_console_writes_every_signal_to_stderr_as_json_and_leaves_stdout_alone,
        telemetry_at_trace_level_feeds_no_signal,
        a_collector_that_never_answers_delays_neither_the_work_nor_much_the_end,
        a_bad_environment_is_complained_of_once_a_variable_and_changes_nothing_else,
        telemetry_keeps_quiet_about_itself_when_told_so,
    );
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {left_out} filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}
