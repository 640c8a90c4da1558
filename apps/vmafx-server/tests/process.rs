//! The binary: signals, exit codes, flags, and what every service keeps of telemetry.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use observability::testing::{End, Subject, check_program};
use rustix::process::{Pid, Signal};
use testkit::ClipSpec;

/// How long a program may take to be there, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

fn server(grpc: SocketAddr, http: SocketAddr, root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-server"));
    command
        .env_clear()
        .env("VMAFX_GRPC_LISTEN", grpc.to_string())
        .env("VMAFX_HTTP_ADDR", http.to_string())
        .env("VMAFX_SCORING_ROOTS", root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn wait_until_ready(addr: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while !request(addr, "GET /readyz HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "{addr} is not ready");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One request and the whole answer; nothing where nobody listens.
fn request(addr: SocketAddr, head: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(addr) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let text = format!(
        "{head}host: {addr}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    answer
}

fn write_pair(dir: &Path) -> String {
    let pair = ClipSpec::texture(2, 64, 48, 3).make();
    let write = |name: &str, clip: &testkit::Clip| {
        let path = dir.join(name);
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        path.display().to_string()
    };
    let (reference, distorted) = (write("a", &pair.reference), write("b", &pair.distorted));
    serde_json::json!({"reference": reference, "distorted": distorted}).to_string()
}

#[test]
fn the_program_keeps_the_observability_table() {
    let dir = tempfile::tempdir().expect("a folder");
    let body = write_pair(dir.path());
    check_program("vmafx-server", || {
        let [grpc, http] = free_ports();
        let body = body.clone();
        let work = move |_: &mut Child| {
            wait_until_ready(http);
            let answer = request(http, "POST /v1/score HTTP/1.1\r\n", &body);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        };
        let command = server(grpc, http, dir.path());
        Subject { command, work: Box::new(work), metrics: Some(http), end: End::Told }
    });
}

fn end(mut child: Child, signal: Signal) -> Option<i32> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, signal).expect("sent");
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
    for signal in [Signal::TERM, Signal::INT] {
        let [grpc, http] = free_ports();
        let child = server(grpc, http, dir.path()).spawn().expect("it starts");
        wait_until_ready(http);
        assert_eq!(end(child, signal), Some(0));
    }
}

#[test]
fn what_is_not_allowed_is_refused_with_its_exit_code() {
    let dir = tempfile::tempdir().expect("a folder");
    let [grpc, http] = free_ports();
    let code = |command: &mut Command| command.status().expect("it runs").code();
    assert_eq!(code(server(grpc, http, dir.path()).env("VMAFX_HTTP_ADDR", "0.0.0.0:0")), Some(2));
    assert_eq!(code(server(grpc, http, dir.path()).arg("--slots=0")), Some(2));
    assert_eq!(code(server(grpc, http, dir.path()).arg("--no-such-flag")), Some(2));
    let taken = TcpListener::bind(http).expect("free a moment ago");
    assert_eq!(code(&mut server(grpc, http, dir.path())), Some(1));
    drop(taken);
    let missing = dir.path().join("no-tokens");
    assert_eq!(code(server(grpc, http, dir.path()).env("VMAFX_TOKEN_FILE", missing)), Some(1));
}
