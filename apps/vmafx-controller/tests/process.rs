//! The program as a service manager sees it: what it logs, how it stops, how it exits.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use observability::testing::{End, OtlpReceiver, Subject, check_program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    dir: tempfile::TempDir,
}

impl Process {
    fn spawn(args: &[&str]) -> Self {
        Self::spawn_with(args, &[])
    }

    fn spawn_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-controller"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("VMAFX_") || text.starts_with("OTEL_") || text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        let mut child = command
            .args(["--db".as_ref(), dir.path().join("new/controller.db").as_os_str()])
            .args(args)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, log, dir }
    }

    fn start() -> (Self, SocketAddr) {
        Self::start_with(&[])
    }

    fn start_with(variables: &[(&str, &str)]) -> (Self, SocketAddr) {
        let args = ["--grpc-listen", ":0", "--http-listen", ":0"];
        let mut process = Self::spawn_with(&args, variables);
        let ready = process.line("controller ready");
        let field = |name: &str| {
            let found = ready.get(name).or_else(|| ready["fields"].get(name));
            found.and_then(Value::as_str).unwrap_or_else(|| panic!("{name} in {ready}")).to_owned()
        };
        let http = field("http").parse().expect("an address");
        (process, http)
    }

    /// Reads the log, one JSON object a line, up to the line that says `message`.
    fn line(&mut self, message: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.log.read_line(&mut line).expect("readable");
            assert!(read > 0, "the log ended before {message:?}");
            let value: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if value.to_string().contains(message) {
                return value;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn exited(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return status;
            }
            assert!(began.elapsed() < SOON, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = &self.dir;
    }
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("served");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_service_manager_sees_it_ready_and_stopping_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut process, http) = Process::start();
        assert!(get(http, "/readyz").starts_with("HTTP/1.1 200"));
        process.signal(signal);
        process.line("asked to stop");
        process.line("controller stopped");
        assert_eq!(process.exited().code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let (mut process, http) = Process::start();
    // A request that never comes to its end is in flight.
    let mut unfinished = TcpStream::connect(http).expect("served");
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    unfinished.write_all(head.as_bytes()).expect("sent");
    assert!(get(http, "/healthz").contains("200 OK"));
    process.signal(Signal::TERM);
    process.line("no new work is taken");
    let asked = Instant::now();
    process.signal(Signal::TERM);
    process.line("stopped at once");
    assert_eq!(process.exited().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn exit_codes_say_what_was_wrong() {
    let (_other, taken) = Process::start();
    let taken = taken.to_string();
    for (args, code, message) in [
        (vec!["--http-listen", "0.0.0.0:0"], 2, "--insecure"),
        (vec!["--lease", "1ms"], 2, "lease"),
        (vec!["--grpc-listen", ":0", "--http-listen", &taken], 1, "HTTP cannot listen"),
    ] {
        let mut process = Process::spawn(&args);
        assert_eq!(process.exited().code(), Some(code), "{args:?}");
        let mut log = String::new();
        process.log.read_to_string(&mut log).expect("text");
        assert!(log.contains(message), "{args:?}: {log}");
    }
    let mut process = Process::spawn(&["--lease", "soon"]);
    assert_eq!(process.exited().code(), Some(2));
}

fn send(addr: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("served");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Submits a job and says whether its trace is recorded.
fn next_job_is_sampled(addr: SocketAddr) -> bool {
    let pair = r#"{"reference":"/ref.y4m","distorted":"/dis.y4m"}"#;
    let answer = send(addr, "POST", "/v1/jobs", pair);
    let traceparent = answer.lines().find_map(|line| line.strip_prefix("traceparent: "));
    match traceparent.and_then(|value| value.rsplit('-').next()) {
        Some("03") => true,
        Some("02") => false,
        other => panic!("{other:?} in {answer}"),
    }
}

#[test]
fn a_hangup_reads_the_sampling_file_again_and_the_next_job_sees_it() {
    let receiver = OtlpReceiver::start().expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("sampling");
    std::fs::write(&file, "OTEL_TRACES_SAMPLER=parentbased_always_off\n").expect("written");
    let (mut process, http) = Process::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http_endpoint()),
        ("VMAFX_SAMPLING_FILE", file.to_str().expect("text")),
    ]);
    assert!(!next_job_is_sampled(http));

    std::fs::write(&file, "# an incident\nOTEL_TRACES_SAMPLER_ARG=1\n").expect("written");
    process.signal(Signal::HUP);
    let line = process.line("sampling: reloaded").to_string();
    assert!(line.contains("parentbased_traceidratio 1,") && line.contains("file"), "{line}");
    assert!(next_job_is_sampled(http));

    std::fs::write(&file, "OTEL_TRACES_SAMPLER_ARG=abc\n").expect("written");
    process.signal(Signal::HUP);
    let line = process.line("nothing is changed").to_string();
    assert!(line.contains("WARN") && line.contains("OTEL_TRACES_SAMPLER_ARG"), "{line}");
    assert!(next_job_is_sampled(http));
}

#[test]
fn a_hangup_without_a_file_takes_back_what_was_changed_by_call() {
    let receiver = OtlpReceiver::start().expect("a port");
    let (mut process, http) = Process::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http_endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ]);
    assert!(!next_job_is_sampled(http));
    let answer = send(http, "PUT", "/v1/telemetry/sampling", r#"{"arg":1}"#);
    assert!(answer.contains("200 OK"), "{answer}");
    process.line("sampling: changed");
    assert!(next_job_is_sampled(http));
    process.signal(Signal::HUP);
    process.line("sampling: reloaded");
    assert!(!next_job_is_sampled(http));
    process.signal(Signal::TERM);
    assert_eq!(process.exited().code(), Some(0));
}

