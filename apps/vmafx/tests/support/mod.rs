//! Real processes for the end-to-end tests: controllers, nodes, and an OpenTelemetry collector,
//! each on ports of its own on loopback, each killed when the test lets go of it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use observability::schema::{attr, event_name};

pub mod agent;
pub mod collector;
pub mod manifests;
pub mod otelcol;

/// Anything slower than this on loopback is a failure.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a wait looks at what it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The folder with the clip pair of the demonstration.
pub fn demo_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo").canonicalize().expect("demo folder")
}

/// A binary of this workspace, which `cargo build --workspace --bins` has made.
pub fn binary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_vmafx")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing; run `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// Something that `cargo xtask setup` has put in place: where the variable says, else where the
/// set-up leaves it.
pub fn asset(variable: &str, place: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-assets");
    let path = std::env::var_os(variable).map_or_else(|| folder.join(place), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing; run `cargo xtask setup`, or name another by {variable}",
        path.display()
    );
    path
}

/// Looks until there is an answer; panics with `what` at the deadline.
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A port that was free a moment ago. A server that must come back on the same port needs one.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

/// Ports that were free a moment ago, no two the same.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket").port())
}

/// Whether something accepts connections on a loopback port.
pub fn is_listening(port: u16) -> bool {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_ok()
}

/// A child process that dies with its guard.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output goes to `<folder>/<name>.log`, appended.
    pub fn start(mut command: Command, name: &str, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name: name.to_owned(), log }
    }

    /// Everything it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal by its name, such as `KILL` or `STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("kill exists");
        assert!(sent.success(), "cannot send {signal} to {}", self.name);
    }

    /// `kill -9`, waits until it is gone, and gives what it leaves behind: everything it had printed.
    pub fn kill_9(mut self) -> String {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
        self.output()
    }

    /// Asks it to end and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.ended()
    }

    /// Waits until it ends by itself, and gives its exit code and everything it has printed.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let what = format!("{} ends", self.name);
        let code = wait_for(&what, DEADLINE, || {
            self.child.try_wait().expect("it is ours").map(|status| status.code())
        });
        (code, self.output())
    }

    /// Asks it to end, which must go well, and gives its name and everything it has printed.
    pub fn end(mut self) -> (String, String) {
        assert_eq!(self.ended(), Some(0), "{}", self.name);
        (self.name.clone(), self.output())
    }

    fn ended(&mut self) -> Option<i32> {
        self.signal("TERM");
        let name = self.name.clone();
        wait_for(&format!("{name} ends after SIGTERM"), DEADLINE, || {
            self.child.try_wait().expect("it is ours").map(|status| status.code())
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("---- the last of {}:\n{}", self.name, tail.join("\n"));
        }
    }
}

