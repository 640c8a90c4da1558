//! The binary: signals, exit codes, flags, and what every service keeps of telemetry.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use observability::testing::{End, Subject, check_program};
use serde_json::{Value, json};
use testkit::ClipSpec;

/// How long a program may take to be there, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound")
}

/// The program with a folder that it may read, and nothing else in its environment.
fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-mcp"));
    command
        .env_clear()
        .env("VMAFX_SCORING_ROOTS", root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn http_program(root: &Path, addr: SocketAddr) -> Command {
    let mut command = program(root);
    command.env("VMAFX_MCP_TRANSPORT", "http").env("VMAFX_MCP_LISTEN", addr.to_string());
    command
}

/// One request and the whole answer; nothing where nobody listens.
fn request(addr: SocketAddr, head: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(addr) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let length = body.len();
    let text = format!(
        "{head}host: {addr}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    answer
}

fn wait_until_ready(addr: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while !request(addr, "GET /readyz HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "{addr} is not ready");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The parameters of a call that scores a pair in `dir`.
fn score(dir: &Path) -> Value {
    let pair = ClipSpec::texture(2, 64, 48, 3).make();
    let write = |name: &str, clip: &testkit::Clip| {
        let path = dir.join(name);
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        path.display().to_string()
    };
    let (reference, distorted) = (write("a", &pair.reference), write("b", &pair.distorted));
    let arguments = json!({"reference": reference, "distorted": distorted, "wait_seconds": 60});
    json!({"name": "score", "arguments": arguments})
}

#[test]
fn over_http_it_keeps_the_observability_table() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut params = score(dir.path());
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
    });
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let body = call.to_string();
    check_program("vmafx-mcp", || {
        let (addr, body) = (free_port(), body.clone());
        let work = move |_: &mut Child| {
            wait_until_ready(addr);
            let head = "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\n\
                        accept: application/json, text/event-stream\r\n\
                        mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n\
                        mcp-name: score\r\n";
            let answer = request(addr, head, &body);
            assert!(answer.contains("succeeded"), "{answer}");
        };
        let command = http_program(dir.path(), addr);
        Subject { command, work: Box::new(work), metrics: Some(addr), end: End::Told }
    });
}

#[test]
fn over_stdio_it_keeps_the_observability_table() {
    let dir = tempfile::tempdir().expect("a folder");
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    });
    let messages = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": score(dir.path())}),
    ];
    check_program("vmafx-mcp", || {
        let messages = messages.clone();
        let work = move |child: &mut Child| {
            let stdin = child.stdin.as_mut().expect("piped");
            for message in &messages {
                writeln!(stdin, "{message}").expect("it reads");
            }
            let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
            let answers = answers.map(|line| -> Value {
                serde_json::from_str(&line.expect("text"))
                    .expect("standard output is the protocol's")
            });
            let answer = answers.into_iter().find(|answer| answer["id"] == 2).expect("an answer");
            assert_eq!(answer["result"]["structuredContent"]["state"], "succeeded", "{answer}");
        };
        let mut command = program(dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Subject { command, work: Box::new(work), metrics: None, end: End::ByItself }
    });
}

fn end(mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status.code();
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn signals_end_it_in_good_order() {
    let dir = tempfile::tempdir().expect("a folder");
    for signal in ["TERM", "INT"] {
        let addr = free_port();
        let child = http_program(dir.path(), addr).spawn().expect("it starts");
        wait_until_ready(addr);
        assert_eq!(end(child, signal), Some(0), "{signal}");
    }
}

#[test]
fn a_run_of_tune_leaves_nothing_behind_when_it_is_told_to_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let scratch = tempfile::tempdir().expect("a folder");
    let source = dir.path().join("source.y4m");
    let clip = ClipSpec::texture(2, 960, 544, 120).make().reference;
    std::fs::write(&source, clip.y4m_bytes()).expect("written");
    let arguments =
        json!({"source": source, "target": 90, "preset": "veryslow", "wait_seconds": 0});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "tune", "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
        },
    }});
    let head = "POST /mcp HTTP/1.1\r\ncontent-type: application/json\r\n\
                accept: application/json, text/event-stream\r\n\
                mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: tune\r\n";
    let addr = free_port();
    let ffmpeg = std::env::var("VMAFX_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    let mut command = http_program(dir.path(), addr);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("TMPDIR", scratch.path()).env("PATH", path).args(["--ffmpeg", &ffmpeg]);
    let child = command.spawn().expect("it starts");
    wait_until_ready(addr);
    let answer = request(addr, head, &call.to_string());
    assert!(answer.contains("job_id"), "{answer}");
    // An encode is under way: its file lies in a folder of the run.
    let holds_a_file = || {
        let runs = std::fs::read_dir(scratch.path()).expect("there").flatten();
        runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten()).count() > 0
    };
    let deadline = Instant::now() + PATIENCE;
    while !holds_a_file() {
        assert!(Instant::now() < deadline, "nothing is encoded");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(end(child, "TERM"), Some(0));
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("there").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_host_that_leaves_ends_it() {
    let dir = tempfile::tempdir().expect("a folder");
    // Its input is at its end from the start.
    assert_eq!(program(dir.path()).status().expect("it runs").code(), Some(0));
}

#[test]
fn what_is_not_allowed_is_refused_with_its_exit_code() {
    let dir = tempfile::tempdir().expect("a folder");
    let addr = free_port();
    let http = || http_program(dir.path(), addr);
    let code = |command: &mut Command| command.status().expect("it runs").code();
    assert_eq!(code(http().env("VMAFX_MCP_LISTEN", "0.0.0.0:0")), Some(2));
    assert_eq!(code(http().arg("--slots=0")), Some(2));
    assert_eq!(code(http().arg("--no-such-flag")), Some(2));
    let taken = TcpListener::bind(addr).expect("free a moment ago");
    assert_eq!(code(&mut http()), Some(1));
    drop(taken);
}