#[test]
fn the_end_of_a_change_for_a_while_is_in_the_log_of_a_process_that_does_nothing() {
    let (mut process, http) = Process::start();
    let answer = send(http, "PUT", "/v1/telemetry/sampling", r#"{"arg":1,"for_seconds":1}"#);
    assert!(answer.contains("200 OK"), "{answer}");
    let changed_at = Instant::now();
    process.line("sampling: the configured rules are back");
    assert!(changed_at.elapsed() < SOON, "{:?}", changed_at.elapsed());
}

/// Another program keeps the store's write lock, as good as a disk that stays full.
#[test]
fn a_store_that_cannot_be_written_for_long_is_tried_less_and_less_often() {
    let (mut process, http) = Process::start();
    let path = process.dir.path().join("new/controller.db");
    let store = rusqlite::Connection::open(path).expect("the controller's store");
    store.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let submitting = std::thread::spawn(move || {
        let pair = r#"{"reference":"/ref.y4m","distorted":"/dis.y4m"}"#;
        while !stopped.load(Ordering::Relaxed) {
            send(http, "POST", "/v1/jobs", pair);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for pause in ["1s", "2s"] {
        let line = process.line("the queue cannot write");
        assert_eq!(line["pause"], pause, "{line}");
    }
    drop(store);
    process.line("the store works again");
    stop.store(true, Ordering::Relaxed);
    submitting.join().expect("no panic");
}

#[test]
fn the_program_keeps_the_observability_table() {
    check_program("vmafx-controller", || {
        let dir = tempfile::tempdir().expect("a directory");
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [grpc, http] = listeners.map(|listener| listener.local_addr().expect("bound"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-controller"));
        command
            .env_clear()
            .env("VMAFX_GRPC_LISTEN", grpc.to_string())
            .env("VMAFX_HTTP_ADDR", http.to_string())
            .env("VMAFX_DB_PATH", dir.path().join("controller.db"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let work = move |_: &mut Child| {
            // The store goes when the work does, and the program keeps its open file.
            let _dir = &dir;
            let began = Instant::now();
            while TcpStream::connect(http).is_err() {
                assert!(began.elapsed() < SOON, "it does not listen");
                std::thread::sleep(Duration::from_millis(10));
            }
            let jobs = get(http, "/v1/jobs");
            assert!(jobs.starts_with("HTTP/1.1 200"), "{jobs}");
        };
        Subject { command, work: Box::new(work), metrics: Some(http), end: End::Told }
    });
}