/// One controller's place: its ports and its store outlive its processes.
pub struct Fleet {
    folder: tempfile::TempDir,
    grpc_port: u16,
    http_port: u16,
    telemetry: Vec<(&'static str, String)>,
    settings: Vec<(&'static str, String)>,
}

impl Fleet {
    /// A fleet whose processes send no telemetry.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            grpc_port: free_port(),
            http_port: free_port(),
            telemetry: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// Sends telemetry by these OpenTelemetry variables.
    pub fn with_telemetry(mut self, variables: &[(&'static str, String)]) -> Self {
        self.telemetry = variables.to_vec();
        self
    }

    /// Sets a variable for the controller.
    pub fn with_setting(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// Where everything of this fleet lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The controller's gRPC address as a URL.
    pub fn controller_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// The port of the controller's gRPC face.
    pub fn grpc_port(&self) -> u16 {
        self.grpc_port
    }

    /// The port of the controller's HTTP face.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// A command that knows nothing of this process's own VMAFX or OpenTelemetry settings.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        for (key, _) in std::env::vars() {
            let inherited = key.starts_with("OTEL_") || key.starts_with("VMAFX_");
            if inherited && key != "VMAFX_FFMPEG" {
                command.env_remove(key);
            }
        }
        command.envs(self.telemetry.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts the controller and waits until it serves.
    pub fn start_controller(&self) -> Process {
        let mut command = self.command("vmafx-controller");
        command
            .env("VMAFX_GRPC_LISTEN", format!("127.0.0.1:{}", self.grpc_port))
            .env("VMAFX_HTTP_ADDR", format!("127.0.0.1:{}", self.http_port))
            .env("VMAFX_DB_PATH", self.folder().join("controller.db"))
            .envs(self.settings.iter().map(|(key, value)| (key, value)));
        let mut process = Process::start(command, "controller", self.folder());
        wait_for("the controller listens", DEADLINE, || {
            assert!(process.is_running(), "the controller ended:\n{}", process.output());
            is_listening(self.grpc_port).then_some(())
        });
        process
    }

    /// Starts a node of that name. It registers when it can.
    pub fn start_node(&self, name: &str) -> Process {
        self.start_node_with(name, &[])
    }

    /// Starts a node of that name with more variables.
    pub fn start_node_with(&self, name: &str, variables: &[(&str, &str)]) -> Process {
        let mut command = self.command("vmafx-node");
        command
            .env("VMAFX_CONTROLLER_ADDR", self.controller_url())
            .env("VMAFX_NODE_ID", name)
            .env("VMAFX_NODE_SLOTS", "2")
            .env("VMAFX_NODE_LISTEN", "127.0.0.1:0")
            .env("VMAFX_NODE_GRPC_LISTEN", "127.0.0.1:0")
            .env("VMAFX_SCORING_ROOTS", demo_folder())
            .env("VMAFX_SPOOL_DIR", self.folder().join(format!("spool-{name}")))
            .envs(variables.iter().copied());
        Process::start(command, name, self.folder())
    }

    /// Starts a server for direct scoring with more variables and waits until it serves; gives its
    /// gRPC and its HTTP port.
    pub fn start_server_with(&self, variables: &[(&str, &str)]) -> (Process, u16, u16) {
        let [grpc, http] = free_ports();
        let mut command = self.command("vmafx-server");
        command
            .env("VMAFX_GRPC_LISTEN", format!("127.0.0.1:{grpc}"))
            .env("VMAFX_HTTP_ADDR", format!("127.0.0.1:{http}"))
            .env("VMAFX_SCORING_ROOTS", demo_folder())
            .envs(variables.iter().copied());
        let mut process = Process::start(command, "server", self.folder());
        wait_for("the server listens", DEADLINE, || {
            assert!(process.is_running(), "the server ended:\n{}", process.output());
            (is_listening(grpc) && is_listening(http)).then_some(())
        });
        (process, grpc, http)
    }

    /// Starts another program of ours with these variables.
    pub fn start_program(&self, name: &str, variables: &[(&str, String)]) -> Process {
        let mut command = self.command(name);
        command.envs(variables.iter().map(|(key, value)| (key, value)));
        Process::start(command, name, self.folder())
    }

    /// Runs `vmafx` against this fleet's controller and gives what it printed and its exit code.
    pub fn vmafx(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command("vmafx");
        command.args(arguments).env("VMAFX_CONTROLLER_ADDR", self.controller_url());
        Ran::of(&mut command)
    }

    /// Runs another program of ours, with this fleet's telemetry, and gives what it printed.
    pub fn program(&self, name: &str, arguments: &[&str]) -> Ran {
        Ran::of(self.command(name).args(arguments))
    }

    /// The fleet's demo pair: reference and distorted.
    pub fn demo_pair(&self) -> (String, String) {
        demo_pair()
    }
}

/// A command for `vmafx up` with one node of one slot, which keeps its data in `folder`, on these ports
/// of gRPC and HTTP.
pub fn up(folder: &Path, [grpc, http]: [u16; 2]) -> Command {
    let mut command = Command::new(binary("vmafx"));
    command
        .args(["up", "--nodes", "1", "--slots", "1"])
        .args(["--grpc-listen", &format!("127.0.0.1:{grpc}")])
        .args(["--http-listen", &format!("127.0.0.1:{http}")])
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--source-root")
        .arg(demo_folder());
    command
}

/// What makes `vmafx-mcp` serve HTTP on this port.
pub fn mcp_over_http(port: u16) -> [(&'static str, String); 3] {
    [
        ("VMAFX_MCP_TRANSPORT", "http".to_owned()),
        ("VMAFX_MCP_LISTEN", format!("127.0.0.1:{port}")),
        ("VMAFX_SCORING_ROOTS", demo_folder().display().to_string()),
    ]
}

/// The clip pair of the demonstration: reference and distorted.
pub fn demo_pair() -> (String, String) {
    let path = |name: &str| demo_folder().join(name).to_str().expect("a UTF-8 path").to_owned();
    (path("carphone_pristine.y4m"), path("carphone_distorted.y4m"))
}

/// What a command that ended has left.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("it starts");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The one JSON object on standard output, of a command that succeeded.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Checks that a node which was killed while it scored had said so beforehand: what it left on
/// standard error names the job and its trace.
pub fn assert_attempt_started(printed: &str, job: &str, trace_id: &str) {
    let lines: Vec<serde_json::Value> =
        printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let started = |line: &&serde_json::Value| line["event_name"] == event_name::ATTEMPT_STARTED;
    let of_job: Vec<_> =
        lines.iter().filter(started).filter(|line| line[attr::JOB_ID] == job).collect();
    let [line] = of_job[..] else { panic!("{job}, {}: {printed}", of_job.len()) };
    assert_eq!(line["message"], "attempt started", "{line}");
    assert_eq!(line["trace_id"], trace_id, "{line}");
    assert!(line["span_id"].as_str().is_some_and(|id| id.len() == 16), "{line}");
    assert_eq!(line[attr::ATTEMPT_NUMBER], 1, "{line}");
}

/// The demonstration's pair with its frames repeated, so that scoring takes a while.
pub fn long_pair(folder: &Path, repeats: usize) -> (String, String) {
    let (reference, distorted) = demo_pair();
    let repeat = |from: &str, name: &str| {
        let clip = std::fs::read(from).expect("the demo clip");
        let header_end = clip.iter().position(|byte| *byte == b'\n').expect("a y4m header") + 1;
        let (header, frames) = clip.split_at(header_end);
        let path = folder.join(name);
        let mut long = header.to_vec();
        (0..repeats).for_each(|_| long.extend_from_slice(frames));
        std::fs::write(&path, long).expect("room for a clip");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    (repeat(&reference, "long-reference.y4m"), repeat(&distorted, "long-distorted.y4m"))
}

/// A source of random numbers that a seed repeats.
pub struct Random(u64);

impl Random {
    /// A seed from the environment (`VMAFX_TEST_SEED`) or the clock; printed, so that a failure
    /// can be played again.
    pub fn new() -> Self {
        let clock = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::from(now.expect("after 1970").subsec_nanos())
        };
        let named = std::env::var("VMAFX_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = named.unwrap_or_else(clock);
        println!("VMAFX_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number below `end`, by SplitMix64.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
